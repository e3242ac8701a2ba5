"""A Sensor, a real Central and a real API server: certificates of a cluster's services come and are made anew by themselves."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from redoubt.errors import AccessDenied
from redoubt.sensor.config import Settings
from redoubt.sensor.service import sensor
from redoubt.wire.authority import Issued
from redoubt.wire.channel import channel
from redoubt.wire.failures import Refused
from redoubt.wire.identity import ANY_CLUSTER, Service
from redoubt.wire.proto.redoubt.v1.secured_grpc import NodesStub
from redoubt.wire.proto.redoubt.v1.secured_pb2 import AuditLines
from support.kube import Cluster, kube  # noqa: F401  (a fixture)
from support.sensing import Configured, Plain, generated
from support.sensors import ADMIN, Watched
from support.wire import Certificates, run

pytestmark = pytest.mark.xdist_group("kube")
NAMES = ("tls-cert-sensor", "tls-cert-admission-control", "tls-cert-collector")


class _Secrets:
    """Of a namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace

    def content(self, name: str) -> Issued:
        where = {"name": name, "namespace": self._namespace}
        found = self._cluster.admin.get({"apiVersion": "v1", "kind": "Secret", "metadata": where})["data"]
        return Issued(*(base64.b64decode(found[each]) for each in ("cert.pem", "key.pem", "ca.pem")))

    def all(self) -> dict[str, Issued]:
        return {name: self.content(name) for name in NAMES}

    async def there(self, *, but: dict[str, Issued] | None = None) -> dict[str, Issued]:
        """All of them; others than before."""

        def found() -> dict[str, Issued]:
            now = self.all()
            return now if not but or all(now[name] != but[name] for name in NAMES) else {}

        return await asyncio.to_thread(self._cluster.until, "the TLS Secrets", found, 30)


def _given(running: Watched, cluster: Configured, namespace: str, **more: Any) -> dict[str, Any]:
    """A Sensor's settings."""
    return {
        "host": "127.0.0.1",
        "port": 0,
        "health_port": 0,
        "health_interval": 0.2,
        "central": f"127.0.0.1:{running.server.port}",
        "kubeconfig": cluster.kubeconfig(),
        "namespace": namespace,
        "cluster_name": "ward",
        "backoff_first": 0.1,
        **more,
    }


async def _known(running: Watched) -> dict[str, Any]:
    [found] = (await running.get("/v1/clusters"))["clusters"]
    cluster: dict[str, Any] = found
    return cluster


async def _until(what: str, condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.1)


async def _served(port: int, certificates: Certificates, identifier: str) -> bool:
    tls = certificates.material(Service.COLLECTOR, identifier, identifier=identifier)
    line = channel(f"127.0.0.1:{port}", tls, [Service.SENSOR])
    try:
        with line.told():
            await NodesStub(line).ReportAudit(AuditLines(), timeout=10)
    finally:
        line.close()
    return True


def test_certificates_come_are_exchanged_and_stay_after_everything_else_is_lost(
    migrated: Callable[[str], str],
    tmp_path: Path,
    kube: Cluster,  # noqa: F811
) -> None:
    own = kube.namespace()
    secrets = _Secrets(kube, own)
    url = migrated("redoubt.central.migrations")

    async def work() -> None:
        async with Watched(url, tmp_path) as running:
            certificates = running.certificates
            answer = await running.http.post("/v1/cluster-init/init-bundles", json={"name": "b"}, auth=ADMIN)
            bundle = answer.json()["meta"]["id"]
            files = certificates.files(Service.SENSOR, "bundle", identifier=ANY_CLUSTER, bundle_id=bundle)
            given = _given(running, Plain(kube), own, data=tmp_path / "data")
            async with sensor(Settings(certificates=files.certificate.parent, **given)):
                first = await secrets.there()

                async def moved() -> bool:
                    found = await _known(running)
                    return not found["initBundleId"] and found["healthStatus"]["connected"]

                await _until("the Sensor came with its own certificate", moved)
                # Its bundle can go: no cluster is named, none has to be confirmed.
                body = {"ids": [bundle]}
                done = await running.http.patch("/v1/cluster-init/init-bundles/revoke", json=body, auth=ADMIN)
                assert done.json()["initBundleRevokedIds"] == [bundle]
                cluster = (await _known(running))["id"]
                path = f"/v1/sensorupgrades/rotateclustercerts/{cluster}"
                answer = await running.http.post(path, auth=ADMIN, timeout=60)
                assert answer.status_code == 200, answer.text
                second = await secrets.there(but=first)
                # The first step of an exchange of the CA: all trust one more.
                staged = certificates.authority.stage()
                third = await secrets.there(but=second)
                assert {each.authorities for each in third.values()} == {staged.trusted}

                async def healthy() -> bool:
                    found = await _known(running)
                    ends = found["status"]["certExpiryStatus"]["services"]
                    return len(ends) == 3 and found["healthStatus"]["overallHealthStatus"] == "HEALTHY"

                await _until("all is well", healthy)
            # The disk is lost and the bundle revoked: the Secret has the certificate.
            given = _given(running, Plain(kube), own, data=tmp_path / "other")
            async with sensor(Settings(**given)) as port:
                await _until("the Sensor is back", moved)
                assert (await _known(running))["id"] == cluster
                # Services of this cluster, and ones that came with a bundle, are served; another cluster's are not.
                assert await _served(port.port, certificates, cluster)
                assert await _served(port.port, certificates, ANY_CLUSTER)
                with pytest.raises(Refused, match=f"Sensor of cluster {cluster}"):
                    await _served(port.port, certificates, str(uuid4()))

    try:
        for each in generated(own):
            kube.admin.create(each)
        run(work(), within=120)
    finally:
        for each in generated(own):
            kube.admin.delete(each)


def test_a_cluster_comes_with_a_registration_secret_and_nothing_else(
    migrated: Callable[[str], str],
    tmp_path: Path,
    kube: Cluster,  # noqa: F811
) -> None:
    own, file = kube.namespace(), tmp_path / "crs"
    secrets = _Secrets(kube, own)
    url = migrated("redoubt.central.migrations")

    async def work() -> None:
        async with Watched(url, tmp_path) as running:
            body = {"name": "ward", "maxRegistrations": 1}
            answer = await running.http.post("/v1/cluster-init/crs-extended", json=body, auth=ADMIN)
            file.write_text(
                yaml.safe_load(base64.b64decode(answer.json()["crs"]))["stringData"]["crs"] + "\n"
            )
            given = _given(running, kube, own, data=tmp_path / "data", crs=file)
            async with sensor(Settings(**given)):
                await secrets.there()

                async def there() -> bool:
                    found = await _known(running)
                    return bool(found["healthStatus"]["connected"] and found["healthStatus"]["lastSynced"])

                await _until("the cluster is connected", there)
            # It is used up, and not needed any more.
            assert (await running.get("/v1/cluster-init/crs"))["items"] == []
            file.unlink()
            async with sensor(Settings(**given)):
                await _until("the cluster is connected again", there)

    run(work(), within=90)


def test_a_registration_secret_that_is_none_or_counts_no_more_is_said(
    migrated: Callable[[str], str],
    tmp_path: Path,
    kube: Cluster,  # noqa: F811
) -> None:
    file = tmp_path / "crs"
    own = kube.namespace()
    url = migrated("redoubt.central.migrations")

    async def work() -> None:
        async with Watched(url, tmp_path) as running:
            answer = await running.http.post("/v1/cluster-init/crs", json={"name": "ward"}, auth=ADMIN)
            given = answer.json()
            body = {"ids": [given["meta"]["id"]]}
            await running.http.patch("/v1/cluster-init/crs/revoke", json=body, auth=ADMIN)
            settings = Settings(**_given(running, kube, own, data=tmp_path / "data", crs=file))
            secret = yaml.safe_load(base64.b64decode(given["crs"]))["stringData"]["crs"]
            for content, why in (
                ("", "no cluster registration secret"),
                ("x" * 100, "no cluster registration secret"),
                (base64.b64encode(b"{}").decode(), "no cluster registration secret"),
                (secret, "revoked"),
            ):
                file.write_text(content)
                with pytest.raises(Exception, match=why):
                    async with sensor(settings):
                        pass
            file.unlink()
            with pytest.raises(AccessDenied, match="cannot be read"):
                async with sensor(settings):
                    pass

    run(work(), within=60)
