"""What strangers send to the one port: HTTP/1.1 and HTTP/2 as bytes of a connection, and headers that are taken apart."""

from __future__ import annotations

import asyncio
import os
import zlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from grpclib.const import Cardinality, Handler
from grpclib.encoding.base import CodecBase
from grpclib.events import _DispatchServerEvents
from h2.config import H2Configuration
from h2.connection import H2Connection
from uvicorn.config import Config
from uvicorn.server import ServerState

from redoubt.central.api import files
from redoubt.central.auth import sources
from redoubt.central.probes.body import Body
from redoubt.central.refusals import InvalidArgument
from redoubt.cli.roxctl import probes
from redoubt.wire import h2, http1
from targets.interface import Target, require_clean

_PIECES = 8  # a connection's bytes come in pieces, also between two bytes of one word
_LIMITS = http1.Limits(headers=4096, header_count=32)
_TRUSTED = sources.networks(["10.0.0.0/8", "fd00::/8"])


class _Transport(asyncio.Transport):
    """A connection that takes everything that is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name in ("peername", "sockname") else default

    def write(self, data: Any) -> None:
        self.written += data

    def writelines(self, list_of_data: Any) -> None:
        self.written += b"".join(list_of_data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def is_reading(self) -> bool:
        return True

    def set_protocol(self, protocol: Any) -> None:
        pass


def _loop() -> asyncio.AbstractEventLoop:
    """One a process: a child that was forked would wait at the loop of its parent."""
    return _loop_of(os.getpid())


@cache
def _loop_of(process: int) -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


async def _application(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % len(body)})


@cache
def _configuration() -> Config:
    config = Config(
        _application, http=http1.Http1, ws="none", lifespan="off", log_config=None, access_log=False
    )
    config.load()
    return config


async def _spoken(protocol: Any, data: bytes) -> int:
    """Feed a connection, in pieces, and end it; how much was answered."""
    transport = _Transport()
    protocol.connection_made(transport)
    size = max(len(data) // _PIECES, 1)
    for at in range(0, len(data), size):
        if transport.closed:
            break
        protocol.data_received(data[at : at + size])
        await asyncio.sleep(0)
    for _ in range(6):
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    for told in await asyncio.gather(*others, return_exceptions=True):
        if isinstance(told, Exception):
            raise told
    return len(transport.written)


def _http1(data: bytes) -> int:
    async def run() -> int:
        return await _spoken(http1.Http1(_configuration(), ServerState(), {}, _LIMITS), data)

    return _loop().run_until_complete(run())


class _Raw(CodecBase):
    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        return cast(bytes, message)

    def decode(self, data: bytes, message_type: Any) -> bytes:
        return data


async def _echo(stream: Any) -> None:
    message = await stream.recv_message()
    await stream.send_message(message or b"")


def _http2(data: bytes) -> int:
    async def run() -> int:
        calls = {"/a/b": Handler(_echo, Cardinality.UNARY_UNARY, bytes, bytes)}
        handler = h2.Handler(calls, _Raw(), None, _DispatchServerEvents())
        return await _spoken(h2.Http2(handler, h2.Limits(), client=False), data)

    return _loop().run_until_complete(run())


def _call() -> bytes:
    """What a client sends that makes one call."""
    client = H2Connection(H2Configuration(header_encoding="ascii"))
    client.initiate_connection()
    headers = {
        ":method": "POST",
        ":scheme": "https",
        ":path": "/a/b",
        ":authority": "a",
        "te": "trailers",
        "content-type": "application/grpc",
        "grpc-timeout": "1S",
    }
    client.send_headers(1, list(headers.items()))
    client.send_data(1, b"\0\0\0\0\1x", end_stream=True)
    client.ping(b"12345678")
    client.increment_flow_control_window(1000)
    return client.data_to_send()


def _forwarded(data: bytes) -> int:
    peer, *values = data.decode("latin-1").split("\n")
    told = sources.source(peer, values, _TRUSTED)
    sources.group(told)
    return len(told)


@cache
def _file() -> tuple[TemporaryDirectory[str], Path]:
    folder = TemporaryDirectory()
    path = Path(folder.name, "a")
    path.write_bytes(b"0123456789")
    return folder, path


def _asked(data: bytes) -> int:
    """Headers of a request for a file, a line each."""
    lines = [line.partition(": ") for line in data.decode("latin-1").split("\n")]
    answer = files.answer({name.lower(): value for name, _, value in lines}, _file()[1], etag="e")
    require_clean(list(answer.headers.values()))
    if isinstance(answer, files.Stream):

        async def read() -> int:
            iterator = cast(Any, answer.iterator)
            return len(b"".join([piece async for piece in iterator]))

        size = _loop().run_until_complete(read())
        assert size == int(answer.headers["Content-Length"])
        return size
    return 1


def _probes(data: bytes) -> int:
    """Two bytes that say how long the manifest is, and the body of an upload of kernel support packages."""
    length, sent = int.from_bytes(data[:2], "big"), data[2:]
    with TemporaryDirectory() as folder:
        try:
            body = Body(Path(folder), length, len(sent))
        except InvalidArgument:
            return 0
        try:
            for at in range(0, len(sent), 7):
                body.feed(sent[at : at + 7])
            arrived = body.finish()
        except InvalidArgument as error:
            require_clean(str(error))
            return 0
        finally:
            body.close()
        for one in arrived:
            require_clean(one.name)
            assert one.path.stat().st_size == one.size
        return len(arrived)


def _upload() -> bytes:
    head = probes.manifest(
        [
            ("2.9.0/collector-5.4.0-1.ko.gz", 5, zlib.crc32(b"probe")),
            ("2.9.0-rc1/collector-ebpf-6.1.0.o.gz", 0, 0),
        ]
    )
    return len(head).to_bytes(2, "big") + head + b"probe"


TARGETS: dict[str, Target] = {
    "probe-upload": Target(_probes, lambda: [_upload()]),
    "http1": Target(
        _http1,
        lambda: [
            b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n\r\nGET / HTTP/1.0\r\n\r\n",
            b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
            b"PUT /%41 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nabc",
        ],
    ),
    "http2": Target(_http2, lambda: [_call()]),
    "forwarded": Target(_forwarded, lambda: [b"10.0.0.1\n1.2.3.4, [fd00::1]\nfe80::1%eth0,::ffff:10.0.0.2"]),
    "file-range": Target(
        _asked,
        lambda: [
            b"Range: bytes=1-3\nIf-Range: Thu, 26 Nov 2099 20:00:00 GMT",
            b'Range: bytes=-3\nIf-Range: "e"',
            b'If-None-Match: W/"f", "g"\nIf-Modified-Since: Thu, 26 Nov 2099 20:00:00 +0100',
        ],
    ),
}
