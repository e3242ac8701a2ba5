"""What is forgotten beside alerts: images that nothing runs, clusters that are silent, events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.retaining import Retaining
from redoubt.central.store.events import Event, EventStore, Level
from redoubt.central.store.hub import HubStore, NewSession
from redoubt.model.workload import Deployment
from support.centrals import PASSWORD, Central
from support.clusters import add_objects

pytestmark = pytest.mark.usefixtures("cheap_passwords")
Migrated = Callable[[str], str]


class Kept(Central):
    async def call(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        answer = await self.http.request(method, path, auth=("admin", PASSWORD), **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def set(self, **private: Any) -> Any:
        return (await self.call("PUT", "/v1/config", json={"config": {"privateConfig": private}}))[
            "privateConfig"
        ]

    async def forget(self) -> dict[str, int]:
        return await Retaining(self.pool).forget()

    async def image(self, number: int, *, used: int = 30, looked: int = 30) -> str:
        """An image that nobody used or looked at for some days, with a name of its own."""
        digest, name = f"sha256:{number:064x}", f"registry.example/team/{number}:1"
        await self.pool.execute(
            "INSERT INTO images (id, name, indexed, matched, definitions, system, components, cves, fixable, source, index, report, used)"
            " VALUES ($1, $2, now() - $4 * interval '1 day', now(), '', '', 0, 0, 0, '', '', '', now() - $3 * interval '1 day')",
            digest,
            name,
            used,
            looked,
        )
        await self.pool.execute("INSERT INTO image_names VALUES ($1, $2, now())", name, digest)
        return digest

    async def cluster(self, name: str, days: float | None, **labels: str) -> UUID:
        """A cluster whose Sensor was heard some days ago, or never."""
        made = await self.call("POST", "/v1/clusters", json={"name": name, "labels": labels})
        cluster = UUID(made["cluster"]["id"])
        if days is not None:
            session = NewSession(
                cluster=cluster, holder=uuid4(), spool=name, version="1", capabilities="", bundle="",
                identification="{}",
            )  # fmt: skip
            await HubStore(self.pool).begin(session)
            await self.pool.execute(
                "UPDATE sensor_sessions SET connected = FALSE, heard = now() - $2 * interval '1 day' WHERE cluster = $1",
                cluster,
                days,
            )
        return cluster

    async def clusters(self) -> set[str]:
        return {each["name"] for each in (await self.call("GET", "/v1/clusters"))["clusters"]}


def asking(migrated: Migrated, folder: Path, work: Callable[[Kept], Awaitable[None]]) -> None:
    url = migrated("redoubt.central.migrations")

    async def running() -> None:
        async with Kept(url, folder) as central:
            await work(central)

    asyncio.run(asyncio.wait_for(running(), 240))


def test_images_that_nothing_runs_nobody_watches_and_nobody_scanned_are_forgotten(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: Kept) -> None:
        cluster = await central.cluster("north", None)
        by_digest, by_name, watched, unused, lately = [await central.image(each) for each in range(5)]
        await central.pool.execute("UPDATE images SET indexed = now() WHERE id = $1", lately)
        await central.pool.execute("INSERT INTO watched_images (name) VALUES ('registry.example/team/2:1')")
        ref = ClusterRef(cluster, "north")
        await add_objects(
            central.pool,
            ref,
            Deployment(id="a", name="a", namespace="x"),
            images=(by_digest, "registry.example/team/1:1"),
        )

        async def there() -> set[str]:
            return {row["id"] for row in await central.pool.fetch("SELECT id FROM images")}

        await central.set(imageRetentionDurationDays=0)
        assert "images" not in await central.forget()
        await central.set()
        assert (await central.forget())["images"] == 1
        assert await there() == {by_digest, by_name, watched, lately}
        # Seven days from when the deployment was there last, and not at once.
        await central.pool.execute("DELETE FROM cluster_objects")
        assert "images" not in await central.forget()
        await central.pool.execute("UPDATE images SET used = used - interval '8 days'")
        assert (await central.forget())["images"] == 2
        assert await there() == {watched, lately}
        assert unused not in await there()

    asking(migrated, tmp_path, work)


def test_clusters_whose_sensor_is_silent_are_forgotten_where_that_is_set(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: Kept) -> None:
        gone = await central.cluster("gone", 31)
        kept = await central.cluster("kept", 31, keep="yes")
        await central.cluster("fresh", 1)
        await central.cluster("never called", None)
        ours = await central.cluster("ours", 31)
        ref = ClusterRef(ours, "ours")
        await add_objects(
            central.pool, ref, Deployment(id="c", name="central", namespace="s", labels={"app": "central"})
        )
        everybody = await central.clusters()
        assert "clusters" not in await central.forget()  # off
        retention = {"retentionDurationDays": 30, "ignoreClusterLabels": {"keep": "yes"}}
        told = (await central.set(decommissionedClusterRetention=retention))["decommissionedClusterRetention"]
        assert told["lastUpdated"]
        again = await central.set(
            decommissionedClusterRetention={**told, "lastUpdated": "2001-01-01T00:00:00Z"}
        )
        assert again["decommissionedClusterRetention"]["lastUpdated"] == told["lastUpdated"]
        assert "clusters" not in await central.forget()  # set a moment ago
        info = (await central.call("GET", "/v1/clusters"))["clusterIdToRetentionInfo"]
        assert info[str(gone)] == {"daysUntilDeletion": 0}
        assert info[str(kept)] == {"isExcluded": True}
        one = await central.call("GET", f"/v1/clusters/{gone}")
        assert one["clusterRetentionInfo"] == {"daysUntilDeletion": 0}
        await central.pool.execute(
            "UPDATE settings SET value = replace(value, $1, '2001-01-01T00:00:00Z') WHERE name = 'retention'",
            told["lastUpdated"],
        )
        assert (await central.forget())["clusters"] == 1
        assert await central.clusters() == everybody - {"gone"}
        (event,) = (await central.call("GET", "/v1/administration/events"))["events"]
        assert "'gone'" in event["message"]
        # Where all are silent something else is wrong.
        await central.pool.execute("DELETE FROM clusters WHERE name <> 'ours'")
        await central.pool.execute("DELETE FROM cluster_objects")
        assert "clusters" not in await central.forget()
        assert await central.clusters() == {"ours"}

    asking(migrated, tmp_path, work)


def test_events_are_forgotten_after_the_days_that_are_set(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Kept) -> None:
        await EventStore(central.pool).add(Event(level=Level.INFO, domain="General", message="x"))
        await central.pool.execute("UPDATE administration_events SET last_at = now() - interval '5 days'")
        await central.set(administrationEventsConfig={"retentionDurationDays": 0})
        assert "events" not in await central.forget()
        await central.set()
        assert (await central.forget())["events"] == 1

    asking(migrated, tmp_path, work)
