"""Images that this cluster reads itself: its own Indexer makes a report with the cluster's pull secrets, Central does the rest.

Where OpenShift has mirrors for an image these are tried first. Credentials come out of the namespace's secrets, OpenShift's global
pull secret, the Sensor's own namespace's, and Central's integrations; they go to the Indexer, and are not kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import structlog

from redoubt.errors import AccessDenied, RedoubtError, UnreadableInput, UsageError
from redoubt.indexer.sources.credentials import find_within
from redoubt.indexer.sources.reference import ImageReference, of_openshift, parse_reference
from redoubt.model.cluster import PullSecret, ServiceHealth
from redoubt.sensor.graph import mirrors
from redoubt.sensor.graph.inventory import Inventory
from redoubt.sensor.stream.asking import Central
from redoubt.wire import chunks
from redoubt.wire.channel import Channel, ClientStream
from redoubt.wire.failures import Refused, Unavailable
from redoubt.wire.proto.redoubt.v1 import indexer_pb2 as pb
from redoubt.wire.proto.redoubt.v1.indexer_grpc import IndexerStub

_log = structlog.get_logger("scanning")
#: Images at a time, and of those that somebody asks for by name. The original's numbers.
AT_ONCE, AD_HOC = 30, 5
#: OpenShift's pull secret for all of the cluster.
GLOBAL = ("openshift-config", "pull-secret")
#: The CA of OpenShift's own services, its registry among them; where a pod has it.
_SERVICE_CA = Path("/var/run/secrets/kubernetes.io/serviceaccount/service-ca.crt")
#: Tries of one image, with all of its places and credentials.
_TRIES = 30
#: Seconds between two looks at the Indexer, and for its answer about an image that there is not.
_LOOK, _PATIENCE = 30.0, 5.0
_NO_IMAGE = "sha256:" + "0" * 64

Call = ClientStream[pb.CreateIndexReportRequest, pb.CreateIndexReportReply]


class LocalScanning:
    """Scans with the Indexer at ``indexer``; None: there is none. ``own`` is the Sensor's namespace."""

    def __init__(
        self,
        indexer: Channel | None,
        central: Central,
        inventory: Inventory,
        own: str,
        at_once: int = AT_ONCE,
        ad_hoc: int = AD_HOC,
    ) -> None:
        self._indexer = indexer
        self._central = central
        self._inventory = inventory
        self._own = own
        self._at_once, self._ad_hoc = asyncio.Semaphore(at_once), asyncio.Semaphore(ad_hoc)
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

    async def scan(self, name: str, namespace: str, *, force: bool, ad_hoc: bool = False) -> bytes:
        """An image, scanned: JSON of a ``ScannedImage``. ``ad_hoc``: somebody asks for it by name. Raises ``RedoubtError``."""
        if self._indexer is None:
            raise UsageError("this cluster has no Indexer of its own; the Sensor's settings name none")
        reference = parse_reference(name)
        async with self._ad_hoc if ad_hoc else self._at_once:
            report = await self._found(self._indexer, reference, namespace, force=force)
            return await self._central.enrich(name, report)

    async def _found(
        self, indexer: Channel, reference: ImageReference, namespace: str, *, force: bool
    ) -> bytes:
        """The report of the first place that has the image, by the first credentials that do. Raises why the last had not."""
        failures: list[RedoubtError] = []
        for place in mirrors.places(reference, self._inventory.mirrors.rules):
            async for registry in self._registries(place, reference, namespace):
                if len(failures) >= _TRIES:
                    break
                request = pb.CreateIndexReportRequest(reference=str(place), again=force, registry=registry)
                try:
                    return await self._report(indexer, request)
                except (Refused, Unavailable):  # the Indexer's own
                    raise
                except AccessDenied as error:  # others may do
                    failures.append(error)
                except RedoubtError as error:
                    failures.append(error)
                    break
        if not failures:
            raise UsageError(
                f"{reference}: its source is not to be contacted, and it has no mirror that fits"
            )
        told = dict.fromkeys(str(each) for each in failures)
        if len(told) == 1:
            raise failures[-1]
        raise RedoubtError("; ".join(told)[:2000])

    async def _report(self, indexer: Channel, request: pb.CreateIndexReportRequest) -> bytes:
        with indexer.told():
            async with IndexerStub(indexer).CreateIndexReport.open() as call:
                await call.send_message(request, end=True)
                return await _joined(call, indexer.address)

    async def _registries(
        self, place: ImageReference, image: ImageReference, namespace: str
    ) -> AsyncIterator[pb.Registry]:
        """Who one may be at a place, in the order in which it is tried; nobody at last: public images need nobody."""
        inside = of_openshift(place)
        ca = await asyncio.to_thread(_service_ca) if inside else b""
        where = namespace or (place.repository.partition("/")[0] if inside else "")
        said = set()
        for secret in self._secrets(where):
            try:
                found = find_within(secret.config, f"{secret.namespace}/{secret.name}", place)
            except RedoubtError as error:
                _log.warning("a pull secret cannot be read", reason=str(error))
                continue
            if found is not None and found not in said:
                said.add(found)
                yield pb.Registry(
                    username=found.username, password=found.password, token=found.identity_token, ca=ca
                )
        if place == image:
            for registry in await self._lent(image):
                yield registry
        yield pb.Registry(ca=ca)

    def _secrets(self, namespace: str) -> list[PullSecret]:
        """Pull secrets: the namespace's, OpenShift's global one, the Sensor's own namespace's."""
        there = self._inventory.pull_secrets_of
        everybodys = [each for each in there(GLOBAL[0]) if each.name == GLOBAL[1]]
        return [*there(namespace), *everybodys, *(there(self._own) if self._own != namespace else ())]

    async def _lent(self, image: ImageReference) -> list[pb.Registry]:
        try:
            return await self._central.registries(str(image))
        except RedoubtError as error:
            _log.info("Central lends no credentials", image=str(image), reason=str(error))
            return []


def _service_ca() -> bytes:
    try:
        return _SERVICE_CA.read_bytes()
    except OSError:
        return b""


async def _joined(call: Call, where: str) -> bytes:
    async for reply in call:
        if reply.part.WhichOneof("part") == "begun":

            async def rest() -> AsyncIterator[bytes]:
                async for one in call:
                    yield one.part.chunk

            return await chunks.join(rest(), reply.part.begun.size)
    raise UnreadableInput(f"{where}: ended its answer before it began")
