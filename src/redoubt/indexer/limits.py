"""What one layer may ask of this machine, and how a layer is refused. Knows nothing of formats."""

from __future__ import annotations

import msgspec

from redoubt.errors import UnreadableInput
from redoubt.model import ProblemKind


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds for one layer. Sizes in bytes.

    ``members`` counts tar headers, extension headers included. ``ratio`` (unpacked to stored) is judged
    only past ``ratio_from`` unpacked bytes: small files of zeros are common and harmless.
    ``header_size`` bounds one pax or GNU extension header. ``kept`` bounds what is remembered of a
    layer: packages, problems, paths of wanted files, whiteouts and links; its names, compressed, once more.
    ``kept_of_image`` bounds that of all layers together.
    """

    members: int = 4_000_000
    path_length: int = 4096
    unpacked_size: int = 64 << 30
    ratio: int = 250
    ratio_from: int = 100 << 20
    header_size: int = 1 << 20
    kept: int = 128 << 20
    kept_of_image: int = 768 << 20


class NotAsPromised(UnreadableInput):
    """The bytes that came are not those that a digest names: whoever sent them errs or lies, and the image is unknown."""


class LayerRefused(Exception):
    """Reading this layer stops here. Becomes a ``Problem`` of the layer; never leaves the room."""

    def __init__(self, kind: ProblemKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def damaged(message: str) -> LayerRefused:
    """The layer is not what its format says."""
    return LayerRefused(ProblemKind.DAMAGED, message)


def over_limit(message: str) -> LayerRefused:
    """The layer asks for more than this machine gives."""
    return LayerRefused(ProblemKind.LIMIT, message)
