"""``roxctl central login``, and what becomes of what it stored."""

from __future__ import annotations

import http.client
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from redoubt.cli.roxctl.logins import Login, Logins
from redoubt.errors import UnreadableInput
from support.roxctl import Run, runner
from support.standin import TOKEN, StandIn, answer, refusal
from support.web import Answer

BASIC = answer({"authProviders": [{"id": "1", "name": "Login with username/password", "type": "basic"}]})
OIDC = answer({"authProviders": [{"id": "2", "name": "Company", "type": "oidc"}]})


@pytest.fixture
def central(tmp_path: Path) -> Iterator[StandIn]:
    folder = tmp_path / "central"
    folder.mkdir()
    with StandIn(folder) as web:
        web.open = (*web.open, "/sso/session/tokenrefresh")
        web.routes["GET /v1/login/authproviders"] = BASIC
        web.routes["GET /v1/mypermissions"] = answer({})
        yield web


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config"


@pytest.fixture
def run(central: StandIn, config: Path) -> Run:
    inner = runner(central)
    told = {"ROX_API_TOKEN": "", "ROX_CONFIG_DIR": str(config)}
    return lambda *words, **more: inner(*words, **(told | more))


def test_a_token_is_pasted_tried_and_kept_for_its_owner_only(
    run: Run, central: StandIn, config: Path
) -> None:
    done = run("central", "login", stdin=f"{TOKEN}\n")
    assert f"Logged in to {central.endpoint} as pipeline" in done.stdout
    file = config / "roxctl-config.yaml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    assert TOKEN not in done.stdout + done.stderr
    assert "UserID" in run("central", "whoami").stdout
    assert "no credentials for other:1" in run("central", "whoami", "-e", "other:1", code=5).stderr


def test_what_is_no_token_is_not_kept(run: Run, config: Path) -> None:
    assert "did not accept" in run("central", "login", stdin="wrong\n", code=5).stderr
    assert "holds no token" in run("central", "login", stdin="", code=2).stderr
    assert "one word on one line" in run("central", "login", stdin="two words\n", code=2).stderr
    assert not config.exists()


def test_flags_and_variables_are_stronger_than_what_is_kept(run: Run, central: StandIn, config: Path) -> None:
    Logins(config).store(central.endpoint, Login(access_token="stale"))
    assert "roxctl-config.yaml" in run("central", "whoami", code=5).stderr
    run("central", "whoami", ROX_API_TOKEN=TOKEN)


def test_a_login_that_others_can_read_is_warned_of(run: Run, central: StandIn, config: Path) -> None:
    Logins(config).store(central.endpoint, Login(access_token=TOKEN))
    (config / "roxctl-config.yaml").chmod(0o644)
    assert "chmod 600" in run("central", "whoami").stderr


def test_an_expired_login_is_renewed_and_kept(run: Run, central: StandIn, config: Path) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    shelf = Logins(config)
    shelf.store(central.endpoint, Login(access_token="old", expires_at=past, refresh_token="again"))
    shelf.store("other:1", Login(access_token="theirs"))

    def refresh(asked: object) -> Answer:
        assert asked.headers["cookie"] == "RoxRefreshToken=again"  # type: ignore[attr-defined]
        return answer({"token": TOKEN, "expiry": "2099-01-01T00:00:00Z"})

    central.routes["GET /sso/session/tokenrefresh"] = refresh
    run("central", "whoami")
    found = shelf.find(central.endpoint)
    assert found is not None
    assert (found.access_token, found.refresh_token) == (TOKEN, "again")
    assert found.expires_at == datetime(2099, 1, 1, tzinfo=UTC)
    assert shelf.find("other:1") == Login(access_token="theirs")
    run("central", "whoami")
    assert sum("tokenrefresh" in asked.path for asked in central.asked) == 1


def test_a_login_that_cannot_be_renewed_says_log_in_again(run: Run, central: StandIn, config: Path) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    Logins(config).store(central.endpoint, Login(access_token="old", expires_at=past, refresh_token="again"))
    central.routes["GET /sso/session/tokenrefresh"] = refusal(401, "revoked")
    assert "run `roxctl central login` again" in run("central", "whoami", code=5).stderr
    Logins(config).store(central.endpoint, Login(access_token="old", expires_at=past))
    assert "has expired" in run("central", "whoami", code=5).stderr


@pytest.mark.parametrize(
    "content",
    [
        b"\x00",
        b"centrals: []",
        b"- 1",
        b"centrals: {x: {access: {accessToken: 1}}}",
        b"\xff\xff",
        b"[" * 5000,
    ],
)
def test_a_file_of_logins_that_is_damaged_is_named(config: Path, content: bytes) -> None:
    config.mkdir()
    (config / "roxctl-config.yaml").write_bytes(content)
    with pytest.raises(UnreadableInput, match="log in again"):
        Logins(config).find("central:1")


def test_the_originals_file_is_read(config: Path) -> None:
    config.mkdir()
    (config / "roxctl-config.yaml").write_text(
        "centrals:\n  central:443:\n    access:\n      accessToken: t\n"
        "      issuedAt: 2099-01-01T10:00:00.123456789+02:00\n      expiresAt: 2099-01-02T10:00:00Z\n"
    )
    found = Logins(config).find("central:443")
    assert found is not None
    assert found.access_token == "t"
    assert found.expires_at == datetime(2099, 1, 2, 10, tzinfo=UTC)
    assert Logins(config).find("central:444") is None
    (config / "roxctl-config.yaml").write_text("")
    assert Logins(config).find("central:443") is None


class Browser:
    """Stands in for ``webbrowser``: opens pages in a thread, and comes back as Central's page would."""

    def __init__(self, back: Callable[[str], str], host: str = "") -> None:
        self._back = back
        self._host = host
        self.seen: list[tuple[int, str]] = []
        self.location = ""

    def open(self, url: str) -> bool:
        threading.Thread(target=self._browse, args=(url,), daemon=True).start()
        return True

    def _browse(self, url: str) -> None:
        self._get(url.rpartition("/")[0] + "/guessed")
        self.location = self._get(url)
        callback = parse_qs(urlsplit(self.location).fragment)["authorizeCallback"][0]
        self._get(callback, host="evil.example")
        self._get(self._back(callback))

    def _get(self, url: str, host: str = "") -> str:
        parts = urlsplit(url)
        link = http.client.HTTPConnection(parts.netloc, timeout=5)
        link.request("GET", f"{parts.path}?{parts.query}", headers={"Host": host} if host else {})
        got = link.getresponse()
        self.seen.append((got.status, got.read().decode()))
        link.close()
        return got.headers.get("Location", "")


def browse(monkeypatch: pytest.MonkeyPatch, back: Callable[[str], str]) -> Browser:
    browser = Browser(back)
    monkeypatch.setattr("webbrowser.open", browser.open)
    monkeypatch.setattr("webbrowser.get", lambda: browser)
    return browser


def test_a_browser_brings_the_token(
    run: Run, central: StandIn, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    central.routes["GET /v1/login/authproviders"] = OIDC
    said = {"token": TOKEN, "refreshToken": "again", "expiresAt": "2099-01-01T00:00:00Z"}
    browser = browse(monkeypatch, lambda callback: f"{callback}?{urlencode(said)}")
    done = run("central", "login", DISPLAY=":0")
    assert "as pipeline, until 2099-01-01 00:00 UTC" in done.stdout
    assert [status for status, _ in browser.seen] == [404, 303, 400, 200]
    assert browser.location.startswith(f"https://{central.endpoint}/authorize-roxctl#authorizeCallback=")
    assert "You are logged in" in browser.seen[-1][1]
    found = Logins(config).find(central.endpoint)
    assert found is not None
    assert found.refresh_token == "again"


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        ({"error": "denied", "errorDescription": "no\x1brole"}, 5, "did not let you in (denied: no"),
        ({}, 6, "no token back"),
        ({"token": "wrong"}, 5, "did not accept"),
    ],
)
def test_a_browser_that_brings_none(
    run: Run,
    central: StandIn,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: dict[str, str],
    code: int,
    message: str,
) -> None:
    central.routes["GET /v1/login/authproviders"] = OIDC
    browse(monkeypatch, lambda callback: f"{callback}?{urlencode(said)}")
    stderr = run("central", "login", DISPLAY=":0", code=code).stderr
    assert message in stderr
    assert "\x1b" not in stderr
    assert not config.exists()


def test_a_browser_that_never_comes_back_is_waited_for_as_long_as_allowed(
    run: Run, central: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    central.routes["GET /v1/login/authproviders"] = OIDC
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    monkeypatch.setattr("webbrowser.get", lambda: None)
    assert "nobody logged in within 1 s" in run("central", "login", "-t", "1s", DISPLAY=":0", code=6).stderr


def test_without_a_browser_a_token_is_asked_for(run: Run, central: StandIn) -> None:
    central.routes["GET /v1/login/authproviders"] = OIDC
    assert "Logged in" in run("central", "login", stdin=TOKEN).stdout
