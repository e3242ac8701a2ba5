"""What ``docker save`` writes: a tar with ``manifest.json``, configurations and layers.

Layers are read where they lie in the archive. The form is moby's ``image/spec`` v1.2; newer Docker adds an OCI
layout beside it, whose blobs ``manifest.json`` then names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from redoubt.errors import LimitExceeded, UnreadableInput, UsageError
from redoubt.indexer.sources import manifests
from redoubt.indexer.sources.interface import LayerBlob, ResolvedImage
from redoubt.indexer.sources.reference import parse_reference
from redoubt.indexer.sources.slices import Archive, open_archive
from redoubt.indexer.sources.tarindex import TarIndex
from redoubt.model import Image, Platform

KIND = "docker-archive"
_MAX_IMAGES = 1_024
_NAMED_BY_DIGEST = re.compile(r"(?:blobs/sha256/|sha256:)?([0-9a-f]{64})(?:\.json)?\Z")
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})\Z")


class _Entry(msgspec.Struct, frozen=True):
    config: str = msgspec.field(name="Config")
    tags: list[str] | None = msgspec.field(name="RepoTags", default=None)
    layers: list[str] | None = msgspec.field(name="Layers", default=None)


class DockerArchiveSource:
    """One image of an archive; ``tag`` says which, where there are several."""

    def __init__(self, reference: str, path: Path, tag: str = "", archive: Archive | None = None) -> None:
        self._reference = reference
        self._tag = tag
        self._archive = archive or open_archive(path)
        self._names: dict[tuple[str, str], str] = {}
        try:
            self._index = TarIndex(self._archive)
        except BaseException:
            self._archive.close()
            raise

    def resolve(self, platform: Platform | None) -> ResolvedImage:
        """The image; its layers have a digest only where the archive names them by it."""
        entry = self._choose(self._entries())
        config_bytes = self._config(entry.config)
        what = f"{self._reference}: the configuration"
        config = manifests.decode(config_bytes, manifests.Config, what)
        manifests.check_platform(config, platform, self._reference)
        names = entry.layers or []
        if len(names) > manifests.MAX_LAYERS:
            raise LimitExceeded(f"{self._reference}: more than {manifests.MAX_LAYERS} layers")
        diff_ids = manifests.diff_ids_of(config, len(names), self._reference)
        created_by = manifests.created_by_of(config, len(names))
        layers = []
        for name, diff_id, line in zip(names, diff_ids, created_by, strict=True):
            member = self._index.find(name)
            if member is None:
                raise UnreadableInput(f"{self._reference}: the layer {name[:200]!r} is not in the archive")
            named = _BLOB.match(name)
            digest = f"sha256:{named[1]}" if named else ""
            layers.append(LayerBlob(diff_id=diff_id, digest=digest, size=member.size, created_by=line))
            self._names[diff_id, digest] = name
        image = Image(
            reference=self._reference,
            kind=KIND,
            config_digest=manifests.sha256(config_bytes),
            platform=config.platform,
        )
        return ResolvedImage(
            image=image, layers=tuple(layers), configuration=manifests.configuration_of(config)
        )

    def open_layer(self, layer: LayerBlob) -> BinaryIO:
        """A stream over the layer's bytes in the archive. May be called from several threads."""
        name = self._names.get((layer.diff_id, layer.digest))
        stream = None if name is None else self._index.open(name)
        if stream is None:
            raise manifests.missing_layer(layer, self._reference)
        return cast(BinaryIO, stream)

    def close(self) -> None:
        """Let go of the archive."""
        self._archive.close()

    def __enter__(self) -> DockerArchiveSource:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _entries(self) -> list[_Entry]:
        if "manifest.json" in self._index.twice:
            raise UnreadableInput(f"{self._reference}: two members are named manifest.json; refused")
        data = self._index.read("manifest.json", manifests.MAX_MANIFEST)
        if data is None:
            raise UnreadableInput(
                f"{self._reference}: no manifest.json in it; not an archive written by 'docker save'"
            )
        entries = manifests.decode(data, list[_Entry], f"{self._reference}: manifest.json")
        if not entries:
            raise UnreadableInput(f"{self._reference}: holds no image")
        if len(entries) > _MAX_IMAGES:
            raise LimitExceeded(f"{self._reference}: more than {_MAX_IMAGES} images")
        return entries

    def _choose(self, entries: list[_Entry]) -> _Entry:
        tags = sorted({tag for entry in entries for tag in entry.tags or ()})
        if not self._tag:
            if len(entries) == 1:
                return entries[0]
            raise UsageError(
                f"{self._reference}: holds {len(entries)} images; add ':' and one of: {_some(tags)}"
            )
        wanted = _full_name(self._tag)
        for entry in entries:
            if any(_full_name(tag) == wanted for tag in entry.tags or ()):
                return entry
        raise UsageError(f"{self._reference}: no image {self._tag!r} in it; there are: {_some(tags)}")

    def _config(self, name: str) -> bytes:
        data = self._index.read(name, manifests.MAX_CONFIG)
        if data is None:
            raise UnreadableInput(
                f"{self._reference}: the configuration {name[:200]!r} is not in the archive"
            )
        named = _NAMED_BY_DIGEST.match(name)
        if named and manifests.sha256(data) != f"sha256:{named[1]}":
            raise UnreadableInput(f"{self._reference}: the configuration is not what its name says")
        return data


def _full_name(tag: str) -> str:
    try:
        return str(parse_reference(tag))
    except UsageError:
        return tag


def _some(tags: list[str]) -> str:
    return ", ".join(tag[:200] for tag in tags[:20]) or "(none has a tag)"
