"""A stand-in for a Sensor, which speaks the real protocol over the real port, and a Central that serves Sensors.

The stand-in watches no cluster: what it tells is what a test makes up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import msgspec

from redoubt.central.clusters.bundles import Bundles
from redoubt.central.hub.parts import Hub, attach
from redoubt.central.hub.wire import SensorService
from redoubt.central.policies.keeping import Policies
from redoubt.central.services import Services
from redoubt.model.cluster import Health, Identification, ServiceHealth
from redoubt.wire.channel import Channel, channel
from redoubt.wire.identity import ANY_CLUSTER, Service
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from redoubt.wire.proto.redoubt.v1.sensors_grpc import SensorsStub
from redoubt.wire.server import OnePort
from support import centrals
from support.scanners import Scanners
from support.wire import Certificates

#: Of anything that a test waits for, in seconds.
PATIENCE = 60.0
ADMIN = ("admin", centrals.PASSWORD)


class Watching(centrals.Central):
    """What a Central that looks after clusters has in addition: a real port, and words for tests."""

    certificates: Certificates

    def active(self) -> str:
        """The digest of the definitions that are active."""
        return ""

    async def equip(self, services: Services) -> None:
        self.bundles = services.bundles = Bundles(
            services.pool, self.notices, self.certificates.authority_folder
        )
        self.auth.authenticator.trusted = self.bundles
        self.hub = services.hub = Hub(services.pool, services.settings, self.notices, self.bundles)
        services.policies = Policies(services.pool)
        services.parts += [services.policies, self.hub]
        await super().equip(services)
        attach(services, self.active)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.server = OnePort(
            tls=self.certificates.material(Service.CENTRAL, f"central-{uuid4()}"),
            app=self.app,
            services=[SensorService(self.services)],
        )
        await self.server.start("127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.server.stop(0)
        await super().__aexit__(*exc)

    async def cluster(self, name: str) -> str:
        """A cluster that an administrator adds; its identifier."""
        answer = await self.http.post("/v1/clusters", json={"name": name}, auth=ADMIN)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["cluster"]["id"])

    async def get(self, path: str, **parameters: Any) -> Any:
        """What the administrator is answered."""
        answer = await self.http.get(path, params=parameters, auth=ADMIN)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def dial(self, cluster: str, service: Service = Service.SENSOR, **more: Any) -> Channel:
        """A channel with a certificate of a cluster's service."""
        return dial(self.server.port, self.certificates, cluster, service, **more)


class Watched(Watching):
    """A Central that looks after clusters, without a Scanner."""

    def __init__(
        self, url: str, folder: Path, certificates: Certificates | None = None, **settings: Any
    ) -> None:
        super().__init__(url, folder / "central", **settings)
        self.certificates = certificates or Certificates(folder / "certificates")


class WatchedScanners(Watching, Scanners):
    """The same with an Indexer and a Matcher; see ``Scanners``."""

    def active(self) -> str:
        """See ``Watching``."""
        return self.definitions.active()


def dial(
    port: int, certificates: Certificates, cluster: str, service: Service = Service.SENSOR, **more: Any
) -> Channel:
    """The same to a port."""
    tls = certificates.material(service, f"{service.host}-{uuid4()}", identifier=cluster, **more)
    return channel(f"127.0.0.1:{port}", tls, {Service.CENTRAL})


class Sensor:
    """A connection of a stand-in Sensor. ``told`` is all that Central said."""

    stream: Any

    def __init__(self, spool: str, dialled: Channel) -> None:
        self.spool = spool
        self.told: list[pb.ToSensor] = []
        self.acknowledged = 0
        self.number = 0
        self._dialled = dialled
        self._changed = asyncio.Event()
        self._opened = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def open(self) -> None:
        """Until the call has begun."""
        opened = asyncio.create_task(self._opened.wait())
        await asyncio.wait([opened, self._reader], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if self._reader.done():
            opened.cancel()
            self._reader.result()

    async def _read(self) -> None:
        try:
            # Within the call, whose end says why it ended.
            with self._dialled.told():
                async with SensorsStub(self._dialled).Communicate.open() as self.stream:
                    await self.stream.send_request()
                    self._opened.set()
                    while (message := await self.stream.recv_message()) is not None:
                        self.told.append(message)
                        if message.WhichOneof("message") == "acknowledged":
                            self.acknowledged = message.acknowledged
                        self._changed.set()
                    await self.stream.recv_trailing_metadata()
        finally:
            self._changed.set()

    async def hello(self, *, system: str = "kube-system-uid", end: bool = False, **more: Any) -> None:
        """``end``: nothing comes after it."""
        said = msgspec.json.encode(Identification(system_namespace_id=system, k8s_version="v1.31.0"))
        hello = pb.Hello(version="4.9.0", spool=self.spool, identification=said, **more)
        await self.stream.send_message(pb.FromSensor(hello=hello), end=end)

    async def send(self, *, kept: bool = True, **message: Any) -> int:
        """Send a message; its number."""
        if kept:
            self.number += 1
        await self.stream.send_message(pb.FromSensor(number=self.number if kept else 0, **message))
        return self.number if kept else 0

    async def upsert(self, kind: str, identifier: str, object_: dict[str, Any], **more: Any) -> int:
        return await self.send(
            object=pb.ObjectEvent(
                kind=kind,
                id=identifier,
                action=pb.ObjectEvent.UPSERT,
                object=json.dumps(object_).encode(),
                hash=str(abs(hash(json.dumps(object_)))),
            ),
            **more,
        )

    async def remove(self, kind: str, identifier: str) -> int:
        return await self.send(object=pb.ObjectEvent(kind=kind, id=identifier, action=pb.ObjectEvent.REMOVE))

    async def synced(self, **unchanged: list[str]) -> None:
        """All was said, but for these, which are unchanged."""
        several = [pb.Synced.Unchanged(kind=kind, ids=ids) for kind, ids in unchanged.items()]
        await self.send(kept=False, synced=pb.Synced(unchanged=several))

    async def healthy(self, **more: Any) -> None:
        health = Health(sensor=ServiceHealth(status="HEALTHY", version="4.9.0"), **more)
        await self.send(kept=False, health=pb.ClusterHealth(health=msgspec.json.encode(health)))

    def of(self, kind: str) -> list[Any]:
        """What was told of a kind."""
        return [getattr(each, kind) for each in self.told if each.WhichOneof("message") == kind]

    async def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Until it is so, or the connection ended, which raises why."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                if self._reader.done():
                    self._reader.result()
                    raise AssertionError(f"the call ended before {what}")
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), 0.2)
                except TimeoutError:
                    continue

    async def ready(self) -> pb.Welcome:
        """Until all that it decides by has come."""
        await self.until("all was known", lambda: any(each.whole for each in self.of("known")))
        welcome: pb.Welcome = self.of("welcome")[0]
        self.number = max(self.number, welcome.acknowledged)
        self.acknowledged = max(self.acknowledged, welcome.acknowledged)
        return welcome

    async def kept(self, number: int | None = None) -> None:
        """Until Central has acknowledged a number, or all."""
        wanted = self.number if number is None else number
        await self.until(f"{wanted} was acknowledged", lambda: self.acknowledged >= wanted)

    async def over(self) -> None:
        """Until Central ends the call; raises why."""
        async with asyncio.timeout(PATIENCE):
            await self._reader

    async def close(self) -> None:
        """Hang up."""
        self._reader.cancel()
        await asyncio.wait([self._reader], timeout=PATIENCE)


@asynccontextmanager
async def sensor(
    central: Watching,
    cluster: str = ANY_CLUSTER,
    *,
    spool: str = "spool",
    hello: bool = True,
    bundle: str = "",
    **more: Any,
) -> AsyncIterator[Sensor]:
    """A stand-in Sensor that is connected. ``cluster``: whose certificate it has; an init bundle's where it is none's."""
    dialled = central.dial(cluster, **({"bundle_id": bundle} if bundle else {}))
    async with connected(dialled, spool=spool, hello=hello, **more) as one:
        yield one


@asynccontextmanager
async def connected(
    dialled: Channel, *, spool: str = "spool", hello: bool = True, **more: Any
) -> AsyncIterator[Sensor]:
    """The same over a channel."""
    try:
        one = Sensor(spool, dialled)
        try:
            await one.open()
            if hello:
                await one.hello(**more)
            yield one
        finally:
            await one.close()
    finally:
        dialled.close()


def deployment(name: str, namespace: str = "shop", image: str = "", **more: Any) -> dict[str, Any]:
    """The JSON of a deployment with one container."""
    reference, _, digest = (image or f"registry.example/{name}:1.0").partition("@")
    return {
        "id": f"uid-{name}",
        "name": name,
        "type": "Deployment",
        "namespace": namespace,
        "labels": {"app": name},
        "created": "2099-01-02T03:04:05Z",
        "containers": [{"name": name, "image": {"id": digest, "name": {"fullName": reference}}}],
        **more,
    }
