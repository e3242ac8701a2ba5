"""Registries that cannot answer now, or never: what a scan through a real Indexer makes of them, and how often it asks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from redoubt.central.images.scanning import Pace
from redoubt.egress import Policy
from support.registry import Registry, needs_registry
from support.scanners import Scanners, Shelf, pushed
from support.web import Answer, Asked, Web

pytestmark = [needs_registry, pytest.mark.usefixtures("cheap_passwords")]
Migrated = Callable[[str], str]
LOOPBACK = Policy(offline=True, own=True)
QUICK = Pace(registry_first=0.05, registry_longest=3.0)


@pytest.fixture
def run(migrated: Migrated, tmp_path: Path, shelf: Shelf) -> Callable[..., None]:
    def started(work: Callable[[Scanners], Awaitable[None]]) -> None:
        urls = migrated("redoubt.central.migrations"), migrated("redoubt.scanner.migrations")

        async def running() -> None:
            async with Scanners(urls, tmp_path, shelf, policy=LOOPBACK) as central:
                assert central.services.images is not None
                central.services.images.pace = QUICK
                await work(central)

        asyncio.run(asyncio.wait_for(running(), 240))

    return started


Run = Callable[..., None]


class InFront(Web):
    """A registry's front door, which answers by itself the first ``times`` times that ``of`` is asked for."""

    def __init__(self, registry: Registry, times: int, answer: Answer, of: str = "/manifests/") -> None:
        self.count: Counter[str] = Counter()

        def serve(asked: Asked) -> Answer:
            if of in asked.path:
                self.count[of] += 1
                if self.count[of] <= times:
                    return answer
            headers = {"accept": asked.headers.get("accept", "*/*"), "accept-encoding": "identity"}
            if "range" in asked.headers:
                headers["range"] = asked.headers["range"]
            found = httpx.get(f"http://{registry.host}{asked.path}", headers=headers, timeout=60)
            kept = ("content-type", "docker-content-digest", "content-range")
            return Answer(
                found.status_code, found.content, {k: v for k, v in found.headers.items() if k in kept}
            )

        super().__init__(serve)
        self._of = of

    @property
    def asked_for_it(self) -> int:
        return self.count[self._of]


@pytest.mark.parametrize(
    ("answer", "of"),
    [
        (Answer(429, b"slowly", {"Retry-After": "2"}), "/manifests/"),
        (Answer(503), "/manifests/"),
        (Answer(200, b"{", length=4096), "/manifests/"),
        (Answer(502), "/blobs/"),
        (Answer(200, b"x", length=4096), "/blobs/"),
    ],
    ids=["429", "503", "breaks off", "502 of a layer", "a layer that breaks off"],
)
def test_a_registry_that_recovers_is_scanned(
    run: Run, registry: Registry, tmp_path: Path, answer: Answer, of: str
) -> None:
    name = pushed(registry, tmp_path, "recovers:1")

    async def work(central: Scanners) -> None:
        # One more than the Indexer asks by itself.
        with InFront(registry, 4, answer, of) as web:
            image = await central.scan(name.replace(registry.host, web.host))
            assert image["cves"] == 1
            (job,) = (await central.get("/v1/images/scans"))["scans"]
            assert job["state"] == "DONE"
            assert job["tries"] > 1
            assert job["nextTry"] is None

    run(work)


def test_it_waits_as_long_as_the_registry_asks_for_and_tells_so(
    run: Run, registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "asks:1")

    async def work(central: Scanners) -> None:
        assert central.services.images is not None
        central.services.images.pace = Pace(registry_first=0.05, registry_longest=5.0)
        with InFront(registry, 1, Answer(429, b"", {"Retry-After": "4"})) as web:
            scan = asyncio.create_task(central.scan(name.replace(registry.host, web.host)))
            for _ in range(3000):
                jobs = (await central.get("/v1/images/scans"))["scans"]
                if jobs and jobs[0]["nextTry"]:
                    break
                await asyncio.sleep(0.01)
            assert "429" in jobs[0]["problem"]
            assert jobs[0]["state"] == "INDEXING"
            assert web.asked_for_it == 1  # the Indexer does not come back too soon
            await scan
            assert web.asked_for_it == 2

    run(work)


@pytest.mark.parametrize(
    ("answer", "code", "times"),
    [
        (Answer(404), 400, 1),
        (Answer(401, b"", {"WWW-Authenticate": 'Basic realm="x"'}), 400, 1),
        (Answer(403), 400, 1),
        (Answer(429, b"", {"Retry-After": "3600"}), 503, 1),
        (Answer(500), 503, 15),
    ],
    ids=["404", "401", "403", "an hour", "500 for ever"],
)
def test_a_registry_that_does_not_is_asked_so_often(
    run: Run, registry: Registry, answer: Answer, code: int, times: int
) -> None:
    async def work(central: Scanners) -> None:
        with InFront(registry, 999, answer) as web:
            told: Any = await central.scan(f"{web.host}/fails:1", code)
            assert told["message"]
            assert web.asked_for_it == times

    run(work)
