"""What a Sensor and an admission controller ask Central of images, with a real registry, Indexer and Matcher."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt.egress import Policy
from redoubt.model.cluster import DelegatedRegistry, DelegatedRegistryConfig
from redoubt.model.scannedimage import ScannedImage
from redoubt.wire import chunks
from redoubt.wire.channel import Channel
from redoubt.wire.failures import NotFound, Refused
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from redoubt.wire.proto.redoubt.v1.sensors_grpc import SensorsStub
from support.registry import Registry, needs_registry
from support.scanners import Shelf, pushed
from support.sensors import WatchedScanners, sensor
from support.wire import run

pytestmark = [needs_registry, pytest.mark.usefixtures("cheap_passwords")]
Migrated = Callable[[str], str]
Work = Callable[[WatchedScanners], Awaitable[None]]
LOOPBACK = Policy(offline=True, allowed_hosts=frozenset({"127.0.0.1"}))


@pytest.fixture
def central(migrated: Migrated, shelf: Shelf, tmp_path: Path) -> Callable[[Work], None]:
    def started(work: Work) -> None:
        urls = migrated("redoubt.central.migrations"), migrated("redoubt.scanner.migrations")

        async def within() -> None:
            async with WatchedScanners(urls, tmp_path, shelf, policy=LOOPBACK) as running:
                await work(running)

        run(within(), 90)

    return started


async def scanned(dialled: Channel, name: str, *, cached: bool = False) -> ScannedImage:
    with dialled.told():
        async with SensorsStub(dialled).GetScannedImage.open() as call:
            await call.send_message(pb.GetScannedImageRequest(image_name=name, cached=cached), end=True)
            return await whole(call)


async def enriched(dialled: Channel, name: str, index: bytes) -> ScannedImage:
    with dialled.told():
        async with SensorsStub(dialled).EnrichIndexReport.open() as call:
            await call.send_message(pb.EnrichIndexReportRequest(image_name=name, size=len(index)))
            for chunk in chunks.cut(index):
                await call.send_message(pb.EnrichIndexReportRequest(chunk=chunk))
            await call.end()
            return await whole(call)


async def whole(call: Any) -> ScannedImage:
    parts = [part async for part in call]
    if not parts:
        await call.recv_trailing_metadata()
    data = b"".join(part.chunk for part in parts)
    assert len(data) == parts[0].size
    return msgspec.json.decode(data, type=ScannedImage, strict=False)


def flaws(image: ScannedImage) -> set[str]:
    assert image.scan is not None
    return {flaw.cve for component in image.scan.components for flaw in component.vulns}


def test_an_image_is_scanned_once_and_told_to_sensors_and_admission_controllers_only(
    central: Callable[[Work], None], registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "team/shop:1.0")

    async def work(running: WatchedScanners) -> None:
        cluster = await running.cluster("north")
        one = running.dial(cluster)
        with pytest.raises(NotFound):
            await scanned(one, name, cached=True)
        found = await scanned(one, name)
        assert found.name is not None
        assert (found.name.remote, found.name.tag) == ("team/shop", "1.0")
        assert flaws(found)
        other = running.dial(cluster, Service.ADMISSION_CONTROL)
        assert flaws(await scanned(other, f"{name}@{found.id}", cached=True)) == flaws(found)
        assert flaws(await scanned(other, name, cached=True)) == flaws(found)
        with pytest.raises(Refused):
            await scanned(running.dial(cluster, Service.COLLECTOR), name)
        for each in (one, other):
            each.close()

    central(work)


def test_sensors_are_told_of_images_that_were_scanned(
    central: Callable[[Work], None], registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "team/told:1.0")

    async def work(running: WatchedScanners) -> None:
        cluster = await running.cluster("north")
        async with sensor(running, cluster) as one:
            await one.ready()
            answer = await running.http.post(
                "/v1/images/scan", json={"imageName": name}, auth=("admin", "correct horse battery")
            )
            digest = answer.json()["id"]
            await one.until(
                "the scan was told",
                lambda: any(digest in each.digests for each in one.of("images_changed")),
            )

    central(work)


def test_what_a_clusters_indexer_brings_is_matched_and_counts_for_that_cluster(
    central: Callable[[Work], None], registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "team/far:1.0")

    async def work(running: WatchedScanners) -> None:
        north, south = await running.cluster("north"), await running.cluster("south")
        one, other = running.dial(north), running.dial(south)
        # An honest report, and one that leaves the package out.
        honest = await scanned(one, name)
        index = await running.get(f"/v1/images/{honest.id}/index")
        empty = msgspec.json.encode({**index, "packages": []})
        assert flaws(await enriched(other, name, msgspec.json.encode(index))) == flaws(honest)
        assert not flaws(await enriched(other, name, empty))
        # Neither took the place of what Central found.
        assert flaws(await scanned(one, f"{name}@{honest.id}", cached=True)) == flaws(honest)
        assert (await running.get(f"/v1/images/{honest.id}"))["clusterId"] == ""
        # Where nothing is known the report is kept, and counts for the cluster that brought it.
        await running.http.delete(
            "/v1/images",
            params={"query.query": f"Image Sha:{honest.id}", "confirm": True},
            auth=("admin", "correct horse battery"),
        )
        assert not flaws(await enriched(other, name, empty))
        assert (await running.get(f"/v1/images/{honest.id}"))["clusterId"] == south
        assert not flaws(await scanned(other, f"{name}@{honest.id}", cached=True))
        with pytest.raises(NotFound):
            await scanned(one, f"{name}@{honest.id}", cached=True)
        assert flaws(await scanned(one, f"{name}@{honest.id}")) == flaws(honest)
        assert (await running.get(f"/v1/images/{honest.id}"))["clusterId"] == ""
        # The administrator has that cluster scan such images: then it counts for all.
        host = name.partition("/")[0]
        await running.hub.delegation.store.put(
            DelegatedRegistryConfig(
                enabled_for="SPECIFIC",
                registries=(DelegatedRegistry(path=f"{host}/team/far", cluster_id=south),),
            )
        )
        assert not flaws(await enriched(other, name, empty))
        assert not flaws(await scanned(one, f"{name}@{honest.id}", cached=True))
        for each in (one, other):
            each.close()

    central(work)
