"""The administrator's password against a real database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from redoubt.central.auth import hashing, passwords
from redoubt.central.auth.limiter import BURST
from redoubt.central.refusals import Exhausted
from support.centrals import PASSWORD, Central

Migrated = Callable[[str], str]
MIGRATIONS = "redoubt.central.migrations"
ADMIN = ("admin", PASSWORD)
STATUS = "/v1/auth/status"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost little; what they are worth is not asked here."""
    real = hashing.hashed
    monkeypatch.setattr(hashing, "hashed", lambda password, cost=10: real(password, cost))


def run(url: str, folder: Path, work: Callable[[Central], Awaitable[None]], **settings: Any) -> None:
    async def whole() -> None:
        async with Central(url, folder, **settings) as central:
            await work(central)

    asyncio.run(whole())


def test_the_given_password_opens_and_others_do_not(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        assert central.printed == ""
        answer = await central.http.get(STATUS, auth=ADMIN)
        assert answer.json()["userId"] == "admin"
        assert answer.json()["userInfo"]["roles"][0]["name"] == "Admin"
        assert answer.json()["authProvider"]["type"] == "basic"
        told = []
        for user, password in (
            ("admin", "wrong"),
            ("admin", ""),
            ("root", PASSWORD),
            ("", PASSWORD),
            ("Admin", PASSWORD),
        ):
            answer = await central.http.get(STATUS, auth=(user, password))
            assert answer.status_code == 401
            told.append(answer.text)
        # Whether the user exists is not told.
        assert len(set(told)) == 1
        assert (await central.http.get(STATUS, auth=ADMIN)).status_code == 200

    run(migrated(MIGRATIONS), tmp_path, work)


def test_one_is_made_and_printed_once_where_none_is_given(migrated: Migrated, tmp_path: Path) -> None:
    url = migrated(MIGRATIONS)

    async def first(central: Central) -> None:
        made.append(central.printed)
        assert len(central.printed) >= 20
        assert (await central.http.get(STATUS, auth=("admin", central.printed))).status_code == 200

    async def second(central: Central) -> None:
        assert central.printed == ""
        assert (await central.http.get(STATUS, auth=("admin", made[0]))).status_code == 200

    made: list[str] = []
    run(url, tmp_path, first, admin_password="")
    run(url, tmp_path, second, admin_password="")


def test_a_later_start_changes_no_password_and_says_so(migrated: Migrated, tmp_path: Path) -> None:
    url = migrated(MIGRATIONS)

    async def nothing(central: Central) -> None:
        assert central.services.warnings == []

    async def other(central: Central) -> None:
        assert (await central.http.get(STATUS, auth=ADMIN)).status_code == 200
        assert (await central.http.get(STATUS, auth=("admin", "another one"))).status_code == 401
        metadata = await central.http.get("/v1/metadata", auth=ADMIN)
        assert "stays in force" in metadata.json()["warnings"][0]

    run(url, tmp_path, nothing)
    run(url, tmp_path, nothing)
    run(url, tmp_path, other, admin_password="another one")


def test_a_short_one_is_warned_of(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        assert "shorter" in central.services.warnings[0]

    run(migrated(MIGRATIONS), tmp_path, work, admin_password="short")


def test_it_can_be_disabled(migrated: Migrated, tmp_path: Path) -> None:
    url = migrated(MIGRATIONS)
    tokens: list[str] = []

    async def enabled(central: Central) -> None:
        tokens.append(await central.token("Admin"))
        assert len((await central.http.get("/v1/login/authproviders")).json()["authProviders"]) == 2

    async def disabled(central: Central) -> None:
        assert (await central.http.get(STATUS, auth=ADMIN)).status_code == 401
        answer = await central.http.get(STATUS, headers={"Authorization": f"Bearer {tokens[0]}"})
        assert answer.status_code == 200
        assert (await central.http.get("/v1/login/authproviders")).json() == {"authProviders": []}

    run(url, tmp_path, enabled)
    run(url, tmp_path, disabled, admin_password_disabled=True)


def test_guessing_is_slow_for_who_guesses_and_for_nobody_else(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        stranger, other = central.client("203.0.113.9"), central.client("198.51.100.1")
        answers = [await stranger.get(STATUS, auth=("admin", f"guess {n}")) for n in range(BURST + 5)]
        assert [answer.status_code for answer in answers] == [401] * BURST + [429] * 5
        assert int(answers[-1].headers["retry-after"]) >= 1
        # Also with the right one, so that an answer tells a guesser nothing.
        assert (await stranger.get(STATUS, auth=ADMIN)).status_code == 429
        assert (await other.get(STATUS, auth=ADMIN)).status_code == 200
        assert (await central.http.get(STATUS, auth=ADMIN)).status_code == 200
        # A token is not a guess.
        token = await central.token("Admin")
        answer = await stranger.get(STATUS, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200

    run(migrated(MIGRATIONS), tmp_path, work)


def test_many_guesses_at_once_are_no_more_than_one_after_another(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        stranger = central.client("203.0.113.9")
        answers = await asyncio.gather(*(stranger.get(STATUS, auth=("admin", f"{n}")) for n in range(60)))
        assert sum(answer.status_code == 401 for answer in answers) <= BURST
        right = central.client("192.0.2.7")
        answers = await asyncio.gather(*(right.get(STATUS, auth=ADMIN) for _ in range(60)))
        assert {answer.status_code for answer in answers} == {200}

    run(migrated(MIGRATIONS), tmp_path, work)


def test_a_flood_of_strangers_does_not_keep_the_administrator_out(
    migrated: Migrated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = hashing.fits
    go_on = threading.Event()
    guesses: list[str] = []

    def held(password: str, stored: str) -> bool:
        if password != PASSWORD:
            guesses.append(password)
            assert go_on.wait(240)
        return real(password, stored)

    async def work(central: Central) -> None:
        known = central.client("192.0.2.7")
        assert (await known.get(STATUS, auth=ADMIN)).status_code == 200
        central.auth.passwords._right.clear()
        monkeypatch.setattr(hashing, "fits", held)

        async def guess(number: int) -> int:
            async with central.client(f"203.0.113.{number}") as stranger:
                return (await stranger.get(STATUS, auth=("admin", f"guess {number}"))).status_code

        flood = [asyncio.create_task(guess(number)) for number in range(passwords._WAITING + 20)]
        while not guesses or sum(task.done() for task in flood) < 20:
            await asyncio.sleep(0.01)
        # One guess is being checked, as many wait as may, the rest was sent away; and the administrator gets in.
        assert (await known.get(STATUS, auth=ADMIN)).status_code == 200
        assert len(guesses) == 1
        go_on.set()
        statuses = await asyncio.gather(*flood)
        assert statuses.count(401) == passwords._WAITING
        assert statuses.count(429) == 20

    try:
        run(migrated(MIGRATIONS), tmp_path, work)
    finally:
        go_on.set()


def test_the_password_is_changed_on_every_replica(migrated: Migrated, tmp_path: Path) -> None:
    url = migrated(MIGRATIONS)

    async def whole() -> None:
        async with Central(url, tmp_path) as one, Central(url, tmp_path) as two:
            assert (await two.http.get(STATUS, auth=ADMIN)).status_code == 200
            for body, expected in (
                ({"currentPassword": "wrong", "newPassword": "a new password"}, 401),
                ({"currentPassword": PASSWORD, "newPassword": "short"}, 400),
                ({"currentPassword": PASSWORD, "newPassword": "a new\u0000password"}, 400),
                ({"currentPassword": PASSWORD, "newPassword": "a new password"}, 200),
            ):
                answer = await one.http.put("/v1/auth/password", json=body, auth=ADMIN)
                assert answer.status_code == expected, answer.text
            assert (await one.http.get(STATUS, auth=ADMIN)).status_code == 401
            assert (await one.http.get(STATUS, auth=("admin", "a new password"))).status_code == 200
            await opens(two, "a new password")
            assert (await two.http.get(STATUS, auth=("admin", "a new password"))).status_code == 200
            assert (await two.http.get(STATUS, auth=ADMIN)).status_code == 401
            made = await passwords.reset(one.auth.accounts)
            await opens(one, made)
            assert (await one.http.get(STATUS, auth=("admin", made))).status_code == 200

    asyncio.run(whole())


async def opens(central: Central, password: str) -> None:
    """Until it has heard that this is the password now; each try comes from somewhere else, or it would be one guess too many."""
    for number in range(600):
        async with central.client(f"203.0.{number // 250}.{number % 250}") as http:
            if (await http.get(STATUS, auth=("admin", password))).status_code == 200:
                return
        await asyncio.sleep(0.05)
    raise AssertionError("the other replica does not hear of it")


def test_a_token_changes_no_password(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        headers = {"Authorization": f"Bearer {await central.token('Admin')}"}
        body = {"currentPassword": PASSWORD, "newPassword": "a new password"}
        assert (await central.http.put("/v1/auth/password", json=body, headers=headers)).status_code == 403

    run(migrated(MIGRATIONS), tmp_path, work)


def test_the_password_is_nowhere(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: Central) -> None:
        await central.http.get(STATUS, auth=ADMIN)
        tables = await central.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for row in tables:
            assert PASSWORD not in str(await central.pool.fetch(f'SELECT * FROM "{row["tablename"]}"'))
        assert PASSWORD not in repr(central.settings)

    run(migrated(MIGRATIONS), tmp_path, work)


def test_the_right_password_costs_one_hash(
    migrated: Migrated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(central: Central) -> None:
        await central.http.get(STATUS, auth=ADMIN)

        def never(password: str, stored: str) -> bool:
            raise AssertionError("hashed again")

        monkeypatch.setattr(hashing, "fits", never)
        assert (await central.http.get(STATUS, auth=ADMIN)).status_code == 200

    run(migrated(MIGRATIONS), tmp_path, work)


def test_a_full_queue_sends_away() -> None:
    async def whole() -> None:
        lane = passwords._Lane()
        lane._waiting = passwords._WAITING
        with pytest.raises(Exhausted):
            await lane.check("x", "y")

    asyncio.run(whole())
