"""What a Sensor costs: reading objects, bringing a large cluster to Central, and a storm of changes.

    python bench/sensor.py decode
    python bench/sensor.py images
    python bench/sensor.py spool
    python bench/sensor.py sync [DEPLOYMENTS]        a real API server, a real Central
    python bench/sensor.py storm [SECONDS] [A SECOND]  a stand-in for the API server, which a real one could not keep up with

Prints one line a figure.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from redoubt.sensor.conversion import workloads
from support.apiserver import ApiServer, serving
from support.hub import CLUSTER, StandIn, listening
from support.kube import running
from support.secured import Secured
from support.sensing import deployment
from support.up import PASSWORD, Up
from support.wire import Certificates

FIGURES: list[tuple[str, str]] = []


def say(what: str, result: str) -> None:
    """A figure: printed, and kept for the page."""
    print(f"{what}: {result}")
    FIGURES.append((what, result))


def section() -> list[str]:
    """The page's part."""
    FIGURES.clear()
    decode()
    images()
    asyncio.run(spool())
    sync(2000)
    asyncio.run(storm(60, 1000))
    rows = [f"| {what} | {result} |" for what, result in FIGURES]
    words = "A real API server and a real Central; the storm comes from a stand-in for the API server, beside it on the same cores."
    return ["## Sensor", "", words, "", "| what | result |", "|---|---|", *rows, ""]


def pod(number: int, version: int) -> dict[str, Any]:
    """About 5 KB, as kubelets leave them."""
    uid = f"00000000-0000-4000-8000-{number:012d}"
    fields = {f"f:{each}": {"f:inner": {}} for each in range(60)}
    containers = [
        {
            "name": f"c{each}",
            "image": "registry.example/team/shop:1.4",
            "env": [{"name": f"V{one}", "value": "x" * 20} for one in range(8)],
            "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/token"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
        }
        for each in range(2)
    ]
    statuses = [
        {
            "name": f"c{each}",
            "image": "registry.example/team/shop:1.4",
            "ready": True,
            "imageID": "registry.example/team/shop@sha256:" + "a" * 64,
            "containerID": f"containerd://{number:032x}{each:032x}",
            "restartCount": version,
            "state": {"running": {"startedAt": f"2099-01-02T03:{version % 60:02d}:05Z"}},
        }
        for each in range(2)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"pod-{number}",
            "namespace": f"ns-{number % 20}",
            "uid": uid,
            "resourceVersion": str(version),
            "creationTimestamp": "2099-01-02T03:04:05Z",
            "labels": {"app": f"a{number}", "pod-template-hash": "6c959dc85d"},
            "managedFields": [{"manager": "kubelet", "fieldsV1": fields}],
        },
        "spec": {
            "nodeName": "one",
            "containers": containers,
            "volumes": [{"name": "token", "secret": {"secretName": "t"}}],
        },
        "status": {
            "phase": "Running",
            "podIP": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
            "containerStatuses": statuses,
        },
    }


def decode() -> None:
    """lightkube's types against plain JSON, for the same pod."""
    import msgspec
    from lightkube.resources.core_v1 import Pod

    line = json.dumps(pod(1, 1)).encode()
    ways = {
        "lightkube's type": lambda: msgspec.json.decode(line, type=Pod),
        "plain JSON": lambda: msgspec.json.decode(line),
        "plain JSON and its conversion": lambda: workloads.pod(msgspec.json.decode(line)),
    }
    for name, way in ways.items():
        way()
        began, count = time.perf_counter(), 3000
        for _ in range(count):
            way()
        took = (time.perf_counter() - began) / count
        say(f"reading a pod of {len(line)} bytes: {name}", f"{took * 1e6:.0f} µs")
    odd = json.dumps({**pod(1, 1), "spec": {"hostNetwork": "yes"}}).encode()
    try:
        msgspec.json.decode(odd, type=Pod)
    except msgspec.ValidationError as error:
        print(f"lightkube's type, a field of another type: {error}; the whole watch ends")  # no figure


def images() -> None:
    """What an image takes in memory with what the default policies make of it."""
    import gc
    from datetime import UTC, datetime

    import msgspec

    from redoubt.model.scannedimage import ImageScan, ScannedComponent, ScannedFlaw, ScannedImage
    from redoubt.policies import PolicySet
    from redoubt.policies.defaults import default_policies

    policies = PolicySet([msgspec.structs.replace(each, disabled=False) for each in default_policies()])
    now = datetime.now(UTC)

    def made(number: int) -> bytes:
        components = tuple(
            ScannedComponent(
                name=f"package-{each}-{number}",
                version=f"1.{each}.2-deb12u{number}",
                location="var/lib/dpkg/status",
                vulns=tuple(
                    ScannedFlaw(
                        cve=f"CVE-2099-{each}{one}",
                        cvss=7.5,
                        severity="IMPORTANT_VULNERABILITY_SEVERITY",
                        fixed_by="1.2.3-4",
                        published_on=now,
                        first_system_occurrence=now,
                        first_image_occurrence=now,
                    )
                    for one in range(2)
                ),
            )
            for each in range(300)
        )
        return msgspec.json.encode(ScannedImage(scan=ImageScan(components=components, scan_time=now)))

    written = [made(number) for number in range(30)]
    gc.collect()
    before = resident(os.getpid())
    kept = [policies.image(msgspec.json.decode(each, type=ScannedImage), now) for each in written]
    gc.collect()
    each = (resident(os.getpid()) - before) / len(kept)
    say(
        f"an image of {len(written[0]) // 1000} KB of JSON in memory, with what policies make of it",
        f"{each / 1000:.0f} KB",
    )


async def spool() -> None:
    """Processes and connections, all different, as they wait for Central: how fast, and how much ten minutes of them take."""
    import random
    from datetime import UTC, datetime
    from uuid import UUID

    import msgspec

    from redoubt.model.cluster import Entity, FlowRecord
    from redoubt.model.happening import Process as Happened
    from redoubt.model.happening import ProcessSignal
    from redoubt.sensor.stream.spool import Spool
    from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

    chance = random.Random(1)

    def process() -> Happened:
        number = chance.randrange(2000)
        return Happened(
            id=str(UUID(int=chance.getrandbits(128))),
            deployment_id=f"00000000-0000-4000-8000-{number:012}",
            container_name="main",
            pod_id=f"app-{number}-{chance.getrandbits(40):x}",
            pod_uid=f"00000000-0000-4000-9000-{number:012}",
            cluster_id=CLUSTER,
            namespace=f"ns-{number % 50}",
            image_id=f"sha256:{number:064x}",
            signal=ProcessSignal(
                id=str(UUID(int=chance.getrandbits(128))),
                container_id=f"{number:064x}",
                time=datetime.now(UTC),
                name="sh",
                args=f"-c 'curl http://10.0.{number % 255}.{chance.randrange(255)}/{chance.getrandbits(64):x}'",
                exec_file_path="/usr/bin/bash",
                pid=chance.randrange(1 << 22),
                uid=1000,
                gid=1000,
            ),
        )

    def flow() -> FlowRecord:
        return FlowRecord(
            source=Entity(type="DEPLOYMENT", id=f"00000000-0000-4000-8000-{chance.randrange(2000):012}"),
            destination=Entity(type="INTERNET", id=f"203.0.{chance.randrange(255)}.{chance.randrange(255)}"),
            port=443,
            seen=time.time_ns(),
        )

    pack = msgspec.msgpack.Encoder().encode
    processes = [pack([process() for _ in range(500)]) for _ in range(40)]
    flows = [pack([flow() for _ in range(500)]) for _ in range(16)]
    with tempfile.TemporaryDirectory() as folder:
        made = Spool(Path(folder), 512 << 20)
        made.open()
        writing = asyncio.create_task(made.run())
        began, used, count, last = time.perf_counter(), time.process_time(), 0, 0
        for _ in range(20):
            for kind, number, batches in (("processes", 1, processes), ("flows", 2, flows)):
                for each in batches:
                    records = pb.Records(kind=pb.Records.Kind.Name(number), records=each)
                    last = made.append(kind, pb.FromSensor(records=records))
                    count += 500
            await made.durable(last)
        took = time.perf_counter() - began
        say(
            "processes and connections into the spool, on the disk",
            f"{count / took:,.0f}/s, {(time.process_time() - used) / took:.2f} of a processor",
        )
        say(
            "what ten minutes of 5,000 new processes and 2,000 connections a second take there",
            f"{made.size * 600 * 7000 / count / 1e6:.0f} MB",
        )
        writing.cancel()


def resident(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def sync(count: int) -> None:
    """From the start of the Sensor's process until Central lists them all."""
    with tempfile.TemporaryDirectory() as folder, running(controllers=False) as kube:
        for number in range(20):
            kube.namespace(name=f"ns-{number}")
        began = time.monotonic()
        for number in range(count):
            kube.admin.create(deployment(f"ns-{number % 20}", f"shop-{number}"))
        print(f"made {count} deployments in {time.monotonic() - began:.0f} s")
        with Up(Path(folder), environment={"ROX_ADMIN_PASSWORD": PASSWORD}) as up:
            secured = Secured(up, kube, Path(folder))
            try:
                began = time.monotonic()
                secured.sensor.start()
                there = 0
                while there < count and time.monotonic() - began < 300:
                    time.sleep(0.5)
                    there = secured.central.get("/v1/deploymentscount")["count"]
                took = time.monotonic() - began
                say(
                    f"{there:,} deployments at an empty Central, from the start of the Sensor's process",
                    f"{took:.1f} s",
                )
                assert secured.sensor.process is not None
                alerts, last, began_alerts = -1, 0, time.monotonic()
                while time.monotonic() - began_alerts < 120:
                    status, told = secured.central.call("GET", "/v1/alertscount")
                    if status == 200 and told["count"] != last:
                        last, alerts = told["count"], time.monotonic() - began
                    time.sleep(1)
                    if alerts > 0 and time.monotonic() - began > alerts + 20:
                        break
                say(f"their {last:,} alerts by all default policies, the last of them", f"{alerts:.0f} s")
                say("the Sensor's memory then", f"{resident(secured.sensor.process.pid) / 1e6:.0f} MB")
            finally:
                secured.stop()


async def storm(seconds: float, a_second: int) -> None:
    """Pods of 2,000 that change all the time; memory of the process, and how far Central is behind."""
    from support.sensing import Process

    path = "/api/v1/pods"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = ApiServer(folder)
        made.objects[path] = [pod(number, 1) for number in range(2000)]
        made.objects["/api/v1/namespaces"] = [
            {"metadata": {"name": f"ns-{each}", "uid": f"ns-{each}"}} for each in range(20)
        ]
        certificates, central = Certificates(folder), StandIn()
        async with serving(made), listening(central, certificates) as port:
            with Process(made, folder, certificates, port.port) as process:
                await central.until("a sync", lambda: central.synced, 60)
                before = process.resident
                most = before
                began, sent = time.monotonic(), 0
                version = 2
                while (gone := time.monotonic() - began) < seconds:
                    while sent < gone * a_second:
                        lines = [
                            json.dumps(
                                {"type": "MODIFIED", "object": pod((sent + each) * 7 % 2000, version)}
                            ).encode()
                            for each in range(50)
                        ]
                        version += 1
                        await made.write(path, b"\n".join(lines) + b"\n")
                        sent += 50
                    await asyncio.sleep(0.01)
                    most = max(most, process.resident)
                say(
                    f"{sent / seconds:,.0f} updates/s of 2,000 pods for {seconds:.0f} s: memory before, at most, after",
                    f"{before / 1e6:.0f}, {most / 1e6:.0f}, {process.resident / 1e6:.0f} MB",
                )


def main() -> None:
    match sys.argv[1:]:
        case ["decode"]:
            decode()
        case ["images"]:
            images()
        case ["spool"]:
            asyncio.run(spool())
        case ["sync", *more]:
            sync(int(more[0]) if more else 2000)
        case ["storm", *more]:
            numbers = [float(each) for each in more]
            asyncio.run(storm(*(numbers[:1] or [60.0]), int((numbers[1:] or [1000])[0])))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
