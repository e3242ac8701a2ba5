"""Processes, baselines and the network graph, as callers ask for them and change them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from redoubt.central.activity.baselines import Baselines
from redoubt.central.activity.locking import Locking
from redoubt.central.activity.receiving import RecordReceiver
from redoubt.central.alerts.receiving import AlertReceiver
from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.services import Services
from redoubt.central.store.hub import HubStore, NewSession
from redoubt.model.cluster import BaselineSync, Pod
from redoubt.model.happening import Process
from redoubt.model.workload import Deployment
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.activity import BASE, SHOP, flow, listening, outside, started, told
from support.alerts import CLUSTER, OTHER, deployment, ran, results
from support.centrals import PASSWORD, Central, authorized
from support.clusters import add_cluster, add_objects

pytestmark = pytest.mark.usefixtures("cheap_passwords")
Migrated = Callable[[str], str]
KEY = {"deploymentId": SHOP, "containerName": "main", "clusterId": str(CLUSTER.id), "namespace": "web"}


class Heard:
    """What Sensors are told of baselines."""

    def __init__(self) -> None:
        self.said: list[tuple[UUID, BaselineSync]] = []

    def baselines(self, cluster: UUID, sync: BaselineSync) -> None:
        self.said.append((cluster, sync))


class WithActivity(Central):
    async def equip(self, services: Services) -> None:
        self.heard = Heard()
        services.baselines = Baselines(services.pool, self.heard, timedelta(hours=1))
        await add_cluster(services.pool, CLUSTER)
        await add_cluster(services.pool, OTHER)
        await add_objects(
            services.pool,
            CLUSTER,
            Deployment(id=SHOP, name="shop", namespace="web", cluster_id=str(CLUSTER.id)),
            Deployment(id=BASE, name="base", namespace="db", cluster_id=str(CLUSTER.id)),
        )

    async def take(self, message: pb.FromSensor, cluster: ClusterRef = CLUSTER) -> None:
        receiver = RecordReceiver() if message.HasField("records") else AlertReceiver()
        async with self.pool.acquire() as connection, connection.transaction():
            await receiver.take(connection, cluster, message)

    async def call(self, method: str, path: str, status: int = 200, body: Any = None, **more: Any) -> Any:
        more.setdefault("auth", ("admin", PASSWORD))
        answer = await self.http.request(method, path, json=body, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def learned(self) -> None:
        await self.pool.execute("UPDATE process_baselines SET learned = now() - interval '1 minute'")

    async def baseline(self) -> tuple[list[str], list[str], bool]:
        found = await self.call(
            "GET", "/v1/processbaselines/key", params={f"key.{name}": text for name, text in KEY.items()}
        )
        elements, buried = (
            [each["element"]["processName"] for each in found[name]]
            for name in ("elements", "elementGraveyard")
        )
        return elements, buried, found["userLockedTimestamp"] is not None


def asking(migrated: Migrated, folder: Path, work: Callable[[WithActivity], Awaitable[None]]) -> None:
    url = migrated("redoubt.central.migrations")

    async def running() -> None:
        async with WithActivity(url, folder) as central:
            await work(central)

    asyncio.run(asyncio.wait_for(running(), 240))


def test_processes_are_listed_grouped_and_counted(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithActivity) -> None:
        await central.take(
            told(
                started(args="a"), started(args="a"), started(args="b"), started("/bin/ls", container="side")
            )
        )
        await central.learned()
        await central.take(told(started("/bin/odd")))
        path = f"/v1/processes/deployment/{SHOP}"
        found = (await central.call("GET", path))["processes"]
        assert sorted((each["signal"]["execFilePath"], each["signal"]["args"], each["timesSeen"]) for each in found) == [
            ("/bin/ls", "", 1), ("/bin/odd", "", 1), ("/bin/sh", "a", 2), ("/bin/sh", "b", 1),
        ]  # fmt: skip
        groups = (await central.call("GET", f"{path}/grouped"))["groups"]
        assert [(each["name"], each["timesExecuted"], len(each["groups"])) for each in groups] == [
            ("/bin/ls", 1, 1), ("/bin/odd", 1, 1), ("/bin/sh", 3, 2),
        ]  # fmt: skip
        groups = (await central.call("GET", f"{path}/grouped/container"))["groups"]
        assert [(each["name"], each["containerName"], each["suspicious"]) for each in groups] == [
            ("/bin/ls", "side", False), ("/bin/odd", "main", True), ("/bin/sh", "main", False),
        ]  # fmt: skip
        for query, number in (
            ("", 4),
            ("Process Path:/bin/sh", 2),
            ("Deployment:shop+Namespace:web", 4),
            ("Deployment:base", 0),
        ):
            assert await central.call("GET", "/v1/processcount", params={"query": query}) == {"count": number}
        await central.take(told(listening(), listening(9090), listening(9090, closed=True)))
        answer = await central.call("GET", f"/v1/listening_endpoints/deployment/{SHOP}")
        (one,) = answer["listeningEndpoints"]
        assert (one["endpoint"]["port"], one["signal"]["execFilePath"], one["namespace"]) == (
            8080,
            "/usr/sbin/nginx",
            "web",
        )

    asking(migrated, tmp_path, work)


def test_deployments_are_listed_with_their_containers_baselines(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithActivity) -> None:
        await central.take(told(started("/bin/a"), started("/bin/a", container="side")))
        await central.learned()
        await central.take(told(started("/bin/odd", container="side")))
        await central.call("PUT", "/v1/processbaselines/lock", body={"keys": [KEY], "locked": True})
        found = (await central.call("GET", "/v1/deploymentswithprocessinfo"))["deployments"]
        assert {each["deployment"]["name"]: each["baselineStatuses"] for each in found} == {
            "base": [],
            "shop": [
                {"containerName": "main", "baselineStatus": "LOCKED", "anomalousProcessesExecuted": False},
                {"containerName": "side", "baselineStatus": "UNLOCKED", "anomalousProcessesExecuted": True},
            ],
        }

    asking(migrated, tmp_path, work)


def test_baselines_are_locked_changed_and_learned_anew(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithActivity) -> None:
        await central.call(
            "GET", "/v1/processbaselines/key", 404, params={f"key.{name}": text for name, text in KEY.items()}
        )
        await central.take(told(started("/bin/a"), started("/bin/b")))
        assert await central.baseline() == (["/bin/a", "/bin/b"], [], False)
        change = {
            "keys": [KEY],
            "addElements": [{"processName": "/bin/c"}],
            "removeElements": [{"processName": "/bin/b"}],
        }
        answer = await central.call("PUT", "/v1/processbaselines", body=change)
        assert not answer["errors"]
        await central.take(told(started("/bin/b")))  # removed: it is not learned again
        assert await central.baseline() == (["/bin/a", "/bin/c"], ["/bin/b"], False)
        assert central.heard.said == []  # nobody asks for one that is not locked
        await central.call("PUT", "/v1/processbaselines/lock", body={"keys": [KEY], "locked": True})
        await central.take(told(started("/bin/d")))  # locked: nothing is learned
        assert await central.baseline() == (["/bin/a", "/bin/c"], ["/bin/b"], True)
        ((cluster, sync),) = central.heard.said
        assert cluster == CLUSTER.id
        assert not sync.whole
        assert (sync.processes[0].locked, sync.processes[0].paths) == (True, ("/bin/a", "/bin/c"))
        assert central.services.baselines is not None
        whole = await central.services.baselines.whole(CLUSTER.id)
        assert whole.whole
        assert whole.processes == sync.processes
        assert (await central.services.baselines.whole(OTHER.id)).processes == ()
        gone = {"query": f"Deployment Id:{SHOP}"}
        answer = await central.call("DELETE", "/v1/processbaselines", params=gone)
        assert answer == {"numDeleted": 1, "dryRun": True}
        await central.call("DELETE", "/v1/processbaselines", params={**gone, "confirm": "true"})
        assert await central.baseline() == ([], [], False)
        assert not central.heard.said[-1][1].processes[0].locked
        await central.take(told(started("/bin/b")))
        assert await central.baseline() == (["/bin/b"], [], False)
        await central.call("DELETE", "/v1/processbaselines", 400)
        wrong = await central.call(
            "PUT",
            "/v1/processbaselines/lock",
            body={"keys": [{**KEY, "containerName": "none"}], "locked": True},
        )
        assert len(wrong["errors"]) == 1

    asking(migrated, tmp_path, work)


def test_what_pods_that_are_there_have_started_stays_known_when_a_baseline_is_learned_anew(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: WithActivity) -> None:
        await add_objects(central.pool, CLUSTER, Pod(id="pod-1", name="shop-1", namespace="web"))
        await central.take(
            told(started("/bin/main"), started("/bin/removed"), started("/bin/old", pod_uid="pod-0"))
        )
        await central.call(
            "PUT",
            "/v1/processbaselines",
            body={"keys": [KEY], "removeElements": [{"processName": "/bin/removed"}]},
        )
        await central.learned()
        await central.take(told(started("/bin/odd")))
        gone = {"query": f"Deployment Id:{SHOP}", "confirm": "true"}
        await central.call("DELETE", "/v1/processbaselines", params=gone)
        assert await central.baseline() == (["/bin/main"], [], False)

    asking(migrated, tmp_path, work)


def test_baselines_of_namespaces_are_locked_at_once(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithActivity) -> None:
        await central.take(told(started(), started(container="side"), started(of=BASE, namespace="db")))
        body = {"clusterId": str(CLUSTER.id), "namespaces": ["web"]}
        assert (await central.call("PUT", "/v1/processbaselines/bulk/lock", body=body))["number"] == 2
        body["namespaces"] = []
        assert (await central.call("PUT", "/v1/processbaselines/bulk/unlock", body=body))["number"] == 3
        await central.call("PUT", "/v1/processbaselines/bulk/lock", 400, body={})
        body["namespaces"] = ["web"] + ["elsewhere"] * 1000
        await central.call("PUT", "/v1/processbaselines/bulk/lock", 400, body=body)

    asking(migrated, tmp_path, work)


def test_baselines_are_locked_by_themselves_once_where_the_cluster_says_so(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: WithActivity) -> None:
        baselines = central.services.baselines
        assert baselines is not None

        async def look(locked: int) -> None:
            assert await Locking(baselines, grace=timedelta()).look() == locked

        async def switch(*, on: bool) -> None:
            config = {"autoLockProcessBaselinesConfig": {"enabled": on}}
            await central.call(
                "PUT",
                f"/v1/clusters/{CLUSTER.id}",
                body={"id": str(CLUSTER.id), "name": "shop", "dynamicConfig": config},
            )

        await central.take(told(started("/bin/a")))
        await central.learned()
        await look(0)
        await switch(on=True)
        await look(0)  # its learning was over before
        await central.take(told(started("/bin/a", container="side")))
        await look(0)  # it is being learned
        await central.pool.execute("UPDATE process_baselines SET learned = now() WHERE container = 'side'")
        await look(0)  # no Sensor that could be told
        await HubStore(central.pool).begin(
            NewSession(
                cluster=CLUSTER.id, holder=uuid4(), spool="s", version="1", capabilities="", bundle="",
                identification="{}",
            )
        )  # fmt: skip
        assert await Locking(baselines).look() == 0  # what was started meanwhile may be on its way
        await look(1)
        ((cluster, sync),) = central.heard.said
        assert cluster == CLUSTER.id
        assert [(each.container_name, each.locked, each.paths) for each in sync.processes] == [
            ("side", True, ("/bin/a",))
        ]
        body = {"keys": [{**KEY, "containerName": "side"}], "locked": False}
        await central.call("PUT", "/v1/processbaselines/lock", body=body)
        await look(0)  # somebody unlocked it
        await switch(on=False)
        await central.call(
            "DELETE", "/v1/processbaselines", params={"query": f"Deployment Id:{SHOP}", "confirm": "true"}
        )
        await central.pool.execute("UPDATE process_baselines SET learned = now()")
        await look(0)
        await switch(on=True)
        await central.pool.execute("UPDATE process_baselines SET learned = now()")
        await look(2)  # learned anew

    asking(migrated, tmp_path, work)


def test_baselines_are_those_of_the_deployment_that_is_shown(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithActivity) -> None:
        copy = Deployment(id=SHOP, name="copy", namespace="web", cluster_id=str(OTHER.id))
        await add_objects(central.pool, OTHER, copy)
        for cluster in (OTHER, CLUSTER):
            await central.take(told(started()), cluster)
            await central.take(told(flow()), cluster)
        key = {"key.deploymentId": SHOP, "key.containerName": "main"}
        found = await central.call("GET", "/v1/processbaselines/key", params=key)
        assert found["key"]["clusterId"] == str(CLUSTER.id)
        assert (await central.call("GET", f"/v1/networkbaseline/{SHOP}"))["deploymentName"] == "shop"
        assert (await central.call("GET", f"/v1/deployments/{SHOP}"))["name"] == "shop"

    asking(migrated, tmp_path, work)


def test_an_alerts_processes_become_usual_when_it_is_resolved(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithActivity) -> None:
        await central.take(told(started("/bin/a")))
        await central.call("PUT", "/v1/processbaselines/lock", body={"keys": [KEY], "locked": True})
        odd: Process = started("/bin/odd")
        alert = ran(odd, about=deployment("shop", id=SHOP))
        await central.take(results("RUNTIME", SHOP, alert))
        path = f"/v1/alerts/{alert.id}/resolve"
        await central.call("PATCH", path, body={"addToBaseline": True})
        assert await central.baseline() == (["/bin/a", "/bin/odd"], [], True)
        assert central.heard.said[-1][1].processes[0].paths == ("/bin/a", "/bin/odd")
        assert (await central.call("GET", "/v1/alerts"))["alerts"] == []
        await central.call("PATCH", path)  # again, and without a body

    asking(migrated, tmp_path, work)


def test_network_baselines(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithActivity) -> None:
        path = f"/v1/networkbaseline/{SHOP}"
        await central.call("GET", path, 404)
        await central.take(told(flow(), flow(destination=outside("192.0.2.7"))))
        found = await central.call("GET", path)
        assert (found["deploymentName"], found["namespace"], found["locked"]) == ("shop", "web", False)
        assert [each["entity"]["info"]["type"] for each in found["peers"]] == ["DEPLOYMENT", "INTERNET"]
        peer = {
            "entity": {"id": BASE, "type": "DEPLOYMENT"},
            "port": 443,
            "protocol": "L4_PROTOCOL_TCP",
            "ingress": False,
        }
        asked = {
            "peers": [
                peer,
                {**peer, "port": 80},
                {**peer, "entity": {"id": "192.0.2.99", "type": "INTERNET"}},
            ]
        }

        async def statuses() -> list[str]:
            answer = await central.call("POST", f"{path}/status", body=asked)
            return [each["status"] for each in answer["statuses"]]

        assert await statuses() == ["BASELINE", "ANOMALOUS", "BASELINE"]
        await central.call("PATCH", f"{path}/peers", body={"peers": [{"peer": peer, "status": "ANOMALOUS"}]})
        await central.take(told(flow()))
        assert await statuses() == ["ANOMALOUS", "ANOMALOUS", "BASELINE"]
        assert central.heard.said == []
        await central.call("PATCH", f"{path}/lock", body={})
        (network,) = central.heard.said[-1][1].networks
        assert network.locked
        assert [each.entity.type for each in network.peers] == ["INTERNET"]
        await central.call("PATCH", f"{path}/unlock", body={})
        assert not central.heard.said[-1][1].networks[0].locked

    asking(migrated, tmp_path, work)


def test_the_network_graph_and_the_smallest_network_that_has_a_name(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: WithActivity) -> None:
        path = f"/v1/networkgraph/cluster/{CLUSTER.id}"
        await central.take(
            told(flow(), flow(port=80), flow(destination=outside("198.51.100.9")), flow(BASE, "gone"))
        )

        async def outside_name() -> str:
            nodes = (await central.call("GET", path))["nodes"]
            (one,) = [each["entity"] for each in nodes if each["entity"]["type"] != "DEPLOYMENT"]
            return str(one["externalSource"]["name"]) if one["externalSource"] else str(one["type"])

        async def named(name: str, cidr: str) -> str:
            body = {"clusterId": str(CLUSTER.id), "entity": {"name": name, "cidr": cidr}}
            return str((await central.call("POST", f"{path}/externalentities", body=body))["info"]["id"])

        nodes = (await central.call("GET", path))["nodes"]
        (shop,) = [each for each in nodes if each["entity"]["id"] == SHOP]
        assert shop["internetAccess"]
        (at,) = [str(at) for at, each in enumerate(nodes) if each["entity"]["id"] == BASE]
        assert [each["port"] for each in shop["outEdges"][at]["properties"]] == [80, 443]
        assert await outside_name() == "INTERNET"
        await named("wide", "198.51.0.0/16")
        assert await outside_name() == "wide"
        near = await named("near", "198.51.100.0/24")
        assert await outside_name() == "near"
        await central.call("PATCH", f"/v1/networkgraph/externalentities/{near}", body={"name": "nearer"})
        assert await outside_name() == "nearer"
        listed = (await central.call("GET", f"{path}/externalentities"))["entities"]
        assert [each["info"]["externalSource"]["cidr"] for each in listed] == [
            "198.51.100.0/24",
            "198.51.0.0/16",
        ]
        await central.call("DELETE", f"/v1/networkgraph/externalentities/{near}")
        assert await outside_name() == "wide"
        for cidr in ("x", "0.0.0.0/0", ""):
            body = {"entity": {"name": "odd", "cidr": cidr}}
            await central.call("POST", f"{path}/externalentities", 400, body=body)
        assert (await central.call("GET", path, params={"query": "Deployment:nothing"}))["nodes"] == []
        found = await central.call("GET", path, params={"query": "Namespace:db"})
        assert {each["entity"]["id"]: each["queryMatch"] for each in found["nodes"]} == {
            BASE: True,
            SHOP: False,
        }
        await central.call(
            "PUT", "/v1/networkgraph/config", body={"config": {"hideDefaultExternalSrcs": True}}
        )
        assert (await central.call("GET", "/v1/networkgraph/config"))["hideDefaultExternalSrcs"]

    asking(migrated, tmp_path, work)


def test_who_may_see_a_namespace_sees_and_changes_what_is_in_it(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithActivity) -> None:
        await central.take(told(started(), started(of=BASE, namespace="db")))
        await central.take(told(flow()))
        for about, namespace in ((SHOP, "web"), (BASE, "db")):
            await central.take(
                results(
                    "RUNTIME",
                    about,
                    ran(started("/bin/odd", of=about), about=deployment(id=about, namespace=namespace)),
                )
            )
        rules = {"includedNamespaces": [{"clusterName": CLUSTER.name, "namespaceName": "web"}]}
        scope = await central.call(
            "POST", "/v1/simpleaccessscopes", body={"name": "web only", "rules": rules}
        )
        everything = await central.call("GET", "/v1/permissionsets")
        admin = next(each["id"] for each in everything["permissionSets"] if each["name"] == "Admin")
        role = {"name": "Web", "permissionSetId": admin, "accessScopeId": scope["id"]}
        await central.call("POST", "/v1/roles/Web", body=role)
        mine: dict[str, Any] = {"auth": None, "headers": authorized(await central.token("Web"))}
        listed = (await central.call("GET", "/v1/alerts", **mine))["alerts"]
        assert [each["commonEntityInfo"]["namespace"] for each in listed] == ["web"]
        assert (await central.call("GET", "/v1/alertscount", **mine))["count"] == 1
        (hidden,) = [
            each
            for each in (await central.call("GET", "/v1/alerts"))["alerts"]
            if each["id"] != listed[0]["id"]
        ]
        await central.call("GET", f"/v1/alerts/{hidden['id']}", 404, **mine)
        await central.call("PATCH", f"/v1/alerts/{hidden['id']}/resolve", 404, body={}, **mine)
        await central.call("PATCH", "/v1/alerts/resolve", body={"query": "Cluster:production"}, **mine)
        assert (await central.call("GET", "/v1/alertscount"))["count"] == 1
        assert len((await central.call("GET", f"/v1/processes/deployment/{SHOP}", **mine))["processes"]) == 1
        assert (await central.call("GET", f"/v1/processes/deployment/{BASE}", **mine))["processes"] == []
        key = {**KEY, "deploymentId": BASE, "namespace": "db"}
        denied = await central.call(
            "PUT", "/v1/processbaselines/lock", body={"keys": [key], "locked": True}, **mine
        )
        assert len(denied["errors"]) == 1
        await central.call("GET", f"/v1/networkbaseline/{BASE}", 404, **mine)
        nodes = (await central.call("GET", f"/v1/networkgraph/cluster/{CLUSTER.id}", **mine))["nodes"]
        assert [each["entity"]["id"] for each in nodes] == [SHOP]
        for cluster in (CLUSTER, OTHER):
            path = f"/v1/networkgraph/cluster/{cluster.id}"
            name = {"entity": {"name": cluster.name, "cidr": "198.51.100.0/24"}}
            await central.call("POST", f"{path}/externalentities", body=name)
        for of_other in (path, f"{path}/externalentities"):
            await central.call("GET", of_other, 404, **mine)
            await central.call("GET", of_other)
        path = f"/v1/networkgraph/cluster/{CLUSTER.id}/externalentities"
        (one,) = (await central.call("GET", path, **mine))["entities"]
        assert one["info"]["externalSource"]["name"] == CLUSTER.name

    asking(migrated, tmp_path, work)
