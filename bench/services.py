"""`redoubt up`: how soon it answers, what it takes idle, and what an upload of definitions costs.

The bundle has 5 million entries in Red Hat's shape (``scale.py``), once as they are and once with so much text that nothing
compresses that its file has about 300 MB, which is what StackRox's own has. An upload is timed from the start of `roxctl
scanner upload-db` until the Matcher says that it matches with it. Memory is anonymous memory (RssAnon), sampled.

    python bench/services.py [ENTRIES]      5,000,000 by default; prints JSON
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "bench")]

import scale

from redoubt.wire.channel import channel
from redoubt.wire.identity import MATCHERS
from redoubt.wire.material import Files, Material
from redoubt.wire.proto.redoubt.v1.matcher_grpc import MatcherStub
from redoubt.wire.proto.redoubt.v1.matcher_pb2 import GetMetadataRequest
from support.up import Up

#: Random bytes of text in each advisory's title that make a bundle of 5 million entries one of 300 MB.
_TEXT = 620
_IDLE = 5.0


def _anonymous(pid: int) -> int:
    """Kilobytes."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("RssAnon:")[2].split()[0])
    except (OSError, IndexError):
        return 0


class _Peak:
    """The most anonymous memory that a process took while the body ran, in megabytes more than before."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._done = threading.Event()
        self.before = _anonymous(pid)
        self.most = self.before

    def __enter__(self) -> _Peak:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.most = max(self.most, _anonymous(self._pid))

    @property
    def more(self) -> float:
        return round((self.most - self.before) / 1024, 1)


def _idle(up: Up) -> dict[str, float]:
    """Megabytes of the whole tree and of each service, some seconds after the last work."""
    time.sleep(_IDLE)
    assert up.process is not None
    services = {name: up.pid(name) for name in ("central", "indexer", "matcher")}
    told = {name: round(_anonymous(pid) / 1024, 1) for name, pid in services.items()}
    told["all"] = round(sum(_anonymous(pid) for pid in [up.process.pid, *up.tree()]) / 1024, 1)
    return told


def _matcher_digest(up: Up) -> str:
    environment = Path(f"/proc/{up.pid('matcher')}/environ").read_bytes().split(b"\0")
    port = next(line for line in environment if line.startswith(b"REDOUBT_SCANNER_PORT=")).partition(b"=")[2]
    tls = Material(Files.within(up.data / "certificates" / "central"))

    async def ask() -> str:
        to = channel(f"127.0.0.1:{port.decode()}", tls, MATCHERS)
        try:
            return str((await MatcherStub(to).GetMetadata(GetMetadataRequest())).definitions)
        finally:
            to.close()

    return asyncio.run(ask())


def _upload(up: Up, bundle: Path) -> dict[str, float]:
    before = _matcher_digest(up)
    with _Peak(up.pid("central")) as peak:
        began = time.perf_counter()
        answers: list[float] = []

        def upload() -> None:
            done = up.roxctl("scanner", "upload-db", f"--scanner-db-file={bundle}")
            assert done.returncode == 0, done.stderr
            answers.append(time.perf_counter() - began)

        uploading = threading.Thread(target=upload)
        uploading.start()
        while _matcher_digest(up) == before:
            time.sleep(0.1)
        live = time.perf_counter() - began
        uploading.join()
        answered = answers[0]
    return {
        "bundle_mb": round(bundle.stat().st_size / 1e6, 1),
        "answered_seconds": round(answered, 1),
        "matching_seconds": round(live, 1),
        "central_more_mb": peak.more,
    }


def _bundle(home: Path, name: str, entries: int, version: int, text: int) -> Path:
    mirror = home / name
    (mirror / "scale").mkdir(parents=True)
    plan = {"entries": entries, "day": 0, "scores": 300_000, "scores_change": False, "text": text}
    (mirror / "scale" / "plan.json").write_text(json.dumps(plan))
    out = home / f"{name}.zip"
    building = [sys.executable, str(ROOT / "bench" / "scale.py"), "build", str(mirror), str(out)]
    subprocess.run([*building, str(home / "keys"), str(version)], check=True)
    shutil.rmtree(mirror)
    return out


def run(entries: int = 5_000_000) -> dict[str, object]:
    """Everything, on a folder of its own."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    result: dict[str, object] = {"entries": entries}
    home = Path(tempfile.mkdtemp(prefix="redoubt-bench-", dir=os.environ.get("REDOUBT_BENCH_DIR")))
    home.chmod(0o711)
    up = Up(home / "up")
    (home / "up").mkdir()
    (home / "up").chmod(0o711)
    try:
        subprocess.run(
            [scale.REDOUBT, "definitions", "keygen", "--out", f"{home}/keys"], check=True, capture_output=True
        )
        bundles = {
            "as it is": _bundle(home, "plain", entries, 1, 0),
            "with text": _bundle(home, "text", entries, 2, _TEXT),
        }
        began = time.perf_counter()
        up.start()
        result["first_start_seconds"] = round(time.perf_counter() - began, 2)
        result["idle_starter_mb"] = _idle(up)
        again = []
        for _ in range(3):
            up.stop()
            began = time.perf_counter()
            up.start()
            again.append(time.perf_counter() - began)
        result["start_seconds"] = round(statistics.median(again), 2)
        root = json.dumps({"root": (home / "keys" / "root.json").read_text(), "channel": "main"}).encode()
        assert up.call("POST", "/v1/definitions/trust", root)[0] == 200
        for name, bundle in bundles.items():
            result[f"upload {name}"] = _upload(up, bundle)
        result["idle_all_mb"] = _idle(up)
    finally:
        if up.process is not None and up.process.poll() is None:
            up.stop()
        shutil.rmtree(home, ignore_errors=True)
    return result


if __name__ == "__main__":
    print(json.dumps(run(*map(int, sys.argv[1:])), indent=2))
