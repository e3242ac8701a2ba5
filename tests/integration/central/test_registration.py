"""Certificates for clusters over the stream, and cluster registration secrets: what Central gives to whom, and to whom not."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from redoubt.central.hub.expiring import Expiring
from redoubt.errors import AccessDenied
from redoubt.model.cluster import CertificateEnd
from redoubt.wire import crs, csr
from redoubt.wire.authority import Issued
from redoubt.wire.channel import Channel, channel
from redoubt.wire.identity import ANY_CLUSTER, Service
from redoubt.wire.material import Files, Material
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from redoubt.wire.proto.redoubt.v1.sensors_grpc import SensorsStub
from support.sensors import ADMIN, Sensor, Watched, connected, sensor
from support.wire import run

pytestmark = pytest.mark.usefixtures("cheap_passwords")
Migrated = Callable[[str], str]
Work = Callable[[Watched], Awaitable[None]]
Central = Callable[[Work], None]


@pytest.fixture
def central(migrated: Migrated, tmp_path: Path) -> Central:
    url = migrated("redoubt.central.migrations")

    def started(work: Work) -> None:
        async def within() -> None:
            async with Watched(url, tmp_path) as running:
                await work(running)

        run(within(), 240)

    return started


def wanted(
    *services: Service, key: csr.Key | None = None, namespace: str = "stackrox", **more: bytes
) -> pb.CertificateRequests:
    request = more.get("request") or csr.made(key or csr.new_key())
    several = [pb.CertificateRequests.One(service=each.value, request=request) for each in services]
    return pb.CertificateRequests(id=str(uuid4()), namespace=namespace, wanted=several)


async def asked(one: Sensor, requests: pb.CertificateRequests) -> pb.Certificates:
    """What Central answers over the stream."""
    await one.send(kept=False, certificates=requests)

    def answers() -> list[pb.Certificates]:
        return [each for each in one.of("certificates") if each.id == requests.id]

    await one.until("certificates were answered", lambda: bool(answers()))
    return answers()[0]


def named(certificate: bytes) -> tuple[str, list[str], list[str]]:
    """Common name, organizations, names in DNS."""
    found = x509.load_pem_x509_certificate(certificate)
    hosts = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        str(found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value),
        [str(each.value) for each in found.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)],
        hosts.get_values_for_type(x509.DNSName),
    )


def test_a_cluster_is_given_certificates_of_its_own_for_its_keys(central: Central) -> None:
    async def work(running: Watched) -> None:
        cluster = await running.cluster("west")
        key = csr.new_key()
        async with sensor(running, cluster) as one:
            await one.ready()
            await one.until("the CAs were told", lambda: bool(one.of("authorities")))
            assert one.of("authorities") == [running.certificates.authority.trusted]
            services = (
                Service.SENSOR,
                Service.COLLECTOR,
                Service.ADMISSION_CONTROL,
                Service.SCANNER_V4_INDEXER,
            )
            given = await asked(one, wanted(*services, key=key, namespace="security"))
            assert given.failure == ""
            assert given.authorities == running.certificates.authority.trusted
            assert [each.service for each in given.issued] == list(services)
            for each in given.issued:
                name, organizations, hosts = named(each.certificate)
                assert (name, organizations) == (f"{each.service}: {cluster}", [])
                assert f"{Service(each.service).host}.security.svc" in hosts
                public = x509.load_pem_x509_certificate(each.certificate).public_key()
                assert public == key.public_key()
            # With it the Sensor comes again.
        folder = running.certificates.folder / "renewed"
        Issued(given.issued[0].certificate, csr.pem(key), given.authorities).write(folder)
        again = channel(f"127.0.0.1:{running.server.port}", Material(Files.within(folder)), {Service.CENTRAL})
        async with connected(again) as one:
            assert (await one.ready()).cluster_id == cluster

    central(work)


def _csr(key: Any, *names: tuple[x509.ObjectIdentifier, str]) -> bytes:
    subject = x509.Name([x509.NameAttribute(kind, value) for kind, value in names])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def test_nothing_is_given_for_others_and_for_what_cannot_be_meant(central: Central) -> None:
    key = csr.new_key()
    good = csr.made(key)
    other = [
        (NameOID.COMMON_NAME, f"{Service.SENSOR}: {uuid4()}"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, Service.SENSOR.value),
    ]
    refused: list[tuple[pb.CertificateRequests, str]] = [
        (wanted(Service.CENTRAL), "no service that a cluster has"),
        (wanted(Service.SCANNER_V4_MATCHER), "no service that a cluster has"),
        (wanted(Service.REGISTRANT), "no service that a cluster has"),
        (wanted(Service.SENSOR, Service.SENSOR), "asked for twice"),
        (wanted(), "1 to 4"),
        (wanted(*[Service.SENSOR] * 50), "1 to 4"),
        (wanted(Service.SENSOR, namespace="a.evil"), "namespace"),
        (wanted(Service.SENSOR, namespace=""), "namespace"),
        (wanted(Service.SENSOR, request=b"x" * 9000), "limit"),
        (wanted(Service.SENSOR, request=b"nothing"), "cannot be read"),
        (wanted(Service.SENSOR, request=good[:-20]), "cannot be read"),
    ]
    more: list[tuple[pb.CertificateRequests, str]] = [
        (wanted(Service.SENSOR, request=good[:-1] + bytes([good[-1] ^ 1])), "own key|cannot be read"),
        (wanted(Service.SENSOR, request=_csr(rsa.generate_private_key(65537, 1024))), "P-256"),
        (wanted(Service.SENSOR, request=_csr(rsa.generate_private_key(65537, 2048))), "P-256"),
        (wanted(Service.SENSOR, request=_csr(ec.generate_private_key(ec.SECP224R1()))), "P-256"),
        (wanted(Service.SENSOR, request=_csr(key, *other)), "somebody else"),
    ]

    async def work(running: Watched) -> None:
        cluster = await running.cluster("west")
        for some in (refused[:9], refused[9:] + more):
            async with sensor(running, cluster) as one:
                await one.ready()
                for requests, why in some:
                    given = await asked(one, requests)
                    assert not given.issued
                    assert any(each in given.failure for each in why.split("|")), given.failure
        # What goes on asking is answered no more for a while.
        async with sensor(running, cluster) as one:
            await one.ready()
            answers = [await asked(one, wanted(Service.SENSOR)) for _ in range(12)]
            assert [bool(each.issued) for each in answers] == [True] * 10 + [False] * 2

    central(work)


async def made(running: Watched, name: str = "spring", **more: Any) -> dict[str, Any]:
    path = "/v1/cluster-init/crs" + ("-extended" if more else "")
    answer = await running.http.post(path, json={"name": name, **more}, auth=ADMIN)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def dialled(folder: Path, running: Watched, secret: dict[str, Any]) -> Channel:
    """As whoever has the secret."""
    manifest = yaml.safe_load(base64.b64decode(secret["crs"]))
    assert manifest["metadata"]["name"] == "cluster-registration-secret"
    found = crs.read(manifest["stringData"]["crs"].encode())
    files = folder / f"registrant-{uuid4()}"
    Issued(found.certificate.encode(), found.key.encode(), "".join(found.authorities).encode()).write(files)
    return channel(f"127.0.0.1:{running.server.port}", Material(Files.within(files)), {Service.CENTRAL})


async def registered(
    folder: Path,
    running: Watched,
    secret: dict[str, Any],
    name: str,
    *,
    system: str = "uid-1",
    requests: pb.CertificateRequests | None = None,
) -> pb.Welcome:
    """What Central answers a registrant, who then is hung up on."""
    requests = requests or wanted(Service.SENSOR)
    async with connected(
        dialled(folder, running, secret), cluster_name=name, system=system, certificates=requests, end=True
    ) as one:
        await one.over()
        [welcome] = one.of("welcome")
        assert [each.WhichOneof("message") for each in one.told] == ["welcome"]
    found: pb.Welcome = welcome
    return found


async def listed(running: Watched) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await running.get("/v1/cluster-init/crs"))["items"]
    return found


async def comes(folder: Path, running: Watched, welcome: pb.Welcome, key: csr.Key) -> str:
    """The cluster that a Sensor is of, with the certificate that it was given."""
    files = folder / f"own-{uuid4()}"
    given = welcome.certificates
    Issued(given.issued[0].certificate, csr.pem(key), given.authorities).write(files)
    dial = channel(f"127.0.0.1:{running.server.port}", Material(Files.within(files)), {Service.CENTRAL})
    async with connected(dial, system="uid-1") as one:
        return str((await one.ready()).cluster_id)


def test_a_cluster_registers_once_and_its_secret_is_used_up(central: Central, tmp_path: Path) -> None:
    async def work(running: Watched) -> None:
        secret = await made(running, validFor="600s", maxRegistrations=1)
        assert secret["meta"]["maxRegistrations"] == "1"
        ends = datetime.fromisoformat(secret["meta"]["expiresAt"])
        assert timedelta(minutes=9) < ends - datetime.now(UTC) < timedelta(minutes=11)
        assert "PRIVATE KEY" not in str(await running.pool.fetch("SELECT * FROM init_bundles"))
        first = await registered(tmp_path, running, secret, "west")
        # Killed before it had the answer: it asks again, with another key, and is the same cluster.
        key = csr.new_key()
        again = await registered(
            tmp_path, running, secret, "west", requests=wanted(Service.SENSOR, Service.COLLECTOR, key=key)
        )
        assert again.cluster_id == first.cluster_id
        assert len(again.certificates.issued) == 2
        [found] = await listed(running)
        assert (found["registrationsInitiated"], found["registrationsCompleted"]) == (["west"], [])
        # A replayed secret does not make another cluster of that name the same one, and no more clusters come with it.
        with pytest.raises(Exception, match="another cluster"):
            await registered(tmp_path, running, secret, "west", system="uid-2")
        with pytest.raises(Exception, match="no more may"):
            await registered(tmp_path, running, secret, "east")
        assert await comes(tmp_path, running, again, key) == first.cluster_id
        # Used up: it is listed no more, and the cluster is not affected.
        assert await listed(running) == []
        for name in ("west", "east"):
            with pytest.raises(AccessDenied, match="used up"):
                await registered(tmp_path, running, secret, name)
        assert await comes(tmp_path, running, again, key) == first.cluster_id

    central(work)


def test_of_two_at_once_one_takes_the_last_place(central: Central, tmp_path: Path) -> None:
    async def work(running: Watched) -> None:
        secret = await made(running, maxRegistrations="1")
        done = await asyncio.gather(
            *(registered(tmp_path, running, secret, name, system=name) for name in ("a", "b", "c", "d")),
            return_exceptions=True,
        )
        assert len([each for each in done if isinstance(each, pb.Welcome)]) == 1
        assert all("no more may" in str(each) for each in done if isinstance(each, BaseException))
        assert len((await running.get("/v1/clusters"))["clusters"]) == 1

    central(work)


def test_a_cluster_that_was_connected_cannot_be_taken_with_a_secret(central: Central, tmp_path: Path) -> None:
    async def work(running: Watched) -> None:
        cluster = await running.cluster("west")
        secret = await made(running)
        # One that an administrator added, and that never came, may.
        assert (await registered(tmp_path, running, secret, "west")).cluster_id == cluster
        async with sensor(running, cluster) as one:
            await one.ready()
        with pytest.raises(AccessDenied, match="connected with certificates of its own"):
            await registered(tmp_path, running, secret, "west")
        [found] = await listed(running)
        assert found["registrationsCompleted"] == ["west"]
        # Revoked, it is good for nothing; what came with it stays.
        body = {"ids": [secret["meta"]["id"], "nothing", str(uuid4())]}
        answer = await running.http.patch("/v1/cluster-init/crs/revoke", json=body, auth=ADMIN)
        assert answer.json()["revokedIds"] == [secret["meta"]["id"]]
        assert len(answer.json()["crsRevocationErrors"]) == 2
        with pytest.raises(AccessDenied, match="revoked"):
            await registered(tmp_path, running, secret, "north")
        async with sensor(running, cluster) as one:
            await one.ready()

    central(work)


def test_a_registrant_may_do_nothing_else(central: Central, tmp_path: Path) -> None:
    async def work(running: Watched) -> None:
        secret = await made(running)
        with pytest.raises(Exception, match="1 to 4"):
            await registered(
                tmp_path, running, secret, "west", requests=pb.CertificateRequests(namespace="x")
            )
        with pytest.raises(Exception, match="kube-system"):
            await registered(tmp_path, running, secret, "west", system="")
        with pytest.raises(Exception, match="name"):
            await registered(tmp_path, running, secret, "a\nb")
        # None of them took a place or made a cluster.
        assert (await listed(running))[0]["registrationsInitiated"] == []
        assert (await running.get("/v1/clusters"))["clusters"] == []
        line = dialled(tmp_path, running, secret)

        async def an_image() -> None:
            with line.told():
                async with SensorsStub(line).GetScannedImage.open() as call:
                    await call.send_message(pb.GetScannedImageRequest(image_name="shop:1"), end=True)
                    await call.recv_message()

        try:
            with pytest.raises(AccessDenied, match="not for REGISTRANT_SERVICE"):
                await an_image()
        finally:
            line.close()
        # A certificate of a registrant that Central's CA issued for a bundle that is none.
        stranger = running.dial(ANY_CLUSTER, Service.REGISTRANT, bundle_id=str(uuid4()))
        with pytest.raises(AccessDenied, match="revoked"):
            async with connected(stranger, cluster_name="west", certificates=wanted(Service.SENSOR)) as one:
                await one.over()

    central(work)


UNMEANT: list[dict[str, Any]] = [
    {"name": "a b"},
    {"name": "x", "validFor": "1d"},
    {"name": "x", "validFor": "0s"},
    {"name": "x", "validUntil": "2001-01-02T03:04:05Z"},
    {"name": "x", "validFor": "60s", "validUntil": "2099-01-02T03:04:05Z"},
    {"name": "x", "maxRegistrations": 101},
    {"name": "x", "maxRegistrations": -1},
    {"name": "x", "maxRegistrations": "many"},
]


def test_what_cannot_be_meant_is_not_made_and_names_are_shared_with_init_bundles(central: Central) -> None:
    async def work(running: Watched) -> None:
        for unmeant in UNMEANT:
            answer = await running.http.post("/v1/cluster-init/crs-extended", json=unmeant, auth=ADMIN)
            assert answer.status_code == 400, (unmeant, answer.text)
        assert await listed(running) == []
        secret = await made(running, validUntil="2999-01-02T03:04:05Z")
        # No longer than the CA.
        assert datetime.fromisoformat(secret["meta"]["expiresAt"]) < datetime(2999, 1, 1, tzinfo=UTC)
        for path in ("init-bundles", "crs"):
            answer = await running.http.post(f"/v1/cluster-init/{path}", json={"name": "spring"}, auth=ADMIN)
            assert answer.status_code == 409
        # One is not revoked as the other.
        body = {"ids": [secret["meta"]["id"]]}
        answer = await running.http.patch("/v1/cluster-init/init-bundles/revoke", json=body, auth=ADMIN)
        assert answer.json()["initBundleRevokedIds"] == []
        assert (await running.get("/v1/cluster-init/init-bundles"))["items"] == []

    central(work)


def test_a_cluster_that_has_certificates_of_its_own_outlives_its_bundle(
    central: Central, tmp_path: Path
) -> None:
    async def work(running: Watched) -> None:
        answer = await running.http.post("/v1/cluster-init/init-bundles", json={"name": "spring"}, auth=ADMIN)
        bundle = answer.json()["meta"]["id"]
        async with sensor(running, bundle=bundle, cluster_name="west") as one:
            cluster = (await one.ready()).cluster_id
        async with sensor(running, cluster, spool="spool") as one:
            await one.ready()
            # Its other services are known by the bundle that it came with.
            assert await running.hub.store.of_bundle(bundle) != []
            body = {"ids": [bundle], "confirmImpactedClustersIds": []}
            done = await running.http.patch("/v1/cluster-init/init-bundles/revoke", json=body, auth=ADMIN)
            assert done.json()["initBundleRevokedIds"] == [bundle]
            number = await one.upsert("deployment", "uid-web", {"id": "uid-web", "name": "web"})
            await one.kept(number)

    central(work)


def test_certificates_that_end_soon_are_shown_and_counted(central: Central) -> None:
    async def work(running: Watched) -> None:
        cluster = await running.cluster("west")
        ends = int(datetime.now(UTC).timestamp()) + 86400
        odd = (CertificateEnd(service="X", ends=1 << 60), CertificateEnd(service="Y", ends=-5))
        async with sensor(running, cluster) as one:
            await one.ready()
            await one.healthy(certificates=(CertificateEnd(service="COLLECTOR_SERVICE", ends=ends), *odd))
            await one.kept(await one.upsert("deployment", "uid-web", {"id": "uid-web", "name": "web"}))
            status = (await running.get(f"/v1/clusters/{cluster}"))["cluster"]["status"]["certExpiryStatus"]
            assert status["sensorCertNotBefore"] < status["sensorCertExpiry"]
            assert [each["service"] for each in status["services"]] == ["COLLECTOR_SERVICE", "SENSOR_SERVICE"]
            found = await Expiring(running.pool, running.services.metrics.registry.__class__()).look()
            assert [(name, service) for name, service, _ in found] == [("west", "COLLECTOR_SERVICE")]
            text = (await running.services.metrics.text())[0].decode()
            assert "rox_central_cluster_certificates_ending 1.0" in text

    central(work)


def test_certificates_are_made_anew_when_somebody_says_so(central: Central) -> None:
    async def work(running: Watched) -> None:
        cluster = await running.cluster("west")
        path = f"/v1/sensorupgrades/rotateclustercerts/{cluster}"
        assert (await running.http.post(path, auth=ADMIN)).status_code == 400
        gone = f"/v1/sensorupgrades/rotateclustercerts/{uuid4()}"
        assert (await running.http.post(gone, auth=ADMIN)).status_code == 404
        async with sensor(running, cluster) as one:
            await one.ready()
            asking = asyncio.create_task(running.http.post(path, auth=ADMIN))
            await one.until("it was asked", lambda: bool(one.of("request")))
            [request] = one.of("request")
            assert request.renew_certificates
            await one.send(kept=False, answer=pb.Answer(request_id=request.id))
            assert (await asking).status_code == 200

    central(work)
