"""A Matcher and the definitions of a Central that changes, breaks off, lies and goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from redoubt.definitions import stream
from redoubt.definitions.library import Library
from redoubt.definitions.shelf import Entry
from redoubt.errors import DefinitionsMissing, DefinitionsRefused, NetworkError
from redoubt.model import Image, IndexReport
from redoubt.scanner.following import Follower
from redoubt.scanner.matching import Matching
from support.definitions_bundles import Site

EMPTY = IndexReport(image=Image(reference="shop:1", kind="registry"))


class Central:
    """A stand-in for the wire to Central: a shelf, and what can go wrong on the way."""

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder / "site")
        self.library: Library = self.site.library("central")
        self.away = False
        self.breaks = 0
        self.lies = b""
        self.fetched: list[int] = []
        self.told: asyncio.Queue[str] = asyncio.Queue()

    def upload(self, version: int) -> Entry:
        return self.library.import_bundle(self.site.bundle(version)).entry

    async def active(self) -> Entry | None:
        if self.away:
            raise NetworkError("central: connection refused")
        return self.library.info().entry if self.library.list() else None

    async def changes(self) -> AsyncIterator[str]:
        while True:
            yield await self.told.get()

    async def fetch(self, digest: str, file: Path) -> None:
        packed = file.with_name("whole")
        with self.library.open(digest) as snapshot, packed.open("wb") as sink:
            stream.write(snapshot.records(), sink)
        whole = self.lies or packed.read_bytes()
        packed.unlink()
        have = file.stat().st_size if file.exists() else 0
        self.fetched.append(have)
        with file.open("ab") as sink:
            if self.breaks:
                self.breaks -= 1
                sink.write(whole[have : have + 50])
                raise NetworkError("central: broke off")
            sink.write(whole[have:])


@pytest.fixture
def central(tmp_path: Path) -> Central:
    return Central(tmp_path)


def test_matcher_takes_what_is_active_and_what_becomes_so(central: Central, tmp_path: Path) -> None:
    async def work() -> None:
        matching = Matching()
        follower = Follower(central, matching, tmp_path / "matcher")
        assert not await follower.catch_up()
        with pytest.raises(DefinitionsMissing, match="upload-db"):
            await matching.match(EMPTY)
        for version in (1, 2):
            entry = central.upload(version)
            assert await follower.catch_up()
            assert (await matching.match(EMPTY)).definitions.digest == entry.digest
            assert not await follower.catch_up()
        central.library.rollback()
        assert await follower.catch_up()
        assert len(central.fetched) == 2, "what is on the shelf is not fetched again"
        assert matching.info is not None
        assert matching.info.digest == central.library.info().entry.digest

    asyncio.run(work())


def test_fetch_goes_on_where_it_broke_off(central: Central, tmp_path: Path) -> None:
    async def work() -> None:
        follower = Follower(central, Matching(), tmp_path / "matcher")
        central.upload(1)
        central.breaks = 2
        for _ in range(2):
            with pytest.raises(NetworkError):
                await follower.catch_up()
        assert await follower.catch_up()
        assert central.fetched == [0, 50, 100]

    asyncio.run(work())


def test_stream_of_another_digest_is_refused_and_the_former_stays(central: Central, tmp_path: Path) -> None:
    async def work() -> None:
        matching = Matching()
        follower = Follower(central, matching, tmp_path / "matcher")
        first = central.upload(1)
        await follower.catch_up()
        central.upload(2)
        central.lies = b"not what was asked for"
        with pytest.raises(DefinitionsRefused):
            await follower.catch_up()
        assert (await matching.match(EMPTY)).definitions.digest == first.digest
        central.lies = b""
        assert await follower.catch_up()
        assert central.fetched == [0, 0, 0], "what was refused is not gone on with"

    asyncio.run(work())


def test_restart_while_central_is_away_matches_with_what_is_here(central: Central, tmp_path: Path) -> None:
    async def work() -> None:
        entry = central.upload(1)
        await Follower(central, Matching(), tmp_path / "matcher").catch_up()
        central.away = True
        matching = Matching()
        follower = Follower(central, matching, tmp_path / "matcher")
        await follower.start()
        try:
            assert (await matching.match(EMPTY)).definitions.digest == entry.digest
            while not follower.problem:
                await asyncio.sleep(0.01)
            assert follower.problem == "central: connection refused"
        finally:
            await follower.stop()

    asyncio.run(work())


def test_word_of_a_change_is_enough(central: Central, tmp_path: Path) -> None:
    async def work() -> None:
        matching = Matching()
        follower = Follower(central, matching, tmp_path / "matcher", interval=3600)
        first = central.upload(1)
        await follower.start()
        try:
            await _until(matching, first)
            second = central.upload(2)
            central.told.put_nowait(second.digest)
            await _until(matching, second)
        finally:
            await follower.stop()

    asyncio.run(asyncio.wait_for(work(), 60))


def test_shared_shelf_is_opened_and_not_changed(central: Central, tmp_path: Path) -> None:
    async def work() -> None:
        matching = Matching()
        follower = Follower(central, matching, central.site.folder / "central", shared=True)
        entry = central.upload(1)
        history = central.library.history()
        assert await follower.catch_up()
        assert (await matching.match(EMPTY)).definitions.digest == entry.digest
        assert central.fetched == []
        assert central.library.history() == history

    asyncio.run(work())


def test_definitions_stay_open_for_who_began_with_them(central: Central) -> None:
    matching = Matching()
    first, second = central.upload(1), central.upload(2)
    matching.switch(central.library.open(first.digest))
    with matching.definitions() as held:
        matching.switch(central.library.open(second.digest))
        assert held.affected("pypi", "shop")
    with matching.definitions() as held:
        assert held.info.digest == second.digest
    matching.close()
    with pytest.raises(DefinitionsMissing), matching.definitions():
        raise AssertionError


async def _until(matching: Matching, entry: Entry) -> None:
    while matching.info is None or matching.info.digest != entry.digest:
        await asyncio.sleep(0.01)
