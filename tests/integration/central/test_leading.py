"""Background work that one replica does: one at a time, and another one where that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from redoubt.central.definitions.online import Online
from redoubt.central.definitions.work import Became
from redoubt.central.leading import Led
from redoubt.central.store import Pool
from redoubt.central.store.integrations import WatchedStore
from redoubt.central.store.tokens import TokenStore
from redoubt.egress import Policy
from redoubt.postgres import pool
from support.definitions_bundles import Site
from support.replicas import replica, until
from support.web import Answer, Web

_NUMBER = 4711
#: How long nobody looked at a watched image, and how long one that somebody took is his.
WAITS = timedelta(hours=4), timedelta(hours=1)


class Work:
    """Tells whether it runs; more than one at a time is a fault."""

    running = 0
    most = 0

    async def start(self) -> None:
        Work.running += 1
        Work.most = max(Work.most, Work.running)

    async def stop(self) -> None:
        await asyncio.sleep(0.02)  # what is led may take a while to end
        Work.running -= 1


@pytest.mark.parametrize("how", ["stopped", "cut"])
def test_one_leads_and_another_takes_over(database: str, how: str) -> None:
    Work.running = Work.most = 0

    async def work() -> None:
        pools = [await pool.connect(database, maximum=3) for _ in range(3)]
        led = [Led(each, _NUMBER, Work(), every=0.05) for each in pools]
        try:
            for each in led:
                await each.start()
            for _ in range(3):
                await until(lambda: sum(each.leads for each in led) == 1, "one that leads")
                first = next(each for each in led if each.leads)
                if how == "stopped":
                    await first.stop()
                    assert not first.leads
                    await until(lambda: sum(each.leads for each in led) == 1, "another one that leads")
                    await first.start()
                else:
                    await pools[0].execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1",
                        _NUMBER,
                    )
                    await until(lambda first=first: not first.leads, "who was cut off to lead no more")
            await until(lambda: Work.running == 1, "one that works")
        finally:
            for each in led:
                await each.stop()
            for connections in pools:
                await pool.close(connections)
        assert Work.running == 0
        assert Work.most == 1 or how == "cut"

    _run(work)


def test_definitions_are_renewed_by_one_for_all(migrated: Callable[[str], str], tmp_path: Path) -> None:
    url = migrated("redoubt.central.migrations")
    site = Site(tmp_path / "site")
    bundle = site.bundle(1).read_bytes()

    async def note(done: Became, action: str) -> None:
        noted.append(done.digest)

    noted: list[str] = []

    async def work() -> None:
        pools = [await pool.connect(url, maximum=3) for _ in range(2)]
        try:
            async with replica(url, tmp_path / "a") as a, replica(url, tmp_path / "b") as b:
                await until(lambda: all(each.shared and each.shared.said for each in (a, b)), "both to begin")
                await a.trust(site.root.read_bytes(), site.channel)
                led = [
                    Led(
                        connections,
                        _NUMBER,
                        Online(each, tmp_path / f"online-{number}", Policy(), note, url=f"{web.url}/b.zip"),
                        every=0.05,
                    )
                    for number, (connections, each) in enumerate(zip(pools, (a, b), strict=True))
                ]
                try:
                    for one in led:
                        await one.start()
                    await until(lambda: noted, "definitions to be renewed")
                    assert len(web.asked) == 1
                    await until(
                        lambda: {each.library.state().active for each in (a, b)} == set(noted),
                        "both to have them",
                    )
                    # Another one goes on where that one ends, and finds nothing new.
                    first = next(one for one in led if one.leads)
                    await first.stop()
                    await until(lambda: len(web.asked) == 2, "another one to ask")
                finally:
                    for one in led:
                        await one.stop()
                assert len(noted) == 1
        finally:
            for connections in pools:
                await pool.close(connections)

    with Web(lambda _: Answer(body=bundle)) as web:
        _run(work)


def test_what_all_do_is_done_once(migrated: Callable[[str], str]) -> None:
    """Watched images are taken, and tokens that end soon are told of, by one each."""
    url = migrated("redoubt.central.migrations")
    names = {f"registry.example/{number}:1" for number in range(60)}

    async def work() -> None:
        pools = [await pool.connect(url, maximum=2) for _ in range(4)]
        try:
            for name in names:
                await WatchedStore(pools[0]).add(name)
            await pools[0].execute("UPDATE watched_images SET looked = now() - interval '1 day'")
            await pools[0].execute(
                "INSERT INTO api_tokens (id, name, roles, issued_by, issued_at, expiration, key)"
                " SELECT gen_random_uuid(), n, '{}', '', now() - interval '90 days', now() + interval '1 day', ''"
                " FROM unnest($1::text[]) n",
                list(names),
            )

            async def take(connections: Pool) -> list[str]:
                taken: list[str] = []
                while found := await WatchedStore(connections).take(*WAITS, 8):
                    taken += found
                return taken

            taken = [name for found in await asyncio.gather(*map(take, pools)) for name in found]
            assert sorted(taken) == sorted(names)
            # Whoever was killed at it is followed by another; what was looked at is left alone.
            watched = WatchedStore(pools[0])
            await watched.told("registry.example/1:1", "")
            await pools[0].execute("UPDATE watched_images SET taken = taken - interval '2 hours'")
            assert set(await watched.take(*WAITS, 100)) == names - {"registry.example/1:1"}
            told = await asyncio.gather(*(TokenStore(connections).ending() for connections in pools))
            assert sorted(token.name for found in told for token in found) == sorted(names)
        finally:
            for connections in pools:
                await pool.close(connections)

    _run(work)


def _run(work: Callable[[], object]) -> None:
    asyncio.run(asyncio.wait_for(work(), 240))  # type: ignore[arg-type]
