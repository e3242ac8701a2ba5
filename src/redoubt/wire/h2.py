"""HTTP/2 for gRPC, over grpclib's: with limits, and with endings that let calls under way end.

Both ends use it. What is added to grpclib, and why, is in ``docs/decisions/0019-one-port.md``; a test holds the parts of
grpclib that this stands on. It must not know which calls there are.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, cast

import msgspec
from grpclib.config import Configuration
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import Connection, EventsProcessor, H2Protocol, Stream
from grpclib.protocol import Peer as GrpcPeer
from grpclib.server import Handler as GrpcHandler
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event, RemoteSettingsChanged, RequestReceived, StreamReset
from h2.exceptions import ProtocolError
from h2.frame_buffer import FrameBuffer
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame

from redoubt.wire.identity import Identity, from_certificate

log = logging.getLogger(__name__)
#: The last of all streams: what a first GOAWAY names.
_EVERY = 2**31 - 1


class Limits(msgspec.Struct, frozen=True):
    """What one connection may ask of this process. Sizes are in bytes, times in seconds."""

    message: int = 4 << 20
    #: What may lie unread: of one call, and of all calls of a connection together.
    stream_window: int = 1 << 20
    connection_window: int = 4 << 20
    streams: int = 100
    #: Calls that the other side may break off: so many at once, and so many a second for long.
    resets: int = 200
    resets_per_second: float = 20.0
    #: A ping when nothing was heard for so long; no answer for ``keepalive_timeout``, and the connection ends.
    keepalive: float = 30.0
    keepalive_timeout: float = 20.0
    #: How long the other side may begin calls after it was told not to.
    notice: float = 0.5

    def configuration(self) -> Configuration:
        return Configuration(
            _keepalive_time=self.keepalive,
            _keepalive_timeout=self.keepalive_timeout,
            _keepalive_permit_without_calls=True,
            _http2_max_pings_without_data=0,
            _http2_min_sent_ping_interval_without_data=self.keepalive / 2,
            http2_connection_window_size=self.connection_window,
            http2_stream_window_size=self.stream_window,
        )


class Peer(GrpcPeer):
    """The other side, with what its certificate says. ``identity`` was read once, when it connected."""

    def __init__(self, transport: asyncio.Transport | None, identity: Identity | None) -> None:
        super().__init__(cast(asyncio.Transport, transport))
        self.identity = identity


def identity_of(transport: asyncio.BaseTransport) -> Identity | None:
    """Who is at the other end of a TLS connection, by a certificate that was verified in its handshake.

    A session that was resumed (TLS 1.2 can, and Python cannot forbid it) brings along a certificate that nobody verified
    again, whose CA may be trusted no more: it names nobody.
    """
    tls = transport.get_extra_info("ssl_object")
    return from_certificate(tls.getpeercert()) if tls is not None and not tls.session_reused else None


class _Frames(FrameBuffer):
    """Frames as they come. One that is too long is refused when it begins, and not when all of it (16 MB) is here."""

    def __next__(self) -> Frame:
        if len(self._data) >= 3:
            self._validate_frame_length(int.from_bytes(self._data[:3], "big"))
        return super().__next__()


class _Engine(H2Connection):
    """The state machine, which lives on after a GOAWAY without an error: streams under way may end."""

    def __init__(self, config: H2Configuration) -> None:
        super().__init__(config)
        self.incoming_buffer = _Frames(server=not config.client_side)
        self.incoming_buffer.max_frame_size = self.max_inbound_frame_size

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        if frame.error_code != ErrorCodes.NO_ERROR:
            return super()._receive_goaway_frame(frame)
        said = ConnectionTerminated()
        said.error_code, said.last_stream_id = ErrorCodes.NO_ERROR, frame.last_stream_id
        return [], [said]


class _Stream(Stream):
    largest: int

    async def recv_data(self, size: int) -> bytes:
        """As announced by the other side, who may announce 4 GB, or end before what was announced."""
        if size > self.largest:
            raise GRPCError(
                Status.RESOURCE_EXHAUSTED, f"a message of {size} bytes; the limit is {self.largest}"
            )
        try:
            return await super().recv_data(size)
        except AssertionError:
            raise GRPCError(Status.INVALID_ARGUMENT, "the message ended early") from None


class _Connection(Connection):
    identity: Identity | None = None
    largest: int

    def create_stream(self, **more: Any) -> Stream:
        stream = _Stream(self, self._connection, self._transport, **more)
        stream.largest = self.largest
        return stream

    def get_peer(self) -> GrpcPeer:
        # A connection that ended a moment ago has no transport any more, and its last call still asks whose it was.
        return Peer(getattr(self, "_transport", None), self.identity)


class _Processor(EventsProcessor):
    """What happens on a connection. Ends it when ``draining`` and nothing is under way any more."""

    draining = False
    last = _EVERY
    goaway: Callable[[ErrorCodes], None]
    allowance: Callable[[], bool]
    settled: asyncio.Future[None]

    def process_remote_settings_changed(self, event: RemoteSettingsChanged) -> None:
        super().process_remote_settings_changed(event)
        if not self.settled.done():
            self.settled.set_result(None)

    def register(self, stream: Stream) -> Callable[[], None]:
        release = super().register(stream)
        left = [release]

        def once() -> None:
            # A call that is broken off before it began is released by us, and not by grpclib, which forgets it.
            while left:
                left.pop()()
                if self.draining and not self.streams:
                    asyncio.get_running_loop().call_soon(self.close, "drained")

        return once

    def process(self, event: Event) -> None:
        if hasattr(self, "processors") and type(event) not in self.processors:
            return  # extensions that we don't know are none of our business (RFC 9113, 5.5)
        super().process(event)

    def process_request_received(self, event: RequestReceived) -> None:
        assert event.stream_id is not None
        if event.stream_id > self.last:
            self.connection._connection.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        super().process_request_received(event)

    def process_stream_reset(self, event: StreamReset) -> None:
        super().process_stream_reset(event)
        if not self.allowance():
            log.warning("a connection was ended: it broke off too many calls")
            self.goaway(ErrorCodes.ENHANCE_YOUR_CALM)
            self.close("too many calls were broken off")

    def process_connection_terminated(self, event: ConnectionTerminated) -> None:
        if event.error_code != ErrorCodes.NO_ERROR:
            super().process_connection_terminated(event)
            return
        self.draining = True
        self.handler.connection_lost = True  # type: ignore[attr-defined]  # a client's has it: it connects anew for the next call
        unseen = [
            s
            for number, s in self.streams.items()
            if number > (event.last_stream_id or 0) and _ours(self, number)
        ]
        for stream in unseen:
            stream.__terminated__("the server is stopping and has not begun it; try again")
        if not self.streams:
            self.close("the other side is stopping")


def _ours(processor: EventsProcessor, stream_id: int) -> bool:
    return bool(stream_id % 2) is bool(processor.connection._connection.config.client_side)


class Handler(GrpcHandler):
    """The server's calls of one connection."""

    connection_lost = False

    def accept(self, stream: Stream, headers: Any, release_stream: Callable[[], Any]) -> None:
        super().accept(stream, headers, release_stream)
        task = self._tasks[stream]
        # A task that is cancelled before its first step never runs its `finally`.
        task.add_done_callback(lambda _: release_stream())

    def cancel(self, stream: Stream) -> None:
        if stream in self._tasks:
            super().cancel(stream)


class Http2(H2Protocol):
    """One connection, of a server or of a channel."""

    processor: _Processor

    def __init__(
        self, handler: Any, limits: Limits, *, client: bool, made: Callable[[Http2], None] | None = None
    ) -> None:
        configuration = limits.configuration()
        super().__init__(
            handler,
            configuration.__for_client__() if client else configuration.__for_server__(),
            H2Configuration(client_side=client, header_encoding="ascii", validate_outbound_headers=False),
        )
        self._limits = limits
        self._made = made
        self.transport: asyncio.Transport
        self.identity: Identity | None = None
        self.began = self.heard_call = time.monotonic()
        self.stalled: float | None = None
        self._told = False
        loop = asyncio.get_running_loop()
        #: Done when the other side has said how it wants to be spoken to, and when the connection is gone.
        self.settled: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self._resets, self._counted = float(limits.resets), self.began

    @property
    def certificate(self) -> bytes:
        """What the other side showed in the handshake, in DER; empty where it showed nothing."""
        tls = self.transport.get_extra_info("ssl_object")
        return bytes(tls.getpeercert(True) or b"") if tls is not None else b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.identity = identity_of(transport)
        limits, client = self._limits, self.h2_config.client_side
        engine = _Engine(self.h2_config)
        engine.local_settings = Settings(
            client=bool(client),
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: limits.stream_window,
                SettingCodes.MAX_CONCURRENT_STREAMS: limits.streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: engine.DEFAULT_MAX_HEADER_LIST_SIZE,
            },
        )
        engine.initiate_connection()
        engine.increment_flow_control_window(limits.connection_window - 65_535)
        self.connection = _Connection(engine, self.transport, config=self.config)
        self.connection.identity = self.identity
        self.connection.largest = limits.message
        self.connection.flush()
        self.connection.initialize()
        self.processor = _Processor(self.handler, self.connection)
        self.processor.goaway = self._goaway
        self.processor.allowance = self._reset_allowed
        self.processor.settled = self.settled
        if self._made is not None:
            self._made(self)

    def data_received(self, data: bytes) -> None:
        if self.calls:
            self.heard_call = time.monotonic()
        try:
            for event in self._events(data):
                if self.connection.is_closing():
                    return
                self.processor.process(event)
            if not self.connection.is_closing():
                self.connection.flush()
        except Exception:  # whatever a stranger sends ends his own connection, and nothing else
            log.warning("a connection was ended: its HTTP/2 cannot be read", exc_info=True)
            self.processor.close("unreadable HTTP/2")

    def _events(self, data: bytes) -> list[Event]:
        if self.connection.is_closing():
            return []
        try:
            events = self.connection.feed(data)
        except ProtocolError as error:
            log.debug("a connection was ended: %s", error)
            self.connection.flush()  # says why
            self.processor.close(f"HTTP/2: {error}")
            return []
        self.connection.flush()
        return events

    def pause_writing(self) -> None:
        """The other side does not read. Answers to its pings must not pile up, so it is not read from, either."""
        super().pause_writing()
        self.stalled = time.monotonic()
        if not self.h2_config.client_side and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stalled = None
        if not self.h2_config.client_side and not self.transport.is_closing():
            self.transport.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if not self.settled.done():
            self.settled.set_exception(
                exc if isinstance(exc, OSError) else ConnectionResetError("it hung up")
            )
            self.settled.exception()  # nobody may be waiting for it
        if not self.lost.done():
            self.lost.set_result(None)

    def drain(self) -> None:
        """Have the other side begin no more calls here, and end the connection when those under way have ended.

        The other side is told first, and calls that it sent before it heard of it are still begun (RFC 9113, 6.8).
        """
        if self._told or self.connection.is_closing():
            return
        self._told = True
        self._goaway(ErrorCodes.NO_ERROR, _EVERY)
        asyncio.get_running_loop().call_later(self._limits.notice, self._begin_no_more)

    def _begin_no_more(self) -> None:
        if self.connection.is_closing():
            return
        self.processor.draining = True
        self.processor.last = self.connection._connection.highest_inbound_stream_id
        self._goaway(ErrorCodes.NO_ERROR, self.processor.last)
        if not self.processor.streams:
            self.processor.close("drained")

    def retire(self) -> None:
        """End this connection of a channel, which begins no more calls on it, when those under way have ended."""
        self.processor.draining = True
        if not self.processor.streams:
            self.processor.close("drained")

    @property
    def calls(self) -> int:
        """How many calls are under way."""
        return len(self.processor.streams)

    def _goaway(self, code: ErrorCodes, last: int | None = None) -> None:
        if not self.connection.is_closing():
            self.connection.flush()
            last = self.connection._connection.highest_inbound_stream_id if last is None else last
            self.transport.write(GoAwayFrame(0, last_stream_id=last, error_code=code).serialize())

    def _reset_allowed(self) -> bool:
        now = time.monotonic()
        gained = (now - self._counted) * self._limits.resets_per_second
        self._resets = min(float(self._limits.resets), self._resets + gained) - 1
        self._counted = now
        return self._resets >= 0
