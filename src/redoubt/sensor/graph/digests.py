"""Which images a workload's containers really run: digests out of its pods' status. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from redoubt.model.workload import Container, ContainerImage
from redoubt.sensor.conversion.workloads import RunningImage, SeenPod


def running(containers: tuple[Container, ...], pods: Iterable[SeenPod]) -> tuple[Container, ...]:
    """Containers with the digests of what their pods run: the newest pod's. Else the digest that was asked for, if any."""
    found: dict[tuple[str, str], RunningImage] = {}
    for pod in sorted(pods, key=_age):
        for each in pod.images:
            found[each.container, each.image] = each
    return tuple(_with_digest(each, found) for each in containers)


def _age(seen: SeenPod) -> tuple[bool, float, str]:
    started = seen.pod.started
    return (started is not None, 0.0 if started is None else started.timestamp(), seen.pod.id)


def _with_digest(container: Container, found: dict[tuple[str, str], RunningImage]) -> Container:
    image = container.image
    if image is None or image.name is None:
        return container
    seen = found.get((container.name, image.name.full_name))
    if seen is None:
        asked_for = image.name.full_name.partition("@")[2]
        if not asked_for:
            return container
        return msgspec.structs.replace(container, image=ContainerImage(id=asked_for, name=image.name))
    known = ContainerImage(id=seen.digest, name=image.name, not_pullable=not seen.pullable)
    return msgspec.structs.replace(container, image=known)
