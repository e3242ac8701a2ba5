"""Nix: the folders of its store, whose names say what is in them. What is in them is for the other catalogers.

A name is a hash of 32 letters of Nix's base 32, a dash, and what a derivation is called; in that, the version begins
after the first dash that no letter follows (Nix manual, ``parseDrvName``), and the output's name may follow.
It must not know what a derivation is built from.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_NAME = re.compile(r"[0-9a-df-np-sv-z]{32}-(.+?)-([^A-Za-z].*)").fullmatch
_OUTPUT = re.compile(r"-(?:bin|lib|dev|man|doc|devdoc|info|debug|static|data|terminfo|py|dist)$")
_NOT_BUILT = (".drv", ".patch", ".lock", ".tar.gz", ".tar.xz", ".tar.bz2", ".zip", "-source")


class NixCataloger:
    """The folders directly below ``nix/store``."""

    name = "nix"
    version = 1
    wanted = Wanted(trees=frozenset({b"nix/store"}))

    def accepts(self, path: bytes) -> bool:
        """Whether the folder's name has a version."""
        return _NAME(path.rpartition(b"/")[2].decode("utf-8", "replace")) is not None

    def catalog(self, path: str, content: Content) -> Catalog:
        """The package; sources, patches and recipes are none."""
        found = Findings()
        match = _NAME(path.rstrip("/").rpartition("/")[2])
        if match and not match[0].endswith(_NOT_BUILT):
            found.add("nix", clean(match[1]), clean(_OUTPUT.sub("", match[2])))
        return found.catalog()
