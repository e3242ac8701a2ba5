"""Kernel support packages at a Central with its database: stored whole or not at all, for Sensors only, listed and deleted."""

from __future__ import annotations

import asyncio
import resource
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from grpclib.exceptions import GRPCError

from redoubt.central.auth.calls import Door
from redoubt.central.probes.shelf import Probes
from redoubt.central.probes.upstream import Upstream
from redoubt.central.probes.wire import ProbeUploadService
from redoubt.central.refusals import FailedPrecondition
from redoubt.cli.roxctl.probes import manifest
from redoubt.egress import Policy
from redoubt.errors import AccessDenied, Busy
from redoubt.wire.channel import channel
from redoubt.wire.identity import Identity, Service
from redoubt.wire.proto.redoubt.v1.probes_grpc import ProbeUploadStub
from redoubt.wire.proto.redoubt.v1.probes_pb2 import GetExistingProbesRequest
from redoubt.wire.server import OnePort
from support.centrals import PASSWORD, Central, authorized
from support.web import Answer, Web
from support.wire import Certificates

Migrated = Callable[[str], str]
MIGRATIONS = "redoubt.central.migrations"
ADMIN = ("admin", PASSWORD)
A, B, C = (
    "2.9.0/collector-5.4.0-1.ko.gz",
    "2.9.0/collector-ebpf-6.1.0-3.o.gz",
    f"{'0a' * 32}/collector-ebpf-5.10.0.o.gz",
)
FILES = {A: b"module " * 100, B: b"ebpf " * 300_000, C: b"third"}


def run(url: str, folder: Path, work: Callable[[Central], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with Central(url, folder) as central:
            await work(central)

    asyncio.run(whole())


def body(files: dict[str, bytes], lies: dict[str, bytes] | None = None) -> tuple[int, bytes]:
    """The manifest's length and the body; with ``lies`` other contents of the same size are sent."""
    head = manifest([(name, len(data), zlib.crc32(data)) for name, data in files.items()])
    return len(head), head + b"".join((files | (lies or {})).values())


async def upload(
    central: Central, files: dict[str, bytes], lies: dict[str, bytes] | None = None
) -> httpx.Response:
    length, content = body(files, lies)
    path = f"/api/extensions/probeupload?manifestLen={length}"
    return await central.http.post(path, content=content, auth=ADMIN)


async def existing(central: Central, *names: str) -> dict[str, tuple[int, int]]:
    answer = await central.http.post("/v1/probeupload/getexisting", json={"filesToCheck": names}, auth=ADMIN)
    assert answer.status_code == 200, answer.text
    return {one["name"]: (int(one["size"]), one["crc32"]) for one in answer.json()["existingFiles"]}


def sensor(central: Central) -> httpx.AsyncClient:
    """A client with a Sensor's certificate."""
    return service(central, Service.SENSOR)


def service(central: Central, kind: Service) -> httpx.AsyncClient:
    identity = Identity(kind, "cluster")

    async def with_certificate(scope: Any, receive: Any, send: Any) -> None:
        await central.app({**scope, "state": {"peer": identity}}, receive, send)

    transport = httpx.ASGITransport(cast(Any, with_certificate), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="https://central.test")


def on_disk(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in (folder / "probes").rglob("*") if path.is_file()]


def test_an_upload_is_there_for_sensors_and_nobody_else(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        before = await central.http.get("/v1/clusters-env/kernel-support-available", auth=ADMIN)
        assert before.json() == {"kernelSupportAvailable": False}
        answer = await upload(central, FILES)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["files"], answer.json()["replaced"]) == (3, 0)
        assert "4.5" in answer.json()["deprecation"]
        assert await existing(central, *FILES, "2.9.1/collector-1.2.ko.gz", "../x", "\0") == {
            name: (len(data), zlib.crc32(data)) for name, data in FILES.items()
        }
        after = await central.http.get("/v1/clusters-env/kernel-support-available", auth=ADMIN)
        assert after.json() == {"kernelSupportAvailable": True}
        async with sensor(central) as http:
            for name, data in FILES.items():
                found = await http.get(f"/kernel-objects/{name}")
                assert (found.status_code, found.content) == (200, data)
            tag = found.headers["etag"]
            again = await http.get(f"/kernel-objects/{C}", headers={"If-None-Match": tag})
            assert (again.status_code, again.content) == (304, b"")
            part = await http.get(f"/kernel-objects/{C}", headers={"Range": "bytes=1-3", "If-Range": tag})
            assert (part.status_code, part.content) == (206, FILES[C][1:4])
            missing = await http.get("/kernel-objects/2.9.1/collector-1.2.ko.gz")
            assert (missing.status_code, missing.json()["code"]) == (404, 5)
            assert (await http.get("/kernel-objects/2.9.0/..%2f..%2fx")).status_code == 404
        assert (await central.http.get(f"/kernel-objects/{A}", auth=ADMIN)).status_code == 403
        assert (await central.http.get(f"/kernel-objects/{A}")).status_code == 401
        for kind in set(Service) - {Service.SENSOR}:
            async with service(central, kind) as http:
                # Who comes with a registration secret is nobody yet.
                refused = 401 if kind is Service.REGISTRANT else 403
                assert (await http.get(f"/kernel-objects/{A}")).status_code == refused, kind

    run(migrated(MIGRATIONS), tmp_path, work)


def test_same_names_are_replaced_and_what_nobody_names_goes(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        await upload(central, FILES)
        answer = await upload(central, {A: b"another", C: FILES[C]})
        assert (answer.json()["files"], answer.json()["replaced"]) == (2, 1)
        assert sorted(on_disk(tmp_path)) == sorted([b"another", FILES[B], FILES[C]])
        # Two names of one content: it stays until the last of them goes.
        await upload(central, {A: FILES[C]})
        assert sorted(on_disk(tmp_path)) == sorted([FILES[B], FILES[C]])
        await central.http.delete(f"/v1/probeupload/probes/{C}", auth=ADMIN)
        assert FILES[C] in on_disk(tmp_path)
        async with sensor(central) as http:
            assert (await http.get(f"/kernel-objects/{A}")).content == FILES[C]
            assert (await http.get(f"/kernel-objects/{C}")).status_code == 404

    run(migrated(MIGRATIONS), tmp_path, work)


def test_one_wrong_file_refuses_the_whole(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        await upload(central, {A: b"first"})
        answer = await upload(central, {A: b"new", C: b"right"}, {C: b"wrong"})
        assert (answer.status_code, answer.json()["code"]) == (400, 3)
        assert "CRC-32" in answer.json()["message"]
        assert await existing(central, A, C) == {A: (5, zlib.crc32(b"first"))}
        assert on_disk(tmp_path) == [b"first"]

    run(migrated(MIGRATIONS), tmp_path, work)


@pytest.mark.parametrize("length", ["", "0", "-1", "x", "16777217", str(1 << 60), "5", "9"])
def test_lengths_that_lie_are_refused(migrated: Migrated, tmp_path: Path, length: str) -> None:
    async def work(central: Central) -> None:
        path = f"/api/extensions/probeupload?manifestLen={length}"
        answer = await central.http.post(path, content=body({A: b"one"})[1], auth=ADMIN)
        assert answer.status_code == 400, answer.text
        assert on_disk(tmp_path) == []

    run(migrated(MIGRATIONS), tmp_path, work)


def test_a_body_of_unknown_length_is_refused(migrated: Migrated, tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield body({A: b"one"})[1]

    async def work(central: Central) -> None:
        path = f"/api/extensions/probeupload?manifestLen={body({A: b'one'})[0]}"
        answer = await central.http.post(path, content=chunks(), auth=ADMIN)
        assert (answer.status_code, "Content-Length" in answer.text) == (400, True)

    run(migrated(MIGRATIONS), tmp_path, work)


def test_uploads_are_audited_and_need_the_permission(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        token = await central.token("Analyst")
        length, content = body({A: b"one"})
        path = f"/api/extensions/probeupload?manifestLen={length}"
        answer = await central.http.post(path, content=content, headers=authorized(token))
        assert answer.status_code == 403
        await upload(central, {A: b"one"})
        entries = (await central.http.get("/v1/auditlog", auth=ADMIN)).json()["entries"]
        told = [(one["status"], one["path"]) for one in entries if "probeupload" in one["path"]]
        assert sorted(told) == [(200, "/api/extensions/probeupload"), (403, "/api/extensions/probeupload")]

    run(migrated(MIGRATIONS), tmp_path, work)


def test_listing_tells_sizes_ages_and_who_and_deletion_frees_the_disk(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: Central) -> None:
        await upload(central, FILES)
        answer = (await central.http.get("/v1/probeupload/probes", auth=ADMIN)).json()
        assert [one["name"] for one in answer["probes"]] == sorted(FILES)
        assert (answer["count"], answer["size"]) == (3, sum(len(data) for data in FILES.values()))
        assert "deprecated" in answer["deprecation"]
        one = next(one for one in answer["probes"] if one["name"] == A)
        assert (one["size"], one["uploadedBy"], one["present"]) == (len(FILES[A]), "user:admin", True)
        assert 0 <= one["ageSeconds"] < 60
        page = await central.http.get(
            "/v1/probeupload/probes?version=2.9.0&pagination.offset=1&pagination.limit=1", auth=ADMIN
        )
        assert [one["name"] for one in page.json()["probes"]] == [B]
        assert page.json()["count"] == 2
        gone = await central.http.delete("/v1/probeupload/probes/2.9.0", auth=ADMIN)
        assert gone.json() == {"deleted": 2, "size": len(FILES[A]) + len(FILES[B])}
        assert on_disk(tmp_path) == [FILES[C]]
        for path in ("2.9.0", A):
            assert (
                await central.http.delete(f"/v1/probeupload/probes/{path}", auth=ADMIN)
            ).status_code == 404
        for path in ("2.9", "%25", "2.9.0/x", "_.9.0"):
            assert (
                await central.http.delete(f"/v1/probeupload/probes/{path}", auth=ADMIN)
            ).status_code == 400
        assert (await central.http.get("/v1/probeupload/probes?version=x", auth=ADMIN)).status_code == 400

    run(migrated(MIGRATIONS), tmp_path, work)


def test_uploads_at_once_all_count_and_the_same_name_has_one_of_the_contents(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: Central) -> None:
        packages = [
            {A: b"of number %d" % number, f"1.0.{number}/collector-5.1.ko.gz": b"own %d" % number}
            for number in range(4)
        ]
        answers = await asyncio.gather(*(upload(central, files) for files in packages))
        assert [answer.status_code for answer in answers] == [200] * 4
        assert len(on_disk(tmp_path)) == 5
        async with sensor(central) as http:
            assert (await http.get(f"/kernel-objects/{A}")).content in [files[A] for files in packages]

    run(migrated(MIGRATIONS), tmp_path, work)


def test_too_many_at_once_and_a_disk_without_room_are_refused_before_a_byte_is_read(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("read")
        yield b""

    async def work(central: Central) -> None:
        go = asyncio.Event()

        async def slow(content: bytes) -> AsyncIterator[bytes]:
            yield content[:20]
            await go.wait()
            yield content[20:]

        length, content = body({A: b"slow"})
        given: dict[str, Any] = {"manifest_length": length, "length": len(content), "by": "test"}
        slow_ones = [asyncio.create_task(central.probes.receive(slow(content), **given)) for _ in range(4)]
        await asyncio.sleep(0.05)
        with pytest.raises(Busy):
            await central.probes.receive(never(), **given)
        go.set()
        await asyncio.gather(*slow_ones)
        narrow = Probes(tmp_path, central.probes.store, reserve=1 << 62)
        with pytest.raises(FailedPrecondition, match="bytes free"):
            await narrow.receive(never(), **given)

    run(migrated(MIGRATIONS), tmp_path, work)


def test_clients_that_go_and_tasks_that_are_cancelled_leave_nothing(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: Central) -> None:
        length, content = body(FILES)
        given: dict[str, Any] = {"manifest_length": length, "length": len(content), "by": "test"}

        async def broken() -> AsyncIterator[bytes]:
            yield content[: len(content) // 2]
            raise ConnectionResetError

        async def endless() -> AsyncIterator[bytes]:
            yield content[:-1]
            await asyncio.sleep(60)

        with pytest.raises(ConnectionResetError):
            await central.probes.receive(broken(), **given)
        task = asyncio.create_task(central.probes.receive(endless(), **given))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list((tmp_path / "probes" / "incoming").iterdir()) == []
        assert on_disk(tmp_path) == []
        assert await existing(central, *FILES) == {}

    run(migrated(MIGRATIONS), tmp_path, work)


def test_a_disk_that_fails_is_told_and_nothing_remains(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        length, content = body(FILES)

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            with pytest.raises(AccessDenied, match="check space"):
                await central.probes.receive(chunks(), manifest_length=length, length=len(content), by="test")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert on_disk(tmp_path) == []

    run(migrated(MIGRATIONS), tmp_path, work)


def test_a_database_that_fails_at_the_end_leaves_what_was(
    migrated: Migrated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(central: Central) -> None:
        await upload(central, {A: b"first"})
        async with central.pool.acquire() as connection:
            await connection.execute("ALTER TABLE probes ADD CONSTRAINT no CHECK (name NOT LIKE '0a%')")
        answer = await upload(central, {A: b"second", C: b"third"})
        assert answer.status_code == 500
        assert await existing(central, A, C) == {A: (5, zlib.crc32(b"first"))}
        assert on_disk(tmp_path) == [b"first"]

    run(migrated(MIGRATIONS), tmp_path, work)


def test_start_sweeps_what_was_half_made_and_nothing_else(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        await upload(central, {A: b"first"})
        (tmp_path / "probes" / "files" / ("ff" * 32)).write_bytes(b"moved, and no row yet")
        left = tmp_path / "probes" / "incoming" / "dead"
        left.mkdir()
        (left / "0").write_bytes(b"half")
        (left / ".lock").write_bytes(b"")
        (tmp_path / "probes" / "incoming" / "fresh").mkdir()
        with central.probes._place() as held:
            (held / "0").write_bytes(b"under way")
            await Probes(tmp_path, central.probes.store).start()
            assert [path.name for path in (tmp_path / "probes" / "incoming").iterdir()] == [held.name]
            assert sorted(on_disk(tmp_path)) == [b"", b"first", b"under way"]

    run(migrated(MIGRATIONS), tmp_path, work)


def test_replicas_with_folders_of_their_own_ask_for_what_they_lack(
    migrated: Migrated, tmp_path: Path
) -> None:
    url = migrated(MIGRATIONS)

    async def whole() -> None:
        async with (
            Central(url, tmp_path / "a") as one,
            Central(url, tmp_path / "b", secrets_key_file=tmp_path / "a" / "keys" / "secrets.keys") as two,
        ):
            await upload(one, {A: b"first"})
            assert await existing(two, A) == {}
            async with sensor(two) as http:
                assert (await http.get(f"/kernel-objects/{A}")).status_code == 404
                listed = (await two.http.get("/v1/probeupload/probes", auth=ADMIN)).json()["probes"]
                assert [probe["present"] for probe in listed] == [False]
                await upload(two, {A: b"first"})
                assert (await http.get(f"/kernel-objects/{A}")).content == b"first"
            assert set(await existing(one, A)) == set(await existing(two, A)) == {A}

    asyncio.run(whole())


def test_replicas_with_contents_in_the_database_have_what_one_took_in(
    migrated: Migrated, tmp_path: Path
) -> None:
    url = migrated(MIGRATIONS)
    more = {"definitions_store": "database", "secrets_key_file": tmp_path / "secrets.keys"}

    async def objects(central: Central) -> int:
        return int(await central.pool.fetchval("SELECT count(*) FROM pg_largeobject_metadata"))

    async def whole() -> None:
        async with Central(url, tmp_path / "a", secrets_key_file=tmp_path / "secrets.keys") as alone:
            await upload(alone, {C: FILES[C]})
        async with Central(url, tmp_path / "a", **more) as one, Central(url, tmp_path / "b", **more) as two:
            await upload(one, {A: FILES[A], B: FILES[B]})
            assert set(await existing(two, A, B, C)) == {A, B, C}
            assert on_disk(tmp_path / "b") == []
            async with sensor(two) as http:
                for name, data in FILES.items():
                    answers = await asyncio.gather(*(http.get(f"/kernel-objects/{name}") for _ in range(3)))
                    assert [answer.content for answer in answers] == [data] * 3
                assert sorted(on_disk(tmp_path / "b")) == sorted(FILES.values())
                await upload(two, {A: b"second"})
                await two.http.delete(f"/v1/probeupload/probes/{B}", auth=ADMIN)
            async with sensor(one) as http:
                assert (await http.get(f"/kernel-objects/{A}")).content == b"second"
                assert (await http.get(f"/kernel-objects/{B}")).status_code == 404
            listed = (await one.http.get("/v1/probeupload/probes", auth=ADMIN)).json()["probes"]
            assert [probe["present"] for probe in listed] == [True, True]
            assert await objects(one) == 2

            # What does not count as a whole leaves nothing, there neither.
            assert (await upload(one, {A: b"x", B: b"y"}, {B: b"z"})).status_code == 400
            await one.pool.execute("ALTER TABLE probes ADD CONSTRAINT no CHECK (sha256 = '')  NOT VALID")
            assert (await upload(one, {B: FILES[B]})).status_code >= 500
            assert await objects(one) == 2

    asyncio.run(whole())


def test_uploaded_comes_before_upstream_which_comes_before_404(migrated: Migrated, tmp_path: Path) -> None:
    probe = b"\x1f\x8b of upstream"

    async def work(central: Central) -> None:
        await upload(central, {A: b"uploaded"})
        with Web(lambda asked: Answer(body=probe) if asked.path == f"/{C}" else Answer(status=404)) as web:
            central.probes.upstream = Upstream(web.url, tmp_path / "fetched", Policy())
            central.probes.upstream.start()
            async with sensor(central) as http:
                assert (await http.get(f"/kernel-objects/{A}")).content == b"uploaded"
                assert web.asked == []
                fetched = await http.get(f"/kernel-objects/{C}")
                assert (fetched.status_code, fetched.content) == (200, probe)
                part = await http.get(f"/kernel-objects/{C}", headers={"Range": "bytes=-8"})
                assert (part.status_code, part.content) == (206, probe[-8:])
                assert (await http.get(f"/kernel-objects/{B}")).status_code == 404
                assert (await http.get("/kernel-objects/2.9.0/strange")).status_code == 404
            assert [asked.path for asked in web.asked] == [f"/{C}", f"/{B}"]
        async with sensor(central) as http:  # upstream is away
            assert (await http.get(f"/kernel-objects/{C}")).content == probe
            away = await http.get("/kernel-objects/2.9.0/collector-5.9.ko.gz")
            assert (away.status_code, away.json()["code"]) == (503, 14)

    run(migrated(MIGRATIONS), tmp_path, work)


def test_a_switch_turns_uploads_off_and_leaves_the_rest(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        await upload(central, {A: b"first"})
        central.services.probes = Probes(tmp_path, central.probes.store, taking=False)
        answer = await upload(central, {C: b"second"})
        assert (answer.status_code, answer.json()["code"]) == (501, 12)
        asked = await central.http.post("/v1/probeupload/getexisting", json={}, auth=ADMIN)
        assert asked.status_code == 501
        async with sensor(central) as http:
            assert (await http.get(f"/kernel-objects/{A}")).content == b"first"

    run(migrated(MIGRATIONS), tmp_path, work)


def test_grpc_answers_the_same_to_the_same_callers(migrated: Migrated, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "ca")
    asked = GetExistingProbesRequest(files_to_check=[A, C])

    async def work(central: Central) -> None:
        await upload(central, {A: b"first"})
        token = await central.token("Analyst")
        admin = await central.token("Admin")
        server = OnePort(
            tls=certificates.material(Service.CENTRAL),
            services=[
                ProbeUploadService(central.probes, Door(central.auth.authenticator, central.auth.audit))
            ],
        )
        await server.start("127.0.0.1", 0)
        try:
            async with channel(
                f"127.0.0.1:{server.port}", certificates.material(Service.SENSOR), {Service.CENTRAL}
            ) as opened:
                stub = ProbeUploadStub(cast(Any, opened))
                reply = await stub.GetExistingProbes(asked, metadata=[("authorization", f"Bearer {admin}")])
                assert [(one.name, one.size, one.crc32) for one in reply.existing_files] == [
                    (A, 5, zlib.crc32(b"first"))
                ]
                for said, status in ((token, "PERMISSION_DENIED"), ("x", "UNAUTHENTICATED")):
                    with pytest.raises(GRPCError) as refused:
                        await stub.GetExistingProbes(asked, metadata=[("authorization", f"Bearer {said}")])
                    assert refused.value.status.name == status
                with pytest.raises(GRPCError) as refused:
                    await stub.GetExistingProbes(asked)
                assert refused.value.status.name == "PERMISSION_DENIED"
        finally:
            await server.stop(0)

    run(migrated(MIGRATIONS), tmp_path, work)
