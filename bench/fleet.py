"""The fleet: 10,000 images judged, judged again, followed after a day's change, and its pages read by many at once.

Packages' names and versions are drawn from the advisory data (``match``): 100,000 distinct ones, half of them with
advisories, in 10,000 images of 400: three in four of a base that many images share, popular ones in most. Real data has
no scores here, so every CVE is given one, and all of them change with the day; of the advisories one in a hundred does.

PostgreSQL is the embedded one with its settings as they are; the judge is a snapshot in a process of its own. Pages are
asked for over HTTP on kept connections, by 16 clients who never wait, beside a handler of Central's that does nothing.

    python bench/fleet.py [IMAGES]        10,000 by default; prints JSON
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import match as match_bench
import msgspec
import uvloop

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from redoubt.central.fleet.judging import LocalJudge
from redoubt.central.fleet.rematch import Fleet
from redoubt.central.store.fleet import FleetStore
from redoubt.central.store.fleet_intake import _register
from redoubt.central.store.fleet_rows import packed
from redoubt.definitions import records, snapshot
from redoubt.definitions.build import build
from redoubt.definitions.mirror import Mirror
from redoubt.definitions.records import Record
from redoubt.matcher.apart import Subject, subject
from redoubt.model import Distribution, Epss, Image, IndexReport, Location
from redoubt.postgres import migrations, pool
from redoubt.postgres.embedded import Embedded

_CLIENTS = 16
_REQUESTS = 3000
_THOUSANDS = 100  # of distinct packages, for 10,000 images
_BASES = 200
_PUT = 100  # images that come one by one, as scans bring them
_DEBIAN = Distribution(
    id="debian", version_id="11", codename="bullseye", name="Debian GNU/Linux 11 (bullseye)"
)
_MIGRATIONS = "redoubt.central.migrations"


def run(images: int = 10_000, mirror: Path = match_bench.DATA) -> dict[str, object]:
    """Seconds for each step, and milliseconds of pages."""
    with tempfile.TemporaryDirectory(prefix="redoubt-bench-", dir=_scratch()) as scratch:
        folder = Path(scratch)
        folder.chmod(0o711)
        _definitions(mirror, folder)
        with Embedded(folder / "pg", databases=("central",)) as server:
            return asyncio.run(_measure(server, folder, images))


def _scratch() -> str | None:
    return os.environ.get("REDOUBT_BENCH_FOLDER")


def _definitions(mirror: Path, folder: Path) -> None:
    with build(Mirror(mirror)) as built:
        first = list(built.records())
    snapshot.create(folder / "day0", _scored(first, 0))
    snapshot.create(folder / "day1", _scored(_changed(first), 1))


def _scored(kept: list[Record], day: int) -> list[Record]:
    chance = random.Random(day)
    names = {key.rpartition(b"/")[2].decode() for key, _ in kept if key[:1] == records.ADVISORY}
    scores = [
        records.epss(name, Epss(chance.random() ** 4, chance.random(), f"2026-11-2{day}"))
        for name in sorted(names)
        if name.startswith("CVE-")
    ]
    return sorted(kept + scores)


def _changed(kept: list[Record]) -> list[Record]:
    """One advisory in a hundred has another title, and one in two hundred another fix or none for a package."""
    chance = random.Random(7)
    made = []
    for key, value in kept:
        if key[:1] == records.ADVISORY and chance.random() < 0.01:
            ref = key[1:].decode()
            old = records.decode_advisory(ref, value)
            made.append(records.advisory(msgspec.structs.replace(old, title=f"{old.title} (updated)")))
        elif key[:1] == records.AFFECTED and chance.random() < 0.005:
            namespace, name, ref = key[1:].decode().split("\0")
            ranges = [
                msgspec.structs.replace(item, upper_key=b"", upper="", flags=0)
                for item in records.decode_affected(value)
            ]
            made.append(records.affected(namespace, name, ref, ranges))
        else:
            made.append((key, value))
    return made


def _images(count: int, known: dict[str, list[tuple[str, list[str]]]]) -> Iterator[IndexReport]:
    packages = list(match_bench._index(known, max(1, _THOUSANDS * count // 10_000)).packages)
    chance = random.Random(20261126)
    chance.shuffle(packages)
    place = Location("var/lib/dpkg/status", "sha256:" + "0" * 64)
    packages = [msgspec.structs.replace(item, locations=(place,)) for item in packages]
    common, rest = packages[: len(packages) // 5], packages[len(packages) // 5 :]
    bases = [chance.sample(common, 300) for _ in range(_BASES)]
    share = len(rest) // count + 1
    for number in range(count):
        own = rest[number * share : (number + 1) * share]  # so that every package is somewhere
        mine = {item.identity: item for item in (*chance.choice(bases), *own)}
        while len(mine) < 400:
            item = chance.choice(rest)
            mine[item.identity] = item
        yield IndexReport(
            image=Image(
                reference=f"registry.example.org/team-{number % 40}/service-{number}:1",
                kind="registry",
                digest=f"sha256:{number:064x}",
            ),
            distribution=_DEBIAN,
            packages=tuple(mine[key] for key in sorted(mine, key=repr)),
        )


async def _measure(server: Embedded, folder: Path, count: int) -> dict[str, object]:
    url = server.url("central")
    connections = await pool.connect(url, maximum=12, statement_seconds=0)
    await migrations.migrate(connections, _MIGRATIONS)
    store = FleetStore(connections)
    result: dict[str, object] = {}
    with snapshot.Snapshot.open(folder / "day0") as day0, snapshot.Snapshot.open(folder / "day1") as day1:
        reports = _images(count, match_bench._known(day0))
        began = time.perf_counter()
        await _spread(itertools.islice(reports, _PUT), store.put_image, 4)
        result["images_put_per_second"] = round(_PUT / (time.perf_counter() - began))
        await _copied(connections, reports)  # the others at once: how they came is not what is measured
        await connections.execute("DELETE FROM fleet_work")  # a run finds all of it
        for name, definitions in (("first", day0), ("again", day0), ("day", day1), ("nothing", day1)):
            if name == "again":
                await connections.execute("UPDATE fleet_questions SET mark = NULL")
                await connections.execute("UPDATE fleet_state SET definitions = ''")
            if name == "nothing":
                await connections.execute("UPDATE fleet_state SET definitions = ''")
            await connections.execute("VACUUM ANALYZE")
            result[name] = await _run(connections, definitions)
        result["rows"] = {
            table: await connections.fetchval(f"SELECT count(*) FROM {table}")
            for table in (
                *("fleet_images", "fleet_image_packages", "fleet_packages", "fleet_questions"),
                *("fleet_findings", "fleet_flaws", "fleet_details", "fleet_changes"),
            )
        }
        result["megabytes"] = await connections.fetchval("SELECT pg_database_size(current_database()) >> 20")
    await connections.execute("VACUUM ANALYZE")
    result["pages"] = await _pages(url, connections, count)
    began = time.perf_counter()
    for number in range(0, count, max(1, count // 20)):
        await store.report(f"sha256:{number:064x}")
    result["whole_report_ms"] = round((time.perf_counter() - began) / 20 * 1000, 1)
    await connections.close()
    return result


async def _copied(connections: asyncpg.Pool, reports: Iterator[IndexReport]) -> None:
    images: list[tuple[object, ...]] = []
    contents: list[list[bytes]] = []
    subjects: dict[bytes, Subject] = {}
    made: dict[tuple[object, ...], bytes] = {}
    for report in reports:
        keys = []
        for package in report.packages:
            if (key := made.get(package.identity)) is None:
                asked = subject(package, report.distribution)
                key = made[package.identity] = asked.key
                subjects[key] = asked
            keys.append(key)
        contents.append(keys)
        images.append(
            (report.image.digest, report.image.reference, "debian:11", len(keys), packed(report), True)
        )
    async with connections.acquire() as connection:
        await _register(connection, subjects)
        numbers = {
            row["key"]: row["package"]
            for row in await connection.fetch("SELECT key, package FROM fleet_packages")
        }
        columns = ("digest", "name", "release", "packages", "report", "settled")
        await connection.copy_records_to_table("fleet_images", records=images, columns=columns)
        ids = {
            row["digest"]: row["image"]
            for row in await connection.fetch("SELECT digest, image FROM fleet_images")
        }
        rows = (
            (ids[image[0]], package)
            for image, keys in zip(images, contents, strict=True)
            for package in {numbers[key] for key in keys}
        )
        await connection.copy_records_to_table(
            "fleet_image_packages", records=rows, columns=("image", "package")
        )


async def _run(connections: asyncpg.Pool, definitions: snapshot.Snapshot) -> dict[str, object]:
    @asynccontextmanager
    async def judges():  # type: ignore[no-untyped-def]
        yield LocalJudge(definitions)

    fleet = Fleet(connections, judges)
    began = time.perf_counter()
    async with judges() as judge:
        outcome = await fleet.run(judge)
    judged = time.perf_counter()
    await fleet.count()
    counted = time.perf_counter()
    await fleet.list_images()
    assert outcome is not None
    return {
        "questions": outcome.questions,
        "packages": outcome.packages,
        "seconds": round(judged - began, 2),
        "counted_seconds": round(counted - judged, 2),
        "listed_seconds": round(time.perf_counter() - counted, 2),
    }


async def _spread(items: Iterator[object], work: Callable[..., object], tasks: int) -> None:
    async def one() -> None:
        for item in items:
            await work(item)  # type: ignore[misc]

    await asyncio.gather(*(one() for _ in range(tasks)))


# Pages


async def _pages(url: str, connections: asyncpg.Pool, count: int) -> dict[str, object]:
    chance = random.Random(3)
    names = [row["name"] for row in await connections.fetch("SELECT name FROM fleet_flaws WHERE images > 0")]
    serving = subprocess.Popen(
        [sys.executable, __file__, "serve"],
        env={**os.environ, "FLEET_URL": url},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert serving.stdout is not None
    try:
        port = int(serving.stdout.readline())
        await _reached(port)
        asked: dict[str, Callable[[], str]] = {
            "empty": lambda: "/empty",
            "images": lambda: "/v1/fleet/images",
            "cves": lambda: "/v1/fleet/cves",
            "images_of_cve": lambda: f"/v1/fleet/cves/{chance.choice(names)}/images",
            "findings_of_image": lambda: f"/v1/fleet/images/sha256:{chance.randrange(count):064x}/findings",
        }
        result: dict[str, object] = {}
        for name, path in asked.items():
            await _load(port, path, 400)  # connections, statements, caches
            result[name] = await _load(port, path, _REQUESTS)
        result["empty_again"] = await _load(port, asked["empty"], _REQUESTS)
        return result
    finally:
        serving.terminate()
        serving.wait()


async def _reached(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def _load(port: int, path: Callable[[], str], requests: int) -> dict[str, float]:
    times: list[float] = []
    left = iter(range(requests))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            began = time.perf_counter()
            writer.write(f"GET {path()} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer Admin\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
            await reader.readexactly(size)
            times.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    took = time.perf_counter() - began
    times.sort()
    return {
        "p50_ms": round(times[len(times) // 2] * 1000, 2),
        "p99_ms": round(times[len(times) * 99 // 100] * 1000, 2),
        "per_second": round(requests / took),
    }


async def _serve() -> None:
    """Central's application on plain HTTP: its own way in (middleware, caller, guard, audit), the fleet, and nothing."""
    import uvicorn
    from litestar import Controller, get

    from redoubt.central import app
    from redoubt.central.api.fleet import FleetController
    from redoubt.central.auth.audit import Audit
    from redoubt.central.auth.authenticate import Authenticator
    from redoubt.central.auth.declare import authenticated
    from redoubt.central.auth.parts import Auth
    from redoubt.central.config import Settings
    from redoubt.central.notices import Notices
    from redoubt.central.services import Services
    from support.centrals import NamedRoles, Nothing

    class Empty(Controller):
        path = "/empty"

        @get(opt=authenticated())
        async def empty(self) -> dict[str, str]:
            return {}

    connections = await pool.connect(os.environ["FLEET_URL"], minimum=4, maximum=8)
    auth = Auth.create(Settings(), connections, None, Notices(connections))  # type: ignore[arg-type]
    auth.authenticator = Authenticator(tokens=NamedRoles())
    auth.audit = Audit(Nothing())  # type: ignore[arg-type]
    fleet = Fleet(connections, None)  # type: ignore[arg-type]
    services = Services(settings=Settings(), pool=connections, auth=auth, fleet=fleet)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    application = app.create(services, [Empty, FleetController])
    config = uvicorn.Config(application, http="httptools", log_level="error", access_log=False)
    print(listening.getsockname()[1], flush=True)
    await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        uvloop.run(_serve())
    else:
        print(json.dumps(run(*map(int, sys.argv[1:2])), indent=2))
