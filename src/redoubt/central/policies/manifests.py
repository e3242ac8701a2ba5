"""YAML of Kubernetes' objects that somebody sends, told apart into workloads and others. Pure."""

from __future__ import annotations

import msgspec

from redoubt import kubeyaml
from redoubt.central.refusals import InvalidArgument
from redoubt.errors import UnreadableInput
from redoubt.indexer.sources.reference import named
from redoubt.model.workload import Deployment
from redoubt.policies import kubernetes

MOST_CONTAINERS = 500


class Manifests(msgspec.Struct, frozen=True):
    """What is in a text. ``ignored`` are objects that make no pods, as ``namespace/name[group/version, Kind=kind]``."""

    deployments: tuple[Deployment, ...]
    ignored: tuple[str, ...]


def read(text: str, namespace: str) -> Manifests:
    """Raises ``InvalidArgument`` for what is no YAML, or too much of it."""
    deployments, ignored = [], []
    try:
        for each in kubeyaml.objects(text):
            if kubernetes.owned(each):
                continue
            if not kubernetes.is_workload(each):
                ignored.append(kubeyaml.reference(each))
                continue
            deployments.append(kubernetes.deployment(each, named, namespace=namespace))
    except UnreadableInput as error:
        raise InvalidArgument(str(error)) from None
    if sum(len(each.containers) for each in deployments) > MOST_CONTAINERS:
        raise InvalidArgument(f"at most {MOST_CONTAINERS} containers are checked at once")
    return Manifests(tuple(deployments), tuple(ignored))
