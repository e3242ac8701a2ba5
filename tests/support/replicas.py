"""Definitions of several replicas on one database; as a program, one that dies in the middle of an upload.

python replicas.py URL DATA BUNDLE STEP    receives BUNDLE and is killed at the step of that name
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from redoubt.central.definitions.shelf import Definitions
from redoubt.central.notices import Notices
from redoubt.central.store import definitions_shared
from redoubt.postgres import pool
from redoubt.wire import ports

PASSWORD = "correct horse battery"  # of the administrator
ADMIN = ("admin", PASSWORD)
WITHIN = 60.0


@asynccontextmanager
async def replica(
    url: str, data: Path, *, starter: bool = False, deaf: bool = False
) -> AsyncIterator[Definitions]:
    """Central's definitions, as far as they are in the database ``url`` and below ``data``.

    ``deaf``: it hears of no change, and looks every tenth of a second.
    """
    connections = await pool.connect(url, maximum=6)
    notices = Notices(connections)
    definitions = Definitions(data, starter=starter, replicas=(connections, notices))
    try:
        if not deaf:
            await notices.start()
        elif definitions.shared is not None:
            definitions.shared._interval = 0.1
        await definitions.start()
        try:
            yield definitions
        finally:
            await definitions.stop()
            await notices.stop()
    finally:
        await pool.close(connections)


class Process:
    """``redoubt central`` with a data folder of its own. ``certificates``: a folder of ``support.wire.Certificates``."""

    def __init__(
        self, folder: Path, name: str, url: str, certificates: Path, store: str = "database"
    ) -> None:
        self.port = ports.free(1)[0]
        self.data = folder / name
        self._log = folder / f"{name}.log"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("REDOUBT_", "ROX_"))}
        self._environment = {
            **kept,
            "REDOUBT_CENTRAL_DATA": str(self.data),
            "REDOUBT_CENTRAL_DATABASE_URL": url,
            "REDOUBT_CENTRAL_DEFINITIONS_STORE": store,
            "REDOUBT_CENTRAL_STARTER": "false",
            "REDOUBT_CENTRAL_OFFLINE": "true",
            "REDOUBT_CENTRAL_HOST": "127.0.0.1",
            "REDOUBT_CENTRAL_PORT": str(self.port),
            "REDOUBT_CENTRAL_CERTIFICATES": str(certificates / "central"),
            "REDOUBT_CENTRAL_SECRETS_KEY_FILE": str(folder / "secrets.keys"),
            "REDOUBT_CENTRAL_ADMIN_PASSWORD": PASSWORD,
        }
        self._tls = ssl.create_default_context(cafile=certificates / "authority" / "ca.pem")
        self.start()

    def start(self) -> None:
        program = Path(sys.executable).with_name("redoubt")
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [program, "central"], env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    @asynccontextmanager
    async def http(self) -> AsyncIterator[httpx.AsyncClient]:
        """The administrator's client, once it answers."""
        base = f"https://localhost:{self.port}"
        async with httpx.AsyncClient(verify=self._tls, base_url=base, auth=ADMIN, timeout=60) as client:
            ends = time.monotonic() + 120
            while True:
                assert self.process.poll() is None, self._log.read_text()
                try:
                    if (await client.get("/v1/auth/status")).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                assert time.monotonic() < ends, f"waited for Central to be ready: {self._log.read_text()}"
                await asyncio.sleep(0.05)
            yield client


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until ``condition`` holds; fails after a while, with ``what`` was waited for."""
    ends = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < ends, f"waited {WITHIN} seconds for: {what}"
        await asyncio.sleep(0.01)


async def body(path: Path) -> AsyncIterator[bytes]:
    """A file as an upload's chunks."""
    yield path.read_bytes()


def killed(url: str, data: Path, bundle: Path, step: str) -> None:
    """Upload in a process of its own, that is killed at ``step``."""
    words = [sys.executable, __file__, url, str(data), str(bundle), step]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == -signal.SIGKILL, f"{step}: {done.returncode} {done.stdout} {done.stderr}"


async def _receive(url: str, data: Path, bundle: Path, wanted: str) -> None:
    def step(name: str) -> None:
        if name == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    definitions_shared._step = step

    async def dying() -> AsyncIterator[bytes]:
        yield bundle.read_bytes()[:100]
        step("half-received")
        yield bundle.read_bytes()[100:]

    async with replica(url, data) as definitions:
        await definitions.receive(dying())


if __name__ == "__main__":
    asyncio.run(_receive(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]))
