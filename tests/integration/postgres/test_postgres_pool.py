"""Connections to a server that starts, restarts, refuses and speaks TLS."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from redoubt.errors import AccessDenied, DatabaseError, DatabaseUnavailable
from redoubt.postgres import databases, pool
from redoubt.postgres.binaries import Binaries, find
from redoubt.postgres.embedded import Embedded
from redoubt.wire import ports
from support.postgres import FAST, chosen, reachable_folder


def test_statements_are_answered_and_long_ones_cancelled(database: str) -> None:
    async def run() -> None:
        connections = await pool.connect(database, statement_seconds=1.0)
        assert await connections.fetchval("SELECT $1::int + 1", 41) == 42
        with pytest.raises(asyncpg.QueryCanceledError):
            await connections.execute("SELECT pg_sleep(30)")
        assert await connections.fetchval("SHOW timezone") == "UTC"
        await connections.close()

    asyncio.run(run())


def test_a_wrong_password_is_not_tried_for_half_a_minute(database: str, tmp_path: Path) -> None:
    passfile = tmp_path / "pass"
    passfile.write_text("*:*:*:redoubt:wrong\n")
    passfile.chmod(0o600)
    url = database.split("&passfile=")[0] + f"&passfile={passfile}"
    with pytest.raises(AccessDenied, match="does not accept"):
        asyncio.run(pool.connect(url, wait_seconds=60))


def test_a_database_that_is_not_there_is_said_and_can_be_made(database: str) -> None:
    other = databases.named(database, 'an "odd" name/?')
    with pytest.raises(DatabaseError, match="no such database"):
        asyncio.run(pool.connect(other))

    async def run() -> object:
        for _ in range(2):
            url = await databases.ensure(database, 'an "odd" name/?')
        connections = await pool.connect(url)
        found = await connections.fetchval("SELECT current_database()")
        await connections.close()
        return found

    assert asyncio.run(run()) == 'an "odd" name/?'


def test_a_server_that_starts_later_is_waited_for() -> None:
    folder = reachable_folder()
    server = Embedded(folder / "pg", binaries=chosen(), settings=FAST)
    server.start()
    url = server.url("central")
    server.stop()
    with pytest.raises(DatabaseUnavailable, match="cannot reach"):
        asyncio.run(pool.connect(url, wait_seconds=0.1))
    starting = threading.Timer(0.3, server.start)
    starting.start()
    try:

        async def run() -> object:
            connections = await pool.connect(url)
            try:
                return await connections.fetchval("SELECT 1")
            finally:
                await connections.close()

        assert asyncio.run(run()) == 1
    finally:
        starting.join()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_work_outlives_a_restart_of_the_server() -> None:
    folder = reachable_folder()
    with Embedded(folder / "pg", binaries=chosen(), settings=FAST) as server:

        async def run() -> int:
            connections = await pool.connect(server.url("central"))
            await connections.execute("CREATE TABLE a (i int PRIMARY KEY)")
            for number in range(30):
                if number == 10:
                    assert server.pid is not None
                    os.kill(server.pid, signal.SIGKILL)

                async def work(number: int = number) -> None:
                    await connections.execute("INSERT INTO a VALUES ($1) ON CONFLICT DO NOTHING", number)

                await pool.again(work)
            # The old session may end only now.
            found: int = await pool.again(lambda: connections.fetchval("SELECT count(*) FROM a"))
            await connections.close()
            return found

        assert asyncio.run(run()) == 30
    shutil.rmtree(folder, ignore_errors=True)


# --- TLS: the embedded server has none, so a server of Debian's is started here for it.


def _certificate(folder: Path, host: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    other: x509.GeneralName = (
        x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([other]), critical=False)
        .sign(key, hashes.SHA256())
    )
    where = folder / f"{host}.pem", folder / f"{host}.key"
    where[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    where[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return where


def _with_tls() -> Binaries:
    for each in find():
        linked = subprocess.run(["ldd", each.postgres], capture_output=True, text=True).stdout
        if "libssl" in linked:
            return each
    pytest.skip("no PostgreSQL with TLS is here: install Debian's postgresql")


@pytest.fixture
def tls(tmp_path: Path, free_port: int) -> Iterator[tuple[str, Path]]:
    """``postgresql://…@127.0.0.1:port/central`` of a server that speaks TLS, and the certificate it shows."""
    binaries = _with_tls()
    folder = reachable_folder()
    with Embedded(folder / "pg", binaries=binaries, settings=FAST):
        pass
    data = folder / "pg" / "data"
    certificate, key = _certificate(data, "127.0.0.1")
    if os.geteuid() == 0:
        for each in (certificate, key):
            os.chown(each, data.stat().st_uid, -1)
    key.chmod(0o600)
    (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    settings = {
        **FAST,
        "listen_addresses": "127.0.0.1",
        "port": str(free_port),
        "ssl": "on",
        "ssl_cert_file": certificate.name,
        "ssl_key_file": key.name,
    }
    with Embedded(folder / "pg", settings=settings):
        yield f"postgresql://redoubt@127.0.0.1:{free_port}/central?passfile={folder}/pg/password", certificate
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def free_port() -> int:
    return ports.free(1)[0]


def test_verify_full_takes_the_right_certificate_only(tls: tuple[str, Path], tmp_path: Path) -> None:
    url, certificate = tls
    foreign, _ = _certificate(tmp_path, "other.example")

    async def run() -> object:
        connections = await pool.connect(f"{url}&sslmode=verify-full&sslrootcert={certificate}")
        found = await connections.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        await connections.close()
        return found

    assert asyncio.run(run()) is True
    with pytest.raises(DatabaseError, match=r"certificate of 127\.0\.0\.1"):
        asyncio.run(pool.connect(f"{url}&sslmode=verify-full&sslrootcert={foreign}"))
    by_name = url.replace("@127.0.0.1:", "@localhost:")  # the certificate is of the address, not of this name
    with pytest.raises(DatabaseError, match="certificate of localhost"):
        asyncio.run(pool.connect(f"{by_name}&sslmode=verify-full&sslrootcert={certificate}"))
