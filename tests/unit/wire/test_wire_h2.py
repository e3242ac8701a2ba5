"""gRPC's HTTP/2: flow, endings, and what strangers may not do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event, ResponseReceived, StreamReset, TrailersReceived
from hyperframe.frame import Frame, PingFrame, SettingsFrame

from redoubt.wire import channel, h2, ports
from redoubt.wire.failures import Unavailable
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1 import indexer_grpc, indexer_pb2
from redoubt.wire.server import Limits, OnePort
from support.wire import Certificates, Indexer, Served, raw, run, serving, until

INDEXER, CENTRAL = Service.SCANNER_V4_INDEXER, Service.CENTRAL
HAS = indexer_pb2.HasIndexReportRequest(hash_id="sha256:here")
GET = indexer_pb2.GetIndexReportRequest(hash_id="sha256:here")
CREATE = indexer_pb2.CreateIndexReportRequest(reference="a.example/b")
HEADERS = [
    (":method", "POST"),
    (":scheme", "https"),
    (":path", "/redoubt.v1.Indexer/HasIndexReport"),
    (":authority", "indexer"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]


class Raw:
    """An HTTP/2 client that keeps to no rules but those that h2 is made to keep."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        config = H2Configuration(
            client_side=True,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = H2Connection(config)
        self.h2.initiate_connection()
        self.events: list[Event] = []

    def send(self, extra: bytes = b"") -> None:
        self.writer.write(self.h2.data_to_send() + extra)

    def call(self, data: bytes = b"", *, headers: list[tuple[str, str]] = HEADERS, end: bool = True) -> int:
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, headers, end_stream=end and not data)
        if data:
            self.h2.send_data(number, data, end_stream=end)
        self.send()
        return number

    async def receive(self, kind: type[Event] | None = None) -> list[Event]:
        """What came until one of ``kind`` did, or the end."""
        while kind is None or not any(isinstance(event, kind) for event in self.events):
            try:
                data = await asyncio.wait_for(self.reader.read(1 << 16), 60)
            except ConnectionError:
                break
            if not data:
                break
            self.events += self.h2.receive_data(data)
            self.send()
        return self.events


@asynccontextmanager
async def strange(served: Served, certificates: Certificates) -> AsyncIterator[Raw]:
    async with raw(served.port, certificates, "h2") as (reader, writer):
        yield Raw(reader, writer)


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def trailers(events: list[Event]) -> dict[str, str]:
    for event in events:
        if isinstance(event, ResponseReceived | TrailersReceived) and event.headers:
            found = {str(name): str(value) for name, value in event.headers}
            if "grpc-status" in found:
                return found
    return {}


def test_a_stream_that_nobody_reads_does_not_pile_up(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served:
            served.indexer.parts, served.indexer.part = 512, bytes(1 << 17)
            async with served.channel(certificates.material(CENTRAL)) as central:
                async with indexer_grpc.IndexerStub(central).GetIndexReport.open() as stream:
                    await stream.send_message(GET, end=True)
                    await stream.recv_message()
                    last = -1
                    while served.indexer.sent != last:
                        last = served.indexer.sent
                        await asyncio.sleep(0.1)
                    assert last * len(served.indexer.part) < 8 << 20
                    # Other calls are not held up by it.
                    assert (await indexer_grpc.IndexerStub(central).HasIndexReport(HAS, timeout=60)).exists
                    got = sum([len(part.chunk) async for part in stream])
                    assert got == 512 << 17

    run(work())


def test_a_client_that_does_not_read_its_connection_is_bounded_and_ended(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        limits = Limits(stalled=0.5, sweep=0.05)
        async with (
            serving(certificates.material(INDEXER), limits) as served,
            strange(served, certificates) as client,
        ):
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.send()
            ping = PingFrame(0, opaque_data=b"12345678").serialize() * 4096
            settings = SettingsFrame(0, settings={3: 100}).serialize() * 1024
            sent, largest = 0, 0
            while sent < 64 << 20:
                client.writer.write(ping + settings)
                sent += len(ping + settings)
                largest = max(largest, *(c.transport.get_write_buffer_size() for c in served.one._grpc), 0)
                try:
                    await asyncio.wait_for(client.writer.drain(), 0.2)
                except (TimeoutError, ConnectionError):
                    break
            assert largest < 4 << 20
            await until(lambda: served.one.connections == 0)

    run(work())


def test_calls_broken_off_again_and_again_end_the_connection_and_leave_nothing(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served, strange(served, certificates) as client:
            for _ in range(2000):
                client.h2.reset_stream(client.call(end=False))
            client.send()
            events = await client.receive(ConnectionTerminated)
            ended = next(event for event in events if isinstance(event, ConnectionTerminated))
            assert ended.error_code == ErrorCodes.ENHANCE_YOUR_CALM
            await until(lambda: served.one.connections == 0)

    run(work())


def test_calls_that_are_broken_off_before_they_begin_are_forgotten(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served, strange(served, certificates) as client:
            for _ in range(100):
                client.h2.reset_stream(client.call(end=False))
            number = client.call(framed(HAS.SerializeToString()))
            events = await client.receive(TrailersReceived)
            assert trailers(events)["grpc-status"] == "0"
            assert number == 201
            (connection,) = served.one._grpc
            await until(lambda: connection.calls == 0)

    run(work())


def test_more_calls_at_once_than_allowed_are_refused(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        limits = Limits(grpc=h2.Limits(streams=4))
        async with (
            serving(certificates.material(INDEXER), limits) as served,
            strange(served, certificates) as client,
        ):
            for _ in range(5):
                client.call(end=False)
            events = await client.receive()
            assert any(isinstance(e, ConnectionTerminated | StreamReset) for e in events)
            # Our own channel waits its turn.
            async with served.channel(certificates.material(CENTRAL)) as central:
                stub = indexer_grpc.IndexerStub(central)
                replies = await asyncio.gather(*(stub.HasIndexReport(HAS) for _ in range(50)))
                assert all(reply.exists for reply in replies)

    run(work())


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\0\xff\xff\xff\xff", Status.RESOURCE_EXHAUSTED),
        (b"\0\x00\x00\x00\x09abc", Status.INVALID_ARGUMENT),
        (b"\0\x00", Status.INVALID_ARGUMENT),
        (framed(b"\xff\xff\xff"), Status.INVALID_ARGUMENT),
        (b"\x01\x00\x00\x00\x01a", Status.UNIMPLEMENTED),
        (b"", Status.INVALID_ARGUMENT),
    ],
)
def test_a_message_that_is_none_is_refused(tmp_path: Path, data: bytes, status: Status) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served, strange(served, certificates) as client:
            client.call(data)
            events = await told(client)
            assert trailers(events).get("grpc-status") == str(status.value)
            assert served.one.connections == 1

    run(work())


async def told(client: Raw) -> list[Event]:
    async with asyncio.timeout(60):
        while not trailers(client.events):
            client.events += client.h2.receive_data(await client.reader.read(1 << 16))
    return client.events


@pytest.mark.parametrize(
    "bytes_",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\0" * 4096,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4096,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x05\x01\x05\x00\x00\x00\x01\x00\x01\xff\x01\xff",
    ],
)
def test_what_is_not_http2_ends_the_connection_and_no_other(tmp_path: Path, bytes_: bytes) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            served.channel(certificates.material(CENTRAL)) as central,
            raw(served.port, certificates, "h2") as (_, writer),
        ):
            await central.ready(60)
            writer.write(bytes_)
            await until(lambda: served.one.connections == 1)
            assert (await indexer_grpc.IndexerStub(central).HasIndexReport(HAS)).exists

    run(work())


def test_frames_of_extensions_are_passed_over(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served, strange(served, certificates) as client:
            client.send(b"\x00\x00\x03\xbb\x00\x00\x00\x00\x00abc")
            client.call(framed(HAS.SerializeToString()))
            assert trailers(await client.receive(TrailersReceived))["grpc-status"] == "0"

    run(work())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(n, v if n != ":path" else "/redoubt.v1.Indexer/Nothing") for n, v in HEADERS], "12"),
        ([(n, v if n != ":method" else "GET") for n, v in HEADERS], None),
        ([*HEADERS, ("grpc-timeout", "soon")], "2"),
        ([(n, v) for n, v in HEADERS if n != "te"], "2"),
        ([(n, v if n != "content-type" else "text/html") for n, v in HEADERS], "2"),
    ],
)
def test_a_call_that_is_none_is_answered(
    tmp_path: Path, headers: list[tuple[str, str]], status: str | None
) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served, strange(served, certificates) as client:
            client.call(headers=headers)
            events = await client.receive(ResponseReceived)
            answered = dict(next(e for e in events if isinstance(e, ResponseReceived)).headers or [])
            assert answered.get("grpc-status") == status

    run(work())


@pytest.mark.parametrize("without", [":method", ":path", ":scheme"])
def test_a_call_without_what_every_request_has_ends_the_connection(tmp_path: Path, without: str) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served, strange(served, certificates) as client:
            client.call(headers=[(n, v) for n, v in HEADERS if n != without])
            await client.receive()
            await until(lambda: served.one.connections == 0)

    run(work())


def test_headers_are_limited(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served, strange(served, certificates) as client:
            client.call(headers=[*HEADERS, *((f"x-{n}", "y" * 1000) for n in range(200))])
            await client.receive()
            await until(lambda: served.one.connections == 0)

    run(work())


def test_stopping_lets_a_stream_end_and_begins_no_other(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served:
            async with (
                served.channel(certificates.material(CENTRAL)) as idle,
                served.channel(certificates.material(CENTRAL)) as central,
                indexer_grpc.IndexerStub(central).CreateIndexReport.open() as stream,
            ):
                await idle.ready(60)
                await stream.send_message(CREATE, end=True)
                assert (await stream.recv_message()).progress.stage == indexer_pb2.Progress.LAYERS
                stopping = asyncio.create_task(served.one.stop(60))
                await until(lambda: served.one.connections == 1)
                with pytest.raises(Unavailable), central.told():
                    await indexer_grpc.IndexerStub(central).HasIndexReport(HAS)
                assert not stopping.done()
                served.indexer.gate.set()
                assert (await stream.recv_message()).progress.stage == indexer_pb2.Progress.MERGING
                assert await stream.recv_message() is None
                await stopping
                assert served.indexer.ended == ["finished"]

    run(work())


def test_stopping_ends_a_stream_that_does_not_end(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served:
            async with served.channel(certificates.material(CENTRAL)) as central:
                with pytest.raises(Unavailable, match="broke off"), central.told():
                    async with indexer_grpc.IndexerStub(central).CreateIndexReport.open() as stream:
                        await stream.send_message(CREATE, end=True)
                        await stream.recv_message()
                        await served.one.stop(0.2)
                        assert served.indexer.ended == ["cancelled"]
                        await stream.recv_message()

    run(work())


def test_a_call_is_cancelled_where_its_caller_goes(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served:
            central = served.channel(certificates.material(CENTRAL))
            async with indexer_grpc.IndexerStub(central).CreateIndexReport.open() as stream:
                await stream.send_message(CREATE, end=True)
                await stream.recv_message()
                await stream.cancel()
            await until(lambda: served.indexer.ended == ["cancelled"])
            with pytest.raises(StreamTerminatedError):
                async with indexer_grpc.IndexerStub(central).CreateIndexReport.open() as stream:
                    await stream.send_message(CREATE, end=True)
                    await stream.recv_message()
                    central.close()
                    await stream.recv_message()
            await until(lambda: served.indexer.ended == ["cancelled"] * 2)

    run(work())


def test_a_deadline_ends_a_call_on_both_sides(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            served.channel(certificates.material(CENTRAL)) as central,
        ):
            await central.ready(60)  # the deadline is of the call, and not of the handshake before it
            with pytest.raises(Unavailable, match="no answer in time"), central.told():
                await indexer_grpc.IndexerStub(central).CreateIndexReport(CREATE, timeout=1)
            await until(lambda: served.indexer.ended == ["cancelled"])

    run(work())


def test_a_channel_connects_again_and_waits_longer_between_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        port = ports.free(1)[0]  # none that a connection of somebody else is given meanwhile
        async with serving(certificates.material(INDEXER), port=port) as served:
            central = served.channel(certificates.material(CENTRAL))
            stub = indexer_grpc.IndexerStub(central)
            assert (await stub.HasIndexReport(HAS)).exists
        waits = []
        monkeypatch.setattr(channel, "time", SimpleNamespace(monotonic=lambda: 1000.0))
        for _ in range(4):
            central._not_before = 0
            with pytest.raises(Unavailable, match="cannot be reached"), central.told():
                await stub.HasIndexReport(HAS)
            waits.append(central._not_before - 1000)
        assert 0 < waits[0] <= channel.FIRST < 4 * channel.FIRST <= waits[3] <= 8 * channel.FIRST
        failed = central._failed
        with pytest.raises(Unavailable, match="cannot be reached"), central.told():
            await stub.HasIndexReport(HAS)
        assert central._failed == failed  # it was not tried
        monkeypatch.undo()
        with pytest.raises(Unavailable):
            await central.ready(0.0)
        waiting = asyncio.create_task(central.ready(60))
        again = OnePort(tls=certificates.material(INDEXER), services=[Indexer()])
        await again.start("127.0.0.1", port)
        await waiting
        assert (await stub.HasIndexReport(HAS)).exists
        central.close()
        await again.stop(0)

    run(work())


def test_as_many_calls_at_once_as_one_likes_wait_their_turn_on_a_new_channel(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            served.channel(certificates.material(CENTRAL)) as central,
        ):
            stub = indexer_grpc.IndexerStub(central)
            replies = await asyncio.gather(*(stub.HasIndexReport(HAS) for _ in range(500)))
            assert all(reply.exists for reply in replies)
            assert served.one.connections == 1

    run(work())


def test_a_peer_that_is_silent_is_noticed(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        limits = Limits(grpc=h2.Limits(keepalive=0.1, keepalive_timeout=0.2), sweep=0.05)
        async with serving(certificates.material(INDEXER), limits) as served:
            async with raw(served.port, certificates, "h2") as (reader, writer):
                writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize())
                await until(lambda: served.one.connections == 1)
                await until(lambda: served.one.connections == 0)
                kinds = []
                data = await reader.read()
                while data:
                    frame, length = Frame.parse_frame_header(memoryview(data[:9]))
                    kinds.append(type(frame))
                    data = data[9 + length :]
                assert PingFrame in kinds

    run(work())


def test_a_connection_without_calls_is_not_kept_for_ever(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        limits = Limits(idle=0.3, sweep=0.05)
        async with (
            serving(certificates.material(INDEXER), limits) as served,
            served.channel(certificates.material(CENTRAL)) as central,
        ):
            stub = indexer_grpc.IndexerStub(central)
            assert (await stub.HasIndexReport(HAS)).exists
            await until(lambda: served.one.connections == 0)
            assert (await stub.HasIndexReport(HAS)).exists
        async with serving(certificates.material(INDEXER), Limits(idle_unknown=0.2, sweep=0.05)) as served:
            async with (
                strange(served, certificates) as client,
                served.channel(certificates.material(CENTRAL)) as known,
            ):
                await known.ready()
                client.send()
                await client.receive()
                await until(lambda: served.one.connections == 1)

    run(work())


def test_a_refusal_is_not_the_servers_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            served.channel(certificates.material(CENTRAL)) as central,
        ):
            with pytest.raises(GRPCError):
                await indexer_grpc.IndexerStub(central).GetIndexReport(
                    indexer_pb2.GetIndexReportRequest(hash_id="sha256:gone")
                )

    run(work())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
