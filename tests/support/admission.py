"""An admission controller for tests, as a process of its own, and a stand-in for its Sensor and Central."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import uvloop
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from redoubt.children import bound
from redoubt.model.cluster import AdmissionControl, AdmissionFigures, AdmissionSettings, ClusterConfig
from redoubt.model.scannedimage import ScannedImage
from redoubt.policies.alerts import Alert
from redoubt.policies.defaults import default_policies
from redoubt.policies.policy import Policy, written
from redoubt.wire import calls, chunks, ports
from redoubt.wire.identity import Service
from redoubt.wire.material import Material
from redoubt.wire.proto.redoubt.v1 import secured_grpc, sensors_grpc
from redoubt.wire.proto.redoubt.v1 import secured_pb2 as spb
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from redoubt.wire.server import OnePort
from support.wire import Certificates

T = TypeVar("T")
CLUSTER = "00000000-0000-4000-8000-00000000c105"
REFUSES = "SCALE_TO_ZERO_ENFORCEMENT"


def default(name: str, *enforced: str, **more: Any) -> Policy:
    """A default policy of that name, enabled and enforced."""
    found = next(each for each in default_policies() if each.name == name)
    wanted = {"disabled": False, "enforcement_actions": enforced or (REFUSES,), **more}
    return msgspec.structs.replace(found, **wanted)


def settings(revision: int, *policies: Policy, **more: Any) -> bytes:
    """What an admission controller decides by, as JSON. ``more`` are fields of ``AdmissionControl``, or of ``AdmissionSettings``."""
    beside = {key: more.pop(key) for key in ("central", "images", "namespace_labels") if key in more}
    return msgspec.json.encode(
        AdmissionSettings(
            revision=revision,
            config=ClusterConfig(cluster_id=CLUSTER, cluster_name="test", admission=AdmissionControl(**more)),
            policies=tuple(msgspec.Raw(written(each)) for each in policies),
            **beside,
        )
    )


class _Images:
    """What is known of images, by what they are asked for by."""

    def __init__(self) -> None:
        self.images: dict[str, ScannedImage] = {}
        self.asked: list[tuple[str, bool]] = []
        #: Which cluster they were asked for, by the call's metadata.
        self.clusters: list[str] = []
        self.slow = 0.0

    async def answer(self, stream: Stream[pb.GetScannedImageRequest, pb.ScannedImagePart]) -> None:
        request = await calls.request(stream)
        self.asked.append((request.image_name, request.cached))
        self.clusters.append(str((stream.metadata or {}).get("cluster", "")))
        await asyncio.sleep(self.slow)
        image = self.images.get(request.image_name)
        if image is None:
            raise GRPCError(Status.NOT_FOUND, "no such image")
        data = msgspec.json.encode(image)
        first, *rest = chunks.cut(data)
        await stream.send_message(pb.ScannedImagePart(size=len(data), chunk=first))
        for piece in rest:
            await stream.send_message(pb.ScannedImagePart(chunk=piece))


class StandInSensor(secured_grpc.AdmissionsBase, _Images):
    """Says what it is given (``tell``), and keeps what it is told."""

    def __init__(self) -> None:
        _Images.__init__(self)
        self.settings = b""
        self.alerts: list[Alert] = []
        self.figures: list[AdmissionFigures] = []
        self._changed = asyncio.Event()

    def tell(self, content: bytes) -> None:
        """In the loop: other settings."""
        self.settings = content
        self._changed.set()
        self._changed = asyncio.Event()

    @calls.allow(Service.ADMISSION_CONTROL)
    async def Watch(self, stream: Stream[spb.WatchSettingsRequest, spb.AdmissionSettings]) -> None:
        await calls.request(stream)
        while True:
            changed = self._changed
            if self.settings:
                await stream.send_message(spb.AdmissionSettings(settings=self.settings))
            await changed.wait()

    @calls.allow(Service.ADMISSION_CONTROL)
    async def Report(self, stream: Stream[spb.AdmissionReport, spb.AdmissionReported]) -> None:
        request = await calls.request(stream)
        self.alerts += msgspec.json.decode(request.alerts, type=list[Alert])
        self.figures.append(msgspec.json.decode(request.figures, type=AdmissionFigures))
        await stream.send_message(spb.AdmissionReported())

    @calls.allow(Service.ADMISSION_CONTROL)
    async def GetScannedImage(self, stream: Stream[pb.GetScannedImageRequest, pb.ScannedImagePart]) -> None:
        await self.answer(stream)


class StandInCentral(sensors_grpc.SensorsBase, _Images):
    """Knows images, and nothing else."""

    def __init__(self) -> None:
        _Images.__init__(self)

    @calls.allow(Service.SENSOR)
    async def Communicate(self, stream: Stream[pb.FromSensor, pb.ToSensor]) -> None:
        raise GRPCError(Status.UNIMPLEMENTED, "a stand-in")

    @calls.allow(Service.SENSOR)
    async def EnrichIndexReport(
        self, stream: Stream[pb.EnrichIndexReportRequest, pb.ScannedImagePart]
    ) -> None:
        raise GRPCError(Status.UNIMPLEMENTED, "a stand-in")

    @calls.allow(Service.SENSOR)
    async def GetRegistryAccess(self, stream: Stream[pb.RegistryAccessRequest, pb.RegistryAccess]) -> None:
        raise GRPCError(Status.UNIMPLEMENTED, "a stand-in")

    @calls.allow(Service.SENSOR, Service.ADMISSION_CONTROL)
    async def GetScannedImage(self, stream: Stream[pb.GetScannedImageRequest, pb.ScannedImagePart]) -> None:
        await self.answer(stream)


class Port:
    """A stand-in's port, in a loop and thread of its own: it may go away and come back."""

    def __init__(self, tls: Material, service: StandInSensor | StandInCentral) -> None:
        self.service, self._tls = service, tls
        self.port = ports.free(1)[0]
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._one: OnePort | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def within(self, work: Callable[[], T]) -> T:
        """What ``work`` gives in the loop."""

        async def call() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    def start(self) -> None:
        async def begin() -> None:
            self._one = OnePort(tls=self._tls, services=[self.service])
            await self._one.start("127.0.0.1", self.port)

        asyncio.run_coroutine_threadsafe(begin(), self._loop).result(20)

    def stop(self) -> None:
        if self._one is not None:
            asyncio.run_coroutine_threadsafe(self._one.stop(0), self._loop).result(20)
            self._one = None

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


class Controller:
    """``redoubt admission`` on ``folder``, as a process."""

    def __init__(self, folder: Path, sensor: str, kubeconfig: Path | None, **more: str) -> None:
        self.folder = folder
        self.port, self.health = ports.free(2)
        self._log = folder / "log"
        given = {
            "DATA": str(folder / "data"),
            "CERTIFICATES": str(folder / "certificates"),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "HEALTH_HOST": "127.0.0.1",
            "HEALTH_PORT": str(self.health),
            "SENSOR": sensor,
            "CONFIG_FOLDER": str(folder / "mounted"),
            "WEBHOOK_URL": f"https://127.0.0.1:{self.port}",
            **({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {"KUBERNETES": "no", "REGISTER": "no"}),
            **more,
        }
        self._environment = {f"REDOUBT_ADMISSION_{name}": value for name, value in given.items()}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until it is ready, or at least listens: with no settings it is not ready."""
        read, write = os.pipe()
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("REDOUBT_", "ROX_"))
        }
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "redoubt", "admission"],
                env={**environment, **self._environment, "REDOUBT_READY_FD": str(write)},
                stdout=log,
                stderr=log,
                pass_fds=[write],
                preexec_fn=bound(signal.SIGKILL),
            )
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            assert pipe.readline(), f"it did not start: {self.said()[-2000:]}"

    def stop(self, sign: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(sign)
            self.process.wait(20)
            self.process = None

    def said(self) -> str:
        """Its log."""
        return self._log.read_text(errors="replace")

    def metrics(self) -> dict[str, float]:
        """Prometheus' lines, by what stands before the value."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
        }

    def reviews(self, result: str) -> int:
        """How many reviews had that result."""
        return int(self.metrics()[f'rox_admission_control_reviews_total{{result="{result}"}}'])

    def until(self, what: str, happened: Callable[[], T], within: float = 30.0) -> T:
        """What ``happened`` gives once it is true."""
        end = time.monotonic() + within
        while not (found := happened()):
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"it ended while {what} was waited for: {self.said()[-2000:]}")
            if time.monotonic() > end:
                raise AssertionError(f"{what} did not come within {within:.0f} s: {self.said()[-2000:]}")
            time.sleep(0.05)
        return found


class Secured:
    """A controller with its Sensor, and Central where it is wanted."""

    def __init__(self, folder: Path, kubeconfig: Path | None, **more: str) -> None:
        self.folder = folder
        self.certificates = Certificates(folder)
        self.sensor = StandInSensor()
        self.sensor_port = Port(self.certificates.material(Service.SENSOR), self.sensor)
        self.central = StandInCentral()
        self.central_port = Port(self.certificates.material(Service.CENTRAL), self.central)
        self.issue()
        self.controller = Controller(folder, self.sensor_port.address, kubeconfig, **more)
        self._revision = 0

    def issue(self) -> None:
        """The controller's certificate, made anew."""
        self.certificates.authority.issue(
            Service.ADMISSION_CONTROL, identifier=CLUSTER, hosts=["localhost", "127.0.0.1"]
        ).write(self.folder / "certificates")

    def tell(self, *policies: Policy, **more: Any) -> None:
        """Other settings by the Sensor; until they count."""
        self._revision += 1
        content = settings(self._revision, *policies, **more)
        self.sensor_port.within(lambda: self.sensor.tell(content))
        if self.controller.process is not None:
            self.until_they_count()

    def until_they_count(self) -> None:
        """Until the controller decides by what it was told last."""
        self.controller.until(
            "the settings",
            lambda: self.controller.metrics()["rox_admission_control_settings_revision"] == self._revision,
        )

    def alerts(self, count: int, within: float = 20.0) -> list[Alert]:
        """The Sensor's, once there are so many."""
        return self.controller.until(
            f"{count} alerts",
            lambda: list(self.sensor.alerts) if len(self.sensor.alerts) >= count else None,
            within,
        )


@contextmanager
def secured(kubeconfig: Path | None = None, **more: str) -> Iterator[Secured]:
    """A controller that runs, and its Sensor; Central is started by those who want it."""
    with tempfile.TemporaryDirectory(prefix="redoubt-admission-") as folder:
        made = Secured(Path(folder), kubeconfig, **more)
        try:
            made.sensor_port.start()
            made.controller.start()
            yield made
        finally:
            made.controller.stop(signal.SIGKILL)
            made.sensor_port.close()
            made.central_port.close()


def review(given: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An ``AdmissionReview`` of an object's creation, as an API server sends it."""
    group, _, version = given["apiVersion"].rpartition("/")
    request = {
        "uid": "11111111-2222-4333-8444-555555555555",
        "kind": {"group": group, "version": version, "kind": given["kind"]},
        "resource": {"group": group, "version": version, "resource": given["kind"].lower() + "s"},
        "name": given["metadata"].get("name", ""),
        "namespace": given["metadata"].get("namespace", "shop"),
        "operation": "CREATE",
        "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
        "object": given,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        **more,
    }
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}


def encoded(given: object) -> bytes:
    """As JSON."""
    return json.dumps(given).encode()
