"""endoflife.date: until when the releases of distributions are looked after. One JSON file of all products.

``{"result": [{"name": "debian", "releases": [{"name": "12", "eolFrom": "2026-06-10", …}]}]}``,
https://endoflife.date/docs/api/v1/. Decided here:

- only the distributions that Redoubt judges are read; the name of a release is its ``namespaces.lifecycle``;
- the day is ``eolFrom``: the end of security support that everybody gets. Debian's LTS (``eoesFrom``) is for
  everybody too, and Debian's data covers it, so there it is the day. Support that is paid for is not counted;
- a release without a day is left out, whether it ended or not;
- the file has no dates of records: when it was made says nothing of how new flaws are.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import UNDECODABLE, Item, Notes
from redoubt.errors import UnreadableInput
from redoubt.model import Distribution, EndOfLife
from redoubt.model.namespaces import lifecycle

#: Their products → the ``ID`` of os-release, of those whose releases are named as ``VERSION_ID`` names them.
_PRODUCTS = {
    "debian": "debian",
    "ubuntu": "ubuntu",
    "alpine-linux": "alpine",
    "almalinux": "almalinux",
    "rocky-linux": "rocky",
    "rhel": "rhel",
    "centos": "centos",
    "centos-stream": "centos",
    "oracle-linux": "ol",
    "amazon-linux": "amzn",
    "sles": "sles",
    "opensuse": "opensuse-leap",
    "photon": "photon",
    "azure-linux": "azurelinux",
    "fedora": "fedora",
}
_FREELY_EXTENDED = frozenset({"debian"})


class _Release(msgspec.Struct, rename="camel"):
    name: str
    eol_from: str | None = None
    eoes_from: str | None = None


class _Product(msgspec.Struct):
    name: str
    releases: list[msgspec.Raw] | None = None


class _File(msgspec.Struct):
    result: list[msgspec.Raw]


_decode_file = msgspec.json.Decoder(_File).decode
_decode_product = msgspec.json.Decoder(_Product).decode
_decode_release = msgspec.json.Decoder(_Release).decode


class EndOfLifeFeed:
    """Reads the file of all products."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``. A record is a release of one of our distributions."""
        for where, data in files.contents():
            try:
                products = _decode_file(data).result
            except UNDECODABLE as error:
                raise UnreadableInput(f"{where} is not endoflife.date's JSON: {error}") from None
            for raw in products:
                try:
                    product = _decode_product(raw)
                except UNDECODABLE as error:
                    notes.read += 1
                    notes.spoil(f"{where} {bytes(raw)[:60]!r}", error)
                    continue
                if product.name in _PRODUCTS:
                    yield from _releases(product, where, notes)


def _releases(product: _Product, where: str, notes: Notes) -> Iterator[tuple[str, EndOfLife]]:
    for raw in product.releases or ():
        notes.read += 1
        try:
            release = _decode_release(raw)
        except UNDECODABLE as error:
            notes.spoil(f"{where} {product.name} {bytes(raw)[:60]!r}", error)
            continue
        extended = release.eoes_from if product.name in _FREELY_EXTENDED else None
        day = max(fields.date(release.eol_from), fields.date(extended))
        if not day:
            notes.drop("no day is named")
            continue
        stream = "CentOS Stream" if product.name == "centos-stream" else ""
        name = lifecycle(Distribution(id=_PRODUCTS[product.name], version_id=release.name, name=stream))
        if name is None or not name.isprintable() or len(name) > fields.MAX_NAME:
            notes.spoil(f"{where} {product.name} {release.name[:60]!r}", "not the name of a release")
            continue
        yield name, EndOfLife(day)
