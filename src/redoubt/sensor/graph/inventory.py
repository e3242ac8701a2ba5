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
    Namespace,
    Pod,
    PullSecret,
    ServiceAccount,
)
from redoubt.model.workload import Container, ContainerImage, Deployment, Part, Surroundings
from redoubt.sensor.cluster.changes import Change
from redoubt.sensor.conversion.objects import SeenBinding, SeenIngress, SeenSecret, SeenService
from redoubt.sensor.conversion.workloads import RunningImage, SeenPod, SeenWorkload
from redoubt.sensor.graph.exposures import exposed
from redoubt.sensor.graph.permissions import Account, RoleKey, bound_role, levels, role_key
from redoubt.sensor.graph.selectors import applying, selects

#: The cluster's own parts: the original calls their namespaces so.
_ORCHESTRATOR = re.compile(r"kube-.*|openshift-.*")
_DEEPEST = 8

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
        self._owners: dict[str, str] = {}
        self._children: dict[str, set[str]] = defaultdict(set)
        self._pods: dict[str, SeenPod] = {}
        self._pods_of: dict[str, set[str]] = defaultdict(set)
        self._deployment_of: dict[str, str] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._services: dict[str, dict[str, SeenService]] = defaultdict(dict)
        self._ingresses: dict[str, dict[str, SeenIngress]] = defaultdict(dict)
        self._policies: dict[str, dict[str, ClusterNetworkPolicy]] = defaultdict(dict)
        self._accounts: dict[Account, ServiceAccount] = {}
        self._roles: dict[RoleKey, K8sRole] = {}
        self._bindings: dict[str, SeenBinding] = {}
        self._bindings_of: dict[RoleKey, set[str]] = defaultdict(set)
        self._levels: dict[Account, str] = {}
        self._rights_changed = False
        self._pulls: dict[str, PullSecret] = {}
        self._dirty = Dirty()
        self._stale: dict[str, bool] = {}
        #: Containers that run, by the runtime's identifier: the pod's UID, and the container's name.
        self.containers: dict[str, tuple[str, str]] = {}
        #: Addresses of pods that have their own, by UID; and of services.
        self.pod_ips: dict[str, str] = {}
        self.service_ips: dict[str, str] = {}

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
            seen = self._bindings[identifier]
            role = self._roles.get(bound_role(seen))
            found = msgspec.structs.replace(found, role_id="" if role is None else role.id)
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

    def deployment_of(self, pod: str) -> str:
        """Which workload a pod is of; empty where that is not known."""
        return self._deployment_of.get(pod, "")

    def pods_of(self, deployment: str) -> list[Pod]:
        """A workload's pods."""
        return [found for each in self._pods_of.get(deployment, ()) if (found := self.pod(each)) is not None]

    def pod_named(self, namespace: str, name: str) -> Pod | None:
        """A pod by its name."""
        for identifier, seen in self._pods.items():
            if seen.pod.name == name and seen.pod.namespace == namespace:
                return self.pod(identifier)
        return None

    def namespace(self, name: str) -> Namespace | None:
        """A namespace by its name."""
        return self._namespaces.get(name)

    @property
    def namespace_labels(self) -> dict[str, dict[str, str]]:
        """All namespaces' labels."""
        return {name: found.labels for name, found in self._namespaces.items()}

    @property
    def pull_secrets(self) -> list[PullSecret]:
        """All there are."""
        return sorted(self._pulls.values(), key=lambda each: (each.namespace, each.name))

    def pull_secrets_of(self, namespace: str) -> list[PullSecret]:
        """Those of a namespace."""
        return [each for each in self.pull_secrets if each.namespace == namespace]

    def keys(self) -> Iterator[Key]:
        """All that Central is to know of, containers of others first: namespaces before what is in them."""
        order = (
            "namespace",
            "node",
            "serviceaccount",
            "role",
            "binding",
            "networkpolicy",
            "service",
            "secret",
            "configmap",
        )
        for kind in order:
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
            self._put_pull(change.id, found.pull)
        elif isinstance(found, SeenService):
            self._put_service(change.id, found)
        elif isinstance(found, SeenIngress):
            self._put_ingress(change.id, found)
        elif isinstance(found, SeenBinding):
            self._put_binding(change.id, found)
        elif isinstance(found, K8sRole):
            self._put("role", change.id, found)
            self._roles[role_key(found)] = found
            self._role_changed(role_key(found))
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
        elif isinstance(found, ClusterNode):
            self._put("node", change.id, found)
        elif isinstance(found, ConfigMap):
            self._put("configmap", change.id, found)

    def drain(self) -> Dirty:
        """What changed since the last time."""
        if self._rights_changed:
            self._rights_changed = False
            self._weigh_rights()
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
            self._by_namespace[found.namespace].add(identifier)
        elif before.seen == found:
            return
        else:
            # Kept until it is put together anew: then it is seen whether anything came of it.
            before.seen = found
        self._touch((identifier,), fresh=fresh and before is None)
        if before is None:
            self._resolve_under(identifier)

    def _own_by(self, identifier: str, owner: str) -> None:
        before = self._owners.get(identifier, "")
        if before == owner:
            return
        self._children[before].discard(identifier)
        if not self._children[before]:
            del self._children[before]
        if owner:
            self._owners[identifier] = owner
            self._children[owner].add(identifier)
        else:
            self._owners.pop(identifier, None)
        self._resolve_under(identifier)

    def _top(self, identifier: str) -> str:
        for _ in range(_DEEPEST):
            if identifier in self._workloads:
                return identifier
            if not (identifier := self._owners.get(identifier, "")):
                return ""
        return ""

    def _resolve_under(self, identifier: str, depth: int = 0) -> None:
        """Whose the pods beneath are, as it may be known only now."""
        for each in tuple(self._children.get(identifier, ())):
            if each in self._pods:
                self._resolve(each)
            elif depth < _DEEPEST:
                self._resolve_under(each, depth + 1)

    def _resolve(self, pod: str) -> None:
        before, now = self._deployment_of.get(pod, ""), self._top(pod)
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
        for each in found.pod.live_instances:
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
        for each in seen.pod.live_instances:
            self.containers.pop(each.container_id, None)
        for ip in seen.pod.ips:
            if self.pod_ips.get(ip) == identifier:
                del self.pod_ips[ip]

    def _put_service(self, identifier: str, found: SeenService) -> None:
        there = self._services[found.service.namespace]
        before = there.get(identifier)
        there[identifier] = found
        self._put("service", identifier, found.service)
        for ip in () if before is None else before.service.cluster_ips:
            self.service_ips.pop(ip, None)
        self.service_ips.update(dict.fromkeys(found.service.cluster_ips, identifier))
        if before != found:
            selectors = [each.service.selector for each in (before, found) if each is not None]
            self._touch(self._selected(found.service.namespace, selectors))

    def _put_ingress(self, identifier: str, found: SeenIngress) -> None:
        there = self._ingresses[found.service.namespace]
        before = there.get(identifier)
        there[identifier] = found
        self._put("service", identifier, found.service)
        if before != found:
            self._touch(self._behind(found, before))

    def _behind(self, *ingresses: SeenIngress | None) -> list[str]:
        """Workloads whose services an ingress leads to."""
        found: list[str] = []
        for ingress in ingresses:
            if ingress is None:
                continue
            names = {each.service for each in ingress.backends}
            namespace = ingress.service.namespace
            services = self._services.get(namespace, {}).values()
            selectors = [each.service.selector for each in services if each.service.name in names]
            found += self._selected(namespace, selectors)
        return found

    def _selected(self, namespace: str, selectors: list[dict[str, str]]) -> list[str]:
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
        before = self._bindings.get(identifier)
        if before == found:
            return
        if before is not None:
            self._bindings_of[bound_role(before)].discard(identifier)
        self._bindings[identifier] = found
        self._bindings_of[bound_role(found)].add(identifier)
        self._put("binding", identifier, found.binding)
        self._rights_changed = True

    def _role_changed(self, key: RoleKey) -> None:
        self._rights_changed = True
        self._dirty.objects.update({("binding", each): None for each in self._bindings_of.get(key, ())})

    def _weigh_rights(self) -> None:
        before, self._levels = self._levels, levels(self._roles, self._bindings.values())
        for account in before.keys() | self._levels.keys():
            if before.get(account, "NONE") != self._levels.get(account, "NONE"):
                self._touch(self._using(*account))

    def _using(self, namespace: str, account: str) -> list[str]:
        """Workloads that run as a service account."""
        return [
            each
            for each in self._by_namespace.get(namespace, ())
            if (deployment := self._workloads[each].seen.deployment) is not None
            and deployment.service_account == account
        ]

    def _put_pull(self, identifier: str, found: PullSecret | None) -> None:
        before = self._pulls.pop(identifier, None)
        if found is not None:
            self._pulls[identifier] = found
        if before != found:
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
            self._roles.pop(role_key(found), None)
            self._role_changed(role_key(found))
        elif (binding := self._bindings.pop(identifier, None)) is not None:
            self._bindings_of[bound_role(binding)].discard(identifier)
            self._rights_changed = True
        elif (service := self._services[namespace].pop(identifier, None)) is not None:
            for ip in service.service.cluster_ips:
                self.service_ips.pop(ip, None)
            self._touch(self._selected(namespace, [service.service.selector]))
        elif (ingress := self._ingresses[namespace].pop(identifier, None)) is not None:
            self._touch(self._behind(ingress))
        else:
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
        services = [
            each
            for each in self._services.get(base.namespace, {}).values()
            if selects(each.service.selector, base.pod_labels)
        ]
        ingresses = list(self._ingresses.get(base.namespace, {}).values())
        orchestrator = _ORCHESTRATOR.fullmatch(base.namespace) is not None
        workload.whole = msgspec.structs.replace(
            base,
            namespace_id="" if namespace is None else namespace.id,
            cluster_id=self.cluster_id,
            cluster_name=self.cluster_name,
            containers=self._resolved(base.containers, there),
            ports=exposed(base.ports, services, ingresses),
            service_account_permission_level=self._levels.get((base.namespace, base.service_account), "NONE"),
            automount_service_account_token=automount,
            orchestrator_component=orchestrator,
            platform_component=orchestrator or base.namespace == self._own,
        )
        workload.around = Surroundings(
            network_policies=applying(self._policies.get(base.namespace, {}).values(), base.pod_labels),
            cluster_labels=self.cluster_labels,
            namespace_labels={} if namespace is None else namespace.labels,
        )

    def _resolved(self, containers: tuple[Container, ...], pods: Iterable[str]) -> tuple[Container, ...]:
        """Containers with the digests of what their pods run: the newest pod's."""
        running: dict[tuple[str, str], RunningImage] = {}
        for pod in sorted((self._pods[each] for each in pods), key=_age):
            for each in pod.images:
                running[each.container, each.image] = each
        return tuple(_with_digest(each, running) for each in containers)


def _age(seen: SeenPod) -> tuple[bool, float, str]:
    started = seen.pod.started
    return (started is not None, 0.0 if started is None else started.timestamp(), seen.pod.id)


def _with_digest(container: Container, running: dict[tuple[str, str], RunningImage]) -> Container:
    image = container.image
    if image is None or image.name is None:
        return container
    found = running.get((container.name, image.name.full_name))
    if found is None:
        asked_for = image.name.full_name.partition("@")[2]
        if not asked_for:
            return container
        return msgspec.structs.replace(container, image=ContainerImage(id=asked_for, name=image.name))
    known = ContainerImage(id=found.digest, name=image.name, not_pullable=not found.pullable)
    return msgspec.structs.replace(container, image=known)
