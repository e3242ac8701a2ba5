"""What the Sensor gives admission controllers, does for Central, and asks of the cluster's Indexer."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt import tasks
from redoubt.errors import AccessDenied, LimitExceeded, NetworkError, RedoubtError, UnreadableInput
from redoubt.kubeapi import ApiFailure
from redoubt.model.cluster import (
    AdmissionFigures,
    AdmissionSettings,
    AppliedPolicies,
    ClusterConfig,
    Enforcement,
    PoliciesToApply,
    PullSecret,
)
from redoubt.model.scannedimage import ScannedImage
from redoubt.model.workload import Deployment
from redoubt.policies.alerts import Alert, told
from redoubt.sensor.detection.images import Images
from redoubt.sensor.graph.inventory import Inventory
from redoubt.sensor.graph.mirrors import Mirrored, SeenMirrors
from redoubt.sensor.identity.peers import Peers
from redoubt.sensor.requests import Requests
from redoubt.sensor.scanning import LocalScanning
from redoubt.sensor.serving.admissions import AdmissionService
from redoubt.sensor.serving.settings import AdmissionKeeper
from redoubt.sensor.stream.asking import Central
from redoubt.sensor.stream.spool import Spool
from redoubt.wire.channel import channel
from redoubt.wire.failures import Refused, Unavailable
from redoubt.wire.identity import INDEXERS, Service
from redoubt.wire.proto.redoubt.v1 import indexer_pb2, sensors_pb2
from redoubt.wire.proto.redoubt.v1 import secured_pb2 as pb
from redoubt.wire.proto.redoubt.v1.secured_grpc import AdmissionsStub
from redoubt.wire.server import OnePort
from support.hub import StandIn, listening
from support.indexing import Indexer, indexing
from support.policies import deployment, policy
from support.wire import Certificates, run


class ConfigMaps:
    """The part of an API server that has one ConfigMap. Not an API server."""

    def __init__(self) -> None:
        self.there: dict[str, Any] | None = None
        self.refuses = False

    async def get(self, path: str) -> bytes:
        if self.there is None:
            raise ApiFailure(path, 404)
        return json.dumps(self.there).encode()

    async def change(self, method: str, path: str, body: Any, kind: str = "") -> bytes:
        if self.refuses:
            raise ApiFailure(f"{path}: forbidden", 403)
        if method == "PATCH" and self.there is None:
            raise ApiFailure(path, 404)
        self.there = body
        return b"{}"

    @property
    def settings(self) -> AdmissionSettings | None:
        if self.there is None:
            return None
        packed = self.there["binaryData"]["settings.json.gz"]
        return msgspec.json.decode(gzip.decompress(base64.b64decode(packed)), type=AdmissionSettings)


class Keeping:
    """A keeper whose settings a test changes."""

    def __init__(self, folder: Path, maps: ConfigMaps) -> None:
        self.name = ""
        self.keeper = AdmissionKeeper(maps, "stackrox", folder / "admission.json", self._made)  # type: ignore[arg-type]

    def _made(self) -> AdmissionSettings | None:
        if not self.name:
            return None
        return AdmissionSettings(revision=0, config=ClusterConfig(cluster_id="c", cluster_name=self.name))

    def say(self, name: str) -> None:
        self.name = name
        self.keeper.touch()


async def _until(what: str, happened: Callable[[], object]) -> None:
    for _ in range(1000):
        if happened():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what} did not come")


def test_the_revision_of_settings_rises_over_restarts_and_lost_disks(tmp_path: Path) -> None:
    maps = ConfigMaps()

    async def once(folder: Path, *names: str) -> list[int]:
        folder.mkdir(exist_ok=True)
        given = Keeping(folder, maps)
        given.keeper.load()
        revisions = [given.keeper.current.revision] if given.keeper.current else []
        task = asyncio.create_task(given.keeper.run())
        try:
            for name in names:
                given.say(name)
                await _until(name, lambda: maps.settings and maps.settings.config.cluster_name == name)  # noqa: B023
                assert given.keeper.current is not None
                assert maps.settings == given.keeper.current
                revisions.append(given.keeper.current.revision)
        finally:
            await tasks.end(task)
        return revisions

    first = run(once(tmp_path / "a", "one", "two"))
    again = run(once(tmp_path / "a", "two", "three"))
    assert again[:2] == [first[-1], first[-1]]
    other = run(once(tmp_path / "b", "four", "five"))
    found = [*first, again[-1], *other]
    assert found == sorted(set(found))


def _damaged() -> bytes:
    packed = bytearray(gzip.compress(bytes(range(256)) * 9))
    packed[20:40] = b"\xff" * 20
    return bytes(packed)


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"nonsense",
        _damaged(),
        gzip.compress(b"{}")[:-12],
        gzip.compress(b"\xff"),
        gzip.compress(b"[" * 100_000),
        gzip.compress(b'{"revision": ' + b"[" * 100_000),
        gzip.compress(bytes(80 << 20), 1),
    ],
    ids=["empty", "no gzip", "damaged", "broken off", "no text", "deep", "deep within", "large"],
)
def test_a_config_map_that_cannot_be_read_is_written_anew(tmp_path: Path, packed: bytes) -> None:
    async def work() -> None:
        maps = ConfigMaps()
        maps.there = {"binaryData": {"settings.json.gz": base64.b64encode(packed).decode()}}
        given = Keeping(tmp_path, maps)
        task = asyncio.create_task(given.keeper.run())
        try:
            given.say("one")
            await _until("settings on the disk", lambda: task.done() or given.keeper.current)
            await _until("the settings", lambda: task.done() or "data" in (maps.there or {}))
            assert maps.settings == given.keeper.current
        finally:
            await tasks.end(task)

    run(work())


def test_a_config_map_that_cannot_be_written_is_said_and_tried_again(tmp_path: Path) -> None:
    async def work() -> None:
        maps = ConfigMaps()
        maps.refuses = True
        given = Keeping(tmp_path, maps)
        task = asyncio.create_task(given.keeper.run())
        try:
            given.say("one")
            await _until("a problem", lambda: given.keeper.problem)
            assert given.keeper.current is not None
            maps.refuses = False
            given.say("two")
            await _until("the settings", lambda: maps.settings)
            assert given.keeper.problem == ""
        finally:
            await tasks.end(task)

    run(work())


class Serving:
    """Admissions on a port, and a stand-in for Central behind it."""

    def __init__(self, folder: Path, central: StandIn) -> None:
        self.central = central
        self.keeping = Keeping(folder, ConfigMaps())
        self.spool = Spool(folder / "spool", 1 << 24)
        self.stub: AdmissionsStub
        self.service: AdmissionService
        self.told: Any


def _serving(
    folder: Path,
    work: Callable[[Serving], Coroutine[Any, Any, None]],
    caller: Service = Service.ADMISSION_CONTROL,
) -> None:
    async def running() -> None:
        certificates = Certificates(folder)
        given = Serving(folder, StandIn())
        given.spool.open()
        parts = [asyncio.create_task(each) for each in (given.spool.run(), given.keeping.keeper.run())]
        async with listening(given.central, certificates) as at:
            central = channel(
                f"127.0.0.1:{at.port}", certificates.material(Service.SENSOR), [Service.CENTRAL]
            )
            images = Images(Central(central).image, 1 << 24, lambda _: None)
            given.service = AdmissionService(given.keeping.keeper, images, given.spool, Peers())
            port = OnePort(tls=certificates.material(Service.SENSOR), services=[given.service])
            await port.start("127.0.0.1", 0)
            calling = channel(f"127.0.0.1:{port.port}", certificates.material(caller), [Service.SENSOR])
            given.stub, given.told = AdmissionsStub(calling), calling.told
            try:
                await work(given)
            finally:
                calling.close()
                central.close()
                await port.stop(0.1)
                await tasks.end(*parts)
                given.spool.close()

    run(running())


def test_settings_are_told_now_and_when_they_change(tmp_path: Path) -> None:
    async def work(given: Serving) -> None:
        async with given.stub.Watch.open() as stream:
            await stream.send_message(pb.WatchSettingsRequest(hostname="one"), end=True)
            given.keeping.say("first")
            first = await stream.recv_message()
            given.keeping.say("second")
            second = await stream.recv_message()
            assert first is not None
            assert second is not None
            assert second.revision > first.revision
            assert (
                msgspec.json.decode(second.settings, type=AdmissionSettings).config.cluster_name == "second"
            )
            assert list(given.service.watching.values()) == ["one"]
            await stream.cancel()
        await _until("an end", lambda: not given.service.watching)

    _serving(tmp_path, work)


def test_settings_of_a_sensor_whose_clock_was_ahead_do_not_count_for_ever(tmp_path: Path) -> None:
    later = (time.time_ns() + 10**15) // 1_000_000

    async def work(given: Serving) -> None:
        given.keeping.say("ours")
        await _until("settings", lambda: given.keeping.keeper.current)
        async with given.stub.Watch.open() as stream:
            await stream.send_message(pb.WatchSettingsRequest(revision=later), end=True)
            while (said := await stream.recv_message()) is not None and said.revision <= later:
                pass
            assert said is not None
            assert msgspec.json.decode(said.settings, type=AdmissionSettings).config.cluster_name == "ours"
            await stream.cancel()

    _serving(tmp_path, work)


def test_what_was_refused_has_moments_of_the_sensors_clock(tmp_path: Path) -> None:
    behind = timedelta(hours=-2)

    async def work(given: Serving) -> None:
        now = datetime.now(UTC)
        report = pb.AdmissionReport(
            alerts=msgspec.json.encode([_alert(time=now + behind)]),
            figures=msgspec.json.encode(AdmissionFigures(hostname="one", denied=1)),
            clock=int((now + behind).timestamp() * 1e9),
        )
        await given.stub.Report(report)
        [(_, data)] = await given.spool.reader(0).next()
        [alert] = msgspec.json.decode(sensors_pb2.FromSensor.FromString(data).alerts.alerts, type=list[Alert])
        assert abs(alert.time - now) < timedelta(minutes=1)
        assert list(given.service.ahead) == ["one"]
        report.clock = time.time_ns()
        await given.stub.Report(report)
        assert not given.service.ahead

    _serving(tmp_path, work)


def _alert(**more: Any) -> Alert:
    given: dict[str, Any] = {
        "id": "a",
        "policy": policy(),
        "lifecycle_stage": "DEPLOY",
        "violations": (),
        "time": datetime.now(UTC),
        "entity_type": "DEPLOYMENT",
        "deployment": told(deployment(id="d")),
    }
    return Alert(**{**given, **more})


def test_what_was_refused_is_on_the_disk_when_the_report_is_answered(tmp_path: Path) -> None:
    async def work(given: Serving) -> None:
        alerts = msgspec.json.encode([_alert(), _alert(id="b", deployment=told(deployment(id="e")))])
        figures = msgspec.json.encode(AdmissionFigures(hostname="one", denied=2))
        for _ in range(2):
            await given.stub.Report(pb.AdmissionReport(alerts=alerts, figures=figures))
        found = [sensors_pb2.FromSensor.FromString(data) for _, data in await given.spool.reader(0).next()]
        assert [each.alerts.deployment_id for each in found] == ["d", "e", "d", "e"]
        assert {each.alerts.stage for each in found} == {sensors_pb2.AlertResults.ATTEMPTED}
        assert given.service.figures["one"].denied == 4

    _serving(tmp_path, work)


def test_figures_are_added_once_though_the_alerts_with_them_had_to_be_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise Unavailable("the disk is full")

    async def work(given: Serving) -> None:
        report = pb.AdmissionReport(
            alerts=msgspec.json.encode([_alert()]),
            figures=msgspec.json.encode(AdmissionFigures(hostname="one", denied=1)),
        )
        with monkeypatch.context() as broken:
            broken.setattr(given.spool, "put", full)
            with pytest.raises(NetworkError), given.told():
                await given.stub.Report(report)
        await given.stub.Report(report)
        assert given.service.figures["one"].denied == 1

    _serving(tmp_path, work)


@pytest.mark.parametrize("field", ["alerts", "figures"])
@pytest.mark.parametrize("rubbish", [b"{", b"\xff", b"5", b"[5]", b"[" * 5000])
def test_a_report_that_cannot_be_read_is_refused(tmp_path: Path, field: str, rubbish: bytes) -> None:
    async def work(given: Serving) -> None:
        with pytest.raises(UnreadableInput), given.told():
            await given.stub.Report(pb.AdmissionReport(**{field: rubbish}))
        assert given.spool.waiting == 0

    _serving(tmp_path, work)


def test_images_are_centrals(tmp_path: Path) -> None:
    async def work(given: Serving) -> None:
        given.central.images["a.example/b:1"] = ScannedImage(id="found")
        for _ in range(2):
            request = sensors_pb2.GetScannedImageRequest(image_name="a.example/b:1", namespace="shop")
            parts = await given.stub.GetScannedImage(request)
            content = b"".join(part.chunk for part in parts)
            assert msgspec.json.decode(content, type=ScannedImage).id == "found"
        # The second time it is held here.
        assert len(given.central.asked_images) == 1
        assert given.central.asked_images[0].namespace == "shop"

    _serving(tmp_path, work)


def test_others_are_not_served(tmp_path: Path) -> None:
    async def work(given: Serving) -> None:
        with pytest.raises(Refused), given.told():
            await given.stub.Report(pb.AdmissionReport())

    _serving(tmp_path, work, caller=Service.COLLECTOR)


class Acting:
    """Remembers what Central asked for."""

    def __init__(self) -> None:
        self.marked: list[str] = []
        self.acted: list[Enforcement] = []
        self.scanned: list[tuple[str, str, bool]] = []
        self.renewed = 0

    async def renew(self) -> None:
        self.renewed += 1

    def mark(self, identifier: str) -> None:
        self.marked.append(identifier)

    def mark_all(self) -> None:
        self.marked.append("all")

    async def act(self, asked: Enforcement) -> None:
        if not asked.name:
            raise LimitExceeded("no name")
        self.acted.append(asked)

    async def scan(self, name: str, namespace: str, *, force: bool, ad_hoc: bool = False) -> bytes:
        if name == "odd":
            raise ValueError(name)
        self.scanned.append((name, namespace, force))
        return b"large"

    async def apply(self, asked: PoliciesToApply) -> AppliedPolicies:
        return AppliedPolicies(restore=asked.policies, delete=asked.delete)


def _answers(*requests: sensors_pb2.Request) -> tuple[Acting, list[sensors_pb2.Answer]]:
    acting = Acting()
    found: list[sensors_pb2.Answer] = []

    async def work() -> None:
        inventory = Inventory()
        inventory.be("c", "ward", {})
        made = Requests(
            inventory,
            acting,
            acting,
            acting,
            acting,
            lambda message: found.append(message.answer),
            acting.renew,
        )
        for each in requests:
            made.take(each)
        await _until("answers", lambda: len(found) == len(requests))
        await made.stop()

    run(work())
    return acting, found


def test_central_asks_and_is_answered() -> None:
    enforcement = Enforcement(action="KILL_POD_ENFORCEMENT", name="web", pod_id="web-1")
    acting, answers = _answers(
        sensors_pb2.Request(id="1", reassess="d"),
        sensors_pb2.Request(id="2", reassess=""),
        sensors_pb2.Request(id="3", enforce=msgspec.json.encode(enforcement)),
        sensors_pb2.Request(
            id="4", scan_image=sensors_pb2.ScanImage(image_name="a", force=True, namespace="n")
        ),
        sensors_pb2.Request(id="5", enhance=msgspec.json.encode([deployment()])),
        sensors_pb2.Request(id="6", apply_network_policies=b'{"policies": [{"kind": "NetworkPolicy"}]}'),
        sensors_pb2.Request(id="7", renew_certificates=True),
    )
    assert acting.renewed == 1
    assert acting.marked == ["d", "all"]
    assert acting.acted == [enforcement]
    assert acting.scanned == [("a", "n", True)]
    by_id = {each.request_id: each for each in answers}
    assert {each.failure for each in answers} == {""}
    assert msgspec.json.decode(by_id["6"].result) == {"restore": [{"kind": "NetworkPolicy"}]}
    (found,) = msgspec.json.decode(by_id["5"].result, type=list[Deployment])
    assert (found.cluster_id, found.cluster_name) == ("c", "ward")


def test_what_cannot_be_done_is_answered_too() -> None:
    _, answers = _answers(
        sensors_pb2.Request(id="1"),
        sensors_pb2.Request(id="2", enforce=b"{}"),
        sensors_pb2.Request(id="3", enforce=b"rubbish"),
        sensors_pb2.Request(id="4", enhance=b"[5]"),
        sensors_pb2.Request(id="5", scan_image=sensors_pb2.ScanImage(image_name="odd")),
        sensors_pb2.Request(id="6", apply_network_policies=b'{"policies": 5}'),
    )
    assert len([each for each in answers if each.failure]) == 6


def _secret(namespace: str, **registries: str) -> PullSecret:
    auths = {
        name.replace("_", "."): {"username": user, "password": "p", "auth": ""}
        for name, user in registries.items()
    }
    return PullSecret(namespace=namespace, name="s", config=json.dumps({"auths": auths}))


@pytest.mark.parametrize(
    ("secrets", "user"),
    [
        ([_secret("shop", a_example="mine"), _secret("stackrox", a_example="ours")], "mine"),
        ([_secret("shop", other_example="mine"), _secret("stackrox", a_example="ours")], "ours"),
        ([_secret("elsewhere", a_example="theirs")], ""),
        (
            [PullSecret(namespace="shop", name="s", config="rubbish"), _secret("stackrox", a_example="ours")],
            "ours",
        ),
        ([PullSecret(namespace="shop", name="s", config='{"credsStore": "run-me", "auths": {}}')], ""),
    ],
)
def test_an_image_is_read_here_with_the_namespaces_secret(
    tmp_path: Path, secrets: list[PullSecret], user: str
) -> None:
    async def work() -> None:
        certificates, indexer = Certificates(tmp_path), Indexer()
        async with _scanning(certificates, indexer, secrets) as (scanning, central):
            await scanning.scan("a.example/team/app:1", "shop", force=True)
            looking = asyncio.create_task(scanning.run())
            await _until("health", lambda: scanning.health.status == "HEALTHY")
            await tasks.end(looking)
            assert scanning.health.version == "9"
        assert central.reports == [("a.example/team/app:1", b"report")]
        (request,) = indexer.asked
        assert request.reference == "a.example/team/app:1"
        assert request.again
        assert request.registry.username == user

    run(work())


@asynccontextmanager
async def _scanning(
    certificates: Certificates,
    indexer: Indexer,
    secrets: Sequence[PullSecret] = (),
    *rules: Mirrored,
    central: StandIn | None = None,
    **limits: int,
) -> AsyncIterator[tuple[LocalScanning, StandIn]]:
    inventory, central = Inventory(), central or StandIn()
    inventory._pulls = {str(number): each for number, each in enumerate(secrets)}
    inventory.mirrors.sets["m"] = SeenMirrors(rules)
    ours = certificates.material(Service.SENSOR)
    async with listening(central, certificates) as at, indexing(indexer, certificates) as where:
        to_central = channel(f"127.0.0.1:{at.port}", ours, [Service.CENTRAL])
        to_indexer = channel(where, ours, INDEXERS)
        try:
            yield LocalScanning(to_indexer, Central(to_central), inventory, "stackrox", **limits), central
        finally:
            to_indexer.close()
            to_central.close()


def test_credentials_are_tried_in_their_order_and_nobody_at_last(tmp_path: Path) -> None:
    everybodys = msgspec.structs.replace(_secret("openshift-config", a_example="global"), name="pull-secret")
    secrets = [
        _secret("stackrox", a_example="ours"),
        _secret("openshift-config", a_example="no global one"),
        everybodys,
        _secret("shop", a_example="mine"),
        msgspec.structs.replace(_secret("shop", a_example="mine"), name="again"),
    ]

    async def work() -> None:
        indexer, central = Indexer(lambda _: AccessDenied("wants others")), StandIn()
        central.registries["a.example/team/app:1"] = [indexer_pb2.Registry(username="lent", ca=b"PEM")]
        async with _scanning(Certificates(tmp_path), indexer, secrets, central=central) as (scanning, _):
            with pytest.raises(AccessDenied, match="wants others"):
                await scanning.scan("a.example/team/app:1", "shop", force=False)
            assert [user for _, user in indexer.tried] == ["mine", "global", "ours", "lent", ""]
            assert indexer.asked[3].registry.ca == b"PEM"
            indexer.asked.clear()
            indexer.refuses = lambda asked: NetworkError("broken") if asked.registry.username else None
            with pytest.raises(NetworkError, match="broken"):  # others would not do better
                await scanning.scan("a.example/team/app:1", "shop", force=False)
            assert len(indexer.asked) == 1
        assert central.reports == []

    run(work())


def test_mirrors_are_tried_first_and_with_their_own_credentials(tmp_path: Path) -> None:
    digest = "sha256:" + "1" * 64
    rule = Mirrored(source="a.example/team", mirrors=("near.example/m", "far.example/m"))
    secrets = [_secret("shop", a_example="mine"), _secret("stackrox", far_example="there")]

    def refuses(asked: Any) -> RedoubtError | None:
        host = asked.reference.partition("/")[0]
        if host == "near.example":
            return UnreadableInput("no such image there")
        return None if asked.registry.username == "there" else AccessDenied("wants credentials")

    async def work() -> None:
        indexer = Indexer(refuses)
        async with _scanning(Certificates(tmp_path), indexer, secrets, rule) as (scanning, central):
            await scanning.scan(f"a.example/team/app:1@{digest}", "shop", force=False)
            assert indexer.tried == [
                (f"near.example/m/app@{digest}", ""),
                (f"far.example/m/app@{digest}", "there"),
            ]
            assert [name for name, _ in central.reports] == [f"a.example/team/app:1@{digest}"]
            indexer.asked.clear()
            with pytest.raises(AccessDenied):
                await scanning.scan("a.example/team/app:1", "shop", force=False)  # no mirrors for tags
            assert indexer.tried == [("a.example/team/app:1", "mine"), ("a.example/team/app:1", "")]
            indexer.refuses = lambda asked: UnreadableInput(f"nothing at {asked.reference[:4]}")
            with pytest.raises(RedoubtError, match=r"nothing at near; nothing at far\.; nothing at a\.ex"):
                await scanning.scan(f"a.example/team/app:1@{digest}", "shop", force=False)

    run(work())


def test_openshifts_own_registry_is_read_with_the_secret_of_the_images_namespace(tmp_path: Path) -> None:
    host = "image-registry.openshift-image-registry.svc:5000"
    secret = _secret("till", **{host.replace(".", "_"): "builder"})

    async def work() -> None:
        indexer = Indexer()
        async with _scanning(Certificates(tmp_path), indexer, [secret]) as (scanning, _):
            await scanning.scan(f"{host}/till/app:1", "", force=False)
        assert indexer.tried == [(f"{host}/till/app:1", "builder")]

    run(work())


def test_scans_that_people_ask_for_have_their_own_few_places(tmp_path: Path) -> None:
    async def work() -> None:
        indexer = Indexer()
        indexer.ready.clear()
        async with _scanning(Certificates(tmp_path), indexer, at_once=2, ad_hoc=1) as (scanning, _):
            waiting = [
                asyncio.create_task(scanning.scan("a.example/b:1", "", force=False, ad_hoc=each))
                for each in (True, True, False, False, False)
            ]
            await _until(
                "all places are taken", lambda: scanning._at_once.locked() and scanning._ad_hoc.locked()
            )
            assert len(indexer.asked) <= 3
            indexer.ready.set()
            await asyncio.gather(*waiting)
        assert len(indexer.asked) == 5

    run(work())


def test_without_an_indexer_it_is_said() -> None:
    async def work() -> None:
        scanning = LocalScanning(None, None, Inventory(), "stackrox")  # type: ignore[arg-type]
        with pytest.raises(RedoubtError, match="no Indexer of its own"):
            await scanning.scan("a.example/team/app:1", "shop", force=False)

    run(work())


def test_central_away_is_unavailable(tmp_path: Path) -> None:
    async def work() -> None:
        certificates = Certificates(tmp_path)
        central = channel("127.0.0.1:1", certificates.material(Service.SENSOR), [Service.CENTRAL])
        images = Images(Central(central).image, 1 << 20, lambda _: None)
        with pytest.raises(Unavailable):
            await images.content("a.example/b:1", "", cached=False)
        central.close()

    run(work())
