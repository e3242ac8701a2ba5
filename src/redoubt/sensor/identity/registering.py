"""The first certificate of a cluster that has a registration secret and nothing else: asked of Central, once."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import msgspec
import structlog

import redoubt
from redoubt.errors import AccessDenied, UnreadableInput
from redoubt.model.cluster import Identification
from redoubt.sensor.identity.folder import Own
from redoubt.sensor.identity.renewing import Wanted
from redoubt.wire import crs
from redoubt.wire.authority import Issued
from redoubt.wire.channel import Channel, channel
from redoubt.wire.failures import Unavailable
from redoubt.wire.identity import Service
from redoubt.wire.material import Files, Material
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from redoubt.wire.proto.redoubt.v1.sensors_grpc import SensorsStub

#: Where the Secret is mounted that ``roxctl central crs generate`` writes; the original's.
MOUNTED = Path("/run/secrets/stackrox.io/crs/crs")
#: Seconds within which Central answers, and until it is asked again where it is away.
_PATIENCE, _AGAIN, _LONGEST = 60.0, 1.0, 30.0

_log = structlog.get_logger("certificates")


async def register(
    own: Own,
    file: Path,
    central: str,
    identification: Identification,
    *,
    cluster_name: str,
    namespace: str,
) -> None:
    """Have ``own`` be this cluster's Sensor. Waits for a Central that is away.

    Raises ``AccessDenied`` where Central refuses (the secret was revoked, has ended or is used up, or the cluster was connected
    before), and ``UnreadableInput`` for a file that is no such secret.
    """
    registration = await asyncio.to_thread(_read, file)
    folder = Path(tempfile.mkdtemp(prefix="redoubt-registrant-"))
    try:
        authorities = "\n".join(registration.authorities).encode()
        issued = Issued(registration.certificate.encode(), registration.key.encode(), authorities)
        await asyncio.to_thread(issued.write, folder)
        line = channel(central, Material(Files.within(folder)), [Service.CENTRAL])
        try:
            wanted = Wanted([Service.SENSOR], namespace)
            hello = pb.Hello(
                version=redoubt.__version__,
                identification=msgspec.json.encode(identification),
                cluster_name=cluster_name,
                certificates=wanted.request,
            )
            welcome = await _welcomed(line, hello)
        finally:
            line.close()
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    [given] = wanted.fitting(welcome.certificates, welcome.cluster_id).values()
    await asyncio.to_thread(own.adopt, given)
    _log.info("registered", cluster=welcome.cluster_name)


async def _welcomed(line: Channel, hello: pb.Hello) -> pb.Welcome:
    pause = _AGAIN
    while True:
        try:
            return await _asked(line, hello)
        except Unavailable as error:
            _log.warning("not registered yet", reason=str(error)[:300], again_in=pause)
        await asyncio.sleep(pause)
        pause = min(_LONGEST, pause * 2)


def _read(file: Path) -> crs.Registration:
    try:
        return crs.read(file.read_bytes())
    except OSError as error:
        raise AccessDenied(f"{file}: cannot be read ({error.strerror})") from None
    except UnreadableInput as error:
        raise UnreadableInput(f"{file}: {error}") from None


async def _asked(line: Channel, hello: pb.Hello) -> pb.Welcome:
    with line.told():
        async with SensorsStub(line).Communicate.open() as stream:
            await stream.send_message(pb.FromSensor(hello=hello), end=True)
            try:
                message = await asyncio.wait_for(stream.recv_message(), _PATIENCE)
            except TimeoutError:
                raise Unavailable(f"{line.address}: does not answer") from None
    if message is None or message.WhichOneof("message") != "welcome":
        raise Unavailable(f"{line.address}: does not say welcome")
    return message.welcome
