"""Central away for ten minutes at full load: is everything there afterwards, how soon, and what does it take meanwhile?

`redoubt central` with a PostgreSQL that writes to the disk, `redoubt sensor` in front of a stand-in for the API server, and a
Collector's outbox and stream (fed with made-up events) at 5,000 programs and 2,000 changes of flows a second, all of them processes of
this machine. Central is killed by SIGKILL and stays away; in the middle of that the Sensor is killed, too, and started again at once.
The load goes on all the time, also while what waited is told. At the end Central's tables are counted against what was made up.

    python bench/outage.py [SECONDS [REPEATED]]      600 s, and 10: one program and one flow in ten is a new one; 1: every one

Prints JSON. ``REDOUBT_BENCH_LOGS``: a folder where logs are kept, and what waited from second to second.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "bench")]

import asyncpg
import httpx
from activity import _data, _postgres_cpu
from runtime import identifier

from redoubt.children import bound
from redoubt.collector.outbox import Outbox
from redoubt.collector.reporting import Reporting
from redoubt.model.noderecords import Ancestor, Flow, Process
from redoubt.postgres import databases
from redoubt.postgres.embedded import Embedded
from redoubt.wire import ports
from redoubt.wire.channel import channel
from redoubt.wire.identity import Service
from redoubt.wire.material import Files, Material
from redoubt.wire.proto.redoubt.v1.secured_pb2 import CollectorHello
from support import replicas, secured
from support.apiserver import ApiServer, serving
from support.wire import Certificates

PROGRAMS, FLOWS, SECONDS = 5000, 2000, 600.0
WORKLOADS, TICK = 200, 0.02
#: Programs and flows that come again and again: each is one of so many.
FAMILIAR = 2000
#: Seconds before the outage, and after all was told that waited.
BEFORE, AFTER = 15.0, 15.0
#: Messages that wait where nothing is behind: those of the last seconds.
BEHIND = 40
PATIENCE = 3600.0

# The Collector's end: a process of its own


class Load:
    """What is made up. Number N of it is familiar, or the only one of its kind."""

    def __init__(self, outbox: Outbox, repeated: int) -> None:
        self.outbox = outbox
        self.repeated = repeated
        self.programs: set[int] = set()
        self.flows: set[int] = set()
        self.told = 0
        self.opened = 0

    def tick(self) -> None:
        """What is due in one."""
        for _ in range(int(PROGRAMS * TICK)):
            which = self._which(self.told)
            self.programs.add(which)
            self.outbox.put(_program(self.told, which))
            self.told += 1
        for _ in range(int(FLOWS * TICK) // 2):
            # Each stands for a second.
            before = self.opened - FLOWS // 2
            if before >= 0:
                self.outbox.put(_flow(self._which(before), "closed"))
            which = self._which(self.opened)
            self.flows.add(which)
            self.outbox.put(_flow(which, "open"))
            self.opened += 1

    def again(self) -> None:
        """See ``Watching``."""
        for number in range(max(0, self.opened - FLOWS // 2), self.opened):
            self.outbox.put(_flow(self._which(number), "open"))

    def configure(self, **_: object) -> None:
        """Nothing is configured."""

    def finish(self) -> None:
        """End all that stands."""
        for number in range(max(0, self.opened - FLOWS // 2), self.opened):
            self.outbox.put(_flow(self._which(number), "closed"))

    def _which(self, number: int) -> int:
        return number + FAMILIAR if number % self.repeated == 0 else number % FAMILIAR


def _program(number: int, which: int) -> Process:
    return Process(
        time=time.time_ns(),
        container=identifier(which % WORKLOADS),
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


def _flow(which: int, state: Literal["open", "closed"]) -> Flow:
    source, rest = which % WORKLOADS, which // WORKLOADS
    target, port = rest % WORKLOADS, rest // WORKLOADS
    return Flow(
        time=time.time_ns(),
        container=identifier(source),
        protocol="tcp",
        role="client",
        remote=_address(target),
        port=1024 + port,
        state=state,
        network=1,
    )


async def _collector(port: int, folder: Path, repeated: int) -> None:
    more = asyncio.Event()
    outbox = Outbox(32 << 20, more.set)
    load = Load(outbox, repeated)
    sensor = channel(f"127.0.0.1:{port}", Material(Files.within(folder / "collector")), [Service.SENSOR])
    hello = CollectorHello(hostname="node-1", instance="bench", version="0", kernel="0")
    reporting = Reporting(sensor, hello, outbox, more, load, lambda: b"{}", health_interval=30)
    telling = asyncio.create_task(reporting.run())
    while not reporting.connected:
        await asyncio.sleep(0.01)
    stop = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    began, ticks, most = time.monotonic(), 0, 0
    while not stop.done():
        await asyncio.sleep(max(0.0, began + ticks * TICK - time.monotonic()))
        load.tick()
        ticks += 1
        most = max(most, outbox.bytes)
    took = time.monotonic() - began
    load.finish()
    outbox.seal()
    while outbox.bytes:
        outbox.seal()
        await asyncio.sleep(0.05)
    told = {
        "seconds": round(took, 1),
        "late_seconds": round(took - ticks * TICK, 2),
        "programs": load.told,
        "flow_changes": 2 * load.opened,
        "different_programs": len(load.programs),
        "different_flows": len(load.flows),
        "outbox_peak_mb": round(most / 1e6, 1),
        "dropped": outbox.dropped,
    }
    (folder / "told").write_text(json.dumps(told))  # a log may be on the way out
    telling.cancel()


# The cluster


def _address(number: int) -> str:
    return f"10.1.{number // 250}.{number % 250 + 1}"


def _meta(kind: str, number: int, owner: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": f"app-{number}",
        "namespace": f"ns-{number % 20}",
        "uid": f"{kind}-{number}",
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "labels": {"app": f"app-{number}"},
    }
    if owner:
        made["ownerReferences"] = [
            {"kind": owner, "uid": f"{owner}-{number}", "name": f"app-{number}", "controller": True}
        ]
    return made


def _cluster(folder: Path) -> ApiServer:
    """Workloads of one pod each."""
    made = ApiServer(folder, "apps", "batch", "networking.k8s.io", "rbac.authorization.k8s.io")
    made.resources = {
        "/api/v1": [
            "pods", "namespaces", "nodes", "serviceaccounts", "services", "secrets", "configmaps", "replicationcontrollers"
        ],
        "/apis/apps/v1": ["deployments", "daemonsets", "statefulsets", "replicasets"],
        "/apis/batch/v1": ["jobs", "cronjobs"],
        "/apis/networking.k8s.io/v1": ["networkpolicies", "ingresses"],
        "/apis/rbac.authorization.k8s.io/v1": ["roles", "rolebindings", "clusterroles", "clusterrolebindings"],
    }  # fmt: skip
    containers = [{"name": "main", "image": "registry.invalid/team/app:1.0"}]
    for number in range(WORKLOADS):
        template = {"metadata": {"labels": {"app": f"app-{number}"}}, "spec": {"containers": containers}}
        spec = {"replicas": 1, "selector": {"matchLabels": {"app": f"app-{number}"}}, "template": template}
        made.objects["/apis/apps/v1/deployments"].append(
            {"metadata": _meta("Deployment", number), "spec": spec}
        )
        made.objects["/apis/apps/v1/replicasets"].append(
            {"metadata": _meta("ReplicaSet", number, "Deployment"), "spec": spec}
        )
        status = {
            "phase": "Running",
            "podIP": _address(number),
            "podIPs": [{"ip": _address(number)}],
            "containerStatuses": [
                {
                    "name": "main",
                    "image": "registry.invalid/team/app:1.0",
                    "imageID": "registry.invalid/team/app@sha256:" + "a" * 64,
                    "containerID": f"containerd://{identifier(number)}",
                    "ready": True,
                    "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}},
                }
            ],
        }
        made.objects["/api/v1/pods"].append(
            {
                "metadata": _meta("Pod", number, "ReplicaSet"),
                "spec": {"nodeName": "node-1", "containers": containers},
                "status": status,
            }
        )
    made.objects["/api/v1/namespaces"] = [
        {"metadata": {"name": f"ns-{each}", "uid": f"ns-{each}"}} for each in range(20)
    ]
    made.objects["/api/v1/nodes"] = [{"metadata": {"name": "node-1", "uid": "node-1"}}]
    return made


# What is measured


class Used:
    """Of a process that is started again and again: the most memory, and seconds of processors."""

    def __init__(self) -> None:
        self.peak_mb = 0
        self._before = 0.0

    def look(self, pid: int) -> float:
        """At a process: seconds of processors so far, of it and those before."""
        folder = Path(f"/proc/{pid}")
        for line in (folder / "status").read_text().splitlines():
            if line.startswith("VmHWM"):
                self.peak_mb = max(self.peak_mb, int(line.split()[1]) // 1024)
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        return self._before + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ends(self, pid: int) -> None:
        """It is about to be killed."""
        self._before = self.look(pid)


class Outage:
    """All processes, and what is seen of them."""

    def __init__(
        self, folder: Path, url: str, data: Path, certificates: Certificates, kubeconfig: Path
    ) -> None:
        self.folder, self.url, self.data = folder, url, data
        self.certificates = certificates
        self.central = replicas.Process(folder, "central", url, certificates.folder)
        self.of_central, self.of_sensor = Used(), Used()
        self.port, self.health = ports.free(2)
        self.kubeconfig = kubeconfig
        self.sensor: secured.Process | None = None
        self.collector: subprocess.Popen[str] | None = None
        self.metrics: dict[str, float] = {}
        self.spool_peak = 0.0
        self.began = time.monotonic()

    async def start(self, repeated: int) -> None:
        """All of it, until events arrive."""
        async with self.central.http() as http:
            cluster = (await http.post("/v1/clusters", json={"name": "bench"})).json()["cluster"]["id"]
        self.certificates.files(Service.SENSOR, "sensor", identifier=cluster)
        self.certificates.files(Service.COLLECTOR, "collector", identifier=cluster)
        given = {
            "DATA": str(self.folder / "sensor"),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "HEALTH_HOST": "127.0.0.1",
            "HEALTH_PORT": str(self.health),
            "CERTIFICATES": str(self.certificates.folder / "sensor"),
            "CENTRAL": f"127.0.0.1:{self.central.port}",
            "KUBECONFIG": str(self.kubeconfig),
            "NAMESPACE": "default",
        }
        environment = {f"REDOUBT_SENSOR_{name}": value for name, value in given.items()}
        self.sensor = secured.Process("sensor", self.folder, environment)
        self.sensor.start()
        words = [
            sys.executable,
            __file__,
            "collector",
            str(self.port),
            str(self.certificates.folder),
            str(repeated),
        ]
        with (self.folder / "collector.log").open("ab") as log:
            self.collector = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                text=True,
                preexec_fn=bound(signal.SIGKILL),
            )
        await self.until("the first programs at Central", self._any_program, 120)

    async def _any_program(self) -> bool:
        connection = await asyncpg.connect(self.url)
        try:
            return bool(await connection.fetchval("SELECT true FROM processes LIMIT 1"))
        finally:
            await connection.close()

    async def until(self, what: str, happened: Any, within: float = PATIENCE) -> float:
        """Look every half second until it is so; how many seconds that took."""
        began = time.monotonic()
        while not await happened():
            assert time.monotonic() - began < within, (
                f"waited {within} s for {what}; {self.metrics}; {self._said()}"
            )
            await asyncio.sleep(0.5)
            await self.look()
        return time.monotonic() - began

    def _said(self) -> str:
        said = (self.folder / "central.log").read_text()[-2000:]
        return said + (self.sensor.said()[-2000:] if self.sensor else "")

    async def passing(self, seconds: float) -> None:
        """Look on for a while."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            await asyncio.sleep(min(1.0, max(0.0, ends - time.monotonic())))
            await self.look()

    async def look(self) -> None:
        """At the Sensor's metrics and everybody's memory."""
        assert self.sensor is not None
        assert self.sensor.process is not None
        self.of_sensor.look(self.sensor.process.pid)
        if self.central.process.poll() is None:
            self.of_central.look(self.central.process.pid)
        try:
            async with httpx.AsyncClient(timeout=5) as http:
                text = (await http.get(f"http://127.0.0.1:{self.health}/metrics")).text
        except httpx.TransportError:
            return
        for line in text.splitlines():
            if line.startswith("rox_sensor_"):
                name, _, value = line.removeprefix("rox_sensor_").partition(" ")
                self.metrics[name] = float(value)
        self.spool_peak = max(self.spool_peak, self.metrics.get("spool_bytes", 0))
        seen = (self.metrics.get(each, 0) for each in ("connected", "spooled", "spool_bytes"))
        with (self.folder / "outage.log").open("a") as log:
            print(f"{time.monotonic() - self.began:.1f}", *(int(each) for each in seen), file=log)

    def cpu(self) -> dict[str, float]:
        """Seconds of processors so far."""
        assert self.sensor is not None
        assert self.sensor.process is not None
        return {
            "central": self.of_central.look(self.central.process.pid),
            "sensor": self.of_sensor.look(self.sensor.process.pid),
            "postgres": _postgres_cpu(self.data),
        }

    async def caught_up(self) -> bool:
        return self.metrics.get("connected") == 1 and self.metrics["spooled"] <= BEHIND

    async def drained(self) -> bool:
        return self.metrics["spooled"] == 0

    async def run(self, seconds: float, repeated: int) -> dict[str, Any]:
        """The whole of it."""
        await self.start(repeated)
        assert self.sensor is not None
        assert self.sensor.process is not None
        assert self.collector is not None
        await self.passing(BEFORE)
        self.of_central.ends(self.central.process.pid)
        self.central.kill()
        away = time.monotonic()
        await self.passing(seconds / 2)
        self.of_sensor.ends(self.sensor.process.pid)
        self.sensor.kill()
        self.sensor.start()
        await self.passing(seconds - (time.monotonic() - away))
        waiting, spool = self.metrics["spooled"], self.metrics["spool_bytes"]
        self.central.start()
        back = time.monotonic()
        connected = await self.until("the Sensor to connect", self._connected, 600)
        cpu, then = self.cpu(), time.monotonic()
        took = await self.until("what waited to be told", self.caught_up)
        used = (
            {name: round((value - cpu[name]) / took, 2) for name, value in self.cpu().items()} if took else {}
        )
        behind = time.monotonic() - back
        await self.passing(AFTER)
        assert self.collector.stdin is not None
        self.collector.stdin.write("\n")
        self.collector.stdin.close()
        await asyncio.to_thread(self.collector.wait, 600)
        told = json.loads((self.certificates.folder / "told").read_text())
        await self.passing(3)
        await self.until("all to be acknowledged", self.drained, 600)
        async with self.central.http() as http:
            health = (await http.get("/v1/clusters")).json()["clusters"][0]["healthStatus"]
        return {
            "away_seconds": seconds,
            "new_ones": f"1 of {repeated}",
            "made_up": told,
            "waited": {"messages": int(waiting), "spool_mb": round(spool / 1e6)},
            "spool_peak_mb": round(self.spool_peak / 1e6),
            "connected_after_seconds": round(connected, 1),
            "told_within_seconds": round(took, 1),
            "all_there_after_seconds": round(behind, 1),
            "times_the_load": round(1 + (then - away) / took, 1) if took else None,
            "processors_meanwhile": used,
            "sensor_peak_mb": self.of_sensor.peak_mb,
            "central_peak_mb": self.of_central.peak_mb,
            "dropped": health.get("dropped", {}),
            "spoilt": health.get("spoilt", 0),
            "at_central": await self.counted(),
        }

    async def _connected(self) -> bool:
        return self.metrics.get("connected") == 1

    async def counted(self) -> dict[str, Any]:
        """Rows, and how many of them were told more than once."""
        connection = await asyncpg.connect(self.url)
        try:
            processes = await connection.fetchrow("SELECT count(*), sum(times), max(times) FROM processes")
            flows = await connection.fetchrow("SELECT count(*), count(closed) FROM network_flows")
            size = await connection.fetchval(
                "SELECT sum(pg_total_relation_size(each))::bigint FROM unnest(ARRAY['processes', 'network_flows',"
                " 'network_baseline_peers', 'process_baseline_elements']::regclass[]) AS each"
            )
        finally:
            await connection.close()
        assert processes is not None
        assert flows is not None
        return {
            "programs": processes[0],
            "tellings": int(processes[1]),
            "most_tellings_of_one": processes[2],
            "flows": flows[0],
            "flows_that_are_over": flows[1],
            "megabytes": round(size / 1e6),
        }

    def stop(self) -> None:
        """Whatever runs still."""
        self.central.kill()
        if self.sensor is not None:
            self.sensor.kill()
        if self.collector is not None:
            self.collector.kill()
            self.collector.wait(10)


async def _measured(folder: Path, server: Embedded, seconds: float, repeated: int) -> dict[str, Any]:
    url = await databases.ensure(server.url("bench"), "bench")
    certificates = Certificates(folder / "certificates")
    certificates.files(Service.CENTRAL, "central")
    async with serving(_cluster(folder)) as cluster:
        outage = Outage(folder, url, _data(folder / "pg"), certificates, cluster.kubeconfig())
        try:
            return await outage.run(seconds, repeated)
        finally:
            outage.stop()
            if keep := os.environ.get("REDOUBT_BENCH_LOGS"):
                for each in folder.glob("*.log"):
                    (Path(keep) / each.name).write_bytes(each.read_bytes())


def run(seconds: float = SECONDS, repeated: int = 10) -> dict[str, Any]:
    """One outage."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("REDOUBT_BENCH_FOLDER")) as name:
        folder = Path(name)
        folder.chmod(0o711)
        server = Embedded(folder / "pg")
        server.start()
        try:
            return asyncio.run(_measured(folder, server, seconds, repeated))
        finally:
            server.stop()


def section() -> list[str]:
    """The page's part. ``REDOUBT_BENCH_OUTAGE``: seconds of it."""
    seconds = float(os.environ.get("REDOUBT_BENCH_OUTAGE", SECONDS))
    found = {"one in ten": run(seconds, 10), "every one": run(seconds, 1)}
    lines = [
        "## Central away",
        "",
        f"Central killed for {seconds / 60:.0f} minutes at {PROGRAMS:,} programs and {FLOWS:,} changes of flows a second, the Sensor killed in the middle of "
        "that and started again; the load goes on while what waited is told, all on this machine (`bench/outage.py`). The Sensor tries again "
        "after 10 seconds, then twice as long, up to 5 minutes. *Told twice*: rows are still one each.",
        "",
        "| new ones | programs and flows made up | different ones | at Central | told twice | lost | spool at most | connected after | "
        "all told after that | times the load | Sensor, Central at most |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, each in found.items():
        made, there = each["made_up"], each["at_central"]
        lost = sum(each["dropped"].values()) + sum(made["dropped"].values())
        lines.append(
            f"| {name} | {made['programs']:,} and {made['flow_changes']:,} | {made['different_programs']:,} and {made['different_flows']:,} "
            f"| {there['programs']:,} and {there['flows']:,} | {there['tellings'] - there['programs']:,} | {lost:,} | {each['spool_peak_mb']} MB "
            f"| {each['connected_after_seconds']:.0f} s | {each['told_within_seconds']:.0f} s | {each['times_the_load']} "
            f"| {each['sensor_peak_mb']} MB, {each['central_peak_mb']} MB |"
        )
    return [*lines, ""]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["collector", port, folder, repeated]:
            asyncio.run(_collector(int(port), Path(folder), int(repeated)))
        case given:
            seconds, repeated = [*given, str(SECONDS), "10"][:2] if len(given) != 1 else (given[0], "10")
            print(json.dumps(run(float(seconds), int(repeated)), indent=2))
