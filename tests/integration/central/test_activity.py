"""What happens in clusters, in a real database: kept once, learned exactly, hostile or not."""

from __future__ import annotations

import asyncio
import random
import string
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from redoubt.central.activity.following import ActivityFollower
from redoubt.central.activity.receiving import RecordReceiver
from redoubt.central.store import Pool
from redoubt.postgres import pool as pools
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.activity import BASE, SHOP, flow, listening, outside, raw, started, told
from support.alerts import CLUSTER, OTHER

Migrated = Callable[[str], str]


class Told:
    """A database that is told records."""

    def __init__(self, pool: Pool, receiver: RecordReceiver) -> None:
        self.pool = pool
        self.receiver = receiver

    async def take(
        self, message: pb.FromSensor, cluster: Any = CLUSTER, receiver: RecordReceiver | None = None
    ) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await (receiver or self.receiver).take(connection, cluster, message)

    async def rows(self, table: str, columns: str = "*") -> list[Any]:
        return [tuple(row) for row in await self.pool.fetch(f"SELECT {columns} FROM {table} ORDER BY 1")]


def asking(migrated: Migrated, work: Callable[[Told], Awaitable[None]], **periods: timedelta) -> None:
    url = migrated("redoubt.central.migrations")

    @asynccontextmanager
    async def connected() -> Any:
        pool = await pools.connect(url, maximum=4)
        try:
            yield pool
        finally:
            await pools.close(pool)

    async def running() -> None:
        async with connected() as pool:
            await work(Told(pool, RecordReceiver(**periods)))

    asyncio.run(asyncio.wait_for(running(), 240))


def test_processes_are_counted_once_for_each_command_of_a_container(migrated: Migrated) -> None:
    async def work(central: Told) -> None:
        await central.take(told(started(args="a"), started(args="a"), started(args="b")))
        await central.take(told(started(args="a"), started(args="a", container="side")))
        await central.take(told(started(args="a")), OTHER)
        rows = await central.rows("processes", "args, container, cluster, times")
        assert sorted(rows) == [
            ("a", "main", CLUSTER.id, 3),
            ("a", "main", OTHER.id, 1),
            ("a", "side", CLUSTER.id, 1),
            ("b", "main", CLUSTER.id, 1),
        ]

    asking(migrated, work)


def test_hostile_records_are_kept_or_counted(migrated: Migrated) -> None:
    long = "\x1b[2J\n\x00" + "x" * 128 * 1024

    async def work(central: Told) -> None:
        good = started(args=long, pod_uid="\x00", image_id=long, namespace=long, container="a\x00b")
        document = msgspec.to_builtins(
            started(args="plain"), builtin_types=(type(good.signal.time),) if good.signal else ()
        )
        mixed = [document, {**document, "id": 7}, 1, None, [], {**document, "signal": {"pid": "x"}}, document]
        await central.take(told(good))
        await central.take(raw(pb.Records.PROCESSES, mixed))
        assert central.receiver.spoilt == 5
        for kind in (
            pb.Records.PROCESSES,
            pb.Records.FLOWS,
            pb.Records.ENDPOINTS,
            pb.Records.KIND_UNSPECIFIED,
        ):
            for content in (
                b"",
                b"\xc1",
                b"\xdd\xff\xff\xff\xff",
                b"\x91" * 5000,
                msgspec.msgpack.encode("x"),
            ):
                await central.take(raw(kind, content))
        assert central.receiver.spoilt == 25
        assert len(await central.rows("processes", "times")) == 2
        odd = {
            "source": {"type": "INTERNET", "id": "\x00"},
            "destination": {"type": "DEPLOYMENT", "id": long},
            "seen": 2**63 - 1,
        }
        await central.take(raw(pb.Records.FLOWS, [odd, {**odd, "seen": "x"}]))
        assert len(await central.rows("network_flows")) == 1

    asking(migrated, work)


def test_what_was_told_of_a_flow_last_counts_in_any_order(migrated: Migrated) -> None:
    async def work(central: Told) -> None:
        earlier = flow()
        later = flow(closed=True)
        await central.take(told(later))
        await central.take(told(earlier))
        ((closed,),) = await central.rows("network_flows", "closed IS NOT NULL")
        assert closed
        await central.take(told(flow()))
        ((closed,),) = await central.rows("network_flows", "closed IS NOT NULL")
        assert not closed
        await central.take(told(listening(), listening(closed=True), listening(9090)))
        assert await central.rows("listening_endpoints", "port, closed IS NULL") == [
            (8080, False),
            (9090, True),
        ]

    asking(migrated, work)


def test_programs_are_learned_until_learning_ends(migrated: Migrated) -> None:
    async def work(central: Told) -> None:
        await central.take(told(started("/bin/a"), started("/bin/b", container="side")))
        await central.take(
            told(started("/bin/c")), receiver=RecordReceiver()
        )  # another replica, or after a restart
        await central.pool.execute("UPDATE process_baselines SET learned = now() - interval '1 second'")
        await central.take(told(started("/bin/d")))
        rows = await central.rows("process_baseline_elements", "path, container, auto")
        assert rows == [("/bin/a", "main", True), ("/bin/b", "side", True), ("/bin/c", "main", True)]

    asking(migrated, work)


def test_a_path_as_long_as_a_system_has_is_kept_and_learned(migrated: Migrated) -> None:
    async def work(central: Told) -> None:
        long = "/" + "".join(random.Random(1).choices(string.ascii_letters + "éß", k=4095))
        await central.take(told(started(long + "1"), started(long + "2"), listening(exec_file_path=long)))
        assert len(await central.rows("processes")) == 2
        ((learned,),) = await central.rows("process_baseline_elements", "path")
        assert long.startswith(learned.removesuffix("…"))

    asking(migrated, work)


def test_two_replicas_that_learn_at_once_learn_everything(migrated: Migrated) -> None:
    async def work(central: Told) -> None:
        messages = [told(*(started(f"/bin/{at}-{number}") for number in range(40))) for at in range(8)]
        await asyncio.gather(*(central.take(each, receiver=RecordReceiver()) for each in messages))
        ((learned,),) = await central.rows("process_baseline_elements", "count(*)")
        assert learned == 320

    asking(migrated, work)


def test_what_waited_for_central_is_learned_as_of_then(migrated: Migrated) -> None:
    async def work(central: Told) -> None:
        await central.take(told(started("/bin/a")))
        late = told(started("/bin/late"))
        await central.pool.execute("UPDATE process_baselines SET learned = now()")
        await central.take(late)
        assert len(await central.rows("process_baseline_elements")) == 2

    asking(migrated, work)


def test_peers_are_learned_of_both_ends(migrated: Migrated) -> None:
    async def work(central: Told) -> None:
        await central.pool.execute(
            "INSERT INTO network_entities (id, name, block) VALUES ('x', 'partner', '198.51.100.0/24')"
        )
        await central.take(
            told(flow(), flow(destination=outside("198.51.100.9")), flow(destination=outside("192.0.2.1")))
        )
        rows = await central.rows("network_baseline_peers", "deployment, peer_type, peer, port, ingress")
        assert sorted(rows) == [
            (SHOP, "DEPLOYMENT", BASE, 443, False),
            (SHOP, "EXTERNAL_SOURCE", "198.51.100.0/24", 443, False),
            (SHOP, "INTERNET", "", 443, False),
            (BASE, "DEPLOYMENT", SHOP, 443, True),
        ]
        await central.pool.execute("UPDATE network_baselines SET locked = TRUE")
        await central.take(told(flow(port=80)))
        assert len(await central.rows("network_baseline_peers")) == 4

    asking(migrated, work)


@pytest.mark.parametrize("kind", ["deployment", "pod"])
def test_what_is_gone_takes_what_is_known_of_it_along(migrated: Migrated, kind: str) -> None:
    async def work(central: Told) -> None:
        for message in (told(started(), started(of=BASE)), told(flow()), told(listening())):
            await central.take(message)
        async with central.pool.acquire() as connection, connection.transaction():
            await ActivityFollower().removed(connection, OTHER, kind, [SHOP, "pod-1"])
            await ActivityFollower().removed(
                connection, CLUSTER, kind, [SHOP if kind == "deployment" else "pod-1"]
            )
        assert await central.rows("listening_endpoints") == []
        left = 1 if kind == "deployment" else 2
        for table in ("processes", "process_baselines", "network_baselines"):
            assert len(await central.rows(table)) == left, table
        assert len(await central.rows("network_flows")) == left - 1

    asking(migrated, work)
