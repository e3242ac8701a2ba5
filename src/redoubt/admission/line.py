"""The Sensor and Central over the wire, as an admission controller needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from redoubt.admission.figures import Figures
from redoubt.errors import UnreadableInput
from redoubt.wire import chunks, clocks
from redoubt.wire.channel import Channel
from redoubt.wire.failures import NotFound, Unavailable
from redoubt.wire.proto.redoubt.v1 import secured_pb2 as secured
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from redoubt.wire.proto.redoubt.v1.secured_grpc import AdmissionsStub
from redoubt.wire.proto.redoubt.v1.sensors_grpc import SensorsStub

#: Bytes of what is told of an image.
LARGEST = 256 << 20


class SensorLine:
    """The Sensor: settings from it, reports to it."""

    def __init__(self, channel: Channel, hostname: str) -> None:
        self._channel, self._hostname = channel, hostname

    @property
    def connected(self) -> bool:
        """See ``following.Teller``."""
        return self._channel.peer is not None

    async def changes(self, revision: int) -> AsyncIterator[bytes]:
        """See ``following.Teller``."""
        with self._channel.told():
            async with AdmissionsStub(self._channel).Watch.open() as call:
                asked = secured.WatchSettingsRequest(revision=revision, hostname=self._hostname)
                await call.send_message(asked, end=True)
                async for said in call:
                    yield said.settings

    async def report(self, alerts: bytes, figures: bytes) -> None:
        """See ``reporting.Line``."""
        with self._channel.told():
            await AdmissionsStub(self._channel).Report(
                secured.AdmissionReport(alerts=alerts, figures=figures, clock=clocks.now())
            )


class Lookup:
    """Images' data: of the Sensor, and of Central where the Sensor is away."""

    def __init__(
        self,
        sensor: Channel,
        central: Callable[[], Channel | None],
        figures: Figures,
        cluster: Callable[[], str] = lambda: "",
    ) -> None:
        self._sensor, self._central, self._figures = sensor, central, figures
        #: Which cluster this is, as its settings say: certificates of an init bundle do not.
        self._cluster = cluster

    async def image(self, name: str, *, cached: bool, namespace: str) -> bytes:
        """See ``images.Source``."""
        request = pb.GetScannedImageRequest(image_name=name, cached=cached, namespace=namespace)
        try:
            return await self._asked("sensor", self._sensor, request)
        except Unavailable:
            if (central := self._central()) is None:
                raise
        return await self._asked("central", central, request)

    def _said(self) -> dict[str, str]:
        cluster = self._cluster()
        return {"cluster": cluster} if cluster.isascii() and cluster.isprintable() and cluster else {}

    async def _asked(self, source: str, channel: Channel, request: pb.GetScannedImageRequest) -> bytes:
        result = "failed"
        stub = AdmissionsStub(channel) if source == "sensor" else SensorsStub(channel)
        try:
            with channel.told():
                async with stub.GetScannedImage.open(metadata=self._said()) as call:
                    await call.send_message(request, end=True)
                    first = await call.recv_message()
                    if first is None:
                        raise UnreadableInput(f"{channel.address} answered with nothing")

                    async def pieces() -> AsyncIterator[bytes]:
                        yield first.chunk
                        async for part in call:
                            yield part.chunk

                    found = await chunks.join(pieces(), first.size, LARGEST)
            result = "found"
        except NotFound:
            result = "unknown"
            raise
        except asyncio.CancelledError:
            result = "cancelled"
            raise
        finally:
            self._figures.fetches.labels(source, result).inc()
        return found
