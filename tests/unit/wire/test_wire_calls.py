"""Calls over one port: who may make them, and what they fail with."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from redoubt import errors
from redoubt.wire import calls, failures
from redoubt.wire.channel import channel
from redoubt.wire.failures import Refused, Unavailable
from redoubt.wire.identity import Identity, Service
from redoubt.wire.material import Material
from redoubt.wire.proto.redoubt.v1 import indexer_grpc, indexer_pb2
from redoubt.wire.server import OnePort, StartFailed
from support.wire import Certificates, Indexer, run, serving

INDEXER, CENTRAL, MATCHER = Service.SCANNER_V4_INDEXER, Service.CENTRAL, Service.SCANNER_V4_MATCHER


def has(hash_id: str = "sha256:here") -> indexer_pb2.HasIndexReportRequest:
    return indexer_pb2.HasIndexReportRequest(hash_id=hash_id)


def test_a_call_is_answered_and_both_sides_know_each_other(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER)) as served,
            served.channel(certificates.material(CENTRAL, bundle_id="b1")) as central,
        ):
            reply = await indexer_grpc.IndexerStub(central).HasIndexReport(has())
            assert (reply.exists, reply.indexer_version) == (True, "CENTRAL_SERVICE: Central")
            assert central.peer is not None
            assert str(central.peer) == "SCANNER_V4_INDEXER_SERVICE: Scanner V4 Indexer"

    run(work())


def test_a_call_is_only_for_those_whom_its_handler_names(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served:
            create = indexer_pb2.CreateIndexReportRequest(reference="a.example/b")
            for service in set(Service) - {CENTRAL}:
                async with served.channel(certificates.material(service)) as other:
                    with pytest.raises(Refused, match=f"is not for {service}"), other.told():
                        await indexer_grpc.IndexerStub(other).CreateIndexReport(create)
            assert not served.indexer.began.is_set()
            async with served.channel(certificates.material(CENTRAL)) as central:
                served.indexer.gate.set()
                assert len(await indexer_grpc.IndexerStub(central).CreateIndexReport(create)) == 2

    run(work())


def test_a_server_may_refuse_whom_a_handler_names_and_says_why(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    def foreign(caller: Identity) -> str:
        return "" if caller.bundle_id == "ours" else "not of this house"

    async def work() -> None:
        create = indexer_pb2.CreateIndexReportRequest(reference="a.example/b")
        async with serving(certificates.material(INDEXER), foreign=foreign) as served:
            served.indexer.gate.set()
            async with served.channel(certificates.material(CENTRAL, bundle_id="ours")) as ours:
                assert await indexer_grpc.IndexerStub(ours).CreateIndexReport(create)
            async with served.channel(certificates.material(CENTRAL, "other", bundle_id="other")) as other:
                with pytest.raises(Refused, match="not of this house"), other.told():
                    await indexer_grpc.IndexerStub(other).CreateIndexReport(create)

    run(work())


def test_a_handler_that_does_not_say_who_may_call_it_is_not_served(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    class Careless(Indexer):
        async def HasIndexReport(self, stream: object) -> None: ...

    async def work() -> None:
        with pytest.raises(TypeError, match="HasIndexReport does not declare who may call it"):
            OnePort(tls=certificates.material(INDEXER), services=[Careless()])
        with pytest.raises(TypeError, match="served twice"):
            OnePort(tls=certificates.material(INDEXER), services=[Indexer(), Indexer()])

    run(work())


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (errors.UsageError("how"), Status.INVALID_ARGUMENT),
        (errors.UnreadableInput("what"), Status.INVALID_ARGUMENT),
        (errors.LimitExceeded("much"), Status.RESOURCE_EXHAUSTED),
        (errors.DefinitionsMissing("none"), Status.FAILED_PRECONDITION),
        (errors.AccessDenied("who"), Status.PERMISSION_DENIED),
        (errors.NetworkError("where"), Status.UNAVAILABLE),
        (failures.NotFound("gone"), Status.NOT_FOUND),
        (failures.Changed("other"), Status.ABORTED),
    ],
)
def test_an_error_is_the_same_on_the_other_side(
    tmp_path: Path, raised: errors.RedoubtError, code: Status
) -> None:
    certificates = Certificates(tmp_path)

    class Failing(Indexer):
        @calls.anyone()
        async def HasIndexReport(
            self, stream: Stream[indexer_pb2.HasIndexReportRequest, indexer_pb2.HasIndexReportReply]
        ) -> None:
            raise raised

    async def work() -> None:
        async with (
            serving(certificates.material(INDEXER), services=[Failing()]) as served,
            served.channel(certificates.material(CENTRAL)) as central,
        ):
            with pytest.raises(GRPCError) as told:
                await indexer_grpc.IndexerStub(central).HasIndexReport(has())
            assert told.value.status is code
            with pytest.raises(errors.RedoubtError) as again, central.told():
                await indexer_grpc.IndexerStub(central).HasIndexReport(has())
            assert (type(again.value), str(again.value)) == (type(raised), str(raised))

    run(work())


def test_an_error_of_a_kind_of_its_own_arrives_as_what_it_derives_from() -> None:
    class Odd(errors.DefinitionsStale):
        pass

    assert failures.status(Odd("x")).details.kind == "DefinitionsStale"


@pytest.mark.parametrize("caller", ["expired", "of tomorrow", "foreign"])
def test_a_caller_whose_certificate_is_not_valid_is_not_let_in(tmp_path: Path, caller: str) -> None:
    certificates, others = Certificates(tmp_path), Certificates(tmp_path / "others")

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served:
            if caller == "expired":
                tls = certificates.material(CENTRAL, days=-1 / 48)
            elif caller == "of tomorrow":
                tls = certificates.material(CENTRAL, now=datetime.now(UTC) + timedelta(hours=2))
            else:
                files = others.files(CENTRAL)
                files.authorities[0].write_bytes(certificates.authority.trusted)
                tls = Material(files)
            async with served.channel(tls) as central:
                with pytest.raises(Unavailable), central.told():
                    await indexer_grpc.IndexerStub(central).HasIndexReport(has())
            assert served.indexer.sent == 0

    run(work())


@pytest.mark.parametrize("ahead", [0.95, -24.0])
def test_clocks_that_are_an_hour_apart_are_no_hindrance(tmp_path: Path, ahead: float) -> None:
    certificates = Certificates(tmp_path)
    issued = datetime.now(UTC) + timedelta(hours=ahead)  # on a machine whose clock is ahead, or long ago

    async def work() -> None:
        server = certificates.material(INDEXER, now=issued)
        client = certificates.material(CENTRAL, now=issued)
        async with serving(server) as served, served.channel(client) as central:
            said = await indexer_grpc.IndexerStub(central).HasIndexReport(has())
            assert "Central" in said.indexer_version

    run(work())


def test_a_caller_without_a_certificate_is_nobody(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served:
            tls = certificates.material(CENTRAL)
            bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            bare.check_hostname = False
            bare.load_verify_locations(cadata=certificates.authority.trusted.decode())
            bare.set_alpn_protocols(["h2"])
            tls.client = lambda: bare  # type: ignore[method-assign]
            async with served.channel(tls) as nobody:
                stub = indexer_grpc.IndexerStub(nobody)
                assert (await stub.HasIndexReport(has())).indexer_version == "nobody"
                with pytest.raises(GRPCError) as refused:
                    await stub.GetIndexReport(indexer_pb2.GetIndexReportRequest(hash_id="sha256:here"))
                assert refused.value.status is Status.UNAUTHENTICATED

    run(work())


@pytest.mark.parametrize("server", ["expired", "foreign", "another service"])
def test_a_server_that_is_not_the_one_expected_is_told_nothing(tmp_path: Path, server: str) -> None:
    certificates, others = Certificates(tmp_path), Certificates(tmp_path / "others")

    async def work() -> None:
        tls = {
            "expired": lambda: certificates.material(INDEXER, days=-1 / 48),
            "foreign": lambda: others.material(INDEXER),
            "another service": lambda: certificates.material(MATCHER),
        }[server]()
        async with serving(tls) as served:
            async with served.channel(certificates.material(CENTRAL)) as central:
                with (
                    pytest.raises(Unavailable, match=r"not trusted|is SCANNER_V4_MATCHER") as failed,
                    central.told(),
                ):
                    await indexer_grpc.IndexerStub(central).HasIndexReport(has())
                assert f"127.0.0.1:{served.port}" in str(failed.value)
            await asyncio.sleep(0)
            assert served.indexer.sent == 0

    run(work())


def test_a_clusters_indexer_is_not_the_installations(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        clusters = certificates.material(INDEXER, identifier="3f0cb1e2-8a4d-4c1e-9b1f-0d7a6c5e4f3b")
        async with serving(clusters) as served:
            tls = certificates.material(CENTRAL)

            async def called(*, clusters: bool) -> None:
                line = channel(f"127.0.0.1:{served.port}", tls, {INDEXER}, clusters=clusters)
                try:
                    with line.told():
                        await indexer_grpc.IndexerStub(line).HasIndexReport(has())
                finally:
                    line.close()

            await called(clusters=True)
            with pytest.raises(Unavailable, match="a cluster's"):
                await called(clusters=False)

    run(work())


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def work() -> None:
        async with serving(certificates.material(INDEXER)) as served:
            with pytest.raises(StartFailed, match=f"cannot listen on 127.0.0.1, port {served.port}"):
                await OnePort(tls=certificates.material(INDEXER), services=[Indexer()]).start(
                    "127.0.0.1", served.port
                )

    run(work())
