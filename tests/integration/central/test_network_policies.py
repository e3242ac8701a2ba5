"""What network policies let through and would let through, as callers ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from redoubt.central.activity.following import ActivityFollower
from redoubt.central.services import Services
from redoubt.model.cluster import ClusterNetworkPolicy, Namespace, Pod
from redoubt.model.workload import Container, Deployment, Port
from support.activity import BASE, SHOP
from support.alerts import CLUSTER, OTHER
from support.centrals import PASSWORD, Central, authorized
from support.clusters import add_cluster, add_objects

pytestmark = pytest.mark.usefixtures("cheap_passwords")
Migrated = Callable[[str], str]

TILL = "00000000-0000-4000-8000-00000000000c"
INTERNET = "afa12424-bde3-4313-b810-bb463cbe8f90"
HTTP = Port(name="http", container_port=8080, protocol="TCP")
DENY = ClusterNetworkPolicy(
    id="np-deny", name="deny", namespace="web", cluster_id=str(CLUSTER.id), spec={"podSelector": {}}
)
ADDED = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: shop, namespace: web}
spec:
  podSelector: {matchLabels: {app: shop}}
  ingress:
  - from: [{namespaceSelector: {matchLabels: {team: data}}}]
    ports: [{port: http}]
"""


class WithPolicies(Central):
    async def equip(self, services: Services) -> None:
        own = str(CLUSTER.id)
        await add_cluster(services.pool, CLUSTER)
        await add_cluster(services.pool, OTHER)
        await add_objects(
            services.pool,
            CLUSTER,
            Deployment(id=SHOP, name="shop", namespace="web", cluster_id=own, pod_labels={"app": "shop"},
                       containers=(Container(name="main", ports=(HTTP,)),)),
            Deployment(id=TILL, name="till", namespace="web", cluster_id=own, pod_labels={"app": "till"}),
            Deployment(id=BASE, name="base", namespace="db", cluster_id=own, pod_labels={"app": "base"}),
            Namespace(id="ns-db", name="db", cluster_id=own, labels={"team": "data"}),
            Pod(id="pod-base", name="base-1", namespace="db", deployment_id=BASE, ips=("10.1.0.9",)),
            DENY,
        )  # fmt: skip

    async def call(self, method: str, path: str, status: int = 200, body: Any = None, **more: Any) -> Any:
        more.setdefault("auth", ("admin", PASSWORD))
        answer = await self.http.request(
            method, path if path.startswith("/v1") else f"/v1/networkpolicies{path}", json=body, **more
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    async def simulate(self, status: int = 200, yaml: str = "", **more: Any) -> Any:
        body = {"applyYaml": yaml, "toDelete": more.pop("delete", [])}
        asked = {"includeNodeDiff": True, "includePorts": True, **more.pop("params", {})}
        return await self.call("POST", f"/simulate/{CLUSTER.id}", status, body, params=asked, **more)


def asking(migrated: Migrated, folder: Path, work: Callable[[WithPolicies], Awaitable[None]]) -> None:
    url = migrated("redoubt.central.migrations")

    async def running() -> None:
        async with WithPolicies(url, folder) as central:
            await work(central)

    asyncio.run(asyncio.wait_for(running(), 240))


def drawn(graph: Any) -> dict[str, dict[str, list[tuple[str, int]]]]:
    """By identifier: to whom, and at which ports."""
    nodes = graph["nodes"]
    return {
        node["entity"]["id"]: {
            nodes[int(at)]["entity"]["id"]: [(each["protocol"], each["port"]) for each in edge["properties"]]
            for at, edge in node["outEdges"].items()
        }
        for node in nodes
    }


def test_what_policies_let_through_now(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        path = f"/cluster/{CLUSTER.id}"
        graph = await central.call("GET", path)
        assert drawn(graph) == {SHOP: {}, TILL: {}, BASE: {}, INTERNET: {}}
        nodes = {each["entity"]["id"]: each for each in graph["nodes"]}
        assert [
            (each["policyIds"], each["nonIsolatedIngress"], each["nonIsolatedEgress"], each["internetAccess"])
            for each in (nodes[SHOP], nodes[BASE])
        ] == [(["np-deny"], False, True, True), ([], True, True, True)]
        graph = await central.call(
            "GET", path, params={"query": "Namespace:db", "scope.query": "Namespace:db"}
        )
        assert list(drawn(graph)) == [BASE, INTERNET]
        graph = await central.call("GET", path, params={"query": "Deployment:till"})
        assert [each["queryMatch"] for each in graph["nodes"]].count(True) == 1
        await central.call("GET", f"/cluster/{SHOP}", 404)
        found = await central.call(
            "GET", "", params={"clusterId": str(CLUSTER.id), "deploymentQuery": "Deployment:shop"}
        )
        (one,) = found["networkPolicies"]
        assert (one["id"], one["spec"]["policyTypes"]) == ("np-deny", ["INGRESS_NETWORK_POLICY_TYPE"])
        assert "name: deny" in one["yaml"]
        found = await central.call(
            "GET", "", params={"clusterId": str(CLUSTER.id), "deploymentQuery": "Deployment:base"}
        )
        assert found == {"networkPolicies": []}

    asking(migrated, tmp_path, work)


def test_what_others_would_let_through(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        answer = await central.simulate(yaml=ADDED)
        assert drawn(answer["simulatedGraph"])[BASE] == {SHOP: [("L4_PROTOCOL_TCP", 8080)]}
        assert [(each["status"], each["policy"]["name"]) for each in answer["policies"]] == [
            ("UNCHANGED", "deny"),
            ("ADDED", "shop"),
        ]
        added = answer["added"]["nodeDiffs"]
        assert added[BASE]["outEdges"] == {
            SHOP: {"properties": [{"port": 8080, "protocol": "L4_PROTOCOL_TCP"}]}
        }
        assert added[SHOP]["policyIds"] == [answer["policies"][1]["policy"]["id"]]
        assert answer["removed"] == {"nodeDiffs": {}}
        # Nothing was done.
        assert drawn(await central.call("GET", f"/cluster/{CLUSTER.id}"))[BASE] == {}

        answer = await central.simulate(delete=[{"namespace": "web", "name": "deny"}])
        assert [(each["status"], each["policy"], each["oldPolicy"]["id"]) for each in answer["policies"]] == [
            ("DELETED", None, "np-deny")
        ]
        assert answer["added"]["nodeDiffs"][SHOP]["nonIsolatedIngress"]
        assert answer["removed"]["nodeDiffs"][SHOP]["policyIds"] == ["np-deny"]

        changed = ADDED.replace("name: shop", "name: deny")
        answer = await central.simulate(yaml=changed, params={"includeNodeDiff": False})
        (one,) = answer["policies"]
        assert (one["status"], one["policy"]["id"], one["oldPolicy"]["id"]) == (
            "MODIFIED",
            "np-deny",
            "np-deny",
        )
        assert (answer["added"], answer["removed"]) == (None, None)

    asking(migrated, tmp_path, work)


def test_what_is_not_simulated(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        refused = [
            (ADDED.replace(", namespace: web", ""), "names no namespace"),
            (ADDED.replace("namespace: web", "namespace: kube-system"), "not changed from here"),
            (ADDED.replace("kind: NetworkPolicy", "kind: Secret"), "no NetworkPolicy"),
            (ADDED.replace("ingress:", "ingres:"), "no field"),
            (ADDED.replace("port: http", "port: 99999"), "no port"),
            (f"{ADDED}---{ADDED}", "several"),
            (ADDED.replace("name: shop", "name: Shop*"), "no name"),
            ("a: &a [*a]", "no NetworkPolicy"),
            (ADDED.replace("podSelector: {", "podSelector: &a {x: *a, "), "no field"),
            (ADDED.replace("{app: shop}", "&a {app: *a}"), "Expected"),
            ("a: &a [1]\nb: [" + "*a," * 30 + "]", "aliases"),
            ("[" * 5000, "deeper"),
            ("\x01", "cannot be read"),
            ("5", "no object of Kubernetes"),
        ]
        for yaml, reason in refused:
            answer = await central.simulate(400, yaml)
            assert reason in answer["message"], (yaml[:80], answer)
        await central.simulate(413, "x: " + "y" * (10 << 20))
        answer = await central.simulate(400, delete=[{"namespace": "web", "name": "none"}])
        assert "to be deleted" in answer["message"]

    asking(migrated, tmp_path, work)


def test_a_caller_sees_what_his_role_holds_for(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        rules = {"includedNamespaces": [{"clusterName": CLUSTER.name, "namespaceName": "db"}]}
        scope = await central.call("POST", "/v1/simpleaccessscopes", body={"name": "db", "rules": rules})
        everything = await central.call("GET", "/v1/permissionsets")
        admin = next(each["id"] for each in everything["permissionSets"] if each["name"] == "Admin")
        role = {"name": "Data", "permissionSetId": admin, "accessScopeId": scope["id"]}
        await central.call("POST", "/v1/roles/Data", body=role)
        mine: dict[str, Any] = {"auth": None, "headers": authorized(await central.token("Data"))}
        graph = await central.call("GET", f"/cluster/{CLUSTER.id}", **mine)
        assert list(drawn(graph)) == [BASE, INTERNET]
        answer = await central.simulate(yaml=ADDED, **mine)
        assert list(drawn(answer["simulatedGraph"])) == [BASE, INTERNET]
        assert [each["status"] for each in answer["policies"]] == ["ADDED"]
        await central.call("GET", f"/cluster/{OTHER.id}", 404, **mine)

    asking(migrated, tmp_path, work)


def test_the_epoch_is_another_one_when_the_graph_may_be(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        async def epoch(cluster: str = "") -> int:
            found: int = (await central.call("GET", "/graph/epoch", params={"clusterId": cluster}))["epoch"]
            return found

        before = await epoch(str(CLUSTER.id))
        async with central.pool.acquire() as connection:
            await ActivityFollower().changed(connection, CLUSTER, "networkpolicy", [DENY])
            await ActivityFollower().changed(connection, CLUSTER, "pod", [])
        assert await epoch(str(CLUSTER.id)) == before + 1 == await epoch()
        assert await epoch(str(OTHER.id)) == 0

    asking(migrated, tmp_path, work)


def test_the_graph_of_connections_says_which_policies_apply(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        answer = await central.http.get(
            f"/v1/networkgraph/cluster/{CLUSTER.id}",
            params={"includePolicies": True, "scope.query": "Namespace:web"},
            auth=("admin", PASSWORD),
        )
        nodes = {each["entity"]["id"]: each for each in answer.json()["nodes"]}
        assert nodes.keys() == {SHOP, TILL}
        assert (nodes[SHOP]["policyIds"], nodes[SHOP]["nonIsolatedIngress"]) == (["np-deny"], False)

    asking(migrated, tmp_path, work)
