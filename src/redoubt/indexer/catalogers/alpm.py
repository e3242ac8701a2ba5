"""Arch Linux's packages: pacman's local database, a folder ``NAME-VERSION-RELEASE`` a package.

``desc`` describes it, ``files`` lists what it installed: blocks of a ``%FIELD%`` line and lines of values, with a blank
line after each. It must not know which distribution the packages belong to.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.indexer.ownership import MAX_PATHS
from redoubt.model import ProblemKind

_PLACE = re.compile(rb"(?:.*/)?var/lib/pacman/local/[^/]+/(?:desc|files)", re.DOTALL).fullmatch
_LINES = re.compile(rb"[^\n]+").finditer
_FIELDS = frozenset({b"NAME", b"VERSION", b"BASE", b"ARCH"})


class AlpmCataloger:
    """``**/var/lib/pacman/local/*/desc``, and ``files`` beside it."""

    name = "alpm"
    version = 2
    wanted = Wanted(names=frozenset({b"desc", b"files"}), max_size=32 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether the path is a package's description or list of files in pacman's local database."""
        return _PLACE(path) is not None

    def catalog(self, path: str, content: Content) -> Catalog:
        """The package, with what it was built from (its pkgbase) as ``source_name``; or what it installed."""
        found = Findings()
        if path.endswith("/files"):
            listed = content.all().partition(b"%FILES%\n")[2].partition(b"\n\n")[0]
            if listed.count(b"\n") > MAX_PATHS:  # each line is held many times over
                found.problem(
                    ProblemKind.LIMIT, f"more than {MAX_PATHS:,} files; whose they are is not known"
                )
                return found.catalog()
            owner = clean(path.rsplit("/", 2)[1]).rsplit("-", 2)[0]
            below = path[: path.rfind("var/lib/pacman/")].encode()
            paths = [line for line in listed.split(b"\n") if line[-1:] not in b"/"]
            found.owns(f"alpm/{owner}", paths, below=below)
            return found.catalog()
        fields: dict[bytes, bytes] = {}
        field = b""
        for match in _LINES(content.all()):  # one at a time: a list of short lines takes far more memory
            line = match[0]
            if line.startswith(b"%") and line.endswith(b"%") and len(line) > 2:
                field = line[1:-1]
            elif field in _FIELDS:
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
