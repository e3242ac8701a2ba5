"""Init bundles: certificates with which a new cluster comes by itself, and which can be revoked."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from redoubt.central.refusals import PermissionDenied
from redoubt.errors import AccessDenied
from redoubt.wire.authority import Issued
from redoubt.wire.channel import channel
from redoubt.wire.failures import Refused
from redoubt.wire.identity import Identity, Service
from redoubt.wire.material import Files, Material
from support.sensors import ADMIN, Watched, connected, deployment
from support.wire import run

pytestmark = pytest.mark.usefixtures("cheap_passwords")
Migrated = Callable[[str], str]
Work = Callable[[Watched], Awaitable[None]]


@pytest.fixture
def central(migrated: Migrated, tmp_path: Path) -> Callable[[Work], None]:
    url = migrated("redoubt.central.migrations")

    def started(work: Work) -> None:
        async def within() -> None:
            async with Watched(url, tmp_path) as running:
                await work(running)

        run(within(), 240)

    return started


async def made(running: Watched, name: str = "spring") -> dict[str, Any]:
    answer = await running.http.post("/v1/cluster-init/init-bundles", json={"name": name}, auth=ADMIN)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def installed(folder: Path, running: Watched, bundle: dict[str, Any], service: str) -> Any:
    """A channel of a service that was installed with a bundle's Helm values."""
    values = yaml.safe_load(base64.b64decode(bundle["helmValuesBundle"]))
    tls = values[service]["serviceTLS"]
    files = folder / service / bundle["meta"]["id"]
    Issued(tls["cert"].encode(), tls["key"].encode(), values["ca"]["cert"].encode()).write(files)
    port = running.server.port
    return channel(f"127.0.0.1:{port}", Material(Files.within(files)), {Service.CENTRAL})


async def revoke(running: Watched, *ids: str, confirm: list[str] | None = None) -> dict[str, Any]:
    body = {"ids": list(ids), "confirmImpactedClustersIds": confirm or []}
    answer = await running.http.patch("/v1/cluster-init/init-bundles/revoke", json=body, auth=ADMIN)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_cluster_comes_with_a_bundle_and_goes_when_that_is_revoked(
    central: Callable[[Work], None], tmp_path: Path
) -> None:
    async def work(running: Watched) -> None:
        bundle = await made(running)
        async with connected(installed(tmp_path, running, bundle, "sensor"), cluster_name="west") as one:
            welcome = await one.ready()
            assert welcome.cluster_name == "west"
            await one.upsert("deployment", "uid-web", deployment("web"))
            await one.kept()
            [listed] = (await running.get("/v1/cluster-init/init-bundles"))["items"]
            assert listed["impactedClusters"] == [{"name": "west", "id": welcome.cluster_id}]
            identifier = bundle["meta"]["id"]
            refused = await revoke(running, identifier)
            assert refused["initBundleRevokedIds"] == []
            [error] = refused["initBundleRevocationErrors"]
            assert error["impactedClusters"] == [{"name": "west", "id": welcome.cluster_id}]
            done = await revoke(running, identifier, confirm=[welcome.cluster_id])
            assert done == {"initBundleRevocationErrors": [], "initBundleRevokedIds": [identifier]}
            with pytest.raises(AccessDenied, match="revoked"):
                await one.over()
        with pytest.raises(Refused, match="revoked"):
            async with connected(installed(tmp_path, running, bundle, "sensor"), cluster_name="west") as one:
                await one.ready()
        assert (await running.get("/v1/cluster-init/init-bundles"))["items"] == []
        # Its name is free again.
        await made(running)

    central(work)


def test_the_same_cluster_comes_again_and_another_one_does_not_take_its_name(
    central: Callable[[Work], None], tmp_path: Path
) -> None:
    async def work(running: Watched) -> None:
        bundle = await made(running)

        async def come(system: str) -> str:
            dialled = installed(tmp_path, running, bundle, "sensor")
            async with connected(dialled, cluster_name="west", system=system) as one:
                return str((await one.ready()).cluster_id)

        first = await come("uid-1")
        assert await come("uid-1") == first
        with pytest.raises(Exception, match="another cluster"):
            await come("uid-2")
        answer = await running.http.delete(f"/v1/clusters/{first}", auth=ADMIN)
        assert answer.status_code == 200
        assert await come("uid-2") != first

    central(work)


def test_both_forms_hold_the_same_and_are_told_once(central: Callable[[Work], None]) -> None:
    async def work(running: Watched) -> None:
        bundle = await made(running)
        helm = yaml.safe_load(base64.b64decode(bundle["helmValuesBundle"]))
        secrets = {
            each["metadata"]["name"]: each["stringData"]
            for each in yaml.safe_load_all(base64.b64decode(bundle["kubectlBundle"]))
        }
        assert set(secrets) == {"sensor-tls", "collector-tls", "admission-control-tls"}
        for name, value in (
            ("sensor", "sensor"),
            ("collector", "collector"),
            ("admission-control", "admissionControl"),
        ):
            secret, tls = secrets[f"{name}-tls"], helm[value]["serviceTLS"]
            assert secret["ca.pem"] == helm["ca"]["cert"]
            assert secret[f"{name}-cert.pem"] == tls["cert"]
            assert secret[f"{name}-key.pem"] == tls["key"]
        again = await running.http.post("/v1/cluster-init/init-bundles", json={"name": "spring"}, auth=ADMIN)
        assert again.status_code == 409
        bad = await running.http.post("/v1/cluster-init/init-bundles", json={"name": 'a"\nb'}, auth=ADMIN)
        assert bad.status_code == 400
        config = yaml.safe_load(
            base64.b64decode((await running.get("/v1/cluster-init/ca-config"))["helmValuesBundle"])
        )
        assert config == {"ca": helm["ca"]}
        # What was issued is nowhere but in that answer.
        assert "PRIVATE KEY" not in str(await running.pool.fetch("SELECT * FROM init_bundles"))

    central(work)


def test_a_revoked_certificate_counts_for_nothing_over_http(central: Callable[[Work], None]) -> None:
    async def work(running: Watched) -> None:
        known = await running.auth.authenticator.caller("", Identity(Service.SENSOR, "x"), "127.0.0.1")
        assert known.service is Service.SENSOR
        stranger = Identity(Service.SENSOR, "x", "no-bundle-of-ours")
        with pytest.raises(PermissionDenied):
            await running.auth.authenticator.caller("", stranger, "127.0.0.1")

    central(work)


def test_a_sensor_needs_a_name_for_a_new_cluster(central: Callable[[Work], None], tmp_path: Path) -> None:
    async def work(running: Watched) -> None:
        bundle = await made(running)
        for name in ("", " ", "a\nb", "x" * 300):
            with pytest.raises(Exception, match="name"):
                async with connected(
                    installed(tmp_path, running, bundle, "sensor"), cluster_name=name
                ) as one:
                    await one.ready()
        assert (await running.get("/v1/clusters"))["clusters"] == []

    central(work)
