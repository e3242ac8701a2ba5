"""Background work that one replica does: one at a time, and another one where that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from redoubt.central.leading import Led
from redoubt.postgres import pool
from support.replicas import until

_NUMBER = 4711


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


def _run(work: Callable[[], object]) -> None:
    asyncio.run(asyncio.wait_for(work(), 60))  # type: ignore[arg-type]
