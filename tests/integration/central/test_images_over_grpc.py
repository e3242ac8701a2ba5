"""``redoubt.v1.Images`` asked by grpcio, a client of other makers: the same callers, the same answers as over REST."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import grpc.aio
import pytest

from redoubt.central.auth.calls import Door
from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.images.asking import REPORT
from redoubt.central.images.wire import ImageService
from redoubt.egress import Policy
from redoubt.model.workload import Deployment
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1 import images_pb2 as pb
from redoubt.wire.server import OnePort
from support.centrals import PASSWORD, authorized
from support.clusters import add_objects
from support.registry import Registry, needs_registry
from support.scanners import AFFECTED, Scanners, Shelf, pushed

pytestmark = [needs_registry, pytest.mark.usefixtures("cheap_passwords")]
Migrated = Callable[[str], str]
LOOPBACK = Policy(offline=True, allowed_hosts=frozenset({"127.0.0.1"}))
BASIC = f"Basic {base64.b64encode(f'admin:{PASSWORD}'.encode()).decode()}"
STREAMS: dict[str, Any] = {
    "Scan": pb.ScanImageReply,
    "GetImage": pb.ImagePart,
    "ListImages": pb.ListImagesReply,
}
UNARY: dict[str, Any] = {
    "CountImages": pb.CountImagesReply,
    "DeleteImages": pb.DeleteImagesReply,
    "ListScans": pb.ListScansReply,
    "CancelScan": pb.CancelScanReply,
}


class Client:
    """The calls of ``redoubt.v1.Images``, with credentials."""

    def __init__(self, channel: grpc.aio.Channel, authorization: str) -> None:
        self._channel = channel
        self._metadata = (("authorization", authorization),) if authorization else ()

    def stream(self, name: str, request: Any) -> Any:
        made = self._channel.unary_stream(
            f"/redoubt.v1.Images/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=STREAMS[name].FromString,
        )
        return made(request, metadata=self._metadata, timeout=60)

    async def call(self, name: str, request: Any) -> Any:
        made = self._channel.unary_unary(
            f"/redoubt.v1.Images/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=UNARY[name].FromString,
        )
        return await made(request, metadata=self._metadata, timeout=60)

    async def scan(self, name: str, **more: Any) -> tuple[list[pb.Scan], pb.ImageBegun, Any]:
        replies = [one async for one in self.stream("Scan", pb.ScanImageRequest(image_name=name, **more))]
        scans = [one.scan for one in replies if one.WhichOneof("step") == "scan"]
        begun, body = whole([one.part for one in replies if one.WhichOneof("step") == "part"])
        return scans, begun, body

    async def image(self, digest: str, **more: Any) -> tuple[pb.ImageBegun, Any]:
        request = pb.GetImageRequest(id=digest, **more)
        return whole([part async for part in self.stream("GetImage", request)])


def whole(parts: list[pb.ImagePart]) -> tuple[pb.ImageBegun, Any]:
    begun, data = parts[0].begun, b"".join(part.chunk for part in parts[1:])
    assert len(data) == begun.size
    return begun, json.loads(data)


@pytest.fixture
def run(migrated: Migrated, tmp_path: Path) -> Callable[..., None]:
    def started(work: Callable[[Scanners, Callable[..., Client]], Awaitable[None]]) -> None:
        urls = migrated("redoubt.central.migrations"), migrated("redoubt.scanner.migrations")
        shelf = Shelf(tmp_path)
        shelf.publish(bookworm=AFFECTED)

        async def running() -> None:
            async with Scanners(urls, tmp_path, shelf, policy=LOOPBACK) as central, opened(central) as client:
                await work(central, client)

        asyncio.run(asyncio.wait_for(running(), 240))

    return started


@asynccontextmanager
async def opened(central: Scanners) -> AsyncIterator[Callable[..., Client]]:
    door = Door(central.auth.authenticator, central.auth.audit, ended=central.services.metrics.called)
    server = OnePort(
        tls=central.certificates.material(Service.CENTRAL), services=[ImageService(central.services, door)]
    )
    await server.start("127.0.0.1", 0)
    credentials = grpc.ssl_channel_credentials(central.certificates.authority.trusted)
    try:
        async with grpc.aio.secure_channel(f"localhost:{server.port}", credentials) as channel:
            yield lambda said=BASIC: Client(channel, said)
    finally:
        await server.stop(0)


Run = Callable[..., None]


async def refused(work: Awaitable[Any]) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await work
    return failed.value.code().name, failed.value.details() or ""


def test_a_scan_tells_how_far_it_is_and_answers_what_rest_answers(
    run: Run, registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "grpc/shop:1")

    async def work(central: Scanners, client: Callable[..., Client]) -> None:
        scans, begun, image = await client().scan(name)
        assert [scan.image for scan in scans] == [name] * len(scans)
        assert scans[-1].state == pb.Scan.DONE
        assert scans[-1].digest == begun.id == image["id"]
        assert begun.media_type == "application/json"
        assert image == await central.get(f"/v1/images/{begun.id}")
        # The report of the whole, and what is in it; a token does as well as a password.
        token = client(f"Bearer {await central.token('Continuous Integration')}")
        _, begun, report = await token.scan(name, form=pb.REPORT)
        assert begun.media_type == REPORT
        assert report == await central.get(f"/v1/images/{begun.id}/report")
        assert (await token.image(begun.id, form=pb.REPORT))[1] == report
        index = await central.get(f"/v1/images/{begun.id}/index")
        assert (await token.image(begun.id, form=pb.INDEX))[1] == index
        _, plain = await token.image(begun.id, strip_description=True)
        assert plain == await central.get(f"/v1/images/{begun.id}", stripDescription="true")

    run(work)


def test_images_are_listed_counted_and_forgotten(run: Run, registry: Registry, tmp_path: Path) -> None:
    names = [pushed(registry, tmp_path, f"grpc/list/{name}:1") for name in ("a", "b")]

    async def work(central: Scanners, client: Callable[..., Client]) -> None:
        admin = client()
        for name in names:
            await admin.scan(name)
        pages = [page async for page in admin.stream("ListImages", pb.ListImagesRequest())]
        listed = [image for page in pages for image in page.images]
        said = (await central.get("/v1/images"))["images"]
        assert [(one.name, one.id, one.cves, one.fixable_cves) for one in listed] == [
            (one["name"], one["id"], one["cves"], one["fixableCves"]) for one in said
        ]
        assert (await admin.call("CountImages", pb.CountImagesRequest())).count == 2
        query = f"Image:{registry.host}/grpc/list/a"
        asked = pb.DeleteImagesRequest(query=query)
        done = await admin.call("DeleteImages", asked)
        assert (done.num_deleted, done.dry_run) == (1, True)
        done = await admin.call("DeleteImages", pb.DeleteImagesRequest(query=query, confirm=True))
        assert (done.num_deleted, done.dry_run) == (1, False)
        assert (await central.get("/v1/imagescount"))["count"] == 1
        assert (await refused(admin.call("DeleteImages", pb.DeleteImagesRequest())))[0] == "INVALID_ARGUMENT"

    run(work)


def test_who_may_not_is_refused_and_changes_are_audited(run: Run, registry: Registry, tmp_path: Path) -> None:
    name = pushed(registry, tmp_path, "grpc/audit:1")

    async def work(central: Scanners, client: Callable[..., Client]) -> None:
        analyst = client(f"Bearer {await central.token('Analyst', name='looks')}")
        assert (await analyst.call("CountImages", pb.CountImagesRequest())).count == 0
        for said, code in (
            ("", "UNAUTHENTICATED"),
            ("Bearer x", "UNAUTHENTICATED"),
            ("Digest x", "UNAUTHENTICATED"),
        ):
            for call in ("CountImages", "ListScans", "DeleteImages", "CancelScan"):
                request = {
                    "CountImages": pb.CountImagesRequest(),
                    "ListScans": pb.ListScansRequest(),
                    "DeleteImages": pb.DeleteImagesRequest(query="Image:x"),
                    "CancelScan": pb.CancelScanRequest(id="x"),
                }[call]
                assert (await refused(client(said).call(call, request)))[0] == code, (said, call)
            assert (await refused(client(said).scan(name)))[0] == code
        assert (await refused(analyst.scan(name)))[0] == "PERMISSION_DENIED"
        # A token that is revoked is refused at the next call of the same connection.
        tokens = (await central.get("/v1/apitokens"))["tokens"]
        (mine,) = (one["id"] for one in tokens if one["name"] == "looks")
        answer = await central.http.patch(f"/v1/apitokens/revoke/{mine}", auth=("admin", PASSWORD))
        assert answer.status_code == 200
        revoked = await refused(analyst.call("CountImages", pb.CountImagesRequest()))
        assert revoked[0] == "UNAUTHENTICATED"
        await client().scan(name)
        entries = (await central.get("/v1/auditlog"))["entries"]
        short = [
            (one["name"], one["source"], one["path"], one["status"])
            for one in entries
            if one["method"] == "GRPC"
        ]
        said, _ = await central.services.metrics.text()
        for line in (
            'rox_central_grpc_calls_total{path="/redoubt.v1.Images/Scan",status="200"} 1.0',
            'rox_central_grpc_calls_total{path="/redoubt.v1.Images/Scan",status="403"} 1.0',
            'rox_central_grpc_call_seconds_count{path="/redoubt.v1.Images/DeleteImages"} 3.0',
        ):
            assert line in said.decode()
        assert short == [
            ("admin", "127.0.0.1", "/redoubt.v1.Images/Scan", 200),
            ("looks", "127.0.0.1", "/redoubt.v1.Images/Scan", 403),
        ]

    run(work)


def test_failures_say_what_they_are(run: Run, registry: Registry) -> None:
    async def work(central: Scanners, client: Callable[..., Client]) -> None:
        admin = client()
        assert (await refused(admin.image("sha256:none")))[0] == "NOT_FOUND"
        assert (await refused(admin.scan("no name at all")))[0] == "INVALID_ARGUMENT"
        assert (await refused(admin.scan(f"{registry.host}/x:1", form=7)))[0] == "INVALID_ARGUMENT"
        code, message = await refused(admin.scan("elsewhere.example/x:1"))
        assert code == "FAILED_PRECONDITION"
        assert "elsewhere.example" in message
        assert (await refused(admin.call("CancelScan", pb.CancelScanRequest(id="x"))))[0] == "NOT_FOUND"
        request = pb.ListImagesRequest(limit=-1)
        bad = admin.stream("ListImages", request)
        assert (await refused(bad.read()))[0] == "INVALID_ARGUMENT"
        await central.pool.execute("ALTER TABLE images RENAME TO gone")
        code, message = await refused(admin.call("CountImages", pb.CountImagesRequest()))
        assert code == "INTERNAL"
        assert "images" not in message
        await central.pool.execute("ALTER TABLE gone RENAME TO images")

    run(work)


def test_a_scan_is_cancelled_by_its_caller_and_by_others(
    run: Run, registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "grpc/slow:1")

    async def work(central: Scanners, client: Callable[..., Client]) -> None:
        scanning = central.services.images
        assert scanning is not None
        forever, begun = asyncio.Event(), asyncio.Event()

        async def stuck(*_: Any, **__: Any) -> Any:
            begun.set()
            await forever.wait()

        scanning._indexer.index = stuck
        admin = client()
        call = admin.stream("Scan", pb.ScanImageRequest(image_name=name))
        assert (await call.read()).scan.state in (pb.Scan.QUEUED, pb.Scan.INDEXING)
        await begun.wait()
        call.cancel()
        for _ in range(3000):
            (job,) = (await admin.call("ListScans", pb.ListScansRequest())).scans
            if job.state == pb.Scan.CANCELLED:
                break
            await asyncio.sleep(0.02)
        assert (job.state, bool(job.ended)) == (pb.Scan.CANCELLED, True)

        begun.clear()
        call = admin.stream("Scan", pb.ScanImageRequest(image_name=name))
        first = (await call.read()).scan
        await begun.wait()
        await admin.call("CancelScan", pb.CancelScanRequest(id=first.id))

        async def rest() -> None:
            while await call.read() is not grpc.aio.EOF:
                pass

        assert (await refused(rest()))[0] == "ABORTED"

    run(work)


def test_who_may_see_a_namespace_sees_the_images_that_run_there(
    run: Run, registry: Registry, tmp_path: Path
) -> None:
    names = [
        pushed(registry, tmp_path, f"team/{each}:1.0") for each in ("digest", "name", "elsewhere", "nowhere")
    ]

    async def work(central: Scanners, client: Callable[..., Client]) -> None:
        admin = ("admin", PASSWORD)

        async def made(path: str, body: Any) -> Any:
            answer = await central.http.post(path, json=body, auth=admin)
            assert answer.status_code == 200, answer.text
            return answer.json()

        ids = [(await made("/v1/images/scan", {"imageName": name}))["id"] for name in names]
        assert len(set(ids)) == 4
        cluster = ClusterRef(UUID((await made("/v1/clusters", {"name": "north"}))["cluster"]["id"]), "north")
        for at, (namespace, images) in enumerate(
            (
                ("shop", (ids[0], "other.example/by-digest:1")),
                ("shop", (names[1],)),
                ("bank", (ids[2], names[2])),
            )
        ):
            deployment = Deployment(id=str(at), name=str(at), namespace=namespace)
            await add_objects(central.pool, cluster, deployment, images=images)
        rules = {"includedNamespaces": [{"clusterName": "north", "namespaceName": "shop"}]}
        scope = await made("/v1/simpleaccessscopes", {"name": "shop only", "rules": rules})
        sets = (await central.http.get("/v1/permissionsets", auth=admin)).json()["permissionSets"]
        analyst = next(each["id"] for each in sets if each["name"] == "Admin")
        await made(
            "/v1/roles/Shop", {"name": "Shop", "permissionSetId": analyst, "accessScopeId": scope["id"]}
        )
        said = authorized(await central.token("Shop"))

        async def seen(path: str, status: int = 200) -> Any:
            answer = await central.http.get(path, headers=said)
            assert answer.status_code == status, answer.text
            return answer

        mine = set(ids[:2])
        assert {each["id"] for each in (await seen("/v1/images")).json()["images"]} == mine
        assert (await seen("/v1/imagescount")).json()["count"] == 2
        assert (await seen("/v1/imagescount?query=Image:127")).json()["count"] == 2
        lines = (await seen("/v1/export/images")).text.splitlines()
        assert {json.loads(line)["result"]["image"]["id"] for line in lines} == mine
        for digest in ids:
            for path in ("", "/report", "/index"):
                await seen(f"/v1/images/{digest}{path}", 200 if digest in mine else 404)
        await seen("/v1/images/scans", 403)
        grpcs = client(said["Authorization"])
        listed = [
            image.id
            async for page in grpcs.stream("ListImages", pb.ListImagesRequest())
            for image in page.images
        ]
        assert set(listed) == mine
        assert (await grpcs.call("CountImages", pb.CountImagesRequest())).count == 2
        assert (await grpcs.image(ids[0]))[0].id == ids[0]
        assert (await refused(grpcs.image(ids[2])))[0] == "NOT_FOUND"
        assert (await refused(grpcs.call("DeleteImages", pb.DeleteImagesRequest(query="Image:x"))))[
            0
        ] == "PERMISSION_DENIED"

    run(work)
