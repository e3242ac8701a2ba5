"""Gentoo's packages: the folders of portage's database of installed packages, one a package.

A folder ``var/db/pkg/CATEGORY/NAME-VERSION`` holds a file for each thing that is known; ``PF`` is in all of them.
Versions are those of the Package Manager Specification. It must not know which distribution the packages belong to.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_PLACE = re.compile(r"(?:.*/)?var/db/pkg/([^/]+)/([^/]+)/PF", re.DOTALL).fullmatch
_SPLIT = re.compile(
    r"(.+)-(\d+(?:\.\d+)*[a-z]?(?:_(?:alpha|beta|pre|rc|p)\d*)*(?:-r\d+)?)", re.ASCII
).fullmatch

_MAX_NAME = 255  # of a folder


class PortageCataloger:
    """``**/var/db/pkg/*/*/PF``."""

    name = "portage"
    version = 1
    wanted = Wanted(names=frozenset({b"PF"}), max_size=1 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether the path is part of a package's record."""
        return _PLACE(path.decode("utf-8", "replace")) is not None

    def catalog(self, path: str, content: Content) -> Catalog:
        """The package, called ``category/name``; its version with Gentoo's revision (``2.38-r10``)."""
        found = Findings()
        if match := _PLACE(path):
            parts = _SPLIT(match[2]) if len(match[2]) <= _MAX_NAME else None
            if parts:
                found.add("portage", f"{clean(match[1])}/{clean(parts[1])}", parts[2])
            else:
                found.damaged(f"{shown(match[2])} is no name and version of a package")
        return found.catalog()
