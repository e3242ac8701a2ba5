"""The packages that an SPDX document (2.2, 2.3) names, as JSON or as tags and values: their purls.

Bounded by the document's size alone; nothing of it is followed. It must not know why the document is read.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from redoubt.indexer.catalogers.documents import decoded, word
from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Content


class _Reference(msgspec.Struct, rename="camel", gc=False):
    reference_type: object = ""
    reference_locator: object = ""


class _Package(msgspec.Struct, rename="camel", gc=False):
    external_refs: list[_Reference] = []


class _Document(msgspec.Struct, rename="camel"):
    spdx_version: str
    packages: list[_Package] = []


_DECODER = msgspec.json.Decoder(_Document)
_TAG = "ExternalRef:"


def purls(content: Content, found: Findings) -> Iterator[str]:
    """The purls of a document's packages, in its order. What is not SPDX is a problem of ``found``."""
    if content.read(0, 64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        document = decoded(_DECODER, content, found)
        for package in document.packages if document else ():
            for reference in package.external_refs:
                if reference.reference_type == "purl":
                    yield word(reference.reference_locator)
        return
    known = False
    for line in content.all().decode("utf-8", "replace").split("\n"):
        known = known or line.startswith("SPDXVersion:")
        if line.startswith(_TAG):
            words = line.split(None, 4)
            if len(words) > 3 and words[2] == "purl":
                yield clean(words[3])
    if not known:
        found.damaged("not an SPDX document")
