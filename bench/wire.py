"""The one port against a bare uvicorn, and gRPC through it: what a second of the server's CPU is good for.

    python bench/wire.py

By CPU time, and not by the clock: the client, in Python too, and whatever else runs take their own.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import ssl
import statistics
import sys
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

import uvicorn
import uvloop

from redoubt.wire import ports
from redoubt.wire.identity import Service
from redoubt.wire.material import Files, Material
from redoubt.wire.proto.redoubt.v1 import indexer_grpc, indexer_pb2
from redoubt.wire.server import OnePort
from support.wire import Certificates, Indexer

SECONDS, CONNECTIONS, ROUNDS = 2.0, 16, 3
BODY = b'{"ok":true}'
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def one_port(files: Files, port: int, ready: Event) -> None:
    async def work() -> None:
        service = Indexer()
        service.parts, service.part = 256, bytes(1 << 20)
        await OnePort(tls=Material(files), app=app, services=[service]).start("127.0.0.1", port)
        ready.set()
        await asyncio.Event().wait()

    uvloop.run(work())


def bare(files: Files, port: int, ready: Event) -> None:
    config = uvicorn.Config(
        app, "127.0.0.1", port, ssl_certfile=files.certificate, ssl_keyfile=str(files.key), http="httptools",
        loop="uvloop", ws="none", lifespan="off", access_log=False, log_level="error", server_header=False, proxy_headers=False,
    )  # fmt: skip
    ready.set()
    uvicorn.Server(config).run()


def cpu(process: int | None) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def requests(port: int, tls: ssl.SSLContext, server: int | None) -> float:
    """GET requests over connections that stay, a second of the server's CPU."""
    before = cpu(server)
    end, done = time.monotonic() + SECONDS, [0]

    async def one() -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=tls, server_hostname="localhost"
        )
        while time.monotonic() < end:
            writer.write(GET)
            await reader.readuntil(BODY)
            done[0] += 1
        writer.transport.abort()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return done[0] / (cpu(server) - before)


async def grpc(port: int, certificates: Certificates, server: int | None) -> tuple[float, float]:
    """Calls, and megabytes of a stream in chunks of 1 MB, a second of the server's CPU."""
    from redoubt.wire.channel import channel

    tls = certificates.material(Service.CENTRAL)
    async with channel(f"127.0.0.1:{port}", tls, {Service.SCANNER_V4_INDEXER}) as central:
        stub = indexer_grpc.IndexerStub(central)
        end, done = time.monotonic() + SECONDS, [0]

        async def one() -> None:
            while time.monotonic() < end:
                await stub.HasIndexReport(indexer_pb2.HasIndexReportRequest(hash_id="sha256:here"))
                done[0] += 1

        before = cpu(server)
        await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
        began = cpu(server)
        async with stub.GetIndexReport.open() as stream:
            await stream.send_message(indexer_pb2.GetIndexReportRequest(hash_id="sha256:here"), end=True)
            got = sum([len(part.chunk) async for part in stream])
        return done[0] / (began - before), got / 1e6 / (cpu(server) - began)


def run() -> dict[str, float]:
    """Medians a second of the server's CPU: GETs of ``one_port`` and ``uvicorn``, ``calls``, MB of ``stream``."""
    with tempfile.TemporaryDirectory() as folder:
        certificates = Certificates(Path(folder))
        files = certificates.files(Service.SCANNER_V4_INDEXER)
        tls = ssl.create_default_context(cafile=str(files.authorities[0]))
        context = multiprocessing.get_context("spawn")
        found: dict[str, list[float]] = {"one_port": [], "uvicorn": [], "calls": [], "stream": []}
        places = dict(zip(("one_port", "uvicorn"), ports.free(2), strict=True))
        servers = []
        for name, target in (("one_port", one_port), ("uvicorn", bare)):
            ready = context.Event()
            server = context.Process(target=target, args=(files, places[name], ready), daemon=True)
            server.start()
            ready.wait(20)
            servers.append(server)
        time.sleep(1)
        for _ in range(ROUNDS):
            for (name, port), server in zip(places.items(), servers, strict=True):
                found[name].append(uvloop.run(requests(port, tls, server.pid)))
            calls, stream = uvloop.run(grpc(places["one_port"], certificates, servers[0].pid))
            found["calls"].append(calls)
            found["stream"].append(stream)
        for server in servers:
            server.terminate()
        return {name: round(statistics.median(values), 1) for name, values in found.items()}


if __name__ == "__main__":
    print(json.dumps(run()))
