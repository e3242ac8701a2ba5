"""Certificates of the cluster's services, made anew well before they end: when, for whom, and where they are put.

Keys are made here and stay in the cluster; Central is asked over the stream to sign for them. The Sensor's own goes to its
disk, the others' into Secrets. Each is looked at by itself, so whatever was not done before this Sensor was killed is found
wanting the next time; what there was before is good until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import structlog

from redoubt.errors import NetworkError, RedoubtError, UnreadableInput
from redoubt.kubeapi import ApiFailure
from redoubt.model.cluster import CertificateEnd
from redoubt.sensor.identity.folder import Leaf, Own, belongs, leaf
from redoubt.sensor.identity.peers import Peers
from redoubt.sensor.identity.secrets import Secrets
from redoubt.wire import csr
from redoubt.wire.authority import Issued
from redoubt.wire.failures import Unavailable
from redoubt.wire.identity import Identity, Service
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

#: Seconds between two looks, within which Central answers, and until it is asked again after a failure: doubled each time.
_LOOK, _PATIENCE, _FIRST, _LONGEST = 600.0, 30.0, 10.0, 600.0
#: Seconds until the next look where the API server did not take a Secret, and time until one that may not be written is tried again.
_SOONER, _FORBIDDEN_FOR = 60.0, timedelta(hours=6)
#: So long before a certificate ends it is a problem that it is still there.
SOON = timedelta(days=30)
_FORBIDDEN = 403

_log = structlog.get_logger("certificates")

Tell = Callable[[pb.FromSensor], None]


class Wanted:
    """Keys, and what Central is asked to sign for them."""

    def __init__(self, services: Iterable[Service], namespace: str) -> None:
        self.keys = {service: csr.new_key() for service in services}
        self.request = pb.CertificateRequests(
            id=str(uuid4()),
            namespace=namespace,
            wanted=[
                pb.CertificateRequests.One(service=service.value, request=csr.made(key))
                for service, key in self.keys.items()
            ],
        )

    def fitting(self, given: pb.Certificates, cluster: str) -> dict[Service, Issued]:
        """What was given, with its keys. Raises ``UnreadableInput`` where it is not what was asked for."""
        if given.failure:
            raise NetworkError(f"Central: {given.failure[:300]}")
        found: dict[Service, Issued] = {}
        for service, key in self.keys.items():
            certificate = next(
                (each.certificate for each in given.issued if each.service == service.value), b""
            )
            issued = Issued(certificate, csr.pem(key), given.authorities)
            if not belongs(leaf(issued.certificate, issued.key, issued.authorities), service, cluster):
                raise UnreadableInput(
                    f"Central gave another certificate than one of {service} of this cluster"
                )
            found[service] = issued
        return found


class Renewal:
    """``others`` are the services beside the Sensor. ``again`` is called when the Sensor is to show its new certificate."""

    def __init__(
        self,
        own: Own,
        secrets: Secrets,
        peers: Peers,
        tell: Tell,
        again: Callable[[], None],
        *,
        namespace: str,
        others: Collection[Service],
    ) -> None:
        self._own = own
        self._secrets = secrets
        self._peers = peers
        self._tell = tell
        self._again = again
        self._namespace = namespace
        self._others = tuple(others)
        self._cluster = ""
        #: The CAs that Central says are to be trusted; nothing where it issues no certificates, or none was said yet.
        self._authorities = b""
        self._wake = asyncio.Event()
        self._wake.set()
        self._busy = asyncio.Lock()
        self._answer: asyncio.Future[pb.Certificates] | None = None
        self._request = ""
        self._failed = 0
        self._failure = ""
        self._unwritten: dict[Service, str] = {}
        #: Services whose Secrets may not be written, and when that is tried again.
        self._forbidden: dict[Service, datetime] = {}
        self._looked = False
        self._leaf: Leaf | None = None
        self._stored: dict[Service, Leaf] = {}
        self._said: dict[str, datetime] = {}
        #: By how many nanoseconds this clock is ahead of Central's, by which certificates are made.
        self.ahead: Callable[[], int] = lambda: 0
        #: The certificate that the local Indexer showed.
        self.indexer: Callable[[], Identity | None] = lambda: None

    # What Central says

    def welcomed(self, cluster: str) -> None:
        """Central can be asked."""
        self._cluster = cluster
        self._wake.set()

    def say_authorities(self, authorities: bytes) -> None:
        """Which CAs are to be trusted."""
        if authorities != self._authorities:
            self._authorities = authorities
            self._failed = 0
            self._wake.set()

    def answered(self, given: pb.Certificates) -> None:
        """What was asked for. An answer that nobody waits for is of a question before."""
        if self._answer is not None and not self._answer.done() and given.id == self._request:
            self._answer.set_result(given)

    def away(self) -> None:
        """Central does not answer any more what it was asked."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Unavailable("Central is away"))

    # What is done

    async def run(self) -> None:
        """For ever."""
        while True:
            pause = min(_LONGEST, _FIRST * 2.0 ** min(self._failed - 1, 8)) if self._failed else _LOOK
            if self._unwritten:
                pause = min(pause, _SOONER)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)
            self._wake.clear()
            try:
                await self._look()
            except RedoubtError as error:
                self._fail(str(error))
            except Exception as error:  # noqa: BLE001 (the next time it may do)
                _log.exception("certificates could not be looked at")
                self._fail(f"it failed ({type(error).__name__})")
            self._warn(datetime.now(UTC))

    async def now(self) -> None:
        """Make all of them anew. Raises ``RedoubtError`` where not all could be."""
        async with self._busy:
            self._forbidden.clear()
            await self._renew((Service.SENSOR, *self._others))
        if self._unwritten:
            raise NetworkError("; ".join(self._unwritten.values()))

    async def _look(self) -> None:
        async with self._busy:
            self._leaf = await asyncio.to_thread(self._own.settle)
            self._looked = True
            due = await self._due()
            if due and self._cluster and self._authorities:
                await self._renew(due)
            else:
                await self._mirror()
            self._failed, self._failure = 0, ""

    async def _due(self) -> list[Service]:
        now = datetime.now(UTC) - timedelta(microseconds=self.ahead() // 1000)
        due = [Service.SENSOR] if self._is_due(Service.SENSOR, self._leaf, now) else []
        for service in self._others:
            if now < self._forbidden.get(service, now):
                continue
            self._unwritten.pop(service, None)
            try:
                held = await self._secrets.get(service)
            except RedoubtError as error:
                self._cannot(service, error)
                continue
            found = None if held is None else held.leaf
            if found is not None:
                self._stored[service] = found
            if self._is_due(service, found, now):
                due.append(service)
        return due

    def _is_due(self, service: Service, found: Leaf | None, now: datetime) -> bool:
        if found is None or not belongs(found, service, self._cluster) or now >= found.renewed:
            return True
        # The CA is being exchanged: first one more is trusted, then that one signs, then the one before is trusted no more.
        return bool(self._authorities) and found.authorities.strip() != self._authorities.strip()

    async def _renew(self, due: Iterable[Service]) -> None:
        wanted = Wanted(due, self._namespace)
        given = wanted.fitting(await self._asked(wanted.request), self._cluster)
        for service, issued in given.items():
            if service is Service.SENSOR:
                await asyncio.to_thread(self._own.adopt, issued)
                self._leaf = await asyncio.to_thread(self._own.settle)
            else:
                await self._put(service, issued)
        await self._mirror()
        _log.info("certificates were made anew", services=sorted(given))
        if Service.SENSOR in given:
            self._again()

    async def _asked(self, request: pb.CertificateRequests) -> pb.Certificates:
        self._answer, self._request = asyncio.get_running_loop().create_future(), request.id
        try:
            self._tell(pb.FromSensor(certificates=request))
            return await asyncio.wait_for(self._answer, _PATIENCE)
        except TimeoutError:
            raise Unavailable("Central does not answer a request for certificates") from None
        finally:
            self._answer = None

    async def _mirror(self) -> None:
        """The Sensor's own as a Secret too: its disk may be lost."""
        made = await asyncio.to_thread(self._own.made)
        if made is None:
            return
        now = datetime.now(UTC)
        if now < self._forbidden.get(Service.SENSOR, now):
            return
        self._unwritten.pop(Service.SENSOR, None)
        try:
            held = await self._secrets.get(Service.SENSOR)
            if held is None or held.issued != made:
                await self._secrets.put(Service.SENSOR, made)
        except RedoubtError as error:
            self._cannot(Service.SENSOR, error)

    async def _put(self, service: Service, issued: Issued) -> None:
        self._unwritten.pop(service, None)
        try:
            await self._secrets.put(service, issued)
            self._stored[service] = leaf(issued.certificate, issued.key, issued.authorities)
        except RedoubtError as error:
            self._cannot(service, error)

    def _cannot(self, service: Service, error: RedoubtError) -> None:
        if isinstance(error, ApiFailure) and error.code == _FORBIDDEN:
            why = "the Sensor may not read and write Secrets of its namespace"
            self._forbidden[service] = datetime.now(UTC) + _FORBIDDEN_FOR
        else:
            why = str(error)[:300]
        if self._unwritten.get(service) != why:
            _log.warning("a service's certificate cannot be made anew", service=service, reason=why)
        self._unwritten[service] = why

    def _fail(self, why: str) -> None:
        self._failed += 1
        if why != self._failure:
            _log.warning("certificates cannot be made anew", reason=why[:300])
        self._failure = why

    # What is told of it

    def ends(self) -> tuple[CertificateEnd, ...]:
        """When each service's certificate ends: of those that are connected, else as the Secret has it."""
        found: dict[Service, CertificateEnd] = {}
        indexer = self.indexer()
        for each in (*self._peers, *([indexer] if indexer is not None else ())):
            before = found.get(each.service)
            if each.expires and (before is None or each.expires < before.ends):
                found[each.service] = CertificateEnd(
                    service=each.service, ends=each.expires, begins=each.begins
                )
        if self._leaf is not None:
            self._stored[Service.SENSOR] = self._leaf
        for service, each in self._stored.items():
            if service not in found:
                found[service] = CertificateEnd(
                    service=service, ends=int(each.ends.timestamp()), begins=int(each.begins.timestamp())
                )
        return tuple(msgspec.structs.replace(each) for _, each in sorted(found.items()))

    def problems(self) -> list[str]:
        """What somebody should look at."""
        now = datetime.now(UTC)
        found = []
        if self._unwritten:
            whys = "; ".join(sorted(set(self._unwritten.values())))
            names = ", ".join(sorted(self._unwritten))
            found.append(f"certificates of {names} are not made anew: {whys}")
        for each in self.ends():
            end = datetime.fromtimestamp(each.ends, UTC)
            if end <= now + SOON:
                why = f" ({self._failure})" if self._failure else ""
                found.append(f"a certificate of {each.service} ends on {end:%Y-%m-%d %H:%M} UTC{why}")
        if self._looked and self._leaf is None:
            found.append("the Sensor's certificate has ended, or cannot be read")
        return found

    def _warn(self, now: datetime) -> None:
        """Once a day each."""
        self._said = {service: at for service, at in self._said.items() if now - at < timedelta(days=1)}
        for each in self.ends():
            end = datetime.fromtimestamp(each.ends, UTC)
            if end <= now + SOON and each.service not in self._said:
                self._said[each.service] = now
                _log.warning("a certificate ends soon", service=each.service, ends=end.isoformat())
