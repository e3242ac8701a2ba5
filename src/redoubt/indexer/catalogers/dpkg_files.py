"""The files of Debian packages: dpkg's lists, distroless images' checksums, and what is diverted.

``info/NAME.list`` (``NAME:ARCH.list`` for packages of which several architectures may be installed) has an absolute
path a line; ``status.d/NAME.md5sums`` a checksum, two spaces and a path without its first slash; ``diversions``
three lines a record: a path, the one that is used instead, and the package that wants it so, ``:`` for a
person (dpkg-divert(1)). No packages come from here. It must not know what a language package is.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.indexer.ownership import MAX_PATHS
from redoubt.model import ProblemKind

_PLACE = re.compile(rb"(.*/)?var/lib/dpkg/(?:info/[^/]+\.list|status\.d/[^/]+\.md5sums|diversions)").fullmatch
_CHECKSUM = re.compile(rb"[0-9a-f]{32}  ").match


class DpkgFilesCataloger:
    """``var/lib/dpkg/info/*.list``, ``var/lib/dpkg/status.d/*.md5sums`` and ``var/lib/dpkg/diversions``."""

    name = "dpkg-files"
    version = 1
    wanted = Wanted(
        names=frozenset({b"diversions"}),
        extensions=frozenset({b".list", b".md5sums"}),
        max_size=16 << 20,
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the file lies where dpkg keeps it, at the root or in a tree below it."""
        return b"var/lib/dpkg/" in path and _PLACE(path) is not None

    def catalog(self, path: str, content: Content) -> Catalog:
        """What the package that the file is named after says it installed."""
        found = Findings()
        below = path[: path.rfind("var/lib/dpkg/")].encode()
        name, _, ending = path[path.rfind("/") + 1 :].rpartition(".")
        owner = "deb/" + clean(name).partition(":")[0]
        data = content.all()
        if data.count(b"\n") > MAX_PATHS:  # each line is held many times over
            found.problem(
                ProblemKind.LIMIT, f"more than {MAX_PATHS:,} lines; whose the files are is not known"
            )
            return found.catalog()
        if ending == "list":
            paths = data.rstrip(b"\n").split(b"\n/")  # the first one, "/.", is the root
            found.owns(owner, paths, below=below)
        elif ending == "md5sums":
            lines = data.split(b"\n")
            found.owns(
                owner, [line[34:].removeprefix(b"./") for line in lines if _CHECKSUM(line)], below=below
            )
        else:
            lines = data.split(b"\n")
            for original, other, package in zip(lines[::3], lines[1::3], lines[2::3], strict=False):
                diverted = (below + other[1:]).decode("utf-8", "backslashreplace")
                found.owns(f"deb/{clean(package)}", [original[1:]], below=below, diverted=diverted)
        return found.catalog()
