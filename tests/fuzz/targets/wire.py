"""What comes over the one port: HTTP/1.1 and HTTP/2, on a connection that is none, with a service and an application behind.

Whatever comes, no exception leaves the connection, and nothing of it is left when it is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from grpclib.encoding.proto import ProtoCodec
from grpclib.events import _DispatchServerEvents
from h2.config import H2Configuration
from h2.connection import H2Connection
from uvicorn.config import Config
from uvicorn.server import ServerState

from redoubt.wire import calls, failures, h2, http1
from redoubt.wire.proto.redoubt.v1.indexer_pb2 import HasIndexReportRequest
from support.wire import App, Indexer
from targets.interface import Target

#: Of one that is small, so that what is too much fits into an input; and in how many pieces a connection's bytes come.
_LIMITS = http1.Limits(headers=4096, header_count=32)
_PIECES = 8
_LOGS = ("redoubt.wire.h2", "uvicorn.error", "grpclib.server")


class _Transport(asyncio.Transport):
    """Nothing is at the other end."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:
            self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def _spoken(make: Callable[[], Any], data: bytes) -> tuple[bytes, Any]:
    """What is answered to ``data``, and the connection when it is gone."""

    async def work() -> tuple[bytes, Any]:
        protocol, transport = make(), _Transport()
        protocol.connection_made(transport)
        # In pieces, also between two bytes of one word; as TLS gives them, of at most 16 KB.
        size = min(max(len(data) // _PIECES, 1), 16384)
        for at in range(0, len(data), size):
            if not transport.closed:
                protocol.data_received(data[at : at + size])
            await asyncio.sleep(0)
        for _ in range(8):
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        transport.closed = True
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _, left = await asyncio.wait(others, timeout=5)
            assert not left, left
        return bytes(transport.written), protocol

    for name in _LOGS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return asyncio.run(work())


def _http1(data: bytes) -> int:
    state = ServerState()

    def make() -> http1.Http1:
        app = App()
        app.gate.set()
        config = Config(
            app, ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False
        )
        return http1.Http1(config, state, {}, _LIMITS)

    answered, _ = _spoken(make, data)
    assert not state.connections
    assert not state.tasks
    assert not answered or answered.startswith(b"HTTP/1.1 ")
    return answered.count(b"HTTP/1.1 200")


def _http2(data: bytes) -> int:
    def make() -> h2.Http2:
        mapping = calls.guarded([Indexer()])
        handler = h2.Handler(mapping, ProtoCodec(), failures.Details(), _DispatchServerEvents())
        return h2.Http2(handler, h2.Limits(), client=False)

    answered, connection = _spoken(make, data)
    assert not connection.calls
    return answered.count(b"grpc-status") + connection.connection.streams_started


def _http1_seeds() -> list[bytes]:
    return [
        b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: z\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET /%41 HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n\r\nPUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    ]


def _http2_seeds() -> list[bytes]:
    def begun() -> H2Connection:
        client = H2Connection(H2Configuration(client_side=True))
        client.initiate_connection()
        return client

    headers = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/redoubt.v1.Indexer/HasIndexReport"),
        (":authority", "a"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    message = HasIndexReportRequest(hash_id="sha256:here").SerializeToString()
    whole, broken, odd = begun(), begun(), begun()
    for number in (1, 3):
        whole.send_headers(number, headers)
        whole.send_data(number, b"\0" + len(message).to_bytes(4, "big") + message, end_stream=True)
    broken.send_headers(1, headers)
    broken.reset_stream(1)
    odd.ping(b"12345678")
    odd.send_headers(1, [*headers, ("grpc-timeout", "1S"), ("x-bin", "AAAA")], end_stream=True)
    odd.increment_flow_control_window(1000)
    odd.close_connection()
    return [whole.data_to_send(), broken.data_to_send(), odd.data_to_send()]


TARGETS = {"http1": Target(_http1, _http1_seeds), "http2": Target(_http2, _http2_seeds)}
