"""SBOMs through Central, watched images, and a PostgreSQL that is started anew while an image is scanned."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from redoubt.central.images.watching import Watching
from redoubt.central.store.integrations import WatchedStore
from redoubt.egress import Policy
from redoubt.postgres import databases, migrations, pool
from redoubt.postgres.embedded import Embedded
from redoubt.scanner import matching
from support.centrals import PASSWORD
from support.postgres import FAST, chosen, reachable_folder
from support.registry import Registry, needs_registry
from support.scanners import Scanners, Shelf, pushed

pytestmark = [needs_registry, pytest.mark.usefixtures("cheap_passwords")]
Migrated = Callable[[str], str]
LOOPBACK = Policy(offline=True, allowed_hosts=frozenset({"127.0.0.1"}))
AUTH = ("admin", PASSWORD)


def whole(
    urls: tuple[str, str], folder: Path, shelf: Shelf, work: Callable[[Scanners], Awaitable[None]]
) -> None:
    async def running() -> None:
        async with Scanners(urls, folder, shelf, policy=LOOPBACK) as central:
            await work(central)

    asyncio.run(asyncio.wait_for(running(), 240))


@pytest.fixture
def run(migrated: Migrated, tmp_path: Path, shelf: Shelf) -> Callable[..., None]:
    def running(work: Callable[[Scanners], Awaitable[None]]) -> None:
        urls = migrated("redoubt.central.migrations"), migrated("redoubt.scanner.migrations")
        whole(urls, tmp_path, shelf, work)

    return running


Run = Callable[..., None]


async def sbom_scan(central: Scanners, body: bytes, kind: str, code: int = 200) -> Any:
    answer = await central.http.post(
        "/api/v1/sboms/scan", content=body, headers={"Content-Type": kind}, auth=AUTH, timeout=60
    )
    assert answer.status_code == code, answer.text
    return answer.json()


def test_an_images_sbom_has_the_findings_of_the_image(run: Run, registry: Registry, tmp_path: Path) -> None:
    name = pushed(registry, tmp_path, "sbom:1")

    async def work(central: Scanners) -> None:
        answer = await central.http.post(
            "/api/v1/images/sbom", json={"imageName": name}, auth=AUTH, timeout=60
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["spdxVersion"] == "SPDX-2.3"
        image = await central.scan(name)
        told = await sbom_scan(central, answer.content, "text/spdx+json")
        assert told["id"] == ""
        assert [
            (each["name"], each["version"], [flaw["cve"] for flaw in each["vulns"]])
            for each in told["scan"]["components"]
        ] == [
            (each["name"], each["version"], [flaw["cve"] for flaw in each["vulns"]])
            for each in image["scan"]["components"]
        ]
        assert (await central.get("/v1/imagescount")) == {"count": 1}

    run(work)


def test_what_is_no_sbom_is_refused_and_leaves_nothing(run: Run) -> None:
    async def work(central: Scanners) -> None:
        for body in (b"", b"{", b"nonsense", b'{"spdxVersion": "SPDX-2.3"', b"[" * 100_000, b"\x00" * 1000):
            assert (await sbom_scan(central, body, "application/json", 400))["code"] == 3
        assert "text/plain" in (await sbom_scan(central, b"{}", "text/plain", 400))["message"]
        assert list((central.settings.data / "sboms").iterdir()) == []

    run(work)


def test_a_watched_image_is_looked_at_again_and_its_tag_followed(
    run: Run, registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "watched:1")

    async def work(central: Scanners) -> None:
        async def watch(text: str) -> Any:
            answer = await central.http.post("/v1/watchedimages", json={"name": text}, auth=AUTH, timeout=60)
            assert answer.status_code == 200, answer.text
            return answer.json()

        for text, why in (
            ("not a name", "INVALID_IMAGE_NAME"),
            (f"{registry.host}/watched@sha256:{'0' * 64}", "INVALID_IMAGE_NAME"),
            ("registry.example/shop:1", "NO_VALID_INTEGRATION"),
            (f"{registry.host}/missing:1", "SCAN_FAILED"),
        ):
            told = await watch(text)
            assert (told["errorType"], told["normalizedName"]) == (why, "")
            assert told["errorMessage"]
        assert await watch(name) == {"normalizedName": name, "errorType": "NO_ERROR", "errorMessage": ""}
        assert await central.get("/v1/watchedimages") == {"watchedImages": [{"name": name}]}
        first = (await central.get("/v1/images"))["images"][0]
        assert central.services.images is not None
        assert await Watching(WatchedStore(central.pool), central.services.images, interval=600).look() == 0
        often = Watching(WatchedStore(central.pool), central.services.images, interval=0)
        pushed(registry, tmp_path, "watched:1", version="1.2-3")
        assert await often.look() == 1
        newest = await central.pool.fetchval("SELECT image FROM image_names WHERE name = $1", name)
        assert newest != first["id"]
        assert (await central.get(f"/v1/images/{newest}"))["cves"] == 0
        shutil.rmtree(registry.storage / "docker/registry/v2/repositories/watched")
        assert await often.look() == 1
        assert "no such image" in await central.pool.fetchval("SELECT problem FROM watched_images")
        gone = await central.http.delete("/v1/watchedimages", params={"name": name}, auth=AUTH)
        assert gone.status_code == 200
        assert await central.get("/v1/watchedimages") == {"watchedImages": []}

    run(work)


def test_a_database_that_is_started_anew_while_an_image_is_scanned(
    registry: Registry, tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = pushed(registry, tmp_path, "restarted:1")
    folder = reachable_folder()
    server = Embedded(folder / "pg", binaries=chosen(), settings=FAST)
    server.start()
    held = matching.Matching.match
    reached, go = asyncio.Event(), asyncio.Event()

    async def hold(self: Any, *given: Any) -> Any:
        found = await held(self, *given)
        reached.set()
        await go.wait()
        return found

    monkeypatch.setattr(matching.Matching, "match", hold)

    async def database(name: str, package: str) -> str:
        url = await databases.ensure(server.url(name), name)
        connections = await pool.connect(url)
        await migrations.migrate(connections, package)
        await connections.close()
        return url

    async def work(central: Scanners) -> None:
        scan = asyncio.create_task(central.scan(name))
        await reached.wait()
        await asyncio.to_thread(server.stop)
        go.set()
        await asyncio.sleep(0.5)
        assert not scan.done()
        await asyncio.to_thread(server.start)
        assert (await scan)["cves"] == 1
        assert (await central.get("/v1/imagescount")) == {"count": 1}

    async def both() -> tuple[str, str]:
        return await database("one", "redoubt.central.migrations"), await database(
            "two", "redoubt.scanner.migrations"
        )

    try:
        whole(asyncio.run(both()), tmp_path, shelf, work)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
