"""The admission controller: reviews a second, how long they take, and whether memory stays as it is.

``.venv/bin/python bench/admission.py`` prints what `make bench` writes down. A controller's application runs in a process
of its own, with every default policy enabled and enforced and its images known; the same server has a handler that
reads the review and answers, without looking at it. Clients are processes with a kept connection each. What was seen
before is remembered in pieces, so reviews are measured of the same workload, of an update of it (a label and one of its three
containers are others each time), and of one of which everything is another each time: a label, the annotation that ``kubectl``
writes, and in each container a variable's name, what is in it, and an argument.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import re
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parent.parent
SECONDS = float(os.environ.get("REDOUBT_BENCH_SECONDS", "4"))
REVIEWS = int(os.environ.get("REDOUBT_BENCH_REVIEWS", "100000"))
ROUNDS = int(os.environ.get("REDOUBT_BENCH_ROUNDS", "3"))
RATE = 300
EMPTY = "/empty"
#: What is another in each review, where it is to be: eight digits, in what an update changes and in the rest.
UPDATED, REST = "00000000", "11111111"


def workload() -> dict[str, Any]:
    """A Deployment of about 30 KB as an API server sends it, with three containers; it breaks no policy."""
    labels = {"app": "shop", "team": "blue", "owner": "blue"}

    def container(name: str, image: str, mark: str) -> dict[str, Any]:
        return {
            "name": name,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/srv/run"],
            "args": [f"--option-{at}=value-of-option-{at}" for at in range(11)] + [f"--build={mark}"],
            "env": [
                *(
                    {"name": f"SETTING_NUMBER_{at}", "value": f"the value of setting {at} " * 2}
                    for at in range(21)
                ),
                {"name": f"SETTING_NUMBER_{mark}", "value": f"the value of setting {mark}"},
                {
                    "name": "NODE",
                    "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName", "apiVersion": "v1"}},
                },
            ],
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "resources": {
                "limits": {"cpu": "1", "memory": "512Mi"},
                "requests": {"cpu": "250m", "memory": "256Mi"},
            },
            "livenessProbe": {
                "httpGet": {"path": "/live", "port": 8080, "scheme": "HTTP"},
                "periodSeconds": 10,
            },
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTP"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
                "appArmorProfile": {"type": "RuntimeDefault"},
            },
            "volumeMounts": [
                {"name": f"volume-{at}", "mountPath": f"/data/{at}", "readOnly": True} for at in range(6)
            ],
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }

    spec = {
        "containers": [
            container("web", "registry.example/team/shop:1.4", UPDATED),
            container("worker", "registry.example/team/shop:1.4", REST),
            container("proxy", "registry.example/team/proxy:2.0", REST),
        ],
        "volumes": [
            {"name": f"volume-{at}", "configMap": {"name": f"settings-{at}", "defaultMode": 420}}
            for at in range(6)
        ],
        "serviceAccountName": "shop",
        "serviceAccount": "shop",
        "automountServiceAccountToken": False,
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {"fsGroup": 1000},
    }
    given: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "shop",
            "namespace": "stores",
            "uid": "5b2b1d6a-7f1e-4a8e-9a53-0d2a2b6f4a11",
            "creationTimestamp": "2099-06-01T12:00:00Z",
            "labels": {**labels, "build": UPDATED},
            "annotations": {"email": "blue@shop.example", "owner": "blue"},
        },
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
            },
            "revisionHistoryLimit": 10,
        },
        "status": {},
    }
    applied = json.dumps({**given, "metadata": {"name": "shop", "namespace": "stores"}})
    given["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = applied
    fields = {f"f:field-{at}": {".": {}, "f:value": {}} for at in range(90)}
    given["metadata"]["managedFields"] = [
        {
            "manager": "kubectl",
            "operation": "Update",
            "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }
    ]
    return given


def body(given: dict[str, Any]) -> bytes:
    """The review of its creation."""
    request = {
        "uid": "56bc5405-5c92-4a34-8328-8e07a8845fea",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "requestKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "requestResource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "name": "shop",
        "namespace": "stores",
        "operation": "CREATE",
        "userInfo": {"username": "jane", "groups": ["team-blue", "system:authenticated"]},
        "object": given,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "kubectl"},
    }
    return json.dumps(
        {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    ).encode()


def settings() -> bytes:
    """Every default policy, enabled, those about workloads enforced."""
    from redoubt.model.cluster import AdmissionSettings, ClusterConfig
    from redoubt.policies.defaults import default_policies
    from redoubt.policies.policy import written

    policies = [
        msgspec.structs.replace(each, disabled=False, enforcement_actions=("SCALE_TO_ZERO_ENFORCEMENT",))
        for each in default_policies()
    ]
    return msgspec.json.encode(
        AdmissionSettings(
            revision=1,
            config=ClusterConfig(cluster_id="c", cluster_name="bench"),
            policies=tuple(msgspec.Raw(written(each)) for each in policies),
        )
    )


class _Source:
    """Images with 300 components that nothing is known against."""

    async def image(self, name: str, *, cached: bool, namespace: str) -> bytes:
        from redoubt.indexer.sources.reference import named
        from redoubt.model.scannedimage import (
            DockerfileLine,
            ImageMetadata,
            ImageScan,
            ScannedComponent,
            ScannedImage,
            V1Metadata,
        )

        now = datetime.now(UTC)
        lines = tuple(DockerfileLine(instruction="COPY", value=f"/{at} /srv/{at}") for at in range(20))
        labels = {"required-label": "required-value"}
        return msgspec.json.encode(
            ScannedImage(
                id="sha256:" + name.encode().hex().ljust(64, "0")[:64],
                name=named(name),
                metadata=ImageMetadata(v1=V1Metadata(user="1000", created=now, layers=lines, labels=labels)),
                scan=ImageScan(
                    scan_time=now,
                    operating_system="debian:12",
                    components=tuple(ScannedComponent(name=f"part-{at}", version="1") for at in range(300)),
                ),
            )
        )


class _Nobody:
    def tell(self, alerts: Any) -> None:
        """Alerts are made, and dropped."""


def made(memory: int = 200 << 20) -> Any:
    """The application, as ``redoubt admission`` has it, but for the Sensor."""
    from prometheus_client import CollectorRegistry

    from redoubt.admission import rules
    from redoubt.admission.app import App
    from redoubt.admission.events import EventJudge
    from redoubt.admission.figures import Figures
    from redoubt.admission.images import Images
    from redoubt.admission.judging import Judge, Spared

    figures = Figures("bench", CollectorRegistry())
    images = Images(_Source(), lifetime=4 * 3600, memory=memory, simultaneous=32)
    where = Spared(["kube-system", "stackrox"])
    judge = Judge(images, figures, _Nobody(), where)
    app = App(judge.workload, EventJudge(images, figures, _Nobody(), where).event, judge)
    app.rules = rules.read(settings())
    return app


async def _serve(folder: Path) -> None:
    from redoubt.admission.serving import settle
    from redoubt.wire.material import Files, Material
    from redoubt.wire.server import OnePort

    app = made()
    answer = b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"56bc5405-5c92-4a34-8328-8e07a8845fea","allowed":true}}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]

    async def either(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == EMPTY:
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": answer})
            return
        await app(scope, receive, send)

    settle()
    one = OnePort(tls=Material(Files.within(folder)), app=either)
    await one.start("127.0.0.1", 0)
    print(one.port, flush=True)
    await asyncio.Event().wait()


class Client:
    """A kept connection."""

    def __init__(self, port: int, authority: Path) -> None:
        tls = ssl.create_default_context(cafile=str(authority))
        tls.check_hostname = False
        tls.set_alpn_protocols(["http/1.1"])
        raw = socket.create_connection(("127.0.0.1", port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = tls.wrap_socket(raw)

    def ask(self, request: bytes | bytearray) -> bytes:
        """One request, its answer's body."""
        self._socket.sendall(request)
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._socket.recv(65536)
        head, _, rest = got.partition(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(rest) < size:
            rest += self._socket.recv(65536)
        return rest


def request(path: str, content: bytes) -> bytes:
    """HTTP/1.1, as Go's client sends it."""
    head = f"POST {path}?timeout=12s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: kube-apiserver\r\nContent-Type: application/json\r\nAccept: application/json, */*\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


class Varied:
    """A request that is another each time, in those of its marks that are given."""

    def __init__(self, sent: bytes, marks: Sequence[str]) -> None:
        self._sent = bytearray(sent)
        self._at = [found.start() for mark in marks for found in re.finditer(mark.encode(), sent)]
        self._number = os.getpid() * 100_000

    def next(self) -> bytearray:
        """To be sent now."""
        self._number += 1
        digits = b"%08d" % (self._number % 100_000_000)
        for at in self._at:
            self._sent[at : at + 8] = digits
        return self._sent


def _hammer(port: int, authority: Path, sent: Varied, seconds: float, results: Any) -> None:
    client = Client(port, authority)
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        client.ask(sent.next())
        count += 1
    results.put(count)


def _paced(port: int, authority: Path, sent: bytes, seconds: float, rate: float, results: Any) -> None:
    """Each request at its time, whatever became of the one before: what waits counts as waiting."""
    client = Client(port, authority)
    taken = []
    begin = time.monotonic() + 0.1
    for number in range(int(seconds * rate)):
        due = begin + number / rate
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        client.ask(sent.next())
        taken.append(time.monotonic() - due)
    results.put(taken)


def _together(work: Any, count: int, *arguments: Any) -> list[Any]:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=work, args=(*arguments, results)) for _ in range(count)]
    for each in processes:
        each.start()
    found = [results.get() for _ in processes]
    for each in processes:
        each.join()
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


@contextmanager
def served() -> Iterator[tuple[int, int, Path]]:
    """Process, port and CA of a server."""
    from redoubt.wire.authority import Authority
    from redoubt.wire.identity import Service

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority.create(folder / "authority")
        authority.issue(Service.ADMISSION_CONTROL, identifier="bench", hosts=["localhost"]).write(
            folder / "own"
        )
        with subprocess.Popen(
            [sys.executable, __file__, "serve", str(folder / "own")], stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                assert server.stdout is not None
                yield server.pid, int(server.stdout.readline()), folder / "own" / "ca.pem"
            finally:
                server.send_signal(signal.SIGKILL)


def rate(pid: int, port: int, authority: Path, sent: Varied, clients: int = 2) -> tuple[float, float]:
    """Requests a second, and milliseconds of the server's CPU for each."""
    before, begin = _cpu(pid), time.monotonic()
    count = sum(_together(_hammer, clients, port, authority, sent, SECONDS))
    taken = time.monotonic() - begin
    return count / taken, (_cpu(pid) - before) * 1000 / count


def paced(port: int, authority: Path, sent: Varied, clients: int = 4) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds, at ``RATE`` a second."""
    found = _together(_paced, clients, port, authority, sent, 2 * SECONDS, RATE / clients)
    taken = sorted(each * 1000 for one in found for each in one)
    return taken[len(taken) // 2], taken[int(len(taken) * 0.99)]


def run() -> dict[str, Any]:
    """What was measured. Each round has all kinds, one after the other; the median of the rounds counts."""
    content = body(workload())
    bad = workload()
    bad["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example/team/shop:latest"
    refused = body(bad)
    kinds = {
        "empty handler": (EMPTY, content, ()),
        "the same workload": ("/validate", content, ()),
        "an update of it each time": ("/validate", content, (UPDATED,)),
        "another workload each time": ("/validate", content, (UPDATED, REST)),
        "another each time, refused": ("/validate", refused, (UPDATED, REST)),
    }
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in kinds}
    with served() as (pid, port, authority):
        client = Client(port, authority)
        for _ in range(300):
            answer = json.loads(client.ask(request("/validate", content)))
        assert answer["response"]["allowed"] is True, answer
        assert json.loads(client.ask(request("/validate", refused)))["response"]["allowed"] is False
        for _ in range(ROUNDS):
            for name, (path, sent, marks) in kinds.items():
                each = Varied(request(path, sent), marks)
                rows[name].append((*rate(pid, port, authority, each), *paced(port, authority, each)))
        memory = [_memory(pid)]
        done = 0
        each = Varied(request("/validate", content), (UPDATED, REST))
        while done < REVIEWS:
            done += sum(_together(_hammer, 2, port, authority, each, 5.0))
        memory.append(_memory(pid))
    medians = {
        name: [statistics.median(column) for column in zip(*found, strict=True)]
        for name, found in rows.items()
    }
    return {"size": len(content), "rows": medians, "reviews": done, "memory": memory}


def section(result: dict[str, Any]) -> list[str]:
    """The page's part."""
    rows = result["rows"]
    most, cpu, _, worst = rows["empty handler"]
    lines = [
        "## Admission controller",
        "",
        f"Reviews of a Deployment of {result['size'] / 1024:.0f} KB with three containers, every default policy enabled, those of the DEPLOY stage"
        " enforced, images known. Two clients over TLS for the rate, four for the times; the same server and the same run. An"
        " empty handler reads the review and does not look at it.",
        "",
        "What is remembered: of a workload that was in order, all that policies look at (for a minute, compared byte by byte); of a"
        " container with its pod's volumes and security context, and of parts of it (how it is secured, what it may use, mounts, ports), which"
        " questions it fits, by its bytes; of names of variables the same. An update has another label, another annotation of"
        " kubectl's, and one of three containers is another: an argument, a variable's name and what is in it. Of another workload all"
        " three are.",
        "",
        "| | a second | of the empty handler's | server's CPU, ms each | at 300/s: median, ms | p99, ms | of the empty handler's |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (found, each, middle, late) in rows.items():
        lines.append(
            f"| {name} | {found:,.0f} | {found / most:.2f} | {each:.3f} ({each / cpu:.1f} times) | {middle:.2f} | {late:.2f} | {late / worst:.1f} |"
        )
    before, after = result["memory"]
    lines += [
        "",
        f"After {result['reviews']:,} reviews, each of another workload, memory went from {before:.1f} MB to {after:.1f} MB.",
        "",
    ]
    return lines


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        import uvloop

        uvloop.run(_serve(Path(sys.argv[2])))
    else:
        print("\n".join(section(run())))
