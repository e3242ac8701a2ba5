"""A secured cluster for tests: a real ``redoubt up``, a real API server, and the cluster's services as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from redoubt.children import bound
from redoubt.wire import ports
from redoubt.wire.authority import Authority
from redoubt.wire.identity import Service
from support.kube import Cluster
from support.up import PASSWORD, Up

T = TypeVar("T")
#: Who a service is whose cluster Central does not know yet.
UNKNOWN = "00000000-0000-0000-0000-000000000000"


class Central:
    """Calls to Central's REST API as its administrator."""

    def __init__(self, up: Up) -> None:
        self._up = up
        self._tls = ssl.create_default_context(cafile=str(up.config / "ca.pem"))

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and body."""
        word = b64encode(f"admin:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {word}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"https://{self._up.endpoint}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60, context=self._tls) as answer:
                status, told = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, told = error.code, error.read()
        return status, json.loads(told) if told else None

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The body of a call that is to succeed."""
        status, told = self.call(method, path, body)
        assert status < 300, f"{method} {path}: {status} {told}"
        return told

    def get(self, path: str) -> Any:
        """The body of a GET."""
        return self.ask("GET", path)


class Process:
    """A service of the cluster: ``redoubt NAME`` with these variables. Started, killed and started again."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str], *words: str) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        left_out = ("REDOUBT_", "ROX_", "KUBECONFIG")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
        self._environment = {**kept, "HOME": str(folder), **environment}
        self._words = words or (name,)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait for nothing."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "redoubt", *self._words],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=bound(signal.SIGKILL),
            )

    def kill(self) -> None:
        """SIGKILL, until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(30)
        finally:
            self.kill()

    def said(self) -> str:
        """What it said so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""


class Secured:
    """Central and a cluster with its services, below ``folder``; ``certificates`` are of Central's own CA."""

    def __init__(self, up: Up, kube: Cluster, folder: Path) -> None:
        self.up, self.kube, self.folder = up, kube, folder
        self.central = Central(up)
        self._authority = Authority.load(up.data / "ca")
        self._sensor_port, self.admission_port = ports.free(2)
        kubeconfig = str(kube.kubeconfig())
        self.sensor = self._process(
            Service.SENSOR,
            "SENSOR",
            CENTRAL=up.endpoint,
            CLUSTER_NAME="ward",
            KUBECONFIG=kubeconfig,
            PORT=str(self._sensor_port),
            HEALTH_PORT="0",
            BACKOFF_FIRST="0.2",
            BACKOFF_LONGEST="1",
            HEALTH_INTERVAL="1",
        )
        self.admission = self._process(
            Service.ADMISSION_CONTROL,
            "ADMISSION",
            name="admission",
            SENSOR=f"127.0.0.1:{self._sensor_port}",
            CENTRAL=up.endpoint,
            KUBECONFIG=kubeconfig,
            HOST="127.0.0.1",
            PORT=str(self.admission_port),
            HEALTH_PORT="0",
            WEBHOOK_URL=f"https://127.0.0.1:{self.admission_port}",
        )
        self.collector = self._process(
            Service.COLLECTOR,
            "COLLECTOR",
            SENSOR=f"127.0.0.1:{self._sensor_port}",
            HOSTNAME="node-1",
            HEALTH_INTERVAL="1",
        )

    def _process(self, service: Service, prefix: str, *, name: str = "", **settings: str) -> Process:
        name = name or service.host
        folder = self.folder / name
        leaf = self._authority.issue(service, UNKNOWN, hosts=["127.0.0.1", "localhost"])
        leaf.write(folder / "certificates")
        told = {"CERTIFICATES": str(folder / "certificates"), **settings}
        if service is not Service.COLLECTOR:
            told["DATA"] = str(folder)
        return Process(name, folder, {f"REDOUBT_{prefix}_{key}": value for key, value in told.items()})

    def stop(self) -> None:
        """End the cluster's services."""
        for each in (self.collector, self.admission, self.sensor):
            each.kill()

    def until(self, what: str, happened: Callable[[], T], within: float = 60.0) -> T:
        """What ``happened`` gives once it is true. Raises ``AssertionError`` with what the services said."""
        end = time.monotonic() + within
        while True:
            if found := happened():
                return found
            if time.monotonic() > end:
                said = "\n".join(
                    f"-- {each.name}:\n{each.said()[-3000:]}"
                    for each in (self.sensor, self.admission, self.collector)
                )
                raise AssertionError(f"{what} did not come within {within:.0f} s\n{said}")
            time.sleep(0.1)
