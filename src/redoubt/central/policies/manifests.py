"""YAML of Kubernetes' objects that somebody sends: documents and lists of them, told apart into workloads and others. Pure.

Written by strangers: the text is limited, and so are depth and aliases, as a few of these can stand for any amount.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec
import yaml

from redoubt.central.refusals import InvalidArgument
from redoubt.indexer.sources.reference import named
from redoubt.model.workload import Deployment
from redoubt.policies import kubernetes
from redoubt.policies.kubernetes import NotAWorkload

LARGEST = 2 << 20
MOST_CONTAINERS = 500
_DEEPEST, _ALIASES = 100, 20


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen as it runs
    """YAML as Kubernetes reads it: what looks like a date stays a text."""

    yaml_implicit_resolvers: ClassVar = {
        first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class Manifests(msgspec.Struct, frozen=True):
    """What is in a text. ``ignored`` are objects that make no pods, as ``namespace/name[group/version, Kind=kind]``."""

    deployments: tuple[Deployment, ...]
    ignored: tuple[str, ...]


def read(text: str, namespace: str) -> Manifests:
    """Raises ``InvalidArgument`` for what is no YAML, or too much of it."""
    deployments, ignored = [], []
    for each in _objects(text):
        if kubernetes.owned(each):
            continue
        if not kubernetes.is_workload(each):
            ignored.append(_reference(each))
            continue
        try:
            deployments.append(kubernetes.deployment(each, named, namespace=namespace))
        except NotAWorkload as error:
            raise InvalidArgument(str(error)) from None
    if sum(len(each.containers) for each in deployments) > MOST_CONTAINERS:
        raise InvalidArgument(f"at most {MOST_CONTAINERS} containers are checked at once")
    return Manifests(tuple(deployments), tuple(ignored))


def _reason(error: Exception) -> str:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', '')}"


def _objects(text: str) -> Iterator[dict[str, Any]]:
    if len(text) > LARGEST:
        raise InvalidArgument(f"the YAML has {len(text)} characters; at most {LARGEST} are read")
    try:
        _check(text)
        documents = list(yaml.load_all(text, Loader=_Loader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"the YAML cannot be read: {_reason(error)[:300]}") from None
    for each in documents:
        if each is None:
            continue
        items = [each]
        if isinstance(each, dict) and each.get("kind") == "List":
            items = each.get("items") or []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise InvalidArgument("the YAML is no object of Kubernetes")
        for item in items:
            if not isinstance(item.get("kind", ""), str):
                raise InvalidArgument(f"the kind of an object is no text: {str(item['kind'])[:60]}")
            yield item


def _check(text: str) -> None:
    depth = aliases = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > _DEEPEST or aliases > _ALIASES:
            raise InvalidArgument(f"the YAML is deeper than {_DEEPEST}, or has more than {_ALIASES} aliases")


def _reference(given: dict[str, Any]) -> str:
    meta = given.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    name = "/".join(str(part)[:253] for part in (meta.get("namespace"), meta.get("name")) if part)
    group, _, version = str(given.get("apiVersion", ""))[:253].rpartition("/")
    return f"{name}[{group}/{version}, Kind={str(given.get('kind', ''))[:63]}]"
