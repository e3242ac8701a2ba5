"""Alerts, records, baselines and risk, told over the real stream into a real PostgreSQL. The Sensor is a stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt.central.activity import parts as activity_parts
from redoubt.central.risk import parts as risk_parts
from redoubt.central.services import Services
from redoubt.egress import Policy
from redoubt.model.cluster import BaselineSync, ClusterConfig
from redoubt.policies.alerts import Alert
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.activity import flow, listening, started, told
from support.alerts import alert, policy, ran, results
from support.alerts import deployment as about
from support.registry import Registry, needs_registry
from support.scanners import Shelf, pushed
from support.sensors import ADMIN, Sensor, Watched, WatchedScanners, deployment, sensor
from support.wire import Certificates, run

pytestmark = pytest.mark.usefixtures("cheap_passwords")
Migrated = Callable[[str], str]
SHOP = "uid-shop"


class Keeping:
    """What keeps what clusters tell, in a Central of tests."""

    async def equip(self, services: Services) -> None:
        await super().equip(services)  # type: ignore[misc]  # what it is mixed into has it
        activity_parts.equip(services)
        risk_parts.equip(services)


class Kept(Keeping, Watched): ...


class KeptScanners(Keeping, WatchedScanners): ...


def sent(message: pb.FromSensor) -> dict[str, Any]:
    return {(kind := message.WhichOneof("message") or ""): getattr(message, kind)}


async def risk(running: Any, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """A deployment's risk, once it is so."""
    async with asyncio.timeout(60):
        while True:
            found: dict[str, Any] | None = (await running.get(f"/v1/deploymentswithrisk/{SHOP}"))["risk"]
            if found is not None and until(found):
                return found
            await asyncio.sleep(0.1)


def synced(one: Sensor) -> list[BaselineSync]:
    return [msgspec.json.decode(each.baselines, type=BaselineSync) for each in one.of("baselines")]


def test_what_a_sensor_tells_is_kept_once_whatever_is_sent_again(migrated: Migrated, tmp_path: Path) -> None:
    async def work(running: Kept) -> None:
        cluster = await running.cluster("north")
        happened: Alert = ran(started("/bin/odd", of=SHOP), about=about("shop", id=SHOP, namespace="shop"))
        messages = [
            results("DEPLOY", SHOP, alert(policy("how it is"), about("shop", id=SHOP, namespace="shop"))),
            results("RUNTIME", SHOP, happened),
            told(started("/bin/sh", of=SHOP, namespace="shop")),
            told(flow(SHOP)),
            told(listening(of=SHOP)),
        ]
        for _ in range(2):  # a Sensor that heard no acknowledgement sends the same numbers again
            async with sensor(running, cluster) as one:
                await one.ready()
                one.number = 0
                await one.upsert("deployment", SHOP, deployment("shop"))
                for message in messages:
                    await one.send(**sent(message))
                await one.kept()
        alerts = (await running.get("/v1/alerts"))["alerts"]
        assert {each["policy"]["name"] for each in alerts} == {"how it is", "No latest tag"}
        assert {each["commonEntityInfo"]["clusterId"] for each in alerts} == {cluster}
        (process,) = (await running.get(f"/v1/processes/deployment/{SHOP}"))["processes"]
        assert process["timesSeen"] == 1
        assert (
            len((await running.get(f"/v1/listening_endpoints/deployment/{SHOP}"))["listeningEndpoints"]) == 1
        )
        found = await risk(running, lambda given: len(given["results"]) > 1)
        assert {each["name"] for each in found["results"]} == {"Policy Violations", "Service Configuration"}
        async with sensor(running, cluster) as one:
            await one.ready()
            await one.remove("deployment", SHOP)
            await one.kept()
        (left,) = (await running.get("/v1/alerts"))["alerts"]
        assert left["id"] == happened.id
        assert left["deployment"]["inactive"]

    serving(migrated, tmp_path, work)


def test_sensors_are_told_of_baselines_whichever_replica_has_them(migrated: Migrated, tmp_path: Path) -> None:
    url = migrated("redoubt.central.migrations")
    certificates = Certificates(tmp_path / "certificates")

    async def within() -> None:
        async with (
            Kept(url, tmp_path, certificates) as first,
            Kept(url, tmp_path, certificates) as second,
        ):
            cluster = await first.cluster("north")
            async with sensor(first, cluster) as one:
                await one.ready()
                await one.upsert("deployment", SHOP, deployment("shop"))
                await one.send(**sent(told(started("/bin/sh", of=SHOP, namespace="shop"))))
                await one.kept()
                assert synced(one) == [BaselineSync(whole=True)]
                key = {"deploymentId": SHOP, "containerName": "main"}
                for central, locked in ((second, True), (first, False), (second, True)):
                    before = len(synced(one))
                    answer = await central.http.put(
                        "/v1/processbaselines/lock", json={"keys": [key], "locked": locked}, auth=ADMIN
                    )
                    assert answer.json()["errors"] == []
                    await one.until("word of a baseline", lambda: len(synced(one)) > before)  # noqa: B023  # awaited here
                    (baseline,) = synced(one)[-1].processes
                    assert (baseline.locked, baseline.paths) == (locked, ("/bin/sh",))
            async with sensor(second, cluster) as one:
                await one.ready()
                (whole,) = synced(one)
                assert whole.whole
                assert [each.paths for each in whole.processes] == [("/bin/sh",)]

    run(within(), 240)


def test_sensors_are_told_of_networks_that_have_a_name(migrated: Migrated, tmp_path: Path) -> None:
    async def work(running: Kept) -> None:
        cluster = await running.cluster("north")
        path = f"/v1/networkgraph/cluster/{cluster}/externalentities"

        def networks(one: Sensor) -> list[tuple[str, ...]]:
            return [
                msgspec.json.decode(each.config, type=ClusterConfig).networks for each in one.of("config")
            ]

        async with sensor(running, cluster) as one:
            await one.ready()
            body = {"entity": {"name": "partner", "cidr": "198.51.100.0/24"}}
            answer = await running.http.post(path, json=body, auth=ADMIN)
            await one.until("word of a network", lambda: networks(one)[-1] == ("198.51.100.0/24",))
            gone = f"/v1/networkgraph/externalentities/{answer.json()['info']['id']}"
            await running.http.delete(gone, auth=ADMIN)
            await one.until("word of none", lambda: networks(one)[-1] == ())

    serving(migrated, tmp_path, work)


@needs_registry
def test_a_deployments_risk_has_what_is_wrong_with_its_image(
    migrated: Migrated, shelf: Shelf, registry: Registry, tmp_path: Path
) -> None:
    urls = migrated("redoubt.central.migrations"), migrated("redoubt.scanner.migrations")
    name = pushed(registry, tmp_path, "team/risky:1.0")

    async def within() -> None:
        allowed = Policy(offline=True, allowed_hosts=frozenset({"127.0.0.1"}))
        async with KeptScanners(urls, tmp_path, shelf, policy=allowed) as running:
            cluster = await running.cluster("north")
            async with sensor(running, cluster) as one:
                await one.ready()
                await one.upsert("deployment", SHOP, deployment("shop", image=name))
                await one.kept()
                # Central scans it, whoever asks first.
                answer = await running.http.post("/v1/images/scan", json={"imageName": name}, auth=ADMIN)
                assert answer.status_code == 200
                found = await risk(
                    running,
                    lambda given: "Image Vulnerabilities" in {each["name"] for each in given["results"]},
                )
                factors = {each["name"]: each["factors"][0]["message"] for each in found["results"]}
                assert "team/risky:1.0" in factors["Image Vulnerabilities"]
            async with asyncio.timeout(60):  # its place comes a moment after its risk
                while (await running.get("/v1/images"))["images"][0]["priority"] != "1":
                    await asyncio.sleep(0.1)

    run(within(), 240)


def serving(migrated: Migrated, folder: Path, work: Callable[[Kept], Awaitable[None]]) -> None:
    url = migrated("redoubt.central.migrations")

    async def within() -> None:
        async with Kept(url, folder) as running:
            await work(running)

    run(within(), 240)
