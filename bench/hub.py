"""A cluster's stream into Central: `redoubt central` as a process, PostgreSQL that writes to the disk, and a stand-in for the Sensor,
which speaks the real protocol over the real port and watches no cluster.

    python bench/hub.py sync [DEPLOYMENTS]      an empty Central; until Central has them all, and knows that these are all
    python bench/hub.py records [SECONDS]       5,000 processes and 2,000 flows a second, one process in five new
    python bench/hub.py storm [UPDATES]         changes of deployments, as fast as Central takes them

Prints JSON. Seconds of processors and memory are Central's process's; making messages is the stand-in's, on the same machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / each) for each in ("src", "tests", "bench", "scripts")]

import httpx
import msgspec
from activity import BATCHES, FLOWS, PROCESSES, _flow, _process

from redoubt.postgres import databases
from redoubt.postgres.embedded import Embedded
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.replicas import Process
from support.sensors import Sensor, connected, deployment, dial
from support.wire import Certificates

Work = Callable[["Running", Sensor], Awaitable[dict[str, object]]]
_encode = msgspec.msgpack.Encoder().encode


class Running:
    """A Central, and how much it uses."""

    def __init__(self, process: Process, http: httpx.AsyncClient, cluster: str) -> None:
        self.http = http
        self.cluster = cluster
        self._folder = Path(f"/proc/{process.process.pid}")

    def cpu(self) -> float:
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self, what: str = "VmRSS") -> int:
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) // 1024
        return 0


def _deployment(number: int, version: int = 0) -> dict[str, Any]:
    """About 6 KB, three containers."""
    containers = [
        {
            "name": f"c{each}",
            "image": {
                "id": f"sha256:{number % 200:064x}",
                "name": {"fullName": f"registry.invalid/team/app{number % 200}:1.{each}"},
            },
            "config": {"env": [{"key": f"V{one}", "value": "x" * 40} for one in range(15)]},
            "securityContext": {"readOnlyRootFilesystem": True, "dropCapabilities": ["ALL"]},
            "resources": {"cpuCoresLimit": 1, "memoryMbLimit": 512},
        }
        for each in range(3)
    ]
    return deployment(
        f"app-{number}",
        f"ns-{number % 50}",
        id=f"00000000-0000-4000-8000-{number:012}",
        containers=containers,
        annotations={"config": "y" * 2000, "version": str(version)},
        replicas=3,
    )


async def _put(one: Sensor, kind: str, identifier: str, what: dict[str, Any]) -> None:
    await one.upsert(kind, identifier, what, kept=False)


async def sync(running: Running, one: Sensor, number: int) -> dict[str, object]:
    """Everything of a cluster, and the word that this is all."""
    made = [_deployment(each) for each in range(number)]
    began, cpu = time.perf_counter(), running.cpu()
    for each in range(50):
        await _put(one, "namespace", f"ns-{each}", {"name": f"ns-{each}", "labels": {"team": "red"}})
    for each in made:
        await _put(one, "deployment", each["id"], each)
    for each in range(number * 3):
        await _put(
            one,
            "pod",
            f"00000000-0000-4000-9000-{each:012}",
            {
                "name": f"app-{each // 3}-{each % 3}",
                "namespace": f"ns-{each // 3 % 50}",
                "deploymentId": made[each // 3]["id"],
            },
        )
    await one.synced()
    sent = time.perf_counter() - began
    # A message that is kept is acknowledged after all before it.
    await one.upsert("namespace", "last", {"name": "last"})
    await one.kept()
    took = time.perf_counter() - began
    found = (await running.http.get("/v1/deploymentscount")).json()["count"]
    assert found == number, found
    start = time.perf_counter()
    listed = await running.http.get("/v1/deployments", params={"pagination.limit": 1000})
    return {
        "deployments": number,
        "pods": number * 3,
        "bytes": sum(len(json.dumps(each)) for each in made),
        "sent_seconds": round(sent, 2),
        "seconds": round(took, 2),
        "central_cpu_seconds": round(running.cpu() - cpu, 2),
        "central_megabytes": running.megabytes(),
        "central_megabytes_peak": running.megabytes("VmHWM"),
        "list_of_1000_ms": round((time.perf_counter() - start) * 1000),
        "listed": len(listed.json()["deployments"]),
    }


async def records(running: Running, one: Sensor, seconds: float) -> dict[str, object]:
    """Processes and flows at a steady pace, for ``seconds``; how long after they were sent they are acknowledged."""
    chance, numbers = random.Random(1), iter(range(10**9))
    lags: list[float] = []
    sent: dict[int, float] = {}
    began, cpu, before = time.perf_counter(), running.cpu(), running.megabytes()

    async def paced(kind: str, rate: int) -> int:
        batch, number = BATCHES[kind], 0
        while (now := time.perf_counter()) - began < seconds:
            due = began + number * batch / rate
            if due > now:
                await asyncio.sleep(due - now)
            if kind == "processes":
                data = _encode([_process(next(numbers), 0.2, chance) for _ in range(batch)])
            else:
                data = _encode([_flow(chance) for _ in range(batch)])
            of = pb.Records.PROCESSES if kind == "processes" else pb.Records.FLOWS
            message = pb.Records(kind=of, records=data)
            sent[one.number + 1] = time.perf_counter()
            await one.send(records=message)
            number += 1
        return number * batch

    async def watch() -> None:
        while True:
            await asyncio.sleep(0.005)
            now = time.perf_counter()
            for number in [each for each in sent if each <= one.acknowledged]:
                lags.append(now - sent.pop(number))

    watching = asyncio.create_task(watch())
    done = await asyncio.gather(paced("processes", PROCESSES), paced("flows", FLOWS))
    took = time.perf_counter() - began
    await one.kept()
    settled = time.perf_counter() - began
    await asyncio.sleep(0.05)
    watching.cancel()
    lags.sort()
    return {
        "seconds": round(took, 1),
        "processes_per_second": round(done[0] / took),
        "flows_per_second": round(done[1] / took),
        "behind_at_the_end_seconds": round(settled - took, 2),
        "acknowledged_after_p50_ms": round(lags[len(lags) // 2] * 1000),
        "acknowledged_after_p99_ms": round(lags[int(len(lags) * 0.99)] * 1000),
        "central_cores": round((running.cpu() - cpu) / settled, 2),
        "central_megabytes": [before, running.megabytes(), running.megabytes("VmHWM")],
    }


async def storm(running: Running, one: Sensor, number: int) -> dict[str, object]:
    """Changes of 500 deployments, each of its own transaction number."""
    before = running.megabytes()
    began, cpu = time.perf_counter(), running.cpu()
    for each in range(number):
        what = _deployment(each % 500, each)
        await one.upsert("deployment", what["id"], what)
    await one.kept()
    took = time.perf_counter() - began
    return {
        "updates": number,
        "seconds": round(took, 1),
        "per_second": round(number / took),
        "central_cpu_seconds": round(running.cpu() - cpu, 2),
        "central_megabytes": [before, running.megabytes(), running.megabytes("VmHWM")],
    }


async def _measured(
    url: str, folder: Path, certificates: Certificates, central: Process, work: Work
) -> dict[str, object]:
    async with central.http() as http:
        cluster = (await http.post("/v1/clusters", json={"name": "bench"})).json()["cluster"]["id"]
        async with connected(dial(central.port, certificates, cluster)) as one:
            await one.ready()
            return await work(Running(central, http, cluster), one)


def run(work: Work) -> dict[str, object]:
    """One measurement, on a Central and a database of its own."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("REDOUBT_BENCH_FOLDER")) as name:
        folder = Path(name)
        folder.chmod(0o711)
        server = Embedded(folder / "pg")
        server.start()
        certificates = Certificates(folder / "certificates")
        certificates.files(Service.CENTRAL, "central")
        central = None
        try:
            url = asyncio.run(databases.ensure(server.url("bench"), "bench"))
            central = Process(folder, "central", url, certificates.folder)
            return asyncio.run(_measured(url, folder, certificates, central, work))
        finally:
            if central is not None:
                central.kill()
            server.stop()


def main(what: str, number: float) -> dict[str, object]:
    """What is measured, and how much of it."""
    # A test waits for seconds; a measurement waits for what it measures.
    import support.sensors

    support.sensors.PATIENCE = 600.0
    match what:
        case "sync":
            return run(lambda running, one: sync(running, one, int(number or 2000)))
        case "records":
            return run(lambda running, one: records(running, one, number or 60))
        case "storm":
            return run(lambda running, one: storm(running, one, int(number or 20_000)))
    raise SystemExit(__doc__)


def section() -> list[str]:
    """The page's part."""
    whole: dict[str, Any] = main("sync", 0)
    paced: dict[str, Any] = main("records", 0)
    changed: dict[str, Any] = main("storm", 0)
    return [
        "## A cluster's stream into Central",
        "",
        "`redoubt central` as a process, PostgreSQL that writes to the disk, and a stand-in for the Sensor that speaks the real protocol over the "
        "real port, all on this machine (`bench/hub.py`). Processors and memory are those of Central's process.",
        "",
        "| | |",
        "|---|---|",
        f"| {whole['deployments']:,} deployments and {whole['pods']:,} pods into an empty Central, until it knows that these are all "
        f"| {whole['seconds']} s; {whole['central_cpu_seconds']} s of a processor, {whole['central_megabytes_peak']} MB at most |",
        f"| `/v1/deployments`, 1,000 of them | {whole['list_of_1000_ms']} ms |",
        f"| {paced['processes_per_second']:,} processes and {paced['flows_per_second']:,} flows a second for {paced['seconds']:.0f} s "
        f"| acknowledged after {paced['acknowledged_after_p50_ms']} ms (median) and {paced['acknowledged_after_p99_ms']} ms (p99); "
        f"{paced['central_cores']} processors, {paced['central_megabytes'][1]} MB |",
        f"| {changed['updates']:,} changes of deployments, as fast as they are taken "
        f"| {changed['per_second']:,} a second; {changed['central_megabytes'][1]} MB afterwards, {changed['central_megabytes'][0]} before |",
        "",
    ]


if __name__ == "__main__":
    print(json.dumps(main((sys.argv[1:] or [""])[0], float((sys.argv[2:] or ["0"])[0])), indent=2))
