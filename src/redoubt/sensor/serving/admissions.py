"""``Admissions``: what admission controllers decide by, what they refused, and images for them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import msgspec
import structlog
from grpclib.server import Stream

from redoubt.errors import UnreadableInput
from redoubt.model.cluster import AdmissionFigures
from redoubt.policies.alerts import Alert, moved
from redoubt.sensor.detection.evaluation import encoded
from redoubt.sensor.detection.images import Images
from redoubt.sensor.identity.peers import Peers
from redoubt.sensor.serving.settings import AdmissionKeeper
from redoubt.sensor.stream.spool import Spool
from redoubt.wire import calls, chunks, clocks
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1 import secured_pb2 as secured
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from redoubt.wire.proto.redoubt.v1.secured_grpc import AdmissionsBase

_log = structlog.get_logger("admissions")
#: Seconds after which settings that did not change are said again.
_AGAIN = 120.0
#: Admission controllers whose figures are kept.
_MOST = 100
#: Alerts of a message.
_ALERTS = 50
_alerts = msgspec.json.Decoder(list[Alert], strict=False)
_figures = msgspec.json.Decoder(AdmissionFigures, strict=False)

WatchStream = Stream[secured.WatchSettingsRequest, secured.AdmissionSettings]
ReportStream = Stream[secured.AdmissionReport, secured.AdmissionReported]
ImageStream = Stream[pb.GetScannedImageRequest, pb.ScannedImagePart]


class AdmissionService(AdmissionsBase):
    """``redoubt.v1.Admissions``. ``watching`` are those that are connected; ``figures`` add up since the start."""

    def __init__(self, keeper: AdmissionKeeper, images: Images, spool: Spool, peers: Peers) -> None:
        self._keeper = keeper
        self._images = images
        self._spool = spool
        self._peers = peers
        self.watching: dict[int, str] = {}
        self.figures: dict[str, AdmissionFigures] = {}
        #: The clocks that are not as ours, as they were told last.
        self._clocks: dict[str, clocks.Reference] = {}

    @calls.allow(Service.ADMISSION_CONTROL)
    async def Watch(self, stream: WatchStream) -> None:
        """See ``secured.proto``."""
        request = await calls.request(stream)
        self.watching[id(stream)] = request.hostname[:253]
        said = request.revision
        self._keeper.outbid(said)
        try:
            with self._peers.there(stream):
                while True:
                    now = self._keeper.current
                    if now is not None and now.revision != said:
                        said = now.revision
                        await stream.send_message(
                            secured.AdmissionSettings(revision=now.revision, settings=self._keeper.content)
                        )
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._keeper.changed(said), _AGAIN)
        finally:
            del self.watching[id(stream)]

    @calls.allow(Service.ADMISSION_CONTROL)
    async def Report(self, stream: ReportStream) -> None:
        """See ``secured.proto``."""
        report = await calls.request(stream)
        figures = _read(report.figures) if report.figures else None
        ahead = clocks.ahead(report.clock)
        if figures is not None:
            self._clock(figures.hostname[:253], report.clock)
        if report.alerts:
            await self._keep(report.alerts, ahead)
        # Not before: what fails is reported again, with the same figures.
        if figures is not None:
            self._add(figures)
        await stream.send_message(secured.AdmissionReported())

    @calls.allow(Service.ADMISSION_CONTROL)
    async def GetScannedImage(self, stream: ImageStream) -> None:
        """See ``secured.proto``."""
        request = await calls.request(stream)
        content = await self._images.content(request.image_name, request.namespace, cached=request.cached)
        await stream.send_message(pb.ScannedImagePart(size=len(content)))
        for chunk in chunks.cut(content):
            await stream.send_message(pb.ScannedImagePart(chunk=chunk))

    @property
    def ahead(self) -> dict[str, int]:
        """By how many nanoseconds their clocks are ahead of ours, where that is worth a word; by name."""
        return {name: -ours for name, each in self._clocks.items() if (ours := each.ahead)}

    def _clock(self, name: str, theirs: int) -> None:
        before = self._clocks.pop(name, None)
        if not (ahead := clocks.ahead(theirs)):
            return
        if before is None:
            _log.warning(
                "an admission controller's clock differs from ours",
                hostname=name,
                its_clock_is=clocks.told(ahead),
            )
        while len(self._clocks) >= _MOST:
            self._clocks.pop(next(iter(self._clocks)))
        self._clocks[name] = clocks.Reference(theirs)

    async def _keep(self, content: bytes, ahead: int) -> None:
        """By deployment, as Central takes them; with moments of our clock."""
        some: dict[tuple[str, bool], list[Alert]] = {}
        try:
            for alert in _alerts.decode(content):
                alert = moved(alert, -timedelta(microseconds=ahead / 1000))
                about = "" if alert.deployment is None else alert.deployment.id
                # A request to a pod that was let through has happened.
                attempted = alert.state == "ATTEMPTED" or alert.lifecycle_stage != "RUNTIME"
                some.setdefault((about, attempted), []).append(alert)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UnreadableInput(f"alerts: {str(error)[:200]}") from None
        for (deployment, attempted), alerts in some.items():
            stage = pb.AlertResults.ATTEMPTED if attempted else pb.AlertResults.RUNTIME
            # As many at a time as surely fit.
            for at in range(0, len(alerts), _ALERTS):
                packed, _ = encoded(alerts[at : at + _ALERTS])
                results = pb.AlertResults(stage=stage, deployment_id=deployment, alerts=packed)
                await self._spool.put(pb.FromSensor(alerts=results))

    def _add(self, new: AdmissionFigures) -> None:
        name = new.hostname[:253]
        before = self.figures.pop(name, AdmissionFigures())
        while len(self.figures) >= _MOST:
            self.figures.pop(next(iter(self.figures)))
        self.figures[name] = AdmissionFigures(
            hostname=name,
            allowed=before.allowed + new.allowed,
            denied=before.denied + new.denied,
            bypassed=before.bypassed + new.bypassed,
            deadline=before.deadline + new.deadline,
            failed=before.failed + new.failed,
            dropped=before.dropped + new.dropped,
        )


def _read(content: bytes) -> AdmissionFigures:
    try:
        return _figures.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableInput(f"figures: {str(error)[:200]}") from None
