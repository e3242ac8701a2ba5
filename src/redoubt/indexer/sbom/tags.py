"""SPDX 2.2 and 2.3 as tags and values, taken apart into the packages that JSON would have. Text; one pass.

Texts over several lines (``<text>``) are passed over: nothing that matters here is written so.
"""

from __future__ import annotations

from collections.abc import Iterator

from redoubt.errors import UnreadableInput
from redoubt.indexer.catalogers.fields import lines
from redoubt.indexer.sbom.shapes import SpdxPackage, SpdxReference

MARK = b"SPDXVersion:"
#: Tags of a package → the fields of one.
_FIELDS = {
    "SPDXID": "spdx_id",
    "PackageVersion": "version_info",
    "PrimaryPackagePurpose": "primary_package_purpose",
    "PackageSourceInfo": "source_info",
    "PackageOriginator": "originator",
    "PackageSupplier": "supplier",
}
_OTHER_ELEMENTS = ("FileName", "SnippetSPDXID", "LicenseID")


class Tags:
    """A document's ``version``, ``packages``, and the identifiers of those that it is of (``described``).

    Raises ``UnreadableInput`` where it is none.
    """

    def __init__(self, data: bytes) -> None:
        self.version = ""
        self.packages: list[SpdxPackage] = []
        self.described: set[str] = set()
        package: SpdxPackage | None = None
        for tag, value in _pairs(data):
            if tag == "PackageName":
                package = SpdxPackage(name=value)
                self.packages.append(package)
            elif tag == "SPDXVersion":
                self.version = self.version or value
            elif tag == "Relationship":
                self._related(value.split())
            elif tag in _OTHER_ELEMENTS:
                package = None
            elif package is not None and tag in _FIELDS:
                setattr(package, _FIELDS[tag], value)
            elif package is not None and tag == "ExternalRef":
                words = value.split(None, 3)
                if len(words) > 2:
                    reference = SpdxReference(reference_type=words[1], reference_locator=words[2])
                    package.external_refs = [*package.external_refs, reference][:_MAX_REFERENCES]
        if not self.version:
            raise UnreadableInput("not an SPDX document")

    def _related(self, words: list[str]) -> None:
        if len(words) == 3 and words[1] == "DESCRIBES":
            self.described.add(words[2])
        elif len(words) == 3 and words[1] == "DESCRIBED_BY":
            self.described.add(words[0])


_MAX_REFERENCES = 1000


def _pairs(data: bytes) -> Iterator[tuple[str, str]]:
    within = False
    for line in lines(data.decode("utf-8", "replace")):
        if within:
            within = "</text>" not in line
            continue
        tag, colon, value = line.partition(":")
        if not colon:
            continue
        value = value.strip()
        if value.startswith("<text>"):
            within = "</text>" not in value
            value = value.removeprefix("<text>").partition("</text>")[0]
        yield tag.strip(), value
