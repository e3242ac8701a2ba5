"""What a Sensor and an admission controller ask Central of images, with a real registry, Indexer and Matcher."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from redoubt.central.hub.wanting import Wanting
from redoubt.central.images import asking
from redoubt.central.nodes.matching import NodeReports
from redoubt.central.risk.keeping import Keeping
from redoubt.egress import Policy
from redoubt.errors import RedoubtError
from redoubt.indexer.sources.reference import parse_reference
from redoubt.model import Distribution, Image, IndexReport, Location, Package
from redoubt.model.cluster import DelegatedRegistry, DelegatedRegistryConfig, PullSecret, ServiceHealth
from redoubt.model.scannedimage import ScannedImage
from redoubt.wire import chunks
from redoubt.wire.channel import Channel
from redoubt.wire.failures import NotFound, Refused
from redoubt.wire.identity import ANY_CLUSTER, Service
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from redoubt.wire.proto.redoubt.v1.sensors_grpc import SensorsStub
from support.registry import Registry, needs_registry
from support.scanners import OPEN, Shelf, pushed
from support.sensors import ADMIN, PATIENCE, WatchedScanners, deployment, sensor
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

        run(within(), 240)

    return started


async def scanned(dialled: Channel, name: str, *, cached: bool = False) -> ScannedImage:
    with dialled.told():
        async with SensorsStub(dialled).GetScannedImage.open() as call:
            await call.send_message(pb.GetScannedImageRequest(image_name=name, cached=cached), end=True)
            return await whole(call)


async def enriched(dialled: Channel, name: str, index: bytes, cluster: str = "") -> ScannedImage:
    said = {"cluster": cluster} if cluster else {}
    with dialled.told():
        async with SensorsStub(dialled).EnrichIndexReport.open(metadata=said) as call:
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
            answer = await running.http.post("/v1/images/scan", json={"imageName": name}, auth=ADMIN)
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
            auth=ADMIN,
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


def test_a_cluster_says_nothing_of_images_for_others(
    central: Callable[[Work], None], registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "team/claimed:1.0")
    invented = "sha256:" + "ab" * 32

    async def work(running: WatchedScanners) -> None:
        north, south = await running.cluster("north"), await running.cluster("south")
        dialled = running.dial(south)
        honest = (await running.http.post("/v1/images/scan", json={"imageName": name}, auth=ADMIN)).json()[
            "id"
        ]
        index = await running.get(f"/v1/images/{honest}/index")
        empty = {**index, "packages": []}
        store = asking.store(running.services)
        # A name that Central knows is not led elsewhere.
        other = msgspec.json.encode({**empty, "image": {**index["image"], "digest": invented}})
        assert not flaws(await enriched(dialled, name, other))
        assert await store.named(name) == honest
        assert await store.listed(invented) is None
        # What that cluster says of one that nobody knows is no word for others' risk, and Central looks itself.
        await running.pool.execute("DELETE FROM images")
        await enriched(dialled, name, msgspec.json.encode(empty))
        keeping = Keeping(running.services)
        for image in (honest, name):
            assert await keeping._image(UUID(south), image, name) is not None
            assert await keeping._image(UUID(north), image, name) is None
        for cluster, maker in ((south, south), (north, "")):
            async with sensor(running, cluster, spool=cluster) as one:
                await one.ready()
                await one.upsert("deployment", f"uid-{cluster}", deployment("web", image=name))
                await one.kept()

            async def looked_at(maker: str = maker) -> bool:
                wanted = await running.pool.fetchval("SELECT count(*) FROM cluster_images")
                return wanted == 0 and (await running.get(f"/v1/images/{honest}"))["clusterId"] == maker

            await until("it was looked at, if it is to be", looked_at)
        assert await keeping._image(UUID(north), name, name) is not None
        dialled.close()

    central(work)


async def until(what: str, condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():
            await asyncio.sleep(0.05)
    assert what


def test_images_of_deployments_are_scanned_by_themselves_and_what_cannot_be_is_tried_again(
    central: Callable[[Work], None], registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "team/running:1.0")
    missing = name.replace("running", "missing")

    async def work(running: WatchedScanners) -> None:
        cluster = await running.cluster("north")
        async with sensor(running, cluster) as one:
            await one.ready()
            await one.upsert("deployment", "uid-web", deployment("web", image=name))
            await one.upsert("deployment", "uid-lost", deployment("lost", image=missing))
            await one.upsert("deployment", "uid-odd", deployment("odd", image="not a name"))
            await one.kept()
            await one.until("the scan was told", lambda: bool(one.of("images_changed")))

        async def scanned_() -> bool:
            listed = (await running.get("/v1/images"))["images"]
            return [each["name"] for each in listed] == [name]

        await until("it was scanned", scanned_)

        async def tried() -> bool:
            rows = await running.pool.fetch("SELECT reference, tries, problem FROM cluster_images")
            return [(row["reference"], row["tries"]) for row in rows] == [(missing, 1)]

        await until("the other one was tried", tried)
        # Nothing runs it any more, and then it is not tried again.
        async with sensor(running, cluster) as one:
            await one.ready()
            await one.remove("deployment", "uid-lost")
            await one.kept()
        await running.pool.execute("UPDATE cluster_images SET due = now()")
        wanting = next(each for each in running.services.parts if isinstance(each, Wanting))
        assert running.services.images is not None

        async def forgotten() -> bool:
            await wanting.look(running.services.images)  # type: ignore[arg-type]
            return await running.pool.fetchval("SELECT count(*) FROM cluster_images") == 0

        # Central's own look may have taken it, and not be done.
        await until("it is forgotten", forgotten)

    central(work)


def test_a_cluster_scans_what_it_is_asked_for_and_the_result_names_it(
    central: Callable[[Work], None], registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "far/shop:1.0")

    async def work(running: WatchedScanners) -> None:
        cluster = await running.cluster("far")
        # What the cluster's own Indexer would find.
        honest = await running.http.post("/v1/images/scan", json={"imageName": name}, auth=ADMIN)
        index = msgspec.json.encode(await running.get(f"/v1/images/{honest.json()['id']}/index"))
        answer = await running.http.post(
            "/v1/images/scan", json={"imageName": name, "cluster": "far"}, auth=ADMIN
        )
        assert answer.status_code == 400
        assert "not connected" in answer.json()["message"]
        answer = await running.http.post(
            "/v1/images/scan", json={"imageName": name, "cluster": "nowhere"}, auth=ADMIN
        )
        assert answer.status_code == 404
        async with sensor(running, cluster) as one:
            await one.ready()

            async def scan(**body: Any) -> Any:
                before = len(one.of("request"))
                asked = asyncio.create_task(
                    running.http.post("/v1/images/scan", json={"imageName": name, **body}, auth=ADMIN)
                )
                await one.until("it was asked", lambda: len(one.of("request")) > before)
                request = one.of("request")[-1]
                assert (request.scan_image.image_name, request.scan_image.namespace) == (
                    name,
                    body.get("namespace", ""),
                )
                dialled = running.dial(cluster)
                await enriched(dialled, name, index)
                dialled.close()
                await one.send(kept=False, answer=pb.Answer(request_id=request.id))
                return (await asked).json()

            found = await scan(cluster="far", namespace="shop")
            assert (found["clusterId"], found["isClusterLocal"]) == (cluster, True)
            assert found["scan"]["components"]
            # The administrator has it scan such images: then nobody need name it.
            host = name.partition("/")[0]
            config = {
                "enabledFor": "SPECIFIC",
                "defaultClusterId": cluster,
                "registries": [{"path": f"{host}/far/"}],
            }
            answer = await running.http.put("/v1/delegatedregistryconfig", json=config, auth=ADMIN)
            assert answer.status_code == 200, answer.text
            assert (await running.get("/v1/delegatedregistryconfig"))["defaultClusterId"] == cluster
            await one.until("the config came", lambda: len(one.of("config")) > 1)
            told = msgspec.json.decode(one.of("config")[-1].config)
            assert told["delegated"]["registries"][0]["path"] == f"{host}/far/"
            assert (await scan())["clusterId"] == cluster
            [listed] = (await running.get("/v1/delegatedregistryconfig/clusters"))["clusters"]
            assert listed == {"id": cluster, "name": "far", "isValid": False}
            await one.healthy(scanner=ServiceHealth(status="HEALTHY"))
            await one.upsert("namespace", "x", {"name": "x"})
            await one.kept()
            [listed] = (await running.get("/v1/delegatedregistryconfig/clusters"))["clusters"]
            assert listed["isValid"]
        for bad in (
            {"enabledFor": "SOME"},
            {"enabledFor": "ALL"},
            {"enabledFor": "SPECIFIC", "registries": [{"path": "x.example"}]},
            {"registries": [{"path": "", "clusterId": cluster}]},
            {"defaultClusterId": "nobody"},
        ):
            answer = await running.http.put("/v1/delegatedregistryconfig", json=bad, auth=ADMIN)
            assert answer.status_code == 400, bad

    central(work)


async def delegated(
    running: WatchedScanners, one: Any, cluster: str, name: str, index: bytes | None, *, failure: str = ""
) -> Any:
    """What a scan that a cluster is asked for is answered, where its Indexer finds ``index``."""
    before = len(one.of("request"))
    body = {"imageName": name, "cluster": cluster}
    asked = asyncio.create_task(running.http.post("/v1/images/scan", json=body, auth=ADMIN))
    await one.until("it was asked", lambda: len(one.of("request")) > before)
    request = one.of("request")[-1]
    assert request.scan_image.ad_hoc
    if index is not None:
        dialled = running.dial(cluster)
        try:
            await enriched(dialled, request.scan_image.image_name, index)
        except RedoubtError as error:
            failure = str(error)
        finally:
            dialled.close()
    await one.send(kept=False, answer=pb.Answer(request_id=request.id, failure=failure))
    return await asked


def test_a_cluster_that_brings_another_image_than_it_was_asked_for_is_not_believed(
    central: Callable[[Work], None], registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "far/asked:1.0")
    victim = pushed(registry, tmp_path, "near/victim:1.0")
    invented = "sha256:" + "ab" * 32

    async def work(running: WatchedScanners) -> None:
        cluster = await running.cluster("far")
        known = (await running.http.post("/v1/images/scan", json={"imageName": victim}, auth=ADMIN)).json()
        index = await running.get(f"/v1/images/{known['id']}/index")
        empty = {**index, "packages": []}
        async with sensor(running, cluster) as one:
            await one.ready()
            # Of a digest that Central knows by another name.
            answer = await delegated(running, one, cluster, name, msgspec.json.encode(empty))
            assert answer.status_code == 400
            assert "known by other names" in answer.json()["message"]
            found = await running.get(f"/v1/images/{known['id']}")
            assert (found["clusterId"], found["cves"]) == ("", known["cves"])
            # Of another digest than was asked for.
            other = msgspec.json.encode({**empty, "image": {**index["image"], "digest": invented}})
            answer = await delegated(running, one, cluster, f"{name}@{known['id']}", other)
            assert answer.status_code == 400
            assert invented in answer.json()["message"]
            # Nothing at all, though it was brought once.
            answer = await delegated(running, one, cluster, name, other)
            assert answer.json()["id"] == invented
            answer = await delegated(running, one, cluster, name, None)
            assert "brought nothing" in answer.json()["message"]

    central(work)


def test_why_an_image_could_not_be_scanned_is_shown_at_the_image(
    central: Callable[[Work], None], registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "far/failing:1.0")

    async def work(running: WatchedScanners) -> None:
        cluster = await running.cluster("far")
        honest = (await running.http.post("/v1/images/scan", json={"imageName": name}, auth=ADMIN)).json()
        index = msgspec.json.encode(await running.get(f"/v1/images/{honest['id']}/index"))
        named = f"{name}@{honest['id']}"
        path = f"/v1/images/{honest['id']}"
        await running.pool.execute("DELETE FROM images")
        async with sensor(running, cluster) as one:
            await one.ready()
            await delegated(running, one, cluster, named, None, failure="no room on the disk")
            found = await running.get(path)
            assert (found["scan"], found["notes"]) == (None, ["MISSING_METADATA", "MISSING_SCAN_DATA"])
            (told,) = found["scanFailures"]
            assert (told["clusterId"], told["imageName"]) == (cluster, named)
            assert "no room on the disk" in told["problem"]
            await delegated(running, one, cluster, named, index)
            found = await running.get(path)
            assert found["scanFailures"] == []
            await delegated(running, one, cluster, named, None, failure="no room again")
            found = await running.get(path)
            assert found["scan"]["components"]
            assert "no room again" in found["scanFailures"][0]["problem"]

    central(work)


async def lent(running: WatchedScanners, cluster: str, name: str) -> list[str]:
    dialled = running.dial(cluster)
    try:
        with dialled.told():
            asked = pb.RegistryAccessRequest(image_name=name)
            answer = await SensorsStub(dialled).GetRegistryAccess(asked, timeout=PATIENCE)
    finally:
        dialled.close()
    return [each.username for each in answer.registries]


def test_credentials_are_lent_to_the_cluster_that_scans_such_images_only(
    central: Callable[[Work], None],
) -> None:
    async def work(running: WatchedScanners) -> None:
        far, other = await running.cluster("far"), await running.cluster("other")
        made = {
            "name": "far",
            "type": "docker",
            "categories": ["REGISTRY"],
            "skipTestIntegration": True,
            "docker": {"endpoint": "far.example", "username": "ours", "password": "secret"},
        }
        answer = await running.http.post("/v1/imageintegrations", json=made, auth=ADMIN)
        assert answer.status_code == 200, answer.text
        name = "far.example/shop:1"
        assert await lent(running, far, name) == []
        await running.hub.delegation.store.put(
            DelegatedRegistryConfig(
                enabled_for="SPECIFIC",
                registries=tuple(
                    DelegatedRegistry(path=path, cluster_id=far) for path in ("far.example", "pull.example")
                ),
            )
        )
        assert await lent(running, far, name) == ["ours"]
        assert await lent(running, other, name) == []
        with pytest.raises(RedoubtError):
            await lent(running, far, "not a name")
        # What another cluster's pull secret says is that one's.
        async with sensor(running, other) as one:
            await one.ready()
            secrets = [PullSecret(namespace="s", name="a", config=secret("pull.example", "theirs"))]
            await one.send(kept=False, pull_secrets=pb.PullSecrets(secrets=msgspec.json.encode(secrets)))
            await one.upsert("namespace", "x", {"name": "x"})
            await one.kept()
        assert await lent(running, far, "pull.example/shop:1") == []

    central(work)


def test_an_image_of_openshifts_own_registry_is_scanned_by_its_cluster(
    central: Callable[[Work], None], registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "inside/shop:1.0")
    inside = "image-registry.openshift-image-registry.svc:5000/shop/app:1"

    async def work(running: WatchedScanners) -> None:
        cluster = await running.cluster("far")
        honest = (await running.http.post("/v1/images/scan", json={"imageName": name}, auth=ADMIN)).json()
        index = await running.get(f"/v1/images/{honest['id']}/index")
        await running.pool.execute("DELETE FROM images")
        answer = await running.http.post("/v1/images/scan", json={"imageName": inside}, auth=ADMIN)
        assert answer.status_code == 400
        assert "say which one" in answer.json()["message"]
        async with sensor(running, cluster) as one:
            await one.ready()
            await one.upsert("deployment", "uid-web", deployment("web", image=inside))
            await one.kept()
            dialled = running.dial(cluster)
            asked = asyncio.create_task(scanned(dialled, inside))
            await one.until("its own cluster was asked", lambda: bool(one.of("request")))
            request = one.of("request")[0]
            assert (request.scan_image.image_name, request.scan_image.ad_hoc) == (inside, False)
            await enriched(dialled, inside, msgspec.json.encode(index))
            await one.send(kept=False, answer=pb.Answer(request_id=request.id))
            assert flaws(await asked)
            dialled.close()
        assert (await running.get(f"/v1/images/{honest['id']}"))["clusterId"] == cluster

    central(work)


MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: registry.invalid/web:1}]}
"""


def test_a_clusters_sensor_says_more_of_a_manifest(central: Callable[[Work], None]) -> None:
    async def work(running: WatchedScanners) -> None:
        cluster = await running.cluster("far")
        async with sensor(running, cluster) as one:
            await one.ready()
            body = {"yaml": MANIFEST, "cluster": "far"}
            asked = asyncio.create_task(running.http.post("/v1/detect/deploy/yaml", json=body, auth=ADMIN))
            await one.until("it was asked", lambda: bool(one.of("request")))
            request = one.of("request")[0]
            [given] = msgspec.json.decode(request.enhance)
            assert given["name"] == "web"
            result = msgspec.json.encode([{**given, "name": "web as the cluster knows it"}])
            await one.send(kept=False, answer=pb.Answer(request_id=request.id, result=result))
            answer = await asked
            assert answer.status_code == 200, answer.text
            assert [each["name"] for each in answer.json()["runs"]] == ["web as the cluster knows it"]

    central(work)


def secret(host: str, user: str, *, old: bool = False) -> str:
    auths = {host: {"auth": base64.b64encode(f"{user}:secret".encode()).decode()}}
    return json.dumps(auths if old else {"auths": auths})


def test_pull_secrets_become_integrations_and_go_with_them(central: Callable[[Work], None]) -> None:
    async def work(running: WatchedScanners) -> None:
        north, south = await running.cluster("north"), await running.cluster("south")

        async def say(one: Any, *secrets: PullSecret) -> None:
            await one.send(
                kept=False, pull_secrets=pb.PullSecrets(secrets=msgspec.json.encode(list(secrets)))
            )
            await one.upsert("namespace", "x", {"name": "x"})
            await one.kept()

        async def listed() -> dict[str, str]:
            found = (await running.get("/v1/imageintegrations"))["integrations"]
            assert all(each["autogenerated"] for each in found)
            assert all(each["docker"]["password"] in ("", "******") for each in found)
            return {each["docker"]["endpoint"]: each["source"]["clusterId"] for each in found}

        a = PullSecret(namespace="shop", name="a", config=secret("a.example", "anna"))
        b = PullSecret(namespace="shop", name="b", config=secret("b.example", "bert", old=True))
        bad = PullSecret(namespace="shop", name="bad", config="{")
        async with (
            sensor(running, north, spool="n") as one,
            sensor(running, south, spool="s") as other,
        ):
            await one.ready()
            await other.ready()
            await say(one, a, b, bad)
            await say(other, PullSecret(namespace="bank", name="a", config=secret("c.example", "carl")))
            assert await listed() == {"a.example": north, "b.example": north, "c.example": south}
            before = await running.pool.fetch("SELECT id, xmin FROM image_integrations ORDER BY id")
            await say(one, a, b)
            assert await running.pool.fetch("SELECT id, xmin FROM image_integrations ORDER BY id") == before
            reference = parse_reference("a.example/shop:1")
            assert (await running.services.images._registries.access(reference)).username == "anna"  # type: ignore[union-attr]
            # What an administrator made counts, however exact a cluster's is.
            own = {
                "name": "own",
                "type": "docker",
                "categories": ["REGISTRY"],
                "docker": {"endpoint": "a.example", "username": "mine", "password": "x"},
                "skipTestIntegration": True,
            }
            answer = await running.http.post("/v1/imageintegrations", json=own, auth=ADMIN)
            assert answer.status_code == 200, answer.text
            exact = PullSecret(namespace="shop", name="a", config=secret("a.example/shop", "anna"))
            await say(one, exact)
            assert (await running.services.images._registries.access(reference)).username == "mine"  # type: ignore[union-attr]
            rows = await running.pool.fetch("SELECT * FROM image_integrations")
            assert "secret" not in str([dict(row) for row in rows]).replace("pull secret", "").replace(
                "pull_secret", ""
            )
            await running.http.delete(f"/v1/imageintegrations/{answer.json()['id']}", auth=ADMIN)
            assert await listed() == {"a.example/shop": north, "c.example": south}
        await running.http.delete(f"/v1/clusters/{south}", auth=ADMIN)
        assert await listed() == {"a.example/shop": north}

    central(work)


def test_what_is_installed_on_nodes_is_matched_and_again_when_definitions_are_others(
    central: Callable[[Work], None], shelf: Shelf
) -> None:
    def report(version: str) -> bytes:
        package = Package(
            type="deb",
            name="libfixture",
            version=version,
            arch="amd64",
            source_name="fixture",
            locations=(Location("var/lib/dpkg/status"),),
        )
        index = IndexReport(
            image=Image(reference="worker", kind="dir"),
            distribution=Distribution(id="debian", version_id="12"),
            packages=(package,),
        )
        return zlib.compress(msgspec.json.encode(index))

    async def work(running: WatchedScanners) -> None:
        cluster = await running.cluster("north")

        async def cves() -> int:
            [node] = (await running.get(f"/v1/nodes/{cluster}"))["nodes"]
            return int(node.get("cves", -1))

        async with sensor(running, cluster) as one:
            await one.ready()
            await one.upsert("node", "node-1", {"name": "worker"})
            for bad in (b"", b"no zlib", zlib.compress(b"{"), zlib.compress(b"x" * (65 << 20))[:100]):
                await one.send(node=pb.NodeReport(node_name="worker", report=bad))
            await one.send(node=pb.NodeReport(node_name="x\ny", report=report("1.0-1")))
            await one.send(node=pb.NodeReport(node_name="worker", report=report("1.0-1")))
            await one.kept()

            async def found() -> bool:
                return await cves() == 1

            await until("the node was matched", found)
            node = await running.get(f"/v1/nodes/{cluster}/node-1")
            [component] = node["scan"]["components"]
            assert (component["name"], len(component["vulns"])) == ("libfixture", 1)
            assert (node["riskScore"], node["priority"]) == (0.0, "0")
            await Keeping(running.services).look()
            [node] = (await running.get(f"/v1/nodes/{cluster}"))["nodes"]
            assert node["riskScore"] > 1
            assert node["priority"] == "1"
            # A newer package, of which nothing is known.
            await one.send(node=pb.NodeReport(node_name="worker", report=report("9.0-1")))
            await one.kept()

            async def clean() -> bool:
                return await cves() == 0

            await until("the new report was matched", clean)
            digest = await asyncio.to_thread(shelf.publish, bookworm=OPEN)
            await running.kill_matcher()
            await running.start_matcher()
            nodes = next(each for each in running.services.parts if isinstance(each, NodeReports))
            assert running.services.images is not None

            async def anew() -> bool:
                await nodes.look(running.services.images)  # type: ignore[arg-type]
                await running.pool.execute("UPDATE node_reports SET due = now()")
                return (
                    await running.pool.fetchval("SELECT definitions FROM node_reports") == digest
                    and await cves() == 1
                )

            await until("it was matched with new definitions", anew)
            await one.remove("node", "node-1")
            await one.kept()
        assert await running.pool.fetchval("SELECT count(*) FROM node_reports") == 0
        assert await running.pool.fetchval("SELECT count(*) FROM risks WHERE kind = 'node'") == 0

    central(work)


def test_with_one_bundle_for_several_clusters_a_call_says_which_it_is_of(
    central: Callable[[Work], None], registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "team/several:1.0")

    async def work(running: WatchedScanners) -> None:
        made = await running.http.post("/v1/cluster-init/init-bundles", json={"name": "both"}, auth=ADMIN)
        bundle = made.json()["meta"]["id"]
        scanned_ = await running.http.post("/v1/images/scan", json={"imageName": name}, auth=ADMIN)
        digest = scanned_.json()["id"]
        index = msgspec.json.encode(await running.get(f"/v1/images/{digest}/index"))
        await running.pool.execute("DELETE FROM images")
        clusters = []
        for each in ("west", "east"):
            async with sensor(running, bundle=bundle, cluster_name=each, spool=each, system=each) as one:
                clusters.append((await one.ready()).cluster_id)
        other = await running.cluster("other")
        dialled = running.dial(ANY_CLUSTER, bundle_id=bundle)
        for lie in ("", other, "no cluster"):
            with pytest.raises(RedoubtError, match="not known which cluster"):
                await enriched(dialled, name, index, lie)
        await enriched(dialled, name, index, clusters[1])
        assert (await running.get(f"/v1/images/{digest}"))["clusterId"] == clusters[1]
        dialled.close()

    central(work)
