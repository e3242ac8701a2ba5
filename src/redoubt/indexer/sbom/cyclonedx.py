"""CycloneDX 1.4 to 1.6 in JSON, ours and others' (ECMA-424).

Components are decoded one after another, so that one that is spoilt costs itself and a large document little.
What tools put into properties is read by ``properties``. Dependencies and vulnerabilities are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from redoubt.errors import UnreadableInput
from redoubt.indexer.catalogers.documents import rows, table, word
from redoubt.indexer.catalogers.fields import clean
from redoubt.indexer.sbom import properties as props
from redoubt.indexer.sbom.gathered import Gathered, Sbom
from redoubt.indexer.sbom.systems import named
from redoubt.model import Distribution, Image, Layer, Location, Platform, Problem, ProblemKind, purl, sbom

#: Types of components that are no packages by themselves: things that packages are in, or data.
_NO_PACKAGES = frozenset(
    {
        *("file", "container", "device", "platform", "data", "device-driver"),
        *("machine-learning-model", "cryptographic-asset"),
    }
)
_VERSIONS = ("1.2", "1.3", "1.4", "1.5", "1.6", "1.7")


class _Component(msgspec.Struct, rename={"bom_ref": "bom-ref"}):
    """Leaves are objects: one of the wrong type is taken for absent, and does not spoil the rest."""

    type: object = ""
    bom_ref: object = ""
    group: object = ""
    name: object = ""
    version: object = ""
    purl: object = ""
    publisher: object = ""
    supplier: object = None
    hashes: object = None
    evidence: object = None
    properties: object = None
    components: list[_Component] = []


class _Metadata(msgspec.Struct):
    component: _Component | None = None
    properties: object = None


class _Document(msgspec.Struct, rename="camel"):
    bom_format: str
    spec_version: str = ""
    metadata: _Metadata | None = None
    components: list[msgspec.Raw] = []


_DOCUMENT = msgspec.json.Decoder(_Document)
_COMPONENT = msgspec.json.Decoder(_Component)
_LAYER = msgspec.json.Decoder(Layer)
_PROBLEM = msgspec.json.Decoder(Problem)
_CATALOGERS = msgspec.json.Decoder(dict[str, int])
_LOOKUPS = msgspec.json.Decoder(dict[str, str])


def read(data: bytes | msgspec.Raw) -> Sbom:
    """The SBOM in ``data``. Raises ``msgspec.DecodeError``, ``UnicodeDecodeError``, ``RecursionError``, and
    ``UnreadableInput`` where it is no list of what there is.
    """
    document = _DOCUMENT.decode(data)
    metadata = document.metadata or _Metadata()
    about = _properties(metadata.properties)
    if "redoubt:definitions-digest" in about:
        raise UnreadableInput(
            "it is what `redoubt scan` writes, and holds only packages with findings; "
            "give what `redoubt index -o cyclonedx` writes"
        )
    found = Gathered(f"CycloneDX {clean(document.spec_version)[:10]}".strip(), own="redoubt:schema" in about)
    if document.spec_version not in _VERSIONS:
        found.problem(
            ProblemKind.UNSUPPORTED,
            f"CycloneDX {clean(document.spec_version)[:10] or 'of no version'} is read as 1.6; "
            "what is new or other in it is not seen",
        )
    if metadata.component:
        _subject(metadata.component, found)
    if found.own:
        _head(about, found)
    for raw in document.components:
        try:
            component = _COMPONENT.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            found.left_out("is not what a component should be", "")
            continue
        for one in _flat(component):
            _take(one, found)
    # What the image's description has in it counts as well.
    for one in metadata.component.components if metadata.component else ():
        for inner in _flat(one):
            _take(inner, found)
    return found.sbom()


def _flat(component: _Component) -> Iterator[_Component]:
    waiting = [component]
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(reversed(one.components))


def _properties(value: object) -> props.Properties:
    found: props.Properties = {}
    for row in rows(value):
        pair = table(row)
        name, text = pair.get("name"), pair.get("value")
        if isinstance(name, str) and isinstance(text, str):
            found.setdefault(name, []).append(text)
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _take(component: _Component, found: Gathered) -> None:
    kind = word(component.type)
    own = _properties(component.properties)
    if kind == "operating-system":
        if found.distribution is None:
            found.distribution = _system(component, own)
        return
    name, version, locator = _text(component.name), _text(component.version), _text(component.purl)
    if not locator and _text(component.bom_ref).startswith("pkg:"):
        locator = _text(component.bom_ref)
    called = sbom.spellings(_text(component.group), name)
    places = _occurrences(component.evidence)
    if found.own:
        package = sbom.whole(sbom.visible(locator, called, version), props.own(own))
        found.package(msgspec.structs.replace(package, locations=places))
        return
    parts = purl.take_apart(locator) if locator else None
    if parts is None:
        if kind not in _NO_PACKAGES and not (
            kind == "application" and props.first(own, props.TRIVY + "Type")
        ):
            found.left_out("has no package URL" if not locator else "has a package URL that is none", name)
        return
    if kind == "container" or parts.type in ("oci", "docker"):
        return  # an image that the components are in
    supplier = (
        word(table(component.supplier).get("name")) if props.first(own, props.TRIVY + "PkgType") else ""
    )
    package = props.others(
        sbom.visible(locator, called, version), parts, own, word(component.publisher) or supplier
    )
    found.package(msgspec.structs.replace(package, locations=places or props.locations(own)), parts)


def _occurrences(evidence: object) -> tuple[Location, ...]:
    places = []
    for row in rows(table(evidence).get("occurrences")):
        path = table(row).get("location")
        if isinstance(path, str):
            places.append(sbom.place(path, _text(table(row).get("additionalContext"))))
    return tuple(places)


def _system(component: _Component, own: props.Properties) -> Distribution | None:
    name, version = word(component.name), word(component.version)
    if "redoubt:version-id" in own:
        return Distribution(
            id=name,
            version_id=own["redoubt:version-id"][0],
            codename=props.first(own, "redoubt:codename"),
            name=props.first(own, "redoubt:name"),
            id_like=tuple(own.get("redoubt:id-like", ())),
        )
    return named(
        props.first(own, "syft:distro:id") or name,
        props.first(own, "syft:distro:versionID") or version,
        props.first(own, "syft:distro:versionCodename"),
    )


def _subject(component: _Component, found: Gathered) -> None:
    """What the SBOM is of: no package of it, but the image that they are in."""
    own = _properties(component.properties)
    name, version = word(component.name), word(component.version)
    found.subject = name
    digest = props.first(own, "redoubt:manifest-digest")
    if not found.own and not digest:
        repository = props.first(own, props.TRIVY + "RepoDigest").rpartition("@")[2]
        digest = props.layer(repository) or (
            props.layer(version) if word(component.type) == "container" else ""
        )
    found.image = Image(
        reference="",
        kind="sbom",
        digest=digest,
        config_digest=props.first(own, "redoubt:config-digest", props.TRIVY + "ImageID"),
        media_type=props.first(own, "redoubt:media-type"),
        platform=_platform(props.first(own, "redoubt:platform")),
    )


def _platform(text: str) -> Platform | None:
    parts = text.split("/")
    return Platform(*parts) if 2 <= len(parts) <= 3 else None


def _head(about: props.Properties, found: Gathered) -> None:
    """What ours say of the whole: layers, problems, and who looked."""
    try:
        found.layers = tuple(_LAYER.decode(text) for text in about.get("redoubt:layer", ()))
        found.told = [_PROBLEM.decode(text) for text in about.get("redoubt:problem", ())]
        found.catalogers = _CATALOGERS.decode(props.first(about, "redoubt:catalogers") or "{}")
        found.lookups = _LOOKUPS.decode(props.first(about, "redoubt:lookups") or "{}")
    except msgspec.DecodeError as error:
        found.problem(
            ProblemKind.DAMAGED, f"what Redoubt wrote of the whole was changed: {clean(str(error))[:200]}"
        )
