"""Central's gRPC services: what Matchers are told of definitions."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from grpclib.server import Stream

from redoubt.central.definitions.shelf import Definitions
from redoubt.wire import calls
from redoubt.wire.identity import MATCHERS
from redoubt.wire.proto.redoubt.v1 import definitions_pb2 as pb
from redoubt.wire.proto.redoubt.v1.definitions_grpc import DefinitionsBase

#: Seconds after which an unchanged digest is said again.
_AGAIN = 120.0

GetStream = Stream[pb.GetActiveRequest, pb.Active]
WatchStream = Stream[pb.WatchRequest, pb.Active]


class DefinitionsService(DefinitionsBase):
    """``redoubt.v1.Definitions``. ``have`` is what each Matcher that watches said it has, by its identifier."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self.have: dict[str, str] = {}

    @calls.allow(*MATCHERS)
    async def GetActive(self, stream: GetStream) -> None:
        """See ``definitions.proto``. Where nothing is active the digest is empty."""
        await calls.request(stream)
        await stream.send_message(self._active())

    @calls.allow(*MATCHERS)
    async def Watch(self, stream: WatchStream) -> None:
        """See ``definitions.proto``."""
        watcher = f"{calls.peer(stream)} {id(stream):x}"
        self.have[watcher] = (await calls.request(stream)).have
        try:
            while True:
                active = self._active()
                await stream.send_message(active)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._definitions.wait_for_change(active.digest), _AGAIN)
        finally:
            del self.have[watcher]

    def _active(self) -> pb.Active:
        entry = self._definitions.active()
        if entry is None:
            return pb.Active()
        manifest = entry.manifest
        return pb.Active(
            digest=entry.digest,
            channel=manifest.channel,
            version=manifest.version,
            stream_size=manifest.size,
            activated=entry.imported,
        )
