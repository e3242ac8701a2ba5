"""Network policies that are generated out of what was seen, compared, applied and undone, as callers ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
import yaml

from redoubt.central.activity.baselines import Baselines
from redoubt.central.activity.receiving import RecordReceiver
from redoubt.central.hub.parts import Hub
from redoubt.central.refusals import FailedPrecondition
from redoubt.central.services import Services
from redoubt.model.cluster import AppliedPolicies, Namespace, PoliciesToApply, PolicyReference
from redoubt.model.workload import Container, Deployment, LabelSelector, Port
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.activity import BASE, SHOP, flow, outside, told
from support.alerts import CLUSTER, OTHER
from support.centrals import PASSWORD, Central, authorized
from support.clusters import add_cluster, add_objects

pytestmark = pytest.mark.usefixtures("cheap_passwords")
Migrated = Callable[[str], str]

TILL = "00000000-0000-4000-8000-00000000000c"
SYSTEM = "00000000-0000-4000-8000-00000000000d"
NEW = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: new, namespace: web}
spec: {podSelector: {}}
"""


class StandInForASensor:
    """Says what a Sensor would that had everything done, or that could not."""

    def __init__(self) -> None:
        self.asked: list[PoliciesToApply] = []
        self.failure = ""

    async def request(self, cluster: UUID, request: pb.Request, *, patience: float) -> bytes:
        assert cluster == CLUSTER.id
        self.asked.append(msgspec.json.decode(request.apply_network_policies, type=PoliciesToApply))
        if self.failure:
            raise FailedPrecondition(self.failure)
        made = tuple(PolicyReference(**each["metadata"]) for each in self.asked[-1].policies)
        old = {"metadata": {"name": "old", "namespace": "web"}, "spec": {"podSelector": {}}}
        restore = ({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", **old},)
        return msgspec.json.encode(
            AppliedPolicies(restore=restore if self.asked[-1].delete else (), delete=made)
        )


class WithChanges(Central):
    async def equip(self, services: Services) -> None:
        self.sensor = StandInForASensor()
        services.hub = cast(Hub, SimpleNamespace(pusher=self.sensor))
        services.baselines = Baselines(services.pool)
        await add_cluster(services.pool, CLUSTER)
        await add_cluster(services.pool, OTHER)
        http = Port(name="http", container_port=8080, protocol="TCP", exposure="EXTERNAL")
        given: list[dict[str, Any]] = [
            {"id": SHOP, "name": "shop", "namespace": "web", "label_selector": LabelSelector(match_labels={"app": "shop"}),
             "pod_labels": {"app": "shop", "version": "2"}},
            {"id": BASE, "name": "base", "namespace": "db", "pod_labels": {"app": "base"}},
            {"id": TILL, "name": "till", "namespace": "web", "pod_labels": {"app": "till"},
             "containers": (Container(name="main", ports=(http,)),), "ports": (http,)},
            {"id": SYSTEM, "name": "dns", "namespace": "kube-system", "pod_labels": {"app": "dns"}},
        ]  # fmt: skip
        for each in given:
            await add_objects(services.pool, CLUSTER, Deployment(cluster_id=str(CLUSTER.id), **each))
        await add_objects(
            services.pool,
            CLUSTER,
            Namespace(id="ns-web", name="web", labels={"kubernetes.io/metadata.name": "web"}),
            Namespace(id="ns-db", name="db", labels={"tier": "data"}),
        )

    async def seen(self, *records: Any) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await RecordReceiver().take(connection, CLUSTER, told(*records))

    async def call(self, method: str, path: str, status: int = 200, body: Any = None, **more: Any) -> Any:
        more.setdefault("auth", ("admin", PASSWORD))
        path = path if path.startswith("/v1") else f"/v1/networkpolicies{path}"
        answer = await self.http.request(method, path, json=body, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def generated(self, **asked: Any) -> tuple[dict[str, Any], list[Any]]:
        """Policies by name, and what would be deleted."""
        found = (await self.call("GET", f"/generate/{CLUSTER.id}", params=asked))["modification"]
        made = {each["metadata"]["name"]: each for each in yaml.safe_load_all(found["applyYaml"])}
        return made, found["toDelete"]

    async def apply(
        self, status: int = 200, text: str = NEW, *delete: str, path: str = "", **more: Any
    ) -> Any:
        body: dict[str, Any] = {
            "applyYaml": text,
            "toDelete": [{"namespace": "web", "name": each} for each in delete],
        }
        if path:
            return await self.call("POST", path, status, {"modification": body}, **more)
        return await self.call("POST", f"/apply/{CLUSTER.id}", status, body, **more)


def asking(migrated: Migrated, folder: Path, work: Callable[[WithChanges], Awaitable[None]]) -> None:
    url = migrated("redoubt.central.migrations")

    async def running() -> None:
        async with WithChanges(url, folder) as central:
            await work(central)

    asyncio.run(asyncio.wait_for(running(), 240))


def test_policies_let_in_who_was_seen(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithChanges) -> None:
        await central.seen(flow(BASE, SHOP, 443), flow(TILL, SHOP, 8443), flow(SHOP, BASE, 5432))
        made, deleted = await central.generated(includePorts=True)
        assert made.keys() == {
            "stackrox-generated-shop",
            "stackrox-generated-base",
            "stackrox-generated-till",
        }
        assert deleted == []
        shop = made["stackrox-generated-shop"]
        assert shop["spec"]["podSelector"] == {"matchLabels": {"app": "shop"}}  # and not the version
        assert shop["spec"]["ingress"] == [
            {
                "ports": [{"protocol": "TCP", "port": 443}],
                "from": [
                    {
                        "podSelector": {"matchLabels": {"app": "base"}},
                        "namespaceSelector": {"matchLabels": {"tier": "data"}},
                    }
                ],
            },
            {
                "ports": [{"protocol": "TCP", "port": 8443}],
                "from": [{"podSelector": {"matchLabels": {"app": "till"}}}],
            },
        ]
        (base,) = made["stackrox-generated-base"]["spec"]["ingress"]
        assert base["from"][0]["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "web"}}
        # From outside of the cluster anybody may come.
        assert made["stackrox-generated-till"]["spec"]["ingress"] == [
            {"ports": [{"protocol": "TCP", "port": 8080}]}
        ]
        made, _ = await central.generated(query="Deployment:shop")
        (rule,) = made["stackrox-generated-shop"]["spec"]["ingress"]
        assert len(rule["from"]) == 2
        assert "ports" not in rule
        # What would be let through is what was seen, and a cluster takes it.
        body = {"applyYaml": yaml.safe_dump_all(made.values())}
        answer = await central.call("POST", f"/simulate/{CLUSTER.id}", body=body)
        nodes = answer["simulatedGraph"]["nodes"]
        shop_at = str([each["entity"]["id"] for each in nodes].index(SHOP))
        assert {each["entity"]["id"] for each in nodes if shop_at in each["outEdges"]} == {BASE, TILL}

    asking(migrated, tmp_path, work)


def test_who_is_outside_makes_a_rule_wide(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithChanges) -> None:
        await central.call(
            "POST",
            f"/v1/networkgraph/cluster/{CLUSTER.id}/externalentities",
            body={"entity": {"name": "office", "cidr": "198.51.100.0/24"}},
        )
        await central.seen(flow(outside("198.51.100.7"), SHOP, 443))
        made, _ = await central.generated(query="Deployment:shop")
        assert made["stackrox-generated-shop"]["spec"]["ingress"] == [
            {"from": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]}
        ]
        await central.seen(flow(outside("203.0.113.7"), SHOP, 443))
        made, _ = await central.generated(query="Deployment:shop")
        assert made["stackrox-generated-shop"]["spec"]["ingress"] == [{}]

    asking(migrated, tmp_path, work)


def test_what_has_a_policy_gets_none_unless_that_is_deleted(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithChanges) -> None:
        from redoubt.model.cluster import ClusterNetworkPolicy

        label = {"network-policy-generator.stackrox.io/generated": "true"}
        await add_objects(
            central.pool,
            CLUSTER,
            ClusterNetworkPolicy(id="np-1", name="hand", namespace="web", spec={"podSelector": {"matchLabels": {"app": "till"}}}),
            ClusterNetworkPolicy(id="np-2", name="stackrox-generated-shop", namespace="web", labels=label,
                                 spec={"podSelector": {"matchLabels": {"app": "shop"}}}),
        )  # fmt: skip
        made, deleted = await central.generated()
        assert (made.keys(), deleted) == ({"stackrox-generated-base"}, [])
        made, deleted = await central.generated(deleteExisting="GENERATED_ONLY")
        assert made.keys() == {"stackrox-generated-base", "stackrox-generated-shop"}
        assert deleted == [{"namespace": "web", "name": "stackrox-generated-shop"}]
        made, deleted = await central.generated(deleteExisting="ALL")
        assert (len(made), [each["name"] for each in deleted]) == (3, ["hand", "stackrox-generated-shop"])
        await central.call("GET", f"/generate/{CLUSTER.id}", 400, params={"deleteExisting": "SOME"})

    asking(migrated, tmp_path, work)


def test_a_baseline_becomes_a_policy_and_is_compared(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithChanges) -> None:
        await central.call("POST", f"/generate/baseline/{SHOP}", 404, {})
        await central.seen(flow(BASE, SHOP, 443))
        answer = await central.call("POST", f"/generate/baseline/{SHOP}", body={"includePorts": True})
        (made,) = yaml.safe_load_all(answer["modification"]["applyYaml"])
        assert made["metadata"]["name"] == "stackrox-baseline-generated-shop"
        assert [each["ports"] for each in made["spec"]["ingress"]] == [[{"protocol": "TCP", "port": 443}]]
        assert answer["modification"]["toDelete"] == [
            {"namespace": "web", "name": "stackrox-baseline-generated-shop"}
        ]
        peers = (await central.call("GET", f"/allowedpeers/{SHOP}"))["allowedPeers"]
        assert {(each["entity"]["type"], each["protocol"], each["port"]) for each in peers} == {
            ("DEPLOYMENT", "L4_PROTOCOL_ANY", 0), ("INTERNET", "L4_PROTOCOL_ANY", 0), ("INTERNAL_ENTITIES", "L4_PROTOCOL_ANY", 0),
        }  # fmt: skip
        assert {each["ingress"] for each in peers} == {True, False}
        answer = await central.call("GET", f"/baselinecomparison/{SHOP}")
        assert (answer["added"], answer["removed"]) == ([], [])
        (base,) = [each for each in answer["reconciled"] if each["entity"]["id"] == BASE]
        everything = {"port": 0, "protocol": "L4_PROTOCOL_ANY"}
        assert base["added"] == [{"ingress": True, "port": 443, "protocol": "L4_PROTOCOL_TCP"}]
        assert base["removed"] == [{"ingress": True, **everything}]
        assert base["unchanged"] == [{"ingress": False, **everything}]
        await central.call("POST", f"/generate/baseline/{SYSTEM}", 404, {})
        await central.call("GET", "/allowedpeers/none", 404)

    asking(migrated, tmp_path, work)


def test_policies_are_applied_by_the_sensor_and_remembered(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithChanges) -> None:
        await central.call("GET", f"/undo/{CLUSTER.id}", 404)
        await central.apply(200, NEW, "old")
        (asked,) = central.sensor.asked
        assert [each["metadata"]["name"] for each in asked.policies] == ["new"]
        assert asked.delete == (PolicyReference(namespace="web", name="old"),)
        record = (await central.call("GET", f"/undo/{CLUSTER.id}"))["undoRecord"]
        assert (record["user"], record["originalModification"]["applyYaml"]) == ("admin", NEW)
        assert record["undoModification"]["toDelete"] == [{"namespace": "web", "name": "new"}]
        assert yaml.safe_load(record["undoModification"]["applyYaml"])["metadata"]["name"] == "old"

        await central.apply(path=f"/apply/deployment/{SHOP}")
        record = (await central.call("GET", f"/undo/deployment/{SHOP}"))["undoRecord"]
        assert record["undoModification"]["applyYaml"] == ""
        # It has not come back from the cluster yet: undoing makes no difference.
        answer = await central.call("GET", f"/undobaselinecomparison/{SHOP}")
        assert all(not each["added"] and not each["removed"] for each in answer["reconciled"])
        await central.call("GET", f"/undobaselinecomparison/{TILL}", 404)

        central.sensor.failure = "the cluster's Sensor: networkpolicies is forbidden"
        answer = await central.apply(400)
        assert "forbidden" in answer["message"]

    asking(migrated, tmp_path, work)


def test_what_is_not_applied(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithChanges) -> None:
        await central.apply(400, "")
        await central.apply(400, NEW.replace(", namespace: web", ""))
        await central.apply(400, NEW.replace("namespace: web", "namespace: kube-system"))
        await central.apply(400, "", "../../secrets/x")
        await central.call("POST", f"/apply/{SHOP}", 404, {"applyYaml": NEW})
        rules = {"includedNamespaces": [{"clusterName": CLUSTER.name, "namespaceName": "db"}]}
        scope = await central.call("POST", "/v1/simpleaccessscopes", body={"name": "db", "rules": rules})
        everything = await central.call("GET", "/v1/permissionsets")
        admin = next(each["id"] for each in everything["permissionSets"] if each["name"] == "Admin")
        role = {"name": "Data", "permissionSetId": admin, "accessScopeId": scope["id"]}
        await central.call("POST", "/v1/roles/Data", body=role)
        mine: dict[str, Any] = {"auth": None, "headers": authorized(await central.token("Data"))}
        await central.apply(403, **mine)
        await central.apply(404, path=f"/apply/deployment/{SHOP}", **mine)
        assert central.sensor.asked == []
        await central.apply(200, NEW.replace("namespace: web", "namespace: db"), **mine)
        await central.call("GET", f"/undo/{CLUSTER.id}", **mine)
        await central.apply(200)
        await central.call("GET", f"/undo/{CLUSTER.id}", 404, **mine)
        # Who may not name a caller lets in all pods: a policy that is too narrow breaks things.
        await central.seen(flow(SHOP, BASE, 5432))
        found = (await central.call("GET", f"/generate/{CLUSTER.id}", **mine))["modification"]
        (made,) = yaml.safe_load_all(found["applyYaml"])
        assert made["spec"]["ingress"] == [{"from": [{"namespaceSelector": {}, "podSelector": {}}]}]

    asking(migrated, tmp_path, work)


def test_connections_with_what_is_outside_are_listed_address_by_address(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: WithChanges) -> None:
        path = f"/v1/networkgraph/cluster/{CLUSTER.id}/externalentities"
        body = {"entity": {"name": "office", "cidr": "198.51.100.0/24"}}
        office = (await central.call("POST", path, body=body))["info"]["id"]
        await central.seen(
            flow(SHOP, outside("198.51.100.7"), 443),
            flow(SHOP, outside("198.51.100.7"), 80),
            flow(SHOP, outside("203.0.113.9"), 443),
            flow(outside("198.51.100.8"), SHOP, 8080),
            flow(BASE, outside(""), 1),
        )
        answer = await central.call("GET", f"{path}/metadata")
        assert answer["totalEntities"] == 3
        assert [(each["entity"]["id"], each["flowsCount"]) for each in answer["entities"]] == [
            ("198.51.100.7", 2), ("198.51.100.8", 1), ("203.0.113.9", 1),
        ]  # fmt: skip
        assert answer["entities"][0]["entity"]["externalSource"]["discovered"]
        answer = await central.call(
            "GET",
            f"{path}/metadata",
            params={"query": "External Source Address:198.51.100.0/24", "pagination.limit": 1},
        )
        assert (answer["totalEntities"], len(answer["entities"])) == (2, 1)
        answer = await central.call("GET", f"{path}/{office}/flows")
        assert (answer["entity"]["externalSource"]["name"], answer["totalFlows"]) == ("office", 3)
        answer = await central.call("GET", f"{path}/203.0.113.9/flows", params={"query": "Namespace:web"})
        (one,) = answer["flows"]
        assert (one["props"]["srcEntity"]["id"], one["props"]["dstPort"]) == (SHOP, 443)
        assert one["props"]["dstEntity"]["externalSource"]["cidr"] == "203.0.113.9/32"
        await central.call("GET", f"{path}/203.0.113.10/flows", 404)
        await central.call("GET", f"{path}/metadata", 400, params={"query": "Odd:1"})

        await central.pool.execute("UPDATE network_baselines SET learned = now() - interval '1 minute'")
        await central.seen(flow(SHOP, outside("192.0.2.1"), 25))
        path = f"/v1/networkbaseline/{SHOP}/status/external"
        answer = await central.call("GET", path)
        assert (answer["totalBaseline"], answer["totalAnomalous"]) == (4, 1)
        (odd,) = answer["anomalous"]
        assert (odd["peer"]["entity"]["id"], odd["peer"]["port"], odd["status"]) == (
            "192.0.2.1",
            25,
            "ANOMALOUS",
        )
        answer = await central.call(
            "GET", path, params={"query": "External Source Address:198.51.100.7", "pagination.limit": 1}
        )
        assert (len(answer["baseline"]), answer["totalBaseline"], answer["totalAnomalous"]) == (1, 2, 0)

    asking(migrated, tmp_path, work)
