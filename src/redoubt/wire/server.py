"""One TLS port for gRPC and HTTPS: TLS ends once, and ALPN says who goes on, grpclib or uvicorn.

Clients without a certificate are let in; who they are is asked for each call (``calls``) and each request (the
application, of ``scope["state"]["peer"]``). It must not know which calls and routes there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from email.utils import formatdate
from typing import Any, cast

import msgspec
from grpclib.encoding.proto import ProtoCodec
from grpclib.events import _DispatchServerEvents
from uvicorn.config import Config
from uvicorn.lifespan.off import LifespanOff
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import ServerState

from redoubt.errors import NetworkError, UsageError
from redoubt.wire import calls, failures, h2, http1, ports
from redoubt.wire.identity import Identity
from redoubt.wire.material import Material

log = logging.getLogger(__name__)


class Limits(msgspec.Struct, frozen=True):
    """Times are in seconds."""

    http: http1.Limits = http1.Limits()
    grpc: h2.Limits = h2.Limits()
    handshake: float = 10.0
    #: A connection that has calls, but does not read what they send.
    stalled: float = 120.0
    #: A gRPC connection without a call: a service's, and one of somebody who is not known.
    idle: float = 900.0
    idle_unknown: float = 60.0
    #: How often the files of certificates are looked at.
    reload: float = 10.0
    #: How often connections are looked at.
    sweep: float = 1.0


class StartFailed(NetworkError):
    """The service cannot begin: its port is taken, or the application does not start."""


class OnePort:
    """A server on one port. ``start``, then ``stop``; both once.

    ``app`` is an ASGI application (its lifespan included), ``services`` are gRPC services each of whose methods declares
    who may call it: else this raises ``TypeError``. ``foreign``: see ``calls.guarded``.
    """

    def __init__(
        self,
        *,
        tls: Material,
        app: Any = None,
        services: Sequence[calls.Servable] = (),
        limits: Limits | None = None,
        foreign: Callable[[Identity], str] = calls.everyone,
    ) -> None:
        self._tls = tls
        self._trusted = tls.trusted
        self._limits = limits or Limits()
        self._app = app
        self._calls = calls.guarded(services, foreign)
        self._server: asyncio.AbstractServer | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._http = ServerState()
        self._grpc: set[h2.Http2] = set()
        self._lifespan: LifespanOn | LifespanOff | None = None
        self._stopping = False
        self._codec, self._details = ProtoCodec(), failures.Details()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._server is not None
        return int(cast(asyncio.Server, self._server).sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """How many connections there are, after their handshakes."""
        return len(self._http.connections) + len(self._grpc)

    async def start(self, host: str | Sequence[str] | None = None, port: int = 8443) -> None:
        """Start the application and listen. ``host`` None means every address; ``port`` 0 takes a free one.

        Raises ``StartFailed``.
        """
        self._config = Config(
            self._app if self._app is not None else _nothing,
            http=http1.Http1,
            ws="none",
            lifespan="auto" if self._app is not None else "off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=self._limits.http.keep_alive,
        )
        self._config.load()
        self._lifespan = cast("LifespanOn | LifespanOff", self._config.lifespan_class(self._config))
        self._say_date()
        try:
            await self._lifespan.startup()
            if self._lifespan.should_exit:
                raise StartFailed("the application does not start; see the log")
            self._server = await asyncio.get_running_loop().create_server(
                lambda: _Chooser(self),
                host,
                port,
                ssl=self._tls.server(
                    *(["http/1.1"] if self._app is not None else []), *(["h2"] if self._calls else [])
                ),
                ssl_handshake_timeout=self._limits.handshake,
                ssl_shutdown_timeout=5,
                backlog=1024,
                reuse_address=True,
            )
        except (OSError, OverflowError) as error:
            await self._lifespan.shutdown()
            # The system's words; asyncio puts its own around them.
            problem = getattr(error, "errno", None) or str(error)
            raise StartFailed(ports.refusal(host, port, problem)) from error
        except BaseException:  # a start that was cancelled leaves nothing running either
            await self._lifespan.shutdown()
            raise
        self._sweeper = asyncio.create_task(self._sweep())

    async def stop(self, grace: float = 10.0) -> None:
        """Listen no more, let requests and calls under way end for at most ``grace`` seconds, and end the rest."""
        if self._server is None or self._stopping:
            return
        self._stopping = True
        self._server.close()
        self._drain()
        end = time.monotonic() + grace
        while self.connections and time.monotonic() < end:
            await asyncio.sleep(0.02)
        if self.connections or self._http.tasks:
            log.warning("%d connections did not end in time and were ended", self.connections)
            await self._break_off()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        assert self._lifespan is not None
        await self._lifespan.shutdown()

    def protocol(self, alpn: str | None) -> h2.Http2 | http1.Http1 | None:
        """What a connection is spoken in; None for a client that only speaks what is not served here."""
        if self._stopping:
            return None
        if alpn == "h2":
            handler = h2.Handler(self._calls, self._codec, self._details, _DispatchServerEvents())
            made = h2.Http2(handler, self._limits.grpc, client=False, made=self._grpc.add)
            made.lost.add_done_callback(lambda _: self._grpc.discard(made))
            return made
        if self._app is None:
            return None
        assert self._lifespan is not None
        return http1.Http1(self._config, self._http, self._lifespan.state, self._limits.http)

    def _drain(self, *, known: bool = False) -> None:
        """Ask every connection to end when what is under way has ended; with ``known``, only those of services."""
        for http in list(self._http.connections):
            if isinstance(http, http1.Http1) and (not known or http.known):
                http.shutdown()
        for grpc in list(self._grpc):
            if not known or grpc.identity is not None:
                grpc.drain()

    async def _break_off(self) -> None:
        for task in list(self._http.tasks):
            task.cancel()
        for grpc in list(self._grpc):
            grpc.processor.close("the server is stopping")
        end = time.monotonic() + 1
        while (self.connections or self._http.tasks) and time.monotonic() < end:
            await asyncio.sleep(0.01)
        for transport in _transports((*self._http.connections, *self._grpc)):
            transport.abort()

    async def _sweep(self) -> None:
        """Again and again: whoever takes too long is ended. Now and then: certificates are looked at."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(self._limits.sweep)
            self._say_date()
            now = time.monotonic()
            for http in list(self._http.connections):
                if isinstance(http, http1.Http1) and (http.late(now) or self._is_stalled(http.stalled, now)):
                    http.transport.abort()
            for grpc in list(self._grpc):
                if self._is_stalled(grpc.stalled, now):
                    grpc.transport.abort()
                elif not grpc.calls and now - grpc.heard_call > self._idle(grpc):
                    grpc.drain()
            if now - looked >= self._limits.reload:
                looked = now
                await self.refresh()

    async def refresh(self) -> None:
        """Look at the certificates' files now. Where other CAs are trusted, services have to connect anew."""
        await asyncio.to_thread(self._tls.refresh)
        # Channels of this process may have read the files before.
        if self._tls.trusted != self._trusted:
            self._trusted = self._tls.trusted
            log.info("other CAs are trusted now; connections of services end when their calls do")
            self._drain(known=True)
            await self._end_distrusted()

    async def _end_distrusted(self) -> None:
        """Streams have no end of their own: those of who came with a certificate of a CA that is trusted no more end now."""
        for grpc in list(self._grpc):
            shown = grpc.certificate
            if shown and not await asyncio.to_thread(self._tls.trusts, shown):
                log.info("a service's certificate is of a CA that is not trusted any more: %s", grpc.identity)
                grpc.processor.close("its certificate is not trusted any more; connect again")

    def _idle(self, grpc: h2.Http2) -> float:
        return self._limits.idle if grpc.identity is not None else self._limits.idle_unknown

    def _is_stalled(self, since: float | None, now: float) -> bool:
        return since is not None and now - since > self._limits.stalled

    def _say_date(self) -> None:
        self._http.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]


class _Chooser(asyncio.Protocol):
    """Looks at what ALPN agreed on when the handshake is over, and hands the connection on."""

    __slots__ = ("_port",)

    def __init__(self, port: OnePort) -> None:
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        chosen = cast(asyncio.Transport, transport)
        protocol = self._port.protocol(chosen.get_extra_info("ssl_object").selected_alpn_protocol())
        if protocol is None:
            chosen.close()
            return
        chosen.set_protocol(protocol)
        protocol.connection_made(chosen)


def _transports(protocols: Iterable[Any]) -> list[asyncio.Transport]:
    return [p.transport for p in protocols if p.transport is not None]


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    raise UsageError("there is no application here")
