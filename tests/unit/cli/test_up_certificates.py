"""Certificates of `redoubt up`: made anew well before they end, at starts and while it runs, without a restart of anybody."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from redoubt.cli.console import Console
from redoubt.cli.redoubt import up
from redoubt.cli.redoubt.leaves import SERVICES, Leaves
from redoubt.wire.authority import Authority
from redoubt.wire.identity import Service
from redoubt.wire.material import Files, Material
from support.wire import run, serving

NAMES = ["localhost", "127.0.0.1"]
NOW = datetime(2099, 1, 1, tzinfo=UTC)


@pytest.fixture
def leaves(tmp_path: Path) -> Leaves:
    return Leaves(tmp_path, NAMES)


def serial(leaves: Leaves, service: Service = Service.CENTRAL) -> int:
    return x509.load_pem_x509_certificate((leaves.folder(service) / "cert.pem").read_bytes()).serial_number


def short(leaves: Leaves, folder: Path, days: float) -> None:
    """A certificate of Central that ends soon."""
    authority = Authority.load(folder / "ca")
    authority.issue(Service.CENTRAL, hosts=NAMES, days=days).write(leaves.folder(Service.CENTRAL))


def test_they_are_made_once_and_anew_when_their_end_is_near(leaves: Leaves, tmp_path: Path) -> None:
    assert leaves.renew() == list(SERVICES)
    assert leaves.renew() == []
    short(leaves, tmp_path, 61)
    assert leaves.renew() == []
    for days in (59, 1, -1):
        short(leaves, tmp_path, days)
        before = serial(leaves)
        assert leaves.renew() == [Service.CENTRAL]
        assert serial(leaves) != before
    soon = datetime.now(UTC) + timedelta(days=320)
    assert leaves.renew(soon) == list(SERVICES)
    assert leaves.renew(soon) == []


@pytest.mark.parametrize("damage", ["cert.pem", "key.pem", "ca.pem"])
def test_what_is_missing_or_damaged_is_made_anew(leaves: Leaves, damage: str) -> None:
    leaves.renew()
    (leaves.folder(Service.CENTRAL) / damage).unlink()
    assert leaves.renew() == [Service.CENTRAL]
    if damage != "key.pem":
        (leaves.folder(Service.CENTRAL) / damage).write_text("nothing")
        assert leaves.renew() == [Service.CENTRAL]


def test_another_name_or_another_authority_makes_all_anew(leaves: Leaves, tmp_path: Path) -> None:
    leaves.renew()
    assert Leaves(tmp_path, ["localhost"]).renew() == []
    assert Leaves(tmp_path, [*NAMES, "central.example"]).renew() == list(SERVICES)
    Authority.load(tmp_path / "ca").stage()
    assert leaves.renew() == list(SERVICES)


def test_an_authority_that_ends_soon_is_told_of_and_its_leaves_are_not_made_again_and_again(
    leaves: Leaves,
) -> None:
    leaves.renew()
    assert leaves.ends_with_its_authority() is None
    ends = leaves.ends_with_its_authority(NOW)
    assert ends is not None
    near = ends - timedelta(days=30)
    assert leaves.renew(near) == list(SERVICES)
    assert leaves.renew(near) == []


def test_connections_that_are_open_stay_and_new_ones_see_the_new_certificate(
    leaves: Leaves, tmp_path: Path
) -> None:
    leaves.renew()
    short(leaves, tmp_path, 1)
    tls = Material(Files.within(leaves.folder(Service.CENTRAL)))
    client = ssl.create_default_context(cafile=tmp_path / "ca" / "ca.pem")

    async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int]:
        reader, writer = await asyncio.open_connection("localhost", port, ssl=client)
        shown = writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]
        return reader, writer, int(shown, 16)

    async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return await reader.readuntil(b"\r\n")

    async def work() -> None:
        async with serving(tls) as server:
            server.app.gate.set()
            reader, writer, before = await connected(server.port)
            assert before == serial(leaves)
            assert leaves.renew() == [Service.CENTRAL]
            await server.one.refresh()  # what it does by itself every ten seconds
            _, second, after = await connected(server.port)
            assert after == serial(leaves) != before
            assert (await asked(reader, writer)).startswith(b"HTTP/1.1 200")
            writer.close()
            second.close()

    run(work())


def test_up_looks_while_it_runs(
    leaves: Leaves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(up, "_LOOK", 0.02)
    leaves.renew()
    short(leaves, tmp_path, 1)
    before = serial(leaves)
    supervisor = up.Supervisor(tmp_path, Console())
    supervisor._leaves = leaves
    watching = threading.Thread(target=supervisor.watch)
    watching.start()
    try:
        until = time.monotonic() + 20
        while serial(leaves) == before:
            assert time.monotonic() < until, "not made anew within 20 s"
            time.sleep(0.01)
        # What cannot be done is told, and does not end it.
        (tmp_path / "ca" / "ca-key.pem").rename(tmp_path / "away.pem")
        while "certificates were not made anew" not in capsys.readouterr().err:
            assert time.monotonic() < until, "nothing was said of it within 20 s"
            time.sleep(0.01)
        assert watching.is_alive()
    finally:
        supervisor.tell_to_stop()
        watching.join(20)
