"""Objects as they go to Central: encoded, hashed, and small enough for one message. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from redoubt.model.workload import Deployment, Part

#: Bytes of an object's JSON: a message of the stream may have 4 MB.
LARGEST = 3_500_000
_encoder = msgspec.json.Encoder(order="deterministic")


class Encoded(msgspec.Struct, frozen=True):
    """An object's JSON, and its hash. ``cut`` where something was left out so that it fits."""

    content: bytes
    hash: str
    cut: bool = False


def encoded(found: Part) -> Encoded | None:
    """An object for Central; None where it does not fit into a message, whatever is left out."""
    content = _encoder.encode(found)
    if len(content) <= LARGEST:
        return Encoded(content, _hash(content))
    for less in _LESS:
        found = less(found)
        content = _encoder.encode(found)
        if len(content) <= LARGEST:
            return Encoded(content, _hash(content), cut=True)
    return None


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _without_annotations(found: Part) -> Part:
    return (
        msgspec.structs.replace(found, annotations={}) if "annotations" in found.__struct_fields__ else found
    )


def _without_labels(found: Part) -> Part:
    return msgspec.structs.replace(found, labels={}) if "labels" in found.__struct_fields__ else found


def _with_containers(most: int) -> Callable[[Part], Part]:
    def less(found: Part) -> Part:
        if not isinstance(found, Deployment):
            return found
        return msgspec.structs.replace(found, containers=found.containers[:most], ports=found.ports[:most])

    return less


#: What is left out, one after the other, until the rest fits.
_LESS = (_without_annotations, *(_with_containers(most) for most in (2000, 200, 20)), _without_labels)
