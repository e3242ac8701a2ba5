"""Tasks that are told to end do, also those that lose the first word."""

from __future__ import annotations

import asyncio

from redoubt import tasks


def test_whoever_swallows_a_cancellation_is_told_again() -> None:
    async def work() -> None:
        told = 0

        async def stubborn() -> None:
            nonlocal told
            while told < 2:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    told += 1

        async def failing() -> None:
            raise ValueError

        several = [asyncio.create_task(stubborn()), asyncio.create_task(failing())]
        await asyncio.sleep(0)
        await tasks.end(*several)
        assert told == 2
        assert all(task.done() for task in several)
        await tasks.end()

    asyncio.run(asyncio.wait_for(work(), 20))
