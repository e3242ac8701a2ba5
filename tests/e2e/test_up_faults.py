"""``redoubt up`` in bad hours: Central killed while it takes an upload, a full disk, and a registry that floods."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ociwriter import Entry, layer_tar
from redoubt.definitions import records
from redoubt.definitions.records import Record
from redoubt.model import Epss
from support.definitions_bundles import Site, members, sample_records
from support.oddregistry import OddRegistry
from support.pipeline import dpkg, dpkg_status
from support.postgres import chosen, reachable_folder
from support.scanners import BOOKWORM
from support.up import PASSWORD, Up

UPLOAD = "/api/extensions/scannerdefinitions"
MB = 1 << 20


@contextmanager
def started() -> Iterator[Up]:
    chosen()
    folder = reachable_folder()
    try:
        with Up(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with started() as running:
        yield running


@pytest.fixture
def fresh() -> Iterator[Up]:
    """One of its own: whoever dies often is started again after longer and longer pauses."""
    with started() as running:
        yield running


class Bundles:
    """A channel that ``up`` trusts, and bundles of it that take a while, each newer than the one before."""

    def __init__(self, up: Up, folder: Path) -> None:
        self._site = Site(folder, f"site{os.getpid()}")
        self._versions = count(1)
        root = json.dumps({"root": self._site.root.read_text(), "channel": self._site.channel}).encode()
        status, said = up.call("POST", "/v1/definitions/trust", root)
        assert status == 200, said

    def next(self, size: int = 150_000) -> tuple[Path, str]:
        """A bundle and the digest of what is in it."""
        version = next(self._versions)
        luck = random.Random(version)
        extra: list[Record] = [
            records.epss(f"CVE-2099-{number:07}", Epss(luck.random(), luck.random(), "2099-01-01"))
            for number in range(size)
        ]
        path = self._site.bundle(version, sample_records(str(version), extra=extra))
        return path, str(json.loads(members(path)["manifest.json"])["digest"])


@pytest.fixture(scope="module")
def bundles(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(up, tmp_path_factory.mktemp("site"))


def until(condition: Callable[[], Any], what: str, seconds: float = 60, pause: float = 0.01) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for: {what}"
        time.sleep(pause)


def listed(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []


def sizes(folder: Path) -> list[int]:
    """Of the files in it that do not go meanwhile."""
    found = []
    for each in folder.iterdir():
        with suppress(FileNotFoundError):
            found.append(each.stat().st_size)
    return found


def active(up: Up) -> str:
    status, body = up.call("GET", "/v1/definitions")
    assert status == 200, body
    return str(body["active"]["digest"])


def answers(up: Up) -> bool:
    try:
        return up.call("GET", "/v1/ping")[0] == 200
    except OSError:
        return False


def connection(up: Up) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(up.config / "ca.pem"))
    return http.client.HTTPSConnection("localhost", up.port, context=context, timeout=60)


def half(up: Up, data: bytes) -> http.client.HTTPSConnection:
    """An upload of which the second half does not come."""
    one = connection(up)
    one.putrequest("POST", UPLOAD)
    one.putheader("Authorization", "Basic " + b64encode(f"admin:{PASSWORD}".encode()).decode())
    one.putheader("Content-Length", str(len(data)))
    one.endheaders()
    one.send(data[: len(data) // 2])
    return one


def sent(up: Up, bundle: Path) -> subprocess.Popen[str]:
    words = ["scanner", "upload-db", "--scanner-db-file", str(bundle)]
    return subprocess.Popen(
        [sys.executable, "-c", "from redoubt.cli.roxctl import main; main()", *words],
        env=up.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_central(up: Up) -> None:
    killed = up.pid("central")
    os.kill(killed, signal.SIGKILL)

    def back() -> bool:
        try:
            return up.pid("central") != killed and answers(up)
        except LookupError:
            return False

    until(back, "Central to be started again")


@pytest.mark.parametrize("step", ["the body", "verifying", "importing", "switching", "switched"])
def test_central_killed_at_any_step_of_an_upload_has_the_old_or_the_new_and_takes_it_again(
    fresh: Up, tmp_path: Path, step: str
) -> None:
    up, bundles = fresh, Bundles(fresh, tmp_path)
    shelf = up.data / "central" / "definitions"
    uploads = up.data / "central" / "uploads"
    old = active(up)
    bundle, new = bundles.next()
    state = (shelf / "state.json").read_bytes()
    reached: dict[str, Callable[[], Any]] = {
        "the body": lambda: any(uploads.iterdir()),
        "verifying": lambda: bundle.stat().st_size in sizes(uploads),
        "importing": lambda: listed(shelf / "tmp"),
        "switching": lambda: (shelf / "snapshots" / new.removeprefix("sha256:")).exists(),
        "switched": lambda: (shelf / "state.json").read_bytes() != state,
    }
    one = half(up, bundle.read_bytes()) if step == "the body" else None
    client = None if one else sent(up, bundle)
    try:
        # Some steps are short; one that was over before it was seen is the next one.
        until(lambda: reached[step]() or (client and client.poll() is not None), step, pause=0.0005)
        kill_central(up)
        if client is not None:
            _, said = client.communicate(timeout=60)
            assert client.returncode in (0, 6), said
            assert len(said.strip().splitlines()) == 1 or client.returncode == 0, said
    finally:
        if one is not None:
            one.close()
        if client is not None:
            client.kill()
            client.communicate()
    found = active(up)
    assert found == new if step == "switched" else found in (old, new)
    assert list(uploads.iterdir()) == []
    again = up.roxctl("scanner", "upload-db", "--scanner-db-file", str(bundle))
    assert again.returncode == 0, again.stderr
    assert active(up) == new
    assert listed(shelf / "tmp") == []
    known = {path.name for path in (shelf / "snapshots").iterdir()}
    assert {
        one["digest"].removeprefix("sha256:") for one in up.call("GET", "/v1/definitions")[1]["shelf"]
    } == known
    newest = up.call("GET", "/v1/definitions/history")[1]["events"][0]
    assert newest["digest"] == new


def test_of_two_uploads_at_once_the_second_is_sent_away_and_the_first_counts(
    up: Up, bundles: Bundles
) -> None:
    first, digest = bundles.next(1000)
    second, _ = bundles.next(1000)
    data = first.read_bytes()
    one = half(up, data)
    try:
        until(lambda: up.call("GET", "/v1/definitions")[1]["uploading"], "the first upload")
        status, said = up.call("POST", UPLOAD, second.read_bytes())
        assert (status, said["code"]) == (409, 10), said
        refused = up.roxctl("scanner", "upload-db", "--scanner-db-file", str(second))
        assert refused.returncode == 6
        assert "another upload" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
        one.send(data[len(data) // 2 :])
        assert one.getresponse().status == 200
    finally:
        one.close()
    assert active(up) == digest
    assert up.roxctl("scanner", "upload-db", "--scanner-db-file", str(second)).returncode == 0


def test_a_client_that_goes_half_way_keeps_nobody_out(up: Up, bundles: Bundles) -> None:
    before = active(up)
    bundle, digest = bundles.next(1000)
    half(up, bundle.read_bytes()).close()
    until(lambda: not up.call("GET", "/v1/definitions")[1]["uploading"], "the end of the upload")
    assert active(up) == before
    assert list((up.data / "central" / "uploads").iterdir()) == []
    assert up.roxctl("scanner", "upload-db", "--scanner-db-file", str(bundle)).returncode == 0
    assert active(up) == digest


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_full_disk_refuses_an_upload_in_a_line_and_what_was_active_stays(
    tmp_path: Path,
) -> None:
    chosen()
    folder = reachable_folder()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160m,mode=711", "tmpfs", folder], check=False
    )
    if mounted.returncode:
        shutil.rmtree(folder)
        pytest.skip("mounting is not allowed here")
    try:
        with Up(folder) as up:
            bundle, digest = Bundles(up, tmp_path).next()
            before = active(up)
            filler = folder / "filler"
            with filler.open("wb") as file:
                file.write(bytes(shutil.disk_usage(folder).free - bundle.stat().st_size // 2))
            refused = up.roxctl("scanner", "upload-db", "--scanner-db-file", str(bundle))
            assert refused.returncode == 5, refused.stderr
            assert "space" in refused.stderr
            assert len(refused.stderr.strip().splitlines()) == 1, refused.stderr
            assert list((up.data / "central" / "uploads").iterdir()) == []
            filler.write_bytes(bytes(filler.stat().st_size - 2 * bundle.stat().st_size))
            refused = up.roxctl(
                "scanner", "upload-db", "--scanner-db-file", str(bundle)
            )  # arrives, and is not imported
            assert refused.returncode == 5, refused.stderr
            assert active(up) == before
            assert list((up.data / "central" / "uploads").iterdir()) == []
            filler.unlink()
            assert up.roxctl("scanner", "upload-db", "--scanner-db-file", str(bundle)).returncode == 0
            assert active(up) == digest
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


# Scans


def layer(name: str) -> bytes:
    """Debian with a package and something of its own."""
    return layer_tar([BOOKWORM, dpkg_status(dpkg("libfixture", "1.0-1")), Entry("srv/name", name.encode())])


class Scan(threading.Thread):
    """``POST /v1/images/scan`` in a thread."""

    def __init__(self, up: Up, name: str) -> None:
        super().__init__(daemon=True)
        self._up, self._name = up, name
        self.answer: tuple[int, Any] = (0, None)
        self.start()

    def run(self) -> None:
        body = json.dumps({"imageName": self._name}).encode()
        try:
            self.answer = self._up.call("POST", "/v1/images/scan", body)
        except OSError as error:
            self.answer = (-1, str(error))

    def ended(self, seconds: float = 90) -> tuple[int, Any]:
        self.join(seconds)
        assert not self.is_alive(), "the scan does not end"
        return self.answer


def underway(up: Up, name: str) -> list[str]:
    """Numbers of scans of ``name`` that have not ended."""
    scans = up.call("GET", "/v1/images/scans")[1]["scans"]
    ended = ("DONE", "FAILED", "CANCELLED")
    return [one["id"] for one in scans if name in json.dumps(one) and one["state"] not in ended]


def memory(pid: int) -> int:
    """Anonymous memory of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon"))) * 1024


def test_a_registry_that_sends_fifty_gigabytes_costs_neither_memory_nor_disk_and_holds_nobody_up(
    up: Up,
) -> None:
    with OddRegistry() as registry:
        flood = registry.add("flood:1", claimed=50 << 30, flood=True)
        good = registry.add("good:1", layer("1"))
        assert Scan(up, good).ended()[0] == 200  # whatever is loaded once is loaded
        indexer = up.pid("indexer")
        before, disk = memory(indexer), shutil.disk_usage(up.folder).used
        flooded = Scan(up, flood)
        until(lambda: registry.sent > 1500 * MB, "1.5 GB to be taken")
        assert memory(indexer) - before < 64 * MB
        assert shutil.disk_usage(up.folder).used - disk < 200 * MB  # other tests write there, too
        other = registry.add("good:2", layer("2"))
        assert Scan(up, other).ended()[0] == 200
        assert flooded.is_alive()
        (number,) = underway(up, "flood")
        assert up.call("DELETE", f"/v1/images/scans/{number}")[0] == 200
        assert flooded.ended()[0] == 409
        until(lambda: registry.streams == 0, "the Indexer to hang up")
        lies = registry.add("lies:1", claimed=3 * MB, flood=True)
        status, said = Scan(up, lies).ended()
        assert status == 400
        assert "sends more than the" in said["message"]


@pytest.mark.parametrize("name", ["postgres", "indexer"])
def test_who_is_killed_mid_scan_comes_back_and_the_scan_ends_well(up: Up, name: str) -> None:
    with OddRegistry() as registry:
        registry.gate.clear()
        asked = registry.add(f"{name}:1", layer(name))
        scan = Scan(up, asked)
        until(registry.asked.is_set, "the layer to be asked for")
        killed = up.pid(name)
        os.kill(killed, signal.SIGKILL)

        def back() -> bool:
            try:
                return up.pid(name) != killed
            except LookupError:
                return False

        until(back, f"the {name} to be started again")
        registry.gate.set()
        status, said = scan.ended()
        assert status == 200, said
        assert "libfixture" in {one["name"] for one in said["scan"]["components"]}


def test_central_killed_mid_scan_is_asked_again_and_knows_the_image(fresh: Up) -> None:
    up = fresh
    with OddRegistry() as registry:
        registry.gate.clear()
        asked = registry.add("central:1", layer("central"))
        scan = Scan(up, asked)
        until(registry.asked.is_set, "the layer to be asked for")
        kill_central(up)
        assert scan.ended()[0] == -1
        registry.gate.set()
        assert Scan(up, asked).ended()[0] == 200
        assert underway(up, "central") == []
