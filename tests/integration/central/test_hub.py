"""A cluster's Sensor and Central: over the real port, into a real PostgreSQL. The Sensor is a stand-in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt.policies.defaults import default_policies
from support.sensors import Watched, deployment, sensor
from support.wire import run

pytestmark = pytest.mark.usefixtures("cheap_passwords")
Migrated = Callable[[str], str]
Work = Callable[[Watched], Awaitable[None]]


@pytest.fixture
def central(migrated: Migrated, tmp_path: Path) -> Callable[[Work], None]:
    def started(work: Work, **settings: Any) -> None:
        url = migrated("redoubt.central.migrations")

        async def within() -> None:
            async with Watched(url, tmp_path, **settings) as running:
                await work(running)

        run(within(), 60)

    return started


def test_a_sensor_is_told_what_it_decides_by_and_its_deployment_is_listed(
    central: Callable[[Work], None],
) -> None:
    async def work(running: Watched) -> None:
        identifier = await running.cluster("north")
        async with sensor(running, identifier) as one:
            welcome = await one.ready()
            assert (welcome.cluster_id, welcome.cluster_name) == (identifier, "north")
            order = [each.WhichOneof("message") for each in one.told]
            assert order == ["welcome", "config", "policies", "baselines", "known"]
            policies = msgspec.json.decode(one.of("policies")[0].policies)
            assert {each["name"] for each in policies} == {
                each.name for each in default_policies() if not each.disabled
            }
            await one.upsert("deployment", "uid-web", deployment("web", clusterId="another", clusterName="x"))
            await one.kept()
        listed = (await running.get("/v1/deployments"))["deployments"]
        assert [(each["name"], each["cluster"], each["clusterId"]) for each in listed] == [
            ("web", "north", identifier)
        ]
        whole = await running.get("/v1/deployments/uid-web")
        assert whole["clusterId"] == identifier
        assert whole["hostNetwork"] is False
        assert whole["containers"][0]["image"]["name"]["fullName"] == "registry.example/web:1.0"

    central(work)
