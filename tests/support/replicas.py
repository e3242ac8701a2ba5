"""Definitions of several replicas on one database; as a program, one that dies in the middle of an upload.

python replicas.py URL DATA BUNDLE STEP    receives BUNDLE and is killed at the step of that name
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from redoubt.central.definitions.shelf import Definitions
from redoubt.central.notices import Notices
from redoubt.central.store import definitions_shared
from redoubt.postgres import pool

WITHIN = 30.0


@asynccontextmanager
async def replica(url: str, data: Path, *, starter: bool = False) -> AsyncIterator[Definitions]:
    """Central's definitions, as far as they are in the database ``url`` and below ``data``."""
    connections = await pool.connect(url, maximum=6)
    notices = Notices(connections)
    definitions = Definitions(data, starter=starter, replicas=(connections, notices))
    try:
        await notices.start()
        await definitions.start()
        try:
            yield definitions
        finally:
            await definitions.stop()
            await notices.stop()
    finally:
        await pool.close(connections)


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
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
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
