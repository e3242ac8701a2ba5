"""opkg's packages (OpenWrt, Yocto): its ``status`` file, which has the form of dpkg's and other words in ``Status``.

It must not know which distribution the packages belong to.
"""

from __future__ import annotations

from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.indexer.catalogers.paragraphs import fields, paragraphs

_PLACES = (b"usr/lib/opkg/status", b"var/lib/opkg/status")


class OpkgCataloger:
    """``usr/lib/opkg/status`` and ``var/lib/opkg/status``, at the root or in a tree below it."""

    name = "opkg"
    version = 1
    wanted = Wanted(
        names=frozenset({b"status"}), databases=tuple(place.decode() for place in _PLACES), max_size=64 << 20
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the path is opkg's database."""
        return (b"/" + path).endswith(tuple(b"/" + place for place in _PLACES))

    def catalog(self, path: str, content: Content) -> Catalog:
        """The packages whose state is installed, whatever was wished of them (``install user installed``)."""
        found = Findings()
        for number, paragraph in enumerate(paragraphs(content), 1):
            told = fields(paragraph)
            if b"installed" not in told.get(b"status", b"").split() or found.full:
                continue
            name, version = clean(told.get(b"package", b"")), clean(told.get(b"version", b""))
            if name and version:
                arch = clean(told.get(b"architecture", b""))
                found.add("opkg", name, version, arch=arch, source_name=clean(told.get(b"source", b"")))
            else:
                found.damaged(f"record {number} ({shown(name) or 'no name'}) has no name or no version")
        return found.catalog()
