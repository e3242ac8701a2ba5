"""Certificates and CAs are exchanged while the services run."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from pathlib import Path

import pytest

from redoubt.errors import UnreadableInput
from redoubt.wire.authority import Authority
from redoubt.wire.failures import Unavailable
from redoubt.wire.identity import Identity, Service, from_certificate
from redoubt.wire.material import Files, Material
from redoubt.wire.proto.redoubt.v1 import indexer_grpc, indexer_pb2
from redoubt.wire.server import Limits
from support.wire import Certificates, answer, raw, run, serving, until

INDEXER, CENTRAL = Service.SCANNER_V4_INDEXER, Service.CENTRAL
HAS = indexer_pb2.HasIndexReportRequest(hash_id="sha256:here")
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_a_new_certificate_is_served_and_shown_without_a_restart(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        server, client = certificates.files(INDEXER), certificates.files(CENTRAL)
        shown = Material(server)
        async with serving(shown, Limits(reload=0.05, sweep=0.02)) as served:
            async with served.channel(Material(client)) as central:
                stub = indexer_grpc.IndexerStub(central)
                await stub.HasIndexReport(HAS)
                before, old = central.peer, shown.fingerprint
                certificates.files(CENTRAL, identifier="Another")
                certificates.files(INDEXER)
                await until(lambda: shown.fingerprint != old)
                await asyncio.sleep(0.1)
                await stub.HasIndexReport(HAS)
                assert central.peer == before  # the same CAs: connections stay
                central.close()
                reply = await stub.HasIndexReport(HAS)
                assert reply.indexer_version == "CENTRAL_SERVICE: Another"
                assert isinstance(before, Identity)
                assert isinstance(central.peer, Identity)
                assert central.peer.serial != before.serial

    run(work())


def test_a_ca_is_exchanged_while_calls_go_on(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        server, client = certificates.files(INDEXER), certificates.files(CENTRAL)
        stray = certificates.files(CENTRAL, "stray")
        failures: list[Exception] = []
        shown = Material(server)
        async with serving(shown, Limits(reload=0.02, sweep=0.01)) as served:
            async with served.channel(Material(client)) as central:
                stub, done = indexer_grpc.IndexerStub(central), asyncio.Event()

                async def calling() -> None:
                    while not done.is_set():
                        try:
                            assert (await stub.HasIndexReport(HAS)).exists
                        except Exception as error:  # noqa: BLE001 (looked at below)
                            failures.append(error)
                        await asyncio.sleep(0.002)

                calls = asyncio.create_task(calling())
                for step in ("stage", "switch", "retire"):
                    certificates.authority = getattr(certificates.authority, step)()
                    # First everybody trusts, then certificates are given out: two rounds, as a rollout has.
                    trusted = certificates.authority.trusted
                    for files in (server, client):
                        files.authorities[0].write_bytes(trusted)
                    await until(lambda trusted=trusted: shown.trusted.strip() == trusted.strip())
                    await asyncio.sleep(0.15)
                    old = shown.fingerprint
                    certificates.files(CENTRAL)
                    certificates.files(INDEXER)
                    await until(lambda old=old: shown.fingerprint != old)
                    await asyncio.sleep(0.15)
                done.set()
                await calls
                assert failures == []
                assert central.peer is not None
            stray.authorities[0].write_bytes(certificates.authority.trusted)
            async with served.channel(Material(stray)) as old:
                with pytest.raises(Unavailable), old.told():
                    await indexer_grpc.IndexerStub(old).HasIndexReport(HAS)

    run(work())


def test_connections_of_a_ca_that_is_trusted_no_more_end(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        server, client = certificates.files(INDEXER), certificates.files(CENTRAL)
        shared = Material(server)
        async with serving(shared) as served:
            async with (
                served.channel(Material(client)) as central,
                raw(served.port, certificates, client=client) as (reader, writer),
                raw(served.port, certificates) as (anonymous, asking),
            ):
                await indexer_grpc.IndexerStub(central).HasIndexReport(HAS)
                writer.write(GET)
                await answer(reader)
                other = Authority.create(tmp_path / "other")
                other.issue(INDEXER).write(tmp_path / INDEXER.host)
                shared.refresh()  # as a channel of the same process does
                await served.one.refresh()
                await until(lambda: served.one.connections == 1)
                assert await reader.read() == b""
                asking.write(GET)
                assert (await answer(anonymous))[0] == 200

    run(work())


def test_a_stream_ends_when_the_ca_that_its_caller_came_with_is_trusted_no_more(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    request = indexer_pb2.CreateIndexReportRequest()

    async def work() -> None:
        server, old = certificates.files(INDEXER), certificates.files(CENTRAL, "old")
        material = Material(server)
        async with serving(material) as served:
            certificates.authority = certificates.authority.stage()
            server.authorities[0].write_bytes(certificates.authority.trusted)
            certificates.authority = certificates.authority.switch()
            new = certificates.files(CENTRAL, "new")
            async with served.channel(Material(old)) as early, served.channel(Material(new)) as late:
                async with indexer_grpc.IndexerStub(early).CreateIndexReport.open() as stream:
                    await stream.send_message(request, end=True)
                    await stream.recv_message()
                    await served.one.refresh()  # both are trusted: what runs goes on
                    async with indexer_grpc.IndexerStub(late).CreateIndexReport.open() as other:
                        await other.send_message(request, end=True)
                        await other.recv_message()
                        server.authorities[0].write_bytes(certificates.authority.retire().trusted)
                        await served.one.refresh()
                        with pytest.raises(Unavailable), early.told():
                            await asyncio.wait_for(stream.recv_message(), 60)
                            await stream.recv_trailing_metadata()
                        served.indexer.gate.set()
                        assert await other.recv_message() is not None

    run(work())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cert.pem", b""),
        ("cert.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ("key.pem", b"nothing"),
        ("ca.pem", b"nothing"),
        ("ca.pem", "not ASCII: ü".encode()),
        ("cert.pem", None),
        ("ca.pem", None),
    ],
)
def test_what_cannot_be_used_is_told_once_and_what_was_there_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes | None
) -> None:
    certificates = Certificates(tmp_path)
    files = certificates.files(INDEXER)
    material = Material(files)
    before = material.fingerprint
    path = tmp_path / INDEXER.host / name
    kept = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with caplog.at_level(logging.INFO):
        material.refresh()
        material.refresh()
    assert material.fingerprint == before
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "cannot be used yet" in caplog.text
    with pytest.raises(UnreadableInput, match=r"\.pem"):
        Material(files)
    path.write_bytes(kept)
    certificates.files(INDEXER)
    material.refresh()
    assert material.fingerprint != before


def test_a_certificate_whose_key_has_not_come_yet_is_waited_for(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    files = certificates.files(INDEXER)
    material = Material(files)
    issued = certificates.authority.issue(INDEXER)
    files.certificate.write_bytes(issued.certificate)
    before = material.fingerprint
    material.refresh()
    assert material.fingerprint == before
    files.key.write_bytes(issued.key)
    material.refresh()
    assert material.fingerprint != before


def test_people_see_the_front_certificate_and_services_our_own(tmp_path: Path) -> None:
    certificates, company = Certificates(tmp_path), Certificates(tmp_path / "company")
    folder = tmp_path / "company/front"
    company.authority.issue(CENTRAL, "Front", hosts=["central.company.example"]).write(folder)
    files = certificates.files(CENTRAL)
    tls = Material(
        Files(files.certificate, files.key, files.authorities, (folder / "cert.pem", folder / "key.pem"))
    )

    async def shown(port: int, name: str | None) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(
            cadata=(certificates.authority.trusted + company.authority.trusted).decode("ascii")
        )
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name or "")
        told = from_certificate(writer.get_extra_info("ssl_object").getpeercert())
        writer.transport.abort()
        assert told is not None
        return told.identifier

    async def work() -> None:
        async with serving(tls, services=[]) as served:
            assert await shown(served.port, "central.stackrox.svc") == "Central"
            assert await shown(served.port, "central.company.example") == "Front"
            assert await shown(served.port, "127.0.0.1") == "Front"
            # Who calls by the company's name may still prove to be a service.
            context = raw(
                served.port,
                company,
                client=certificates.files(Service.SENSOR, identifier="c1"),
                name="central.company.example",
            )
            async with context as (reader, writer):
                writer.write(GET)
                assert await answer(reader) == (200, b"SENSOR_SERVICE: c1 sent 0")

    run(work())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_that_is_resumed_names_nobody(tmp_path: Path, version: ssl.TLSVersion) -> None:
    certificates = Certificates(tmp_path)
    client = certificates.files(CENTRAL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=certificates.authority.trusted.decode())
    context.load_cert_chain(client.certificate, client.key)
    context.minimum_version = context.maximum_version = version

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served:
            loop = asyncio.get_running_loop()
            for reused, body in await loop.run_in_executor(None, twice, context, served.port):
                assert body == (b"None sent 0" if reused else b"CENTRAL_SERVICE: Central sent 0")
                assert not reused or version is ssl.TLSVersion.TLSv1_2

    run(work())


def twice(context: ssl.SSLContext, port: int) -> list[tuple[bool, bytes]]:
    """Whether the session was resumed, and what was answered, of two connections with one session."""
    found, session = [], None
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
        ):
            connection.sendall(GET)
            data = b""
            while b"sent 0" not in data:
                data += connection.recv(1000)
            found.append((bool(connection.session_reused), data.partition(b"\r\n\r\n")[2]))
            session = connection.session
    return found
