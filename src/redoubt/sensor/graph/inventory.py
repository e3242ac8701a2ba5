"""What there is in the cluster, in memory: objects by kind, and how they hang together. No I/O.

Changes go in (``apply``), what they change comes out (``drain``): objects to tell Central of, and workloads that policies have to
be asked of again. Kinds are those of ``redoubt.model.cluster.KINDS``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from redoubt.model.cluster import (
    ClusterNetworkPolicy,
    ClusterNode,
    ConfigMap,
    K8sRole,
    K8sRoleBinding,
    Namespace,
    Pod,
    PullSecret,
    Secret,
    Service,
    ServiceAccount,
)
from redoubt.model.workload import Deployment, Part, Surroundings
from redoubt.networkpolicies.selectors import applying, selects
from redoubt.sensor.cluster.changes import Change
from redoubt.sensor.conversion.objects import SeenBinding, SeenIngress, SeenSecret, SeenService
from redoubt.sensor.conversion.workloads import SeenPod, SeenWorkload
from redoubt.sensor.graph.digests import running
from redoubt.sensor.graph.exposures import exposed
from redoubt.sensor.graph.mirrors import Mirrors, SeenMirrors
from redoubt.sensor.graph.owners import Owners
from redoubt.sensor.graph.permissions import Account
from redoubt.sensor.graph.rights import Rights
from redoubt.sensor.graph.ways import Ways

#: The cluster's own parts: the original calls their namespaces so.
_ORCHESTRATOR = re.compile(r"kube-.*|openshift-.*")
#: Containers of others before what is in them.
_ORDER = (
    *("namespace", "node", "serviceaccount", "role", "binding"),
    *("networkpolicy", "service", "secret", "configmap"),
)
Key = tuple[str, str]


class Dirty(msgspec.Struct):
    """What changed. ``deployments`` are those to ask policies of, and whether each was made just now."""

    objects: dict[Key, None] = msgspec.field(default_factory=dict)
    deployments: dict[str, bool] = msgspec.field(default_factory=dict)
    pull_secrets: bool = False


class _Workload:
    """What makes pods and is owned by nothing that does."""

    __slots__ = ("around", "made", "seen", "whole")

    def __init__(self, seen: SeenWorkload, made: str) -> None:
        self.seen = seen
        #: The API's kind it came as: ``Pod`` for a bare pod.
        self.made = made
        self.whole: Deployment | None = None
        self.around = Surroundings()


class Inventory:
    """All objects of the cluster that count."""

    def __init__(self, own_namespace: str = "") -> None:
        self._own = own_namespace
        self.cluster_id = ""
        self.cluster_name = ""
        self.cluster_labels: dict[str, str] = {}
        #: By kind and UID, as Central wants them; workloads and pods apart.
        self._objects: dict[str, dict[str, Part]] = defaultdict(dict)
        #: UIDs by the API's kind: which are gone when a list does not have them.
        self._of_kind: dict[str, set[str]] = defaultdict(set)
        self._workloads: dict[str, _Workload] = {}
        self._by_namespace: dict[str, set[str]] = defaultdict(set)
        self._owners = Owners()
        self._pods: dict[str, SeenPod] = {}
        self._pods_of: dict[str, set[str]] = defaultdict(set)
        self._deployment_of: dict[str, str] = {}
        self._namespaces: dict[str, Namespace] = {}
        self.ways = Ways()
        self._policies: dict[str, dict[str, ClusterNetworkPolicy]] = defaultdict(dict)
        self._accounts: dict[Account, ServiceAccount] = {}
        self._rights = Rights()
        self._pulls: dict[str, PullSecret] = {}
        self._made_pulls: set[str] = set()
        self.mirrors = Mirrors()
        self._dirty = Dirty()
        self._stale: dict[str, bool] = {}
        #: Containers that run or have ended, by the runtime's identifier: the pod's UID, and the container's name.
        self.containers: dict[str, tuple[str, str]] = {}
        #: UIDs of pods that have addresses of their own, by these.
        self.pod_ips: dict[str, str] = {}

    # What is asked

    def get(self, kind: str, identifier: str) -> Part | None:
        """An object as Central is told of it."""
        if kind == "deployment":
            return self.deployment(identifier)
        if kind == "pod":
            return self.pod(identifier)
        found = self._objects[kind].get(identifier)
        if found is None:
            return None
        if kind == "binding":
            found = msgspec.structs.replace(found, role_id=self._rights.role_of(identifier))
        named = {"cluster_id": self.cluster_id}
        if "cluster_name" in found.__struct_fields__:
            named["cluster_name"] = self.cluster_name
        return msgspec.structs.replace(found, **named)

    def deployment(self, identifier: str) -> Deployment | None:
        """A workload, with what is around it."""
        found = self._workloads.get(identifier)
        if found is None:
            return None
        if found.whole is None:
            self._assemble(found)
        return found.whole

    def around(self, identifier: str) -> Surroundings:
        """What a workload's own description does not say of it."""
        found = self._workloads.get(identifier)
        if found is None:
            return Surroundings()
        if found.whole is None:
            self._assemble(found)
        return found.around

    def pod(self, identifier: str) -> Pod | None:
        """A pod, with the workload that it is of."""
        found = self._pods.get(identifier)
        if found is None:
            return None
        return msgspec.structs.replace(
            found.pod, deployment_id=self.deployment_of(identifier), cluster_id=self.cluster_id
        )

    def containers_of(self, pod: str) -> tuple[str, ...]:
        """Names of the containers that a pod is to have."""
        return self._pods[pod].containers if pod in self._pods else ()

    def deployment_of(self, pod: str) -> str:
        """Which workload a pod is of; empty where that is not known."""
        return self._deployment_of.get(pod, "")

    def pods_of(self, deployment: str) -> list[Pod]:
        """A workload's pods."""
        return [found for each in self._pods_of.get(deployment, ()) if (found := self.pod(each)) is not None]

    def service_at(self, ip: str) -> str:
        """The UID of the service that has an address; empty where none has."""
        return self.ways.ips.get(ip, "")

    def namespace(self, name: str) -> Namespace | None:
        """A namespace by its name."""
        return self._namespaces.get(name)

    @property
    def namespace_labels(self) -> dict[str, dict[str, str]]:
        """All namespaces' labels."""
        return {name: found.labels for name, found in self._namespaces.items()}

    @property
    def pull_secrets(self) -> list[PullSecret]:
        """All that people made."""
        found = (each for key, each in self._pulls.items() if key not in self._made_pulls)
        return sorted(found, key=lambda each: (each.namespace, each.name))

    def pull_secrets_of(self, namespace: str) -> list[PullSecret]:
        """Those of a namespace, also those that OpenShift made."""
        found = (each for each in self._pulls.values() if each.namespace == namespace)
        return sorted(found, key=lambda each: each.name)

    def keys(self) -> Iterator[Key]:
        """All that Central is to know of, containers of others first: namespaces before what is in them."""
        for kind in _ORDER:
            for identifier in self._objects[kind]:
                yield kind, identifier
        for identifier in self._workloads:
            yield "deployment", identifier
        for identifier in self._pods:
            yield "pod", identifier

    @property
    def deployments(self) -> list[str]:
        """All workloads."""
        return list(self._workloads)

    def surrounded(self, given: Deployment) -> tuple[Deployment, Surroundings]:
        """A workload that may not be there yet, completed by what the cluster knows."""
        seen = _Workload(SeenWorkload(given.namespace, deployment=given, automount=None), "")
        self._assemble(seen, pods=())
        assert seen.whole is not None
        automount = given.automount_service_account_token and seen.whole.automount_service_account_token
        return msgspec.structs.replace(seen.whole, automount_service_account_token=automount), seen.around

    # What happens

    def be(self, identifier: str, name: str, labels: dict[str, str]) -> None:
        """Central says which cluster this is."""
        if (identifier, name, labels) == (self.cluster_id, self.cluster_name, self.cluster_labels):
            return
        self.cluster_id, self.cluster_name, self.cluster_labels = identifier, name, labels
        self._dirty.objects.update(dict.fromkeys(self.keys()))
        self._touch(self._workloads)

    def apply(self, change: Change) -> None:
        """Something came, changed or went."""
        if change.listed is not None:
            for identifier in self._of_kind[change.kind] - change.listed:
                self._gone(change.kind, identifier)
            return
        if change.found is None:
            self._gone(change.kind, change.id)
            return
        self._of_kind[change.kind].add(change.id)
        found = change.found
        if isinstance(found, SeenPod):
            self._put_pod(change.id, found, fresh=change.fresh)
        elif isinstance(found, SeenWorkload):
            self._put_workload(change.kind, change.id, found, fresh=change.fresh)
        elif isinstance(found, SeenSecret):
            self._put("secret", change.id, found.secret)
            self._put_pull(change.id, found.pull, made=found.made)
        elif isinstance(found, SeenService):
            self._put_service(change.id, found)
        elif isinstance(found, SeenIngress):
            self._put_ingress(change.id, found)
        elif isinstance(found, SeenBinding):
            self._put_binding(change.id, found)
        elif isinstance(found, K8sRole):
            self._put("role", change.id, found)
            self._bindings_changed(self._rights.put_role(found))
        elif isinstance(found, ServiceAccount):
            self._put("serviceaccount", change.id, found)
            self._accounts[found.namespace, found.name] = found
            self._touch(self._using(found.namespace, found.name))
        elif isinstance(found, ClusterNetworkPolicy):
            self._put_policy(change.id, found)
        elif isinstance(found, Namespace):
            self._put("namespace", change.id, found)
            self._namespaces[found.name] = found
            self._touch(self._by_namespace.get(found.name, ()))
        elif isinstance(found, ClusterNode | ConfigMap):
            self._put("node" if isinstance(found, ClusterNode) else "configmap", change.id, found)
        elif isinstance(found, SeenMirrors):
            self.mirrors.sets[change.id] = found

    def drain(self) -> Dirty:
        """What changed since the last time."""
        for account in self._rights.weigh():
            self._touch(self._using(*account))
        for identifier, fresh in self._stale.items():
            workload = self._workloads.get(identifier)
            if workload is None:
                continue
            before, around = workload.whole, workload.around
            self._assemble(workload)
            if fresh or before != workload.whole or around != workload.around:
                self._dirty.deployments[identifier] = fresh or self._dirty.deployments.get(identifier, False)
            if before != workload.whole:
                self._dirty.objects["deployment", identifier] = None
        self._stale = {}
        found, self._dirty = self._dirty, Dirty()
        return found

    # How

    def _put(self, kind: str, identifier: str, found: Part) -> None:
        if self._objects[kind].get(identifier) != found:
            self._objects[kind][identifier] = found
            self._dirty.objects[kind, identifier] = None

    def _touch(self, deployments: Iterable[str], *, fresh: bool = False) -> None:
        for each in deployments:
            self._stale[each] = fresh or self._stale.get(each, False)

    def _put_workload(self, kind: str, identifier: str, found: SeenWorkload, *, fresh: bool) -> None:
        before = self._workloads.get(identifier)
        if found.deployment is None:
            if before is not None:
                self._lose_workload(identifier)
            self._own_by(identifier, found.owner)
            return
        self._own_by(identifier, "")
        if before is None:
            self._workloads[identifier] = _Workload(found, kind)
        elif before.seen == found:
            return
        else:
            # Kept until it is put together anew: then it is seen whether anything came of it.
            self._by_namespace[before.seen.namespace].discard(identifier)
            before.seen = found
        self._by_namespace[found.namespace].add(identifier)
        self._touch((identifier,), fresh=fresh and before is None)
        if before is None:
            self._resolve_under(identifier)

    def _own_by(self, identifier: str, owner: str) -> None:
        if self._owners.put(identifier, owner):
            self._resolve_under(identifier)

    def _resolve_under(self, identifier: str) -> None:
        """Whose the pods beneath are, as it may be known only now."""
        for each in self._owners.beneath(identifier):
            if each in self._pods:
                self._resolve(each)

    def _resolve(self, pod: str) -> None:
        before, now = self._deployment_of.get(pod, ""), self._owners.top(pod, self._workloads)
        if before == now:
            return
        if before:
            self._pods_of[before].discard(pod)
            self._touch((before,))
        if now:
            self._deployment_of[pod] = now
            self._pods_of[now].add(pod)
            self._touch((now,))
        else:
            self._deployment_of.pop(pod, None)
        self._dirty.objects["pod", pod] = None

    def _put_pod(self, identifier: str, found: SeenPod, *, fresh: bool) -> None:
        before = self._pods.get(identifier)
        if before == found:
            return
        if before is not None:
            self._forget_addresses(identifier, before)
        self._pods[identifier] = found
        for each in (*found.pod.terminated_instances, *found.pod.live_instances):
            if each.container_id:
                self.containers[each.container_id] = (identifier, each.container_name)
        if not found.host_network:
            self.pod_ips.update(dict.fromkeys(found.pod.ips, identifier))
        if found.workload is not None:
            self._put_workload("Pod", identifier, found.workload, fresh=fresh)
        else:
            self._own_by(identifier, found.owner)
        self._resolve(identifier)
        if before is None or before.pod != found.pod:
            self._dirty.objects["pod", identifier] = None
        if before is None or before.images != found.images:
            self._touch([self.deployment_of(identifier)])

    def _forget_addresses(self, identifier: str, seen: SeenPod) -> None:
        for each in (*seen.pod.terminated_instances, *seen.pod.live_instances):
            self.containers.pop(each.container_id, None)
        for ip in seen.pod.ips:
            if self.pod_ips.get(ip) == identifier:
                del self.pod_ips[ip]

    def _put_service(self, identifier: str, found: SeenService) -> None:
        self._put("service", identifier, found.service)
        namespace = found.service.namespace
        self._touch(self.selected(namespace, self.ways.put_service(identifier, found)))

    def _put_ingress(self, identifier: str, found: SeenIngress) -> None:
        self._put("service", identifier, found.service)
        namespace = found.service.namespace
        self._touch(self.selected(namespace, self.ways.put_ingress(identifier, found)))

    def selected(self, namespace: str, selectors: list[dict[str, str]]) -> list[str]:
        """Workloads of a namespace with what any of these select."""
        found = []
        for each in self._by_namespace.get(namespace, ()):
            deployment = self._workloads[each].seen.deployment
            if deployment is not None and any(selects(one, deployment.pod_labels) for one in selectors):
                found.append(each)
        return found

    def _put_policy(self, identifier: str, found: ClusterNetworkPolicy) -> None:
        self._policies[found.namespace][identifier] = found
        self._put("networkpolicy", identifier, found)
        self._touch(self._by_namespace.get(found.namespace, ()))

    def _put_binding(self, identifier: str, found: SeenBinding) -> None:
        self._rights.put_binding(identifier, found)
        self._put("binding", identifier, found.binding)
        self._dirty.objects["binding", identifier] = None

    def _bindings_changed(self, bindings: Iterable[str]) -> None:
        self._dirty.objects.update({("binding", each): None for each in bindings})

    def _using(self, namespace: str, account: str) -> list[str]:
        """Workloads that run as a service account."""
        return [
            each
            for each in self._by_namespace.get(namespace, ())
            if (deployment := self._workloads[each].seen.deployment) is not None
            and deployment.service_account == account
        ]

    def _put_pull(self, identifier: str, found: PullSecret | None, *, made: bool = False) -> None:
        before = self._pulls.pop(identifier, None)
        self._made_pulls.discard(identifier)
        if found is not None:
            self._pulls[identifier] = found
            if made:
                self._made_pulls.add(identifier)
        if before != found and not made:
            self._dirty.pull_secrets = True

    def _gone(self, kind: str, identifier: str) -> None:
        if identifier not in self._of_kind[kind]:
            return
        self._of_kind[kind].discard(identifier)
        if kind == "Pod":
            self._lose_pod(identifier)
        elif identifier in self._workloads:
            self._lose_workload(identifier)
        self._own_by(identifier, "")
        self.mirrors.sets.pop(identifier, None)
        for central, there in self._objects.items():
            if (found := there.pop(identifier, None)) is not None:
                self._dirty.objects[central, identifier] = None
                self._lose(identifier, found)

    def _lose(self, identifier: str, found: Part) -> None:
        namespace = getattr(found, "namespace", "")
        if isinstance(found, Namespace):
            self._namespaces.pop(found.name, None)
            self._touch(self._by_namespace.get(found.name, ()))
        elif isinstance(found, ClusterNetworkPolicy):
            self._policies[namespace].pop(identifier, None)
            self._touch(self._by_namespace.get(namespace, ()))
        elif isinstance(found, ServiceAccount):
            self._accounts.pop((namespace, found.name), None)
        elif isinstance(found, K8sRole):
            self._bindings_changed(self._rights.lose_role(found))
        elif isinstance(found, K8sRoleBinding):
            self._rights.lose_binding(identifier)
        elif isinstance(found, Service):
            self._touch(self.selected(namespace, self.ways.lose(identifier, namespace)))
        elif isinstance(found, Secret):
            self._put_pull(identifier, None)

    def _lose_pod(self, identifier: str) -> None:
        found = self._pods.pop(identifier, None)
        if found is None:
            return
        self._forget_addresses(identifier, found)
        deployment = self._deployment_of.pop(identifier, "")
        self._pods_of[deployment].discard(identifier)
        self._dirty.objects["pod", identifier] = None
        if identifier in self._workloads:
            self._lose_workload(identifier)
        self._touch([deployment])

    def _lose_workload(self, identifier: str) -> None:
        found = self._workloads.pop(identifier)
        self._by_namespace[found.seen.namespace].discard(identifier)
        self._dirty.objects["deployment", identifier] = None
        self._dirty.deployments[identifier] = False
        for pod in self._pods_of.pop(identifier, set()):
            self._deployment_of.pop(pod, None)
            self._dirty.objects["pod", pod] = None

    def _assemble(self, workload: _Workload, pods: Iterable[str] | None = None) -> None:
        base = workload.seen.deployment
        assert base is not None
        there = self._pods_of.get(base.id, ()) if pods is None else pods
        namespace = self._namespaces.get(base.namespace)
        account = self._accounts.get((base.namespace, base.service_account))
        automount = workload.seen.automount
        if automount is None:
            automount = True if account is None else account.automount_token
        services = self.ways.services(base.namespace, base.pod_labels)
        ingresses = self.ways.ingresses(base.namespace)
        orchestrator = _ORCHESTRATOR.fullmatch(base.namespace) is not None
        workload.whole = msgspec.structs.replace(
            base,
            namespace_id="" if namespace is None else namespace.id,
            cluster_id=self.cluster_id,
            cluster_name=self.cluster_name,
            containers=running(base.containers, (self._pods[each] for each in there)),
            ports=exposed(base.ports, services, ingresses),
            service_account_permission_level=self._rights.level((base.namespace, base.service_account)),
            automount_service_account_token=automount,
            orchestrator_component=orchestrator,
            platform_component=orchestrator or base.namespace == self._own,
        )
        workload.around = Surroundings(
            network_policies=applying(self._policies.get(base.namespace, {}).values(), base.pod_labels),
            cluster_labels=self.cluster_labels,
            namespace_labels={} if namespace is None else namespace.labels,
        )
