"""PHP's older packages: the registry of PEAR and PECL, a file of PHP's serialized values for each package.

Only the strings that are asked for are looked up in it, nothing is deserialized. It must not know about Composer.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_HEAD = 1 << 16
_NAME = re.compile(rb's:4:"name";s:\d{1,4}:"([^"]{1,200})";').search
_RELEASE = re.compile(rb's:7:"version";a:\d{1,2}:\{s:7:"release";s:\d{1,4}:"([^"]{1,200})";').search
#: Before version 2 of the format, after the name: the version of the format itself stands before it.
_VERSION = re.compile(rb's:7:"version";s:\d{1,4}:"([^"]{1,200})";').search


class PearCataloger:
    """``.registry/NAME.reg``, and those in the folders of other channels, such as PECL's."""

    name = "pear"
    version = 1
    wanted = Wanted(extensions=frozenset({b".reg"}), max_size=16 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether the file lies in a registry."""
        return b"/.registry/" in path

    def catalog(self, path: str, content: Content) -> Catalog:
        """The one package."""
        found = Findings()
        head = content.read(0, _HEAD)
        name = _NAME(head)
        version = _RELEASE(head) or (_VERSION(head[name.end() :]) if name else None)
        if name and version and clean(name[1]):
            found.add("pear", clean(name[1]), clean(version[1]))
        else:
            found.damaged("no name or no version in it")
        return found.catalog()
