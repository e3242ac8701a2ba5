"""The parts of an SPDX document that are read, whether it came as JSON or as tags. Leaves are objects: one of the wrong
type is taken for absent, and does not spoil the rest.
"""

from __future__ import annotations

import msgspec


class SpdxReference(msgspec.Struct, rename="camel", gc=False):
    """A name of a package elsewhere: here, its purl."""

    reference_type: object = ""
    reference_locator: object = ""


class SpdxPackage(msgspec.Struct, rename="camel"):
    """Clause 7 of the specification."""

    spdx_id: object = msgspec.field(name="SPDXID", default="")
    name: object = ""
    version_info: object = ""
    primary_package_purpose: object = ""
    source_info: object = ""
    originator: object = ""
    supplier: object = ""
    external_refs: list[SpdxReference] = []
    annotations: object = None


class SpdxCreation(msgspec.Struct):
    """Clause 6.8 and 6.10: who made the document."""

    creators: object = None
    comment: object = ""


class SpdxRelationship(msgspec.Struct, rename="camel", gc=False):
    """Clause 11."""

    spdx_element_id: object = ""
    related_spdx_element: object = ""
    relationship_type: object = ""


class SpdxDocument(msgspec.Struct, rename="camel"):
    """A document; its packages and relationships are decoded one after another."""

    spdx_version: str
    creation_info: SpdxCreation | None = None
    document_describes: object = None
    annotations: object = None
    packages: list[msgspec.Raw] = []
    relationships: list[msgspec.Raw] = []
