"""``redoubt.v1.ProbeUpload``: what ``POST /v1/probeupload/getexisting`` answers, over gRPC, and under the original's name as well.

Callers are people's programs: they show an API token or a password in the call's ``authorization``, as in HTTP.
"""

from __future__ import annotations

from grpclib.const import Handler
from grpclib.server import Stream

from redoubt.central.auth.calls import Door, permit
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.probes.shelf import Probes
from redoubt.wire import calls
from redoubt.wire.proto.redoubt.v1 import probes_pb2 as pb
from redoubt.wire.proto.redoubt.v1.probes_grpc import ProbeUploadBase

#: As for the path in ``central.api.probes``.
READ = allow(Resource.ADMINISTRATION, Access.READ)

_CALL = "/redoubt.v1.ProbeUpload/GetExistingProbes"
#: What the original's roxctl calls; its messages have the same fields under the same numbers.
_THEIRS = "/v1.ProbeUploadService/GetExistingProbes"

ExistingStream = Stream[pb.GetExistingProbesRequest, pb.GetExistingProbesReply]


class ProbeUploadService(ProbeUploadBase):
    """See ``probes.proto``."""

    def __init__(self, probes: Probes, door: Door) -> None:
        self._probes = probes
        self.door = door

    def __mapping__(self) -> dict[str, Handler]:
        """Under both names."""
        ours = super().__mapping__()
        return {**ours, _THEIRS: ours[_CALL]}

    @permit(READ)
    async def GetExistingProbes(self, stream: ExistingStream) -> None:
        """See ``probes.proto``. For who may read the administration."""
        asked = await calls.request(stream)
        found = await self._probes.existing(list(asked.files_to_check))
        files = [
            pb.GetExistingProbesReply.File(name=one.name, size=one.size, crc32=one.crc32) for one in found
        ]
        await stream.send_message(pb.GetExistingProbesReply(existing_files=files))
