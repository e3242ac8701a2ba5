"""What it costs to keep definitions in the database: an upload to one Central of its own, and to one of two on one database.

Both get the same bundle, in the same run, on a PostgreSQL that writes to the disk (``fsync``). Timed from the start of the upload until
it is answered, until the records are there for Matchers (a whole download by digest ended), and, of the second Central, until they are there
as well. Memory is anonymous memory (RssAnon), sampled.

    python bench/replicas.py [ENTRIES [TEXT]]      5,000,000 and 620 by default (300 MB); prints JSON
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "bench")]

import httpx
import scale
import services

from redoubt.postgres import databases
from redoubt.postgres.embedded import Embedded
from redoubt.wire.identity import Service
from support.replicas import Process
from support.wire import Certificates


async def _ended(client: httpx.AsyncClient, digest: str) -> None:
    """Return when a whole download of the snapshot's stream has ended."""
    while True:
        async with client.stream("GET", f"/v1/definitions/snapshots/{digest}/stream") as answer:
            if answer.status_code == 200:
                async for _ in answer.aiter_raw():
                    pass
                return
        await asyncio.sleep(0.05)


async def _told(client: httpx.AsyncClient) -> str:
    """The active digest, as soon as there is one."""
    while True:
        active = (await client.get("/v1/definitions")).json()["active"]
        if active is not None:
            return str(active["digest"])
        await asyncio.sleep(0.05)


async def _measured(processes: list[Process], root: Path, bundle: Path) -> dict[str, float]:
    body = {"root": root.read_text(), "channel": "main"}
    async with processes[0].http() as first, processes[-1].http() as last:
        first.timeout = last.timeout = httpx.Timeout(600)
        while (await first.post("/v1/definitions/trust", json=body)).status_code != 200:
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.0)
        peaks = [services._Peak(process.process.pid) for process in processes]
        for peak in peaks:
            peak.__enter__()
        began = time.perf_counter()

        async def content() -> object:
            with bundle.open("rb") as file:
                while data := await asyncio.to_thread(file.read, 1 << 20):
                    yield data

        async def there(client: httpx.AsyncClient) -> float:
            await _ended(client, await _told(client))
            return time.perf_counter() - began

        waiting = [asyncio.create_task(there(client)) for client in (first, last)]
        answer = await first.post("/api/extensions/scannerdefinitions", content=content())
        answered = time.perf_counter() - began
        assert answer.status_code == 200, answer.text
        ends = await asyncio.gather(*waiting)
        for peak in peaks:
            peak.__exit__()
    result = {"answered": answered, "downloaded": ends[0]}
    if len(processes) > 1:
        result["downloaded_from_the_other"] = ends[1]
    rounded = {f"{name}_seconds": round(value, 1) for name, value in result.items()}
    return rounded | {f"more_mb_{number}": peak.more for number, peak in enumerate(peaks)}


def run(entries: int = 5_000_000, text: int = services._TEXT) -> dict[str, object]:
    """Everything, on a folder of its own."""
    home = Path(tempfile.mkdtemp(prefix="redoubt-bench-", dir=os.environ.get("REDOUBT_BENCH_DIR")))
    home.chmod(0o711)
    server = Embedded(home / "pg")
    processes: list[Process] = []
    try:
        subprocess.run(
            [scale.REDOUBT, "definitions", "keygen", "--out", f"{home}/keys"], check=True, capture_output=True
        )
        bundle = services._bundle(home, "text", entries, 1, text)
        result: dict[str, object] = {"entries": entries, "bundle_mb": round(bundle.stat().st_size / 1e6, 1)}
        certificates = Certificates(home / "certificates")
        certificates.files(Service.CENTRAL, "central")
        server.start()
        for store, names in (("disk", ["alone"]), ("database", ["a", "b"])):
            url = asyncio.run(databases.ensure(server.url(store), store))
            processes = [Process(home, name, url, certificates.folder, store) for name in names]
            result[store] = asyncio.run(_measured(processes, home / "keys" / "root.json", bundle))
            for process in processes:
                process.kill()
    finally:
        for process in processes:
            process.kill()
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
    return result


if __name__ == "__main__":
    print(json.dumps(run(*map(int, sys.argv[1:])), indent=2))
