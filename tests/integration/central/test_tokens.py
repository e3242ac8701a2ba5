"""API tokens against a real database: made, used, ended, revoked, forged; on one replica and on two."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from redoubt.central.auth import tokens as tokens_module
from redoubt.central.auth.roles import UNRESTRICTED
from redoubt.central.refusals import Unauthenticated
from redoubt.errors import UnreadableInput
from support.centrals import PASSWORD, Central, authorized

Migrated = Callable[[str], str]
MIGRATIONS = "redoubt.central.migrations"
ADMIN = ("admin", PASSWORD)


def run(url: str, folder: Path, work: Callable[[Central], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with Central(url, folder) as central:
            await work(central)

    asyncio.run(whole())


async def status(central: Central, token: str, path: str = "/v1/auth/status") -> int:
    return (await central.http.get(path, headers=authorized(token))).status_code


def test_a_token_is_for_its_roles_and_is_listed_without_itself(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        made = await central.http.post(
            "/v1/apitokens/generate", json={"name": "ci", "role": "Continuous Integration"}, auth=ADMIN
        )
        token, metadata = made.json()["token"], made.json()["metadata"]
        assert metadata["roles"] == ["Continuous Integration"]
        assert metadata["role"] == "Continuous Integration"
        ends = datetime.fromisoformat(metadata["expiration"])
        assert ends - datetime.fromisoformat(metadata["issuedAt"]) == timedelta(days=365)
        assert await status(central, token) == 200
        assert await status(central, token, "/v1/roles") == 403
        who = (await central.http.get("/v1/auth/status", headers=authorized(token))).json()
        assert who["userId"] == f"auth-token:{metadata['id']}"
        assert who["userInfo"]["permissions"]["resourceToAccess"]["Image"] == "READ_WRITE_ACCESS"
        listed = await central.http.get("/v1/apitokens", auth=ADMIN)
        assert listed.json() == {"tokens": [metadata]}
        assert token not in listed.text
        one = await central.http.get(f"/v1/apitokens/{metadata['id']}", auth=ADMIN)
        assert one.json() == metadata
        stored = await central.pool.fetch("SELECT * FROM api_tokens")
        assert token.rsplit(".", 1)[1] not in str(stored)

    run(migrated(MIGRATIONS), tmp_path, work)


def test_a_token_gives_no_more_than_who_makes_it_has(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        maker = {"Access": "READ_ACCESS", "Integration": "READ_WRITE_ACCESS", "Image": "READ_ACCESS"}
        found = await central.http.post(
            "/v1/permissionsets", json={"name": "maker", "resourceToAccess": maker}, auth=ADMIN
        )
        role = {
            "permissionSetId": found.json()["id"],
            "accessScopeId": "ffffffff-ffff-fff4-f5ff-ffffffffffff",
        }
        assert (await central.http.post("/v1/roles/Maker", json=role, auth=ADMIN)).status_code == 200
        headers = authorized(await central.token("Maker"))
        for roles, expected in (
            (["Maker"], 200),
            (["None"], 200),
            (["Maker", "Admin"], 403),
            (["Analyst"], 403),
        ):
            answer = await central.http.post(
                "/v1/apitokens/generate", json={"name": "x", "roles": roles}, headers=headers
            )
            assert answer.status_code == expected, answer.text
        allowed = await central.http.get("/v1/apitokens/generate/allowed-roles", headers=headers)
        assert allowed.json() == {"roleNames": ["Maker"]}
        everything = await central.http.get("/v1/apitokens/generate/allowed-roles", auth=ADMIN)
        assert "Admin" in everything.json()["roleNames"]
        assert "None" not in everything.json()["roleNames"]

    run(migrated(MIGRATIONS), tmp_path, work)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "roles": ["Admin"]},
        {"name": "x" * 300, "roles": ["Admin"]},
        {"name": "x\u0000", "roles": ["Admin"]},
        {"name": "x", "roles": []},
        {"name": "x", "roles": ["Nobody"]},
        {"name": "x", "role": "Admin", "roles": ["Admin"]},
        {"name": "x", "roles": ["Admin"], "expiration": "2001-01-01T00:00:00Z"},
        {"name": "x", "roles": ["Admin"], "expiration": "2099-01-01T00:00:00"},
        {"name": "x", "roles": ["Admin"], "expiration": "soon"},
        {"name": "x", "roles": ["Admin' OR '1'='1"]},
    ],
)
def test_what_cannot_be_a_token_is_refused(
    migrated: Migrated, tmp_path: Path, body: dict[str, object]
) -> None:
    async def work(central: Central) -> None:
        answer = await central.http.post("/v1/apitokens/generate", json=body, auth=ADMIN)
        assert (answer.status_code, answer.json()["code"]) == (400, 3)
        assert await central.pool.fetchval("SELECT count(*) FROM api_tokens") == 0

    run(migrated(MIGRATIONS), tmp_path, work)


def test_a_token_ends(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        soon = datetime.now(UTC) + timedelta(hours=1)
        token = await central.token("Admin", expiration=soon.isoformat())
        assert await status(central, token) == 200
        # As if the moment had come: the clock of the database and the token's own word agree.
        await central.pool.execute("UPDATE api_tokens SET expiration = now() - interval '1 second'")
        central.auth.tokens._known.forget()
        assert await status(central, token) == 401

    run(migrated(MIGRATIONS), tmp_path, work)


def test_forged_tokens_are_refused(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        token = await central.token("Analyst")
        header, claims, signature = token.split(".")
        known = jwt.get_unverified_header(token)["kid"]
        told = json.loads(base64.urlsafe_b64decode(claims + "=="))
        key, public = (
            Ed25519PrivateKey.generate(),
            next(iter((await central.auth.tokens._current()).public.values())),
        )
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

        def encoded(value: dict[str, object]) -> str:
            return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

        mine = (await central.auth.tokens._current()).signing
        assert mine is not None

        def signed(**changed: object) -> str:
            return jwt.encode(told | changed, mine[1], algorithm="EdDSA", headers={"kid": known})

        forged = {
            "no signature": f"{header}.{claims}.",
            "alg none": f"{encoded({'alg': 'none', 'kid': known})}.{claims}.",
            "alg None": f"{encoded({'alg': 'None', 'kid': known})}.{claims}.{signature}",
            "another key": jwt.encode(told, key, algorithm="EdDSA", headers={"kid": known}),
            "another key, unnamed": jwt.encode(told, key, algorithm="EdDSA"),
            "another key, named by itself": jwt.encode(
                told, key, algorithm="EdDSA", headers={"kid": uuid4().hex}
            ),
            "other roles": f"{header}.{encoded(told | {'roles': ['Admin']})}.{signature}",
            "another issuer": signed(iss="https://elsewhere.example"),
            "another audience": signed(aud="elsewhere"),
            "over": signed(exp=int(time.time()) - 1),
            "an endless one": jwt.encode(
                {k: v for k, v in told.items() if k != "exp"},
                mine[1],
                algorithm="EdDSA",
                headers={"kid": known},
            ),
            "unknown to the database": signed(jti=str(uuid4())),
            "no identifier": signed(jti="x"),
            "an identifier that is SQL": signed(jti="' OR true --"),
            "kid that is SQL": jwt.encode(told, mine[1], algorithm="EdDSA", headers={"kid": "' OR true --"}),
            "kid that is a path": jwt.encode(
                told, mine[1], algorithm="EdDSA", headers={"kid": "../../dev/null"}
            ),
            "deep": f"{encoded({'alg': 'EdDSA', 'kid': known})}.{'W' * 6000}.{signature}",
            "no token at all": "ci",
            "empty": "",
            "dots": "..",
            "not ASCII": "\u00fc.\u00fc.\u00fc",
        }
        hmac_header = encoded({"alg": "HS256", "typ": "JWT", "kid": known})
        import hashlib
        import hmac

        for name, secret in (
            ("HMAC by the public key", pem),
            ("HMAC by its bytes", public.public_bytes_raw()),
        ):
            mac = hmac.digest(secret, f"{hmac_header}.{claims}".encode(), hashlib.sha256)
            forged[name] = f"{hmac_header}.{claims}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
        for name, text in forged.items():
            with pytest.raises(Unauthenticated):
                await central.auth.tokens.check(text)
            if text.isascii() and text:
                assert await status(central, text) == 401, name
        assert await status(central, token) == 200
        # Its own word on its roles counts for nothing.
        assert await status(central, signed(roles=["Admin"]), "/v1/administration/events") == 403

    run(migrated(MIGRATIONS), tmp_path, work)


def test_a_revoked_token_is_refused_at_once_on_every_replica(migrated: Migrated, tmp_path: Path) -> None:
    url = migrated(MIGRATIONS)

    async def whole() -> None:
        async with Central(url, tmp_path) as one, Central(url, tmp_path) as two:
            for _ in range(5):
                token = await one.token("Admin")
                assert await status(two, token) == 200
                assert await status(one, token) == 200
                identifier = jwt.decode(token, options={"verify_signature": False})["jti"]
                answer = await two.http.patch(f"/v1/apitokens/revoke/{identifier}", headers=authorized(token))
                assert answer.status_code == 200
                assert await status(two, token) == 401
                async with asyncio.timeout(30):  # until the other replica has heard of it
                    while await status(one, token) == 200:
                        await asyncio.sleep(0.005)
            revoked = await one.http.get("/v1/apitokens", params={"revoked": "true"}, auth=ADMIN)
            assert len(revoked.json()["tokens"]) == 5
            alive = await one.http.get("/v1/apitokens", params={"revoked": "false"}, auth=ADMIN)
            assert alive.json() == {"tokens": []}

    asyncio.run(whole())


def test_it_is_word_of_a_change_that_counts_and_not_that_time_goes_by(
    migrated: Migrated, tmp_path: Path
) -> None:
    """With a memory of an hour, a revocation, a key, a role and a password of one replica are known to the other."""
    url = migrated(MIGRATIONS)

    async def whole() -> None:
        async with Central(url, tmp_path) as one, Central(url, tmp_path) as two:
            auth = two.auth
            for memory in (auth.tokens._known, auth.tokens._keys, auth.roles._kept, auth.passwords._accounts):
                memory._seconds = 3600.0

            async def becomes(code: int, path: str, **more: Any) -> None:
                async with asyncio.timeout(30):
                    while (await two.http.get(path, **more)).status_code != code:
                        await asyncio.sleep(0.005)

            role = {"permissionSetId": (await _set(one, "READ_ACCESS")), "accessScopeId": UNRESTRICTED}
            assert (await one.http.post("/v1/roles/reader", json=role, auth=ADMIN)).status_code == 200
            first, second = await one.token("Admin"), await one.token("reader")
            await becomes(200, "/v1/auth/status", headers=authorized(first))
            await becomes(200, "/v1/roles", headers=authorized(second))

            other = {"permissionSetId": (await _set(one, "NO_ACCESS")), "accessScopeId": UNRESTRICTED}
            put = await one.http.put("/v1/roles/reader", json={"name": "reader", **other}, auth=ADMIN)
            assert put.status_code == 200, put.text
            await becomes(403, "/v1/roles", headers=authorized(second))

            number = jwt.decode(first, options={"verify_signature": False})["jti"]
            assert (await one.http.patch(f"/v1/apitokens/revoke/{number}", auth=ADMIN)).status_code == 200
            await becomes(401, "/v1/auth/status", headers=authorized(first))

            await one.http.post("/v1/signingkeys/replace", json={"graceHours": 0}, auth=ADMIN)
            await becomes(401, "/v1/auth/status", headers=authorized(second))

            await becomes(200, "/v1/auth/status", auth=ADMIN)
            body = {"currentPassword": PASSWORD, "newPassword": f"{PASSWORD} staple"}
            assert (await one.http.put("/v1/auth/password", json=body, auth=ADMIN)).status_code == 200
            await becomes(401, "/v1/auth/status", auth=ADMIN)

    asyncio.run(whole())


async def _set(central: Central, access: str) -> str:
    """A new permission set that gives ``access`` to ``Access``; its identifier."""
    body = {"name": f"set {access}", "resourceToAccess": {"Access": access}}
    answer = await central.http.post("/v1/permissionsets", json=body, auth=ADMIN)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def test_without_a_listener_nothing_is_remembered(migrated: Migrated, tmp_path: Path) -> None:
    url = migrated(MIGRATIONS)

    async def whole() -> None:
        async with Central(url, tmp_path) as one, Central(url, tmp_path) as two:
            token = await one.token("Admin")
            await two.notices.stop()
            assert await status(two, token) == 200
            identifier = jwt.decode(token, options={"verify_signature": False})["jti"]
            await one.http.patch(f"/v1/apitokens/revoke/{identifier}", auth=ADMIN)
            assert await status(two, token) == 401

    asyncio.run(whole())


def test_a_listener_whose_connection_is_cut_listens_again(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        for _ in range(2):
            await central.pool.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
                " AND datname = current_database() AND pid <> pg_backend_pid()"
            )
            began = time.monotonic()
            while central.notices.alive and time.monotonic() - began < 1:
                await asyncio.sleep(0.01)
            while not central.notices.alive:
                assert time.monotonic() - began < 60
                await asyncio.sleep(0.01)
        token = await central.token("Admin")
        assert await status(central, token) == 200

    run(migrated(MIGRATIONS), tmp_path, work)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_an_hour_off_neither_breaks_new_tokens_nor_revives_revoked_ones(
    migrated: Migrated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    class Off(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(hours=hours)

    async def work(central: Central) -> None:
        right = await central.token("Admin")
        revoked = await central.token("Analyst")
        identifier = jwt.decode(revoked, options={"verify_signature": False})["jti"]
        await central.http.patch(f"/v1/apitokens/revoke/{identifier}", auth=ADMIN)
        monkeypatch.setattr(tokens_module, "datetime", Off)
        off = await central.token("Admin")
        assert await status(central, right) == 200
        assert await status(central, off) == 200
        assert await status(central, revoked) == 401
        monkeypatch.undo()
        assert await status(central, off) == 200
        assert await status(central, revoked) == 401

    run(migrated(MIGRATIONS), tmp_path, work)


def test_tokens_are_kept_until_a_day_after_their_end_and_told_of_before(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: Central) -> None:
        for name, ends in ("old", -25), ("late", -23), ("soon", 24 * 6), ("far", 24 * 8):
            token = await central.token("None", name=name)
            identifier = jwt.decode(token, options={"verify_signature": False})["jti"]
            await central.pool.execute(
                "UPDATE api_tokens SET expiration = now() + make_interval(hours => $2) WHERE id = $1::uuid",
                identifier,
                ends,
            )
        await central.auth.upkeep()
        await central.auth.upkeep()
        names = await central.pool.fetch("SELECT name FROM api_tokens ORDER BY name")
        assert [row["name"] for row in names] == ["far", "late", "soon"]
        events = (await central.http.get("/v1/administration/events", auth=ADMIN)).json()["events"]
        assert [event["resource"]["name"] for event in events] == ["soon"]
        assert events[0]["numOccurrences"] == "1"
        one = await central.http.get(f"/v1/administration/events/{events[0]['id']}", auth=ADMIN)
        assert one.json()["event"] == events[0]
        counted = await central.http.get("/v1/count/administration/events", auth=ADMIN)
        assert counted.json() == {"count": 1}

    run(migrated(MIGRATIONS), tmp_path, work)


def test_another_replica_needs_the_same_file_of_keys(migrated: Migrated, tmp_path: Path) -> None:
    url = migrated(MIGRATIONS)

    async def whole() -> None:
        async with Central(url, tmp_path / "one"):
            with pytest.raises(UnreadableInput, match="give every replica"):
                await Central(url, tmp_path / "two").__aenter__()

    asyncio.run(whole())


def test_replicas_that_start_at_once_end_with_one_key(migrated: Migrated, tmp_path: Path) -> None:
    url = migrated(MIGRATIONS)

    async def whole() -> None:
        centrals = [Central(url, tmp_path, admin_password="") for _ in range(4)]
        await asyncio.gather(*(central.__aenter__() for central in centrals))
        assert await centrals[0].pool.fetchval("SELECT count(*) FROM signing_keys") == 1
        assert sum(bool(central.printed) for central in centrals) == 1
        for central in centrals:
            await central.__aexit__()

    asyncio.run(whole())


def test_the_key_that_signs_is_replaced_and_its_tokens_stay_or_end_as_was_asked(
    migrated: Migrated, tmp_path: Path
) -> None:
    url = migrated(MIGRATIONS)

    async def whole() -> None:
        async with Central(url, tmp_path) as one, Central(url, tmp_path) as two:
            first = await one.token("Admin")
            assert await status(two, first) == 200
            answer = await one.http.post("/v1/signingkeys/replace", json={}, auth=ADMIN)
            assert answer.status_code == 200, answer.text
            assert [(key["signs"], key["tokens"]) for key in answer.json()["keys"]] == [(True, 0), (False, 1)]
            assert answer.json()["shortened"] == 0
            assert await status(one, first) == await status(two, first) == 200
            # The former key signs no more, whoever still has it in memory, and is nowhere else.
            assert await one.pool.fetchval("SELECT count(*) FROM signing_keys WHERE sealed IS NOT NULL") == 1
            second = await two.token("Admin")
            keys = [jwt.get_unverified_header(token)["kid"] for token in (first, second)]
            assert [key["id"] for key in answer.json()["keys"]] == keys[::-1]

            answer = await two.http.post("/v1/signingkeys/replace", json={"graceHours": 1}, auth=ADMIN)
            assert answer.json()["shortened"] == 2
            ends = [datetime.fromisoformat(key["lastExpiration"]) for key in answer.json()["keys"][1:]]
            assert all(timedelta(minutes=59) < end - datetime.now(UTC) < timedelta(hours=1) for end in ends)
            third = await one.token("Admin")
            assert [await status(one, each) for each in (first, second, third)] == [200, 200, 200]

            answer = await two.http.post("/v1/signingkeys/replace", json={"graceHours": 0}, auth=ADMIN)
            assert answer.json()["shortened"] == 3
            assert [await status(two, each) for each in (first, second, third)] == [401, 401, 401]
            async with asyncio.timeout(30):  # until the other replica has heard of it
                while [await status(one, each) for each in (first, second, third)] != [401, 401, 401]:
                    await asyncio.sleep(0.005)
            assert await status(one, await two.token("Admin")) == 200

            await one.pool.execute(
                "UPDATE api_tokens SET expiration = now() - interval '2 days' WHERE key <> ''"
            )
            await one.auth.upkeep()
            assert await one.pool.fetchval("SELECT count(*) FROM signing_keys") == 1

    asyncio.run(whole())


@pytest.mark.parametrize(
    "body", [{"graceHours": -1}, {"graceHours": 1e9}, {"graceHours": "soon"}, {"grace": 1}]
)
def test_a_grace_that_cannot_be_meant_replaces_no_key(
    migrated: Migrated, tmp_path: Path, body: dict[str, object]
) -> None:
    async def work(central: Central) -> None:
        answer = await central.http.post("/v1/signingkeys/replace", json=body, auth=ADMIN)
        assert answer.status_code == 400
        assert await central.pool.fetchval("SELECT count(*) FROM signing_keys") == 1

    run(migrated(MIGRATIONS), tmp_path, work)


def test_tokens_that_are_made_while_keys_are_replaced_are_accepted(
    migrated: Migrated, tmp_path: Path
) -> None:
    url = migrated(MIGRATIONS)

    async def whole() -> None:
        async with Central(url, tmp_path) as one, Central(url, tmp_path) as two:

            async def replace() -> None:
                for _ in range(5):
                    answer = await one.http.post("/v1/signingkeys/replace", json={}, auth=ADMIN)
                    assert answer.status_code == 200

            async def make(central: Central) -> list[str]:
                return [await central.token("Admin") for _ in range(10)]

            _, *made = await asyncio.gather(replace(), make(one), make(two))
            for token in (token for tokens in made for token in tokens):
                assert await status(one, token) == await status(two, token) == 200

    asyncio.run(whole())
