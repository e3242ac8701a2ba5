"""An offline Redoubt in networks of its own: it works without one, and sends nothing into one that has a way out."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import networks
from support.definitions_bundles import Site
from support.postgres import chosen, reachable_folder
from support.up import PASSWORD, Up


@pytest.fixture
def folder() -> Iterator[Path]:
    chosen()
    made = reachable_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


def curl(up: Up, prefix: tuple[str, ...], path: str, *words: str) -> str:
    return subprocess.run(
        [
            *(
                *prefix,
                "curl",
                "-sS",
                "--cacert",
                str(up.config / "ca.pem"),
                "-u",
                f"admin:{PASSWORD}",
                *words,
            ),
            f"https://{up.endpoint}{path}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def day(up: Up, prefix: tuple[str, ...], site: Site) -> None:
    """What is done in a day: definitions come in, images are scanned, and some names lead outside."""
    root = json.dumps({"root": site.root.read_text(), "channel": site.channel})
    curl(up, prefix, "/v1/definitions/trust", "-H", "Content-Type: application/json", "-d", root)
    done = up.roxctl("scanner", "upload-db", f"--scanner-db-file={site.bundle(1)}")
    assert done.returncode == 0, done.stderr
    assert json.loads(curl(up, prefix, "/v1/definitions"))["active"]["channel"] == site.channel
    for image in ("registry.example/shop:1", "203.0.113.7:5000/shop:1", "shop:1"):
        scanned = up.roxctl("image", "scan", "--image", image, "--retries", "0", "-o", "json")
        assert scanned.returncode != 0
        assert "offline mode" in scanned.stderr, scanned.stderr


def test_it_works_where_there_is_no_network_at_all(folder: Path, tmp_path: Path) -> None:
    with networks.without_route() as prefix, Up(folder, prefix=prefix) as up:
        day(up, prefix, Site(tmp_path / "site"))


def test_nothing_leaves_by_a_way_out_that_is_there_and_who_asked_is_told(
    folder: Path, tmp_path: Path
) -> None:
    with networks.with_route() as (prefix, heard):
        with Up(folder, prefix=prefix) as up:
            day(up, prefix, Site(tmp_path / "site"))
            told = json.loads(curl(up, prefix, "/v1/egress"))
            assert told.get("offlineMode") is True, told
            assert {"registry.example", "203.0.113.7"} <= {row["host"] for row in told["refused"]}
            assert all(row["askedBy"] for row in told["refused"])
            time.sleep(1)
        assert heard.frames == []
        # And that somebody would have heard it:
        attempt = "import socket; s = socket.socket(); s.settimeout(1); s.connect_ex(('203.0.113.7', 80))"
        subprocess.run([*prefix, sys.executable, "-c", attempt], check=True)
        assert heard.frames
