"""Arch Linux's packages: the ``desc`` files of pacman's local database, one a package.

Blocks of a ``%FIELD%`` line and lines of values, with a blank line after each. It must not know which distribution
the packages belong to.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_PLACE = re.compile(rb"(?:.*/)?var/lib/pacman/local/[^/]+/desc", re.DOTALL).fullmatch
_FIELDS = frozenset({b"NAME", b"VERSION", b"BASE", b"ARCH"})


class AlpmCataloger:
    """``**/var/lib/pacman/local/*/desc``."""

    name = "alpm"
    version = 1
    wanted = Wanted(names=frozenset({b"desc"}), max_size=4 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether the path is a package's description in pacman's local database."""
        return _PLACE(path) is not None

    def catalog(self, path: str, content: Content) -> Catalog:
        """The package; what it was built from (its pkgbase) as ``source_name``."""
        found = Findings()
        fields: dict[bytes, bytes] = {}
        field = b""
        for line in content.all().split(b"\n"):
            if line.startswith(b"%") and line.endswith(b"%") and len(line) > 2:
                field = line[1:-1]
            elif line and field in _FIELDS:
                fields.setdefault(field, line)
                if len(fields) == len(_FIELDS):
                    break
        name, version = clean(fields.get(b"NAME", b"")), clean(fields.get(b"VERSION", b""))
        if name and version:
            found.add(
                "alpm",
                name,
                version,
                arch=clean(fields.get(b"ARCH", b"")),
                source_name=clean(fields.get(b"BASE", b"")),
            )
        else:
            missing = "version (%VERSION%)" if name else "name (%NAME%)"
            found.damaged(f"the package's description ({shown(name) or 'no name'}) has no {missing}")
        return found.catalog()
