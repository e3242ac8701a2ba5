"""Records of what happens, as Sensors tell them: kept, and learned from, in one transaction.

What is usual is learned where it is written, so a restart forgets nothing and several replicas never disagree. A moment
that a Sensor tells counts if it is at most ``LATE`` ago: what waited for Central is learned as if it had come at
once, and a clock that is behind does not make learning go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec
import structlog

from redoubt.central.activity import records
from redoubt.central.activity.blocks import Block, Blocks
from redoubt.central.activity.records import FlowRow, ProcessRow
from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.store import Connection, activity_intake, hub, risk
from redoubt.central.store.activity_intake import PeerSeen, Seen
from redoubt.model.cluster import EndpointRecord, FlowRecord
from redoubt.model.happening import Process
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

#: How long programs and peers are learned, unless the settings say otherwise.
PERIOD = timedelta(hours=1)
#: What is told so late counts as of then.
LATE = timedelta(minutes=15)
#: Records of a message, at most.
_MOST = 100_000

T = TypeVar("T")
_raw = msgspec.msgpack.Decoder(list[msgspec.Raw])
_processes = msgspec.msgpack.Decoder(list[Process]), msgspec.msgpack.Decoder(Process)
_flows = msgspec.msgpack.Decoder(list[FlowRecord]), msgspec.msgpack.Decoder(FlowRecord)
_endpoints = msgspec.msgpack.Decoder(list[EndpointRecord]), msgspec.msgpack.Decoder(EndpointRecord)
_UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError)

_log = structlog.get_logger("activity")


class RecordReceiver:
    """Takes ``Records``."""

    def __init__(self, process_period: timedelta = PERIOD, network_period: timedelta = PERIOD) -> None:
        self._process_period = process_period
        self._network_period = network_period
        #: Records that could not be read, since this Central began.
        self.spoilt = 0

    async def take(self, connection: Connection, cluster: ClusterRef, message: pb.FromSensor) -> None:
        """Keep a message's records, within the transaction of ``connection``. What cannot be read is counted and left out."""
        given, now = message.records, datetime.now(UTC)
        match given.kind:
            case pb.Records.PROCESSES:
                processes, spoilt = read(given.records, _processes)
                await self._take_processes(connection, cluster, processes, now)
            case pb.Records.FLOWS:
                told, spoilt = read(given.records, _flows)
                flows = records.flows(cluster.id, told, now, cluster.ahead)
                await activity_intake.flows(connection, flows)
                seen = _peers(flows, await self._blocks(connection, cluster), now)
                await activity_intake.learn_peers(connection, cluster.id, seen, now, self._network_period)
            case pb.Records.ENDPOINTS:
                ports, spoilt = read(given.records, _endpoints)
                await activity_intake.endpoints(
                    connection, records.endpoints(cluster.id, ports, now, cluster.ahead)
                )
            case _:
                spoilt = 1
        if spoilt:
            self.spoilt += spoilt
            await hub.counted(connection, cluster.id, spoilt, 0)
            _log.debug("records that cannot be read", cluster=cluster.name, number=spoilt)

    async def _take_processes(
        self, connection: Connection, cluster: ClusterRef, given: list[Process], now: datetime
    ) -> None:
        rows = records.processes(cluster.id, given, now, cluster.ahead)
        new = await activity_intake.processes(connection, rows)
        await activity_intake.learn_processes(
            connection, cluster.id, _programs(rows, now), now, self._process_period
        )
        if new and (unusual := await risk.unusual(connection, cluster.id, new)):
            await risk.due(connection, cluster.id, unusual)

    async def _blocks(self, connection: Connection, cluster: ClusterRef) -> Blocks:
        rows = await connection.fetch(
            "SELECT id, name, block::text FROM network_entities WHERE cluster IS NULL OR cluster = $1",
            cluster.id,
        )
        return Blocks(Block(*row) for row in rows)


def read(
    content: bytes, decoders: tuple[msgspec.msgpack.Decoder[list[T]], msgspec.msgpack.Decoder[T]]
) -> tuple[list[T], int]:
    """Records, and how many there are beside them that cannot be read, or are too many. Pure."""
    several, single = decoders
    if _MOST < (number := _announced(content)) <= len(content):
        # Four million empty ones fit into a message, and take 400 MB as structs.
        return [], number
    try:
        found = several.decode(content)
        return found, 0
    except _UNREADABLE:
        found = []
    try:
        given = _raw.decode(content)
    except _UNREADABLE:
        return [], 1
    for each in given:
        try:
            found.append(single.decode(each))
        except _UNREADABLE:
            continue
    return found, len(given) - len(found)


def _announced(content: bytes) -> int:
    """How many a list in MessagePack says it has, each in a byte at least; 0 for what is no long list."""
    return int.from_bytes(content[1:5]) if content[:1] == b"\xdd" else 0


def _programs(rows: Iterable[ProcessRow], now: datetime) -> list[Seen]:
    found: dict[tuple[str, str, str, str], datetime] = {}
    for row in rows:
        key = row.deployment, row.container, row.namespace, row.path
        seen = max(row.first_seen, now - LATE)
        if (there := found.get(key)) is None or seen < there:
            found[key] = seen
    return [(*key, seen) for key, seen in found.items()]


def _peers(rows: Iterable[FlowRow], blocks: Blocks, now: datetime) -> list[PeerSeen]:
    """For each deployment of a flow the other end: whom it calls, and who calls it."""
    found: dict[tuple[str, str, str, int, str, bool], datetime] = {}
    for row in rows:
        seen = max(row.first_seen, now - LATE)
        for deployment, of_type, other, ingress in (
            (row.source, row.target_type, row.target, False),
            (row.target, row.source_type, row.source, True),
        ):
            if (row.target_type if ingress else row.source_type) != "DEPLOYMENT":
                continue
            peer = peer_of(of_type, other, blocks)
            key = (deployment, *peer, row.port, row.protocol, ingress)
            if (there := found.get(key)) is None or seen < there:
                found[key] = seen
    return [(*key, seen) for key, seen in found.items()]


def peer_of(of_type: str, identifier: str, blocks: Blocks) -> tuple[str, str]:
    """Type and identifier of one end, as baselines name it: what is outside is the smallest block that has a name, or all of it."""
    if of_type not in ("INTERNET", "EXTERNAL_SOURCE"):
        return of_type, identifier
    if (block := blocks.smallest(identifier)) is not None:
        return "EXTERNAL_SOURCE", block.block
    if of_type == "EXTERNAL_SOURCE" and identifier:
        return of_type, identifier
    return "INTERNET", ""
