"""Two ``redoubt central`` as processes on one database: what is asked of one is so at the other."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from redoubt.scanner.following import Follower
from redoubt.scanner.leader import WireLeader
from redoubt.scanner.matching import Matching
from redoubt.wire.channel import channel
from redoubt.wire.identity import Service
from redoubt.wire.material import Material
from support.centrals import PASSWORD
from support.definitions_bundles import Site
from support.replicas import Process, until
from support.wire import Certificates, run

Migrated = Callable[[str], str]
UPLOAD = "/api/extensions/scannerdefinitions"


class Two:
    """Both of them, and what they need."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.certificates = Certificates(folder / "certificates")
        self.certificates.files(Service.CENTRAL, "central")
        self.site = Site(folder / "site")
        self.processes: list[Process] = []
        for name in "ab":
            self.processes.append(Process(folder, name, url, self.certificates.folder))

    @property
    def a(self) -> Process:
        return self.processes[0]

    @property
    def b(self) -> Process:
        return self.processes[1]

    async def trusted(self, client: httpx.AsyncClient) -> None:
        """Have the site's bundles accepted. Just after the start the definitions may not have been looked at yet."""
        root = {"root": self.site.root.read_text(), "channel": self.site.channel}
        for _ in range(1200):
            answer = await client.post("/v1/definitions/trust", json=root)
            if answer.status_code != 409:
                break
            await asyncio.sleep(0.05)
        assert answer.status_code == 200, answer.text

    @asynccontextmanager
    async def matcher(self, at: Process) -> AsyncIterator[Matching]:
        """A Matcher that follows one of them."""
        files = self.certificates.files(Service.SCANNER_V4_MATCHER)
        to = channel(f"127.0.0.1:{at.port}", Material(files), [Service.CENTRAL])
        matching = Matching(simultaneous=1)
        follower = Follower(WireLeader(to, files), matching, self.folder / "matcher", interval=1.0)
        await follower.start()
        try:
            yield matching
        finally:
            await follower.stop()
            matching.close()
            to.close()


@pytest.fixture
def two(migrated: Migrated, tmp_path: Path) -> Iterator[Two]:
    made = Two(tmp_path, migrated("redoubt.central.migrations"))
    try:
        yield made
    finally:
        for process in made.processes:
            process.kill()


async def upload(client: httpx.AsyncClient, bundle: Path) -> httpx.Response:
    return await client.post(UPLOAD, content=bundle.read_bytes())


async def active(client: httpx.AsyncClient) -> Any:
    return (await client.get("/v1/definitions")).json()["active"]


def test_what_is_asked_of_one_is_so_at_the_other(two: Two) -> None:
    def current(matching: Matching) -> str:
        return matching.info.digest if matching.info else ""

    async def work() -> None:
        async with two.a.http() as a, two.b.http() as b, two.matcher(two.b) as matching:
            await two.trusted(a)
            done = (await upload(a, two.site.bundle(1))).json()
            await until(
                lambda: current(matching) == done["digest"], "the Matcher at b to have the upload at a"
            )
            second = (await upload(b, two.site.bundle(2))).json()
            assert second["previous"] == done["digest"]
            await until(lambda: current(matching) == second["digest"], "the Matcher to have the second")
            back = await a.post("/v1/definitions/rollback", json={})
            assert back.json()["digest"] == done["digest"]
            await until(lambda: current(matching) == done["digest"], "the Matcher to go back")
            history = (await b.get("/v1/definitions/history")).json()["events"]
            assert [event["action"] for event in history] == ["rollback", "upload", "upload"]

            made = await a.post("/v1/apitokens/generate", json={"name": "x", "roles": ["Admin"]})
            token = made.json()["token"]
            bearer = {"Authorization": f"Bearer {token}"}
            assert (await b.get("/v1/roles", headers=bearer, auth=None)).status_code == 200
            number = jwt.decode(token, options={"verify_signature": False})["jti"]
            assert (await a.patch(f"/v1/apitokens/revoke/{number}")).status_code == 200
            async with asyncio.timeout(30):  # until it has heard of it
                while (await b.get("/v1/roles", headers=bearer, auth=None)).status_code != 401:
                    await asyncio.sleep(0.01)

            changed = {"currentPassword": PASSWORD, "newPassword": f"{PASSWORD} staple"}
            assert (await b.put("/v1/auth/password", json=changed)).status_code == 200
            async with asyncio.timeout(30):
                while (await a.get("/v1/auth/status")).status_code != 401:
                    await asyncio.sleep(0.01)

    run(work(), 280)


def test_whoever_is_killed_in_an_upload_leaves_nothing_and_the_other_goes_on(two: Two) -> None:
    async def work() -> None:
        async with two.a.http() as a, two.b.http() as b:
            await two.trusted(a)
            begin = await upload(b, two.site.bundle(1))
            assert begin.status_code == 200, begin.text
            first = begin.json()
            begun, whole = asyncio.Event(), two.site.bundle(2).read_bytes()

            async def slow() -> AsyncIterator[bytes]:
                yield whole[:100]
                begun.set()
                await asyncio.sleep(3600)

            sending = asyncio.create_task(a.post(UPLOAD, content=slow()))
            await asyncio.wait_for(begun.wait(), 30)
            async with asyncio.timeout(30):
                while not (await b.get("/v1/definitions")).json()["uploading"]:
                    await asyncio.sleep(0.02)
            refused = await upload(b, two.site.bundle(2))
            assert (refused.status_code, refused.json()["code"]) == (409, 10)
            os.kill(two.a.process.pid, signal.SIGKILL)
            two.a.process.wait(30)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            async with asyncio.timeout(30):  # until PostgreSQL has noticed
                while (answer := await upload(b, two.site.bundle(2))).status_code == 409:
                    await asyncio.sleep(0.02)
            second = answer.json()
            assert (answer.status_code, second["previous"]) == (200, first["digest"])

        # The one who comes back has all, with its disk or without.
        two.a.start()
        async with two.a.http() as a, two.matcher(two.a) as matching:
            await until(
                lambda: matching.info and matching.info.digest == second["digest"],
                "the Matcher at a to have it",
            )
            assert (await active(a))["digest"] == second["digest"]
            assert not [*(two.a.data / "uploads").iterdir()]

    run(work(), 280)
