"""The collector: whether all is seen, what it costs those that are watched, and how much its reader takes.

Programs are started one after another by posix_spawn in a cgroup that looks like a container's. The same is timed with and
without the probe, in turns. The reader is given a ring in memory that is full of records, so that its own pace is measured and
not that of what could fill it. Needs root, BTF and cgroups; elsewhere nothing is measured.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from redoubt.collector.observer import Observer
from redoubt.collector.ring import Ring
from redoubt.model.noderecords import Connection, Process
from support import kernel, rings

EXECS, CONNECTIONS = 20_000, 10_000
ROUNDS, ROUND = 20, 600
RECORDS = 400_000

_SPAWN = """
import os, sys, time
times = int(sys.argv[1])
began = time.perf_counter()
for number in range(times):
    os.waitpid(os.posix_spawn("/bin/true", ["true", str(number)], {}), 0)
print((time.perf_counter() - began) / times)
"""
_CONNECT = """
import socket, sys, time
listening = socket.create_server(("127.0.0.1", 0), backlog=64)
times = int(sys.argv[1])
began = time.perf_counter()
for number in range(times):
    client = socket.create_connection(listening.getsockname())
    server = listening.accept()[0]
    client.close()
    server.close()
print((time.perf_counter() - began) / times)
"""


def run() -> dict[str, Any]:
    """Figures by name, or why there are none: ``skipped``."""
    if reason := kernel.missing():
        return {"skipped": reason}
    result: dict[str, Any] = {}
    with kernel.watching() as (collector, container):
        _timed(container, _SPAWN, EXECS)
        collector.stop()
        told = collector.of(container, Process)
        result["execs"] = EXECS
        result["execs_seen"] = len({each.arguments[1] for each in told if each.name == "true"})
        result["execs_lost"] = sum(sum(each.values()) for each in collector.collector.health.lost)
    with kernel.watching() as (collector, container):
        _timed(container, _CONNECT, CONNECTIONS)
        time.sleep(1)
        collector.stop()
        told_too = collector.of(container, Connection)
        result["connections"] = CONNECTIONS
        for role in ("client", "server"):
            for state in ("open", "closed"):
                result[f"{role}_{state}"] = sum(e.role == role and e.state == state for e in told_too)
    for name, code in (("exec", _SPAWN), ("connect", _CONNECT)):
        without, watched = _in_turns(code)
        result[f"{name}_without"], result[f"{name}_watched"] = without, watched
    result["reader"] = {
        "program started, 5 arguments": _pace([rings.executed(b"true\0one\0two\0three\0four\0")]),
        "program started, process made, process ended": _pace(
            [rings.record(rings.FORK, bytes(8)), rings.executed(), rings.record(rings.EXIT, bytes(8))]
        ),
        "connection opened, closed": _pace([rings.connected(2, 1), rings.connected(4, 7)]),
    }
    return result


def _timed(container: kernel.Contained, code: str, times: int) -> float:
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(times)],
        preexec_fn=container.enter,
        capture_output=True,
        check=True,
        timeout=600,
    )
    return float(done.stdout)


def _in_turns(code: str) -> tuple[list[float], list[float]]:
    """Seconds for each, without and with the collector."""
    without, watched = [], []
    with kernel.Contained() as container:
        for _ in range(ROUNDS):
            without.append(_timed(container, code, ROUND))
            with kernel.Watching():
                watched.append(_timed(container, code, ROUND))
    return without, watched


def _pace(records: list[bytes]) -> float:
    """Records a second from the ring to events, all of one container."""
    size = 8 << 20
    told, spent = 0, 0.0
    observer = Observer()
    observer.take(rings.named(f"kubepods/pod12345678-1234-1234-1234-123456789abc/{'ab' * 32}"))
    while told < RECORDS:
        written = rings.Written(size)
        ring = Ring(written.descriptor, size)
        for number in range(size // 512):
            written.write(records[number % len(records)])
        began = time.process_time()
        for each in ring.records():
            observer.take(each)
            told += 1
        spent += time.process_time() - began
        ring.close()
        written.close()
    assert not observer.spoilt
    return told / spent


def section(result: dict[str, Any]) -> list[str]:
    """The page's part."""
    lines = ["## Collector", ""]
    if "skipped" in result:
        return [*lines, f"Not measured here: {result['skipped']}.", ""]

    def ratio(name: str) -> str:
        without, watched = result[f"{name}_without"], result[f"{name}_watched"]
        median = statistics.median(watched) / statistics.median(without)
        least = min(watched) / min(without)
        return (
            f"{statistics.median(without) * 1e6:.0f} µs → {statistics.median(watched) * 1e6:.0f} µs "
            f"(× {median:.2f}; the quickest of each: × {least:.2f})"
        )

    lines += [
        f"In a cgroup like a container's, on the kernel of this machine. Latencies are medians of {ROUNDS} rounds of {ROUND:,} with and without "
        "the collector in turns, which runs on the same cores; the reader's pace is that of one core, decoding included, from a full ring in memory.",
        "",
        "| what | result |",
        "|---|---|",
        f"| programs started and seen | {result['execs_seen']:,} of {result['execs']:,}, {result['execs_lost']} records lost |",
        f"| TCP connections, opening seen by client and server | {result['client_open']:,} and {result['server_open']:,} of {result['connections']:,} |",
        f"| the same, end | {result['client_closed']:,} and {result['server_closed']:,} |",
        f"| starting a program | {ratio('exec')} |",
        f"| connecting and closing, loopback | {ratio('connect')} |",
    ]
    lines += [f"| reader: {name} | {pace:,.0f} records/s |" for name, pace in result["reader"].items()]
    return [*lines, ""]


if __name__ == "__main__":
    print("\n".join(section(run())))
