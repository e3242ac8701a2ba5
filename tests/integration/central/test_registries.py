"""Integrations against real registries: with passwords, tokens and CAs; offline; sealed, masked and kept apart."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ociwriter import layer_tar
from redoubt.egress import Policy
from support.centrals import PASSWORD as ADMIN_PASSWORD
from support.oddregistry import OddRegistry
from support.pipeline import dpkg, dpkg_status
from support.registry import (
    PASSWORD,
    USERNAME,
    Registry,
    StandInTokenService,
    make_authority,
    needs_registry,
    start_registry,
)
from support.scanners import AFFECTED, BOOKWORM, Scanners, Shelf, pushed

pytestmark = [needs_registry, pytest.mark.usefixtures("cheap_passwords")]
Migrated = Callable[[str], str]
OFFLINE = Policy(offline=True, own=True)
PATH = "/v1/imageintegrations"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with start_registry(tmp_path_factory.mktemp("registry"), password=True) as running:
        yield running


@pytest.fixture
def run(migrated: Migrated, tmp_path: Path) -> Callable[..., None]:
    shelf = Shelf(tmp_path)
    shelf.publish(bookworm=AFFECTED)

    def whole(work: Callable[[Scanners], Awaitable[None]], policy: Policy = OFFLINE) -> None:
        urls = migrated("redoubt.central.migrations"), migrated("redoubt.scanner.migrations")

        async def running() -> None:
            async with Scanners(urls, tmp_path, shelf, policy=policy) as central:
                await work(central)

        asyncio.run(asyncio.wait_for(running(), 240))

    return whole


Run = Callable[..., None]


async def call(central: Scanners, method: str, path: str, body: Any = None, code: int = 200) -> Any:
    answer: httpx.Response = await central.http.request(
        method, path, json=body, auth=("admin", ADMIN_PASSWORD), timeout=60
    )
    assert answer.status_code == code, answer.text
    return answer.json()


def docker(endpoint: str, name: str = "here", password: str = PASSWORD, **more: Any) -> dict[str, Any]:
    login = {"username": USERNAME, "password": password} if password else {}
    return {
        "name": name,
        "type": "docker",
        "categories": ["REGISTRY"],
        "docker": {"endpoint": endpoint, **login},
        **more,
    }


async def health(central: Scanners) -> dict[str, tuple[str, str]]:
    told = await call(central, "GET", "/v1/integrationhealth/imageintegrations")
    return {each["name"]: (each["status"], each["errorMessage"]) for each in told["integrationHealth"]}


def test_an_integration_opens_its_registry_and_no_other(run: Run, registry: Registry, tmp_path: Path) -> None:
    name = pushed(registry, tmp_path, "team/shop:1")

    async def work(central: Scanners) -> None:
        assert (await call(central, "GET", PATH)) == {"integrations": []}
        await central.scan(name, 400)
        made = await call(central, "POST", PATH, docker(f"http://{registry.host}"))
        assert made["docker"]["password"] == "******"
        assert (await central.scan(name))["cves"] == 1
        assert (await central.scan(name))["metadata"]["dataSource"]["name"] == "here"
        assert await health(central) == {"here": ("HEALTHY", "")}
        refused = await central.scan("registry.example/other:1", 400)
        assert "create an integration for registry.example" in refused["message"]

    run(work)


def test_secrets_are_sealed_masked_and_stay_with_their_endpoint(
    run: Run, registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "team/shop:2")

    async def work(central: Scanners) -> None:
        made = await call(central, "POST", PATH, docker(registry.host))
        one = f"{PATH}/{made['id']}"
        assert await call(central, "GET", one) == made
        assert await call(central, "GET", f"{PATH}?name=here") == {"integrations": [made]}
        (row,) = await central.pool.fetch("SELECT * FROM image_integrations")
        assert PASSWORD not in str(dict(row))
        assert PASSWORD.encode() not in row["sealed"]
        for method, path, body in (
            ("PUT", one, made),
            ("POST", f"{PATH}/test", made),
            ("POST", PATH, {**made, "id": "", "name": "copy"}),
        ):
            assert "is masked" in (await call(central, method, path, body, 400))["message"]
        renamed = {"config": {**made, "name": "there"}, "updatePassword": False}
        await call(central, "PATCH", one, renamed)
        assert (await central.scan(name))["cves"] == 1
        for config in (
            {**made, "docker": {**made["docker"], "endpoint": "elsewhere.example"}},
            {**made, "docker": {**made["docker"], "username": "other"}},
            {**made, "ca": "-----BEGIN CERTIFICATE-----"},
        ):
            update = {"config": config, "updatePassword": False}
            assert "stored credentials" in (await call(central, "PATCH", one, update, 400))["message"]
            assert (
                "stored credentials"
                in (await call(central, "POST", f"{PATH}/test/updated", update, 400))["message"]
            )
        await call(central, "POST", f"{PATH}/test/updated", renamed)
        assert await central.auth.renew_secrets(new_key=True) >= 1
        assert (await central.scan(name, force=True))["cves"] == 1
        wrong = {"config": docker(registry.host, "there", "wrong"), "updatePassword": True}
        wrong["config"]["id"] = made["id"]
        assert "registry integration" in (await call(central, "PATCH", one, wrong, 400))["message"]
        wrong["config"]["skipTestIntegration"] = True
        await call(central, "PATCH", one, wrong)
        told = await central.scan(name, 400, force=True)
        assert "the credentials of the integration 'there' do not allow pulling team/shop" in told["message"]
        assert (await health(central))["there"][0] == "UNHEALTHY"
        assert PASSWORD not in json.dumps(told)
        await call(central, "DELETE", one)
        await call(central, "DELETE", one, code=404)
        await call(central, "GET", one, code=404)
        await call(central, "GET", f"{PATH}/nonsense", code=404)

    run(work)


def test_an_integration_is_tested_before_it_is_kept(run: Run, registry: Registry, tmp_path: Path) -> None:
    # Bound and not listened on: nobody else gets it.
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))
    closed = f"127.0.0.1:{nobody.getsockname()[1]}"

    async def work(central: Scanners) -> None:
        for body, said in (
            (docker(registry.host, password="wrong"), "do not allow"),
            (docker(registry.host, password=""), "wants credentials"),
            (docker(closed), "skipTestIntegration"),
        ):
            answer = await call(central, "POST", PATH, body, 400)
            assert said in answer["message"], answer
            assert PASSWORD not in answer["message"]
            assert (await call(central, "POST", f"{PATH}/test", body, 400))["message"] == answer["message"]
        assert await call(central, "GET", PATH) == {"integrations": []}
        await call(central, "POST", f"{PATH}/test", docker(registry.host))
        made = await call(central, "POST", PATH, docker(closed, skipTestIntegration=True))
        assert "already exists" in (await call(central, "POST", PATH, docker(registry.host), 409))["message"]
        await call(central, "POST", PATH, {**docker(registry.host, "x"), "id": made["id"]}, 400)
        assert (await central.scan(f"{closed}/shop:1", 503))["code"] == 14
        assert (await health(central))["here"][0] == "UNHEALTHY"

    with nobody:
        run(work)


def test_a_token_service_elsewhere_has_to_be_named_and_the_refusal_says_where(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def resolved(host: Any, *more: Any, **named: Any) -> Any:
        return real("127.0.0.1" if host == "tokens.test" else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    tokens = StandInTokenService(tmp_path / "tokens")
    tokens.url = tokens.url.replace("127.0.0.1", "tokens.test")
    with start_registry(tmp_path / "registry") as running:
        pushed(running, tmp_path, "tokens:1")
    with start_registry(tmp_path / "registry", tokens=tokens) as running:
        name = f"{running.host}/tokens:1"

        async def work(central: Scanners) -> None:
            body = docker(running.host)
            told = (await call(central, "POST", PATH, body, 400))["message"]
            assert "sends to tokens.test, which you did not name" in told
            assert "tokenHosts" in told
            kept = await call(central, "POST", PATH, {**body, "skipTestIntegration": True})
            refused = (await central.scan(name, 400))["message"]
            assert "add it to tokenHosts (logins) or blobHosts (layers) of the integration 'here'" in refused
            assert tokens.asked == []
            config = {**kept, "skipTestIntegration": False, "tokenHosts": ["tokens.test"]}
            await call(central, "PATCH", f"{PATH}/{kept['id']}", {"config": config})
            assert (await central.scan(name))["cves"] == 1
            assert tokens.asked

        run(work)
    tokens.close()


def test_a_ca_of_their_own_and_an_insecure_registry(run: Run, tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "ca")
    with start_registry(tmp_path / "registry", tls=authority) as running:
        name = pushed(running, tmp_path, "tls:1")

        async def work(central: Scanners) -> None:
            body = docker(running.host, password="")
            assert "not trusted" in (await call(central, "POST", PATH, body, 400))["message"]
            for ca in ("nonsense", "-----BEGIN CERTIFICATE-----\nxx"):
                await call(central, "POST", PATH, {**body, "ca": ca}, 400)
            kept = await call(central, "POST", PATH, {**body, "ca": authority.ca_file.read_text()})
            assert (await central.scan(name))["cves"] == 1
            await call(central, "DELETE", f"{PATH}/{kept['id']}")
            body["docker"]["insecure"] = True
            await call(central, "POST", PATH, body)
            assert (await central.scan(name, force=True))["cves"] == 1

        run(work)


def test_pull_secrets_are_taken_as_kubernetes_has_them(run: Run, registry: Registry, tmp_path: Path) -> None:
    name = pushed(registry, tmp_path, "pull/shop:1")

    def config(password: str) -> str:
        login = base64.b64encode(f"{USERNAME}:{password}".encode()).decode()
        return json.dumps({"auths": {f"https://{registry.host}/v2/": {"auth": login}, "x.example": {}}})

    async def work(central: Scanners) -> None:
        for text in ("", "{}", "nonsense", '{"auths": {"x.example": {}}}', '{"auths": {"x": {"auth": "?"}}}'):
            body = {"name": "ci", "dockerconfigjson": text}
            assert PASSWORD not in str(await call(central, "POST", "/v1/pullsecrets", body, 400))
        wrong = {"name": "ci", "dockerconfigjson": config("wrong")}
        await call(central, "POST", "/v1/pullsecrets", wrong)
        await central.scan(name, 400)
        encoded = base64.b64encode(config(PASSWORD).encode()).decode()
        made = await call(central, "POST", "/v1/pullsecrets", {"name": "ci", "dockerconfigjson": encoded})
        (integration,) = made["integrations"]
        assert integration["autogenerated"] is True
        assert integration["docker"]["password"] == "******"
        assert (await central.scan(name))["cves"] == 1
        assert await call(central, "GET", "/v1/pullsecrets") == {
            "pullSecrets": [{"name": "ci", "registries": [registry.host]}]
        }
        # What somebody made himself comes first.
        await call(central, "POST", PATH, docker(registry.host, "own", "wrong", skipTestIntegration=True))
        assert "'own'" in (await central.scan(name, 400, force=True))["message"]
        await call(central, "DELETE", "/v1/pullsecrets/ci")
        await call(central, "DELETE", "/v1/pullsecrets/ci", code=404)
        assert len((await call(central, "GET", PATH))["integrations"]) == 1

    run(work)


def test_online_public_registries_are_known_from_the_first_start_and_offline_none(
    run: Run, migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: Scanners) -> None:
        found = {each["name"]: each for each in (await call(central, "GET", PATH))["integrations"]}
        assert found["Public DockerHub"]["id"] == "10d3b4dc-8295-41bc-bb50-6da5484cdb1a"
        await call(central, "DELETE", f"{PATH}/{found['Public DockerHub']['id']}")
        assert central.services.integrations is not None
        await central.services.integrations.start()  # as at another start
        assert len((await call(central, "GET", PATH))["integrations"]) == len(found) - 1

    run(work, Policy())


def test_a_registry_that_stalls_is_given_up_when_somebody_says_so(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"

        async def work(central: Scanners) -> None:
            await call(central, "POST", PATH, docker(host, skipTestIntegration=True))
            scan = asyncio.create_task(central.scan(f"{host}/shop:1", 409))
            for _ in range(3000):
                jobs = (await central.get("/v1/images/scans"))["scans"]
                if jobs and jobs[0]["state"] == "INDEXING":
                    break
                await asyncio.sleep(0.02)
            await call(central, "DELETE", f"/v1/images/scans/{jobs[0]['id']}")
            assert "was cancelled" in (await scan)["message"]
            await call(central, "DELETE", f"/v1/images/scans/{jobs[0]['id']}", code=404)
            (job,) = (await central.get("/v1/images/scans"))["scans"]
            assert job["state"] == "CANCELLED"
            silent.close()  # or the Indexer, which reads from it, ends half a minute later

        run(work)


@pytest.mark.parametrize("what", ["layer", "packed layer", "configuration"])
def test_a_registry_that_lies_about_a_digest_gives_no_report(run: Run, what: str) -> None:
    with OddRegistry() as registry:
        tar = layer_tar([BOOKWORM, dpkg_status(dpkg("libfixture", "1.0-1"))])
        packed = gzip.compress(tar, 6, mtime=0)
        honest, lie = (packed, bytearray(packed)) if what == "packed layer" else (tar, bytearray(tar))
        lie[len(lie) // 2] ^= 0xFF
        name = registry.add("shop:1", honest, diff_id=tar)
        if what == "configuration":
            registry.lie(b"rootfs", b"rootfz")
        else:
            registry.lie(honest, bytes(lie))

        async def work(central: Scanners) -> None:
            await call(central, "POST", PATH, docker(registry.host, password=""))
            told = await central.scan(name, 400)
            assert told["code"] == 3
            assert "promised" in told["message"] or "are not those" in told["message"], told
            assert (await central.get("/v1/imagescount")) == {"count": 0}
            (job,) = (await central.get("/v1/images/scans"))["scans"]
            assert (job["state"], job["problem"]) == ("FAILED", told["message"])
            registry.lie(bytes(lie), honest) if what != "configuration" else registry.lie(
                b"rootfz", b"rootfs"
            )
            told = await central.scan(name)
            assert {one["name"] for one in told["scan"]["components"]} == {"libfixture"}

        run(work)
