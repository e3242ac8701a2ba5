"""A node agent put together out of its settings: the host indexed now and then, the audit log followed, the Sensor told."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from redoubt import tasks
from redoubt.errors import RedoubtError
from redoubt.node import indexing
from redoubt.node.config import Settings
from redoubt.node.following import LogFollower
from redoubt.wire.channel import Channel, channel
from redoubt.wire.identity import Service
from redoubt.wire.material import Files, Material
from redoubt.wire.proto.redoubt.v1.secured_grpc import NodesStub
from redoubt.wire.proto.redoubt.v1.secured_pb2 import AuditLines, AuditTaken
from redoubt.wire.proto.redoubt.v1.sensors_pb2 import NodeReport

_log = structlog.get_logger("node")

#: Seconds between two looks at a log with nothing new in it; before the Sensor is tried again, doubled each time.
_LOOK = 1.0
#: Before it is asked again whether the log is wanted, where it was not.
_OFF = 30.0
_FIRST, _LONGEST = 1.0, 300.0
_DEADLINE = 120.0


class _Off(Exception):
    """The audit log is switched off at Central."""


class Agent:
    """``index_once`` and ``follow`` are all that it does."""

    #: Nothing listens.
    port = 0

    def __init__(self, settings: Settings, sensor: Channel) -> None:
        self._settings = settings
        self._sensor = sensor
        self._nodes = NodesStub(sensor)
        self.name = settings.node_name or os.uname().nodename
        #: Where in the log the Sensor was told last that we are.
        self._position = b""

    async def index(self) -> None:
        """Index the host, again and again."""
        interval, wait = self._settings.interval, _FIRST
        # Nodes that begin together do not index together.
        await asyncio.sleep(random.uniform(0, min(interval / 10, 300)))  # noqa: S311
        while True:
            try:
                await self.index_once()
            except RedoubtError as error:
                _log.warning("the host's packages are not told", reason=str(error))
                pause, wait = wait, min(wait * 2, _LONGEST)
            else:
                pause, wait = interval, _FIRST
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311

    async def index_once(self) -> None:
        """Index the host, and tell the Sensor. Raises ``RedoubtError``."""
        found = await indexing.host(self._settings.host_root, self.name)
        with self._sensor.told():
            await self._nodes.ReportIndex(
                NodeReport(node_name=self.name, report=found.report), timeout=_DEADLINE
            )
        _log.info("packages told", packages=found.packages, problems=found.problems)

    async def follow(self, log: Path) -> None:
        """Tell of the audit log's lines, again and again."""
        state = self._settings.state / "audit-position.json" if self._settings.state else None
        follower = LogFollower(log, state)
        wait, wanted = _FIRST, False
        try:
            while True:
                try:
                    if not wanted:
                        wanted = await self._wanted(follower)
                        _log.info("following" if wanted else "the audit log is switched off", log=str(log))
                    more = wanted and await self._told(follower)
                    wait = _FIRST
                    if more:
                        continue
                    pause = _LOOK if wanted else _OFF
                except _Off:
                    follower.again()
                    wanted, pause = False, 0.0
                except RedoubtError as error:
                    _log.warning("audit events are not told", reason=str(error))
                    follower.again()
                    pause, wait = wait, min(wait * 2, _LONGEST)
                await asyncio.sleep(pause)
        finally:
            follower.close()

    async def _wanted(self, follower: LogFollower) -> bool:
        """Whether the log is switched on; then the follower goes on where the Sensor says, unless it knows itself."""
        taken = await self._report(AuditLines(node_name=self.name))
        if not taken.disabled and taken.position:
            follower.resume(taken.position)
        return not taken.disabled

    async def _report(self, lines: AuditLines) -> AuditTaken:
        with self._sensor.told():
            return await self._nodes.ReportAudit(lines, timeout=_DEADLINE)

    async def _told(self, follower: LogFollower) -> bool:
        """Whether there was anything. Raises ``_Off`` where it is not wanted any more."""
        lines = await asyncio.to_thread(follower.read)
        position = follower.position
        if lines or (position and position != self._position):
            taken = await self._report(AuditLines(node_name=self.name, lines=lines, position=position))
            if taken.disabled:
                raise _Off
            self._position = position
            if taken.spoilt:
                _log.warning("lines of the audit log that nobody can read", lines=taken.spoilt)
            await asyncio.to_thread(follower.commit)
        return bool(lines)


@asynccontextmanager
async def node(settings: Settings) -> AsyncIterator[Agent]:
    """A running node agent. Raises ``RedoubtError`` where it cannot start."""
    sensor = channel(settings.sensor, Material(Files.within(settings.certificates)), [Service.SENSOR])
    agent = Agent(settings, sensor)
    work = [asyncio.create_task(agent.index())]
    if settings.audit_log is not None:
        work.append(asyncio.create_task(agent.follow(settings.audit_log)))
    try:
        yield agent
    finally:
        await tasks.end(*work)
        sensor.close()
