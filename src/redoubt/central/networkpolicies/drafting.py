"""Network policies that are generated: out of connections that were seen, or out of a baseline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from ipaddress import ip_network

import msgspec

from redoubt.central.activity.blocks import Blocks
from redoubt.central.networkpolicies.graph import Shown
from redoubt.central.networkpolicies.loading import Cluster, SeenDeployment, evaluated
from redoubt.central.networkpolicies.modifying import PROTECTED, Modification, Reference
from redoubt.central.networkpolicies.told import selector
from redoubt.central.refusals import InvalidArgument
from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.networkpolicies import generating, writing
from redoubt.networkpolicies.generating import ALL, FROM_BASELINE, GENERATED, At, Caller, Member
from redoubt.networkpolicies.ports import PROTOCOLS

#: Which policies that there are would be deleted; the original's words.
MODES = ("UNKNOWN", "NONE", "GENERATED_ONLY", "ALL")
_FROM_OUTSIDE = frozenset({"EXTERNAL", "NODE", "HOST"})
_PROTOCOLS = {f"L4_PROTOCOL_{name}": name for name in PROTOCOLS[1:]}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who called a deployment, or may."""

    of_type: str
    caller: str
    port: int
    protocol: str


class Drafts:
    """Drafts for a cluster, as far as the caller may name what is in it (``shown``)."""

    def __init__(self, cluster: Cluster, shown: Shown, *, include_ports: bool) -> None:
        self._cluster = cluster
        self._shown = shown
        self._include_ports = include_ports
        self._blocks = Blocks(cluster.blocks)
        self._deployments = {each.id: each for each in cluster.deployments}

    def selected(self) -> list[SeenDeployment]:
        """Deployments that were asked for and that a policy would do something for."""
        return [
            each
            for each in self._cluster.deployments
            if self._shown.deployments.get(each.id)
            and not each.host_network
            and not generating.system(each.namespace)
            # What has no label cannot be told from the rest of its namespace.
            and (each.pod_labels or each.label_selector)
        ]

    def of_calls(self, calls: Mapping[str, Iterable[Call]], mode: str) -> Modification:
        """A policy for each that none limits the ingress of. ``calls`` are by deployment. Raises ``InvalidArgument``."""
        selected = self.selected()
        deleted = self._deleted(mode, {each.namespace for each in selected})
        left = [each for each in self._cluster.policies if each.id not in {one.id for one in deleted}]
        limited = evaluated(self._cluster, left).isolated_ingress
        places = {each.id: at for at, each in enumerate(self._cluster.deployments)}
        taken: dict[str, set[str]] = defaultdict(set)
        for each in left:
            taken[each.namespace].add(each.name)
        made = []
        for deployment in selected:
            if limited >> places[deployment.id] & 1:
                continue
            policy = generating.policy(
                self._member(deployment),
                self._calls(calls.get(deployment.id, ())),
                self._cluster.namespaces,
                prefix="stackrox-generated-",
                label=GENERATED,
                taken=taken[deployment.namespace],
            )
            taken[policy.namespace].add(policy.name)
            made.append(policy)
        return Modification(apply_yaml=writing.written(made), to_delete=_references(deleted))

    def of_baseline(self, deployment: SeenDeployment, calls: Iterable[Call]) -> Modification:
        """The policy of one, in place of the one that was made for it before. Raises ``InvalidArgument``."""
        if generating.system(deployment.namespace) or deployment.host_network:
            raise InvalidArgument("no policy is made for what is the system's, or on its host's network")
        member = msgspec.structs.replace(self._member(deployment), exposed=frozenset())
        policy = generating.policy(
            member,
            self._calls(calls),
            self._cluster.namespaces,
            prefix="stackrox-baseline-generated-",
            label=FROM_BASELINE,
        )
        return Modification(apply_yaml=writing.written([policy]), to_delete=_references([policy]))

    def _deleted(self, mode: str, namespaces: set[str]) -> list[ClusterNetworkPolicy]:
        if mode not in MODES:
            raise InvalidArgument(f"deleteExisting is one of {', '.join(MODES)}")
        if mode in ("UNKNOWN", "NONE"):
            return []
        return [
            each
            for each in self._cluster.policies
            if each.namespace in namespaces - PROTECTED
            and self._shown.policy(each.id)
            and (mode == "ALL" or GENERATED in each.labels)
        ]

    def _member(self, each: SeenDeployment) -> Member:
        labels = each.label_selector
        exposed = {
            (port.protocol or "TCP", port.container_port) if self._include_ports else ALL
            for port in each.ports
            if port.exposure in _FROM_OUTSIDE
        }
        return Member(
            id=each.id,
            name=each.name,
            namespace=each.namespace,
            selector={"matchLabels": each.pod_labels} if labels is None else selector(labels),
            exposed=frozenset(exposed),
        )

    def _calls(self, calls: Iterable[Call]) -> list[tuple[At, Caller]]:
        found = []
        for each in calls:
            protocol = _PROTOCOLS.get(each.protocol)
            if self._include_ports and protocol is None:
                continue  # ICMP and the like: no policy has a word for it
            at = (protocol or "", each.port) if self._include_ports else ALL
            if (caller := self._caller(each)) is not None:
                found.append((at, caller))
        return found

    def _caller(self, call: Call) -> Caller | None:
        """Who it is; None where it is gone."""
        if call.of_type == "DEPLOYMENT":
            deployment = self._deployments.get(call.caller)
            if deployment is None:
                return None
            if deployment.host_network:
                return Caller()
            if call.caller not in self._shown.deployments:
                return Caller(hidden=True)
            return Caller(member=self._member(deployment))
        if call.of_type not in ("INTERNET", "EXTERNAL_SOURCE") or not call.caller:
            return Caller()
        block = self._blocks.all.get(call.caller) or self._blocks.smallest(call.caller)
        if block is not None:
            return Caller(block=block.block)
        if call.of_type == "EXTERNAL_SOURCE" and _is_network(call.caller):
            return Caller(block=call.caller)
        return Caller()


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _references(policies: Iterable[ClusterNetworkPolicy]) -> tuple[Reference, ...]:
    return tuple(Reference(namespace=each.namespace, name=each.name) for each in policies)
