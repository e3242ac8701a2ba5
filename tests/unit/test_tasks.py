"""Tasks that are told to end do, also those that lose the first word."""

from __future__ import annotations

import asyncio

import pytest

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


def test_of_several_works_the_first_that_ends_ends_all_and_its_failure_is_raised() -> None:
    ended: list[str] = []

    async def waits(name: str) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(name)

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("it")

    async def ends() -> None:
        await asyncio.sleep(0)

    async def work() -> None:
        with pytest.raises(ValueError, match="it"):
            await tasks.until_one_ends(first=waits("a"), other=fails(), third=waits("b"))
        assert sorted(ended) == ["a", "b"]
        await tasks.until_one_ends(first=waits("c"), other=ends())
        assert ended[-1] == "c"

    asyncio.run(work())


def test_what_is_done_over_and_over_goes_on_after_a_failure_and_when_it_is_due() -> None:
    async def work() -> None:
        looks: list[object] = [True, False, ValueError("no"), False]
        reasons: list[str] = []
        due, looked = asyncio.Event(), asyncio.Event()

        async def look() -> object:
            given = looks.pop(0)
            if not looks:
                looked.set()
            if isinstance(given, Exception):
                raise given
            return given

        background = tasks.Background()
        background.begin(
            tasks.over_and_over(look, lambda reason: reasons.append(reason), every=3600, due=due), "looks"
        )
        async with asyncio.timeout(10):
            while len(looks) > 2:
                await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert len(looks) == 2, "true: again at once; false: after the pause"
        due.set()
        async with asyncio.timeout(10):
            while not reasons:
                await asyncio.sleep(0)
        assert reasons == ["ValueError"]
        due.set()
        await looked.wait()
        await background.end()
        await background.end()

    asyncio.run(asyncio.wait_for(work(), 20))


def test_work_that_is_to_end_ends_however_often_its_caller_is_cancelled() -> None:
    async def work() -> None:
        ended: list[str] = []
        began = asyncio.Event()

        async def slow() -> None:
            began.set()
            await asyncio.sleep(0.05)
            ended.append("slow")

        caller = asyncio.create_task(tasks.to_the_end(slow()))
        await began.wait()
        for _ in range(3):
            caller.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert ended == ["slow"]

        async def fails() -> None:
            raise ValueError("of its own")

        with pytest.raises(ValueError, match="of its own"):
            await tasks.to_the_end(fails())

    asyncio.run(work())
