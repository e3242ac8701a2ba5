"""Central over the wire, as a Matcher follows it: word of changes by gRPC, descriptions and streams by HTTPS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from redoubt import egress
from redoubt.definitions.shelf import Entry
from redoubt.egress.downloads import download
from redoubt.errors import NetworkError, UnreadableInput
from redoubt.wire.channel import Channel, split
from redoubt.wire.identity import Service
from redoubt.wire.material import Files, namespace
from redoubt.wire.proto.redoubt.v1.definitions_grpc import DefinitionsStub
from redoubt.wire.proto.redoubt.v1.definitions_pb2 import GetActiveRequest, WatchRequest

#: A compressed stream of 16 GB of records, the most that is read, has about 3 GB.
_LARGEST = 8 << 30
_DESCRIPTION = 16 << 20

T = TypeVar("T")


class WireLeader:
    """``following.Leader`` over a channel to Central, with this service's ``files`` as its identity."""

    def __init__(self, channel: Channel, files: Files, *, have: Callable[[], str] = lambda: "") -> None:
        self._channel = channel
        self._files = files
        self._have = have
        host, port = split(channel.address)
        self._host = host
        self._base = f"https://{f'[{host}]' if ':' in host else host}:{port}/v1/definitions/snapshots"

    async def active(self) -> Entry | None:
        """See ``Leader``."""
        with self._channel.told():
            said = await DefinitionsStub(self._channel).GetActive(GetActiveRequest())
        if not said.digest:
            return None
        url = f"{self._base}/{said.digest}"
        data = await self._https(lambda client: client.get_bytes(url, _DESCRIPTION))
        try:
            entry = msgspec.json.decode(data, type=Entry)
        except msgspec.MsgspecError as error:
            raise UnreadableInput(f"{url}: is no description of definitions ({error})") from None
        if entry.digest != said.digest:
            raise UnreadableInput(f"{url}: describes other definitions")
        return entry

    async def changes(self) -> AsyncIterator[str]:
        """See ``Leader``."""
        with self._channel.told():
            async with DefinitionsStub(self._channel).Watch.open() as call:
                await call.send_message(WatchRequest(have=self._have()), end=True)
                async for said in call:
                    yield said.digest

    async def fetch(self, digest: str, file: Path) -> None:
        """See ``Leader``."""
        url = f"{self._base}/{digest}/stream"
        await self._https(lambda client: download(client, url, file, limit=_LARGEST))

    async def _https(self, work: Callable[[egress.Client], T]) -> T:
        return await asyncio.to_thread(self._asked, work)

    def _asked(self, work: Callable[[egress.Client], T]) -> T:
        files = self._files
        with egress.client(
            policy=egress.Policy(offline=True, allowed_hosts=frozenset({self._host})),
            ca_file=files.trusted,
            only_ca=True,
            client_certificate=(files.certificate, files.key),
            # Central is in the namespace that this service is in, and its internal certificate has that name.
            server_name=Service.CENTRAL.hosts(namespace(files))[-1],
        ) as client:
            try:
                return work(client)
            except egress.Missing as error:
                raise NetworkError(f"{error}; these definitions are no longer at Central") from None
