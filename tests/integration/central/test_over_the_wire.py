"""Central's whole of it on its one port: certificates, passwords and tokens as they come in."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from redoubt.central.config import Settings
from redoubt.central.serving import central as serve
from redoubt.wire.identity import Service
from redoubt.wire.server import StartFailed
from support.centrals import PASSWORD
from support.wire import Certificates, run

Migrated = Callable[[str], str]
ADMIN = ("admin", PASSWORD)


def of(certificates: Certificates, migrated: Migrated, **more: Any) -> Settings:
    """Settings of a Central that has a certificate, and its data beside that."""
    certificates.files(Service.CENTRAL, "certificates")
    return Settings(
        data=certificates.folder / "data",
        certificates=certificates.folder / "certificates",
        database_url=migrated("redoubt.central.migrations"),
        host="127.0.0.1",
        port=0,
        **more,
    )


def context(certificates: Certificates, service: Service | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=certificates.folder / "authority" / "ca.pem")
    if service is not None:
        files = certificates.files(service)
        made.load_cert_chain(files.certificate, files.key)
    return made


def test_who_calls_is_told_by_certificate_password_or_token(migrated: Migrated, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    strangers = Certificates(tmp_path / "elsewhere")
    settings = of(certificates, migrated, admin_password=PASSWORD)

    async def work() -> None:
        async with serve(settings) as running:

            def client(tls: ssl.SSLContext) -> httpx.AsyncClient:
                return httpx.AsyncClient(verify=tls, base_url=f"https://localhost:{running.port}", timeout=60)

            async with (
                client(context(certificates)) as nobody,
                client(context(certificates, Service.SCANNER_V4_MATCHER)) as matcher,
                client(context(certificates, Service.SENSOR)) as sensor,
            ):
                status = "/v1/auth/status"
                assert (await nobody.get(status)).status_code == 401
                assert (await nobody.get(status, auth=ADMIN)).json()["userId"] == "admin"
                told = (await sensor.get(status)).json()
                assert told["serviceId"] == {"id": Service.SENSOR.label, "type": "SENSOR_SERVICE"}
                assert told["userId"] is None

                assert (await sensor.get("/v1/roles")).status_code == 403
                stream = f"/v1/definitions/snapshots/{'0' * 64}/stream"
                assert (await nobody.get(stream)).status_code == 401
                assert (await sensor.get(stream)).status_code == 403
                assert (await matcher.get(stream)).status_code in (400, 404)  # let in; there is none
                # With a password besides, the person counts.
                assert (await sensor.get("/v1/roles", auth=ADMIN)).status_code == 200

                made = await nobody.post(
                    "/v1/apitokens/generate", json={"name": "x", "roles": ["Analyst"]}, auth=ADMIN
                )
                headers = {"Authorization": f"Bearer {made.json()['token']}"}
                assert (await nobody.get("/v1/roles", headers=headers)).status_code == 200
                log = (await nobody.get("/v1/auditlog", auth=ADMIN)).json()["entries"]
                assert (log[0]["source"], log[0]["route"]) == ("127.0.0.1", "/v1/apitokens/generate")

                expiry = await nobody.get("/v1/credentialexpiry", params={"component": "CENTRAL"}, auth=ADMIN)
                ends = datetime.fromisoformat(expiry.json()["expiry"])
                assert timedelta(days=300) < ends - datetime.now(UTC) < timedelta(days=400)
                other = await nobody.get("/v1/credentialexpiry", params={"component": "SCANNER"}, auth=ADMIN)
                assert other.status_code == 400

            files = strangers.files(Service.SENSOR)
            forged = context(certificates)
            forged.load_cert_chain(files.certificate, files.key)
            async with client(forged) as stranger:
                try:
                    assert (await stranger.get(status)).status_code == 401
                except httpx.TransportError:
                    await asyncio.sleep(0)  # refused while shaking hands

    run(work())


def test_a_start_that_fails_uses_up_no_password_and_leaves_nothing_running(
    migrated: Migrated, tmp_path: Path
) -> None:
    certificates = Certificates(tmp_path)
    settings = of(certificates, migrated)

    async def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(StartFailed, match="Address already in use"):
                async with serve(msgspec.structs.replace(settings, port=port)):
                    raise AssertionError
        assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()
        async with serve(settings) as running:
            assert running.password

    asyncio.run(work())


def test_a_start_that_is_cancelled_leaves_nothing_running_and_is_quick(
    migrated: Migrated, tmp_path: Path
) -> None:
    certificates = Certificates(tmp_path)
    settings = of(certificates, migrated, admin_password=PASSWORD)

    async def start() -> None:
        async with serve(settings):
            raise asyncio.CancelledError

    async def work() -> None:
        for after in (0.0, 0.05, 0.1, 0.2, 0.4):
            begun = asyncio.create_task(start())
            await asyncio.sleep(after)
            begun.cancel()
            assert (await asyncio.wait([begun], timeout=60))[0] == {begun}, after
            left = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
            assert left == set(), after

    asyncio.run(work())
