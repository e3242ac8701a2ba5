"""Risk at Central: what something changed of is looked at again, ranked, and explained."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from redoubt.central.activity.baselines import Baselines
from redoubt.central.activity.receiving import RecordReceiver
from redoubt.central.alerts.receiving import AlertReceiver
from redoubt.central.risk.keeping import Keeping
from redoubt.central.risk.parts import RiskFollower
from redoubt.central.services import Services
from redoubt.central.store.risk import Inputs, RiskStore
from redoubt.model.workload import Container, Deployment, Port, SecurityContext
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.activity import BASE, SHOP, started, told
from support.alerts import CLUSTER, OTHER, alert, deployment, policy, results
from support.centrals import PASSWORD, Central, authorized
from support.clusters import add_cluster, add_objects

pytestmark = pytest.mark.usefixtures("cheap_passwords")
Migrated = Callable[[str], str]


class WithRisk(Central):
    async def equip(self, services: Services) -> None:
        services.baselines = Baselines(services.pool, None, timedelta(hours=1))
        self.keeping = Keeping(services, pause=0)
        await add_cluster(services.pool, CLUSTER)

    async def deployed(self, *given: Deployment) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await add_objects(connection, CLUSTER, *given)
            await RiskFollower().changed(connection, CLUSTER, "deployment", given)

    async def take(self, message: pb.FromSensor) -> None:
        receiver = RecordReceiver() if message.HasField("records") else AlertReceiver()
        async with self.pool.acquire() as connection, connection.transaction():
            await receiver.take(connection, CLUSTER, message)

    async def looked(self) -> None:
        while await self.keeping.look():
            pass

    async def call(self, method: str, path: str, **more: Any) -> Any:
        answer = await self.http.request(method, path, auth=("admin", PASSWORD), **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def risk(self, of: str = SHOP) -> dict[str, Any]:
        await self.looked()
        found = (await self.call("GET", f"/v1/deploymentswithrisk/{of}"))["risk"]
        return {
            "score": found["score"],
            "priority": found["priority"],
            **{each["name"]: each for each in found["results"]},
        }

    async def order(self) -> list[tuple[str, str]]:
        await self.looked()
        answer = await self.call(
            "GET", "/v1/deployments", params={"pagination.sortOption.field": "Deployment Risk Priority"}
        )
        return [(each["name"], each["priority"]) for each in answer["deployments"]]


SAFE = Container(name="main", security_context=SecurityContext(drop_capabilities=("ALL",)))


def made(identifier: str, name: str, **more: Any) -> Deployment:
    given = {"namespace": "web", "cluster_id": str(CLUSTER.id), "containers": (SAFE,), **more}
    return Deployment(id=identifier, name=name, **given)


def asking(migrated: Migrated, folder: Path, work: Callable[[WithRisk], Awaitable[None]]) -> None:
    url = migrated("redoubt.central.migrations")

    async def running() -> None:
        async with WithRisk(url, folder) as central:
            await work(central)

    asyncio.run(asyncio.wait_for(running(), 240))


def test_a_deployment_has_its_risk_and_equal_ones_the_same(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithRisk) -> None:
        await central.deployed(made(SHOP, "shop"), made(BASE, "base"))
        assert (await central.risk())["score"] == 1.0
        assert await central.order() == [("shop", "1"), ("base", "1")] or await central.order() == [
            ("base", "1"),
            ("shop", "1"),
        ]
        await central.deployed(made(BASE, "base", ports=(Port(container_port=443, exposure="EXTERNAL"),)))
        assert await central.order() == [("base", "1"), ("shop", "2")]
        found = await central.risk(BASE)
        assert found["score"] == pytest.approx(1.3)
        assert found["Service Reachability"]["factors"][0]["message"].startswith("Port 443")

    asking(migrated, tmp_path, work)


def test_alerts_raise_a_risk_and_their_end_lowers_it(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithRisk) -> None:
        await central.deployed(made(SHOP, "shop"), made(BASE, "base"))
        about = deployment(id=SHOP)
        await central.take(results("DEPLOY", SHOP, alert(policy("bad", severity="CRITICAL_SEVERITY"), about)))
        found = await central.risk()
        assert found["score"] == pytest.approx(1.24)
        assert found["Policy Violations"]["factors"] == [{"message": "bad (severity: Critical)", "url": ""}]
        assert await central.order() == [("shop", "1"), ("base", "2")]
        await central.call("PATCH", "/v1/alerts/resolve", json={"query": "Policy:bad"})
        assert (await central.risk())["score"] == 1.0

    asking(migrated, tmp_path, work)


def test_an_unusual_process_raises_a_risk_and_its_baseline_lowers_it(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: WithRisk) -> None:
        await central.deployed(made(SHOP, "shop"))
        await central.take(told(started("/bin/usual")))
        await central.pool.execute("UPDATE process_baselines SET learned = now() - interval '1 minute'")
        await central.take(told(started("/bin/usual", args="again")))
        assert (await central.risk())["score"] == 1.0
        await central.take(told(started("/bin/odd")))
        found = await central.risk()
        assert found["score"] == pytest.approx(1.3)
        assert "/bin/odd" in found["Suspicious Process Executions"]["factors"][0]["message"]
        key = {"deploymentId": SHOP, "containerName": "main"}
        await central.call(
            "PUT", "/v1/processbaselines", json={"keys": [key], "addElements": [{"processName": "/bin/odd"}]}
        )
        assert (await central.risk())["score"] == 1.0

    asking(migrated, tmp_path, work)


def test_what_is_gone_has_no_risk(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithRisk) -> None:
        await central.deployed(made(SHOP, "shop"), made(BASE, "base"))
        await central.looked()
        async with central.pool.acquire() as connection, connection.transaction():
            await RiskFollower().removed(connection, CLUSTER, "deployment", [BASE])
        await central.pool.execute("DELETE FROM cluster_objects")
        await RiskStore(central.pool).tidy()
        assert await central.pool.fetchval("SELECT count(*) FROM risks") == 0
        await central.take(told(started(of="gone")))
        await central.looked()
        assert await central.pool.fetchval("SELECT count(*) FROM risks") == 0

    asking(migrated, tmp_path, work)


def test_a_deployment_of_two_clusters_has_two_risks(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithRisk) -> None:
        await add_cluster(central.pool, OTHER)
        await central.deployed(made(SHOP, "shop"))
        open_to_all = made(SHOP, "copy", ports=(Port(container_port=443, exposure="EXTERNAL"),))
        await add_objects(central.pool, OTHER, msgspec.structs.replace(open_to_all, cluster_id=str(OTHER.id)))
        await central.keeping._store.all_due()
        assert await central.order() == [("copy", "1"), ("shop", "2")]
        await central.pool.execute("UPDATE risks SET computed = now() WHERE cluster = $1", CLUSTER.id)
        assert (await central.risk())["score"] == 1.0

    asking(migrated, tmp_path, work)


def test_a_deployment_that_cannot_be_looked_at_is_due_again_and_holds_nobody_up(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: WithRisk) -> None:
        await central.deployed(made(SHOP, "shop"), made(BASE, "base"))
        store = central.keeping._store
        inputs, error = store.inputs, ValueError("not today")

        async def failing(cluster: UUID, deployment: str) -> Inputs | None:
            if deployment == SHOP:
                raise error
            return await inputs(cluster, deployment)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "inputs", failing)
            assert not await central.keeping.look()
            error = OSError("the server is away")  # type: ignore[assignment]
            assert not await central.keeping.look()
        assert [row["subject"] for row in await central.pool.fetch("SELECT subject FROM risks")] == [BASE]
        assert [row["deployment"] for row in await central.pool.fetch("SELECT deployment FROM risk_due")] == [
            SHOP
        ]
        assert (await central.risk())["score"] == 1.0

    asking(migrated, tmp_path, work)


def test_two_replicas_share_what_is_due(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithRisk) -> None:
        await central.deployed(*(made(f"{SHOP}-{at}", f"shop-{at}") for at in range(60)))
        other = Keeping(central.services, pause=0)
        await asyncio.gather(central.looked(), other.look(), other.look())
        # Central's own, in the background, has its share, and may have had all due again.
        end = time.monotonic() + 30
        left = "SELECT 60 - (SELECT count(*) FROM risks WHERE kind = 'deployment') + (SELECT count(*) FROM risk_due)"
        while await central.pool.fetchval(left):
            assert time.monotonic() < end, "not all 60 were looked at within 30 s"
            await asyncio.sleep(0.05)
            await central.looked()

    asking(migrated, tmp_path, work)


def test_risk_is_told_to_who_may_see_the_deployment_and_what_runs_there(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: WithRisk) -> None:
        await central.deployed(made(SHOP, "shop"), made(BASE, "base", namespace="db"))
        await central.looked()

        async def role(name: str, resource: str, rules: dict[str, Any] | None) -> None:
            permissions = {"name": name, "resourceToAccess": {resource: "READ_ACCESS"}}
            of = await central.call("POST", "/v1/permissionsets", json=permissions)
            scope = {"id": "ffffffff-ffff-fff4-f5ff-ffffffffffff"}
            if rules is not None:
                body = {"name": name, "rules": rules}
                scope = await central.call("POST", "/v1/simpleaccessscopes", json=body)
            given = {"name": name, "permissionSetId": of["id"], "accessScopeId": scope["id"]}
            await central.call("POST", f"/v1/roles/{name}", json=given)

        await role("Everywhere", "Deployment", None)
        inside = {"includedNamespaces": [{"clusterName": CLUSTER.name, "namespaceName": "web"}]}
        await role("Inside", "DeploymentExtension", inside)
        headers = authorized(await central.token("Everywhere", "Inside"))
        answers = {
            each: (await central.http.get(f"/v1/{each}", headers=headers)).status_code
            for each in (
                f"deployments/{BASE}",
                f"deploymentswithrisk/{SHOP}",
                f"deploymentswithrisk/{BASE}",
            )
        }
        assert list(answers.values()) == [200, 200, 404], answers

    asking(migrated, tmp_path, work)
