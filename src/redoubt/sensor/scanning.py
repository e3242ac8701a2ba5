"""Images that this cluster reads itself: its own Indexer makes a report with the cluster's pull secrets, Central does the rest.

Credentials come out of the namespace's secrets and the Sensor's own namespace's, go to the Indexer, and are not kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import structlog

from redoubt.errors import RedoubtError, UnreadableInput, UsageError
from redoubt.indexer.sources.credentials import Credentials, find_within
from redoubt.indexer.sources.reference import ImageReference, parse_reference
from redoubt.model.cluster import ServiceHealth
from redoubt.sensor.graph.inventory import Inventory
from redoubt.sensor.stream.asking import Central
from redoubt.wire import chunks
from redoubt.wire.channel import Channel, ClientStream
from redoubt.wire.proto.redoubt.v1 import indexer_pb2 as pb
from redoubt.wire.proto.redoubt.v1.indexer_grpc import IndexerStub

_log = structlog.get_logger("scanning")
#: Images at a time.
_AT_ONCE = 5
#: Seconds between two looks at the Indexer, and for its answer about an image that there is not.
_LOOK, _PATIENCE = 30.0, 5.0
_NO_IMAGE = "sha256:" + "0" * 64

Call = ClientStream[pb.CreateIndexReportRequest, pb.CreateIndexReportReply]


class LocalScanning:
    """Scans with the Indexer at ``indexer``; None: there is none. ``own`` is the Sensor's namespace."""

    def __init__(self, indexer: Channel | None, central: Central, inventory: Inventory, own: str) -> None:
        self._indexer = indexer
        self._central = central
        self._inventory = inventory
        self._own = own
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        #: How the Indexer is.
        self.health = ServiceHealth()

    async def run(self) -> None:
        """Look how the Indexer is, for ever."""
        while self._indexer is not None:
            self.health = await self._looked(self._indexer)
            await asyncio.sleep(_LOOK)

    async def _looked(self, indexer: Channel) -> ServiceHealth:
        try:
            with indexer.told():
                reply = await IndexerStub(indexer).HasIndexReport(
                    pb.HasIndexReportRequest(hash_id=_NO_IMAGE), timeout=_PATIENCE
                )
        except RedoubtError as error:
            return ServiceHealth(status="UNHEALTHY", desired=1, problems=(str(error)[:500],))
        return ServiceHealth(status="HEALTHY", desired=1, ready=1, version=reply.indexer_version)

    async def scan(self, name: str, namespace: str, *, force: bool) -> bytes:
        """An image, scanned: JSON of a ``ScannedImage``. Raises ``RedoubtError``."""
        if self._indexer is None:
            raise UsageError("this cluster has no Indexer of its own; the Sensor's settings name none")
        reference = parse_reference(name)
        async with self._at_once:
            report = await self._report(self._indexer, reference, namespace, force=force)
            return await self._central.enrich(name, report)

    async def _report(
        self, indexer: Channel, reference: ImageReference, namespace: str, *, force: bool
    ) -> bytes:
        found = self._credentials(reference, namespace)
        request = pb.CreateIndexReportRequest(
            reference=str(reference),
            again=force,
            registry=pb.Registry(
                username=found.username, password=found.password, token=found.identity_token
            ),
        )
        with indexer.told():
            async with IndexerStub(indexer).CreateIndexReport.open() as call:
                await call.send_message(request, end=True)
                return await _joined(call, indexer.address)

    def _credentials(self, reference: ImageReference, namespace: str) -> Credentials:
        """The first that fit: the namespace's, then the Sensor's own. None at all is fine for public images."""
        for place in dict.fromkeys((namespace, self._own)):
            for secret in self._inventory.pull_secrets_of(place):
                try:
                    found = find_within(secret.config, f"{secret.namespace}/{secret.name}", reference)
                except RedoubtError as error:
                    _log.warning("a pull secret cannot be read", reason=str(error))
                    continue
                if found is not None:
                    return found
        return Credentials()


async def _joined(call: Call, where: str) -> bytes:
    async for reply in call:
        if reply.part.WhichOneof("part") == "begun":

            async def rest() -> AsyncIterator[bytes]:
                async for one in call:
                    yield one.part.chunk

            return await chunks.join(rest(), reply.part.begun.size)
    raise UnreadableInput(f"{where}: ended its answer before it began")
