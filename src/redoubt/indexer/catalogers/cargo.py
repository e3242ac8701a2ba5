"""Rust's ``Cargo.lock``: the crates that a workspace was built from, as Cargo resolved them.

Cargo writes the file and nobody edits it, so it is read line by line in the form Cargo writes (versions
1 to 4 alike), in time that grows with its length: a TOML parser's can grow with its square (dotted keys).
It must not know about manifests, which say what was asked for.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_FIELD = re.compile(r'(name|version|source) = "([^"\\]*)"').fullmatch
_TABLE = "[[package]]"
#: What may stand in a lock file that has no packages.
_EMPTY = re.compile(r"(?:#.*|version = [0-9]+|\s*)").fullmatch
#: crates.io by its git index, which is what Cargo writes, and by its sparse one.
_CRATES_IO = re.compile(
    r"(?:registry\+)?https://github\.com/rust-lang/crates\.io-index"
    r"|(?:registry\+)?sparse\+https://index\.crates\.io/"
).fullmatch
#: Where Cargo unpacks crates and repositories: a lock file there is its author's, and says nothing of here.
_UNPACKED = re.compile(rb"(?:^|/)(?:registry/src|git/checkouts)/")


class CargoCataloger:
    """``Cargo.lock``, but for those inside of crates that Cargo unpacked."""

    name = "cargo"
    version = 1
    wanted = Wanted(names=frozenset({b"Cargo.lock"}), max_size=16 << 20, declared=True)

    def accepts(self, path: bytes) -> bool:
        """Whether the file is of a workspace, and not of a crate in Cargo's own folders."""
        return _UNPACKED.search(path) is None

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every crate from elsewhere; those without a source are the workspace's own, and left out."""
        found = Findings()
        crate: dict[str, str] | None = None
        seen = False
        strange = not content.size
        for line in content.all().decode("utf-8", "replace").split("\n"):
            line = line.rstrip("\r")  # git may have changed the line ends
            if line.startswith("["):
                _add(crate, found)
                crate = {} if line == _TABLE else None
                seen = True
            elif crate is not None and (field := _FIELD(line)):
                crate[field[1]] = clean(field[2])
            elif not seen and not _EMPTY(line):
                strange = True
            if found.full:
                break
        _add(crate, found)
        if strange:
            found.damaged("not as Cargo writes it; packages may be missing")
        return found.catalog()


def _add(crate: dict[str, str] | None, found: Findings) -> None:
    if crate is None:
        return
    name, version, source = (crate.get(field, "") for field in ("name", "version", "source"))
    if not (name and version):
        found.damaged(f"a package without a name or a version: {shown(name or version)!r}")
    elif source:
        # Advisories speak of crates.io's names and versions; a repository's or another registry's crate
        # of the same name is listed, and cannot be judged.
        found.add("cargo", name, version if _CRATES_IO(source) else "")
