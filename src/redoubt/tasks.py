"""Background tasks that end when they are told to, and work that ends before they do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

#: Seconds until a task that goes on is told again.
_AGAIN = 0.5


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel ``tasks`` and wait until they ended; what they fail with is dropped.

    A cancellation that comes while something awaited has just finished can be lost (``asyncio.wait_for`` before
    Python 3.12, and libraries that shield): whoever goes on is told again.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN)
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            task.result()


class Background:
    """The one task that something has beside others, from ``begin`` to ``end``."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do it from now on."""
        self._task = asyncio.create_task(work, name=name)

    async def end(self) -> None:
        """End it, as ``end`` does; nothing where it was not begun."""
        if self._task is not None:
            await end(self._task)
            self._task = None


async def over_and_over(
    look: Callable[[], Awaitable[object]],
    failed: Callable[..., object],
    *,
    every: float,
    spread: float = 0.0,
    due: asyncio.Event | None = None,
) -> NoReturn:
    """Call ``look`` for ever: again at once while it gives something true, else after ``every`` seconds, or when ``due`` is set.

    ``spread`` is the part of the pause that is left to chance, so that replicas that began together do not go on so. Where
    ``look`` fails, ``failed`` is called with the ``reason``, the error's type, and it is tried again after the pause.
    """
    due = due or asyncio.Event()
    while True:
        due.clear()
        try:
            while await look():
                pass
        except Exception as error:  # noqa: BLE001 (it is tried again)
            failed(reason=type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(due.wait(), every * random.uniform(1 - spread, 1))  # noqa: S311


async def until_one_ends(**works: Coroutine[Any, Any, None]) -> None:
    """Do all of them, as tasks of these names, until the first ends: the others are ended as well.

    Raises what the first one failed with.
    """
    tasks = [asyncio.create_task(work, name=name.replace("_", "-")) for name, work in works.items()]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end(*tasks)


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives. Who is cancelled meanwhile waits for its end first, however often that is said."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # seen
        raise cancelled
    return task.result()
