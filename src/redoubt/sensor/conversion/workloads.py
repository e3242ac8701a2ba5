"""Pods, and what makes them: what the object itself says. Pure.

Only what no other workload owns becomes a ``Deployment``; of others it is kept who owns them, so that their pods
are found to be the owner's. What is around a workload (services, roles, network policies) is for ``graph``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from redoubt.indexer.sources.reference import named
from redoubt.jsonfields import Given, moment, number, part, parts, text, texts, words
from redoubt.model.cluster import ContainerInstance, Pod
from redoubt.model.workload import Deployment, LabelRequirement, LabelSelector
from redoubt.policies import kubernetes
from redoubt.sensor.conversion.objects import shortened

#: Phases of pods that ended. Their status goes on to name addresses that are others' by now.
_OVER = ("Succeeded", "Failed")
#: Kinds whose selector is labels and nothing else.
_PLAIN = ("ReplicationController", "DeploymentConfig")
_OPERATORS = {"In": "IN", "NotIn": "NOT_IN", "Exists": "EXISTS", "DoesNotExist": "NOT_EXISTS"}


class SeenWorkload(msgspec.Struct, frozen=True):
    """What makes pods. ``deployment`` is None where ``owner`` (a UID) is looked at in its place.

    ``automount`` is None where the account decides.
    """

    namespace: str
    owner: str = ""
    deployment: Deployment | None = None
    automount: bool | None = None


class RunningImage(msgspec.Struct, frozen=True):
    """An image that a pod's container runs, by its digest, and what it is called in the pod."""

    container: str
    image: str
    digest: str
    pullable: bool


class SeenPod(msgspec.Struct, frozen=True):
    """A pod. ``workload`` is what it is where nothing owns it; ``owner`` the UID of what does.

    ``containers`` are the names of all that are to run in it, also of those that were put into it.
    """

    pod: Pod
    owner: str
    workload: SeenWorkload | None
    images: tuple[RunningImage, ...]
    host_network: bool
    labels: dict[str, str]
    containers: tuple[str, ...] = ()


def workload(given: dict[str, Any]) -> SeenWorkload:
    """Anything but a pod. Raises :class:`redoubt.policies.kubernetes.NotAWorkload`."""
    namespace, owner = text(given, "metadata", "namespace"), _owner(given)
    if owner:
        return SeenWorkload(namespace, owner=owner)
    return SeenWorkload(namespace, deployment=_deployment(given), automount=_automount(_pod_spec(given)))


def _pod_spec(given: Given) -> Given:
    if text(given, "kind") == "CronJob":
        return part(given, "spec", "jobTemplate", "spec", "template", "spec")
    return part(given, "spec", "template", "spec")


def _automount(spec: Given) -> bool | None:
    said = spec.get("automountServiceAccountToken")
    return said if isinstance(said, bool) else None


def _deployment(given: dict[str, Any]) -> Deployment:
    found = kubernetes.deployment(given, named)
    return msgspec.structs.replace(
        found,
        annotations=shortened(found.annotations),
        created=moment(given, "metadata", "creationTimestamp"),
        label_selector=_selector(text(given, "kind"), part(given, "spec")),
    )


def _selector(kind: str, spec: Given) -> LabelSelector | None:
    """By which labels a workload knows its pods. A job's are of one run, and say nothing of the next."""
    if kind in ("Job", "CronJob") or not part(spec, "selector"):
        return None
    if kind in _PLAIN:
        return LabelSelector(match_labels=texts(spec, "selector"))
    return LabelSelector(
        match_labels=texts(spec, "selector", "matchLabels"),
        requirements=tuple(
            LabelRequirement(
                key=text(each, "key"),
                op=_OPERATORS.get(text(each, "operator"), "UNKNOWN"),
                values=words(each, "values"),
            )
            for each in parts(spec, "selector", "matchExpressions")
        ),
    )


def _owner(given: Given) -> str:
    """The workload that owns it; empty where none does."""
    for each in parts(given, "metadata", "ownerReferences"):
        if kubernetes.is_workload(each):
            return text(each, "uid")
    return ""


def pod(given: dict[str, Any]) -> SeenPod:
    """A pod. Raises :class:`redoubt.policies.kubernetes.NotAWorkload`."""
    status = part(given, "status")
    statuses = [
        each
        for field in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
        for each in parts(status, field)
    ]
    owner = _owner(given)
    ips: tuple[str, ...] = ()
    if text(status, "phase") not in _OVER:
        ips = (*(text(each, "ip") for each in parts(status, "podIPs")), text(status, "podIP"))
    live, ended = _instances(statuses)
    return SeenPod(
        Pod(
            id=text(given, "metadata", "uid"),
            name=text(given, "metadata", "name"),
            namespace=text(given, "metadata", "namespace"),
            started=moment(status, "startTime"),
            live_instances=live,
            terminated_instances=ended,
            node=text(given, "spec", "nodeName"),
            ips=tuple(dict.fromkeys(ip for ip in ips if ip)),
        ),
        owner,
        None if owner else _bare_pod(given),
        _images(given, statuses),
        part(given, "spec").get("hostNetwork") is True,
        texts(given, "metadata", "labels"),
        tuple(_asked(given)),
    )


def _bare_pod(given: dict[str, Any]) -> SeenWorkload:
    return SeenWorkload(
        text(given, "metadata", "namespace"),
        deployment=_deployment(given),
        automount=_automount(part(given, "spec")),
    )


def _instances(
    statuses: list[dict[str, Any]],
) -> tuple[tuple[ContainerInstance, ...], tuple[ContainerInstance, ...]]:
    """Containers that run, and those that ran before them and ended."""
    live, ended = [], []
    for each in statuses:
        state, last = part(each, "state"), part(each, "lastState")
        running = part(state, "running")
        if running:
            live.append(
                ContainerInstance(
                    container_id=_bare(text(each, "containerID")),
                    container_name=text(each, "name"),
                    image_digest=digest(text(each, "imageID")),
                    started=moment(running, "startedAt"),
                )
            )
        for over in (part(last, "terminated"), part(state, "terminated")):
            if over:
                ended.append(
                    ContainerInstance(
                        container_id=_bare(text(over, "containerID")),
                        container_name=text(each, "name"),
                        image_digest=digest(text(each, "imageID")),
                        started=moment(over, "startedAt"),
                        finished=moment(over, "finishedAt"),
                        exit_code=number(over, "exitCode"),
                        termination_reason=text(over, "reason")[:256],
                    )
                )
    return tuple(live), tuple(ended)


def _bare(identifier: str) -> str:
    """``containerd://0123…`` without its scheme."""
    return identifier.rpartition("//")[2]


def digest(image: str) -> str:
    """The manifest's digest in a status' ``imageID``: ``docker-pullable://name@sha256:…``, ``name@sha256:…``.

    Empty where it has none: a bare ``sha256:…`` is the configuration's.
    """
    name, at, found = image.rpartition("@")
    return found if at and name and found.startswith("sha256:") and len(found) == 71 else ""


def _asked(given: Given) -> dict[str, str]:
    """What a pod's containers are called, and their images."""
    return {
        text(each, "name"): text(each, "image")
        for field in ("initContainers", "containers", "ephemeralContainers")
        for each in parts(given, "spec", field)
    }


def _images(given: Given, statuses: list[dict[str, Any]]) -> tuple[RunningImage, ...]:
    asked = _asked(given)
    found = []
    for each in statuses:
        name, identifier = text(each, "name"), text(each, "imageID")
        if identifier and name in asked:
            found.append(
                RunningImage(
                    name, named(asked[name]).full_name, digest(identifier), not _was_built_here(identifier)
                )
            )
    return tuple(found)


def _was_built_here(identifier: str) -> bool:
    """Docker's word for an image that no registry gave it."""
    return identifier.startswith("docker://sha256:")
