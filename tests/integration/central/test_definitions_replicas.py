"""Several replicas on one database: what one takes in all have, and whoever is killed leaves nothing half-made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from redoubt.central import serving
from redoubt.central.config import Settings
from redoubt.central.definitions.shelf import Definitions
from redoubt.central.refusals import Aborted
from redoubt.central.store import definitions_shared
from redoubt.definitions import snapshot
from redoubt.errors import Busy, DefinitionsRefused, UsageError
from redoubt.postgres import pool
from support import stackrox
from support.definitions_bundles import Site
from support.replicas import body, killed, replica, until

Migrated = Callable[[str], str]


@pytest.fixture
def url(migrated: Migrated) -> str:
    return migrated("redoubt.central.migrations")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


async def trusting(definitions: Definitions, site: Site) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await definitions.trust(site.root.read_bytes(), site.channel)
            except Busy:  # another one is putting its shelf into the database
                await asyncio.sleep(0.01)
            else:
                return


async def unless_done(happened: asyncio.Event, task: asyncio.Task[Any]) -> None:
    """Wait until it happened; raises what ``task`` failed with, should that be first."""
    waiting = asyncio.create_task(happened.wait())
    await asyncio.wait({waiting, task}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        raise AssertionError(f"waited in vain: {await task if task.done() else task}")


async def objects(url: str) -> tuple[int, int]:
    """Large objects in the database, and rows that name one."""
    connection = await asyncpg.connect(url)
    try:
        there = await connection.fetchval("SELECT count(*) FROM pg_largeobject_metadata")
        return int(there), int(await connection.fetchval("SELECT count(*) FROM definitions_files"))
    finally:
        await connection.close()


def on_shelf(definitions: Definitions) -> str:
    """The digest that is active on a replica's own shelf."""
    return definitions.library.state().active


def proven(data: Path, digest: str) -> bool:
    return (
        snapshot.verify(data / "definitions" / "snapshots" / digest.removeprefix("sha256:")).digest == digest
    )


def test_what_one_takes_in_the_other_serves_and_an_empty_disk_is_filled(
    url: str, site: Site, tmp_path: Path
) -> None:
    async def work() -> None:
        async with replica(url, tmp_path / "a") as a, replica(url, tmp_path / "b") as b:
            await trusting(a, site)
            waiting = asyncio.create_task(b.wait_for_change(""))
            done = await a.receive(body(site.bundle(1)))
            assert await asyncio.wait_for(waiting, 30) == done.digest
            # Told of before it is here, and served as soon as it is.
            assert (await b.stream_file(done.digest)).exists()
            await until(lambda: on_shelf(b) == done.digest, "the upload to be on the shelf of b")
            assert proven(tmp_path / "b", done.digest)
            files = await a.stream_file(done.digest), await b.stream_file(done.digest)
            assert files[0].read_bytes() == files[1].read_bytes()
            # A transfer that began at one is gone on with at the other.
            assert files[0].stat().st_mtime_ns == files[1].stat().st_mtime_ns
            assert b.trusted() == a.trusted()

            second = await b.receive(body(site.bundle(2)))
            assert (second.previous, second.version) == (done.digest, 2)
            await until(lambda: on_shelf(a) == second.digest, "the upload at b to be current at a")
            back = await a.rollback()
            assert back.digest == done.digest
            await until(lambda: on_shelf(b) == done.digest, "the rollback at a to count at b")
        async with replica(url, tmp_path / "c") as c:
            await until(lambda: len(c.library.list()) == 2, "an empty disk to be filled")
            assert on_shelf(c) == done.digest
            assert (await c.rollback(second.digest)).digest == second.digest
            # What was accepted on one replica is accepted on all.
            with pytest.raises(DefinitionsRefused, match="older"):
                await c.receive(body(site.bundle(1)))
            assert on_shelf(c) == second.digest
        assert await objects(url) == (2, 2)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("step", "becomes"),
    [
        ("half-received", 1),
        ("writing", 1),
        ("wrote-stream", 1),
        ("written", 1),
        ("before-commit", 1),
        ("committed", 2),
    ],
)
def test_whoever_is_killed_leaves_the_old_or_the_new_on_all(
    url: str, site: Site, tmp_path: Path, step: str, becomes: int
) -> None:
    async def work() -> None:
        async with replica(url, tmp_path / "b") as b:
            await trusting(b, site)
            first = await b.receive(body(site.bundle(1)))
            await asyncio.to_thread(killed, url, tmp_path / "a", site.bundle(2), step)
            if becomes == 2:
                await until(lambda: on_shelf(b) != first.digest, "what was committed to be current at b")
            assert b.library.info().entry.manifest.version == becomes
            there, named = await objects(url)
            assert there == named == becomes
            async with asyncio.timeout(30):  # until PostgreSQL has noticed
                while await b.uploading():
                    await asyncio.sleep(0.01)
            # Nobody waits for the dead, and the one who was killed comes back to what all have.
            async with replica(url, tmp_path / "a") as a:
                await until(lambda: on_shelf(a) == on_shelf(b), "the one who was killed to catch up")
                place = tmp_path / "a" / "definitions" / "snapshots"
                await until(lambda: len([*place.iterdir()]) == becomes, "what was half-made to be swept")
                done = await a.receive(body(site.bundle(3)))
                await until(lambda: on_shelf(b) == done.digest, "the next upload at b")

    asyncio.run(work())


def test_one_upload_at_a_time_over_all_replicas(url: str, site: Site, tmp_path: Path) -> None:
    async def work() -> None:
        async with replica(url, tmp_path / "a") as a, replica(url, tmp_path / "b") as b:
            await trusting(a, site)
            begun, go = asyncio.Event(), asyncio.Event()

            async def slow() -> AsyncIterator[bytes]:
                whole = site.bundle(1).read_bytes()
                yield whole[:100]
                begun.set()
                await go.wait()
                yield whole[100:]

            first = asyncio.create_task(a.receive(slow()))
            await unless_done(begun, first)
            assert await b.uploading()
            with pytest.raises(Busy, match="wait until it is done"):
                await b.receive(body(site.bundle(2)))
            with pytest.raises(Busy):
                await b.rollback()
            go.set()
            done = await first
            assert not await b.uploading()
            await until(lambda: on_shelf(b) == done.digest, "the first upload at b")
            assert (await b.receive(body(site.bundle(2)))).version == 2

            over = asyncio.Event()

            async def held(path: Path) -> AsyncIterator[bytes]:
                yield path.read_bytes()[:100]
                await over.wait()
                yield path.read_bytes()[100:]

            both = [
                asyncio.create_task(each.receive(held(site.bundle(at)))) for at, each in enumerate((a, b), 3)
            ]
            # The one under way waits for the other one to be refused.
            await asyncio.wait(both, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            over.set()
            results = await asyncio.gather(*both, return_exceptions=True)
            assert [type(each) for each in results].count(Busy) == 1, results

    asyncio.run(work())


def test_who_finds_that_it_is_not_the_first_holds_up_no_upload(
    url: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with replica(url, tmp_path / "a") as a, replica(url, tmp_path / "b") as b:
            await trusting(a, site)
            shared = b.shared
            assert shared is not None
            await until(lambda: bool(shared.said), "b to have caught up")
            looking, go = asyncio.Event(), asyncio.Event()
            catch_up, generation = shared.catch_up, shared.store.generation

            async def too_early() -> bool:
                monkeypatch.setattr(shared, "catch_up", catch_up)
                return False

            async def slowly() -> int:
                looking.set()
                await go.wait()
                return await generation()

            monkeypatch.setattr(shared, "catch_up", too_early)
            monkeypatch.setattr(shared.store, "generation", slowly)
            trust = asyncio.create_task(b.trust(site.root.read_bytes(), site.channel))
            await unless_done(looking, trust)
            done = await a.receive(body(site.bundle(1)))
            go.set()
            await trust
            await until(lambda: on_shelf(b) == done.digest, "the upload at b")

    asyncio.run(work())


def test_who_hears_of_nothing_finds_out_by_looking(url: str, site: Site, tmp_path: Path) -> None:
    async def work() -> None:
        async with replica(url, tmp_path / "a") as a, replica(url, tmp_path / "b", deaf=True) as b:
            await trusting(a, site)
            done = await a.receive(body(site.bundle(1)))
            await until(lambda: on_shelf(b) == done.digest, "b to look")

    asyncio.run(work())


def test_whose_session_was_cut_changes_nothing(url: str, site: Site, tmp_path: Path) -> None:
    async def work() -> None:
        async with replica(url, tmp_path / "a") as a, replica(url, tmp_path / "b") as b:
            await trusting(a, site)
            begun, go = asyncio.Event(), asyncio.Event()

            async def slow() -> AsyncIterator[bytes]:
                whole = site.bundle(3).read_bytes()
                yield whole[:100]
                begun.set()
                await go.wait()
                yield whole[100:]

            cut = asyncio.create_task(a.receive(slow()))
            await unless_done(begun, cut)
            connection = await asyncpg.connect(url)
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1",
                definitions_shared.LOCK,
            )
            await connection.close()
            async with asyncio.timeout(30):
                while await b.uploading():
                    await asyncio.sleep(0.01)
            second = await b.receive(body(site.bundle(2)))
            go.set()
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
                await cut
            await until(lambda: on_shelf(a) == second.digest, "a to have what b took in")
            assert await objects(url) == (1, 1)
            assert (await a.receive(body(site.bundle(4)))).previous == second.digest

    asyncio.run(work())


def test_trust_counts_on_all_and_a_change_of_it_stops_an_upload(url: str, site: Site, tmp_path: Path) -> None:
    async def work() -> None:
        async with replica(url, tmp_path / "a") as a, replica(url, tmp_path / "b") as b:
            await trusting(a, site)
            assert (await b.receive(body(site.bundle(1)))).version == 1
            with pytest.raises(UsageError):
                await a.distrust("nobody")
            await b.distrust(site.channel)
            # At once: who verifies looks at the database first.
            with pytest.raises(DefinitionsRefused):
                await a.receive(body(site.bundle(2)))
            assert a.trusted() == b.trusted()
            await a.trust(site.root.read_bytes(), site.channel)

            shared = a.shared
            assert shared is not None
            change = shared.store.change

            async def late(*words: Any, **named: Any) -> None:
                await b.distrust(site.channel)
                await change(*words, **named)

            shared.store.change = late
            with pytest.raises(Aborted, match="trusted roots"):
                await a.receive(body(site.bundle(2)))
            await until(lambda: len(a.library.list()) == 1, "what was not decided to go")
            assert (await objects(url)) == (1, 1)
            assert a.library.info().entry.manifest.version == 1

    asyncio.run(work())


def test_stackrox_bundle_lies_with_all_replicas(url: str, tmp_path: Path) -> None:
    bundle = stackrox.write(tmp_path, None, "one.zip", created="2026-03-01T00:00:00Z")

    async def work() -> None:
        async with replica(url, tmp_path / "a") as a, replica(url, tmp_path / "b") as b:
            await until(lambda: a.shared and a.shared.said, "the first look at the database")
            await a.allow_unsigned("stackrox")
            done = await b.receive(body(bundle))
            await until(lambda: on_shelf(a) == done.digest, "the upload at a")
            kept = [each.upstream_bundle() for each in (a, b)]
            assert [each and each.read_bytes() for each in kept] == [bundle.read_bytes()] * 2
            assert await objects(url) == (2, 2)

    asyncio.run(work())


def test_first_one_brings_its_shelf_and_the_starter_where_that_is_empty(
    url: str, migrated: Migrated, site: Site, tmp_path: Path
) -> None:
    other = migrated("redoubt.central.migrations")

    async def work() -> None:
        async with (
            replica(url, tmp_path / "a", starter=True) as a,
            replica(url, tmp_path / "b", starter=True) as b,
        ):
            await until(lambda: on_shelf(a) and on_shelf(a) == on_shelf(b), "the starter on both")
        alone = Definitions(tmp_path / "c", starter=False)
        await alone.start()
        await alone.trust(site.root.read_bytes(), site.channel)
        done = await alone.receive(body(site.bundle(1)))
        async with replica(other, tmp_path / "c") as c:
            await until(lambda: c.shared and c.shared._seen, "its shelf to be in the database")
            async with replica(other, tmp_path / "d") as d:
                await until(lambda: on_shelf(d) == done.digest, "the shelf of the first one at the second")
                assert d.trusted() == c.trusted()

    asyncio.run(work())


def test_contents_that_were_changed_in_the_database_are_not_served(
    url: str, site: Site, tmp_path: Path
) -> None:
    async def work() -> None:
        async with replica(url, tmp_path / "a") as a:
            await trusting(a, site)
            await a.receive(body(site.bundle(1)))
        connection = await asyncpg.connect(url)
        await connection.execute("SELECT lo_put(content, 40, 'spoilt') FROM definitions_files")
        await connection.close()
        async with replica(url, tmp_path / "b") as b:
            await until(lambda: b.shared and b.shared.problem, "the damage to be seen")
            assert b.shared is not None
            assert "damaged" in b.shared.problem
            assert not on_shelf(b)
        # Only now: it tries again every moment, and what is being read lies there as a draft.
        assert not [*(tmp_path / "b" / "streams").iterdir()]

    asyncio.run(work())


def test_a_second_central_with_a_disk_of_its_own_is_warned_of(url: str) -> None:
    async def work() -> None:
        first = await pool.connect(url, application="redoubt-central")
        try:
            assert await serving._alone(first, Settings()) == []
            second = await pool.connect(url, application="redoubt-central")
            try:
                (warning,) = await serving._alone(second, Settings())
                assert "definitions_store" in warning
                assert await serving._alone(second, Settings(definitions_store="database")) == []
            finally:
                await pool.close(second)
        finally:
            await pool.close(first)

    asyncio.run(work())
