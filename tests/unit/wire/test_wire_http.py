"""HTTP/1.1 over the one port: what it is spared, and what strangers may not do."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from redoubt.wire import http1, identity
from redoubt.wire.identity import Service
from redoubt.wire.material import Material
from redoubt.wire.proto.redoubt.v1 import indexer_grpc, indexer_pb2
from redoubt.wire.server import Limits
from support.wire import Certificates, answer, raw, run, serving, until

INDEXER, CENTRAL = Service.SCANNER_V4_INDEXER, Service.CENTRAL
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_the_application_knows_who_asks(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served:
            async with raw(served.port, certificates) as (reader, writer):
                writer.write(GET)
                assert await answer(reader) == (200, b"None sent 0")
            async with raw(served.port, certificates, client=certificates.files(CENTRAL)) as (
                reader,
                writer,
            ):
                writer.write(GET)
                assert await answer(reader) == (200, b"CENTRAL_SERVICE: Central sent 0")
            assert served.app.requests[0]["scheme"] == "https"
            assert served.app.lifespan == ["lifespan.startup"]
        assert served.app.lifespan == ["lifespan.startup", "lifespan.shutdown"]

    run(work())


def test_a_connection_serves_many_requests_also_sent_at_once(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            raw(served.port, certificates) as (reader, writer),
        ):
            for _ in range(3):
                writer.write(GET)
                assert (await answer(reader))[0] == 200
            writer.write(GET * 5)
            assert [(await answer(reader))[0] for _ in range(5)] == [200] * 5
            assert served.one.connections == 1

    run(work())


def test_a_certificate_that_ends_while_the_connection_stays_names_nobody_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        client = certificates.files(CENTRAL, days=1)
        async with (
            serving(certificates.material(INDEXER)) as served,
            raw(served.port, certificates, client=client) as (reader, writer),
            served.channel(Material(client)) as central,
        ):
            has = indexer_pb2.HasIndexReportRequest(hash_id="x")
            stub = indexer_grpc.IndexerStub(central)
            writer.write(GET)
            assert (await answer(reader))[1] == b"CENTRAL_SERVICE: Central sent 0"
            assert (await stub.HasIndexReport(has)).indexer_version == "CENTRAL_SERVICE: Central"
            monkeypatch.setattr(identity, "time", SimpleNamespace(time=lambda: time.time() + 86_401))
            writer.write(GET)
            assert (await answer(reader))[1] == b"None sent 0"
            assert (await stub.HasIndexReport(has)).indexer_version == "nobody"

    run(work())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\nabcd", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(127)) + b"\r\n", 200),
    ],
)
def test_a_request_that_two_could_read_differently_is_refused(
    tmp_path: Path, request_: bytes, status: int
) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            raw(served.port, certificates) as (reader, writer),
        ):
            writer.write(request_ + GET)
            assert (await answer(reader))[0] == status
            if status != 200:
                assert await reader.read() == b""
                assert "answered" not in served.app.outcomes

    run(work())


def test_headers_that_never_end_are_not_gathered(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            raw(served.port, certificates) as (reader, writer),
        ):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
            sent = 0
            while not reader.at_eof() and sent < 64 << 20:
                writer.write(b"a" * 16384)
                sent += 16384
                try:
                    await writer.drain()
                except ConnectionError:
                    break
                await asyncio.sleep(0)
            assert sent < 8 << 20

    run(work())


def test_what_follows_a_chunked_body_is_no_header(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            raw(served.port, certificates) as (reader, writer),
        ):
            chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
            writer.write(chunked + b"Authorization: Bearer stolen\r\n\r\n" + GET)
            assert await answer(reader) == (200, b"None sent 3")
            assert (await answer(reader))[0] == 200
            assert {name for name, _ in served.app.requests[0]["headers"]} == {b"host", b"transfer-encoding"}

    run(work())


def test_an_upgrade_that_is_not_served_smuggles_no_request(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            raw(served.port, certificates) as (reader, writer),
        ):
            for protocol in (b"h2c", b"websocket"):
                del reader
                async with raw(served.port, certificates) as (reader, other):
                    other.write(
                        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: "
                        + protocol
                        + b"\r\n\r\n"
                        + GET
                    )
                    assert (await answer(reader))[0] == 200
                    await asyncio.sleep(0.02)
            assert len(served.app.requests) == 2
            writer.close()

    run(work())


def test_a_body_is_streamed_and_never_whole_in_memory(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    size = 64 << 20

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            raw(served.port, certificates) as (reader, writer),
        ):
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            before = resident()
            for _ in range(size >> 16):
                writer.write(bytes(65536))
                await writer.drain()
            assert await answer(reader) == (200, b"None sent %d" % size)
            assert resident() - before < 16 << 20

    run(work())


def test_a_body_that_nobody_reads_is_not_taken(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            raw(served.port, certificates) as (reader, writer),
        ):
            writer.write(b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
            await served.app.began.wait()
            sent = 0
            with suppress(TimeoutError):
                while sent < 256 << 20:
                    writer.write(bytes(1 << 16))
                    await asyncio.wait_for(writer.drain(), 0.5)
                    sent += 1 << 16
            assert sent < 32 << 20
            served.app.gate.set()
            assert await answer(reader) == (200, b"None sent 0")

    run(work())


def test_an_answer_that_nobody_reads_does_not_pile_up(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            raw(served.port, certificates) as (reader, writer),
        ):
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: served.app.sent > 0)
            last = -1
            while served.app.sent != last:
                last = served.app.sent
                await asyncio.sleep(0.2)
            assert last < 16 << 20
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            got = 0
            while got < 64 << 20:
                got += len(await reader.read(1 << 20))
            assert served.app.sent == 64 << 20

    run(work())


def limited(seconds: float = 0.2) -> Limits:
    return Limits(http=http1.Limits(header_time=seconds, body_idle=seconds), sweep=0.05)


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"])  # fmt: skip
def test_a_request_that_does_not_come_is_not_waited_for(tmp_path: Path, begun: bytes) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER), limited()) as served,
            raw(served.port, certificates) as (reader, writer),
        ):
            writer.write(begun)
            with suppress(ConnectionError):
                assert await reader.read() == b""
            await until(lambda: served.one.connections == 0)

    run(work())


def test_a_body_that_trickles_is_not_waited_for(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER), limited()) as served,
            raw(served.port, certificates) as (_, writer),
        ):
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
            await until(lambda: served.one.connections == 1)
            sent = 0
            while served.one.connections and sent < 200:
                writer.write(b"x")
                sent += 1
                await asyncio.sleep(0.02)
            assert sent < 200
            await until(lambda: served.app.outcomes == ["disconnected"])

    run(work())


def test_an_application_may_take_its_time(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER), limited(1.0)) as served,
            raw(served.port, certificates) as (reader, writer),
        ):
            writer.write(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
            await served.app.began.wait()
            await asyncio.sleep(1.5)
            served.app.gate.set()
            assert (await answer(reader))[0] == 200

    run(work())


def test_handshakes_that_do_not_end_hold_nobody_up_and_are_ended(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        for longest in (3600.0, 0.3):
            async with serving(certificates.material(INDEXER), Limits(handshake=longest)) as served:
                silent = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(50)]
                for number, connection in enumerate(silent):
                    connection.setblocking(False)
                    if number % 2:
                        connection.send(b"\x16\x03\x01\x02\x00\x01")
                if longest > 60:  # so that they are there all the while
                    async with raw(served.port, certificates) as (reader, writer):
                        writer.write(GET)
                        assert (await answer(reader))[0] == 200
                else:
                    loop = asyncio.get_running_loop()
                    for connection in silent:
                        with suppress(ConnectionError):
                            assert await loop.sock_recv(connection, 9) == b""
                for connection in silent:
                    connection.close()

    run(work())


@pytest.mark.parametrize("path", ["/hold", "/"])
def test_a_client_that_only_half_closes_is_gone(tmp_path: Path, path: str) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            raw(served.port, certificates) as (_, writer),
        ):
            head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"
            writer.write(head.encode())
            await served.app.began.wait()
            end = writer.transport.get_extra_info("socket").fileno()
            with socket.socket(fileno=os.dup(end)) as same:
                same.shutdown(socket.SHUT_WR)
            await until(lambda: served.one.connections == 0)
            await until(lambda: served.app.outcomes == ["disconnected"])

    run(work())


def test_stopping_lets_a_request_end_and_closes_who_asks_nothing(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            raw(served.port, certificates) as (idle, _),
            raw(served.port, certificates) as (reader, writer),
        ):
            writer.write(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
            await served.app.began.wait()
            port = served.port
            stopping = asyncio.create_task(served.one.stop(60))
            assert await idle.read() == b""
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", port)
            assert not stopping.done()
            served.app.gate.set()
            assert (await answer(reader))[0] == 200
            assert await reader.read() == b""
            await stopping
            assert served.app.lifespan[-1] == "lifespan.shutdown"

    run(work())


def test_stopping_does_not_wait_for_ever(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            raw(served.port, certificates) as (_, writer),
        ):
            writer.write(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
            await served.app.began.wait()
            await served.one.stop(0.3)
            assert served.one.connections == 0

    run(work())


def resident() -> int:
    """Bytes of this process that are its own and in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")
