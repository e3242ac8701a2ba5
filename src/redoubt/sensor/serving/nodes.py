"""``Nodes``: what node agents find on their hosts, and the audit log that they follow."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from redoubt.sensor.runtime.audit import Auditing
from redoubt.sensor.runtime.detection import alerted
from redoubt.sensor.runtime.surroundings import Outgoing
from redoubt.sensor.serving import positions
from redoubt.sensor.serving.positions import Positions
from redoubt.wire import calls
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1.secured_grpc import NodesBase
from redoubt.wire.proto.redoubt.v1.secured_pb2 import AuditLines, AuditTaken, NodeReported
from redoubt.wire.proto.redoubt.v1.sensors_pb2 import FromSensor, NodeReport

#: Bytes of a report, deflated: with what is around it a message to Central; and characters of a node's name.
_LARGEST = (4 << 20) - 2048
_LONGEST = 253


class NodeService(NodesBase):
    """Answered once what comes of it is on the disk."""

    def __init__(self, auditing: Auditing, outgoing: Outgoing, positions: Positions | None = None) -> None:
        self._auditing = auditing
        self._outgoing = outgoing
        self._positions = positions or Positions()

    @calls.allow(Service.COLLECTOR)
    async def ReportIndex(self, stream: Stream[NodeReport, NodeReported]) -> None:
        """See the protocol."""
        report = await calls.request(stream)
        if not 0 < len(report.node_name) <= _LONGEST or not 0 < len(report.report) <= _LARGEST:
            raise GRPCError(Status.INVALID_ARGUMENT, "a report has a node's name, and at most 4 MB")
        await self._outgoing.put(FromSensor(node=report))
        await stream.send_message(NodeReported())

    @calls.allow(Service.COLLECTOR)
    async def ReportAudit(self, stream: Stream[AuditLines, AuditTaken]) -> None:
        """See the protocol."""
        asked = await calls.request(stream)
        node = asked.node_name
        if len(node) > _LONGEST or len(asked.position) > positions.LONGEST:
            raise GRPCError(Status.INVALID_ARGUMENT, "a node's name or a position is too long")
        if not self._auditing.enabled:
            await stream.send_message(AuditTaken(disabled=True))
            return
        spoilt = await audit(self._auditing, self._outgoing, asked.lines)
        if node and asked.position:
            await self._positions.put(node, asked.position)
        known = b"" if asked.lines or asked.position else self._positions.get(node)
        await stream.send_message(AuditTaken(lines=len(asked.lines), spoilt=spoilt, position=known))


async def audit(auditing: Auditing, outgoing: Outgoing, events: Iterable[bytes | msgspec.Raw]) -> int:
    """Have policies asked of events, and Central told what they say. Gives how many could not be read."""
    heard = auditing.take(events)
    try:
        await outgoing.put(*(alerted("", [each]) for each in heard.alerts))
    except BaseException:
        # Whoever sent them sends them again. What is on the disk by then is known to Central by its identifier.
        auditing.forget(heard)
        raise
    return heard.spoilt
