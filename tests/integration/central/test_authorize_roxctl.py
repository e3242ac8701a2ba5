"""``POST /v1/login/roxctl``: who gets a token for a roxctl on his own machine, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from support.centrals import PASSWORD, Central, authorized

Migrated = Callable[[str], str]
ADMIN = ("admin", PASSWORD)
PATH = "/v1/login/roxctl"
HERE = {"callback": "http://127.0.0.1:40123/callback/abc"}


pytestmark = pytest.mark.usefixtures("cheap_passwords")


@pytest.fixture
def run(migrated: Migrated, tmp_path: Path) -> Callable[..., None]:
    def started(work: Callable[[Central], Awaitable[None]], **settings: Any) -> None:
        url = migrated("redoubt.central.migrations")

        async def whole() -> None:
            async with Central(url, tmp_path, **settings) as central:
                await asyncio.wait_for(work(central), 240)

        asyncio.run(whole())

    return started


Run = Callable[..., None]


def test_the_token_is_in_the_address_to_go_back_to_and_ends_when_the_setting_says(run: Run) -> None:
    async def work(central: Central) -> None:
        answer = await central.http.post(PATH, json=HERE, auth=ADMIN)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        there = urlsplit(answer.json()["location"])
        assert f"{there.scheme}://{there.netloc}{there.path}" == HERE["callback"]
        said = parse_qs(there.query)
        assert set(said) == {"token", "expiresAt"}
        left = datetime.fromisoformat(said["expiresAt"][0]) - datetime.now(UTC)
        assert timedelta(seconds=500) < left <= timedelta(seconds=600)
        header = authorized(said["token"][0])
        assert (await central.http.get("/v1/auth/status", headers=header)).status_code == 200
        # Listed, revoked as others are, and nothing to be warned of when it ends.
        (token,) = (await central.http.get("/v1/apitokens", auth=ADMIN)).json()["tokens"]
        assert (token["name"], token["roles"]) == ("roxctl central login", ["Admin"])
        await central.auth.upkeep()
        assert (await central.http.get("/v1/administration/events", auth=ADMIN)).json() == {"events": []}
        assert (
            await central.http.patch(f"/v1/apitokens/revoke/{token['id']}", auth=ADMIN)
        ).status_code == 200
        assert (await central.http.get("/v1/auth/status", headers=header)).status_code == 401

    run(work, login_token_seconds=600)


def test_who_gets_none(run: Run) -> None:
    async def work(central: Central) -> None:
        token = await central.token("Admin")
        for expected, more in (
            (401, {}),
            (401, {"auth": ("admin", "wrong")}),
            (403, {"headers": authorized(token)}),
            (403, {"auth": ADMIN, "headers": {"Sec-Fetch-Site": "cross-site"}}),
            (403, {"auth": ADMIN, "headers": {"Origin": "https://evil.example"}}),
            (400, {"auth": ADMIN, "json": {"callback": "http://evil.example:1/callback"}}),
            (400, {"auth": ADMIN, "json": {}}),
        ):
            answer = await central.http.post(PATH, **{"json": HERE, **more})
            assert answer.status_code == expected, (more, answer.text)
            assert "token=" not in answer.text
        tokens = (await central.http.get("/v1/apitokens", auth=ADMIN)).json()["tokens"]
        assert [one["name"] for one in tokens] == ["test"]

    run(work)


def test_guesses_are_paced_as_everywhere(run: Run) -> None:
    async def work(central: Central) -> None:
        statuses = []
        for number in range(12):
            answer = await central.http.post(PATH, json=HERE, auth=("admin", f"guess {number}"))
            statuses.append(answer.status_code)
        assert statuses[0] == 401
        assert statuses[-1] == 429

    run(work)
