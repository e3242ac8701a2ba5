"""Which packages to believe where files speak of each other's: what is installed wins over what was asked for.

A lock file says what was asked for. Where at least half of the names in it are installed somewhere in the
image, or anything of their kind is installed in a folder beside the lock file that is there for that, the
installation is the truth: the rest of the lock file was not installed (other platforms, tools for
development, an older state), and it is left out. Elsewhere its packages were bundled, packed or
compiled into something that says nothing itself: the lock file is all there is, and is believed. An SBOM that
lies in the image is a lock file of many kinds of packages, each judged by itself; its packages of the system count only
where no database has any of their kind, for that knows which are installed.

A file beside a package's own may say that the package came from elsewhere than its registry (Python's
``direct_url.json``). Such a package is listed with where it came from and without a version: advisories
speak of the registry's versions. The repositories that the system's packages came from are told with them
(``origins``). It must not know any format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from redoubt.indexer.origins import Origins
from redoubt.indexer.report import FileReport
from redoubt.model import Package, namespaces

#: Folders beside a lock file into which its packages are installed: npm's, Composer's and Bundler's, Python's.
_TREES = frozenset({"node_modules", "vendor", ".venv", "venv", "env"})


class Evidence:
    """What all files in sight say together. ``declaring`` are the catalogers whose files only ask for packages."""

    def __init__(self, files: Iterable[tuple[str, FileReport]], declaring: frozenset[str]) -> None:
        self._declaring = declaring
        self._elsewhere: dict[str, str] = {}  # folder → where what lies in it came from
        self._installed: set[tuple[str, str]] = set()
        self._trees: set[tuple[str, str]] = set()  # type, and the folder with such a tree in it
        self._systems: set[str] = set()  # the system's types of packages that a database has
        files = list(files)
        self._origins = Origins(origin for _, report in files for origin in report.origins)
        asked = {p.type for _, report in files if report.cataloger in declaring for p in report.packages}
        for path, report in files:
            if report.elsewhere:
                self._elsewhere[path.rpartition("/")[0]] = report.elsewhere
            if asked and report.cataloger not in declaring:
                installed = [package for package in report.packages if package.type in asked]
                self._installed.update(map(_named, installed))
                self._systems.update({p.type for p in installed} & namespaces.OPERATING_SYSTEM_TYPES.keys())
                if installed and (folder := _above_tree(path)) is not None:
                    self._trees.update((package.type, folder) for package in installed)

    def packages(self, path: str, report: FileReport) -> Iterator[tuple[Package, Package]]:
        """The packages of a file that count: each as it is to be told, and as the file has it."""
        left_out = self._superseded(path, report) if report.cataloger in self._declaring else ()
        elsewhere = self._elsewhere.get(path.rpartition("/")[0], "") if self._elsewhere else ""
        for package in report.packages:
            if package.type in left_out:
                continue
            if elsewhere:
                yield msgspec.structs.replace(package, version="", repositories=(elsewhere,)), package
            else:
                yield self._origins.told(package), package

    def _superseded(self, path: str, report: FileReport) -> set[str]:
        """The types of packages of a file of what was asked for, of which what is installed tells more."""
        folder = path.rpartition("/")[0]
        names: dict[str, set[tuple[str, str]]] = {}
        for package in report.packages:
            names.setdefault(package.type, set()).add(_named(package))
        return {
            kind
            for kind, asked in names.items()
            if kind in self._systems
            or (kind, folder) in self._trees
            or 2 * len(asked & self._installed) >= len(asked)
        }


def _above_tree(path: str) -> str | None:
    """The folder that the outermost tree of installed packages on the way to a file lies in."""
    parts = path.split("/")
    for number, part in enumerate(parts):
        if part in _TREES:
            return "/".join(parts[:number])
    return None


def _named(package: Package) -> tuple[str, str]:
    return package.type, namespaces.normalize(namespaces.LANGUAGES.get(package.type, ""), package.name)
