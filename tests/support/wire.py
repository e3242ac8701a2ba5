"""Services on loopback for tests: a CA, certificates, a gRPC service of every kind of call, and an application."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from redoubt.wire import calls
from redoubt.wire.authority import Authority
from redoubt.wire.channel import Channel, channel
from redoubt.wire.identity import Service
from redoubt.wire.material import Files, Material
from redoubt.wire.proto.redoubt.v1 import indexer_grpc
from redoubt.wire.proto.redoubt.v1.indexer_pb2 import (
    Begun,
    CreateIndexReportReply,
    CreateIndexReportRequest,
    GetIndexReportRequest,
    HasIndexReportReply,
    HasIndexReportRequest,
    Progress,
    ReportPart,
)
from redoubt.wire.server import Limits, OnePort

T = TypeVar("T")
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def run(work: Coroutine[Any, Any, T], within: float = 120.0) -> T:
    """On the loop that the services run on; a test that hangs fails."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(work, within))


class Certificates:
    """A CA in a folder, and what it issues."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority_folder = folder / "authority"
        self.authority = Authority.create(self.authority_folder)

    def files(self, service: Service, name: str = "", **more: Any) -> Files:
        folder = self.folder / (name or service.host)
        self.authority.issue(service, hosts=["localhost", "127.0.0.1"], **more).write(folder)
        return Files.within(folder)

    def material(self, service: Service, name: str = "", **more: Any) -> Material:
        return Material(self.files(service, name, **more))


class Indexer(indexer_grpc.IndexerBase):
    """Has the report of "sha256:here". ``holding``: calls that were begun; ``gate``: they wait for it."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.gate = asyncio.Event()
        self.sent = 0
        self.ended: list[str] = []
        self.parts = 4
        self.part = b"x" * 65536

    @calls.allow(Service.CENTRAL)
    async def CreateIndexReport(
        self, stream: Stream[CreateIndexReportRequest, CreateIndexReportReply]
    ) -> None:
        await calls.request(stream)
        self.began.set()
        try:
            await stream.send_message(CreateIndexReportReply(progress=Progress(stage=Progress.LAYERS)))
            await self.gate.wait()
            await stream.send_message(CreateIndexReportReply(progress=Progress(stage=Progress.MERGING)))
            self.ended.append("finished")
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise

    @calls.allow(Service.CENTRAL, Service.SCANNER_V4_MATCHER)
    async def GetIndexReport(self, stream: Stream[GetIndexReportRequest, ReportPart]) -> None:
        request = await calls.request(stream)
        if request.hash_id != "sha256:here":
            raise GRPCError(Status.NOT_FOUND, "no such report")
        await stream.send_message(ReportPart(begun=Begun(size=self.parts * len(self.part))))
        for _ in range(self.parts):
            await stream.send_message(ReportPart(chunk=self.part))
            self.sent += 1

    @calls.anyone()
    async def HasIndexReport(self, stream: Stream[HasIndexReportRequest, HasIndexReportReply]) -> None:
        request = await calls.request(stream)
        caller = calls.peer(stream)
        await stream.send_message(
            HasIndexReportReply(
                exists=request.hash_id == "sha256:here", indexer_version=str(caller or "nobody")
            )
        )


class App:
    """Answers with who called and how much was sent. ``/hold`` waits for ``gate``; ``/long`` sends 64 MB."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.began = asyncio.Event()
        self.requests: list[Scope] = []
        self.lifespan: list[str] = []
        self.received = 0
        self.sent = 0
        self.outcomes: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while True:
                asked = (await receive())["type"]
                self.lifespan.append(asked)
                await send({"type": f"{asked}.complete"})
                if asked == "lifespan.shutdown":
                    return
        self.requests.append(scope)
        self.began.set()
        path, size = scope["path"], 0
        more = path != "/unread"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.outcomes.append("disconnected")
                return
            size += len(message["body"])
            self.received = size
            more = message["more_body"]
        if path in ("/hold", "/unread"):
            await self.gate.wait()
        if path == "/long":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(1024):
                await send({"type": "http.response.body", "body": b"y" * 65536, "more_body": True})
                self.sent += 65536
            await send({"type": "http.response.body", "body": b""})
            return
        body = f"{scope['state']['peer']} sent {size}".encode()
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self.outcomes.append("answered")


class Served:
    """A running server and what it serves."""

    def __init__(self, port: OnePort, app: App, indexer: Indexer) -> None:
        self.one, self.app, self.indexer = port, app, indexer
        self.loop = asyncio.get_running_loop()

    @property
    def port(self) -> int:
        return self.one.port

    def channel(self, tls: Material, *expected: Service, **more: Any) -> Channel:
        return channel(f"127.0.0.1:{self.port}", tls, expected or {Service.SCANNER_V4_INDEXER}, **more)


@asynccontextmanager
async def serving(
    tls: Material, limits: Limits | None = None, *, port: int = 0, **more: Any
) -> AsyncIterator[Served]:
    app, indexer = App(), Indexer()
    one = OnePort(tls=tls, **({"app": app, "services": [indexer]} | more), limits=limits)
    await one.start("127.0.0.1", port)
    try:
        yield Served(one, app, indexer)
    finally:
        await one.stop(0)


@asynccontextmanager
async def raw(
    port: int,
    certificates: Certificates,
    alpn: str = "http/1.1",
    client: Files | None = None,
    name: str = "localhost",
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TLS connection, for bytes of one's own making; without a certificate unless ``client`` has one."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.load_verify_locations(cadata=certificates.authority.trusted.decode())
    if client is not None:
        tls.load_cert_chain(client.certificate, client.key)
    tls.set_alpn_protocols([alpn])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One HTTP/1.1 answer with a length: status and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    return int(head.split(b" ", 2)[1]), await reader.readexactly(int(fields.get(b"content-length", b"0")))


async def until(condition: Callable[[], bool], within: float = 60.0) -> None:
    """Until it is so."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


@contextmanager
def served(tls: Material, limits: Limits | None = None, **more: Any) -> Iterator[Served]:
    """The same in a thread, for clients that are programs."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    ready: Future[Served] = Future()
    done = asyncio.Event()

    async def work() -> None:
        try:
            async with serving(tls, limits, **more) as one:
                ready.set_result(one)
                await done.wait()
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    task = asyncio.run_coroutine_threadsafe(work(), loop)
    try:
        yield ready.result(60)
    finally:
        loop.call_soon_threadsafe(done.set)
        task.result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
