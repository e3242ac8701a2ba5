"""Bottlerocket's packages: ``application-inventory.json``, which stands in for an rpm database that is not shipped.

``{"Content": [{"Name": …, "Version": …, "Release": …, "Epoch": …, "Architecture": …}]}``. It must not know which of
the packages any advisory speaks of.
"""

from __future__ import annotations

import msgspec

from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_PLACE = b"usr/share/bottlerocket/application-inventory.json"


class _Package(msgspec.Struct, rename="pascal"):
    name: str = ""
    publisher: str = ""
    version: str = ""
    release: str = ""
    epoch: str | int = ""
    architecture: str = ""


class _Inventory(msgspec.Struct, rename="pascal"):
    content: list[msgspec.Raw]


_decode_inventory = msgspec.json.Decoder(_Inventory).decode
_decode_package = msgspec.json.Decoder(_Package).decode
_UNDECODABLE = (msgspec.DecodeError, RecursionError, UnicodeError)


class BottlerocketCataloger:
    """``**/usr/share/bottlerocket/application-inventory.json``: at the root, or below a ``sys-root``."""

    name = "bottlerocket"
    version = 1
    wanted = Wanted(
        names=frozenset({b"application-inventory.json"}), databases=(_PLACE.decode(),), max_size=16 << 20
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the path is the inventory."""
        return path == _PLACE or path.endswith(b"/" + _PLACE)

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package, as the rpm package that it was. A release that older inventories lack is left out."""
        found = Findings()
        try:
            entries = _decode_inventory(content.all()).content
        except _UNDECODABLE as error:
            found.damaged(f"the inventory cannot be read: {shown(str(error))}")
            return found.catalog()
        for number, raw in enumerate(entries, 1):
            if found.full:
                break
            try:
                package = _decode_package(raw)
            except _UNDECODABLE as error:
                found.damaged(f"entry {number} of the inventory cannot be read: {shown(str(error))}")
                continue
            name, version, release = clean(package.name), clean(package.version), clean(package.release)
            if not (name and version):
                found.damaged(
                    f"entry {number} of the inventory ({shown(name) or 'no name'}) lacks name or version"
                )
                continue
            epoch = clean(str(package.epoch))
            found.add(
                "rpm",
                name,
                (f"{epoch}:" if epoch.strip("0") else "") + (f"{version}-{release}" if release else version),
                arch=clean(package.architecture),
                vendor=clean(package.publisher),
            )
        return found.catalog()
