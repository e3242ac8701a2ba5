"""SPDX 2.2 and 2.3, ours and others', in JSON or as tags and values.

Packages are decoded one after another, so that one that is spoilt costs itself and a large document little.
Relationships are looked at only for what the document is of. Files are not packages.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

from redoubt.errors import UnreadableInput
from redoubt.indexer.catalogers.documents import rows, table, word
from redoubt.indexer.catalogers.fields import clean
from redoubt.indexer.sbom import properties as props
from redoubt.indexer.sbom.gathered import Gathered, Sbom
from redoubt.indexer.sbom.shapes import SpdxCreation, SpdxDocument, SpdxPackage, SpdxRelationship
from redoubt.indexer.sbom.systems import named
from redoubt.indexer.sbom.tags import Tags
from redoubt.model import Image, IndexReport, Location, ProblemKind, purl, sbom

_OUR_TOOL = "Tool: redoubt-"
_TRIVY_TOOL = "Tool: trivy-"
_VERSIONS = ("SPDX-2.2", "SPDX-2.3")
#: Purposes of packages that are no packages by themselves, where they have no purl.
_NO_PACKAGES = frozenset({"CONTAINER", "FILE", "APPLICATION", "SOURCE", "DEVICE", "ARCHIVE"})
_WHOLES = _NO_PACKAGES - {"APPLICATION"}
_INSTALLED = re.compile("pkg:(?:deb|rpm|apk|alpm|bitnami)/").match
_SYSTEM = frozenset({"OPERATING_SYSTEM", "OPERATING-SYSTEM"})
_BUILT = re.compile(r"built package from: (\S+) ?(\S*)").match
_FOUND = re.compile(r"(?:acquired package info from [^:]*|package found in): (.+)").match


_DOCUMENT = msgspec.json.Decoder(SpdxDocument)
_PACKAGE = msgspec.json.Decoder(SpdxPackage)
_RELATIONSHIP = msgspec.json.Decoder(SpdxRelationship)
_HEAD = msgspec.json.Decoder(IndexReport)
_BEYOND = msgspec.json.Decoder(sbom.Beyond)


def read(data: bytes | msgspec.Raw) -> Sbom:
    """The SBOM in ``data``. Raises ``msgspec.DecodeError``, ``UnicodeDecodeError``, ``RecursionError``, and
    ``UnreadableInput`` where it is no list of what there is.
    """
    document = _DOCUMENT.decode(data)
    creation = document.creation_info or SpdxCreation()
    ours = any(word(one).startswith(_OUR_TOOL) for one in rows(creation.creators))
    if ours and word(creation.comment).startswith("matched with the"):
        raise UnreadableInput(
            "it is what `redoubt scan` writes, and holds only packages with findings; "
            "give what `redoubt index -o spdx` writes"
        )
    head = _own_comment(document.annotations) if ours else ""
    found = _begun(document.spdx_version, own=bool(head))
    if head:
        _head(head, found)
    described = _described(document)
    for raw in document.packages:
        try:
            package = _PACKAGE.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            found.left_out("is not what a package should be", "")
            continue
        if found.own:
            _take_own(package, found)
        else:
            _take_or_subject(package, described, len(document.packages), found)
    return found.sbom()


def read_tags(data: bytes) -> Sbom:
    """The SBOM in ``data``, as tags and values. Raises ``UnreadableInput``."""
    document = Tags(data)
    found = _begun(document.version)
    for package in document.packages:
        _take_or_subject(package, document.described, len(document.packages), found)
    return found.sbom()


def _begun(version: str, *, own: bool = False) -> Gathered:
    found = Gathered(f"SPDX {clean(version).removeprefix('SPDX-')[:10]}", own=own)
    if version not in _VERSIONS:
        found.problem(
            ProblemKind.UNSUPPORTED,
            f"{clean(version)[:20]} is read as SPDX-2.3; what is new or other in it is not seen",
        )
    return found


def _described(document: SpdxDocument) -> frozenset[str]:
    """The identifiers of what the document is about."""
    named_ = {word(one) for one in rows(document.document_describes)}
    for raw in document.relationships:
        if b"DESCRIBE" not in bytes(raw):
            continue
        try:
            relation = _RELATIONSHIP.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        match relation.relationship_type:
            case "DESCRIBES":
                named_.add(word(relation.related_spdx_element))
            case "DESCRIBED_BY":
                named_.add(word(relation.spdx_element_id))
    return frozenset(named_)


def _take_or_subject(
    package: SpdxPackage, described: Collection[str], packages: int, found: Gathered
) -> None:
    """A package, unless it is the whole of which the others are parts: the only one that the document describes, or an
    image. One with a purl of a system's package is installed though it is described (Wolfi's documents).
    """
    whole = word(package.primary_package_purpose) in _WHOLES or (len(described) == 1 and packages > 1)
    if whole and word(package.spdx_id) in described and not _INSTALLED(_locator(package)):
        found.subject = word(package.name)
        found.image = _image(package)
    else:
        _take(package, found)


def _image(package: SpdxPackage) -> Image:
    about = _annotations(package.annotations)
    repository = props.first(about, props.TRIVY + "RepoDigest").rpartition("@")[2]
    return Image(
        reference="",
        kind="sbom",
        digest=props.layer(repository) or props.layer(word(package.version_info)),
        config_digest=props.layer(props.first(about, props.TRIVY + "ImageID")),
    )


def _take(package: SpdxPackage, found: Gathered) -> None:
    name, version = word(package.name), word(package.version_info)
    purpose = word(package.primary_package_purpose)
    if purpose in _SYSTEM:
        if found.distribution is None:
            found.distribution = named(name, version)
        return
    locator = _locator(package)
    parts = purl.take_apart(locator) if locator else None
    if parts is None:
        if purpose not in _NO_PACKAGES:
            found.left_out("has no package URL" if not locator else "has a package URL that is none", name)
        return
    if parts.type in ("oci", "docker"):
        return  # an image that the packages are in
    about = _annotations(package.annotations)
    source = word(package.source_info)
    if built := _BUILT(source):
        about.setdefault(props.TRIVY + "SrcName", [built[1]])
        about.setdefault(props.TRIVY + "SrcVersion", [built[2]])
    maker = word(package.originator)
    if not maker.startswith(("Person: ", "Organization: ")):
        maker = word(package.supplier) if _by_trivy(package.annotations) else ""
    maker = maker.removeprefix("Person: ").removeprefix("Organization: ")
    whole = props.others(
        sbom.visible(locator, (name,), version), parts, about, "" if maker == "NOASSERTION" else maker
    )
    places = props.locations(about)
    if not places and (places_told := _FOUND(source)):
        places = tuple(
            Location(path.strip().lstrip("/")) for path in places_told[1].split(", ") if path.strip()
        )
    found.package(msgspec.structs.replace(whole, locations=places), parts)


def _locator(package: SpdxPackage) -> str:
    for reference in package.external_refs:
        if reference.reference_type == "purl" and isinstance(reference.reference_locator, str):
            return reference.reference_locator
    return ""


def _annotations(value: object) -> props.Properties:
    """Trivy's annotations (``Class: os-pkgs``), under the names that its properties have in CycloneDX."""
    about: props.Properties = {}
    for row in rows(value):
        name, colon, text = word(table(row).get("comment")).partition(": ")
        if colon:
            about.setdefault(props.TRIVY + name, []).append(text)
    return about


def _by_trivy(value: object) -> bool:
    return any(word(table(row).get("annotator")).startswith(_TRIVY_TOOL) for row in rows(value))


# --- ours


def _own_comment(value: object) -> str:
    for row in rows(value):
        comment = table(row).get("comment")
        if isinstance(comment, str) and comment.startswith(sbom.PREFIX):
            return comment.removeprefix(sbom.PREFIX)
    return ""


def _head(text: str, found: Gathered) -> None:
    try:
        head = _HEAD.decode(text)
    except msgspec.DecodeError as error:
        found.problem(
            ProblemKind.DAMAGED, f"what Redoubt wrote of the whole was changed: {clean(str(error))[:200]}"
        )
        return
    found.subject = head.image.subject or head.image.reference
    found.image = msgspec.structs.replace(head.image, reference="")
    found.distribution = head.distribution
    found.layers, found.told = head.layers, list(head.problems)
    found.catalogers, found.lookups = head.catalogers, head.lookups


def _take_own(package: SpdxPackage, found: Gathered) -> None:
    purpose = word(package.primary_package_purpose)
    if purpose:  # the image itself, and its system, which the document's annotation tells
        return
    name, version = _string(package.name), _string(package.version_info)
    seen = sbom.visible(_locator(package), (name,), version)
    comment = _own_comment(package.annotations)
    try:
        whole = sbom.whole(seen, _BEYOND.decode(comment) if comment else sbom.Beyond())
    except msgspec.DecodeError:
        found.left_out("has an annotation that was changed", name)
        return
    found.package(whole)


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
