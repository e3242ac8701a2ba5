"""Events whose container is not known yet wait a while for it: the kubelet tells of a container after it began. Pure.

The oldest goes first, by time or where there are too many. It must not know what the events are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Waiting(Generic[T]):
    """At most ``most`` events, each at most ``grace`` seconds. ``now`` are seconds of whatever clock."""

    def __init__(self, grace: float, most: int = 20_000) -> None:
        self._grace = grace
        self._most = most
        #: What is waited for, and since when: the longest ago first within each.
        self._events: dict[str, list[tuple[float, T]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, what: str) -> bool:
        return what in self._events

    def put(self, what: str, event: T, now: float) -> T | None:
        """Have it wait. Gives an older event that lost its room to this one."""
        lost = self._oldest() if self._count >= self._most else None
        self._events.setdefault(what, []).append((now, event))
        self._count += 1
        return lost

    def known(self, is_known: Callable[[T], bool]) -> Iterator[T]:
        """Those whose wait is over because what they waited for is there, in their order. The first of each is asked about."""
        for what in [each for each, events in self._events.items() if is_known(events[0][1])]:
            yield from self._all(what)

    def expired(self, now: float) -> Iterator[T]:
        """Those who waited in vain."""
        for what in list(self._events):
            events = self._events[what]
            late = 0
            while late < len(events) and now - events[late][0] >= self._grace:
                late += 1
            yield from (event for _, event in events[:late])
            self._count -= late
            if late == len(events):
                del self._events[what]
            elif late:
                del events[:late]

    def _all(self, what: str) -> Iterator[T]:
        events = self._events.pop(what)
        self._count -= len(events)
        return (event for _, event in events)

    def _oldest(self) -> T:
        what = next(iter(self._events))
        _, event = self._events[what].pop(0)
        self._count -= 1
        if not self._events[what]:
            del self._events[what]
        return event
