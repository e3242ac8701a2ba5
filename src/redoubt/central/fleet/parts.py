"""The fleet as a part of Central: it follows what the Matcher has, and is woken when that changes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from redoubt import tasks
from redoubt.central.definitions.shelf import Definitions
from redoubt.central.fleet import judging
from redoubt.central.fleet.rematch import Fleet
from redoubt.central.services import Services
from redoubt.errors import RedoubtError
from redoubt.wire.channel import Channel, channel
from redoubt.wire.identity import MATCHERS
from redoubt.wire.material import Material

#: Seconds between two looks whether the Matcher has switched, and how many are taken.
_LOOK, _LOOKS = 0.5, 600

_log = structlog.get_logger("fleet")


class Following:
    """A part: the fleet, the channel to its judge, and who wakes it."""

    def __init__(self, fleet: Fleet, matcher: Channel, definitions: Definitions) -> None:
        self._fleet = fleet
        self._matcher = matcher
        self._definitions = definitions
        self._task = tasks.Background()

    async def start(self) -> None:
        """Begin."""
        await self._fleet.start()
        self._task.begin(self._run(), "fleet follows")

    async def stop(self) -> None:
        """End."""
        await self._task.end()
        await self._fleet.stop()
        self._matcher.close()

    async def _run(self) -> None:
        known = ""
        while True:
            known = await self._definitions.wait_for_change(known)
            for _ in range(_LOOKS):
                with suppress(RedoubtError, OSError):
                    async with judging.of_matcher(self._matcher) as judge:
                        if judge.info.digest == known:
                            break
                await asyncio.sleep(_LOOK)
            self._fleet.wake()


def equip(services: Services, tls: Material, definitions: Definitions) -> None:
    """Give ``services`` a fleet, where its settings name a Matcher."""
    if not services.settings.matcher:
        return
    matcher = channel(services.settings.matcher, tls, MATCHERS)
    fleet = Fleet(
        services.pool,
        lambda: judging.of_matcher(matcher),
        told=lambda line: _log.warning("tried again", reason=line),
        active=definitions.digest,
    )
    services.fleet = fleet
    services.parts.append(Following(fleet, matcher, definitions))
