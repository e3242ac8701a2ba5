"""Whom an Indexer's and a Matcher's process connects to: the second line, behind what ``egress`` lets through."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from redoubt.wire.identity import Service
from support.wire import Certificates

Migrated = Callable[[str], str]

#: An address that nobody has (RFC 5737), and a program that serves and then tries to reach it past every door.
FAR = "192.0.2.1"
PROGRAM = """
import asyncio, socket, sys
from pathlib import Path
from redoubt.egress import guard
from redoubt.errors import HostRefused
from redoubt.scanner import config, serving
from redoubt.scanner.indexing import Asked

def attempt():
    try:
        socket.create_connection(("{far}", 443), 0.2)
    except HostRefused:
        return "refused"
    except OSError:
        return "let through"

async def work():
    settings = config.Settings(**{{n: Path(v) if n in ("data", "certificates") else v for n, v in {settings}.items()}})
    serve = getattr(serving, "{service}")
    said = []
    async with serve(settings):
        said.append(attempt())
        try:
            await asyncio.get_running_loop().create_connection(asyncio.Protocol, "{far}", 443)
        except HostRefused:
            said.append("refused")
        watched = guard.current()
        with watched.permit(frozenset({{"{far}"}})):
            said.append(attempt())
        said.append(attempt())
    print(",".join(said))

guard.run(work())
"""


def ran(service: str, settings: dict[str, object]) -> str:
    program = PROGRAM.format(far=FAR, settings=settings, service=service)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_neither_process_connects_to_whom_nobody_named(migrated: Migrated, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "certificates")
    for service, kind in (("indexer", Service.SCANNER_V4_INDEXER), ("matcher", Service.SCANNER_V4_MATCHER)):
        certificates.files(kind)
        settings: dict[str, object] = {
            "data": str(tmp_path / service),
            "host": "127.0.0.1",
            "port": 0,
            "health_port": 0,
            "database_url": migrated("redoubt.scanner.migrations"),
            "certificates": str(tmp_path / "certificates" / kind.host),
            "central": "127.0.0.1:1",
        }
        assert ran(service, settings) == "refused,refused,let through,refused", service
