"""``/health/…`` and ``/metrics`` of an Indexer and a Matcher: what Kubernetes and Prometheus are told, in good hours and bad."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from redoubt.errors import NetworkError
from redoubt.postgres.embedded import Embedded
from redoubt.scanner import serving
from redoubt.scanner.config import Settings
from redoubt.wire import ports
from redoubt.wire.identity import Service
from support.postgres import FAST, chosen, reachable_folder
from support.scanners import AFFECTED, NOWHERE, Shelf
from support.wire import Certificates

Migrated = Callable[[str], str]


def settings(folder: Path, service: Service, **more: object) -> Settings:
    certificates = Certificates(folder)
    certificates.files(service, "certificates")
    given = {
        "data": folder / "data",
        "certificates": folder / "certificates",
        "host": "127.0.0.1",
        "port": 0,
        "health_port": ports.free(1)[0],
        "central": NOWHERE,
        "shared_shelf": True,
    }
    return Settings(**given | more)  # type: ignore[arg-type]


def client(told: Settings) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{told.health_port}")


def test_an_indexer_is_ready_while_its_database_answers(tmp_path: Path) -> None:
    binaries = chosen()
    folder = reachable_folder()
    database = Embedded(folder / "pg", binaries=binaries, settings=FAST)
    database.start()
    try:
        told = settings(tmp_path, Service.SCANNER_V4_INDEXER, database_url=database.url("scanner"))

        async def work() -> None:
            async with serving.indexer(told), client(told) as http:
                for path in ("/health/liveness", "/health/readiness"):
                    assert (await http.get(path)).status_code == 200
                metrics = (await http.get("/metrics")).text
                assert "rox_scanner_indexing 0.0" in metrics
                assert (await http.get("/")).status_code == 404
                assert (await http.post("/health/readiness")).status_code == 405
                assert (await http.head("/metrics")).content == b""
                await asyncio.to_thread(database.stop)
                away = await http.get("/health/readiness")
                assert away.status_code == 503, away.text
                assert "the database does not answer" in away.text
                assert (await http.get("/health/liveness")).status_code == 200
                await asyncio.to_thread(database.start)
                for _ in range(100):
                    if (await http.get("/health/readiness")).status_code == 200:
                        return
                    await asyncio.sleep(0.1)
                raise AssertionError("the Indexer is not ready again")

        asyncio.run(asyncio.wait_for(work(), 120))
    finally:
        database.stop()


def test_a_matcher_is_ready_once_it_has_definitions(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    told = settings(tmp_path, Service.SCANNER_V4_MATCHER, data=shelf.data)

    async def without() -> None:
        async with serving.matcher(told), client(told) as http:
            unready = await http.get("/health/readiness")
            assert (unready.status_code, unready.text) == (503, "no definitions have come from Central yet\n")
            assert (await http.get("/health/liveness")).status_code == 200

    async def having() -> None:
        async with serving.matcher(told), client(told) as http:
            assert (await http.get("/health/readiness")).status_code == 200
            assert "rox_scanner_definitions_since_seconds 1." in (await http.get("/metrics")).text

    asyncio.run(asyncio.wait_for(without(), 60))
    shelf.publish(bookworm=AFFECTED)
    asyncio.run(asyncio.wait_for(having(), 60))


@pytest.mark.parametrize("host", ["", "127.0.0.1"])
def test_a_taken_health_port_is_a_line_and_not_the_end_of_the_process(tmp_path: Path, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = settings(tmp_path, Service.SCANNER_V4_MATCHER, health_port=port, health_host=host)

        async def work() -> None:
            with pytest.raises(NetworkError, match=rf"port {port} \(Address already in use\)"):
                async with serving.matcher(told):
                    raise AssertionError

        asyncio.run(asyncio.wait_for(work(), 60))
