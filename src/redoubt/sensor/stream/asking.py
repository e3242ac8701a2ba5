"""What this Sensor asks of Central beside the stream: images as policies look at them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.wire import chunks
from redoubt.wire.channel import Channel, ClientStream
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from redoubt.wire.proto.redoubt.v1.indexer_pb2 import Registry
from redoubt.wire.proto.redoubt.v1.sensors_grpc import SensorsStub

#: Seconds for Central's answer about a registry: it may have to ask a cloud.
_LENDING = 30.0
#: An image of more JSON than this is not held here.
LARGEST_IMAGE = 64 << 20


class Central:
    """Calls. What they fail with are Redoubt's errors: ``Unavailable`` where Central is away."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stub = SensorsStub(channel)
        #: Which cluster this is, as Central's welcome said: certificates of an init bundle do not say it.
        self.cluster = ""

    def _said(self) -> dict[str, str]:
        return {"cluster": self.cluster} if self.cluster else {}

    async def image(self, name: str, namespace: str, cached: bool) -> bytes:
        """JSON of a ``ScannedImage``, scanned first where it was not and ``cached`` is not set."""
        request = pb.GetScannedImageRequest(image_name=name, cached=cached, namespace=namespace)
        with self._channel.told():
            async with self._stub.GetScannedImage.open(metadata=self._said()) as stream:
                await stream.send_message(request, end=True)
                return await _whole(stream, name)

    async def registries(self, name: str) -> list[Registry]:
        """How Central reaches the registry of an image that this cluster is to scan."""
        with self._channel.told():
            answer = await self._stub.GetRegistryAccess(
                pb.RegistryAccessRequest(image_name=name), metadata=self._said(), timeout=_LENDING
            )
        return list(answer.registries)

    async def enrich(self, name: str, report: bytes) -> bytes:
        """The same of an image that this cluster's Indexer looked into."""
        with self._channel.told():
            async with self._stub.EnrichIndexReport.open(metadata=self._said()) as stream:
                await stream.send_message(pb.EnrichIndexReportRequest(image_name=name, size=len(report)))
                pieces: Sequence[bytes] = list(chunks.cut(report))
                for piece in pieces:
                    await stream.send_message(pb.EnrichIndexReportRequest(chunk=piece))
                await stream.end()
                return await _whole(stream, name)


async def _whole(
    stream: ClientStream[pb.GetScannedImageRequest, pb.ScannedImagePart]
    | ClientStream[pb.EnrichIndexReportRequest, pb.ScannedImagePart],
    name: str,
) -> bytes:
    first = await stream.recv_message()
    if first is None:
        raise UnreadableInput(f"{name}: Central ended its answer before it began")
    if first.size > LARGEST_IMAGE:
        raise LimitExceeded(f"{name}: what is known of it has {first.size} bytes, more than {LARGEST_IMAGE}")

    async def rest() -> AsyncIterator[bytes]:
        yield first.chunk
        async for part in stream:
            yield part.chunk

    return await chunks.join(rest(), first.size, LARGEST_IMAGE)
