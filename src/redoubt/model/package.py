"""What is installed: a package, where it was found, and which distribution it belongs to."""

from __future__ import annotations

import msgspec


class Location(msgspec.Struct, frozen=True, gc=False, order=True, array_like=True):
    """Where a package was found.

    ``path`` is slash-separated, relative to the image's root, without a leading slash. A member of an
    archive follows its archive after ``!/``: ``app/shop.jar!/BOOT-INF/lib/core.jar``.
    ``layer`` is the diff-id (``sha256:…``) of the layer that introduced the package there; empty where
    there are no layers (``dir:``). ``owner`` is the operating system's package that installed the file
    there, as ``type/name`` (``deb/python3-requests``); empty where none is known to have.
    """

    path: str
    layer: str = ""
    owner: str = ""


class Package(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One installed package, of one version and architecture.

    ``type`` is the purl type (``deb rpm apk pypi npm maven golang cargo gem composer nuget`` …); what may
    stand there is what ``namespaces`` and ``docs/catalogers.md`` name.
    ``name`` is the name within that type as advisories write it: ``@scope/name`` for npm,
    ``group:artifact`` for Maven (``artifact`` alone where the group is unknown), the module path for Go
    (``stdlib`` for the standard library), the binary package's name for deb, rpm and apk. It is kept as
    found; ``namespaces.normalize`` gives the form that is looked up.
    ``version`` is the whole version in the scheme's own text (``1:2.3-4`` with the epoch for deb and
    rpm). Empty where the package does not say: such a package is listed, never matched.
    ``source_name`` and ``source_version`` name the package it was built from where that is known and
    differs; empty otherwise. ``module`` is rpm's modularity as ``name:stream``. ``vendor`` is who made the
    package, in its own words. ``repositories`` are the repositories that it came from, or may have come
    from, as the image names them (raw: what they mean is the matcher's knowledge), sorted.
    """

    type: str
    name: str
    version: str
    arch: str = ""
    source_name: str = ""
    source_version: str = ""
    module: str = ""
    vendor: str = ""
    repositories: tuple[str, ...] = ()
    locations: tuple[Location, ...] = ()

    @property
    def identity(self) -> tuple[str | tuple[str, ...], ...]:
        """What makes two sightings the same package: everything but where it was seen."""
        return (
            self.type,
            self.name,
            self.version,
            self.arch,
            self.source_name,
            self.source_version,
            self.module,
            self.vendor,
            self.repositories,
        )


class Distribution(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The operating system of an image, from ``os-release``: values as the file has them.

    ``id`` is lower-case (``debian``); ``version_id`` may be empty (Debian testing, Wolfi's date).
    """

    id: str
    version_id: str = ""
    codename: str = ""
    name: str = ""
    id_like: tuple[str, ...] = ()
