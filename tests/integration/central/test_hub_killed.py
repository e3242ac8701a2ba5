"""Central is killed while it keeps what a Sensor tells: nothing of it is lost, and nothing there twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec

from redoubt.errors import RedoubtError
from redoubt.model.happening import Process as StartedProcess
from redoubt.model.happening import ProcessSignal
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.replicas import Process
from support.sensors import Sensor, connected, deployment, dial
from support.wire import Certificates, run

#: Messages that have to arrive, and after how many acknowledged ones Central is killed.
MESSAGES = 1200
KILLED_AT = (150, 700)


def spool() -> list[dict[str, Any]]:
    """Deployments, and records of which each says that one was lost: that is added up, so twice would show."""
    made: list[dict[str, Any]] = []
    for number in range(MESSAGES):
        if number % 2:
            event = pb.ObjectEvent(
                kind="deployment",
                id=f"uid-{number}",
                action=pb.ObjectEvent.UPSERT,
                object=msgspec.json.encode(deployment(f"web-{number}")),
                hash="x",
            )
            made.append({"object": event})
        else:
            record = StartedProcess(
                id=str(uuid4()),
                deployment_id="uid-1",
                container_name="web-1",
                pod_id="web-1-x",
                pod_uid="pod-1",
                namespace="shop",
                signal=ProcessSignal(
                    id=str(uuid4()),
                    time=datetime.now(UTC),
                    name="sh",
                    exec_file_path="/bin/sh",
                    args=str(number),
                ),
            )
            data = msgspec.msgpack.encode([record])
            made.append({"records": pb.Records(kind=pb.Records.PROCESSES, records=data, dropped=1)})
    return made


async def tell(one: Sensor, messages: list[dict[str, Any]]) -> None:
    """Send all that is not acknowledged."""
    with suppress(Exception):  # Central dies meanwhile
        for number in range(one.acknowledged, len(messages)):
            one.number = number
            await one.send(**messages[number])


def test_central_is_killed_and_nothing_is_lost_or_there_twice(
    migrated: Callable[[str], str], tmp_path: Path
) -> None:
    url = migrated("redoubt.central.migrations")
    certificates = Certificates(tmp_path / "certificates")
    certificates.files(Service.CENTRAL, "central")
    central = Process(tmp_path, "a", url, certificates.folder)

    async def work() -> None:
        messages = spool()
        async with central.http() as client:
            made = await client.post("/v1/clusters", json={"name": "north"})
            cluster = made.json()["cluster"]["id"]
        for at in (*KILLED_AT, None):
            async with central.http():
                pass
            async with connected(dial(central.port, certificates, cluster), reconnect=True) as one:
                await one.ready()
                sending = asyncio.create_task(tell(one, messages))
                try:
                    if at is None:
                        await one.kept(MESSAGES)
                    else:
                        with suppress(RedoubtError):
                            await one.kept(at)
                        central.kill()
                        central.start()
                finally:
                    sending.cancel()
                    await asyncio.wait([sending])
        connection = await asyncpg.connect(url)
        try:
            rows = await connection.fetch("SELECT id FROM cluster_objects WHERE kind = 'deployment'")
            assert {row["id"] for row in rows} == {f"uid-{number}" for number in range(1, MESSAGES, 2)}
            lost = await connection.fetchval(
                "SELECT dropped FROM sensor_sessions WHERE cluster = $1", UUID(cluster)
            )
            assert lost == MESSAGES // 2
            arguments = await connection.fetchval("SELECT count(*) FROM processes")
            assert arguments == MESSAGES // 2
            assert await connection.fetchval("SELECT acknowledged FROM sensor_spools") == MESSAGES
        finally:
            await connection.close()

    try:
        run(work(), 280)
    finally:
        central.kill()
