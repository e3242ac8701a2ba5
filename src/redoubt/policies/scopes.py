"""Where a policy applies, and where it does not. Pure.

Rules: StackRox's ``pkg/scopecomp`` and ``pkg/detection``. A scope's namespace and labels are expressions; a label fits
where one label's name and content do. Without scopes a policy applies everywhere. An exclusion ends at its expiry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import msgspec

from redoubt.model.happening import KubernetesEvent
from redoubt.model.workload import Deployment, Surroundings
from redoubt.policies import patterns
from redoubt.policies.patterns import Matcher
from redoubt.policies.policy import Exclusion, Scope, ScopeLabel, moment

_Labels = Callable[[Mapping[str, str]], bool]


def _labels(label: ScopeLabel | None) -> _Labels | None:
    if label is None:
        return None
    key, value = patterns.whole(label.key), patterns.whole(label.value)
    return lambda given: any(key(name) and value(content) for name, content in given.items())


class CompiledScope:
    """A scope. Raises :class:`patterns.BadPattern` where an expression is none."""

    __slots__ = ("_cluster", "_cluster_label", "_label", "_namespace", "_namespace_label")

    def __init__(self, scope: Scope) -> None:
        self._cluster = scope.cluster
        self._namespace: Matcher | None = patterns.whole(scope.namespace) if scope.namespace else None
        self._label = _labels(scope.label)
        self._cluster_label = _labels(scope.cluster_label)
        self._namespace_label = _labels(scope.namespace_label)

    def has(self, deployment: Deployment, around: Surroundings) -> bool:
        """Whether a workload is in it."""
        return (
            (not self._cluster or self._cluster == deployment.cluster_id)
            and (self._namespace is None or self._namespace(deployment.namespace))
            and (self._label is None or self._label(deployment.labels))
            and (self._cluster_label is None or self._cluster_label(around.cluster_labels))
            and (self._namespace_label is None or self._namespace_label(around.namespace_labels))
        )

    def has_event(self, event: KubernetesEvent, around: Surroundings) -> bool:
        """Whether what a request was about is in it. What is in no namespace is in every one, and has no labels here."""
        cluster = event.object.cluster_id if event.object is not None else ""
        namespace = event.object.namespace if event.object is not None else ""
        if self._cluster and self._cluster != cluster:
            return False
        if self._cluster_label is not None and not self._cluster_label(around.cluster_labels):
            return False
        if not namespace:
            return True
        return (self._namespace is None or self._namespace(namespace)) and (
            self._namespace_label is None or self._namespace_label(around.namespace_labels)
        )


class _Excluded(msgspec.Struct, frozen=True):
    """An exclusion of workloads."""

    name: Matcher | None
    scope: CompiledScope | None
    until: datetime | None

    def ended(self, now: datetime) -> bool:
        return self.until is not None and self.until < now

    def has(self, deployment: Deployment, around: Surroundings) -> bool:
        return (self.name is None or self.name(deployment.name)) and (
            self.scope is None or self.scope.has(deployment, around)
        )


class Applies:
    """A policy's scopes and exclusions together. Raises :class:`patterns.BadPattern` and ``ValueError``."""

    __slots__ = ("_excluded", "_images", "_scopes")

    def __init__(self, scopes: Iterable[Scope], exclusions: Iterable[Exclusion]) -> None:
        self._scopes = tuple(CompiledScope(scope) for scope in scopes)
        self._excluded: list[_Excluded] = []
        self._images: list[tuple[str, datetime | None]] = []
        for exclusion in exclusions:
            until = None if exclusion.expiration is None else moment(exclusion.expiration)
            if (deployment := exclusion.deployment) is not None:
                self._excluded.append(
                    _Excluded(
                        patterns.whole(deployment.name) if deployment.name else None,
                        None if deployment.scope is None else CompiledScope(deployment.scope),
                        until,
                    )
                )
            if exclusion.image is not None:
                self._images.append((exclusion.image.name, until))

    def to_deployment(self, deployment: Deployment, around: Surroundings, now: datetime) -> bool:
        """Whether the policy is meant for a workload."""
        if self._scopes and not any(scope.has(deployment, around) for scope in self._scopes):
            return False
        return not any(not each.ended(now) and each.has(deployment, around) for each in self._excluded)

    def to_image(self, full_name: str, now: datetime) -> bool:
        """Whether it is meant for an image that nothing runs yet: scopes do not count, names do by their beginning."""
        return not any(
            full_name.startswith(beginning) and (until is None or until >= now)
            for beginning, until in self._images
        )

    def to_event(self, event: KubernetesEvent, around: Surroundings, now: datetime) -> bool:
        """Whether it is meant for what a request was about."""
        if self._scopes and not any(scope.has_event(event, around) for scope in self._scopes):
            return False
        return not any(
            not each.ended(now) and (each.scope is None or each.scope.has_event(event, around))
            for each in self._excluded
        )
