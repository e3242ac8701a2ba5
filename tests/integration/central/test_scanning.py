"""Images scanned through Central: a real registry, a real Indexer and Matcher over the wire, real databases."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from redoubt.egress import Policy
from redoubt.scanner import matching
from support.cli import Cli, findings
from support.registry import Registry, needs_registry
from support.scanners import OPEN, Scanners, Shelf, pushed

pytestmark = [needs_registry, pytest.mark.usefixtures("cheap_passwords")]
Migrated = Callable[[str], str]
LOOPBACK = Policy(offline=True, allowed_hosts=frozenset({"127.0.0.1"}))


@pytest.fixture
def run(migrated: Migrated, tmp_path: Path, shelf: Shelf) -> Callable[..., None]:
    def whole(work: Callable[[Scanners], Awaitable[None]], **more: Any) -> None:
        urls = migrated("redoubt.central.migrations"), migrated("redoubt.scanner.migrations")

        async def running() -> None:
            async with Scanners(urls, tmp_path, shelf, **{"policy": LOOPBACK, **more}) as central:
                await work(central)

        asyncio.run(asyncio.wait_for(running(), 240))

    return whole


Run = Callable[..., None]


def test_a_scan_finds_what_redoubt_scan_finds(
    run: Run, registry: Registry, shelf: Shelf, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "shop:1.4")
    cli = Cli(tmp_path / "home", {"REDOUBT_DATA_DIR": str(shelf.data)})
    direct = cli.json("scan", name)
    assert findings(direct) == {("deb", "libfixture", "1.0-1", "CVE-2099-0001")}

    async def work(central: Scanners) -> None:
        image = await central.scan(name)
        digest = image["id"]
        assert image["name"] == {
            "registry": registry.host, "remote": "shop", "tag": "1.4", "fullName": name,
        }  # fmt: skip
        assert (image["components"], image["cves"], image["fixableCves"]) == (2, 1, 1)
        flawed, clean = image["scan"]["components"]
        assert (flawed["name"], flawed["source"], flawed["layerIndex"]) == ("libfixture", "OS", 0)
        assert (flawed["fixedBy"], flawed["location"]) == ("1.2-3", "var/lib/dpkg/status")
        (flaw,) = flawed["vulns"]
        assert (flaw["cve"], flaw["fixedBy"]) == ("CVE-2099-0001", "1.2-3")
        assert flaw["severity"].endswith("_VULNERABILITY_SEVERITY")
        assert clean["vulns"] == []
        assert image["scan"]["operatingSystem"] == "debian:12"
        assert image["metadata"]["v2"]["digest"] == digest
        assert len(image["metadata"]["layerShas"]) == 2
        assert await central.get(f"/v1/images/{digest}/report") == direct
        report = await central.http.post(
            "/v1/images/scan",
            json={"imageName": name},
            headers={"Accept": "application/vnd.redoubt.report+json"},
            auth=("admin", "correct horse battery"),
        )
        assert report.headers["content-type"] == "application/vnd.redoubt.report+json"
        assert report.json() == direct
        assert await central.get(f"/v1/images/{digest}/index") == cli.json("index", name)

    run(work)


def test_images_are_listed_counted_exported_and_forgotten(
    run: Run, registry: Registry, tmp_path: Path
) -> None:
    names = [pushed(registry, tmp_path, f"list/{name}:1") for name in ("a", "b", "c")]

    async def work(central: Scanners) -> None:
        ids = {name: (await central.scan(name))["id"] for name in names}
        listed = (await central.get("/v1/images"))["images"]
        assert [(item["name"], item["id"]) for item in listed] == sorted(ids.items())
        assert {(item["components"], item["cves"], item["fixableCves"]) for item in listed} == {(2, 1, 1)}
        host = registry.host
        for query, count in (
            ("", 3),
            (f"Image:{host}/list/b", 1),
            (f"Image Sha:{ids[names[2]]}", 1),
            (f"image:{host}/+Image OS:debian", 3),
            ("Image OS:rhel", 0),
            ("Image:%", 0),
        ):
            assert await central.get("/v1/imagescount", query=query) == {"count": count}, query
        page = await central.get("/v1/images", **{"pagination.limit": 1, "pagination.offset": 1})
        assert [item["name"] for item in page["images"]] == names[1:2]
        for query in ("CVE:CVE-2099-0001", "Image", "Image:", "Image:a,b", "Image:r/.*", "Image:a+Image:b"):
            assert (await central.get("/v1/images", 400, query=query))["code"] == 3
        export = await central.http.get("/v1/export/images", auth=("admin", "correct horse battery"))
        lines = [line for line in export.text.split("\n") if line]
        assert len(lines) == 3
        assert all(line.startswith('{"result":{"image":{"id":"sha256:') for line in lines)
        gone = {"query.query": f"Image:{names[0]}"}
        auth = ("admin", "correct horse battery")
        counted = await central.http.delete("/v1/images", params=gone, auth=auth)
        assert counted.json() == {"numDeleted": 1, "dryRun": True}
        assert (await central.http.delete("/v1/images", auth=auth)).status_code == 400
        done = await central.http.delete("/v1/images", params={**gone, "confirm": "true"}, auth=auth)
        assert done.json() == {"numDeleted": 1, "dryRun": False}
        fleet = await central.pool.fetch("SELECT digest FROM fleet_images ORDER BY digest")
        assert [row["digest"] for row in fleet] == sorted(ids[name] for name in names[1:])
        await central.get(f"/v1/images/{ids[names[0]]}", 404)
        assert (await central.scan(names[0]))["id"] == ids[names[0]]

    run(work)


def test_two_scans_of_one_image_at_once_are_one_indexing(
    run: Run, registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "twice:1")
    registry.push(f"oci:{tmp_path / 'layout-twice-1'}:latest", "twice:2")

    async def work(central: Scanners) -> None:
        before = len(registry.requests())
        other = name.replace(":1", ":2")
        images = await asyncio.gather(*(central.scan(each) for each in (name, name, other, name)))
        assert len({image["id"] for image in images}) == 1

        def layers() -> list[str]:
            return [path for path in registry.requests()[before:] if "/blobs/" in path]

        for _ in range(600):  # a request is in the log a moment after its answer
            if len(layers()) > len(set(layers())):
                break
            await asyncio.sleep(0.05)
        assert len(layers()) == len(set(layers())) + 1  # of two names, the configuration is read for each
        names = {each["fullName"] for each in (await central.scan(other))["names"]}
        assert names == {name, other}

    run(work)


def test_what_is_kept_counts_until_definitions_or_the_tag_change(
    run: Run, registry: Registry, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = pushed(registry, tmp_path, "kept:1")
    matched: list[str] = []
    real = matching.match

    def counting(report: Any, snapshot: Any, **more: Any) -> Any:
        matched.append(snapshot.info.digest)
        return real(report, snapshot, **more)

    monkeypatch.setattr(matching, "match", counting)

    async def work(central: Scanners) -> None:
        first = await central.scan(name)
        again = await central.scan(name)
        assert again["scan"]["scanTime"] == first["scan"]["scanTime"]
        assert len(matched) == 1
        forced = await central.scan(name, force=True)
        assert forced["scan"]["scanTime"] > first["scan"]["scanTime"]
        assert len(matched) == 2
        digest = shelf.publish(bookworm=OPEN)
        await central.kill_matcher()
        await central.start_matcher()
        before = len(registry.requests())
        image = await central.get(f"/v1/images/{first['id']}")
        assert (image["cves"], image["fixableCves"]) == (1, 0)
        assert "fixedBy" not in image["scan"]["components"][0]["vulns"][0]
        assert matched[2:] == [digest]
        assert registry.requests()[before:] == []
        assert (await central.get("/v1/images"))["images"][0]["fixableCves"] == 0
        pushed(registry, tmp_path, "kept:1", version="1.2-3")
        moved = await central.scan(name)
        assert moved["id"] != first["id"]
        assert (await central.get("/v1/images"))["images"][0]["id"] in (first["id"], moved["id"])

    run(work)


def test_a_matcher_that_is_killed_while_it_matches_is_asked_again(
    run: Run, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = pushed(registry, tmp_path, "killed:1")
    real, calls = matching.match, []
    loop: list[asyncio.AbstractEventLoop] = []
    reached = asyncio.Event()

    def once(report: Any, snapshot: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            loop[0].call_soon_threadsafe(reached.set)
        return real(report, snapshot, **more)

    monkeypatch.setattr(matching, "match", once)
    hold = matching.Matching.match

    async def slow(self: Any, *given: Any) -> Any:
        if not calls:
            await hold(self, *given)
            await asyncio.sleep(3600)  # the answer is never sent
        return await hold(self, *given)

    monkeypatch.setattr(matching.Matching, "match", slow)

    async def work(central: Scanners) -> None:
        loop.append(asyncio.get_running_loop())
        scan = asyncio.create_task(central.scan(name))
        await reached.wait()
        await central.kill_matcher()
        for _ in range(600):
            (job,) = (await central.get("/v1/images/scans"))["scans"]
            if job["tries"] > 1:
                break
            await asyncio.sleep(0.05)
        assert job["state"] == "MATCHING"
        assert job["tries"] > 1
        assert job["problem"]
        await central.start_matcher()
        assert (await scan)["cves"] == 1
        assert len(calls) == 2
        (job,) = (await central.get("/v1/images/scans"))["scans"]
        assert job["state"] == "DONE"

    run(work)


def test_offline_no_host_is_contacted_by_its_name_alone(run: Run) -> None:
    async def work(central: Scanners) -> None:
        refused = await central.scan("registry.example:5000/shop:1", 400)
        assert refused["code"] == 9
        assert "create an integration for registry.example:5000" in refused["message"]
        assert (await central.scan("alpine", 400))["message"].startswith("offline mode: registry-1.docker.io")
        assert {job["state"] for job in (await central.get("/v1/images/scans"))["scans"]} == {"FAILED"}

    run(work, policy=Policy(offline=True, own=True))


def test_names_that_are_none_and_clusters_are_refused(run: Run, registry: Registry) -> None:
    here = f"{registry.host}/shop:1"

    async def work(central: Scanners) -> None:
        assert (await central.scan("not a name", 400))["code"] == 3
        assert "no cluster scans" in (await central.scan("shop", 400, cluster="east"))["message"]
        assert (await central.scan("127.0.0.1:1/shop:1", 503))["code"] == 14
        assert "is not a platform" in (await central.scan(here, 400, platform="nonsense"))["message"]
        await central.get("/v1/images/sha256:00", 404)
        await central.get("/v1/images/sha256:00/report", 404)

    run(work)
