"""Manifests, indexes and configurations: bytes become typed values, and an image for a platform is chosen.

Docker's (image manifest V2 schema 2) and OCI's (image-spec 1.1) forms are read alike. Every document is
checked against the digest that named it. This module must not know where documents lie: it is given a way
to fetch one.
"""

from __future__ import annotations

import hashlib
import platform as machine
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

from redoubt.errors import LimitExceeded, UnreadableInput, UsageError
from redoubt.indexer.sources.interface import LayerBlob, ResolvedImage
from redoubt.indexer.sources.reference import is_digest
from redoubt.model import Configuration, HistoryLine, Image, Platform

MAX_MANIFEST = 4 << 20
MAX_CONFIG = 16 << 20
MAX_LAYERS = 1_024
MAX_MANIFESTS = 1_024
#: Lines of a history that are kept; engines make no image of more than 127 layers.
MAX_HISTORY = 4_096
MAX_NESTING = 3

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPTED = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)

_CONFIGS = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/octet-stream",
        "",
    }
)
_ATTESTATION = "vnd.docker.reference.type"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}

T = TypeVar("T")
_Size = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]


class _DescriptorPlatform(msgspec.Struct, frozen=True):
    os: str = ""
    architecture: str = ""
    variant: str = ""


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    """What a document says of another: OCI image-spec, ``descriptor.md``."""

    digest: str
    size: _Size
    media_type: str = ""
    platform: _DescriptorPlatform | None = None
    annotations: dict[str, str] | None = None
    urls: list[str] | None = None
    artifact_type: str | None = None

    def annotation(self, key: str) -> str:
        """One annotation, or an empty text."""
        return (self.annotations or {}).get(key, "")


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    """A manifest or an index: which of the two, its own fields tell."""

    schema_version: int
    media_type: str = ""
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    manifests: list[Descriptor] | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One image's manifest, verified; ``digest`` is of its bytes."""

    digest: str
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


class _RootFs(msgspec.Struct, frozen=True):
    diff_ids: list[str] | None = None


class _History(msgspec.Struct, frozen=True):
    created_by: str | None = None
    empty_layer: bool | None = None


class _Run(msgspec.Struct, frozen=True, rename="pascal"):
    user: str | None = None
    labels: dict[str, str] | None = None


class Config(msgspec.Struct, frozen=True):
    """An image's configuration, as far as it is needed: OCI image-spec, ``config.md``.

    What only policies look at (``created``, ``config``) is not read before it is asked for: an image is not refused for it.
    """

    architecture: str = ""
    os: str = ""
    variant: str = ""
    rootfs: _RootFs = _RootFs()
    history: list[_History] | None = None
    created: msgspec.Raw = msgspec.Raw(b"null")
    config: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def platform(self) -> Platform | None:
        """What the image runs on; None where it does not say."""
        if not self.os or not self.architecture:
            return None
        return Platform(self.os, self.architecture, self.variant)


#: Gives a document's bytes, already checked against the descriptor's digest and size.
Fetch = Callable[[Descriptor], bytes]


def sha256(data: bytes) -> str:
    """``sha256:`` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def verified(data: bytes, descriptor: Descriptor, what: str) -> bytes:
    """``data``, if it is what ``descriptor`` names. ``what`` is for the message."""
    if len(data) != descriptor.size:
        raise UnreadableInput(f"{what}: {descriptor.digest} has {len(data)} bytes, not {descriptor.size}")
    if sha256(data) != descriptor.digest:
        raise UnreadableInput(
            f"{what}: the bytes named {descriptor.digest} are not those (damaged or altered)"
        )
    return data


def decode(data: bytes, kind: type[T], what: str) -> T:
    """JSON as ``kind``. Raises ``UnreadableInput`` naming ``what``, for anything that is not."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise UnreadableInput(f"{what}: not as it should be: {str(error)[:160]}") from error


def checked(descriptor: Descriptor, what: str) -> Descriptor:
    """``descriptor``, if its digest is one that this program reads."""
    if not is_digest(descriptor.digest):
        raise UnreadableInput(f"{what}: names {descriptor.digest[:100]!r}, which is not a SHA-256 digest")
    return descriptor


def read_index(data: bytes, what: str) -> tuple[Descriptor, ...]:
    """The descriptors of an OCI layout's ``index.json``."""
    document = decode(data, _Document, what)
    if document.manifests is None:
        raise UnreadableInput(f"{what}: lists no manifests")
    if len(document.manifests) > MAX_MANIFESTS:
        raise LimitExceeded(f"{what}: lists more than {MAX_MANIFESTS} manifests")
    return tuple(document.manifests)


def choose(roots: tuple[Descriptor, ...], wanted: Platform | None, fetch: Fetch, what: str) -> Manifest:
    """The manifest for ``wanted`` among ``roots`` and what their indexes list.

    Where None is wanted: this machine's architecture on linux, or the only image there is. Raises
    ``UsageError`` naming the platforms there are, where none of them fits.
    """
    candidates = _candidates(roots, fetch, what)
    if not candidates:
        raise UnreadableInput(f"{what}: holds no image")
    chosen = _fitting(candidates, wanted or this_machine())
    if chosen is None and len(candidates) == 1 and (wanted is None or _platform(candidates[0]) is None):
        chosen = candidates[0]
    if chosen is None:
        there = sorted({str(p) for c in candidates if (p := _platform(c))} or {"(not said)"})
        raise UsageError(
            f"{what}: no image for {wanted or this_machine()}; there are {', '.join(there[:20])}"
        )
    return read_manifest(fetch(chosen), chosen.media_type, what)


def read_manifest(data: bytes, media_type: str, what: str) -> Manifest:
    """A manifest's bytes as a ``Manifest``. ``media_type`` is what it was announced as."""
    document = _document(data, what)
    if document.manifests is not None or document.config is None or document.layers is None:
        raise UnreadableInput(f"{what}: an image manifest was expected, and something else is there")
    if document.config.media_type not in _CONFIGS:
        raise UnreadableInput(
            f"{what}: not a container image but an artifact ({document.config.media_type[:100]})"
        )
    if len(document.layers) > MAX_LAYERS:
        raise LimitExceeded(f"{what}: more than {MAX_LAYERS} layers")
    return Manifest(
        digest=sha256(data),
        media_type=document.media_type or media_type or OCI_MANIFEST,
        config=checked(document.config, what),
        layers=tuple(checked(layer, what) for layer in document.layers),
    )


def is_index(data: bytes, what: str) -> bool:
    """Whether a document lists manifests instead of layers. Refuses what is both, and schema 1."""
    return _document(data, what).manifests is not None


def resolved(
    manifest: Manifest,
    config_bytes: bytes,
    wanted: Platform | None,
    *,
    reference: str,
    kind: str,
    immutable: bool = False,
) -> ResolvedImage:
    """Put a manifest and its configuration (verified) together."""
    config = decode(config_bytes, Config, f"{reference}: the configuration")
    check_platform(config, wanted, reference)
    diff_ids = diff_ids_of(config, len(manifest.layers), reference)
    created_by = created_by_of(config, len(manifest.layers))
    layers = tuple(
        LayerBlob(
            diff_id=diff_id,
            digest=layer.digest,
            size=layer.size,
            media_type=layer.media_type,
            created_by=line,
            foreign_urls=tuple(layer.urls or ()) if is_foreign(layer.media_type) else (),
        )
        for layer, diff_id, line in zip(manifest.layers, diff_ids, created_by, strict=True)
    )
    image = Image(
        reference=reference,
        kind=kind,
        digest=manifest.digest,
        config_digest=manifest.config.digest,
        media_type=manifest.media_type,
        platform=config.platform,
    )
    return ResolvedImage(
        image=image, layers=layers, configuration=configuration_of(config), immutable=immutable
    )


def configuration_of(config: Config) -> Configuration:
    """What the configuration says of how the image was made and is run; what is not as it should be is left out."""
    run = _lenient(config.config, _Run | None) or _Run()
    moment = _lenient(config.created, datetime | None)
    return Configuration(
        created="" if moment is None else moment.isoformat(),
        user=run.user or "",
        labels=run.labels or {},
        history=tuple(
            HistoryLine(created_by=entry.created_by or "", empty=bool(entry.empty_layer))
            for entry in (config.history or ())[:MAX_HISTORY]
        ),
    )


def _lenient(raw: msgspec.Raw, kind: Any) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def diff_ids_of(config: Config, layers: int, what: str) -> list[str]:
    """One diff-id a layer, bottom first."""
    diff_ids = config.rootfs.diff_ids or []
    if len(diff_ids) != layers:
        raise UnreadableInput(f"{what}: has {layers} layers, but its configuration speaks of {len(diff_ids)}")
    for diff_id in diff_ids:
        if not is_digest(diff_id):
            raise UnreadableInput(f"{what}: the diff-id {diff_id[:100]!r} is not a SHA-256 digest")
    return diff_ids


def created_by_of(config: Config, layers: int) -> list[str]:
    """The history's line for each layer; empty texts where history and layers do not fit together."""
    lines = [entry.created_by or "" for entry in config.history or () if not entry.empty_layer]
    return lines if len(lines) == layers else [""] * layers


def check_platform(config: Config, wanted: Platform | None, what: str) -> None:
    """Raises ``UsageError`` where the only image there is says that it is for another platform."""
    there = config.platform
    if wanted is not None and there is not None and _distance(there, wanted) is None:
        raise UsageError(f"{what}: no image for {wanted}; there is {there}")


def is_foreign(media_type: str) -> bool:
    """Layers that their maker does not let others distribute (Windows base layers)."""
    return "foreign" in media_type or "nondistributable" in media_type


def refuse_unreadable(layer: LayerBlob) -> None:
    """Raises ``UnreadableInput`` for a layer that cannot be read wherever it lies."""
    if "encrypted" in layer.media_type:
        raise UnreadableInput(f"layer {layer.digest}: encrypted; what is in it is unknown")


def missing_layer(layer: LayerBlob, where: str) -> UnreadableInput:
    """What is said of a layer that is not there."""
    if layer.foreign_urls or is_foreign(layer.media_type):
        return UnreadableInput(
            f"layer {layer.digest}: foreign, kept by its maker and not in {where}; what is in it is unknown"
        )
    return UnreadableInput(f"layer {layer.digest or layer.diff_id}: not in {where}")


def this_machine() -> Platform:
    """Linux on this machine's architecture, in OCI's words."""
    name = machine.machine()
    return Platform("linux", _ARCHITECTURES.get(name, name))


def _document(data: bytes, what: str) -> _Document:
    document = decode(data, _Document, what)
    if document.schema_version == 1:
        raise UnreadableInput(
            f"{what}: a schema 1 manifest, which was given up in 2019 and is not read; push the image again"
        )
    if document.schema_version != 2:
        raise UnreadableInput(f"{what}: a manifest of schema {document.schema_version}, which is not known")
    if document.manifests is not None and (document.layers is not None or document.config is not None):
        raise UnreadableInput(f"{what}: claims to be an index and an image at once; refused")
    return document


def _candidates(roots: tuple[Descriptor, ...], fetch: Fetch, what: str) -> list[Descriptor]:
    """Every image manifest that ``roots`` lead to, in order; indexes are opened, attestations skipped."""
    found: dict[str, Descriptor] = {}
    queue = [(descriptor, 0) for descriptor in roots]
    seen = 0
    opened: set[str] = set()
    while queue:
        descriptor, depth = queue.pop(0)
        seen += 1
        if seen > MAX_MANIFESTS:
            raise LimitExceeded(f"{what}: lists more than {MAX_MANIFESTS} manifests")
        if _is_attestation(descriptor):
            continue
        if descriptor.media_type not in (OCI_INDEX, DOCKER_LIST):
            if descriptor.media_type in (OCI_MANIFEST, DOCKER_MANIFEST, ""):
                found.setdefault(descriptor.digest, checked(descriptor, what))
            continue
        if depth >= MAX_NESTING:
            raise LimitExceeded(f"{what}: indexes nested deeper than {MAX_NESTING}")
        if descriptor.digest in opened:
            continue
        opened.add(descriptor.digest)
        listed = _document(fetch(checked(descriptor, what)), what).manifests
        if listed is None:
            raise UnreadableInput(f"{what}: {descriptor.digest} is not the index that it was announced as")
        queue += [(child, depth + 1) for child in listed]
    return list(found.values())


def _is_attestation(descriptor: Descriptor) -> bool:
    if descriptor.annotation(_ATTESTATION) or descriptor.artifact_type:
        return True
    there = descriptor.platform
    return there is not None and there.os == "unknown" and there.architecture == "unknown"


def _platform(descriptor: Descriptor) -> Platform | None:
    there = descriptor.platform
    if there is None or not there.os or not there.architecture:
        return None
    return Platform(there.os, there.architecture, there.variant)


def _fitting(candidates: list[Descriptor], wanted: Platform) -> Descriptor | None:
    """The nearest fit; of equals the first."""
    ranked = [
        (distance, place, candidate)
        for place, candidate in enumerate(candidates)
        if (there := _platform(candidate)) and (distance := _distance(there, wanted)) is not None
    ]
    return min(ranked, key=lambda entry: entry[:2])[2] if ranked else None


def _distance(there: Platform, wanted: Platform) -> int | None:
    """0 for the platform wanted, more for another variant that runs there too, None for one that does not."""
    if (there.os, there.architecture) != (wanted.os, wanted.architecture):
        return None
    default = {"arm64": 8, "amd64": 1, "arm": 7}.get(wanted.architecture, 0)
    offered, asked = _level(there.variant, default), _level(wanted.variant, default)
    if offered is None or asked is None:
        return 0 if there.variant == wanted.variant else None
    if offered > asked:
        return None if wanted.variant else 100 + offered
    return asked - offered


def _level(variant: str, default: int) -> int | None:
    """``v7`` as 7; None where it is no number."""
    if not variant:
        return default
    digits = variant.removeprefix("v")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else None
