"""Images held in memory, and policies asked of workloads: what is told, when, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt import tasks
from redoubt.errors import NetworkError, RedoubtError, UsageError
from redoubt.kubeapi import ApiFailure
from redoubt.model.cluster import Enforcement
from redoubt.model.scannedimage import ScannedComponent, ScannedImage
from redoubt.model.workload import ContainerImage, Surroundings
from redoubt.policies import Policy
from redoubt.policies.alerts import Alert
from redoubt.sensor.cluster.changes import Change
from redoubt.sensor.conversion import workloads
from redoubt.sensor.detection import detector
from redoubt.sensor.detection.detector import Detector
from redoubt.sensor.detection.enforcement import Enforcer
from redoubt.sensor.detection.evaluation import Asked, encoded, evaluate
from redoubt.sensor.detection.images import Images
from redoubt.sensor.graph.inventory import Inventory
from redoubt.sensor.stream.spool import Spool
from redoubt.wire.failures import NotFound, Unavailable
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.policies import asked, container, flaw, group, image, policy
from support.policies import deployment as plain
from support.sensing import deployment

NAME = "registry.example/shop:1.4"
PRIVILEGED = policy([group("Privileged Container", "true")], name="privileged")
FLAWED = policy([group("CVE", "CVE-2099-0001")], id="flawed", name="flawed")


class Central:
    """What Central would say of images."""

    def __init__(self) -> None:
        self.images: dict[str, ScannedImage | RedoubtError] = {}
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        #: Whether what is known is said though the gate is closed.
        self.quick = False

    async def fetch(self, name: str, namespace: str, cached: bool) -> bytes:
        self.asked.append(name)
        if not (cached and self.quick):
            await self.gate.wait()
        found = self.images.get(name, NotFound("no such image"))
        if isinstance(found, RedoubtError):
            raise found
        return msgspec.json.encode(found)


class Enforcing:
    """Remembers what was to be done."""

    def __init__(self, problem: str = "") -> None:
        self.done: list[Enforcement] = []
        self.problem = problem
        #: How often nobody answers.
        self.away = 0

    async def act(self, asked: Enforcement) -> None:
        if self.away:
            self.away -= 1
            raise NetworkError("nobody answers")
        if self.problem:
            raise UsageError(self.problem)
        self.done.append(asked)


async def _until(what: str, happened: Callable[[], object]) -> None:
    for _ in range(1000):
        if happened():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what} did not come")


class Given:
    """A detector and all that it stands on."""

    def __init__(self, folder: Path, problem: str = "") -> None:
        self.central = Central()
        self.inventory = Inventory()
        self.spool = Spool(folder, 1 << 24)
        self.enforcing = Enforcing(problem)
        self.images = Images(self.central.fetch, 1 << 24, self._known)
        self.detector = Detector(self.inventory, self.images, self.spool, self.enforcing)  # type: ignore[arg-type]

    def _known(self, keys: Iterable[str]) -> None:
        self.detector.images_known(keys)

    def put(self, name: str = "web", *, fresh: bool = False, kind: str = "Deployment", **pod: Any) -> None:
        given = deployment("shop", name, kind, **pod)
        given["metadata"]["uid"] = name
        self.inventory.apply(Change(kind, name, workloads.workload(given), fresh=fresh))
        for identifier, new in self.inventory.drain().deployments.items():
            self.detector.mark(identifier, fresh=new)

    async def policies(self, *policies: Policy) -> None:
        await self.detector.say_policies([msgspec.Raw(msgspec.json.encode(each)) for each in policies])

    async def told(self) -> list[tuple[str, list[Alert]]]:
        """All so far."""
        await self.spool.durable(self.spool.waiting)
        found = []
        if self.spool.waiting:
            for _, data in await self.spool.reader(0).next():
                results = pb.FromSensor.FromString(data).alerts
                found.append((results.deployment_id, msgspec.json.decode(results.alerts, type=list[Alert])))
        return found


def _with(folder: Path, work: Callable[[Given], Coroutine[Any, Any, None]], problem: str = "") -> None:
    async def running() -> None:
        given = Given(folder, problem)
        given.spool.open()
        parts = [
            asyncio.create_task(each)
            for each in (given.spool.run(), given.detector.run(), given.images.run())
        ]
        try:
            await asyncio.wait_for(work(given), 20)
        finally:
            await tasks.end(*parts)
            given.spool.close()

    asyncio.run(running())


BAD = [{"name": "main", "image": NAME, "securityContext": {"privileged": True}}]


def test_nothing_is_told_before_the_images_are_known(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        given.central.gate.clear()
        given.central.images[NAME] = image(ScannedComponent(name="curl", vulns=(flaw(),)))
        await given.policies(PRIVILEGED, FLAWED)
        given.detector.linked(forgotten=True)
        given.put(containers=BAD)
        await _until("a question", lambda: given.central.asked)
        await _until("an evaluation", lambda: given.detector.asked)
        assert given.spool.waiting == 0
        given.central.gate.set()
        await _until("an answer", lambda: given.spool.waiting)
        ((identifier, alerts),) = await given.told()
        assert identifier == "web"
        assert {each.policy.name for each in alerts} == {"privileged", "flawed"}

    _with(tmp_path, work)


def test_the_same_is_told_once_and_an_end_is_told(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        await given.policies(PRIVILEGED)
        given.detector.linked(forgotten=True)
        given.put(containers=BAD)
        await _until("an answer", lambda: given.spool.waiting == 1)
        before = given.detector.asked
        given.detector.mark_all()
        given.detector.linked(forgotten=False)
        await _until("another evaluation", lambda: given.detector.asked > before)
        assert given.spool.waiting == 1
        given.put()
        await _until("an end", lambda: given.spool.waiting == 2)
        assert [len(alerts) for _, alerts in await given.told()] == [1, 0]
        given.detector.linked(forgotten=True)
        await _until("that it is told anew", lambda: given.spool.waiting == 3)

    _with(tmp_path, work)


def test_what_changes_while_central_is_away_is_told_when_it_is_back(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        await given.policies(PRIVILEGED)
        given.put(containers=BAD)
        await _until("an evaluation", lambda: given.detector.asked)
        await asyncio.sleep(0.05)
        assert given.spool.waiting == 0
        given.detector.linked(forgotten=False)
        await _until("an answer", lambda: given.spool.waiting == 1)
        given.detector.unlinked()

    _with(tmp_path, work)


@pytest.mark.parametrize(
    ("kind", "actions", "done"),
    [
        ("Deployment", ("SCALE_TO_ZERO_ENFORCEMENT",), "SCALE_TO_ZERO_ENFORCEMENT"),
        ("DaemonSet", ("SCALE_TO_ZERO_ENFORCEMENT",), ""),
        (
            "DaemonSet",
            ("SCALE_TO_ZERO_ENFORCEMENT", "UNSATISFIABLE_NODE_CONSTRAINT_ENFORCEMENT"),
            "UNSATISFIABLE_NODE_CONSTRAINT_ENFORCEMENT",
        ),
        ("Deployment", ("FAIL_DEPLOYMENT_CREATE_ENFORCEMENT",), ""),
    ],
)
def test_what_is_made_is_enforced_and_what_changes_is_not(
    tmp_path: Path, kind: str, actions: tuple[Any, ...], done: str
) -> None:
    async def work(given: Given) -> None:
        await given.policies(policy([group("Privileged Container", "true")], enforcement_actions=actions))
        given.detector.linked(forgotten=True)
        given.put("old", kind=kind, containers=BAD)
        given.put("new", kind=kind, containers=BAD, fresh=True)
        await _until("answers", lambda: given.spool.waiting == 2)
        assert [(each.name, each.action) for each in given.enforcing.done] == (
            [("new", done)] if done else []
        )
        told = dict(await given.told())
        assert told["old"][0].enforcement is None
        assert (told["new"][0].enforcement is not None) is bool(done)
        assert told["new"][0].enforcement_count == int(bool(done))
        given.put("new", kind=kind, containers=BAD, hostPID=True)
        given.put("old", kind=kind, containers=BAD, hostPID=True)
        await asyncio.sleep(0.1)
        assert len(given.enforcing.done) == int(bool(done))

    _with(tmp_path, work)


def test_an_enforcement_that_hangs_on_the_image_comes_when_that_is_known(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        given.central.gate.clear()
        given.central.images[NAME] = image(ScannedComponent(name="curl", vulns=(flaw(),)))
        await given.policies(
            policy([group("CVE", "CVE-2099-0001")], enforcement_actions=("SCALE_TO_ZERO_ENFORCEMENT",))
        )
        given.put(fresh=True)
        await _until("an evaluation", lambda: given.detector.asked)
        given.put(hostPID=True)
        assert given.enforcing.done == []
        given.central.gate.set()
        await _until("an enforcement", lambda: given.enforcing.done)
        # And told when Central is there.
        given.detector.linked(forgotten=True)
        await _until("an answer", lambda: given.spool.waiting)
        ((_, alerts),) = await given.told()
        assert alerts[0].enforcement_count == 1

    _with(tmp_path, work)


def test_an_enforcement_that_fails_is_not_told_as_done(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        await given.policies(
            policy(
                [group("Privileged Container", "true")], enforcement_actions=("SCALE_TO_ZERO_ENFORCEMENT",)
            )
        )
        given.detector.linked(forgotten=True)
        given.put(fresh=True, containers=BAD)
        await _until("an answer", lambda: given.spool.waiting)
        ((_, alerts),) = await given.told()
        assert alerts[0].enforcement is None

    _with(tmp_path, work, problem="no")


def test_an_enforcement_is_done_when_the_api_server_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector, "_PAUSE", 0.02)

    async def work(given: Given) -> None:
        given.enforcing.away = 2
        await given.policies(
            policy(
                [group("Privileged Container", "true")], enforcement_actions=("SCALE_TO_ZERO_ENFORCEMENT",)
            )
        )
        given.detector.linked(forgotten=True)
        given.put(fresh=True, containers=BAD)
        await _until("an enforcement", lambda: given.enforcing.done)
        await _until("that it is told", lambda: given.spool.waiting == 2)
        counts = [alerts[0].enforcement_count for _, alerts in await given.told()]
        assert counts == [0, 1]

    _with(tmp_path, work)


class Refusing:
    """An API server that answers every change with ``code``."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.asked: list[tuple[str, str, Any]] = []

    async def change(self, method: str, path: str, body: Any, kind: str = "") -> bytes:
        self.asked.append((method, path, body))
        if self.code:
            raise ApiFailure("refused", self.code)
        return b""


@pytest.mark.parametrize(
    ("uid", "code", "fails"),
    [
        ("uid-1", 0, False),
        ("uid-1", 404, False),
        # Another pod of that name is there.
        ("uid-1", 409, False),
        ("uid-1", 403, True),
        ("", 409, True),
    ],
)
def test_only_the_very_pod_is_killed(uid: str, code: int, fails: bool) -> None:
    api = Refusing(code)
    enforcer = Enforcer(api, lambda _: None)  # type: ignore[arg-type]
    asked = Enforcement(action="KILL_POD_ENFORCEMENT", namespace="shop", pod_id="web-0", pod_uid=uid)
    with pytest.raises(ApiFailure) if fails else nullcontext():
        asyncio.run(enforcer.act(asked))
    ((method, path, body),) = api.asked
    assert (method, path) == ("DELETE", "/api/v1/namespaces/shop/pods/web-0")
    assert body.get("preconditions") == ({"uid": uid} if uid else None)
    assert enforcer.failed == int(fails)


def test_a_policy_that_cannot_be_read_leaves_the_others(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        good = msgspec.Raw(msgspec.json.encode(PRIVILEGED))
        await given.detector.say_policies([msgspec.Raw(b'{"name": 5}'), good, msgspec.Raw(b"[]")])
        assert [each.policy.name for each in given.detector.policies.compiled] == ["privileged"]

    _with(tmp_path, work)


def _image(name: str = NAME, digest: str = "") -> ContainerImage:
    return ContainerImage(id=digest, name=workloads.named(name))


def _images(
    work: Callable[[Images, Central, list[str]], Coroutine[Any, Any, None]], limit: int = 1 << 24
) -> None:
    async def running() -> None:
        central, known = Central(), []
        images = Images(central.fetch, limit, known.extend)
        task = asyncio.create_task(images.run())
        try:
            await asyncio.wait_for(work(images, central, known), 20)
        finally:
            await tasks.end(task)

    asyncio.run(running())


def test_an_image_is_asked_for_once_however_many_want_it() -> None:
    async def work(images: Images, central: Central, known: list[str]) -> None:
        central.gate.clear()
        central.images[NAME] = image()
        for _ in range(10):
            assert not images.known(_image(), "shop")
        waiting = [asyncio.create_task(images.content(NAME, "shop", cached=False)) for _ in range(5)]
        await _until("a question", lambda: central.asked)
        central.gate.set()
        await asyncio.gather(*waiting)
        await _until("that it is known", lambda: known)
        assert central.asked == [NAME]
        assert images.known(_image(), "shop")

    _images(work)


def test_a_digest_is_asked_for_with_its_name_and_held_by_itself() -> None:
    async def work(images: Images, central: Central, known: list[str]) -> None:
        digest = "sha256:" + "a" * 64
        central.images[f"{NAME}@{digest}"] = image()
        images.known(_image(digest=digest), "shop")
        await _until("that it is known", lambda: known)
        assert known == [digest]
        assert await images.content(f"{NAME}@{digest}", "shop", cached=True)
        assert len(central.asked) == 1
        images.forget([digest])
        assert not images.known(_image(digest=digest), "shop")

    _images(work)


def test_a_known_digest_does_not_wait_behind_images_that_have_to_be_scanned() -> None:
    async def work(images: Images, central: Central, known: list[str]) -> None:
        digest = "sha256:" + "b" * 64
        central.images[f"{NAME}@{digest}"] = image()
        central.gate.clear()
        for each in range(50):
            images.known(_image(f"registry.example/slow:{each}"), "shop")
        await _until("scans", lambda: len(central.asked) == 8)
        central.quick = True
        images.known(_image(digest=digest), "shop")
        await _until("that it is known", lambda: known == [digest])
        central.gate.set()
        await _until("all", lambda: len(known) == 51)

    _images(work)


def test_what_central_cannot_say_counts_as_not_looked_at() -> None:
    async def work(images: Images, central: Central, known: list[str]) -> None:
        images.known(_image(), "shop")
        await _until("that it is settled", lambda: known)
        assert images.known(_image(), "shop")
        made = asked(policy([group("Unscanned Image", "true")]))
        part = images.part(made, _image(), datetime.now(UTC))
        assert part is not None
        with pytest.raises(NotFound):
            await images.content(NAME, "shop", cached=False)

    _images(work)


def test_while_central_is_away_an_image_is_postponed() -> None:
    async def work(images: Images, central: Central, known: list[str]) -> None:
        central.images[NAME] = Unavailable("away")
        images.known(_image(), "shop")
        await _until("a question", lambda: central.asked)
        await asyncio.sleep(0.02)
        assert not images.known(_image(), "shop")
        assert len(central.asked) == 1
        with pytest.raises(NetworkError):
            await images.content(NAME, "shop", cached=True)
        central.images[NAME] = image()
        images.back()
        await _until("that it is known", lambda: known)

    _images(work)


def test_memory_is_bounded_and_what_was_not_used_yet_stays() -> None:
    async def work(images: Images, central: Central, known: list[str]) -> None:
        large = image(*(ScannedComponent(name=f"package-{each}", version="1.0") for each in range(5000)))
        names = [f"registry.example/shop:{each}" for each in range(40)]
        central.images |= dict.fromkeys(names, large)
        for name in names:
            images.known(_image(name), "shop")
        await _until("all", lambda: len(known) == 40)
        assert all(images.known(_image(name), "shop") for name in names)
        images.used(_image(name) for name in names)
        assert images.size <= 1 << 22
        assert images.evicted > 20

    _images(work, limit=1 << 22)


@pytest.mark.parametrize("cached", [False, True])
def test_what_other_services_ask_for_is_bounded_too(cached: bool) -> None:
    async def work(images: Images, central: Central, known: list[str]) -> None:
        large = image(*(ScannedComponent(name=f"package-{each}", version="1.0") for each in range(5000)))
        names = [f"registry.example/shop:{each}" for each in range(40)]
        central.images |= dict.fromkeys(names, large)
        for name in names:
            assert await images.content(name, "shop", cached=cached)
        assert 0 < images.size <= 1 << 22
        assert images.evicted > 20

    _images(work, limit=1 << 22)


def test_images_of_a_workload_that_is_gone_do_not_stay(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        given.images._limit = 1
        given.central.images |= {NAME: image(), "registry.example/other:1": Unavailable("away")}
        await given.policies(PRIVILEGED)
        given.put(containers=[*BAD, {"name": "other", "image": "registry.example/other:1"}])
        await _until("its image", lambda: given.images.size)
        await _until("the other's question", lambda: len(given.central.asked) == 2)
        assert given.images.size
        given.inventory.apply(Change("Deployment", "web"))
        for identifier in given.inventory.drain().deployments:
            given.detector.mark(identifier)
        await _until("its end", lambda: not given.images.size)
        given.images.back()
        await asyncio.sleep(0.02)
        assert len(given.central.asked) == 2

    _with(tmp_path, work)


def test_a_large_workloads_alerts_fit_into_a_message() -> None:
    annotations = {f"a{each}": "x" * 4000 for each in range(50)}
    given = plain(*(container(f"c{each}") for each in range(3000)), annotations=annotations, id="d")
    policies = [
        policy([group("Namespace", "stores")], id=str(each), name=f"policy {each}") for each in range(60)
    ]
    found = evaluate(
        asked(policies),
        Asked(given, Surroundings(), (None,) * 3000, whole=True, fresh=False),
        datetime.now(UTC),
    )
    content, cut = encoded(found.alerts)
    assert cut
    assert len(content) < 4 << 20
    assert len(msgspec.json.decode(content)) == 60
