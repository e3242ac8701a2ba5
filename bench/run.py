"""`make bench`: every measurement, written to docs/benchmarks.md with the machine it was made on.

    python bench/run.py

Needs the advisory data that ``REDOUBT_SHARED`` names (``../shared`` by default) for the build and the
match; what cannot be measured here is left out, and the page says so.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "scripts")]

import activity as activity_bench
import admission as admission_bench
import collector as collector_bench
import fleet as fleet_bench
import hub as hub_bench
import index as index_bench
import make_image
import network_policies as network_policies_bench
import outage as outage_bench
import policies as policies_bench
import runtime as runtime_bench
import scale as scale_bench
import sensor as sensor_bench
import versions as versions_bench
import wire as wire_bench

DATA = Path(os.environ.get("REDOUBT_SHARED", ROOT.parent / "shared")) / "data"
REDOUBT = str(Path(sys.executable).with_name("redoubt"))
ROXCTL = str(Path(sys.executable).with_name("roxctl"))
# Installed programs have their bytecode; a machine that forbids writing it measures the compiler instead.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def main() -> None:
    page = [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {datetime.datetime.now(datetime.UTC):%Y-%m-%d}: {_machine()}. "
        "Warm page cache; medians. Nothing on this page is asserted by a test.",
        "",
    ]
    page += _index_section(index_bench.run())
    page += _again_section()
    page += _definitions_section()
    page += _stackrox_section()
    page += _scale_section()
    page += _services_section()
    page += _fleet_section(fleet_bench.run())
    page += _policies_section()
    page += network_policies_bench.section()
    page += activity_bench.section(activity_bench.run())
    page += _versions_section()
    page += _wire_section()
    page += admission_bench.section(admission_bench.run())
    page += collector_bench.section(collector_bench.run())
    page += runtime_bench.section()
    page += sensor_bench.section()
    page += hub_bench.section()
    page += outage_bench.section()
    page += _start_section()
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(page) + "\n", "utf-8")
    print("\n".join(page))


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux, Python {platform.python_version()}"


def _index_section(result: dict[str, object]) -> list[str]:
    image = result["image"]
    assert isinstance(image, dict)
    lines = [
        "## Cold index of a large image",
        "",
        "A Debian root with Python, npm, Java and Go packages in uneven layers (`bench/make_image.py`): "
        + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in image.items())
        + ". Every run is a process of its own. The floor is what cannot be avoided: igzip and both SHA-256 sums on "
        "two threads for gzip layers, one SHA-256 for plain ones. Syft 1.18.1 ran in the same session.",
        "",
        "| form | Redoubt | memory | floor | times floor | Syft | Syft memory | faster than Syft | index again |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, label in (("oci", "OCI layout, gzip"), ("archive", "docker archive, plain")):
        row = result[name]
        assert isinstance(row, dict)
        lines.append(
            f"| {label} | {row['seconds']:.2f} s | {row['megabytes']:.0f} MB | {row['floor_seconds']:.2f} s "
            f"| {row['times_floor']} | {_or(row, 'syft_seconds', '.1f', ' s')} | {_or(row, 'syft_megabytes', '.0f', ' MB')} "
            f"| {_or(row, 'times_faster_than_syft', '.1f', ' ×')} | {row['again_seconds']:.2f} s |"
        )
    lines.append("")
    packages = result.get("packages")
    if isinstance(packages, dict):
        lines += ["Packages against Syft's (type, name, version):", ""]
        for key, value in packages.items():
            shown = f"{len(value)}" if isinstance(value, list) else str(value)
            lines.append(f"- {key.replace('_', ' ')}: {shown}")
        lines += ["", "The differences are explained in [catalogers.md](catalogers.md).", ""]
    return lines


def _or(row: dict[str, object], key: str, form: str, unit: str) -> str:
    value = row.get(key)
    return "not measured" if value is None else f"{value:{form}}{unit}"


def _again_section() -> list[str]:
    """`redoubt scan` of the same image a second time, from an archive and from a registry if there is one."""
    layout, archive = make_image.make()
    lines = [
        "## `redoubt scan` again",
        "",
        "The whole command, process start included, on the image above.",
        "",
    ]
    lines += ["| target | seconds |", "|---|---|"]
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"REDOUBT_DATA_DIR": f"{home}/data", "REDOUBT_CACHE_DIR": f"{home}/cache"}
        subprocess.run([REDOUBT, "definitions", "import", "--starter", "-q"], env=environment, check=True)
        lines.append(f"| docker archive | {_scan(str(archive), environment):.2f} |")
        lines.append(f"| OCI layout | {_scan(str(layout), environment):.2f} |")
        try:
            sys.path.insert(0, str(ROOT / "tests"))
            lines.append(
                f"| registry (Debian's docker-registry, loopback) | {_from_registry(archive, environment):.2f} |"
            )
        except (FileNotFoundError, ImportError) as error:
            lines.append(f"| registry | not measured: {error} |")
    return [*lines, ""]


def _scan(target: str, environment: dict[str, str], *options: str) -> float:
    command = [REDOUBT, "scan", target, "-q", "-o", "json", *options]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return _timed(command, environment, runs=7)


def _from_registry(archive: Path, environment: dict[str, str]) -> float:
    from support.registry import start_registry

    with tempfile.TemporaryDirectory() as folder, start_registry(Path(folder)) as registry:
        name = registry.push(f"docker-archive:{archive}", "bench/image:1")
        return _scan(name, environment)


def _definitions_section() -> list[str]:
    lines = ["## Definitions", ""]
    if not DATA.is_dir():
        return [*lines, "Not measured: the advisory data is not here.", ""]
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"REDOUBT_DATA_DIR": f"{home}/data", "REDOUBT_CACHE_DIR": f"{home}/cache"}
        keys, out = f"{home}/keys", f"{home}/bundle.zip"
        subprocess.run([REDOUBT, "definitions", "keygen", "--out", keys], check=True, capture_output=True)
        build = [REDOUBT, "definitions", "build", "--mirror", str(DATA), "--key", keys, "--out", out, "-q"]
        seconds = _timed(build, environment, runs=3)
        size = Path(out).stat().st_size / 1e6
        trust = [REDOUBT, "definitions", "trust", "add", f"{keys}/root.json", "--channel", "main"]
        subprocess.run(trust, env=environment, check=True, capture_output=True)
        take = _timed([REDOUBT, "definitions", "import", out, "-q"], environment, runs=1)
    # A process of its own, as a scan is: what other measurements left in memory is not a match's.
    command = [sys.executable, str(ROOT / "bench" / "match.py")]
    result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [
        *lines,
        "| what | figure |",
        "|---|---|",
        f"| a signed bundle from all of the mirror's data, the whole command | {seconds:.1f} s, {size:.1f} MB |",
        f"| importing it, the whole command | {take:.1f} s |",
        f"| match of 1,000 packages, warm | {result['match_ms_median']} ms ({result['findings']:,} findings) |",
        f"| match of 100,000 packages | {result['match_100k_seconds']} s |",
        f"| match of 100,000 packages in Red Hat's shape, made up | {result['redhat_100k_seconds']} s "
        f"({result['redhat_findings']:,} findings) |",
        "",
    ]


def _stackrox_section() -> list[str]:
    # A process of its own, so that nothing else's memory counts.
    command = [sys.executable, str(ROOT / "bench" / "stackrox.py")]
    result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [
        "## StackRox's bundle",
        "",
        f"`definitions import` of a synthetic bundle of {result['records']:,} vulnerabilities "
        f"({result['json_megabytes']:,} MB of JSON): read, sorted, written and made active.",
        "",
        "| what | figure |",
        "|---|---|",
        f"| the whole command | {result['seconds']} s, {result['cpu_seconds']} s of a processor |",
        f"| records a second | {result['records_a_second']:,} |",
        f"| anonymous memory at most | {result['megabytes']} MB |",
        "",
    ]


def _scale_section() -> list[str]:
    entries = int(os.environ.get("REDOUBT_BENCH_ENTRIES", "5000000"))
    result = scale_bench.run(entries)
    lines = [
        f"## {entries:,} affected entries",
        "",
        "Made up in the shape of Red Hat's VEX data, with 300,000 EPSS scores (`bench/scale.py`); each phase a process "
        "of its own. Memory is anonymous memory, file-backed pages are not counted. Reading upstream's documents is "
        "not part of it. A day is 1 % of advisories changed; with scores, every score changed too.",
        "",
        "| what | seconds | memory | size |",
        "|---|---|---|---|",
    ]
    built, taken = result["build"], result["import"]
    lines.append(
        f"| build, sign | {built['seconds']} | {built['anonymous_mb']} MB "
        f"| {built['bundle_mb']} MB, {result['bundle_mb_per_million']} MB per million entries |"
    )
    lines.append(f"| import, verify, activate | {taken['seconds']} | {taken['anonymous_mb']} MB | |")
    for name, label in (("day1", "a day's delta"), ("day1-scores", "a day's delta with every score")):
        row = result[f"delta {name}"]
        lines.append(
            f"| {label}: made | {row['made_seconds']} | | {row['percent_of_bundle']} % of the bundle |"
        )
        lines.append(f"| {label}: applied | {row['applied_seconds']} | {row['applied_anonymous_mb']} MB | |")
    look = result["lookup_microseconds"]
    lines += [
        "",
        f"A package's lookup takes {look['first']} µs the first time, {look['again']} µs again "
        f"({look['records_each']} records each). In a snapshot of nothing but these packages ({look['small_entries']:,} "
        f"entries), asked by turns with the large one, the same lookups take {look['small_first']} and "
        f"{look['small_again']} µs. Reading what is stored, without making objects of it, is {look['read']} µs of that, and "
        f"{look['small_read']} µs in the small one: see [decision 26](decisions/0026-lookups-and-the-table.md).",
    ]
    return [*lines, ""]


def _services_section() -> list[str]:
    """Central and its services, in a process tree of their own."""
    entries = int(os.environ.get("REDOUBT_BENCH_ENTRIES", "5000000"))
    command = [sys.executable, str(ROOT / "bench" / "services.py"), str(entries)]
    done = subprocess.run(command, check=False, capture_output=True)
    lines = ["## `redoubt up`", ""]
    if done.returncode:
        return [*lines, f"Not measured: {done.stderr.decode(errors='replace').strip().splitlines()[-1:]}", ""]
    result = json.loads(done.stdout)
    idle, loaded = result["idle_starter_mb"], result["idle_all_mb"]
    lines += [
        f"Central, Indexer, Matcher and PostgreSQL in one process tree (`bench/services.py`). Memory is anonymous memory. An "
        f"upload is timed from the start of `roxctl scanner upload-db` until the Matcher matches with it; the bundles have "
        f"{entries:,} entries, once as they are and once with text that nothing compresses, as large as StackRox's own.",
        "",
        "| what | figure |",
        "|---|---|",
        f"| ready after the first start (makes the database, the CA, imports the starter) | {result['first_start_seconds']} s |",
        f"| ready after a later start | {result['start_seconds']} s |",
        f"| idle with the starter: all (Central, Indexer, Matcher) | {idle['all']} MB ({idle['central']}, {idle['indexer']}, {idle['matcher']}) |",
        f"| idle with {entries:,} entries: all | {loaded['all']} MB ({loaded['central']}, {loaded['indexer']}, {loaded['matcher']}) |",
    ]
    for name in ("as it is", "with text"):
        row = result[f"upload {name}"]
        lines.append(
            f"| upload of {row['bundle_mb']} MB: matching with it; answered | {row['matching_seconds']} s; {row['answered_seconds']} s; "
            f"Central's memory up by {row['central_more_mb']} MB |"
        )
    return [*lines, ""]


def _fleet_section(result: dict[str, Any]) -> list[str]:
    rows, pages = result["rows"], result["pages"]
    floor = max(pages["empty"]["p99_ms"], pages["empty_again"]["p99_ms"])
    runs = {
        "first": "all packages judged, nothing known before",
        "again": "all packages judged again",
        "day": "a day's delta, with every score",
        "nothing": "the same definitions again: all marks asked",
    }
    return [
        "## The fleet",
        "",
        f"{rows['fleet_images']:,} images, {rows['fleet_image_packages']:,} image–package rows, {rows['fleet_packages']:,} distinct "
        f"packages whose names and versions are drawn from the advisory data, {rows['fleet_findings']:,} findings; "
        f"{result['megabytes']} MB in the embedded PostgreSQL (`bench/fleet.py`). On the day one advisory in a hundred "
        "changes, and every score. Judging, storing the difference and PostgreSQL share the machine. *Counted*: lists and counts "
        "are up to date as well; *listed*: what `/v1/images` shows of each image, too.",
        "",
        "| run | questions that differ | packages judged | seconds | counted after | listed after that |",
        "|---|---|---|---|---|---|",
        *(
            f"| {label} | {result[name]['questions']:,} | {result[name]['packages']:,} | {result[name]['seconds']} "
            f"| {result[name]['counted_seconds']} | {result[name]['listed_seconds']} |"
            for name, label in runs.items()
        ),
        "",
        f"A new image's index report is taken in at {result['images_put_per_second']} a second; a whole report of one image is put "
        f"together in {result['whole_report_ms']} ms.",
        "",
        "First pages of 100 rows over HTTP, 16 clients who never wait, beside a handler of Central's that does nothing, "
        "on the same server in the same run (before and after; measured against the slower):",
        "",
        "| page | p50 ms | p99 ms | times the empty handler's p99 | a second |",
        "|---|---|---|---|---|",
        *(
            f"| {name.replace('_', ' ')} | {page['p50_ms']} | {page['p99_ms']} | {page['p99_ms'] / floor:.1f} | {page['per_second']} |"
            for name, page in pages.items()
        ),
        "",
    ]


def _policies_section() -> list[str]:
    lines = [
        "## Policies",
        "",
        "All default policies switched on and one more; one core, milliseconds.",
        "",
        "| what | median | 99th percentile |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {median:.3f} | {worst:.3f} |" for name, median, worst in policies_bench.figures()]
    return [*lines, ""]


def _versions_section() -> list[str]:
    lines = [
        "## Version keys",
        "",
        "Keys a second on one core. *Repeating*: versions that share pieces, as real ones do; ",
    ]
    lines[-1] += "*distinct*: no number occurs twice."
    lines += ["", "| scheme | repeating | distinct |", "|---|---|---|"]
    for scheme, rates in versions_bench.run().items():
        lines.append(f"| {scheme} | {rates['repeating']:,} | {rates['distinct']:,} |")
    return [*lines, ""]


def _wire_section() -> list[str]:
    rates = wire_bench.run()
    return [
        "## The one port",
        "",
        "Over TLS, 16 at once; what a second of the server's CPU is good for.",
        "",
        "| what | a CPU second |",
        "|---|---|",
        f"| GET, a bare uvicorn | {rates['uvicorn']:,.0f} |",
        f"| GET, the one port | {rates['one_port']:,.0f} |",
        f"| gRPC, calls with one answer | {rates['calls']:,.0f} |",
        f"| gRPC, a stream in chunks of 1 MB | {rates['stream']:,.0f} MB |",
        "",
    ]


def _start_section() -> list[str]:
    lines = ["## Start", "", "| command | milliseconds |", "|---|---|"]
    for words in ([REDOUBT, "--help"], [ROXCTL, "version"], [REDOUBT, "scan", "--help"]):
        name = " ".join([Path(words[0]).name, *words[1:]])
        lines.append(f"| `{name}` | {_timed(words, dict(os.environ), runs=15) * 1000:.0f} |")
    return lines


def _timed(command: list[str], environment: dict[str, str], runs: int) -> float:
    """The median wall time of a command, in seconds."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(command, env=environment, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main()
