"""Alerts at Central: what Sensors tell is merged, listed, over at some time, and seen by whoever may."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest

from redoubt.central.alerts.receiving import AlertReceiver
from redoubt.central.hub.receiving import ClusterRef
from redoubt.policies.alerts import Alert
from support.alerts import CLUSTER, OTHER, THEN, alert, deployment, policy, process, ran, results
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

    asyncio.run(asyncio.wait_for(running(), 240))


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


@pytest.mark.parametrize("seed", range(4))
def test_in_any_order_and_sent_again_the_same_is_kept(migrated: Migrated, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    about = [deployment(name) for name in ("shop", "base")]
    processes = [process(f"/bin/tool-{at % 3}", at, pod_uid=f"pod-{at % 4}") for at in range(60)]
    told = [
        ran(
            *chance.sample(processes, 3),
            of=policy(chance.choice("ab")),
            about=chance.choice(about),
            time=THEN + timedelta(seconds=at),
        )
        for at in range(40)
    ]

    async def kept(central: WithAlerts, given: list[Alert]) -> list[Any]:
        await central.pool.execute("DELETE FROM alerts")
        for each in given:
            await central.told("RUNTIME", "", each)
        listed = await central.listed(**{"pagination.sortOption.field": "Policy"})
        whole = [await central.call("GET", f"/v1/alerts/{each['id']}") for each in listed]
        return sorted(
            (
                each["policy"]["name"],
                each["deployment"]["name"],
                each["time"],
                each["firstOccurred"],
                json.dumps(each["processViolation"]),
            )
            for each in whole
        )

    async def work(central: WithAlerts) -> None:
        expected = await kept(central, told)
        assert len(expected) == 4
        again = told + chance.sample(told, 10)
        chance.shuffle(again)
        assert await kept(central, again) == expected

    asking(migrated, tmp_path, work)


def test_two_sensors_connections_that_tell_at_once_make_one_alert(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithAlerts) -> None:
        async def tell(number: int) -> None:
            try:
                await central.told("RUNTIME", "", ran(process(after=number)))
            except asyncpg.UniqueViolationError:
                await central.told(
                    "RUNTIME", "", ran(process(after=number))
                )  # as the hub does: it comes again

        await asyncio.gather(*(tell(each) for each in range(4)))
        (one,) = await central.listed()
        whole = await central.call("GET", f"/v1/alerts/{one['id']}")
        assert len(whole["processViolation"]["processes"]) == 4

    asking(migrated, tmp_path, work)


def test_a_cluster_speaks_for_itself_and_what_cannot_be_read_does_not_resolve_anything(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: WithAlerts) -> None:
        mine = alert(cluster_id=str(OTHER.id), cluster_name="testing")
        await central.told("DEPLOY", "id-shop", mine)
        await central.told("DEPLOY", "id-shop", mine, cluster=OTHER)  # the same identifier: another alert
        found = await central.listed()
        assert {each["commonEntityInfo"]["clusterId"] for each in found} == {str(CLUSTER.id), str(OTHER.id)}
        assert len({each["id"] for each in found}) == 2
        for content in (
            b"{",
            b"[1]",
            b'[{"id": 1}]',
            b"[" * 5000,
            b"\xff",
            json.dumps([{"policy": {}}]).encode(),
        ):
            message = results("DEPLOY", "id-shop")
            message.alerts.alerts = content
            async with central.pool.acquire() as connection, connection.transaction():
                await central.receiver.take(connection, CLUSTER, message)
        await central.told("DEPLOY", "id-shop", alert(about=deployment("other")))  # about something else
        assert len(await central.listed()) == 2

    asking(migrated, tmp_path, work)


def test_an_alert_whose_name_looks_like_a_query_is_resolved_alone(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithAlerts) -> None:
        odd = 'x",*,"'
        await central.told("DEPLOY", "id-other", alert(about=deployment("other")))
        await central.told("DEPLOY", "id-shop", alert(id=odd))
        chosen = {each["deployment"]["id"]: each["id"] for each in await central.listed()}
        assert odd not in chosen.values()  # Central has chosen another one
        # It might be here from before.
        await central.pool.execute("UPDATE alerts SET id = $2 WHERE id = $1", chosen["id-shop"], odd)
        await central.call("PATCH", f"/v1/alerts/{quote(odd)}/resolve", json={"id": odd})
        assert [each["id"] for each in await central.listed()] == [chosen["id-other"]]

    asking(migrated, tmp_path, work)


def test_hostile_texts_are_kept_and_searched_for(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithAlerts) -> None:
        name = "\x00\x1b[2J' OR 1=1 --" + "x" * 5000
        odd = ran(
            process(name, args="\x00" + "a" * 128 * 1024),
            of=policy("odd"),
            about=deployment(name, namespace="%_\\"),
        )
        await central.told("RUNTIME", "", odd)
        (one,) = await central.listed("Namespace:%_")
        whole = await central.call("GET", f"/v1/alerts/{one['id']}")
        assert whole["deployment"]["name"] == name
        assert len(whole["processViolation"]["processes"][0]["signal"]["args"]) == 4096
        assert await central.listed("Namespace:%x") == []
        for query in (
            "Policy:r/(",
            "Policy:r/((((((((((a+)+)+)+)+)+)+)+)+)+b",
            "Severity:>=",
            "x",
            'Policy:"',
        ):
            answer = await central.http.get("/v1/alerts", params={"query": query}, auth=("admin", PASSWORD))
            assert answer.status_code in (200, 400)
        await central.call("GET", "/v1/alerts/%00", 400)

    asking(migrated, tmp_path, work)
