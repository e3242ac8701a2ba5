"""``roxctl central login`` with a real browser at a real Central: Chromium, its page, and what becomes of the token."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from support.up import PASSWORD, Up

CHROMIUM = "/usr/bin/chromium"
pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="needs Debian's chromium")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    said = ("--no-starter", "--set", "central.login_token_seconds=3600")
    with Up(folder, arguments=said, environment={"ROX_ADMIN_PASSWORD": PASSWORD}) as running:
        yield running


@contextmanager
def chromium() -> Iterator[Any]:
    """A page, and every address that it asked for."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_context(ignore_https_errors=True).new_page()
            page.set_default_timeout(20_000)
            page.asked = []
            page.on("request", lambda request: page.asked.append(request.url))
            yield page
        finally:
            browser.close()


class Login:
    """A ``roxctl central login`` under way; ``address`` is where it sends the browser."""

    def __init__(self, up: Up, folder: Path) -> None:
        folder.mkdir()
        self._file = folder / "opened"
        browser = folder / "browser"
        browser.write_text(
            f'#!/bin/sh\nprintf %s "$1" > {self._file}.new && mv {self._file}.new {self._file}\n'
        )
        browser.chmod(0o755)
        self.config = folder / "config"
        environment = {
            **up.environment,
            "BROWSER": f"{browser} %s",
            "ROX_CONFIG_DIR": str(self.config),
            "ROX_CA_CERT_FILE": str(up.config / "ca.pem"),
        }
        for name in ("ROX_ADMIN_PASSWORD", "ROX_API_TOKEN"):
            environment.pop(name, None)
        self._environment = environment
        self._endpoint = up.endpoint
        self.process = subprocess.Popen(
            [*self._roxctl(), "central", "login", "-t", "60s"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _roxctl(self) -> list[str]:
        program = "from redoubt.cli.roxctl import main; main()"
        return [sys.executable, "-c", program, "-e", self._endpoint]

    def __enter__(self) -> Login:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    @property
    def address(self) -> str:
        until = time.monotonic() + 30
        while not self._file.exists():
            assert time.monotonic() < until, "roxctl opened no browser within 30 s"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)
        return self._file.read_text()

    def ended(self) -> tuple[int, str, str]:
        out, error = self.process.communicate(timeout=30)
        return self.process.returncode, out, error

    def roxctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another command, with what was kept and nothing else."""
        return subprocess.run(
            [*self._roxctl(), *words], env=self._environment, capture_output=True, text=True, timeout=60
        )


def test_a_person_logs_in_and_roxctl_is_let_in(up: Up, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    with Login(up, tmp_path / "login") as login, chromium() as page:
        page.goto(login.address)
        assert page.url.startswith(f"https://{up.endpoint}/authorize-roxctl#authorizeCallback=")
        here = urlsplit(login.address).netloc
        expect(page.locator("section.ask .where")).to_have_text(here)
        expect(page.locator("section.ask .here")).to_have_text(up.endpoint)
        page.fill("#password", "not the password")
        page.get_by_role("button", name="Log in").click()
        expect(page.locator(".failure")).to_contain_text("wrong")
        expect(page.locator("#password")).to_have_value("")
        assert login.process.poll() is None
        page.fill("#password", PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("body")).to_contain_text("You are logged in")
        code, out, error = login.ended()
        assert (code, "Logged in to" in out) == (0, True), error
        who = login.roxctl("central", "whoami")
        assert (who.returncode, "Admin" in who.stdout) == (0, True), who.stderr
        assert {urlsplit(url).netloc for url in page.asked if url.startswith("http")} == {up.endpoint, here}
        # Neither the password nor the token is to be gone back to.
        page.go_back()
        assert "token" not in page.url

    status, listed = up.call("GET", "/v1/apitokens")
    assert status == 200
    (token,) = (one for one in listed["tokens"] if one["name"] == "roxctl central login")
    assert token["issuedBy"] == "user:admin"
    ends = datetime.fromisoformat(token["expiration"]) - datetime.now(UTC)
    assert timedelta(minutes=50) < ends <= timedelta(hours=1)
    _, log = up.call("GET", "/v1/auditlog")
    assert [
        (one["caller"], one["status"]) for one in log["entries"] if one["route"] == "/v1/login/roxctl"
    ] == [("admin", 200)]


def test_a_person_refuses(up: Up, tmp_path: Path) -> None:
    with Login(up, tmp_path / "login") as login, chromium() as page:
        page.goto(login.address)
        page.get_by_role("button", name="Refuse").click()
        code, _, error = login.ended()
        assert code == 5
        assert "refused in the browser" in error
        assert not (login.config / "roxctl-config.yaml").exists()


@pytest.mark.parametrize(
    "callback",
    [
        "",
        "http://evil.example:4000/callback",
        "https://127.0.0.1:4000/callback",
        "http://127.0.0.1:4000/open?to=https://evil.example",
        "javascript:alert(1)",
        "http://127.0.0.1:4000@evil.example/callback",
    ],
)
def test_the_page_asks_for_no_password_for_somebody_elsewhere(up: Up, callback: str) -> None:
    from playwright.sync_api import expect

    with chromium() as page:
        page.goto(f"https://{up.endpoint}/authorize-roxctl#authorizeCallback={quote(callback, safe='')}")
        expect(page.locator("section.wrong")).to_be_visible()
        assert not page.locator("#password").is_visible()


def test_the_page_is_in_nobodys_frame_and_runs_nothing_from_elsewhere(up: Up) -> None:
    with chromium() as page:
        answer = page.goto(f"https://{up.endpoint}/authorize-roxctl")
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        page.route(
            "https://frames.example/",
            lambda route: route.fulfill(
                content_type="text/html",
                body=f'<iframe src="https://{up.endpoint}/authorize-roxctl#authorizeCallback='
                'http%3A%2F%2F127.0.0.1%3A4000%2Fcallback"></iframe>',
            ),
        )
        page.goto("https://frames.example/")
        page.wait_for_timeout(300)
        assert all(not frame.locator("#password").count() for frame in page.frames[1:])
