"""Alerts that end for a reason that no Sensor tells, and what is forgotten after a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt.central.activity.following import ActivityFollower
from redoubt.central.activity.receiving import RecordReceiver
from redoubt.central.alerts.receiving import AlertReceiver
from redoubt.central.alerts.upkeep import Upkeep
from redoubt.central.store.policies import PolicyStore
from redoubt.central.store.retention import RetentionStore
from redoubt.model.workload import Deployment
from redoubt.policies.alerts import Alert, AlertResource
from redoubt.policies.policy import (
    ExcludedDeployment,
    Exclusion,
    Policy,
    PolicyGroup,
    PolicySection,
    PolicyValue,
    Scope,
)
from support.activity import BASE, SHOP, flow, listening, started, told
from support.alerts import CLUSTER, OTHER, alert, deployment, killed, policy, process, ran, results
from support.centrals import PASSWORD, Central
from support.clusters import add_cluster, add_objects

pytestmark = pytest.mark.usefixtures("cheap_passwords")
Migrated = Callable[[str], str]


class WithUpkeep(Central):
    async def told(self, stage: str, about: str, *alerts: Alert) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await AlertReceiver().take(connection, CLUSTER, results(stage, about, *alerts))

    async def gone(self, about: str) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await ActivityFollower().removed(connection, CLUSTER, "deployment", [about])

    async def listed(self, query: str = "") -> dict[str, Any]:
        found = await self.call("GET", "/v1/alerts", params={"query": query})
        return {each["policy"]["name"]: each for each in found["alerts"]}

    async def call(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        answer = await self.http.request(method, path, auth=("admin", PASSWORD), **more)
        assert answer.status_code == status, answer.text
        return answer.json()


def asking(migrated: Migrated, folder: Path, work: Callable[[WithUpkeep], Awaitable[None]]) -> None:
    url = migrated("redoubt.central.migrations")

    async def running() -> None:
        async with WithUpkeep(url, folder) as central:
            await add_cluster(central.pool, CLUSTER)
            await work(central)

    asyncio.run(asyncio.wait_for(running(), 240))


def runtime(name: str, **more: Any) -> Policy:
    group = PolicyGroup(field_name="Process Name", values=(PolicyValue(value="sh"),))
    return policy(
        name,
        policy_version="1.1",
        lifecycle_stages=("RUNTIME",),
        event_source="DEPLOYMENT_EVENT",
        policy_sections=(PolicySection(policy_groups=(group,)),),
        **more,
    )


def excluding(given: Policy, name: str) -> Policy:
    return msgspec.structs.replace(given, exclusions=(Exclusion(deployment=ExcludedDeployment(name=name)),))


def test_alerts_end_with_their_policy(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithUpkeep) -> None:
        store, upkeep = PolicyStore(central.pool), Upkeep(central.pool)
        names = ("stays", "deleted", "disabled", "excluded", "scoped", "elsewhere", "no stage")
        policies = {name: runtime(name) for name in names}
        await store.add_missing(list(policies.values()))
        for each in policies.values():
            await central.told("RUNTIME", SHOP, ran(process(), of=each))
        await upkeep.look()
        assert set(await central.listed()) == set(names)
        replace = msgspec.structs.replace
        await store.delete(policies["deleted"].id)
        await store.change(replace(policies["disabled"], disabled=True))
        await store.change(excluding(policies["excluded"], "sh.*"))
        await store.change(excluding(policies["stays"], "other"))
        await store.change(replace(policies["scoped"], scope=(Scope(namespace="web"),)))
        await store.change(replace(policies["elsewhere"], scope=(Scope(namespace="db"),)))
        await store.change(replace(policies["no stage"], lifecycle_stages=("DEPLOY",)))
        await upkeep.look()
        assert set(await central.listed()) == {"stays", "scoped"}
        assert len(await central.listed("Violation State:RESOLVED")) == 5

    asking(migrated, tmp_path, work)


def test_alerts_about_resources_end_with_their_scope(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithUpkeep) -> None:
        audit = msgspec.structs.replace(
            runtime("audit"), event_source="AUDIT_LOG_EVENT",
            policy_sections=(PolicySection(policy_groups=(PolicyGroup(field_name="Kubernetes Resource", values=(PolicyValue(value="SECRETS"),)),)),),
        )  # fmt: skip
        await PolicyStore(central.pool).add_missing([audit])
        for namespace in ("web", "db"):
            about = AlertResource(resource_type="SECRETS", name="key", namespace=namespace)
            given = alert(audit, lifecycle_stage="RUNTIME", entity_type="RESOURCE", resource=about)
            await central.told("RUNTIME", "", msgspec.structs.replace(given, deployment=None))
        assert len((await central.call("GET", "/v1/alerts"))["alerts"]) == 2
        await PolicyStore(central.pool).change(msgspec.structs.replace(audit, scope=(Scope(namespace="db"),)))
        await Upkeep(central.pool).look()
        (left,) = (await central.call("GET", "/v1/alerts"))["alerts"]
        assert left["commonEntityInfo"]["namespace"] == "db"
        assert left["resource"] == {"name": "key"}

    asking(migrated, tmp_path, work)


def test_what_happened_in_a_deployment_outlives_it(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithUpkeep) -> None:
        about = deployment(id=SHOP)
        await central.told("DEPLOY", SHOP, alert(policy("how it is"), about))
        happened = ran(process(), of=policy("what happened"), about=about, enforcement=killed())
        await central.told("RUNTIME", SHOP, happened)
        await central.told("RUNTIME", SHOP, happened)  # sent again: counts once
        await central.gone(SHOP)
        await central.gone(SHOP)
        (left,) = (await central.listed()).values()
        assert left["deployment"]["inactive"]
        assert left["enforcementCount"] == 1
        assert left["enforcementAction"] == "KILL_POD_ENFORCEMENT"
        assert (await central.call("GET", f"/v1/alerts/{happened.id}"))["deployment"]["inactive"]
        assert set(await central.listed("Violation State:RESOLVED")) == {"how it is"}
        await central.told("RUNTIME", SHOP, ran(process(), of=policy("what happened"), about=about))
        assert (await central.listed())["what happened"]["deployment"]["inactive"]  # whatever is told late
        await central.told("RUNTIME", SHOP, ran(process(), of=policy("late"), about=about))
        await central.pool.execute("UPDATE alerts SET occurred = now() - interval '1 hour'")
        await PolicyStore(central.pool).add_missing([policy("late"), policy("what happened")])
        await Upkeep(central.pool)._alerts.of_what_is_gone()
        assert (await central.listed())["late"]["deployment"]["inactive"]

    asking(migrated, tmp_path, work)


def test_enforcements_are_counted(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithUpkeep) -> None:
        for pod in ("a", "b", "a"):
            await central.told("RUNTIME", SHOP, ran(process(pod_uid=pod), enforcement=killed()))
        scaled = msgspec.structs.replace(killed(), action="SCALE_TO_ZERO_ENFORCEMENT")
        for enforcement in (scaled, None, scaled):
            await central.told(
                "DEPLOY", SHOP, alert(policy("scaled"), deployment(id=SHOP), enforcement=enforcement)
            )
        found = await central.listed()
        assert {name: each["enforcementCount"] for name, each in found.items()} == {
            "No latest tag": 2,
            "scaled": 1,
        }
        for count in (0, 1, 5):
            refused = alert(policy("refused"), enforcement=scaled, enforcement_count=count)
            await central.told("ATTEMPTED", "", refused)
        assert (await central.listed("Violation State:ATTEMPTED"))["refused"]["enforcementCount"] == 7

    asking(migrated, tmp_path, work)


def test_what_is_old_is_forgotten_as_it_is_set(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithUpkeep) -> None:
        await central.told("DEPLOY", SHOP, alert(policy("over"), deployment(id=SHOP)))
        await central.told("DEPLOY", SHOP)
        await central.told("RUNTIME", SHOP, ran(process(), of=policy("happened")))
        await central.told("ATTEMPTED", "", alert(policy("refused")))
        await central.told("DEPLOY", SHOP, alert(policy("still so"), deployment(id=SHOP)))
        store = RetentionStore(central.pool)
        assert await store.forget() == {}
        old = "UPDATE alerts SET occurred = now() - $1 * interval '1 day', resolved = CASE WHEN resolved IS NOT NULL THEN now() - $1 * interval '1 day' END"
        assert await central.call("GET", "/v1/config/private") == {
            "alertConfig": {
                "resolvedDeployRetentionDurationDays": 7, "deletedRuntimeRetentionDurationDays": 7,
                "allRuntimeRetentionDurationDays": 30, "attemptedDeployRetentionDurationDays": 7,
                "attemptedRuntimeRetentionDurationDays": 7,
            },
            "imageRetentionDurationDays": 7,
            "decommissionedClusterRetention": {
                "retentionDurationDays": 0, "ignoreClusterLabels": {}, "lastUpdated": None, "createdAt": None,
            },
            "administrationEventsConfig": {"retentionDurationDays": 4},
        }  # fmt: skip
        kept = {"privateConfig": {"alertConfig": {"attemptedDeployRetentionDurationDays": 0}}}
        await central.call("PUT", "/v1/config", json={"config": kept})
        for wrong in (
            {"privateConfig": {"colour": 1}},
            {"privateConfig": {"expiredVulnReqRetentionDurationDays": 90}},
            {"privateConfig": {"imageRetentionDurationDays": 40_000}},
            {"privateConfig": {"decommissionedClusterRetention": {"ignoreClusterLabels": {"": "x"}}}},
            {"privateConfig": {"alertConfig": {"allRuntimeRetentionDurationDays": -1}}},
        ):
            await central.call("PUT", "/v1/config", 400, json={"config": wrong})
        await central.pool.execute(old, 8.0)
        assert await store.forget() == {"alerts": 1}
        await central.pool.execute(old, 31.0)
        assert await store.forget() == {"alerts": 1}
        assert set(await central.listed()) == {"refused", "still so"}

    asking(migrated, tmp_path, work)


def test_activity_is_forgotten_too(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithUpkeep) -> None:
        store = RetentionStore(central.pool)
        many = [started(args=str(at)) for at in range(1010)]
        async with central.pool.acquire() as connection, connection.transaction():
            for message in (
                told(*many),
                told(started("/bin/once")),
                told(flow(), flow(port=80, closed=True)),
                told(listening(closed=True)),
            ):
                await RecordReceiver().take(connection, CLUSTER, message)
        assert await store.forget() == {"processes": 10}
        for table in ("processes", "network_flows", "listening_endpoints"):
            await central.pool.execute(f"UPDATE {table} SET last_seen = now() - interval '8 days'")
        assert await store.forget() == {"processes": 1001, "network_flows": 1, "listening_endpoints": 1}
        await central.pool.execute("DELETE FROM clusters")
        assert set(await store.forget()) == {"network_flows", "process_baselines", "network_baselines"}

    asking(migrated, tmp_path, work)


def test_what_is_told_late_of_a_deployment_that_is_gone_does_not_stay(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: WithUpkeep) -> None:
        there = Deployment(id=SHOP, name="shop", namespace="web", cluster_id=str(CLUSTER.id))
        await add_objects(central.pool, CLUSTER, there)
        await central.gone(BASE)
        async with central.pool.acquire() as connection, connection.transaction():
            for message in (
                told(started(), started(of=BASE)),
                told(flow()),
                told(listening(), listening(of=BASE)),
            ):
                await RecordReceiver().take(connection, CLUSTER, message)
        store = RetentionStore(central.pool)
        assert await store.forget() == {}
        tables = {
            "listening_endpoints": "last_seen",
            "process_baselines": "created",
            "network_baselines": "created",
        }
        for table, column in tables.items():
            await central.pool.execute(f"UPDATE {table} SET {column} = now() - interval '2 days'")
        assert await store.forget() == dict.fromkeys(tables, 1)
        for table in tables:
            assert await central.pool.fetchval(f"SELECT deployment FROM {table}") == SHOP

    asking(migrated, tmp_path, work)


def test_alerts_go_with_their_cluster(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithUpkeep) -> None:
        await add_cluster(central.pool, OTHER)
        await central.told("DEPLOY", SHOP, alert(about=deployment(id=SHOP)))
        await central.call("DELETE", f"/v1/clusters/{OTHER.id}")
        assert len(await central.listed()) == 1
        await central.call("DELETE", f"/v1/clusters/{CLUSTER.id}")
        assert await central.listed() == {}

    asking(migrated, tmp_path, work)


def test_arguments_of_a_program_are_counted_cluster_by_cluster(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithUpkeep) -> None:
        await add_cluster(central.pool, OTHER)
        many = told(*(started(args=str(at)) for at in range(600)))
        for cluster in (CLUSTER, OTHER):
            async with central.pool.acquire() as connection, connection.transaction():
                await RecordReceiver().take(connection, cluster, many)
        assert await RetentionStore(central.pool).forget() == {}

    asking(migrated, tmp_path, work)


def test_alerts_are_deleted_by_those_who_confirm_it(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithUpkeep) -> None:
        await central.told("DEPLOY", SHOP, alert(about=deployment(id=SHOP)))
        for query in (
            "",
            "Cluster:production",
            "Violation State:ACTIVE",
            "Violation State:!ACTIVE",
            "Violation State:RESOLVED,ACTIVE",
        ):
            await central.call("DELETE", "/v1/alerts", 400, params={"query.query": query, "confirm": "true"})
        await central.call("PATCH", "/v1/alerts/resolve", 400, json={})
        await central.call("PATCH", "/v1/alerts/resolve", json={"query": "Policy:No latest"})
        over = {"query.query": "Violation State:RESOLVED"}
        assert await central.call("DELETE", "/v1/alerts", params=over) == {"numDeleted": 1, "dryRun": True}
        assert await central.call("DELETE", "/v1/alerts", params={**over, "confirm": "true"}) == {
            "numDeleted": 1,
            "dryRun": False,
        }
        assert await central.listed("Violation State:RESOLVED") == {}

    asking(migrated, tmp_path, work)


def test_summaries(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithUpkeep) -> None:
        high = policy("high", severity="HIGH_SEVERITY", categories=("A", "B"))
        await central.told(
            "DEPLOY", SHOP, alert(high, deployment(id=SHOP)), alert(policy("low"), deployment(id=SHOP))
        )
        await central.told("DEPLOY", "other", alert(high, deployment("other", id="other")))
        groups = (await central.call("GET", "/v1/alerts/summary/groups"))["alertsByPolicies"]
        assert [(each["policy"]["name"], each["numAlerts"]) for each in groups] == [
            ("high", "2"),
            ("low", "1"),
        ]
        path = "/v1/alerts/summary/counts"
        expected = {
            "A": [("HIGH_SEVERITY", "2")],
            "B": [("HIGH_SEVERITY", "2")],
            "DevOps": [("LOW_SEVERITY", "1")],
        }
        for by, wanted in (
            ("CATEGORY", expected),
            ("CLUSTER", {"production": [("LOW_SEVERITY", "1"), ("HIGH_SEVERITY", "2")]}),
        ):
            found = (await central.call("GET", path, params={"groupBy": by}))["groups"]
            assert {each["group"]: [tuple(one.values()) for one in each["counts"]] for each in found} == {
                name: [(severity, number) for severity, number in several] for name, several in wanted.items()
            }
        await central.call("GET", path, 400, params={"groupBy": "COLOUR"})
        await central.told("DEPLOY", SHOP)
        (series,) = (await central.call("GET", "/v1/alerts/summary/timeseries"))["clusters"]
        assert [(each["severity"], [one["type"] for one in each["events"]]) for each in series["severities"]] == [
            ("LOW_SEVERITY", ["CREATED", "REMOVED"]), ("HIGH_SEVERITY", ["CREATED", "CREATED", "REMOVED"]),
        ]  # fmt: skip

    asking(migrated, tmp_path, work)
