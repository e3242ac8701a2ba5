"""HTTP/1.1 for the API and browsers, over uvicorn's: with limits on headers and on how long a caller may take.

The peer's ``Identity`` (or None) is in ``scope["state"]["peer"]``. It must not know what the application does.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from redoubt.wire.h2 import identity_of
from redoubt.wire.identity import Identity


class Limits(msgspec.Struct, frozen=True):
    """What one connection may ask of this process. Bytes and seconds."""

    #: Request line and headers together, and how many headers there may be.
    headers: int = 64 << 10
    header_count: int = 128
    #: From a request's first byte, or the connection's begin, to the end of its headers.
    header_time: float = 20.0
    #: Without a byte of a body that the application waits for; and bytes a second that have to come for long.
    body_idle: float = 60.0
    body_rate: int = 512
    #: Between two requests.
    keep_alive: int = 75


class Http1(HttpToolsProtocol):
    """One connection."""

    def __init__(self, config: Config, state: ServerState, app_state: dict[str, Any], limits: Limits) -> None:
        super().__init__(config=config, server_state=state, app_state=app_state)
        self._limits = limits
        self._identity: Identity | None = None
        self._in_headers = True
        self._fed = self._size = 0
        self._refusal = ""
        self.stalled: float | None = None
        #: When the sweeper ends the connection; None while it is the application that takes its time.
        self.deadline: float | None = time.monotonic() + limits.header_time

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # asyncio says BaseTransport
        self._identity = identity_of(transport)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._in_headers:
            if not self._fed:
                self.deadline = time.monotonic() + self._limits.header_time
            self._fed += len(data)
        elif self.deadline is not None:
            idle = time.monotonic() + self._limits.body_idle
            self.deadline = min(idle, self.deadline + len(data) / self._limits.body_rate)
        super().data_received(data)
        # A header that never ends is not shown to us before it does.
        if self._in_headers and self._fed > 2 * self._limits.headers and not self.transport.is_closing():
            self._refusal = "431 Request Header Fields Too Large"
            self.send_400_response("the headers are too large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        valid = self._identity if self._identity is not None and self._identity.valid() else None
        self.scope["state"]["peer"] = valid
        self._in_headers, self._size, self._refusal = True, 0, ""

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        # What follows a chunked body is no header: it must not become one after the application has looked at them.
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise ValueError("one Host header is wanted (RFC 9112, 3.2)")
        self._in_headers = False
        self.deadline = time.monotonic() + self._limits.body_idle
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_headers, self._fed = True, 0
        self.deadline = None

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > self._limits.headers or len(self.headers) >= self._limits.header_count:
            self._refusal = "431 Request Header Fields Too Large"
            raise ValueError("the headers are too large")

    def send_400_response(self, msg: str) -> None:
        """uvicorn answers every error of the parser with 400, and says so in the log; we know more of some."""
        if (cycle := self.cycle) is not None and not cycle.response_complete:
            if cycle.response_started or self.pipeline:
                # A second answer in the midst of one would be taken for a part of it.
                self.transport.abort()
                return
            cycle.disconnected = True
            cycle.message_event.set()
        status = self._refusal or "400 Bad Request"
        body = (status[4:] + "\n").encode()
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (status.encode(), len(body), body)
        )
        self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stalled = time.monotonic()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stalled = None

    @property
    def known(self) -> bool:
        """Whether the caller showed a service's certificate."""
        return self._identity is not None

    def late(self, now: float) -> bool:
        """Whether the caller has taken longer than it may, with what it was to send."""
        if self.flow is not None and self.flow.read_paused:
            self.deadline = now + self._limits.body_idle if self.deadline is not None else None
        return self.deadline is not None and now > self.deadline
