"""Reports as SPDX 2.3 JSON: an SBOM of an index report, an SBOM with security references of the other.

The structs are the part of the specification that we write, in its own names. It demands a time of
creation and a namespace that no other document has: the time is that of the definitions (for an index
report, which has none, 1970), the namespace a UUID that follows from the document, so that equal reports
are equal documents. A vulnerability report holds the packages that have findings. An SBOM holds all of the index
report, in annotations what SPDX has no field for (``model.sbom``): ``indexer.sbom`` reads the same report back.
Nothing is said of licences: nobody looked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from redoubt import __version__
from redoubt.formats import tracking
from redoubt.formats.interface import Options
from redoubt.formats.json import encode
from redoubt.formats.summary import gaps, index_gaps, repair
from redoubt.formats.text import printable, web_link
from redoubt.model import (
    DefinitionsInfo,
    Distribution,
    Finding,
    Image,
    IndexReport,
    Location,
    Package,
    PackageFindings,
    VulnerabilityReport,
    purl,
    sbom,
)

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9.-]+")
_PURL = re.compile(r"pkg:[^/\s]+/[!-~]+")
_PLACES = 100


class _Part(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A JSON object of the specification: camel case, defaults left out."""


class _Checksum(_Part):
    algorithm: str
    checksum_value: str


class _Reference(_Part):
    reference_category: str
    reference_type: str
    reference_locator: str
    comment: str = ""


class _Annotation(_Part):
    annotation_date: str
    annotation_type: str
    annotator: str
    comment: str


class _Package(_Part):
    spdx_id: str = msgspec.field(name="SPDXID")
    name: str
    download_location: str
    files_analyzed: bool
    version_info: str = ""
    primary_package_purpose: str = ""
    checksums: tuple[_Checksum, ...] = ()
    source_info: str = ""
    external_refs: tuple[_Reference, ...] = ()
    comment: str = ""
    annotations: tuple[_Annotation, ...] = ()


class _Relationship(_Part):
    spdx_element_id: str
    relationship_type: str
    related_spdx_element: str


class _Creation(_Part):
    created: str
    creators: tuple[str, ...]
    comment: str = ""


class _Document(_Part):
    spdx_version: str
    data_license: str
    spdx_id: str = msgspec.field(name="SPDXID")
    name: str
    document_namespace: str
    creation_info: _Creation
    packages: tuple[_Package, ...]
    relationships: tuple[_Relationship, ...]
    comment: str = ""
    annotations: tuple[_Annotation, ...] = ()


def index(report: IndexReport, options: Options) -> bytes:
    """An SBOM with a package, and its purl, for the image, its system and every package in it."""
    ids = _Identifiers()
    packages = []
    for package in report.packages:
        locator = purl.of_package(package, report.distribution)
        source = " ".join(part for part in (package.source_name, package.source_version) if part)
        element = _package(
            ids.of(package.type, package.name, locator),
            (package.name, package.version),
            package.locations,
            _purl(locator),
            f"built from {source}" if source else "",
        )
        packages.append(msgspec.structs.replace(element, annotations=_beyond(package, element)))
    head = _annotation(msgspec.structs.replace(report, packages=()))
    return _document(report.image, report.distribution, packages, index_gaps(report), None, (head,))


def vulnerabilities(report: VulnerabilityReport, options: Options) -> bytes:
    """The packages with findings, each with a reference to every advisory on it."""
    ids = _Identifiers()
    packages = []
    for package in report.packages:
        references = (*_purl(package.purl), *map(_security, package.findings))
        packages.append(
            _package(
                ids.of(package.type, package.name, package.purl),
                (package.name, package.version),
                package.locations,
                references,
                _advice(package),
            )
        )
    return _document(report.image, report.distribution, packages, gaps(report), report.definitions)


class _Identifiers:
    """Names for elements, each used once: readable, and the same for the same package."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def of(self, kind: str, name: str, *parts: str) -> str:
        """``SPDXRef-Package-deb-openssl-0123456789abcdef`` (clause 3.2: letters, digits, ``.`` and ``-``)."""
        words = _NOT_IN_ID.sub("-", f"{kind}-{name}")[:60].strip("-")
        wanted = f"SPDXRef-Package-{words}-{tracking.hexadecimal(kind, name, *parts)[:16]}"
        number = self._used[wanted] = self._used.get(wanted, 0) + 1
        return wanted if number == 1 else f"{wanted}.{number}"


def _document(
    image: Image,
    distribution: Distribution | None,
    packages: Iterable[_Package],
    problems: Iterable[str],
    definitions: DefinitionsInfo | None,
    annotations: tuple[_Annotation, ...] = (),
) -> bytes:
    root = _image(image)
    contained = [_system(distribution)] if distribution else []
    contained += packages
    about = ""
    if definitions:
        about = (
            f"matched with the {'unsigned ' if definitions.unsigned else ''}definitions {definitions.digest}"
        )
    document = _Document(
        spdx_version="SPDX-2.3",
        data_license="CC0-1.0",
        spdx_id="SPDXRef-DOCUMENT",
        name=printable(image.subject or image.reference) or "image",
        document_namespace="",
        creation_info=_Creation(
            created=tracking.moment(definitions), creators=(f"Tool: redoubt-{__version__}",), comment=about
        ),
        comment="\n".join(f"Not complete: {printable(line)}" for line in problems),
        annotations=annotations,
        packages=(root, *contained),
        relationships=(
            _Relationship(
                spdx_element_id="SPDXRef-DOCUMENT",
                relationship_type="DESCRIBES",
                related_spdx_element=root.spdx_id,
            ),
            *(
                _Relationship(
                    spdx_element_id=root.spdx_id,
                    relationship_type="CONTAINS",
                    related_spdx_element=package.spdx_id,
                )
                for package in contained
            ),
        ),
    )
    namespace = f"urn:uuid:{tracking.unique_id(msgspec.json.encode(document).decode())}"
    return encode(msgspec.structs.replace(document, document_namespace=namespace))


def _image(image: Image) -> _Package:
    digest = image.digest or image.config_digest
    found = _DIGEST.fullmatch(image.digest)  # a manifest's digest is the hash of the image
    about = [f"manifest {image.digest}"] if image.digest else []
    about += [f"configuration {image.config_digest}"] if image.config_digest else []
    about += [f"platform {image.platform}"] if image.platform else []
    return _Package(
        spdx_id="SPDXRef-Image",
        name=printable(image.subject or image.reference) or "image",
        version_info=printable(digest),
        download_location="NOASSERTION",
        files_analyzed=False,
        primary_package_purpose="CONTAINER" if image.kind != "dir" else "FILE",
        checksums=(_Checksum(algorithm="SHA256", checksum_value=found.group(1)),) if found else (),
        comment=printable(", ".join(about)),
    )


def _system(distribution: Distribution) -> _Package:
    return _Package(
        spdx_id="SPDXRef-System",
        name=printable(distribution.id) or "unknown",
        version_info=printable(distribution.version_id or distribution.codename),
        download_location="NOASSERTION",
        files_analyzed=False,
        primary_package_purpose="OPERATING_SYSTEM",
        comment=printable(distribution.name),
    )


def _package(
    identifier: str,
    what: tuple[str, str],
    locations: tuple[Location, ...],
    references: tuple[_Reference, ...],
    comment: str,
) -> _Package:
    name, version = what
    places = [
        f"{where.path} in {where.layer}" if where.layer else where.path for where in locations[:_PLACES]
    ]
    if len(locations) > _PLACES:
        places.append(f"{len(locations) - _PLACES:,} more places")
    return _Package(
        spdx_id=identifier,
        name=printable(name) or "unknown",
        version_info=printable(version),
        download_location="NOASSERTION",
        files_analyzed=False,
        source_info="\n".join(f"found in {printable(place)}" for place in places),
        external_refs=references,
        comment=printable(comment),
    )


def _beyond(package: Package, element: _Package) -> tuple[_Annotation, ...]:
    """What the element cannot say of a package, as ``indexer.sbom`` reads it back."""
    locator = element.external_refs[0].reference_locator if element.external_refs else ""
    seen = sbom.visible(locator, (element.name,), element.version_info)
    told = sbom.beyond(package, seen)
    told.locations = package.locations
    return () if told == sbom.Beyond() else (_annotation(told),)


def _annotation(told: msgspec.Struct) -> _Annotation:
    return _Annotation(
        annotation_date=tracking.NO_TIME,
        annotation_type="OTHER",
        annotator=f"Tool: redoubt-{__version__}",
        comment=sbom.PREFIX + msgspec.json.encode(told).decode(),
    )


def _purl(locator: str) -> tuple[_Reference, ...]:
    """The purl as a reference (annex F.3.5); nothing where it is none."""
    if not _PURL.fullmatch(locator):
        return ()
    return (
        _Reference(reference_category="PACKAGE-MANAGER", reference_type="purl", reference_locator=locator),
    )


def _security(item: Finding) -> _Reference:
    """An advisory's address (annex F.2.3); where there is none, the flaw's name as a reference of our own."""
    known = f"https://www.cve.org/CVERecord?id={item.id}" if _CVE.fullmatch(item.id) else ""
    url = web_link(item.url) or known
    comment = f"{item.id}, {item.severity.lower()}, {item.status.value}, {repair(item)}"
    return _Reference(
        reference_category="SECURITY" if url else "OTHER",
        reference_type="advisory" if url else "vulnerability",
        reference_locator=url or _solid(item.id) or "unknown",
        comment=printable(comment),
    )


def _advice(package: PackageFindings) -> str:
    return f"{package.upgrade} repairs all that can be repaired" if package.upgrade else ""


def _solid(text: str) -> str:
    """A locator has no spaces (clause 7.21)."""
    return "".join(printable(text).split())
