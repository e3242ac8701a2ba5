"""``redoubt.v1.ProbeUpload``: what ``POST /v1/probeupload/getexisting`` answers, over gRPC.

Callers are people's programs: they show an API token or a password in the call's ``authorization``, as in HTTP.
"""

from __future__ import annotations

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from redoubt.central.auth.authenticate import Authenticator
from redoubt.central.auth.declare import allow, check
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.probes.shelf import Probes
from redoubt.central.refusals import Refused
from redoubt.wire import calls
from redoubt.wire.proto.redoubt.v1 import probes_pb2 as pb
from redoubt.wire.proto.redoubt.v1.probes_grpc import ProbeUploadBase

#: As for the path in ``central.api.probes``.
READ = allow(Resource.ADMINISTRATION, Access.READ)

ExistingStream = Stream[pb.GetExistingProbesRequest, pb.GetExistingProbesReply]


class ProbeUploadService(ProbeUploadBase):
    """See ``probes.proto``."""

    def __init__(self, probes: Probes, authenticator: Authenticator) -> None:
        self._probes = probes
        self._authenticator = authenticator

    @calls.anyone()
    async def GetExistingProbes(self, stream: ExistingStream) -> None:
        """See ``probes.proto``. For who may read the administration."""
        try:
            await self._permit(stream)
        except Refused as error:
            raise GRPCError(Status(error.code.value), str(error)) from None
        asked = await calls.request(stream)
        found = await self._probes.existing(list(asked.files_to_check))
        files = [
            pb.GetExistingProbesReply.File(name=one.name, size=one.size, crc32=one.crc32) for one in found
        ]
        await stream.send_message(pb.GetExistingProbesReply(existing_files=files))

    async def _permit(self, stream: ExistingStream) -> None:
        said = stream.metadata.get("authorization") if stream.metadata is not None else None
        address = stream.peer.addr()
        caller = await self._authenticator.caller(
            said if isinstance(said, str) else "", calls.peer(stream), str(address[0]) if address else ""
        )
        check(caller, READ.conditions)
