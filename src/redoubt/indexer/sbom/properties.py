"""What tools say of a package in words of their own: ours, Syft's and Trivy's. Text; it must not know any format.

A component's properties, or an SPDX package's annotations, as name → values.
"""

from __future__ import annotations

import re

import msgspec

from redoubt.indexer.catalogers import rpm_header
from redoubt.indexer.catalogers.fields import clean
from redoubt.model import Location, Package, purl
from redoubt.model.namespaces import OPERATING_SYSTEM_TYPES
from redoubt.model.sbom import FIELDS, PREFIX, Beyond

Properties = dict[str, list[str]]

TRIVY = "aquasecurity:trivy:"
SYFT = "syft:"
#: ``Name <address>`` is how makers sign packages; SPDX wants ``Name (address)``.
_PERSON = re.compile(r"(.*)\(([^()\s]+@[^()\s]+)\)$").fullmatch
_SYFT_PLACE = re.compile(r"syft:location:(\d+):(path|layerID)").fullmatch
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}").fullmatch
#: What tools write where a package says no version.
_NO_VERSIONS = frozenset({"UNKNOWN", "NOASSERTION", "(devel)"})
_MODULE_QUALIFIERS = ("rpmmod", "modularitylabel")


def first(properties: Properties, *names: str) -> str:
    """The first value of the first of ``names`` that has one; empty if none has."""
    for name in names:
        for value in properties.get(name, ()):
            if value:
                return value
    return ""


def own(properties: Properties) -> Beyond:
    """What our own CycloneDX says of a package beyond its purl. Without locations."""
    told = Beyond(repositories=tuple(properties.get(PREFIX + "repository", ())))
    for field in FIELDS:
        if values := properties.get(PREFIX + field.replace("_", "-")):
            setattr(told, field, values[0])
    return told


def others(package: Package, parts: purl.Parts, properties: Properties, vendor: str = "") -> Package:
    """A package with what Syft and Trivy say of it beyond its purl, in the form in which catalogers say the same.

    ``vendor`` is who published it by the SBOM.
    """
    name, version = package.name, package.version
    if package.type == "golang" and name == "stdlib":
        version = version.removeprefix("go").removeprefix("v")
    untagged = version.startswith("v0.0.0-") and first(properties, "syft:metadata:mainModule") == name
    if version in _NO_VERSIONS or untagged:  # the program itself, of no release: see ``golang_info``
        version = ""
    if package.type not in OPERATING_SYSTEM_TYPES:
        return msgspec.structs.replace(package, version=version)
    source_name, source_version = _source(package, properties)
    module = next((parts.qualifiers[key] for key in _MODULE_QUALIFIERS if parts.qualifiers.get(key)), "")
    module = module or first(properties, "syft:metadata:modularityLabel", TRIVY + "Modularitylabel")
    person = _PERSON(vendor)
    return Package(
        type=package.type,
        name=name,
        version=version,
        arch=package.arch,
        source_name=source_name if source_name != name else "",
        source_version=source_version if source_version not in (version, version.partition(":")[2]) else "",
        module=clean(":".join(module.split(":")[:2])) if package.type == "rpm" else "",
        vendor=clean(f"{person[1].strip()} <{person[2]}>" if person else vendor)[:1024],
        repositories=tuple(sorted({clean(name) for name in properties.get(TRIVY + "ContentSet", ())})),
    )


def _source(package: Package, properties: Properties) -> tuple[str, str]:
    """The package's source: as the purl has it, or as the properties do."""
    name, version = package.source_name, package.source_version
    if name.endswith(".rpm"):
        return rpm_header.source(clean(name))
    if name:
        return clean(name), clean(version)
    if source_rpm := first(properties, "syft:metadata:sourceRpm"):
        return rpm_header.source(clean(source_rpm))
    if name := first(properties, TRIVY + "SrcName"):
        version, release = first(properties, TRIVY + "SrcVersion"), first(properties, TRIVY + "SrcRelease")
        version = f"{version}-{release}" if version and release else version
        epoch = first(properties, TRIVY + "SrcEpoch")
        if version and package.type == "deb" and epoch not in ("", "0"):
            version = f"{epoch}:{version}"
        return clean(name), clean(version)
    name = first(
        properties, "syft:metadata:source", "syft:metadata:originPackage", "syft:metadata:basepackage"
    )
    return clean(name), clean(first(properties, "syft:metadata:sourceVersion"))


def locations(properties: Properties) -> tuple[Location, ...]:
    """Where Syft and Trivy found a package."""
    places: dict[str, dict[str, str]] = {}
    for name, values in properties.items():
        if name.startswith(SYFT) and (found := _SYFT_PLACE(name)) and values:
            places.setdefault(found[1], {})[found[2]] = values[0]
    told = [
        Location(where["path"].lstrip("/"), layer(where.get("layerID", "")))
        for where in places.values()
        if "path" in where
    ]
    diff_id = layer(first(properties, TRIVY + "LayerDiffID"))
    told += [Location(path.lstrip("/"), diff_id) for path in properties.get(TRIVY + "FilePath", ())]
    return tuple(told)


def layer(text: str) -> str:
    """``text`` if it names a layer."""
    return text if _DIGEST(text) else ""
