"""``redoubt up`` as its first user meets it: one command, an upload, and whatever dies is no loss."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.definitions_bundles import Site
from support.up import Up


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def active(up: Up) -> str:
    status, body = up.call("GET", "/v1/definitions")
    return str(body["active"]["digest"]) if status == 200 and body["active"] else ""


def test_first_start_is_offline_with_the_starter_and_only_central_listens_outside(up: Up) -> None:
    assert "Redoubt is up" in up.output()
    assert up.printed_password() == "", "the password was given, and is not printed"
    status, body = up.call("GET", "/v1/metadata")
    assert (status, body["offlineMode"]) == (200, True)
    status, body = up.call("GET", "/v1/definitions")
    assert body["active"]["channel"] == "starter"
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout
    tree = {f"pid={pid}," for pid in up.tree()}
    outside = [
        line.split()[3]
        for line in listening.splitlines()
        if any(pid in line for pid in tree) and not line.split()[3].startswith(("127.", "[::1]"))
    ]
    assert outside
    assert all(address.endswith(f":{up.port}") for address in outside)


def test_second_one_on_the_same_folder_is_refused(up: Up) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "redoubt", "up", "--data", str(up.data), "--port", "0"],
        env=up.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 2
    assert "another `redoubt up` runs on" in second.stderr


def test_definitions_are_uploaded_as_the_documents_write_it(up: Up, site: Site) -> None:
    bundle = site.bundle(1)
    refused = up.roxctl("scanner", "upload-db", "-e", up.endpoint, f"--scanner-db-file={bundle}")
    assert refused.returncode != 0
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "trust" in refused.stderr
    root = json.dumps({"root": site.root.read_text(), "channel": site.channel}).encode()
    assert up.call("POST", "/v1/definitions/trust", root)[0] == 200
    status, made = up.call("POST", "/v1/apitokens/generate", b'{"name": "ci", "roles": ["Admin"]}')
    assert status == 200
    done = up.roxctl(
        "scanner",
        "upload-db",
        "-e",
        up.endpoint,
        f"--scanner-db-file={bundle}",
        ROX_API_TOKEN=made["token"],
        ROX_ADMIN_PASSWORD="",
    )
    assert done.returncode == 0, done.stderr
    assert active(up)
    events = up.call("GET", "/v1/definitions/history")[1]["events"]
    assert events[0]["action"] == "upload"
    assert "ci" in events[0]["by"]


@pytest.mark.parametrize("name", ["matcher", "indexer", "central", "postgres"])
def test_whoever_is_killed_comes_back_and_nothing_is_lost(up: Up, name: str) -> None:
    before = active(up)
    killed = up.pid(name)
    os.kill(killed, signal.SIGKILL)

    def back() -> bool:
        try:
            return up.pid(name) != killed and active(up) == before
        except (OSError, LookupError):
            return False

    until(back)


def test_everything_ends_with_the_one_in_charge_and_starts_again_as_it_was(up: Up) -> None:
    before = active(up)
    up.kill()
    up.start()
    assert active(up) == before
    assert up.printed_password() == ""
    tree = up.tree()
    assert up.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in tree)
    up.start()
    assert active(up) == before


def test_mode_that_disagrees_with_the_stored_one_is_warned_of_and_does_not_count(up: Up) -> None:
    up.stop()
    up._arguments = ("--online",)
    up.start()
    body = up.call("GET", "/v1/metadata")[1]
    assert body["offlineMode"] is True
    assert any("reconfigure" in warning for warning in body["warnings"])
