"""Uploads of definitions: whole or not at all, one at a time, and whoever waits is told."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from redoubt.central.definitions.shelf import Definitions
from redoubt.definitions.trust import TrustStore
from redoubt.errors import AccessDenied, Busy, DefinitionsRefused, LimitExceeded, UsageError
from support import stackrox
from support.definitions_bundles import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


@pytest.fixture
def data(tmp_path: Path, site: Site) -> Path:
    TrustStore(tmp_path / "data" / "trust").add(site.root, site.channel)
    return tmp_path / "data"


async def body(data: bytes, pieces: int = 7) -> AsyncIterator[bytes]:
    size = len(data) // pieces + 1
    for start in range(0, len(data), size):
        await asyncio.sleep(0)
        yield data[start : start + size]


def nothing_is_left(data: Path) -> bool:
    return not any((data / "uploads").iterdir())


def test_bundle_becomes_active_and_the_answer_says_what(data: Path, site: Site) -> None:
    async def work() -> None:
        definitions = Definitions(data, starter=False)
        await definitions.start()
        waiting = asyncio.create_task(definitions.wait_for_change(""))
        done = await definitions.receive(body(site.bundle(1).read_bytes()))
        assert (done.channel, done.version, done.previous) == ("site", 1, "")
        assert [source.name for source in done.sources] == ["debian"]
        assert await waiting == done.digest == definitions.library.info().entry.digest
        again = await definitions.receive(body(site.bundle(1).read_bytes()))
        assert again.already_active
        assert nothing_is_left(data)

    asyncio.run(work())


def test_first_start_loads_the_starter_and_a_later_one_leaves_what_is_active(data: Path, site: Site) -> None:
    async def work() -> None:
        definitions = Definitions(data)
        await definitions.start()
        active = definitions.active()
        assert active is not None
        assert active.manifest.channel == "starter"
        done = await definitions.receive(body(site.bundle(1).read_bytes()))
        again = Definitions(data)
        await again.start()
        assert again.library.info().entry.digest == done.digest

    asyncio.run(work())


def test_second_upload_is_refused_while_one_is_under_way(data: Path, site: Site) -> None:
    async def work() -> None:
        definitions = Definitions(data, starter=False)
        await definitions.start()
        go = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            whole = site.bundle(1).read_bytes()
            yield whole[:100]
            await go.wait()
            yield whole[100:]

        first = asyncio.create_task(definitions.receive(slow()))
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="wait until it is done"):
            await definitions.receive(body(site.bundle(2).read_bytes()))
        with pytest.raises(Busy):
            await definitions.rollback()
        go.set()
        assert (await first).version == 1
        assert (await definitions.receive(body(site.bundle(2).read_bytes()))).version == 2

    asyncio.run(work())


def test_client_that_goes_away_leaves_nothing_and_blocks_nobody(data: Path, site: Site) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield site.bundle(1).read_bytes()[:500]
        raise ConnectionResetError("client went away")

    async def work() -> None:
        definitions = Definitions(data, starter=False)
        await definitions.start()
        with pytest.raises((ConnectionResetError, AccessDenied)):
            await definitions.receive(broken())
        assert nothing_is_left(data)
        assert (await definitions.receive(body(site.bundle(1).read_bytes()))).version == 1

    asyncio.run(work())


def test_who_is_cancelled_leaves_nothing(data: Path, site: Site) -> None:
    async def work() -> None:
        definitions = Definitions(data, starter=False)
        await definitions.start()

        async def endless() -> AsyncIterator[bytes]:
            yield b"PK"
            await asyncio.sleep(60)

        task = asyncio.create_task(definitions.receive(endless()))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert nothing_is_left(data)
        assert (await definitions.receive(body(site.bundle(1).read_bytes()))).version == 1

    asyncio.run(work())


@pytest.mark.parametrize(
    ("upload", "kind", "words"),
    [
        (b"", UsageError, "empty"),
        (b"not a zip at all", DefinitionsRefused, "the bundle"),
    ],
    ids=["empty", "no zip"],
)
def test_what_is_no_bundle_is_refused_in_words_for_the_client(
    data: Path, site: Site, upload: bytes, kind: type[Exception], words: str
) -> None:
    async def work() -> None:
        definitions = Definitions(data, starter=False)
        await definitions.start()
        before = await definitions.receive(body(site.bundle(1).read_bytes()))
        with pytest.raises(kind, match=words) as refusal:
            await definitions.receive(body(upload))
        assert str(data) not in str(refusal.value)
        assert definitions.library.info().entry.digest == before.digest
        assert nothing_is_left(data)

    asyncio.run(work())


def test_what_begins_as_no_zip_is_not_read_to_its_end(data: Path) -> None:
    read = 0

    async def zeros() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield bytes(1 << 16)

    async def work() -> None:
        definitions = Definitions(data, starter=False)
        await definitions.start()
        with pytest.raises(DefinitionsRefused, match="not a zip file"):
            await definitions.receive(zeros())
        assert nothing_is_left(data)

    asyncio.run(work())
    assert read == 1


def test_older_bundle_is_refused_unless_asked_for(data: Path, site: Site) -> None:
    async def work() -> None:
        definitions = Definitions(data, starter=False)
        await definitions.start()
        await definitions.receive(body(site.bundle(2).read_bytes()))
        with pytest.raises(DefinitionsRefused, match="--allow-older"):
            await definitions.receive(body(site.bundle(1).read_bytes()))
        done = await definitions.receive(body(site.bundle(1).read_bytes()), allow_older=True)
        assert (done.version, done.older) == (1, True)

    asyncio.run(work())


def test_too_large_is_refused_before_and_while_it_arrives(data: Path, site: Site) -> None:
    async def work() -> None:
        definitions = Definitions(data, largest=1000, starter=False)
        await definitions.start()
        with pytest.raises(LimitExceeded):
            await definitions.receive(body(b"x"), length=1001)
        with pytest.raises(LimitExceeded):
            await definitions.receive(body(b"PK" * 501))
        assert nothing_is_left(data)

    asyncio.run(work())


def test_full_disk_is_told_and_nothing_remains(data: Path, site: Site) -> None:
    async def work() -> None:
        definitions = Definitions(data, starter=False)
        await definitions.start()
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            with pytest.raises(AccessDenied, match="check space"):
                await definitions.receive(body(b"PK" + os.urandom(1 << 21)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert nothing_is_left(data)
        assert (await definitions.receive(body(site.bundle(1).read_bytes()))).version == 1

    asyncio.run(work())


def test_what_a_killed_process_left_is_swept(data: Path, site: Site) -> None:
    async def work() -> None:
        for place in ("uploads/half.zip", "streams/.draft", "streams/abc.kv.zst", "upstream/abc/bundle.zip"):
            (data / place).parent.mkdir(parents=True, exist_ok=True)
            (data / place).write_bytes(b"left")
        definitions = Definitions(data, starter=False)
        await definitions.start()
        assert [path for path in data.rglob("*") if path.is_file() and path.read_bytes() == b"left"] == []

    asyncio.run(work())


def test_stackrox_bundle_needs_leave_and_is_kept_for_its_own_matchers(data: Path, tmp_path: Path) -> None:
    bundle = stackrox.write(tmp_path, None, "one.zip", created="2026-03-01T00:00:00Z").read_bytes()

    async def work() -> None:
        definitions = Definitions(data, starter=False)
        await definitions.start()
        with pytest.raises(DefinitionsRefused, match="`roxctl definitions trust allow-unsigned stackrox`"):
            await definitions.receive(body(bundle))
        assert definitions.upstream_bundle() is None
        assert await definitions.allow_unsigned("stackrox")
        done = await definitions.receive(body(bundle))
        assert (done.unsigned, done.stackrox) == (True, True)
        kept = definitions.upstream_bundle()
        assert kept is not None
        assert kept.read_bytes() == bundle

    asyncio.run(work())


def test_rollback_goes_back_and_forth_and_is_told(data: Path, site: Site) -> None:
    async def work() -> None:
        definitions = Definitions(data, starter=False)
        await definitions.start()
        first = await definitions.receive(body(site.bundle(1).read_bytes()))
        second = await definitions.receive(body(site.bundle(2).read_bytes()))
        waiting = asyncio.create_task(definitions.wait_for_change(second.digest))
        back = await definitions.rollback()
        assert (back.digest, back.previous) == (first.digest, second.digest)
        assert await waiting == first.digest
        assert [event.action for event in definitions.library.history()] == ["import", "import", "rollback"]

    asyncio.run(work())


def test_difference_is_counted(data: Path, site: Site) -> None:
    async def work() -> None:
        definitions = Definitions(data, starter=False)
        await definitions.start()
        first = await definitions.receive(body(site.bundle(1).read_bytes()))
        second = await definitions.receive(body(site.bundle(2).read_bytes()))
        differs = await definitions.differ(first.digest, second.digest)
        assert (differs.advisories.changed, differs.packages, differs.scores.changed) == (1, 1, 0)
        assert [(group.source, group.changed) for group in differs.groups] == [("debian", 1)]

    asyncio.run(work())


def test_only_what_is_on_the_shelf_is_compared_and_no_file(data: Path, site: Site) -> None:
    async def work() -> None:
        definitions = Definitions(data, starter=False)
        await definitions.start()
        digest = (await definitions.receive(body(site.bundle(1).read_bytes()))).digest
        for other in (str(site.bundle(2)), "/etc/passwd", "\0", "..", "/", "x" * 5000):
            for old, new in (other, digest), (digest, other):
                with pytest.raises(UsageError, match="not a digest"):
                    await definitions.differ(old, new)

    asyncio.run(work())


def test_bundles_own_stream_is_what_matchers_get(data: Path, site: Site) -> None:
    async def work() -> None:
        definitions = Definitions(data, starter=False)
        await definitions.start()
        bundle = site.bundle(1)
        done = await definitions.receive(body(bundle.read_bytes()))
        (left,) = (data / "streams").iterdir()
        assert left == await definitions.stream_file(done.digest)
        assert left.read_bytes() == bundle.with_name(f"{bundle.name}.zst").read_bytes()

    asyncio.run(work())


def test_stream_is_made_once_and_goes_with_its_snapshot(data: Path, site: Site) -> None:
    from redoubt.definitions.stream import StreamReader

    async def work() -> None:
        definitions = Definitions(data, starter=False)
        await definitions.start()
        done = await definitions.receive(body(site.bundle(1).read_bytes()))
        one, two = await asyncio.gather(
            definitions.stream_file(done.digest), definitions.stream_file(done.digest[:20])
        )
        assert one == two
        with one.open("rb") as file:
            reader = StreamReader(file)
            for _ in reader:
                pass
            assert reader.digest == done.digest
        for version in range(2, 6):
            await definitions.receive(body(site.bundle(version).read_bytes()))
        assert not one.exists()

    asyncio.run(work())
