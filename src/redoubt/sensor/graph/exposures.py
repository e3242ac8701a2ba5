"""How a workload's ports are reachable: by services, ingresses and routes, and on the host. Pure.

Rules: StackRox's ``PortConfig``. A service leads to the port that it names, by number or by name; where no container declares
that port, the workload has it all the same. An ingress counts as OpenShift's route does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from redoubt.model.workload import Exposure, Port
from redoubt.sensor.conversion.objects import Backend, SeenIngress, SeenService, Target

#: The further a port is reachable, the later here.
_ORDER = ("UNSET", "INTERNAL", "HOST", "NODE", "ROUTE", "EXTERNAL")
_LEVELS = {"NodePort": "NODE", "LoadBalancer": "EXTERNAL"}


def exposed(
    ports: Sequence[Port], services: Iterable[SeenService], ingresses: Sequence[SeenIngress]
) -> tuple[Port, ...]:
    """A workload's ports with all ways in which they are reachable. ``services`` are those that lead to it."""
    found = list(ports)
    for service in services:
        if service.service.type == "ExternalName":
            continue
        for target in service.targets:
            at = [index for index, port in enumerate(found) if _leads_to(target, port)]
            if not at and isinstance(target.target, int):
                found.append(Port(container_port=target.target, protocol=target.protocol, name=target.name))
                at = [len(found) - 1]
            for index in at:
                for way in _ways(service, target, ingresses):
                    found[index] = _with(found[index], way)
    return tuple(found)


def _leads_to(target: Target, port: Port) -> bool:
    if (port.protocol or "TCP") != target.protocol:
        return False
    return target.target == (port.container_port if isinstance(target.target, int) else port.name)


def _ways(service: SeenService, target: Target, ingresses: Sequence[SeenIngress]) -> Iterable[Exposure]:
    about = service.service
    yield Exposure(
        level=_LEVELS.get(about.type, "EXTERNAL" if about.external_ips else "INTERNAL"),
        service_name=about.name,
        service_port=target.port,
        node_port=target.node_port,
        external_ips=about.external_ips,
        external_hostnames=about.hosts,
    )
    for ingress in ingresses:
        hosts = [
            each.host for each in ingress.backends if each.service == about.name and _is_for(each, target)
        ]
        if hosts:
            yield Exposure(
                level="ROUTE",
                service_name=about.name,
                service_port=target.port,
                external_ips=ingress.service.external_ips,
                external_hostnames=tuple(dict.fromkeys(host for host in hosts if host)),
            )


def _is_for(backend: Backend, target: Target) -> bool:
    """An ingress names the service's port, a route the pod's."""
    return backend.port in (0, target.port, target.name, target.target)


def _with(port: Port, way: Exposure) -> Port:
    return msgspec.structs.replace(
        port,
        exposure=max(port.exposure, way.level, key=_rank),
        exposure_infos=(*port.exposure_infos, way),
    )


def _rank(level: str) -> int:
    return _ORDER.index(level) if level in _ORDER else -1
