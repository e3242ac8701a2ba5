"""Online mode: what is fetched is verified as an upload is, the newer wins, and a failure changes nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from redoubt import egress
from redoubt.central.definitions.online import Online
from redoubt.central.definitions.shelf import Definitions
from redoubt.central.definitions.work import Became
from redoubt.definitions.trust import TrustStore
from support.definitions_bundles import Site
from support.web import Answer, Asked, Web


class Server:
    """A URL with a bundle behind it: conditional requests, and failures on demand."""

    def __init__(self) -> None:
        self.body, self.etag, self.status = b"", "", 200

    def put(self, bundle: Path) -> None:
        self.body, self.etag = bundle.read_bytes(), f'"{bundle.name}-{bundle.stat().st_size}"'

    def __call__(self, asked: Asked) -> Answer:
        if self.status != 200:
            return Answer(self.status)
        if asked.headers.get("if-none-match") == self.etag:
            return Answer(304)
        return Answer(body=self.body, headers={"ETag": self.etag})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path / "site")
    TrustStore(tmp_path / "data" / "trust").add(made.root, made.channel)
    return made


class Central:
    def __init__(self, folder: Path, url: str, policy: egress.Policy | None = None) -> None:
        self.definitions = Definitions(folder / "data", starter=False)
        self.noted: list[tuple[str, str]] = []
        self.online = Online(
            self.definitions, folder / "data" / "online", policy or egress.Policy(), self._note, url=url
        )

    async def _note(self, done: Became, action: str) -> None:
        self.noted.append((done.digest, action))

    async def start(self) -> Central:
        await self.definitions.start()
        (self.definitions._data / "online").mkdir(parents=True, exist_ok=True)
        return self

    @property
    def version(self) -> int:
        active = self.definitions.active()
        return active.manifest.version if active else 0


async def _upload(central: Central, bundle: Path) -> None:
    async def chunks():
        yield bundle.read_bytes()

    await central.definitions.receive(chunks())


def test_bundle_is_fetched_once_and_again_when_it_changed(tmp_path: Path, site: Site) -> None:
    async def work() -> None:
        server = Server()
        server.put(site.bundle(1, created="2026-11-20T00:00:00Z"))
        with Web(server) as web:
            central = await Central(tmp_path, f"{web.url}/bundle.zip").start()
            await central.online.once()
            assert (central.version, central.online.problem) == (1, "")
            await central.online.once()
            assert len(web.asked) == 2
            assert len(central.noted) == 1
            server.put(site.bundle(2, created="2026-11-21T00:00:00Z"))
            await central.online.once()
            assert central.version == 2
            assert [action for _, action in central.noted] == ["fetch", "fetch"]

    asyncio.run(work())


def test_the_newer_of_fetched_and_uploaded_wins(tmp_path: Path, site: Site) -> None:
    async def work() -> None:
        server = Server()
        with Web(server) as web:
            central = await Central(tmp_path, web.url).start()
            await _upload(central, site.bundle(5, created="2026-11-22T00:00:00Z"))
            server.put(site.bundle(4, created="2026-11-21T00:00:00Z"))
            await central.online.once()
            assert (central.version, central.online.problem, central.noted) == (5, "", [])
            server.put(site.bundle(6, created="2026-11-23T00:00:00Z"))
            await central.online.once()
            assert central.version == 6

    asyncio.run(work())


@pytest.mark.parametrize("failure", ["status", "damaged", "strange"])
def test_failure_keeps_what_is_there_and_is_told_and_tried_again(
    tmp_path: Path, site: Site, failure: str
) -> None:
    async def work() -> None:
        server = Server()
        with Web(server) as web:
            central = await Central(tmp_path, web.url).start()
            await _upload(central, site.bundle(1, created="2026-11-20T00:00:00Z"))
            good = site.bundle(2, created="2026-11-21T00:00:00Z")
            server.put(good)
            if failure == "status":
                server.status = 404
            elif failure == "damaged":
                server.body = server.body[:-200]
            else:
                server.put(Site(tmp_path / "stranger").bundle(9, created="2026-11-24T00:00:00Z"))
            await central.online.once()
            assert central.version == 1
            assert central.online.problem
            server.status = 200
            server.put(good)
            await central.online.once()
            assert (central.version, central.online.problem) == (2, "")

    asyncio.run(work())


def test_offline_policy_is_asked_before_anybody_is_contacted(tmp_path: Path, site: Site) -> None:
    async def work() -> None:
        policy = egress.Policy(offline=True, own=True)
        central = await Central(tmp_path, "https://definitions.example/bundle.zip", policy).start()
        await central.online.once()
        assert "offline mode: definitions.example" in central.online.problem

    asyncio.run(work())


def test_it_looks_at_once_and_ends_when_it_is_told_to(tmp_path: Path, site: Site) -> None:
    async def work() -> None:
        server = Server()
        server.put(site.bundle(1))
        with Web(server) as web:
            central = await Central(tmp_path, web.url).start()
            await central.online.start()
            await asyncio.wait_for(central.definitions.wait_for_change(""), 60)
            await central.online.stop()
            assert central.version == 1

    asyncio.run(work())
