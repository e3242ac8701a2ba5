"""What a review says, as what policies are asked about: workloads, replicas, images. Pure.

It must not know what is decided.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from redoubt.admission.reviews import MetaPieces, Pieces, WorkloadRequest
from redoubt.admission.rules import named
from redoubt.errors import RedoubtError
from redoubt.model.workload import Container, Deployment, ImageName
from redoubt.policies import kubernetes, objects
from redoubt.policies.glance import Workload


class _Scale(msgspec.Struct, frozen=True):
    """The spec of an ``autoscaling/v1 Scale``."""

    replicas: int | None = 0


_scales = msgspec.json.Decoder(_Scale)
_specs = msgspec.json.Decoder(objects.Spec | None)
_texts = msgspec.json.Decoder(objects.Texts | None)
_NOTHING, _NO_META, _NO_NAME = Pieces(), MetaPieces(), ImageName()


def is_owned(given: Pieces | Workload) -> bool:
    """Whether it says that something owns it that makes pods."""
    return given.metadata is not None and kubernetes.is_owned(given.metadata.owner_references)


def is_as_owned_before(before: Pieces | None, found: Pieces | None) -> bool:
    """Whether a change leaves the spec of an owned object alone: who owns it is what anybody may write."""
    return (
        before is not None
        and found is not None
        and is_owned(before)
        and is_owned(found)
        and bytes(before.spec) == bytes(found.spec)
    )


def workload(found: Pieces) -> Deployment:
    """An object in pieces as a workload. Raises ``NotAWorkload``."""
    meta = found.metadata or _NO_META
    made = objects.Workload(
        found.api_version,
        found.kind,
        objects.Meta(
            meta.name,
            meta.generate_name,
            meta.namespace,
            meta.uid,
            kubernetes.decoded(_texts, meta.labels) if meta.labels else None,
            kubernetes.decoded(_texts, meta.annotations) if meta.annotations else None,
        ),
        kubernetes.decoded(_specs, found.spec) if found.spec else None,
    )
    return kubernetes.converted(made, named)


def replicas(scale: Pieces | None) -> int:
    """How many a ``Scale`` wants. Raises ``NotAWorkload``."""
    if scale is None or not scale.spec:
        return 0
    return kubernetes.decoded(_scales, scale.spec).replicas or 0


def image(container: Container) -> ImageName:
    """What a container's image is called."""
    return _NO_NAME if container.image is None or container.image.name is None else container.image.name


def same_images(request: WorkloadRequest, images: Sequence[ImageName]) -> bool:
    """Whether a change leaves the images alone."""
    try:
        before = workload(request.old_object or _NOTHING)
    except (RedoubtError, KeyError):
        return False
    return set(images) <= {image(each) for each in before.containers}
