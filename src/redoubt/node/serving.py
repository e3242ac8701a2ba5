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
from redoubt.wire.proto.redoubt.v1.secured_pb2 import AuditLines
from redoubt.wire.proto.redoubt.v1.sensors_pb2 import NodeReport

_log = structlog.get_logger("node")

#: Seconds between two looks at a log with nothing new in it; before the Sensor is tried again, doubled each time.
_LOOK = 1.0
_FIRST, _LONGEST = 1.0, 300.0
_DEADLINE = 120.0


class Agent:
    """``index_once`` and ``follow`` are all that it does."""

    #: Nothing listens.
    port = 0

    def __init__(self, settings: Settings, sensor: Channel) -> None:
        self._settings = settings
        self._sensor = sensor
        self._nodes = NodesStub(sensor)
        self.name = settings.node_name or os.uname().nodename

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
        wait, told = _FIRST, False
        try:
            while True:
                try:
                    if await self._told(follower):
                        wait = _FIRST
                        continue
                    pause = _LOOK
                    if not told:
                        _log.info("following", log=str(log))
                        told = True
                except RedoubtError as error:
                    _log.warning("audit events are not told", reason=str(error))
                    follower.again()
                    pause, wait = wait, min(wait * 2, _LONGEST)
                await asyncio.sleep(pause)
        finally:
            follower.close()

    async def _told(self, follower: LogFollower) -> bool:
        """Whether there was anything."""
        lines = await asyncio.to_thread(follower.read)
        if lines:
            with self._sensor.told():
                taken = await self._nodes.ReportAudit(
                    AuditLines(node_name=self.name, lines=lines), timeout=_DEADLINE
                )
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
