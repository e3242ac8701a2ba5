"""What Central tells Sensors, whichever replica a Sensor is connected to.

A Sensor that is connected here gets it at once. For one that is connected elsewhere it is written into the table
``sensor_pushes``, and the replica that has the Sensor fetches it. A Sensor that is away gets nothing: when it comes back it
is given all that it decides by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol
from uuid import UUID, uuid4

import structlog

from redoubt import tasks
from redoubt.central.hub import portions
from redoubt.central.hub.answers import Answers
from redoubt.central.refusals import FailedPrecondition
from redoubt.central.store.hub import HubStore
from redoubt.model.cluster import BaselineSync
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

#: Digests in a message, at most; more of them are "all".
_MOST_DIGESTS = 1000

_log = structlog.get_logger("hub")


class Outlet(Protocol):
    """A Sensor that is connected to this replica."""

    def tell(self, message: pb.ToSensor) -> None:
        """Send it when there is room. Never waits."""

    def look(self) -> None:
        """Something may have been written down for it."""


class Pusher:
    """Tells Sensors. Its methods without ``await`` never fail: what cannot be told now is told when the Sensor is back."""

    def __init__(self, store: HubStore, answers: Answers) -> None:
        self._store = store
        self._answers = answers
        self._here: dict[UUID, Outlet] = {}
        self._work: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Nothing is pushed before somebody asks."""

    async def stop(self) -> None:
        """What has not been handed over by now is not."""
        await tasks.end(*self._work)

    def connected(self, cluster: UUID, outlet: Outlet) -> None:
        """From now on this replica has the cluster's Sensor."""
        self._here[cluster] = outlet

    def disconnected(self, cluster: UUID, outlet: Outlet) -> None:
        """It has it no more, unless another connection took its place."""
        if self._here.get(cluster) is outlet:
            del self._here[cluster]

    def look(self) -> None:
        """Something may have been written down for Sensors that are connected here."""
        for outlet in self._here.values():
            outlet.look()

    @property
    def number(self) -> int:
        """How many Sensors are connected here."""
        return len(self._here)

    # What there is to tell

    def baselines(self, cluster: UUID, sync: BaselineSync) -> None:
        """Baselines that changed."""
        for portion in portions.baselines(sync):
            self.tell(cluster, pb.ToSensor(baselines=pb.Baselines(baselines=portion)))

    def images_changed(self, digests: Sequence[str]) -> None:
        """Something is known otherwise of these images (``sha256:…``); of all where none is named. To all Sensors."""
        named = digests if len(digests) <= _MOST_DIGESTS else ()
        self.tell_all(pb.ToSensor(images_changed=pb.ImagesChanged(digests=named)))

    async def request(self, cluster: UUID, request: pb.Request, *, patience: float) -> bytes:
        """What the cluster's Sensor answers within ``patience`` seconds; ``request.id`` is chosen here.

        Raises ``FailedPrecondition`` where no Sensor is connected or it could not do it, ``Unavailable`` where no answer
        comes.
        """
        if cluster not in self._here and not await self._store.connected(cluster):
            raise FailedPrecondition("the cluster's Sensor is not connected")
        asked = pb.Request()
        asked.CopyFrom(request)
        asked.id = str(uuid4())
        with self._answers.expected(asked.id, cluster) as answer:
            self.tell(cluster, pb.ToSensor(request=asked))
            return await answer.within(patience)

    def tell(self, cluster: UUID, message: pb.ToSensor) -> None:
        """Tell a cluster's Sensor."""
        if (outlet := self._here.get(cluster)) is not None:
            outlet.tell(message)
        else:
            self._spawn(self._store.push([cluster], message.SerializeToString()))

    def tell_all(self, message: pb.ToSensor) -> None:
        """Tell all Sensors."""
        for outlet in self._here.values():
            outlet.tell(message)
        self._spawn(self._store.push_elsewhere(list(self._here), message.SerializeToString()))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        async def done() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 (a Sensor that missed something is told when it connects again)
                _log.warning("not told to a Sensor", reason=type(error).__name__)

        task = asyncio.create_task(done(), name="push")
        self._work.add(task)
        task.add_done_callback(self._work.discard)
