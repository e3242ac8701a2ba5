"""Images through ``redoubt up`` and ``roxctl``, as its users do it: what ``redoubt scan`` finds, without a database."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.cli import Cli, findings
from support.postgres import chosen, reachable_folder
from support.registry import Registry, needs_registry, start_registry
from support.scanners import AFFECTED, Shelf, pushed
from support.up import Up

pytestmark = needs_registry


def until(condition: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    shelf.publish(bookworm=AFFECTED)
    return shelf


@pytest.fixture(scope="module")
def up(shelf: Shelf) -> Iterator[Up]:
    chosen()
    folder = reachable_folder()
    try:
        with Up(folder) as running:
            root = {"root": shelf.site.root.read_text(), "channel": shelf.site.channel}
            body = json.dumps(root).encode()
            status, told = running.call(
                "POST", "/v1/definitions/trust", body, **{"Content-Type": "application/json"}
            )
            assert status == 200, told
            bundle = shelf.site.folder / "site-1.zip"
            done = running.roxctl("scanner", "upload-db", f"--scanner-db-file={bundle}")
            assert done.returncode == 0, done.stderr
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with start_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def test_roxctl_shows_what_redoubt_scan_finds(
    up: Up, shelf: Shelf, registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "shop:1.4")
    direct = Cli(tmp_path / "home", {"REDOUBT_DATA_DIR": str(shelf.data)}).json("scan", name)
    done = up.roxctl("image", "scan", "--image", name, "-o", "csv")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["COMPONENT"], row["CVE"]) for row in rows] == [("libfixture", "CVE-2099-0001")]
    whole = up.roxctl("image", "scan", "--image", name, "-o", "report-json")
    assert whole.returncode == 0, whole.stderr
    assert findings(json.loads(whole.stdout)) == findings(direct) != set()
    listed = up.roxctl("central", "export", "images")
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)["image"]["name"]["fullName"] == name
    sbom = up.roxctl("image", "sbom", "--image", name)
    assert sbom.returncode == 0, sbom.stderr
    file = tmp_path / "shop.spdx.json"
    file.write_text(sbom.stdout)
    judged = up.roxctl("sbom", "scan", "--file", str(file), "-o", "csv")
    assert judged.returncode == 0, judged.stderr
    assert list(csv.DictReader(io.StringIO(judged.stdout))) == rows


def test_an_indexer_that_dies_in_between_is_started_again_and_asked_again(
    up: Up, registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "again:1")
    for service in ("indexer", "matcher"):
        os.kill(up.pid(service), signal.SIGKILL)
        done = up.roxctl("image", "scan", "--image", name, "--force", "--retries", "0", "-o", "csv")
        assert done.returncode == 0, done.stderr
        assert "CVE-2099-0001" in done.stdout


def test_the_fleet_follows_new_definitions_and_no_registry_is_asked(
    up: Up, shelf: Shelf, registry: Registry, tmp_path: Path
) -> None:
    name = pushed(registry, tmp_path, "fleet:1")
    assert up.roxctl("image", "scan", "--image", name, "-o", "csv").returncode == 0

    def digests_with(flaw: str) -> int:
        status, page = up.call("GET", f"/v1/fleet/cves/{flaw}/images")
        return len(page["images"]) if status == 200 else 0

    until(lambda: digests_with("CVE-2099-0001") > 0)
    asked = registry.log.stat().st_size
    fixed = {"status": "resolved", "fixed_version": "0.9-1", "urgency": "high"}
    shelf.publish(bookworm=fixed)
    bundle = shelf.site.folder / f"site-{shelf.version}.zip"
    done = up.roxctl("scanner", "upload-db", f"--scanner-db-file={bundle}")
    assert done.returncode == 0, done.stderr
    assert "1 changed" in done.stderr
    until(lambda: digests_with("CVE-2099-0001") == 0)

    def high() -> list[int]:
        status, page = up.call("GET", "/v1/fleet/images")
        assert status == 200
        return [row["high"] for row in page["images"]]

    until(lambda: set(high()) == {0})

    def listed() -> list[tuple[int, int]]:
        status, page = up.call("GET", "/v1/images")
        assert status == 200
        return [(row["cves"], row["fixableCves"]) for row in page["images"]]

    until(lambda: set(listed()) == {(0, 0)})
    assert registry.log.stat().st_size == asked
