"""Calls to a service: a connection that is made when it is needed, to a server that proves to be the one expected.

    async with channel("127.0.0.1:8443", material, MATCHERS) as matcher:
        with matcher.told():
            reply = await MatcherStub(matcher).GetMetadata(GetMetadataRequest())

It must not know which calls there are.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from grpclib.client import Channel as GrpcChannel
from grpclib.client import Handler
from grpclib.client import Stream as ClientStream
from grpclib.const import Cardinality
from grpclib.protocol import H2Protocol

from redoubt.errors import UsageError
from redoubt.wire import failures, h2
from redoubt.wire.failures import Unavailable
from redoubt.wire.identity import NAMESPACE, Identity, Service
from redoubt.wire.material import Material

__all__ = ["Channel", "ClientStream", "channel", "split"]

#: Seconds: for connecting with its handshake, and for a call that has one answer.
CONNECT = 10.0
DEADLINE = 60.0
#: Seconds to wait after a connection failed: doubled each time, jittered.
FIRST, LONGEST = 0.1, 5.0
#: Connections that one call makes, where each ends before the call begins.
_TRIES = 5
PORT = 8443


class Channel(GrpcChannel):
    """A channel for the stubs. Several calls at once share its connection; made by ``channel``."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: Material,
        expected: frozenset[Service],
        server_name: str,
        deadline: float | None,
        clusters: bool,
    ) -> None:
        super().__init__(host, port, status_details_codec=failures.Details())
        self.address = f"{host}:{port}"
        self._tls = tls
        self._scheme = "https"
        self._expected = expected
        self._server_name = server_name
        self._deadline = deadline
        self._clusters = clusters
        self._limits = h2.Limits(keepalive=20.0, keepalive_timeout=10.0)
        self._failed = 0
        self._not_before = 0.0
        self._failure = ""
        self._reached = ""

    def renew(self) -> None:
        """Connect anew for the next call, with what the certificates' files hold then. Calls under way go on to their end."""
        before, self._protocol = self._protocol, None
        if isinstance(before, h2.Http2) and not before.connection.is_closing():
            before.retire()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Calls made within fail with Redoubt's own errors, which name the address."""
        with failures.told(self.address):
            yield

    @property
    def peer(self) -> Identity | None:
        """Who is at the other end now."""
        return self._protocol.identity if self._connected and isinstance(self._protocol, h2.Http2) else None

    async def ready(self, within: float | None = None) -> None:
        """Wait until there is a connection, trying again and again. Raises ``Unavailable`` after ``within`` seconds."""
        end = time.monotonic() + within if within is not None else None
        while True:
            try:
                with self.told():
                    await self.__connect__()
                    return
            except Unavailable:
                wait = max(0.0, self._not_before - time.monotonic())
                if end is not None and time.monotonic() + wait > end:
                    raise
                await asyncio.sleep(wait)

    def request(self, name: str, cardinality: Cardinality, *types: Any, **more: Any) -> Any:
        """grpclib's own, with a deadline for calls that have one answer and name none."""
        if not cardinality.server_streaming and more.get("timeout") is None and more.get("deadline") is None:
            more["timeout"] = self._deadline
        return super().request(name, cardinality, *types, **more)

    async def __connect__(self) -> H2Protocol:
        """A connection on which a call can begin: one that ended while others were waited for is no such."""
        for _ in range(_TRIES):
            made = await super().__connect__()
            if not made.processor.connection.is_closing():
                return made
        raise Unavailable(f"{self.address}: ends each connection as soon as it is made")

    async def _create_connection(self) -> h2.Http2:
        """Called by grpclib, one at a time, when a call finds no connection."""
        if time.monotonic() < self._not_before:
            raise Unavailable(self._failure)
        try:
            with failures.told(self.address):
                made = await asyncio.wait_for(self._connected_to_the_expected(), CONNECT)
        except Unavailable as error:
            wait = min(LONGEST, FIRST * 2.0 ** min(self._failed, 16)) * random.uniform(0.5, 1.0)  # noqa: S311
            self._failed += 1
            self._not_before, self._failure = time.monotonic() + wait, str(error)
            raise
        self._failed = 0
        return made

    async def _connected_to_the_expected(self) -> h2.Http2:
        await asyncio.to_thread(self._tls.refresh)
        problem: list[str] = []

        def check(made: h2.Http2) -> None:
            tls = made.transport.get_extra_info("ssl_object")
            if made.identity is None or made.identity.service not in self._expected:
                wanted = " or ".join(sorted(self._expected))
                problem.append(
                    f"{self.address}: is {made.identity or 'no service of ours'}, and not {wanted}"
                )
            elif made.identity.of_cluster and not self._clusters:
                problem.append(
                    f"{self.address}: is {made.identity}, a cluster's, and not this installation's"
                )
            elif tls.selected_alpn_protocol() != "h2":
                problem.append(f"{self.address}: does not speak gRPC")

        def protocol() -> h2.Http2:
            return h2.Http2(Handler(), self._limits, client=True, made=check)

        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(
            protocol,
            self._host,
            self._port,
            ssl=self._tls.client(),
            server_hostname=self._server_name,
            ssl_handshake_timeout=CONNECT,
        )
        if problem:
            made.transport.abort()
            raise Unavailable(problem[0])
        # Only now has the server looked at our certificate, and said how many calls it takes at once.
        try:
            await made.settled
        except OSError:
            raise Unavailable(f"{self.address}: hung up when it saw our certificate, {self._own()}") from None
        return made

    def _own(self) -> str:
        """What may be wrong with our certificate."""
        begins, ends = self._tls.validity
        now = datetime.now(UTC)
        if not begins <= now < ends:
            return f"which by the clock here ({now:%Y-%m-%d %H:%M} UTC) is not valid: {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M}"
        return (
            f"valid from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC:"
            " it may trust another CA, or its clock may be wrong"
        )


def channel(
    address: str,
    tls: Material,
    expected: Collection[Service],
    *,
    namespace: str = NAMESPACE,
    deadline: float | None = DEADLINE,
    clusters: bool = True,
) -> Channel:
    """A channel to the service at ``address`` (``host[:port]``), which must prove to be one of ``expected``.

    Nothing is connected before the first call (or ``ready``). ``deadline`` is for calls with one answer that name no
    timeout of their own; calls with a stream of answers have none. After a failure, calls fail at once until it is time
    to try again. Without ``clusters`` a service of a secured cluster is not one that was meant. Raises ``UsageError`` for an address that is none.
    """
    host, port = split(address)
    wanted = frozenset(expected)
    name = min(wanted, key=list(Service).index).hosts(namespace)[-1]
    return Channel(host, port, tls, wanted, name, deadline, clusters)


def split(address: str) -> tuple[str, int]:
    """``host``, ``host:port``, ``[v6]:port``; the port is 8443 unless said."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, str(PORT)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise UsageError(f"{address!r}: write an IPv6 address in brackets, [::1]:8443")
    if not host or "/" in host or not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise UsageError(f"{address!r} is no address of a service; it has the form host:port")
    return host, int(port)
