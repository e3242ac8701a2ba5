"""What our SBOMs say beyond what a purl and a name can, so that an index report read back from one is the same.

Written by ``formats``, read by ``indexer.sbom``. It must not know either format: CycloneDX has it as
properties (``redoubt:source-name``), SPDX as JSON in annotations.
"""

from __future__ import annotations

import msgspec

from redoubt.model import purl
from redoubt.model.package import Location, Package

#: How the names of our properties begin, and our annotations.
PREFIX = "redoubt:"
#: Fields of a package that are a text each.
FIELDS = ("type", "name", "version", "arch", "source_name", "source_version", "module", "vendor")
_NOTHING = Package(type="", name="", version="")


class Beyond(msgspec.Struct, kw_only=True, omit_defaults=True, rename="kebab", gc=False):
    """Those fields of a package that its purl and its name don't tell, or tell otherwise; None: as they tell."""

    type: str | None = None
    name: str | None = None
    version: str | None = None
    arch: str | None = None
    source_name: str | None = None
    source_version: str | None = None
    module: str | None = None
    vendor: str | None = None
    repositories: tuple[str, ...] = ()
    locations: tuple[Location, ...] = ()


def spellings(group: str, name: str) -> tuple[str, ...]:
    """How a package may be called whose group and name are told apart, or are not."""
    return (name, f"{group}/{name}", f"{group}:{name}") if group else (name,)


def visible(locator: str, called: tuple[str, ...], version: str) -> Package:
    """The package that a purl, and the spellings of a name and a version beside it, tell of; one of empty texts if
    ``locator`` is no purl.
    """
    parts = purl.take_apart(locator)
    if parts is None:
        return _NOTHING
    package = purl.to_package(parts, called)
    return package if package.version else msgspec.structs.replace(package, version=version)


def beyond(package: Package, seen: Package) -> Beyond:
    """What is to be said of ``package`` where ``seen`` is ``visible``. Without locations."""
    told = {field: value for field in FIELDS if (value := getattr(package, field)) != getattr(seen, field)}
    return Beyond(**told, repositories=package.repositories)


def whole(seen: Package, told: Beyond) -> Package:
    """The package again."""
    fields = {field: value for field in FIELDS if (value := getattr(told, field)) is not None}
    return msgspec.structs.replace(seen, **fields, repositories=told.repositories, locations=told.locations)


def context(where: Location) -> str:
    """A location's layer and owner as one text: ``sha256:… of deb/python3-requests``."""
    return " ".join(part for part in (where.layer, where.owner and f"of {where.owner}") if part)


def place(path: str, text: str) -> Location:
    """The location again; of others' texts only a layer counts."""
    layer, of, owner = f" {text}".partition(" of ")
    layer = layer.strip()
    if layer and not layer.startswith("sha256:"):
        return Location(path)
    return Location(path, layer, owner if of else "")
