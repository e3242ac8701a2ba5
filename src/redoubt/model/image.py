"""What an image is made of, and what was found in it: the index report."""

from __future__ import annotations

import enum

import msgspec

from redoubt.model.package import Distribution, Package

INDEX_SCHEMA = "1.0"


class Platform(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an image runs on, in OCI's words: ``linux``, ``amd64``, and ``v7`` or nothing."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Layer(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One layer of an image. ``digest`` names the bytes as stored (compressed), ``diff_id`` as a tar.

    Both are ``sha256:…`` and verified against the bytes; ``size`` is the stored size in bytes.
    ``created_by`` is the history line of the image's configuration.
    """

    diff_id: str
    digest: str = ""
    size: int = 0
    media_type: str = ""
    created_by: str = ""


class ProblemKind(enum.StrEnum):
    """Why part of an image could not be read."""

    DAMAGED = "damaged"  # a package database or archive is not what its name says
    UNSUPPORTED = "unsupported"  # a format that is recognised but not read
    LIMIT = "limit"  # a limit that protects this machine was reached
    HOSTILE = "hostile"  # a layer that tries to escape or to exhaust


class Problem(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, order=True):
    """Something in the image that could not be read. What it hides is unknown, and that is said."""

    kind: ProblemKind
    message: str
    path: str = ""
    layer: str = ""
    cataloger: str = ""


class Image(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was looked at. ``reference`` is what the user typed; ``kind`` is the source's name.

    ``kind``: ``registry docker-archive oci-archive oci-dir dir sbom``. ``digest`` is the manifest's digest
    (empty where the form has none: ``docker-archive``, ``dir``); ``config_digest`` the configuration's,
    the image ID. ``media_type`` is the manifest's. ``subject`` is what an SBOM says that it is of; of an image that
    was looked at itself it is empty.
    """

    reference: str
    kind: str
    digest: str = ""
    config_digest: str = ""
    media_type: str = ""
    platform: Platform | None = None
    subject: str = ""


class HistoryLine(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A line of an image's history. ``empty``: it made no layer."""

    created_by: str = ""
    empty: bool = False


class Configuration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an image's configuration says of how it was made and is run (OCI image-spec, ``config.md``).

    ``created`` is RFC 3339, empty where it is not said or none; ``user`` is empty where none is named, which is root;
    ``history`` is bottom first.
    """

    created: str = ""
    user: str = ""
    labels: dict[str, str] = {}
    history: tuple[HistoryLine, ...] = ()


class IndexReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything found in one image. Never changes for a digest and what looked.

    ``layers`` are bottom first. ``packages`` are sorted by their identity, each once, with every place
    it was found in. ``catalogers`` is name → version of what looked; ``lookups`` is name → digest
    (``sha256:…``) of a local file in which one of them looked names up (a Java index). ``configuration`` is None where
    there is none (a folder, an SBOM).
    """

    schema: str = msgspec.field(default_factory=lambda: INDEX_SCHEMA)  # a plain default would be omitted
    image: Image
    configuration: Configuration | None = None
    distribution: Distribution | None = None
    layers: tuple[Layer, ...] = ()
    packages: tuple[Package, ...] = ()
    problems: tuple[Problem, ...] = ()
    catalogers: dict[str, int] = {}
    lookups: dict[str, str] = {}
