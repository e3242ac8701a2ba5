"""Homebrew's formulae: the receipt in each installed version's folder, whose place says name and version.

It must not know what a formula is made of.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_PLACE = re.compile(r"(?:.*/)?Cellar/([^/]+)/([^/]+)/INSTALL_RECEIPT\.json", re.DOTALL).fullmatch


class HomebrewCataloger:
    """``**/Cellar/FORMULA/VERSION/INSTALL_RECEIPT.json``."""

    name = "homebrew"
    version = 1
    wanted = Wanted(names=frozenset({b"INSTALL_RECEIPT.json"}))

    def accepts(self, path: bytes) -> bool:
        """Whether the receipt lies where Homebrew puts it."""
        return _PLACE(path.decode("utf-8", "replace")) is not None

    def catalog(self, path: str, content: Content) -> Catalog:
        """The formula. A version ends with Homebrew's own revision (``3.2.1_2``) where it has one."""
        found = Findings()
        if match := _PLACE(path):
            found.add("brew", clean(match[1]), clean(match[2]))
        return found.catalog()
