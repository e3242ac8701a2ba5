"""Roles, permission sets, scopes, clusters, the audit log and what guards them, against a real database."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from redoubt.central.auth.roles import DEFAULT_PERMISSION_SETS, DENY_ALL, UNRESTRICTED
from redoubt.central.store.sealed import PLACES
from redoubt.postgres import migrations
from support.centrals import PASSWORD, Central, authorized

Migrated = Callable[[str], str]
MIGRATIONS = "redoubt.central.migrations"
ADMIN = ("admin", PASSWORD)
ADMIN_SET = UNRESTRICTED


def run(url: str, folder: Path, work: Callable[[Central], Awaitable[None]], **settings: Any) -> None:
    async def whole() -> None:
        async with Central(url, folder, **settings) as central:
            await work(central)

    asyncio.run(whole())


async def made_set(central: Central, **permissions: str) -> str:
    sent = {"name": f"set {uuid4()}", "resourceToAccess": {k: f"{v}_ACCESS" for k, v in permissions.items()}}
    answer = await central.http.post("/v1/permissionsets", json=sent, auth=ADMIN)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def made_role(central: Central, name: str, permission_set: str, scope: str = UNRESTRICTED) -> None:
    sent = {"permissionSetId": permission_set, "accessScopeId": scope}
    answer = await central.http.post(f"/v1/roles/{name}", json=sent, auth=ADMIN)
    assert answer.status_code == 200, answer.text


async def made_scope(central: Central, name: str) -> str:
    answer = await central.http.post(
        "/v1/simpleaccessscopes", json={"name": name, "rules": {"includedClusters": ["one"]}}, auth=ADMIN
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def ended(answer: httpx.Response) -> tuple[int, int]:
    return answer.status_code, answer.json().get("code", 0)


def test_a_role_lives_and_ends(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        http = central.http
        permission_set = await made_set(central, Image="READ")
        await made_role(central, "Reader", permission_set)
        token = await central.token("Reader")
        mine = await http.get("/v1/mypermissions", headers=authorized(token))
        assert mine.json()["resourceToAccess"]["Image"] == "READ_ACCESS"
        assert mine.json()["resourceToAccess"]["Access"] == "NO_ACCESS"
        role = (await http.get("/v1/roles/Reader", auth=ADMIN)).json()
        assert role["permissionSetId"] == permission_set
        assert role["traits"] == {"origin": "IMPERATIVE"}
        listed = (await http.get("/v1/roles", auth=ADMIN)).json()["roles"]
        assert [one["name"] for one in listed] == sorted(one["name"] for one in listed)
        assert len(listed) == 11

        changed = {"name": "more", "resourceToAccess": {"Image": "READ_WRITE_ACCESS"}}
        answer = await http.put(f"/v1/permissionsets/{permission_set}", json=changed, auth=ADMIN)
        assert ended(answer) == (200, 0)
        mine = await http.get("/v1/mypermissions", headers=authorized(token))
        assert mine.json()["resourceToAccess"]["Image"] == "READ_WRITE_ACCESS"

        assert ended(await http.delete(f"/v1/permissionsets/{permission_set}", auth=ADMIN)) == (400, 9)
        assert ended(await http.delete("/v1/roles/Reader", auth=ADMIN)) == (200, 0)
        assert ended(await http.delete("/v1/roles/Reader", auth=ADMIN)) == (404, 5)
        assert ended(await http.delete(f"/v1/permissionsets/{permission_set}", auth=ADMIN)) == (200, 0)
        mine = await http.get("/v1/mypermissions", headers=authorized(token))
        assert set(mine.json()["resourceToAccess"].values()) == {"NO_ACCESS"}

    run(migrated(MIGRATIONS), tmp_path, work)


def test_what_comes_with_central_stays_as_it_is(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        http = central.http
        role = {"permissionSetId": ADMIN_SET, "accessScopeId": UNRESTRICTED}
        for name in ("Admin", "None", "Analyst"):
            assert ended(await http.post(f"/v1/roles/{name}", json=role, auth=ADMIN)) == (409, 6)
            assert ended(await http.put(f"/v1/roles/{name}", json=role, auth=ADMIN)) == (400, 3)
            assert ended(await http.delete(f"/v1/roles/{name}", auth=ADMIN)) == (400, 3)
        for identifier, found in DEFAULT_PERMISSION_SETS.items():
            path = f"/v1/permissionsets/{identifier}"
            assert ended(await http.put(path, json={"name": "x"}, auth=ADMIN)) == (400, 3)
            assert ended(await http.delete(path, auth=ADMIN)) == (400, 3)
            sent = {"name": found.name}
            assert ended(await http.post("/v1/permissionsets", json=sent, auth=ADMIN)) == (409, 6)
            assert (await http.get(path, auth=ADMIN)).json()["traits"] == {"origin": "DEFAULT"}
        for identifier in (UNRESTRICTED, DENY_ALL):
            path = f"/v1/simpleaccessscopes/{identifier}"
            assert ended(await http.put(path, json={"name": "x"}, auth=ADMIN)) == (400, 3)
            assert ended(await http.delete(path, auth=ADMIN)) == (400, 3)

    run(migrated(MIGRATIONS), tmp_path, work)


def test_nobody_gives_himself_more_than_he_has(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        http = central.http
        mine = await made_set(central, Access="READ_WRITE", Integration="READ_WRITE")
        here = await made_scope(central, "here")
        images = await made_set(central, Image="READ")
        await made_role(central, "Keeper", mine)
        await made_role(central, "Images here", images, here)
        me = authorized(await central.token("Keeper", "Images here"))

        more = {
            "name": "more",
            "resourceToAccess": {"Access": "READ_WRITE_ACCESS", "Administration": "READ_ACCESS"},
        }
        assert ended(await http.put(f"/v1/permissionsets/{mine}", json=more, headers=me)) == (403, 7)
        for permission_set, scope, expected in (
            (ADMIN_SET, UNRESTRICTED, (403, 7)),
            (ADMIN_SET, DENY_ALL, (403, 7)),
            (images, UNRESTRICTED, (403, 7)),
            (images, here, (200, 0)),
            (images, DENY_ALL, (200, 0)),
            (mine, UNRESTRICTED, (200, 0)),
        ):
            role = {"permissionSetId": permission_set, "accessScopeId": scope}
            answer = await http.post(f"/v1/roles/{uuid4()}", json=role, headers=me)
            assert ended(answer) == expected, answer.text
        role = {"permissionSetId": ADMIN_SET, "accessScopeId": UNRESTRICTED}
        assert ended(await http.put("/v1/roles/Keeper", json=role, headers=me)) == (403, 7)
        # The scope of one's own role could be made as wide as one likes.
        wider = {"name": "here", "rules": {"includedClusters": ["one", "two"]}}
        assert ended(await http.put(f"/v1/simpleaccessscopes/{here}", json=wider, headers=me)) == (403, 7)
        assert ended(await http.put(f"/v1/simpleaccessscopes/{here}", json=wider, auth=ADMIN)) == (200, 0)
        # A refused change has not happened.
        found = await http.get(f"/v1/permissionsets/{mine}", auth=ADMIN)
        assert found.json()["resourceToAccess"] == {
            "Access": "READ_WRITE_ACCESS",
            "Integration": "READ_WRITE_ACCESS",
        }
        assert (await http.get("/v1/roles/Keeper", auth=ADMIN)).json()["permissionSetId"] == mine

    run(migrated(MIGRATIONS), tmp_path, work)


def test_what_cannot_be_meant_is_refused(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        http = central.http
        there = {"permissionSetId": ADMIN_SET, "accessScopeId": UNRESTRICTED}
        for path, body, expected in (
            ("/v1/roles/x", {}, (400, 3)),
            ("/v1/roles/x", there | {"name": "y"}, (400, 3)),
            ("/v1/roles/x", there | {"permissionSetId": str(uuid4())}, (400, 3)),
            ("/v1/roles/x", there | {"accessScopeId": str(uuid4())}, (400, 3)),
            ("/v1/roles/x", there | {"accessScopeId": "x"}, (400, 3)),
            ("/v1/roles/x", there | {"description": "\u0000"}, (400, 3)),
            ("/v1/roles/%00", there, (400, 3)),
            ("/v1/roles/" + "x" * 300, there, (400, 3)),
            ("/v1/permissionsets", {"name": ""}, (400, 3)),
            ("/v1/permissionsets", {"name": "x", "id": "x"}, (400, 3)),
            (
                "/v1/permissionsets",
                {"name": "x", "resourceToAccess": {"Everything": "READ_ACCESS"}},
                (400, 3),
            ),
            ("/v1/permissionsets", {"name": "x", "resourceToAccess": {"Image": "ALL"}}, (400, 3)),
            ("/v1/permissionsets", {"name": "x" * 300}, (400, 3)),
            ("/v1/simpleaccessscopes", {"name": "x", "rules": {"includedNamespaces": [{}]}}, (400, 3)),
            ("/v1/simpleaccessscopes", {"name": "x", "rules": {"includedClusters": ["\u0000"]}}, (400, 3)),
            (
                "/v1/simpleaccessscopes",
                {
                    "name": "x",
                    "rules": {"clusterLabelSelectors": [{"requirements": [{"key": "a", "op": "LIKE"}]}]},
                },
                (400, 3),
            ),
            ("/v1/clusters", {"name": ""}, (400, 3)),
            ("/v1/clusters", {"name": "x", "type": "MAINFRAME"}, (400, 3)),
            ("/v1/clusters", {"name": "x", "mainImage": "a b"}, (400, 3)),
            ("/v1/clusters", {"name": "x", "mainImage": "-" * 400 + "a"}, (400, 3)),
            ("/v1/clusters", {"name": "x", "id": str(uuid4())}, (400, 3)),
        ):
            answer = await http.post(path, json=body, auth=ADMIN)
            assert ended(answer) == expected, (path, body, answer.text)
        for path in (
            "/v1/permissionsets/x",
            f"/v1/permissionsets/{uuid4()}",
            "/v1/roles/x",
            f"/v1/clusters/{uuid4()}",
        ):
            assert ended(await http.get(path, auth=ADMIN)) == (404, 5)

    run(migrated(MIGRATIONS), tmp_path, work)


def test_names_are_taken_once_also_at_the_same_time(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        body = {"name": "twice"}
        for path in ("/v1/permissionsets", "/v1/simpleaccessscopes", "/v1/clusters"):
            answers = await asyncio.gather(
                *(central.http.post(path, json=body, auth=ADMIN) for _ in range(5))
            )
            assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]

    run(migrated(MIGRATIONS), tmp_path, work)


def test_a_set_cannot_go_while_a_role_comes(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        for number in range(5):
            permission_set = await made_set(central, Image="READ")
            role = {"permissionSetId": permission_set, "accessScopeId": UNRESTRICTED}
            come, go = await asyncio.gather(
                central.http.post(f"/v1/roles/r{number}", json=role, auth=ADMIN),
                central.http.delete(f"/v1/permissionsets/{permission_set}", auth=ADMIN),
            )
            assert (come.status_code, go.status_code) in ((200, 400), (400, 200))

    run(migrated(MIGRATIONS), tmp_path, work)


def test_a_change_of_a_role_is_seen_by_the_other_replica(migrated: Migrated, tmp_path: Path) -> None:
    url = migrated(MIGRATIONS)

    async def whole() -> None:
        async with Central(url, tmp_path) as one, Central(url, tmp_path) as two:
            permission_set = await made_set(one, Access="READ")
            await made_role(one, "Reader", permission_set)
            headers = authorized(await one.token("Reader"))
            assert (await two.http.get("/v1/roles", headers=headers)).status_code == 200
            nothing = {"name": "nothing", "resourceToAccess": {}}
            await one.http.put(f"/v1/permissionsets/{permission_set}", json=nothing, auth=ADMIN)
            assert (await one.http.get("/v1/roles", headers=headers)).status_code == 403
            for _ in range(3000):
                if (await two.http.get("/v1/roles", headers=headers)).status_code == 403:
                    return
                await asyncio.sleep(0.01)
            raise AssertionError("not seen within half a minute")

    asyncio.run(whole())


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE roles; --",
        "' OR '1'='1",
        '"; SELECT pg_sleep(9); --',
        "$1",
        "\\'; --",
        "%s",
        "{}",
        "\u02bc OR 1=1",
    ],
)
def test_sql_in_a_value_is_a_value(migrated: Migrated, tmp_path: Path, text: str) -> None:
    async def work(central: Central) -> None:
        http = central.http
        body = {"name": text, "description": text, "resourceToAccess": {"Image": "READ_ACCESS"}}
        identifier = (await http.post("/v1/permissionsets", json=body, auth=ADMIN)).json()["id"]
        assert (await http.get(f"/v1/permissionsets/{identifier}", auth=ADMIN)).json()["name"] == text
        role = {"permissionSetId": identifier, "accessScopeId": UNRESTRICTED, "description": text}
        path = f"/v1/roles/{quote(text, safe='')}"
        assert (await http.post(path, json=role, auth=ADMIN)).status_code == 200
        assert (await http.get(path, auth=ADMIN)).json()["name"] == text
        token = await central.token(text, name=text)
        assert (await http.get("/v1/mypermissions", headers=authorized(token))).status_code == 200
        assert (await http.get("/v1/apitokens", params={"revoked": text}, auth=ADMIN)).status_code == 400
        for parameters in {"filter.domain": text}, {"filter.level": text}:
            answer = await http.get("/v1/administration/events", params=parameters, auth=ADMIN)
            assert answer.json() == {"events": []}
        for parameters in {"before": text}, {"limit": text}, {"limit": "1; --"}:
            assert (await http.get("/v1/auditlog", params=parameters, auth=ADMIN)).status_code == 400
        assert (await http.get("/v1/auth/status", auth=(text, PASSWORD))).status_code == 401
        cluster = {"name": text, "labels": {"a": text[:60]}}
        assert (await http.post("/v1/clusters", json=cluster, auth=ADMIN)).status_code == 200
        assert (await http.delete(path, auth=ADMIN)).status_code == 200
        assert len((await http.get("/v1/roles", auth=ADMIN)).json()["roles"]) == 10

    run(migrated(MIGRATIONS), tmp_path, work)


def test_every_change_is_in_the_audit_log_without_what_was_sent(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        token = await central.token("Analyst", name="ci")
        stranger = central.client("203.0.113.9")
        body = {"name": "geheim", "resourceToAccess": {}}
        await central.http.post("/v1/permissionsets?hidden=geheim", json=body, auth=ADMIN)
        await stranger.post("/v1/permissionsets", json=body, headers=authorized(token))
        await stranger.post("/v1/permissionsets", json=body)
        await stranger.post("/v1/permissionsets", json=body, auth=("admin", "geheim"))
        await central.http.get("/v1/permissionsets", auth=ADMIN)
        entries = (await central.http.get("/v1/auditlog", auth=ADMIN)).json()["entries"]
        short = [(one["kind"], one["name"], one["source"], one["route"], one["status"]) for one in entries]
        assert short == [
            ("token", "ci", "203.0.113.9", "/v1/permissionsets", 403),
            ("user", "admin", "127.0.0.1", "/v1/permissionsets", 200),
            ("user", "admin", "127.0.0.1", "/v1/apitokens/generate", 200),
        ]
        assert "geheim" not in str(entries)
        assert token not in str(entries)
        older = await central.http.get(
            "/v1/auditlog", params={"before": entries[0]["id"], "limit": 1}, auth=ADMIN
        )
        assert older.json()["entries"] == [entries[1]]
        await central.pool.execute("UPDATE audit_log SET at = now() - interval '400 days' WHERE status = 403")
        await central.auth.upkeep()
        assert await central.pool.fetchval("SELECT count(*) FROM audit_log") == 2

    run(migrated(MIGRATIONS), tmp_path, work)


def test_an_audit_log_that_cannot_be_written_does_not_stop_answers(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: Central) -> None:
        await central.pool.execute("DROP TABLE audit_log")
        body = {"name": "x", "resourceToAccess": {}}
        assert (await central.http.post("/v1/permissionsets", json=body, auth=ADMIN)).status_code == 200

    run(migrated(MIGRATIONS), tmp_path, work)


def test_a_cluster_names_where_its_images_are(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        http = central.http
        sent = {
            "name": "edge",
            "mainImage": "registry.example:5000/security/main",
            "labels": {"site": "north"},
            "status": None,
            "unknown": 1,
        }
        made = (await http.post("/v1/clusters", json=sent, auth=ADMIN)).json()["cluster"]
        assert made["mainImage"] == "registry.example:5000/security/main"
        assert made["collectorImage"] == central.settings.collector_image
        assert made["healthStatus"]["overallHealthStatus"] == "UNINITIALIZED"
        path = f"/v1/clusters/{made['id']}"
        changed = made | {"collectorImage": "registry.example:5000/security/collector", "healthStatus": None}
        answer = await http.put(path, json=changed, auth=ADMIN)
        assert answer.json()["cluster"]["collectorImage"] == "registry.example:5000/security/collector"
        assert (await http.get(path, auth=ADMIN)).json()["cluster"] == answer.json()["cluster"]
        assert (await http.get("/v1/clusters", auth=ADMIN)).json()["clusters"] == [answer.json()["cluster"]]
        other = f"/v1/clusters/{uuid4()}"
        assert ended(await http.put(other, json=made, auth=ADMIN)) == (400, 3)
        assert ended(await http.put(other, json={"name": "y"}, auth=ADMIN)) == (404, 5)
        assert ended(await http.delete(path, auth=ADMIN)) == (200, 0)
        assert ended(await http.delete(path, auth=ADMIN)) == (404, 5)
        defaults = (await http.get("/v1/cluster-defaults", auth=ADMIN)).json()
        assert defaults["mainImageRepository"] == central.settings.main_image

    run(migrated(MIGRATIONS), tmp_path, work)


def test_metrics_count_requests_by_route(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        await central.http.get("/v1/roles/x", auth=ADMIN)
        await central.http.get("/nowhere/at/all")
        text = (await central.http.get("/metrics", auth=ADMIN)).text
        assert (
            'rox_central_http_requests_total{method="GET",route="/v1/roles/{name}",status="404"} 1.0' in text
        )
        assert 'route="none",status="404"' in text
        assert "/nowhere" not in text
        assert "process_resident_memory_bytes" in text

    run(migrated(MIGRATIONS), tmp_path, work)


def test_log_levels_are_changed_over_the_api(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        http, path = central.http, "/v1/debug/loglevel"
        assert (
            await http.patch(path, json={"level": "Debug", "modules": ["auth"]}, auth=ADMIN)
        ).status_code == 200
        assert (await http.get(path, auth=ADMIN)).json() == {
            "level": "Info",
            "moduleLevels": [{"module": "auth", "level": "Debug"}],
        }
        named = await http.get(path, params={"modules": ["auth", "api"]}, auth=ADMIN)
        assert len(named.json()["moduleLevels"]) == 2
        assert ended(await http.patch(path, json={"level": "Loud"}, auth=ADMIN)) == (400, 3)
        assert ended(await http.get(path, params={"modules": "kitchen"}, auth=ADMIN)) == (400, 3)
        assert (await http.patch(path, json={"level": "Info"}, auth=ADMIN)).status_code == 200

    run(migrated(MIGRATIONS), tmp_path, work)


def test_readiness_is_the_databases(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        assert (await central.http.get("/health/liveness")).status_code == 200
        assert (await central.http.get("/health/readiness")).status_code == 200
        await central.services.stop()
        await central.pool.close()
        await asyncio.sleep(1.01)
        assert ended(await central.http.get("/health/readiness")) == (503, 14)
        assert (await central.http.get("/health/liveness")).status_code == 200

    run(migrated(MIGRATIONS), tmp_path, work)


def test_a_database_that_went_away_is_said_and_comes_back(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        assert (await central.http.get("/v1/database/status", auth=ADMIN)).json()["databaseAvailable"]
        token = await central.token("Admin")
        await central.pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for _ in range(600):
            answer = await central.http.get("/v1/roles", headers=authorized(token))
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 200:
                return
            assert answer.json()["code"] == 14
            await asyncio.sleep(0.05)
        raise AssertionError("it did not come back")

    run(migrated(MIGRATIONS), tmp_path, work)


def test_stored_secrets_are_sealed_anew_while_tokens_go_on(migrated: Migrated, tmp_path: Path) -> None:
    url = migrated(MIGRATIONS)

    async def whole() -> None:
        async with Central(url, tmp_path) as one, Central(url, tmp_path) as two:
            token = await one.token("Admin")
            before = await one.pool.fetchval("SELECT sealed FROM signing_keys")
            for _ in range(3):
                answer = await one.http.post("/v1/secretkeys/renew", json={}, auth=ADMIN)
                assert answer.json() == {"secrets": 1}, answer.text
            assert await one.pool.fetchval("SELECT sealed FROM signing_keys") != before
            assert (await two.http.get("/v1/auth/status", headers=authorized(token))).status_code == 200
            again = await one.http.post("/v1/secretkeys/renew", json={"newKey": False}, auth=ADMIN)
            assert again.json() == {"secrets": 0}
        async with Central(url, tmp_path) as three:
            assert (await three.http.get("/v1/auth/status", headers=authorized(token))).status_code == 200
            await three.token("Admin")

    asyncio.run(whole())


def test_every_sealed_column_is_known_to_renewal() -> None:
    """A column of bytes named ``sealed`` or ``…_sealed`` in a migration is in ``PLACES``."""
    found = set()
    for migration in migrations.read(MIGRATIONS):
        table = ""
        for line in migration.sql.splitlines():
            if match := re.match(r"CREATE TABLE (\w+)", line):
                table = match[1]
            if match := re.match(r"\s+(sealed|\w+_sealed|sealed_\w+)\s+bytea", line):
                found.add((table, match[1]))
    assert found == {(place.table, place.column) for place in PLACES}
