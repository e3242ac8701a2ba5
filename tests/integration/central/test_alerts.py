"""Alerts at Central: what Sensors tell is merged, listed, over at some time, and seen by whoever may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from redoubt.central.alerts.receiving import AlertReceiver
from redoubt.central.hub.receiving import ClusterRef
from redoubt.policies.alerts import Alert
from support.alerts import CLUSTER, OTHER, alert, deployment, policy, process, ran, results
from support.centrals import PASSWORD, Central

pytestmark = pytest.mark.usefixtures("cheap_passwords")
Migrated = Callable[[str], str]


class WithAlerts(Central):
    """A Central that is told alerts as the hub would tell them."""

    receiver = AlertReceiver()

    async def told(self, stage: str, about: str, *alerts: Alert, cluster: ClusterRef = CLUSTER) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await self.receiver.take(connection, cluster, results(stage, about, *alerts))

    async def call(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        more.setdefault("auth", ("admin", PASSWORD))
        answer = await self.http.request(method, path, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def listed(self, query: str = "", **params: Any) -> list[Any]:
        answer = await self.call("GET", "/v1/alerts", params={"query": query, **params})
        return list(answer["alerts"])


def asking(migrated: Migrated, folder: Path, work: Callable[[WithAlerts], Awaitable[None]]) -> None:
    url = migrated("redoubt.central.migrations")

    async def running() -> None:
        async with WithAlerts(url, folder) as central:
            await work(central)

    asyncio.run(asyncio.wait_for(running(), 50))


def test_what_a_sensor_tells_is_listed_and_looked_at(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithAlerts) -> None:
        await central.told("DEPLOY", "id-shop", told := alert())
        (one,) = await central.listed()
        assert (one["id"], one["state"], one["lifecycleStage"]) == (told.id, "ACTIVE", "DEPLOY")
        assert (one["deployment"]["name"], one["policy"]["name"]) == ("shop", "No latest tag")
        assert one["commonEntityInfo"]["clusterName"] == "production"
        whole = await central.call("GET", f"/v1/alerts/{told.id}")
        assert whole["violations"][0]["message"] == "it does not hold"
        assert whole["policy"]["id"] == told.policy.id
        assert whole["clusterId"] == str(CLUSTER.id)
        assert await central.call("GET", "/v1/alertscount") == {"count": 1}
        await central.call("GET", "/v1/alerts/none", 404)

    asking(migrated, tmp_path, work)


def test_a_complete_set_resolves_what_is_missing_and_is_the_same_when_sent_again(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: WithAlerts) -> None:
        first, second = alert(policy("First one")), alert(policy("Second one"))
        for _ in range(2):
            await central.told("DEPLOY", "id-shop", first, second)
        assert {each["id"] for each in await central.listed()} == {first.id, second.id}
        again = alert(policy("First one"), time=first.time.replace(hour=13))
        await central.told("DEPLOY", "id-shop", again)
        (left,) = await central.listed()
        assert left["id"] == first.id
        (over,) = await central.listed("Violation State:RESOLVED")
        assert over["id"] == second.id
        await central.told("DEPLOY", "id-other")  # another workload's
        assert await central.listed()
        await central.told("DEPLOY", "id-shop")
        assert await central.listed() == []

    asking(migrated, tmp_path, work)


def test_what_happens_adds_to_what_happened(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithAlerts) -> None:
        one, two = process("/bin/sh", 1), process("/bin/nc", 0)
        first = ran(one)
        for each in (first, ran(two), ran(one)):
            await central.told("RUNTIME", "id-shop", each)
        whole = await central.call("GET", f"/v1/alerts/{first.id}")
        assert [each["id"] for each in whole["processViolation"]["processes"]] == [two.id, one.id]
        await central.told("RUNTIME", "id-shop")  # nothing more happened: nothing is over
        assert len(await central.listed("Lifecycle Stage:RUNTIME")) == 1
        await central.told("RUNTIME", "id-shop", ran(one), cluster=OTHER)
        assert len(await central.listed()) == 2

    asking(migrated, tmp_path, work)


def test_what_was_refused_is_kept_apart(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithAlerts) -> None:
        await central.told("DEPLOY", "id-shop", alert())
        for name in ("", "other"):
            await central.told("ATTEMPTED", "", alert(about=deployment(id=name)))
        assert [each["state"] for each in await central.listed("Violation State:ATTEMPTED")] == ["ATTEMPTED"]
        await central.told("DEPLOY", "id-shop")
        assert [each["state"] for each in await central.listed()] == ["ATTEMPTED"]

    asking(migrated, tmp_path, work)
