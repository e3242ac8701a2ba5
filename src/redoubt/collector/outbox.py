"""What waits for the Sensor: events in numbered batches, kept until it has them, and no more than there is room for.

Events come from the collector's thread; batches are taken by whoever talks to the Sensor. No I/O.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import msgspec

from redoubt.model.noderecords import Event, Loss

#: Events in a batch, at most.
BATCH = 512
#: Bytes that events weigh in a batch at most, before they are packed.
_HEAVY = 512 << 10
#: What an event weighs beside its texts.
_LIGHT = 200


class Batch(msgspec.Struct, frozen=True):
    """``data``: MessagePack of a list of events. How many there are in it, by kind, and how many it says were lost."""

    number: int
    data: bytes
    counts: dict[str, int]
    lost: dict[str, int]


class Outbox:
    """At most ``limit`` bytes. Where there is no room, the oldest go that were not sent yet; the next batch tells how many.

    What was sent and is not acknowledged may well be there: it would be counted as lost, and is not.
    """

    def __init__(self, limit: int, ready: Callable[[], None] = lambda: None) -> None:
        """``ready`` is called, in whatever thread, when a batch is there."""
        self._limit = limit
        self._ready = ready
        self._lock = threading.Lock()
        self._pending: list[Event] = []
        self._weight = 0
        self._batches: deque[Batch] = deque()
        self._bytes = 0
        self._number = 0
        #: The last batch that was asked for.
        self._sent = 0
        self._untold: dict[str, int] = {}
        #: Events that were dropped since the start, by kind.
        self.dropped: dict[str, int] = {}
        self._encode = msgspec.msgpack.Encoder().encode

    def put(self, event: Event) -> None:
        """One more event."""
        with self._lock:
            self._pending.append(event)
            self._weight += _weight(event)
            full = len(self._pending) >= BATCH or self._weight >= _HEAVY
            if full:
                self._seal()
        if full:
            self._ready()

    def seal(self) -> None:
        """Make a batch of what there is, however few: now and then, so that nothing waits for long."""
        with self._lock:
            if not self._pending and not self._untold:
                return
            self._seal()
        self._ready()

    def after(self, number: int) -> Batch | None:
        """The oldest batch that is kept and has a higher number; it counts as sent from now on."""
        with self._lock:
            if not self._batches or self._batches[-1].number <= number:
                return None
            found = next(each for each in self._batches if each.number > number)
            self._sent = max(self._sent, found.number)
            return found

    def acknowledge(self, number: int) -> None:
        """The Sensor has all batches up to this one."""
        with self._lock:
            while self._batches and self._batches[0].number <= number:
                self._bytes -= len(self._batches.popleft().data)

    @property
    def bytes(self) -> int:
        """What is kept."""
        return self._bytes

    def _seal(self) -> None:
        events, self._pending, self._weight = self._pending, [], 0
        if self._untold:
            events.insert(0, Loss(time=time.time_ns(), lost=self._untold, cpus=[]))
            self._untold = {}
        counts: dict[str, int] = {}
        lost: dict[str, int] = {}
        for event in events:
            if isinstance(event, Loss):
                _add(lost, event.lost)
            else:
                _add(counts, {_kind(event): 1})
        self._number += 1
        batch = Batch(self._number, self._encode(events), counts, lost)
        self._batches.append(batch)
        self._bytes += len(batch.data)
        while self._bytes > self._limit and len(self._batches) > 1:
            # All but the last, which is this one; where all were sent and none is acknowledged, the oldest.
            waiting = (at for at, each in enumerate(self._batches) if each.number > self._sent)
            at = next(waiting, len(self._batches))
            self._drop(at if at < len(self._batches) - 1 else 0)

    def _drop(self, at: int) -> None:
        batch = self._batches[at]
        del self._batches[at]
        self._bytes -= len(batch.data)
        _add(self._untold, batch.counts)
        _add(self._untold, batch.lost)
        _add(self.dropped, batch.counts)


def _add(to: dict[str, int], counts: dict[str, int]) -> None:
    for kind, count in counts.items():
        to[kind] = to.get(kind, 0) + count


def _kind(event: Event) -> str:
    return str(event.__struct_config__.tag)


def _weight(event: Event) -> int:
    """About how many bytes it is: only programs have long texts."""
    arguments = getattr(event, "arguments", ())
    return _LIGHT + sum(map(len, arguments)) + 16 * len(arguments)
