"""The one port, as clients of other makers see it: grpcio, curl, a browser."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from redoubt.errors import DefinitionsMissing
from redoubt.wire import calls
from redoubt.wire.identity import Service
from redoubt.wire.material import Files
from redoubt.wire.proto.redoubt.v1 import failure_pb2, indexer_pb2
from support.wire import Certificates, Indexer, served

INDEXER, CENTRAL = Service.SCANNER_V4_INDEXER, Service.CENTRAL
HAS = indexer_pb2.HasIndexReportRequest(hash_id="sha256:here")
CREATE = indexer_pb2.CreateIndexReportRequest(reference="a.example/b")


class Grpcio:
    """A channel of grpcio, and the calls of ``redoubt.v1.Indexer``."""

    def __init__(self, port: int, certificates: Certificates, files: Files | None) -> None:
        credentials = grpc.ssl_channel_credentials(
            certificates.authority.trusted,
            files.key.read_bytes() if files else None,
            files.certificate.read_bytes() if files else None,
        )
        self.channel = grpc.secure_channel(f"localhost:{port}", credentials)

    def call(self, name: str, kind: str = "unary_unary") -> Any:
        replies = {
            "HasIndexReport": indexer_pb2.HasIndexReportReply,
            "GetIndexReport": indexer_pb2.ReportPart,
            "CreateIndexReport": indexer_pb2.CreateIndexReportReply,
        }
        return getattr(self.channel, kind)(
            f"/redoubt.v1.Indexer/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=replies[name].FromString,
        )

    def __enter__(self) -> Grpcio:
        return self

    def __exit__(self, *exc: object) -> None:
        self.channel.close()


def test_grpcio_calls_and_streams_and_is_known(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    with (
        served(certificates.material(INDEXER)) as server,
        Grpcio(server.port, certificates, certificates.files(CENTRAL)) as client,
    ):
        assert client.call("HasIndexReport")(HAS, timeout=60).indexer_version == "CENTRAL_SERVICE: Central"
        server.indexer.parts, server.indexer.part = 64, bytes(1 << 17)
        stream = client.call("GetIndexReport", "unary_stream")
        parts = list(stream(indexer_pb2.GetIndexReportRequest(hash_id="sha256:here"), timeout=60))
        assert sum(len(part.chunk) for part in parts) == parts[0].begun.size == 64 << 17


def test_grpcio_is_refused_as_it_should_be(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    with served(certificates.material(INDEXER)) as server:
        for files, status in (
            (None, grpc.StatusCode.UNAUTHENTICATED),
            (certificates.files(Service.SENSOR), grpc.StatusCode.PERMISSION_DENIED),
            (Certificates(tmp_path / "foreign").files(CENTRAL), grpc.StatusCode.UNAVAILABLE),
        ):
            with Grpcio(server.port, certificates, files) as client, pytest.raises(grpc.RpcError) as refused:
                list(client.call("CreateIndexReport", "unary_stream")(CREATE, timeout=60))
            assert refused.value.code() is status
        assert not server.indexer.began.is_set()


def test_grpcio_can_read_why_a_call_failed(tmp_path: Path) -> None:
    class Failing(Indexer):
        @calls.anyone()
        async def HasIndexReport(self, stream: object) -> None:
            raise DefinitionsMissing("no definitions are active")

    certificates = Certificates(tmp_path)
    with (
        served(certificates.material(INDEXER), services=[Failing()]) as server,
        Grpcio(server.port, certificates, None) as client,
    ):
        with pytest.raises(grpc.RpcError) as failed:
            client.call("HasIndexReport")(HAS, timeout=60)
        assert failed.value.details() == "no definitions are active"
        trailers = dict(failed.value.trailing_metadata())
        status = failure_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        assert status.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
        assert failure_pb2.Failure.FromString(status.details[0].value).kind == "DefinitionsMissing"


def test_grpcio_ends_its_stream_while_the_server_stops(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    with (
        served(certificates.material(INDEXER)) as server,
        Grpcio(server.port, certificates, certificates.files(CENTRAL)) as client,
    ):
        stream = client.call("CreateIndexReport", "unary_stream")(CREATE, timeout=60)
        assert next(stream).progress.stage == indexer_pb2.Progress.LAYERS
        loop = server.loop
        stopping = asyncio.run_coroutine_threadsafe(server.one.stop(60), loop)
        time.sleep(0.8)
        assert not stopping.done()
        loop.call_soon_threadsafe(server.indexer.gate.set)
        assert next(stream).progress.stage == indexer_pb2.Progress.MERGING
        assert list(stream) == []
        stopping.result(60)


def test_grpcio_pings_as_often_as_it_may(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    with served(certificates.material(INDEXER)) as server:
        credentials = grpc.ssl_channel_credentials(certificates.authority.trusted)
        options = [
            ("grpc.keepalive_time_ms", 50),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
        ]
        with grpc.secure_channel(f"localhost:{server.port}", credentials, options) as channel:
            call = channel.unary_unary(
                "/redoubt.v1.Indexer/HasIndexReport",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=indexer_pb2.HasIndexReportReply.FromString,
            )
            call(HAS, timeout=60)
            time.sleep(1)
            call(HAS, timeout=60)
            assert server.one.connections == 1


def test_many_threads_of_grpcio_at_once(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    with (
        served(certificates.material(INDEXER)) as server,
        Grpcio(server.port, certificates, None) as client,
    ):
        call, answers = client.call("HasIndexReport"), []
        threads = [
            threading.Thread(target=lambda: answers.extend(call(HAS, timeout=60).exists for _ in range(20)))
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [True] * 320


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs Debian's curl")


def curl(*arguments: str, give: bytes = b"") -> tuple[int, bytes, str]:
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "120", *arguments], input=give, capture_output=True, check=False
    )
    return done.returncode, done.stdout, done.stderr.decode()


@needs_curl
def test_curl_speaks_http_1_although_it_could_do_both(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    with served(certificates.material(INDEXER)) as server:
        ca = str(tmp_path / INDEXER.host / "ca.pem")
        url = f"https://localhost:{server.port}/"
        asked = ["--cacert", ca, "-w", "\n%{http_version} %{num_connects}", url, url]
        code, out, _ = curl("--http2", *asked)
        assert (code, out) == (0, b"None sent 0\n1.1 1None sent 0\n1.1 0")
        client = certificates.files(CENTRAL)
        shown = ["--cert", str(client.certificate), "--key", str(client.key)]
        assert curl("--cacert", ca, *shown, url)[1] == b"CENTRAL_SERVICE: Central sent 0"
        for tls in ("1.2", "1.3"):
            assert curl("--cacert", ca, f"--tlsv{tls}", "--tls-max", tls, *shown, url)[0] == 0
        code, _, said = curl("--cacert", ca, "--tls-max", "1.1", url)
        assert code == 35, said


@needs_curl
def test_curl_uploads_a_large_body_in_pieces_or_whole(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    with served(certificates.material(INDEXER)) as server:
        ca = str(tmp_path / INDEXER.host / "ca.pem")
        size = 100 << 20
        big = tmp_path / "big"
        with big.open("wb") as file:
            file.truncate(size)
        url = f"https://localhost:{server.port}/"
        for how in (
            ["-T", str(big)],
            ["-H", "Transfer-Encoding: chunked", "-T", str(big), "-H", "Expect: 100-continue"],
        ):
            code, out, said = curl("--cacert", ca, *how, url)
            assert (code, out) == (0, b"None sent %d" % size), said


@needs_curl
def test_curl_with_a_foreign_or_ended_certificate_is_turned_away(tmp_path: Path) -> None:
    certificates, foreign = Certificates(tmp_path), Certificates(tmp_path / "foreign")
    with served(certificates.material(INDEXER)) as server:
        ca = str(tmp_path / INDEXER.host / "ca.pem")
        for files in (foreign.files(CENTRAL), certificates.files(CENTRAL, "late", days=-1 / 48)):
            shown = ["--cert", str(files.certificate), "--key", str(files.key)]
            code, out, _ = curl("--cacert", ca, *shown, f"https://localhost:{server.port}/")
            assert code != 0
            assert out == b""
        assert server.app.requests == []


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
def test_a_browser_gets_pages_and_keeps_its_connections(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    certificates = Certificates(tmp_path)
    with served(certificates.material(CENTRAL), services=[]) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=120_000)
        try:
            page = browser.new_context(ignore_https_errors=True).new_page()
            answer = page.goto(f"https://localhost:{server.port}/")
            assert answer is not None
            assert (answer.status, answer.text()) == (200, "None sent 0")
            sizes = page.evaluate(
                """async () => Promise.all([...Array(24).keys()].map(async n =>
                    (await (await fetch('/' + n, {method: 'POST', body: 'x'.repeat(n * 1000)})).text())))"""
            )
            assert sizes == [f"None sent {n * 1000}" for n in range(24)]
            length = page.evaluate("async () => (await (await fetch('/long')).arrayBuffer()).byteLength")
            assert length == 64 << 20
            assert server.one.connections <= 7
        finally:
            browser.close()
