"""Alerts and figures on their way to the Sensor: kept while it is away, within bounds; what does not fit is counted.

What is refused again and again (a controller that tries) is one alert until it is sent: the newest, of the first one's
time. What was sent once is sent again just as it was until there is an answer: it may be there already, and then what is
told by the same name counts no more. It must not know how the Sensor is reached.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import msgspec
import structlog

from redoubt import tasks
from redoubt.admission.figures import Figures
from redoubt.admission.keeping import Kept
from redoubt.errors import RedoubtError
from redoubt.model.cluster import AdmissionFigures
from redoubt.policies.alerts import Alert

#: Alerts that are kept, their bytes, and how many are sent at once, with how many bytes: a message may have 4 MB.
MOST, MEMORY, AT_ONCE, LARGEST = 2000, 32 << 20, 100, 3_000_000
#: Seconds: between two words, and after one that did not arrive.
INTERVAL, _FIRST, _LONGEST = 1.0, 0.5, 30.0
#: Seconds after which figures alone are worth a word.
FIGURES = 30.0

_log = structlog.get_logger("admission")
_alerts = msgspec.json.Decoder(Alert, strict=False)
_Key = tuple[str, str, str, str, str]


class Line(Protocol):
    """The Sensor, as far as reports go."""

    async def report(self, alerts: bytes, figures: bytes) -> None:
        """JSON of each. Raises ``RedoubtError`` where the Sensor does not have it."""


class Outbox:
    """``tell`` it; ``start``, then ``stop``. What waits is in ``kept``, too."""

    def __init__(
        self, line: Line, figures: Figures, kept: Kept | None = None, *, interval: float = INTERVAL
    ) -> None:
        self._line, self._figures, self._interval = line, figures, interval
        self._kept = kept or Kept(None)
        self._waiting: OrderedDict[_Key, bytes] = OrderedDict()
        self._first: dict[_Key, Alert] = {}
        #: With their ids: of before, and what is on its way. Nothing is added to these: the Sensor may have them.
        self._before: list[tuple[str, bytes]] = []
        self._sending: list[tuple[str, bytes]] = []
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._now = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Alerts that the Sensor does not have, as far as is known."""
        return len(self._waiting) + len(self._sending) + len(self._before)

    async def load(self) -> None:
        """What waited when this service ended, however it did; before ``start``."""
        found: list[tuple[Alert, bytes]] = []
        for packed in await asyncio.to_thread(self._kept.load):
            try:
                found.append((_alerts.decode(packed), packed))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                _log.error("an alert on the disk cannot be read", reason=str(error)[:200])
                self._figures.dropped += 1
        for alert, packed in sorted(found, key=lambda each: each[0].time):
            self._kept.put(alert.id, packed)
            self._before.append((alert.id, packed))
            self._size += len(packed)
        if self._before:
            self._now.set()

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Put alerts on their way. Those for which there is no room, and those that no message holds, are dropped and counted."""
        for alert in alerts:
            key = _key(alert)
            before = self._first.get(key)
            if before is not None:
                alert = msgspec.structs.replace(
                    alert,
                    id=before.id,
                    first_occurred=before.first_occurred,
                    enforcement_count=alert.enforcement_count + before.enforcement_count,
                )
                self._remove(key)
            packed = msgspec.json.encode(alert)
            if len(packed) > LARGEST or self.waiting >= MOST or self._size + len(packed) > MEMORY:
                self._figures.dropped += 1
                self._kept.remove([alert.id])
                continue
            self._kept.put(alert.id, packed)
            self._waiting[key] = packed
            self._first[key] = alert
            self._size += len(packed)
        self._now.set()

    def start(self) -> None:
        """Send from now on."""
        self._kept.start()
        self._task = asyncio.create_task(self._send())

    async def stop(self) -> None:
        """Send no more; once more what there is, if that is quickly done. The rest is on the disk."""
        if self._task is not None:
            await tasks.end(self._task)
        if self.waiting:
            try:
                async with asyncio.timeout(2):
                    await self._word()
            except (RedoubtError, TimeoutError):
                _log.warning("alerts wait for the next start, as the Sensor is away", alerts=self.waiting)
        await self._kept.stop()

    async def _send(self) -> None:
        wait = _FIRST
        while True:
            try:
                async with asyncio.timeout(FIGURES):
                    await self._now.wait()
            except TimeoutError:
                pass
            self._now.clear()
            try:
                await self._word()
                wait = _FIRST
                await asyncio.sleep(self._interval)
            except RedoubtError as error:
                self._now.set()
                if wait == _FIRST:
                    _log.info("alerts wait for the Sensor", alerts=self.waiting, why=str(error))
                await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311
                wait = min(2 * wait, _LONGEST)

    async def _word(self) -> None:
        """All that waits, some at a time. Raises ``RedoubtError``."""
        while True:
            if not self._sending:
                self._sending = self._first_ones()
            figures = self._figures.since()
            if not self._sending and figures == AdmissionFigures(hostname=figures.hostname):
                return
            alerts = b"[" + b",".join(packed for _, packed in self._sending) + b"]"
            await self._line.report(alerts, msgspec.json.encode(figures))
            self._figures.acknowledge(figures)
            self._size -= sum(len(packed) for _, packed in self._sending)
            self._kept.remove(identifier for identifier, _ in self._sending)
            self._sending = []
            if not self._waiting and not self._before:
                return

    def _first_ones(self) -> list[tuple[str, bytes]]:
        """As many as a message holds, those of before first; they wait no more."""
        some: list[tuple[str, bytes]] = []
        size = 0
        for identifier, packed in self._before[:AT_ONCE]:
            size += len(packed)
            if size > LARGEST:
                break
            some.append((identifier, packed))
        if some:
            del self._before[: len(some)]
            return some
        for key, packed in list(itertools.islice(self._waiting.items(), AT_ONCE)):
            size += len(packed)
            if size > LARGEST:
                break
            some.append((self._first[key].id, packed))
            del self._waiting[key], self._first[key]
        return some

    def _remove(self, key: _Key) -> None:
        self._size -= len(self._waiting.pop(key))
        del self._first[key]


def _key(alert: Alert) -> _Key:
    """The same for what is the same attempt, made again."""
    about = alert.deployment
    if alert.state != "ATTEMPTED" or about is None:
        return (alert.id, "", "", "", "")
    return (alert.policy.id, alert.lifecycle_stage, about.namespace, about.type, about.name)
