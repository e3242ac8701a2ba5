"""An OCI image layout (image-spec 1.1, ``image-layout.md``), as a folder or as a tar.

Blobs are found by digest alone, so no document can lead out of the layout; a folder's symlinks may not either.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from redoubt.errors import LimitExceeded, UnreadableInput, UsageError
from redoubt.indexer.sources import manifests
from redoubt.indexer.sources.directory import folder
from redoubt.indexer.sources.interface import LayerBlob, ResolvedImage
from redoubt.indexer.sources.manifests import Descriptor
from redoubt.indexer.sources.reference import is_digest
from redoubt.indexer.sources.slices import Archive, FileSlice, open_archive, open_regular
from redoubt.indexer.sources.tarindex import TarIndex
from redoubt.model import Platform

KIND_DIR = "oci-dir"
KIND_ARCHIVE = "oci-archive"
#: Annotations that name an image in ``index.json``: OCI's own, and containerd's with the whole reference.
_NAMES = ("org.opencontainers.image.ref.name", "io.containerd.image.name")


class _Files(Protocol):
    """The files of a layout, wherever they lie."""

    def open(self, name: str) -> FileSlice | None:
        """A stream over a file, or None where there is none."""

    def close(self) -> None:
        """Let go of everything."""


class OciLayoutSource:
    """One image of a layout; ``name`` (a name in ``index.json``, or a manifest's digest) says which."""

    def __init__(self, reference: str, kind: str, files: _Files, name: str = "") -> None:
        self._reference = reference
        self._kind = kind
        self._files = files
        self._name = name

    def resolve(self, platform: Platform | None) -> ResolvedImage:
        """The image for a platform, every document of it verified."""
        data = self._read("index.json", manifests.MAX_MANIFEST)
        if data is None:
            raise UnreadableInput(f"{self._reference}: no index.json in it; not an OCI layout")
        roots = self._choose(manifests.read_index(data, f"{self._reference}: index.json"))
        manifest = manifests.choose(roots, platform, self._fetch, self._reference)
        config = self._fetch_limited(manifest.config, manifests.MAX_CONFIG)
        return manifests.resolved(manifest, config, platform, reference=self._reference, kind=self._kind)

    def open_layer(self, layer: LayerBlob) -> BinaryIO:
        """A stream over a layer's blob. May be called from several threads."""
        manifests.refuse_unreadable(layer)
        stream = self._files.open(_place(layer.digest)) if is_digest(layer.digest) else None
        if stream is None:
            raise manifests.missing_layer(layer, self._reference)
        if stream.size != layer.size:
            stream.close()
            raise UnreadableInput(
                f"layer {layer.digest}: has {stream.size} bytes in {self._reference}, not {layer.size}"
            )
        return cast(BinaryIO, stream)

    def close(self) -> None:
        """Let go of the layout."""
        self._files.close()

    def __enter__(self) -> OciLayoutSource:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _choose(self, listed: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
        """What the name means; without one, all that is listed, if that can be one image."""
        names = sorted({name for entry in listed for name in _names(entry)})
        if self._name:
            found = tuple(e for e in listed if self._name in _names(e) or self._name == e.digest)
            if not found:
                raise UsageError(
                    f"{self._reference}: no image {self._name!r} in it; there are: {_some(names)}"
                )
            return found
        images = {entry.digest for entry in listed if entry.platform is None}
        if len(images) > 1:
            raise UsageError(f"{self._reference}: holds several images; add ':' and one of: {_some(names)}")
        return listed

    def _fetch(self, descriptor: Descriptor) -> bytes:
        return self._fetch_limited(descriptor, manifests.MAX_MANIFEST)

    def _fetch_limited(self, descriptor: Descriptor, limit: int) -> bytes:
        data = self._read(_place(descriptor.digest), limit)
        if data is None:
            raise UnreadableInput(
                f"{self._reference}: {descriptor.digest} is not in it; the layout is not whole"
            )
        return manifests.verified(data, descriptor, self._reference)

    def _read(self, name: str, limit: int) -> bytes | None:
        stream = self._files.open(name)
        if stream is None:
            return None
        with stream:
            if stream.size > limit:
                raise LimitExceeded(
                    f"{self._reference}: {name} has {stream.size} bytes, more than the limit of {limit}"
                )
            return stream.read()


class FolderFiles:
    """A layout's files in a folder."""

    def __init__(self, path: Path) -> None:
        self._root = folder(path)

    def open(self, name: str) -> FileSlice | None:
        """Open a file below the folder. A symlink that leads out of it is refused."""
        path = self._root / name
        try:
            place = path.resolve(strict=True)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, RuntimeError) as error:
            raise UnreadableInput(f"{path}: cannot be opened") from error
        if not place.is_relative_to(self._root):
            raise UnreadableInput(f"{path}: a symlink that leads out of the layout; refused")
        with open_regular(place) as file:
            descriptor = os.dup(file.fileno())
        return FileSlice(descriptor, 0, os.fstat(descriptor).st_size)

    def close(self) -> None:
        """Nothing is held."""


class ArchiveFiles:
    """A layout's files in a tar."""

    def __init__(self, path: Path, archive: Archive | None = None) -> None:
        self._archive = archive or open_archive(path)
        try:
            self._index = TarIndex(self._archive)
            for name in ("index.json", "oci-layout"):
                if name in self._index.twice:
                    raise UnreadableInput(f"{path}: two members are named {name}; refused")
        except BaseException:
            self._archive.close()
            raise

    def open(self, name: str) -> FileSlice | None:
        """A stream over a member."""
        return self._index.open(name)

    def close(self) -> None:
        """Let go of the archive."""
        self._archive.close()


def _place(digest: str) -> str:
    """Where a blob lies. The digest's grammar was checked: it holds neither dots nor slashes."""
    if not is_digest(digest):
        raise UnreadableInput(f"{digest[:100]!r} is not a SHA-256 digest")
    return "blobs/sha256/" + digest.removeprefix("sha256:")


def _names(descriptor: Descriptor) -> set[str]:
    return {name for key in _NAMES if (name := descriptor.annotation(key))}


def _some(names: list[str]) -> str:
    return ", ".join(name[:200] for name in names[:20]) or "(none has a name; give a manifest's digest)"
