"""Selectors, network policies and exposures."""

from __future__ import annotations

from typing import Any

import pytest

from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.model.workload import Port
from redoubt.networkpolicies.selectors import applying, matches, selects
from redoubt.sensor.conversion import objects
from redoubt.sensor.graph.exposures import exposed
from redoubt.sensor.graph.owners import Owners

LABELS = {"app": "shop", "tier": "front"}


@pytest.mark.parametrize(
    ("selector", "takes"),
    [
        ({}, True),
        ({"matchLabels": {"app": "shop"}}, True),
        ({"matchLabels": {"app": "other"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["shop", "b"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["shop"]}]}, False),
        ({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["shop"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "Later"}]}, False),
        ({"matchLabels": {"app": "shop"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}, False),
        ({"matchLabels": 5, "matchExpressions": "odd"}, True),
    ],
)
def test_a_label_selector(selector: dict[str, Any], takes: bool) -> None:
    assert matches(selector, LABELS) is takes


def test_a_service_without_a_selector_leads_nowhere() -> None:
    assert not selects({}, LABELS)
    assert selects({"app": "shop"}, LABELS)


@pytest.mark.parametrize(
    ("spec", "ingress", "egress"),
    [
        ({"podSelector": {}}, True, False),
        ({"podSelector": {}, "egress": [{}]}, True, True),
        ({"podSelector": {}, "policyTypes": ["Egress"]}, False, True),
        ({"podSelector": {"matchLabels": {"app": "other"}}}, False, False),
    ],
)
def test_which_directions_a_network_policy_limits(spec: dict[str, Any], ingress: bool, egress: bool) -> None:
    found = applying([ClusterNetworkPolicy(id="1", name="one", spec=spec)], LABELS)
    assert (found.ingress, found.egress) == (ingress, egress)
    assert bool(found.names) is (ingress or egress)


def _service(kind: str = "ClusterIP", **more: Any) -> objects.SeenService:
    ports = [{"port": 80, "targetPort": "http", "nodePort": 30080}]
    spec = {"type": kind, "clusterIP": "10.0.0.7", "selector": {"app": "shop"}, "ports": ports, **more}
    return objects.service({"metadata": {"uid": "s", "name": "till", "namespace": "shop"}, "spec": spec})


@pytest.mark.parametrize(
    ("kind", "level"), [("ClusterIP", "INTERNAL"), ("NodePort", "NODE"), ("LoadBalancer", "EXTERNAL")]
)
def test_a_service_makes_a_port_reachable(kind: str, level: str) -> None:
    (port,) = exposed([Port(name="http", container_port=8080, protocol="TCP")], [_service(kind)], [])
    assert port.exposure == level
    assert [(each.level, each.service_name, each.service_port) for each in port.exposure_infos] == [
        (level, "till", 80)
    ]


def test_a_port_that_no_container_declares_is_there_by_its_service() -> None:
    service = _service(ports=[{"port": 443, "targetPort": 8443}])
    (port,) = exposed([], [service], [])
    assert (port.container_port, port.exposure) == (8443, "INTERNAL")


def test_another_protocol_is_another_port() -> None:
    udp = Port(name="http", container_port=8080, protocol="UDP")
    assert exposed([udp], [_service()], []) == (udp,)


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_an_ingress_leads_to_a_port_as_a_route_does(version: str) -> None:
    backend = (
        {"service": {"name": "till", "port": {"number": 80}}}
        if version == "v1"
        else {"serviceName": "till", "servicePort": 80}
    )
    rule = {"host": "shop.example", "http": {"paths": [{"path": "/", "backend": backend}]}}
    ingress = objects.ingress(
        {"kind": "Ingress", "metadata": {"uid": "i", "name": "in"}, "spec": {"rules": [rule]}}
    )
    ports = [Port(name="http", container_port=8080, protocol="TCP")]
    (port,) = exposed(ports, [_service()], [ingress])
    assert port.exposure == "ROUTE"
    assert port.exposure_infos[1].external_hostnames == ("shop.example",)


def test_a_circle_of_owners_ends() -> None:
    owners = Owners()
    owners.put("a", "b")
    owners.put("b", "a")
    assert owners.top("a", {"c"}) == ""
    assert "b" in set(owners.beneath("a"))
