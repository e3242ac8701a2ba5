"""Nodes' reports are matched in the background, anew when definitions are others; replicas share the work."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import structlog

from redoubt import tasks
from redoubt.central.hub.receiving import ClusterRef, Spoilt
from redoubt.central.images import original
from redoubt.central.images.scanning import Scanning
from redoubt.central.store import Connection, Pool
from redoubt.central.store import nodes as store
from redoubt.central.store.nodes import NodeStore, Waiting
from redoubt.errors import RedoubtError
from redoubt.model.workload import Part
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

#: Characters of a node's name (RFC 1123).
_LONGEST = 253
_AT_ONCE = 2
#: Seconds between two looks, until a Matcher that is behind is asked again, and until what failed is.
_EVERY, _BEHIND, _FIRST, _MOST = 15.0, 30.0, 30.0, 3600.0
_LEASE = timedelta(minutes=15)

_log = structlog.get_logger("nodes")


class NodeReports:
    """A part of Central: ``Receiver`` of node reports and ``Follower`` of nodes. ``active``: the digest of the definitions now."""

    def __init__(self, pool: Pool, scanning: Scanning | None, active: Callable[[], str]) -> None:
        self._store = NodeStore(pool)
        self._scanning = scanning
        self._active = active
        self._due = asyncio.Event()
        self._task = tasks.Background()

    async def take(self, connection: Connection, cluster: ClusterRef, message: pb.FromSensor) -> None:
        """See ``Receiver``. It is read off the loop."""
        name, data = message.node.node_name, message.node.report
        if not 0 < len(name) <= _LONGEST or not name.isprintable():
            raise Spoilt("a report of no node")
        try:
            digest = await asyncio.to_thread(_read, data)
        except RedoubtError as error:
            raise Spoilt(str(error)) from None
        await store.put(connection, cluster.id, name, digest, data)
        self._due.set()

    async def changed(
        self, connection: Connection, cluster: ClusterRef, kind: str, objects: Sequence[Part]
    ) -> None:
        """See ``Follower``."""

    async def removed(
        self, connection: Connection, cluster: ClusterRef, kind: str, ids: Sequence[str]
    ) -> None:
        """See ``Follower``."""
        if kind == "node":
            await store.forget_gone(connection, cluster.id)

    async def start(self) -> None:
        """Begin to match."""
        if self._scanning is not None:
            self._task.begin(
                tasks.over_and_over(
                    partial(self.look, self._scanning),
                    partial(_log.warning, "nodes are not matched now"),
                    every=_EVERY,
                    spread=0.5,
                    due=self._due,
                ),
                "nodes",
            )

    async def stop(self) -> None:
        """End it."""
        await self._task.end()

    async def look(self, scanning: Scanning) -> int:
        """Match what is due; how many nodes that were."""
        active = self._active()
        if not active:
            return 0
        taken = await self._store.take(active, _AT_ONCE, _LEASE)
        await asyncio.gather(*(self._one(scanning, each, active) for each in taken))
        return len(taken)

    async def _one(self, scanning: Scanning, waiting: Waiting, active: str) -> None:
        try:
            index = await asyncio.to_thread(store.inflated, waiting.index)
            report = await scanning.match(index)
        except RedoubtError as error:
            wait = min(_MOST, _FIRST * 2.0 ** min(waiting.tries, 20))
            await self._store.again(waiting, str(error), timedelta(seconds=wait))
            _log.warning("a node's report is not matched", node=waiting.node, reason=str(error))
            return
        counts = original.count(report)
        behind = report.definitions.digest != active
        await self._store.matched(
            waiting,
            report,
            (counts.components, counts.cves, counts.fixable, counts.top_cvss),
            timedelta(seconds=_BEHIND if behind else 0),
        )


def _read(data: bytes) -> bytes:
    """The digest of a report that can be read. Raises ``RedoubtError``."""
    store.inflated(data)
    return hashlib.sha256(data).digest()
