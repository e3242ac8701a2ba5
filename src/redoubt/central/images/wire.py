"""``redoubt.v1.Images``: what ``/v1/images`` answers, over gRPC, for people's programs and pipelines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from grpclib.server import Stream

from redoubt.central.auth.calls import Door, calling, permit
from redoubt.central.auth.declare import allow
from redoubt.central.auth.reach import Reach, reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.images import asking
from redoubt.central.images.jobs import ScanJob
from redoubt.central.refusals import InvalidArgument
from redoubt.central.services import Services
from redoubt.central.store.images import Kept, Listed
from redoubt.wire import calls, chunks
from redoubt.wire.proto.redoubt.v1 import images_pb2 as pb
from redoubt.wire.proto.redoubt.v1.images_grpc import ImagesBase

#: As for the paths in ``central.api.images``.
_READ = allow(Resource.IMAGE, Access.READ)
_SEE = allow(Resource.IMAGE, Access.READ, scoped=True)
_WRITE = allow(Resource.IMAGE, Access.READ_WRITE)

_FORMS: dict[int, asking.Form] = {
    pb.IMAGE: asking.Form.IMAGE,
    pb.REPORT: asking.Form.REPORT,
    pb.INDEX: asking.Form.INDEX,
}
#: Images in a message of a list.
_PAGE = 500

ScanStream = Stream[pb.ScanImageRequest, pb.ScanImageReply]
ImageStream = Stream[pb.GetImageRequest, pb.ImagePart]
ListStream = Stream[pb.ListImagesRequest, pb.ListImagesReply]
CountStream = Stream[pb.CountImagesRequest, pb.CountImagesReply]
DeleteStream = Stream[pb.DeleteImagesRequest, pb.DeleteImagesReply]
ScansStream = Stream[pb.ListScansRequest, pb.ListScansReply]
CancelStream = Stream[pb.CancelScanRequest, pb.CancelScanReply]


class ImageService(ImagesBase):
    """See ``images.proto``."""

    def __init__(self, services: Services, door: Door) -> None:
        self.door = door
        self._services = services

    async def _within(self) -> Reach:
        """Where images are run that the caller may see."""
        return await reach(self._services.pool, calling(), Resource.IMAGE)

    @permit(_WRITE, changes=True)
    async def Scan(self, stream: ScanStream) -> None:
        """See ``images.proto``."""
        asked = await calls.request(stream)
        form = _form(asked.form)

        async def told(job: ScanJob) -> None:
            await stream.send_message(pb.ScanImageReply(scan=_scan(job)))

        request = asking.ScanRequest(image_name=asked.image_name, force=asked.force, platform=asked.platform)
        kept = await asking.scan(self._services, request, told)
        for part in _parts(kept, form, await asking.encoded(kept, form)):
            await stream.send_message(pb.ScanImageReply(part=part))

    @permit(_SEE)
    async def GetImage(self, stream: ImageStream) -> None:
        """See ``images.proto``."""
        asked = await calls.request(stream)
        form = _form(asked.form)
        find = asking.index if form is asking.Form.INDEX else asking.image
        kept = await find(self._services, asked.id, await self._within())
        data = await asking.encoded(kept, form, descriptions=not asked.strip_description)
        for part in _parts(kept, form, data):
            await stream.send_message(part)

    @permit(_SEE)
    async def ListImages(self, stream: ListStream) -> None:
        """See ``images.proto``."""
        asked = await calls.request(stream)
        found = await asking.listed(
            self._services, asked.query, await self._within(), limit=asked.limit, offset=asked.offset
        )
        for at in range(0, len(found), _PAGE):
            page = (_listed(item) for item in found[at : at + _PAGE])
            await stream.send_message(pb.ListImagesReply(images=page))

    @permit(_SEE)
    async def CountImages(self, stream: CountStream) -> None:
        """See ``images.proto``."""
        asked = await calls.request(stream)
        count = await asking.count(self._services, asked.query, await self._within())
        await stream.send_message(pb.CountImagesReply(count=count))

    @permit(_WRITE, changes=True)
    async def DeleteImages(self, stream: DeleteStream) -> None:
        """See ``images.proto``."""
        asked = await calls.request(stream)
        done = await asking.delete(self._services, asked.query, confirm=asked.confirm)
        await stream.send_message(pb.DeleteImagesReply(num_deleted=done.num_deleted, dry_run=done.dry_run))

    @permit(_READ)
    async def ListScans(self, stream: ScansStream) -> None:
        """See ``images.proto``."""
        await calls.request(stream)
        scans = (_scan(job) for job in asking.scans(self._services))
        await stream.send_message(pb.ListScansReply(scans=scans))

    @permit(_WRITE, changes=True)
    async def CancelScan(self, stream: CancelStream) -> None:
        """See ``images.proto``."""
        asking.cancel(self._services, (await calls.request(stream)).id)
        await stream.send_message(pb.CancelScanReply())


def _form(asked: int) -> asking.Form:
    if (form := _FORMS.get(asked)) is None:
        raise InvalidArgument(f"there is no form {asked}")
    return form


def _parts(kept: Kept, form: asking.Form, data: bytes) -> Iterable[pb.ImagePart]:
    yield pb.ImagePart(begun=pb.ImageBegun(id=kept.listed.id, size=len(data), media_type=form.value))
    for chunk in chunks.cut(data):
        yield pb.ImagePart(chunk=chunk)


def _scan(job: ScanJob) -> pb.Scan:
    return pb.Scan(
        id=job.id,
        image=job.image,
        force=job.force,
        state=pb.Scan.State.Value(job.state.value),
        layers=job.progress.layers,
        layers_done=job.progress.layers_done,
        bytes_read=job.progress.bytes_read,
        tries=job.tries,
        problem=job.problem,
        created=_instant(job.created),
        ended=_instant(job.ended),
        digest=job.digest,
        next_try=_instant(job.next_try),
    )


def _listed(item: Listed) -> pb.ListedImage:
    return pb.ListedImage(
        id=item.id,
        name=item.name,
        components=item.components,
        cves=item.cves,
        fixable_cves=item.fixable,
        last_updated=_instant(max(item.indexed, item.matched)),
    )


def _instant(moment: datetime | None) -> str:
    return moment.isoformat() if moment is not None else ""
