"""What an image source is: it resolves a reference to one image and opens that image's layers.

A source knows where bytes lie and how they are named. It must not know what is in a layer. Whether the
bytes are what their digest says is checked by the one pass that reads them (``indexer.layers``);
manifests and configurations are checked here, against the digest that named them.
"""

from __future__ import annotations

from typing import BinaryIO, Protocol

import msgspec

from redoubt.model import Configuration, Image, Platform


class LayerBlob(msgspec.Struct, frozen=True, kw_only=True):
    """One layer as stored. ``digest`` is of the stored bytes, empty where nothing promises one.

    ``diff_id`` is of the tar inside, from the image's configuration. ``size`` is the stored size in
    bytes, -1 where unknown. ``media_type`` may be wrong: the reader looks at the bytes.
    """

    diff_id: str
    digest: str = ""
    size: int = -1
    media_type: str = ""
    created_by: str = ""
    foreign_urls: tuple[str, ...] = ()


class ResolvedImage(msgspec.Struct, frozen=True, kw_only=True):
    """One image of one platform. ``layers`` are bottom first.

    ``immutable``: the layers' digests come from a manifest that was itself verified, over a channel that
    names blobs by digest (a registry): a cached layer report may be used without reading the blob.
    Where it is False (archives and folders on disk) the blob is hashed before a cached report counts.
    """

    image: Image
    layers: tuple[LayerBlob, ...]
    configuration: Configuration | None = None
    immutable: bool = False


class ImageSource(Protocol):
    """One image, opened. Used as a context manager; ``open_layer`` may be called from several threads."""

    def resolve(self, platform: Platform | None) -> ResolvedImage:
        """Choose the image for ``platform`` (this machine's architecture on linux where None).

        Raises ``UnreadableInput``, ``AccessDenied`` or ``NetworkError``; ``UsageError`` where the
        platform asked for is not there, naming those that are.
        """

    def open_layer(self, layer: LayerBlob) -> BinaryIO:
        """The stored bytes of a layer, as an unbuffered stream. The caller closes it."""

    def close(self) -> None:
        """Release files, sockets and temporary space."""

    def __enter__(self) -> ImageSource: ...

    def __exit__(self, *exc: object) -> None: ...
