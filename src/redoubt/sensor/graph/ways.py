"""Services, ingresses and routes, by namespace, and which of them lead to a workload. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from redoubt.networkpolicies.selectors import selects
from redoubt.sensor.conversion.objects import SeenIngress, SeenService

Selector = dict[str, str]


class Ways:
    """All ways into workloads. What changes gives the selectors of the services that it is about."""

    def __init__(self) -> None:
        self._services: dict[str, dict[str, SeenService]] = defaultdict(dict)
        self._ingresses: dict[str, dict[str, SeenIngress]] = defaultdict(dict)
        #: UIDs of services, by their addresses.
        self.ips: dict[str, str] = {}

    def put_service(self, identifier: str, seen: SeenService) -> list[Selector]:
        """A service came or changed."""
        there = self._services[seen.service.namespace]
        before = there.get(identifier)
        if before == seen:
            return []
        there[identifier] = seen
        if before is not None:
            self._forget_ips(before)
        self.ips.update(dict.fromkeys(seen.service.cluster_ips, identifier))
        return [each.service.selector for each in (before, seen) if each is not None]

    def put_ingress(self, identifier: str, seen: SeenIngress) -> list[Selector]:
        """An ingress or route came or changed."""
        there = self._ingresses[seen.service.namespace]
        before = there.get(identifier)
        if before == seen:
            return []
        there[identifier] = seen
        return [*self._behind(seen), *(self._behind(before) if before is not None else ())]

    def lose(self, identifier: str, namespace: str) -> list[Selector]:
        """A service, ingress or route went, if it was one."""
        if (service := self._services[namespace].pop(identifier, None)) is not None:
            self._forget_ips(service)
            return [service.service.selector]
        if (ingress := self._ingresses[namespace].pop(identifier, None)) is not None:
            return self._behind(ingress)
        return []

    def service(self, identifier: str) -> SeenService | None:
        """By its UID."""
        return next((there[identifier] for there in self._services.values() if identifier in there), None)

    def services(self, namespace: str, labels: Mapping[str, str]) -> list[SeenService]:
        """Those that lead to pods with these labels."""
        there = self._services.get(namespace, {}).values()
        return [each for each in there if selects(each.service.selector, labels)]

    def ingresses(self, namespace: str) -> list[SeenIngress]:
        """All of a namespace."""
        return list(self._ingresses.get(namespace, {}).values())

    def _behind(self, ingress: SeenIngress) -> list[Selector]:
        names = {each.service for each in ingress.backends}
        there = self._services.get(ingress.service.namespace, {}).values()
        return [each.service.selector for each in there if each.service.name in names]

    def _forget_ips(self, seen: SeenService) -> None:
        for ip in seen.service.cluster_ips:
            self.ips.pop(ip, None)
