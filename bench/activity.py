"""Processes and flows as a Sensor tells them, into a real PostgreSQL that writes to the disk; and lists of 100,000 alerts.

5,000 process events and 2,000 flow updates a second come in messages of 1,000 and 500, each taken by the receiver in a transaction
of its own, as the hub does. Lag is how long after its moment a message is kept. Processors' seconds are those of this process and of
PostgreSQL's, of the whole run. A third run has nothing but new processes, as fast as they go.

    python bench/activity.py [SECONDS [DISTINCT]]      60 s and one process in five new by default; prints JSON
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import msgspec

from redoubt.central.activity.receiving import RecordReceiver
from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.store import Pool
from redoubt.central.store.alerts import AlertStore, wanted
from redoubt.model.cluster import Entity, FlowRecord
from redoubt.model.happening import Process, ProcessSignal
from redoubt.postgres import databases, migrations
from redoubt.postgres import pool as pools
from redoubt.postgres.embedded import Embedded
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

PROCESSES, FLOWS = 5000, 2000
BATCHES = {"processes": 1000, "flows": 500}
DEPLOYMENTS, PODS = 2000, 3
CLUSTER = ClusterRef(UUID(int=1), "bench")
_encode = msgspec.msgpack.Encoder().encode


def _process(number: int, distinct: float, chance: random.Random) -> Process:
    deployment = chance.randrange(DEPLOYMENTS)
    pod = chance.randrange(PODS)
    new = chance.random() < distinct
    return Process(
        id=f"process-{number}",
        deployment_id=f"00000000-0000-4000-8000-{deployment:012}",
        container_name="main",
        pod_id=f"app-{deployment}-{pod}",
        pod_uid=f"00000000-0000-4000-9000-{deployment * 10 + pod:012}",
        namespace=f"ns-{deployment % 50}",
        image_id="sha256:" + "ab" * 32,
        signal=ProcessSignal(
            id=f"signal-{number}",
            container_id="c0ffee" * 10,
            time=datetime.now(UTC),
            name="python3",
            exec_file_path=f"/usr/bin/tool-{chance.randrange(10)}",
            args=f"--job {number} --verbose" if new else f"--serve --port 80{chance.randrange(10)}",
            pid=number % 4_000_000,
            uid=1000,
        ),
    )


def _flow(chance: random.Random) -> FlowRecord:
    source, target = chance.randrange(DEPLOYMENTS), chance.randrange(20)
    to = Entity(type="DEPLOYMENT", id=f"00000000-0000-4000-8000-{(source + target + 1) % DEPLOYMENTS:012}")
    if target == 0:
        to = Entity(type="INTERNET", id=f"198.51.{chance.randrange(8)}.{chance.randrange(256)}")
    seen = time.time_ns()
    return FlowRecord(
        source=Entity(type="DEPLOYMENT", id=f"00000000-0000-4000-8000-{source:012}"),
        destination=to,
        port=443,
        seen=seen,
        closed=seen if chance.random() < 0.3 else None,
    )


class _Source:
    """Messages of one kind at a steady pace; ``lags`` in seconds."""

    def __init__(self, pool: Pool, kind: str, rate: int, make: Callable[[], bytes]) -> None:
        self.pool, self.rate, self.make = pool, rate, make
        self.kind = pb.Records.PROCESSES if kind == "processes" else pb.Records.FLOWS
        self.batch = BATCHES[kind]
        self.lags: list[float] = []
        self.took: list[float] = []
        self.receiver = RecordReceiver()

    async def run(self, seconds: float) -> None:
        began, number = time.perf_counter(), 0
        pause = self.batch / self.rate if self.rate else 0.0
        while (now := time.perf_counter()) - began < seconds:
            due = began + number * pause if pause else now
            if due > now:
                await asyncio.sleep(due - now)
            message = pb.FromSensor(records=pb.Records(kind=self.kind, records=self.make()))
            start = time.perf_counter()
            async with self.pool.acquire() as connection, connection.transaction():
                await self.receiver.take(connection, CLUSTER, message)
            end = time.perf_counter()
            self.took.append(end - start)
            self.lags.append(end - max(due, began))
            number += 1

    def told(self, seconds: float) -> dict[str, float]:
        return {
            "per_second": round(len(self.lags) * self.batch / seconds),
            "batch_p50_ms": round(statistics.median(self.took) * 1000, 1),
            "batch_p99_ms": round(sorted(self.took)[int(len(self.took) * 0.99)] * 1000, 1),
            "lag_p99_ms": round(sorted(self.lags)[int(len(self.lags) * 0.99)] * 1000, 1),
            "lag_last_ms": round(self.lags[-1] * 1000, 1),
        }


def _postgres_cpu(folder: Path) -> float:
    """Processors' seconds of the server that has its data in ``folder``, of its children that ended too."""
    tick, total = os.sysconf("SC_CLK_TCK"), 0
    main = int((folder / "postmaster.pid").read_text().split()[0])
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = each.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if main in (int(fields[1]), int(each.parent.name)):
            total += int(fields[11]) + int(fields[12])
            if int(each.parent.name) == main:
                total += int(fields[13]) + int(fields[14])
    return total / tick


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _data(server_folder: Path) -> Path:
    return next(path.parent for path in server_folder.rglob("postmaster.pid"))


async def _paced(pool: Pool, folder: Path, seconds: float, distinct: float) -> dict[str, object]:
    chance, numbers = random.Random(1), iter(range(10**9))
    each = BATCHES["processes"]
    # Encoding is the Sensor's work: it is taken out of the figure below.
    encoding = 0.0

    def processes() -> bytes:
        nonlocal encoding
        start = time.process_time()
        made = _encode([_process(next(numbers), distinct, chance) for _ in range(each)])
        encoding += time.process_time() - start
        return made

    def flows() -> bytes:
        nonlocal encoding
        start = time.process_time()
        made = _encode([_flow(chance) for _ in range(BATCHES["flows"])])
        encoding += time.process_time() - start
        return made

    one, two = _Source(pool, "processes", PROCESSES, processes), _Source(pool, "flows", FLOWS, flows)
    own, theirs, began = _own_cpu(), _postgres_cpu(folder), time.perf_counter()
    await asyncio.gather(one.run(seconds), two.run(seconds))
    took = time.perf_counter() - began
    return {
        "seconds": round(took, 1),
        "processes": one.told(took),
        "flows": two.told(took),
        "cores_central": round((_own_cpu() - own - encoding) / took, 2),
        "cores_postgres": round((_postgres_cpu(folder) - theirs) / took, 2),
        "rows": {
            table: await pool.fetchval(f"SELECT count(*) FROM {table}")
            for table in ("processes", "network_flows", "process_baseline_elements", "network_baseline_peers")
        },
        "bytes": await pool.fetchval(
            "SELECT sum(pg_total_relation_size(each))::bigint"
            " FROM unnest(ARRAY['processes', 'network_flows']::regclass[]) AS each"
        ),
    }


async def _unpaced(pool: Pool, seconds: float) -> dict[str, float]:
    chance, numbers = random.Random(2), iter(range(10**8, 10**9))
    made = [_encode([_process(next(numbers), 1.0, chance) for _ in range(1000)]) for _ in range(400)]
    source = _Source(pool, "processes", 0, iter(made).__next__)
    began = time.perf_counter()
    with suppress(RuntimeError):  # all that was made is kept
        await source.run(seconds)
    return source.told(time.perf_counter() - began)


async def _alerts(pool: Pool, number: int) -> dict[str, object]:
    await pool.execute("INSERT INTO alert_policies (digest, record) VALUES ('\\x01', '{\"id\": \"p\"}')")
    await pool.execute(
        """
        INSERT INTO alerts SELECT 'alert-' || n, '00000000-0000-0000-0000-000000000001'::uuid, 'cluster-' || n % 5,
            'ns-' || n % 50, '', 'deployment/' || n, 'DEPLOYMENT', 'app-' || n % 2000, 'd-' || n % 2000, 'Deployment', '',
            'policy-' || n % 90, 'Policy number ' || n % 90, '\\x01', ARRAY['Category ' || n % 9], 1 + n % 4,
            CASE WHEN n % 3 = 0 THEN 'RUNTIME' ELSE 'DEPLOY' END, CASE WHEN n % 10 = 0 THEN 'RESOLVED' ELSE 'ACTIVE' END,
            now() - n * interval '1 second', now() - n * interval '2 seconds', NULL, '', 0, FALSE, FALSE, '{}',
            repeat('x', 1500)
        FROM generate_series(1, $1::int) AS n
        """,
        number,
    )
    await pool.execute("ANALYZE alerts")
    store = AlertStore(pool)
    queries = {
        "first page": ("", 0, ""),
        "page 200": ("", 10_000, ""),
        "by severity": ("", 0, "Severity"),
        "by policy": ("", 0, "Policy"),
        "Severity:CRITICAL+Cluster:cluster-1": ("Severity:CRITICAL+Cluster:cluster-1", 0, ""),
        "Deployment:app-77": ("Deployment:app-77", 0, ""),
        "Policy:r/.*number 7.*": ("Policy:r/.*number 7.*", 0, ""),
        "nothing found": ("Namespace:nowhere", 0, ""),
    }
    found: dict[str, object] = {"alerts": number}
    for name, (query, offset, sort) in queries.items():
        times = []
        for _ in range(100):
            start = time.perf_counter()
            await store.find(wanted(query), limit=50, offset=offset, sort=sort, descending=True)
            times.append((time.perf_counter() - start) * 1000)
        times.sort()
        found[name] = {"p50_ms": round(times[50], 2), "p99_ms": round(times[98], 2)}
    for name, call in {"count": store.count, "groups": store.groups}.items():
        times = []
        for _ in range(50):
            start = time.perf_counter()
            await call(wanted(""))  # type: ignore[operator]  # both take what is wanted
            times.append((time.perf_counter() - start) * 1000)
        times.sort()
        found[name] = {"p50_ms": round(times[25], 2), "p99_ms": round(times[49], 2)}
    return found


async def _measured(url: str, folder: Path, seconds: float, distinct: float) -> dict[str, object]:
    pool = await pools.connect(url, maximum=6)
    await migrations.migrate(pool, "redoubt.central.migrations")
    try:
        return {
            "paced": await _paced(pool, folder, seconds, distinct),
            "all new, as fast as they go": await _unpaced(pool, min(seconds, 20)),
            "lists": await _alerts(pool, 100_000),
        }
    finally:
        await pools.close(pool)


def run(seconds: float = 60, distinct: float = 0.2) -> dict[str, Any]:
    """All of it."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("REDOUBT_BENCH_FOLDER")) as name:
        folder = Path(name)
        folder.chmod(0o711)
        server = Embedded(folder / "pg")
        server.start()
        try:
            url = asyncio.run(databases.ensure(server.url("bench"), "bench"))
            return asyncio.run(_measured(url, _data(folder), seconds, distinct))
        finally:
            server.stop()


def section(found: dict[str, Any]) -> list[str]:
    """As a part of docs/benchmarks.md."""
    paced, unpaced, lists = found["paced"], found["all new, as fast as they go"], dict(found["lists"])
    lines = [
        "## What clusters tell",
        "",
        f"{PROCESSES:,} process events and {FLOWS:,} flow updates a second for {paced['seconds']:.0f} s, one process in five new, into a "
        "PostgreSQL that writes to the disk; learned from in the same transactions. Without the stream (see `bench/hub.py`).",
        "",
        "| what | figure |",
        "|---|---|",
        f"| kept | {paced['processes']['per_second']:,} processes and {paced['flows']['per_second']:,} flows a second |",
        f"| processors | {paced['cores_central']:.2f} Central, {paced['cores_postgres']:.2f} PostgreSQL |",
        f"| a message after its moment, 99th percentile | {paced['processes']['lag_p99_ms']:.0f} ms; {paced['flows']['lag_p99_ms']:.0f} ms |",
        f"| size of {paced['rows']['processes']:,} processes and {paced['rows']['network_flows']:,} flows | {paced['bytes'] / 1e6:.0f} MB |",
        f"| nothing but new processes, one message after the other | {unpaced['per_second']:,} a second |",
        "",
        f"Lists of {lists.pop('alerts'):,} alerts, 50 a page, milliseconds.",
        "",
        "| what | median | 99th percentile |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {each['p50_ms']:.1f} | {each['p99_ms']:.1f} |" for name, each in lists.items()]
    return [*lines, ""]


if __name__ == "__main__":
    given = [float(each) for each in sys.argv[1:]]
    print(json.dumps(run(*given), indent=2))
