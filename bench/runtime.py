"""Collector → Sensor: 5,000 programs and 2,000 flows a second for a while, and what both processes take for it.

Two processes on one machine, over the real port: the Collector's outbox and stream fed with made-up events (the kernel's side is
measured in ``collector.py``), and the Sensor's runtime detection with all default policies enabled and its real spool on disk. The
store of pods is a stand-in in memory. Once as containers usually are, nine of ten programs known already; once with every
program a new one.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import msgspec

from redoubt.collector.outbox import Outbox
from redoubt.collector.reporting import Reporting
from redoubt.model.noderecords import Ancestor, Flow, Process
from redoubt.policies.defaults import default_policies
from redoubt.sensor.runtime.cluster import Spooled
from redoubt.sensor.stream.spool import Spool
from redoubt.wire import ports
from redoubt.wire.channel import channel
from redoubt.wire.identity import Service
from redoubt.wire.material import Files, Material
from redoubt.wire.proto.redoubt.v1.secured_pb2 import CollectorHello
from support.runtime import Sensor, Store
from support.wire import Certificates

PROGRAMS, FLOWS, SECONDS = 5000, 2000, 30
CONTAINERS = 100
TICK = 0.02


def identifier(number: int) -> str:
    return f"{number:064x}"


def run() -> dict[str, Any]:
    """Figures by name."""
    return {
        "programs_a_second": PROGRAMS,
        "flows_a_second": FLOWS,
        "seconds": SECONDS,
        "one_in_ten_new": _pair(10),
        "all_new": _pair(1),
    }


def section() -> list[str]:
    """The page's part."""
    figures = run()
    words = (
        f"{PROGRAMS:,} programs and {FLOWS:,} flows a second for {SECONDS} seconds, from a Collector's outbox (fed with made-up events) over the "
        "real port to a Sensor with all default policies enabled and its spool on disk. Shares are of one core, the rest of the machine does the other one's part."
    )
    rows = []
    for what, key in (
        ("nine of ten programs known already", "one_in_ten_new"),
        ("every program new", "all_new"),
    ):
        collector, sensor = figures[key]["collector"], figures[key]["sensor"]
        lost = sum(collector["dropped"].values()) + sum(sensor["dropped"].values())
        rows.append(
            f"| {what} | {collector['cpu_of_one']:.0%} | {sensor['cpu_of_one']:.0%} | {sensor['peak_mb']} MB | "
            f"{collector['all_acknowledged_after']:.1f} s | {lost} |"
        )
    return [
        "## Collector to Sensor",
        "",
        words,
        "",
        "| programs | Collector | Sensor | Sensor's peak | all acknowledged after | lost |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _pair(repeated: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        certificates = Certificates(Path(folder))
        certificates.files(Service.SENSOR)
        certificates.files(Service.COLLECTOR)
        port = str(ports.free(1)[0])
        common = [sys.executable, __file__]
        sensor = subprocess.Popen(
            [*common, "sensor", port, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            assert sensor.stdout is not None
            assert sensor.stdout.readline() == "ready\n"
            done = subprocess.run(
                [*common, "collector", port, folder, str(repeated)],
                capture_output=True,
                text=True,
                timeout=SECONDS * 4,
                check=True,
            )
            told, _ = sensor.communicate("\n", timeout=60)
        finally:
            sensor.kill()
            sensor.wait(10)
    return {
        "collector": json.loads(done.stdout.splitlines()[-1]),
        "sensor": json.loads(told.splitlines()[-1]),
    }


def _used() -> dict[str, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}


async def _sensor(port: int, folder: Path) -> None:
    store = Store([msgspec.structs.replace(each, disabled=False) for each in default_policies()])
    for number in range(CONTAINERS):
        store.add(f"app-{number}", identifier(number), f"uid-{number}", [f"10.1.0.{number}"])
    spool = Spool(folder / "spool", 1 << 30)
    spool.open()
    made = Sensor(store, Material(Files.within(folder / "sensor")), sent=Spooled(spool), interval=1.0)  # type: ignore[arg-type]
    await made.one.start("127.0.0.1", port)
    work = [asyncio.create_task(spool.run()), asyncio.create_task(made.runtime.run())]
    print("ready", flush=True)
    before = _used()["cpu"]
    await asyncio.to_thread(sys.stdin.readline)
    used = _used()
    same = made.runtime.programs.same
    print(
        json.dumps(
            {
                "cpu_of_one": round((used["cpu"] - before) / SECONDS, 3),
                "peak_mb": round(used["peak_mb"]),
                "known_already": same,
                "dropped": made.runtime.dropped,
                "spooled": spool.waiting,
                "spool_mb": round(spool.size / 1e6),
            }
        )
    )
    for each in work:
        each.cancel()


async def _collector(port: int, folder: Path, repeated: int) -> None:
    more = asyncio.Event()
    outbox = Outbox(32 << 20, more.set)

    class Nothing:
        def again(self) -> None:
            """Nothing stands."""

        def configure(self, **_: object) -> None:
            """Nothing is configured."""

    sensor = channel(f"127.0.0.1:{port}", Material(Files.within(folder / "collector")), [Service.SENSOR])
    hello = CollectorHello(hostname="node-1", instance="bench", version="0", kernel="0")
    reporting = Reporting(sensor, hello, outbox, more, Nothing(), lambda: b"{}", health_interval=30)
    telling = asyncio.create_task(reporting.run())
    while not reporting.connected:
        await asyncio.sleep(0.01)
    before, began, number, late = _used()["cpu"], time.monotonic(), 0, 0.0
    ticks = int(SECONDS / TICK)
    for tick in range(ticks):
        wait = began + tick * TICK - time.monotonic()
        late = max(late, -wait)
        await asyncio.sleep(max(0.0, wait))
        for _ in range(int(PROGRAMS * TICK)):
            number += 1
            outbox.put(_program(number, repeated))
        for each in range(int(FLOWS * TICK)):
            outbox.put(_flow(tick * int(FLOWS * TICK) + each))
    while outbox.after(reporting.acknowledged) is not None:
        outbox.seal()
        await asyncio.sleep(0.05)
        if time.monotonic() - began > SECONDS * 3:
            break
    took, used = time.monotonic() - began, _used()
    print(
        json.dumps(
            {
                "cpu_of_one": round((used["cpu"] - before) / SECONDS, 3),
                "peak_mb": round(used["peak_mb"]),
                "all_acknowledged_after": round(took, 2),
                "latest_tick_seconds": round(late, 3),
                "dropped": outbox.dropped,
            }
        )
    )
    telling.cancel()


def _program(number: int, repeated: int) -> Process:
    which = number if repeated == 1 else number if number % repeated == 0 else number % 1000
    return Process(
        time=1_700_000_000_000_000_000 + number,
        container=identifier(number % CONTAINERS),
        pod="",
        pid=number,
        parent=1,
        uid=1000,
        gid=1000,
        name="worker",
        path="/usr/local/bin/worker",
        asked="/usr/local/bin/worker",
        arguments=("worker", "--queue", "orders", "--job", str(which), "--verbose"),
        ancestors=(Ancestor("/usr/local/bin/supervisor", 1000), Ancestor("/sbin/tini", 0)),
        mounts=4026531840,
    )


def _flow(number: int) -> Flow:
    """Each begins, and ends 2,000 later: what is told is as much begun as ended."""
    opened = number % 2 == 0
    which = number // 2 if opened else number // 2 - 1000
    return Flow(
        time=1_700_000_000_000_000_000 + number,
        container=identifier(which % CONTAINERS),
        protocol="tcp",
        role="client",
        remote=f"10.1.0.{(which * 7) % CONTAINERS}",
        port=1024 + which % 30_000,
        state="open" if opened else "closed",
        network=1,
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["sensor", port, folder]:
            asyncio.run(_sensor(int(port), Path(folder)))
        case ["collector", port, folder, repeated]:
            asyncio.run(_collector(int(port), Path(folder), int(repeated)))
        case _:
            print(json.dumps(run(), indent=2))
