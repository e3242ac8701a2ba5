"""Network policies as YAML, read and written. Pure.

What is read is checked as the API server would, and more: a field that Kubernetes has not is refused and not passed over, as a
policy with a word misspelt lets through what nobody meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import yaml

from redoubt import kubeyaml
from redoubt.errors import UnreadableInput
from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.networkpolicies import spec as specs

API = "networking.k8s.io/v1"
KIND = "NetworkPolicy"
_FIELDS = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class _Meta(msgspec.Struct, frozen=True):
    """What is kept of ``metadata``."""

    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


def read(text: str) -> list[ClusterNetworkPolicy]:
    """Network policies and nothing else, each with its namespace, each once; without identifiers.

    Raises ``UnreadableInput``, ``LimitExceeded``.
    """
    found: dict[tuple[str, str], ClusterNetworkPolicy] = {}
    for each in kubeyaml.objects(text):
        policy = from_object(each)
        if (key := (policy.namespace, policy.name)) in found:
            raise UnreadableInput(f"there are several network policies {policy.namespace}/{policy.name}")
        found[key] = policy
    return list(found.values())


def from_object(given: dict[str, Any]) -> ClusterNetworkPolicy:
    """Kubernetes' object. Raises ``UnreadableInput``."""
    of = kubeyaml.reference(given)
    if given.get("kind") != KIND or given.get("apiVersion") != API:
        raise UnreadableInput(f"{of} is no {KIND} of {API}")
    try:
        meta = msgspec.convert(given.get("metadata") or {}, _Meta)
        spec = msgspec.convert(given.get("spec") or {}, dict[str, Any])
    except (msgspec.ValidationError, RecursionError) as error:
        raise UnreadableInput(f"{of}: {error}") from None
    if not meta.namespace:
        raise UnreadableInput(f"the network policy {meta.name[:253]!r} names no namespace")
    check_name(meta.namespace, meta.name)
    policy = ClusterNetworkPolicy(
        name=meta.name,
        namespace=meta.namespace,
        labels=meta.labels or {},
        annotations=meta.annotations or {},
        spec=spec,
    )
    specs.read(policy)
    odd = next((str(each) for each in given if each not in _FIELDS), "") or specs.unknown(spec)
    if odd:
        raise UnreadableInput(f"{of}: Kubernetes has no field {odd[:200]!r}")
    return policy


def check_name(namespace: str, name: str) -> None:
    """Raises ``UnreadableInput`` where Kubernetes can have no policy of that name."""
    for what, text in (("namespace", namespace), ("name", name)):
        if len(text) > 253 or not _NAME.fullmatch(text):
            raise UnreadableInput(f"{text[:253]!r} is no {what} of a network policy")


def to_object(policy: ClusterNetworkPolicy) -> dict[str, Any]:
    """As Kubernetes takes it."""
    meta: dict[str, Any] = {"name": policy.name, "namespace": policy.namespace}
    meta |= {name: value for name in ("labels", "annotations") if (value := getattr(policy, name))}
    return {"apiVersion": API, "kind": KIND, "metadata": meta, "spec": policy.spec}


def written(policies: Iterable[ClusterNetworkPolicy]) -> str:
    """As YAML, a document each."""
    return dumped([to_object(each) for each in policies])


def dumped(objects: Sequence[Mapping[str, Any]]) -> str:
    """Kubernetes' objects as YAML, a document each."""
    if not objects:
        return ""
    text: str = yaml.dump_all(objects, Dumper=_DUMPER, sort_keys=False, allow_unicode=True)
    return text
