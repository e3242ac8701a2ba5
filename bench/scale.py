"""Definitions of millions of entries: what building, carrying, importing, looking up and a day's delta cost.

The records are made up in the shape of Red Hat's VEX data: a CVE speaks of about a dozen packages in several
releases, each with a product's CPE and a state. Reading upstream's documents is not part of it (that is
measured where a feed is); sorting, merging, compressing, signing, verifying and writing are. Every phase is
a process of its own; memory is its anonymous memory, sampled (file-backed pages are not counted).

    python bench/scale.py [ENTRIES]        5,000,000 by default; prints JSON
"""

from __future__ import annotations

import base64
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

import msgspec

from redoubt.definitions import build as building
from redoubt.definitions import publish, snapshot
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes
from redoubt.definitions.feeds.ranges import FIXED, affected, tidy
from redoubt.definitions.grouping import package_of
from redoubt.definitions.keys import load_key
from redoubt.definitions.library import Library
from redoubt.definitions.mirror import Mirror
from redoubt.definitions.sources import Download, Source
from redoubt.model import Advisory, Affected, AffectedRange, Cvss, Epss, Severity, Status

REDOUBT = str(Path(sys.executable).with_name("redoubt"))
_RELEASES = ("6", "7", "8", "9", "10")
SOURCES = 20_000
_PER_ADVISORY = 12.5  # entries; what 5.0 million of them in 400,000 advisories come to
_SCORES = 300_000
_POLL = 0.01
_LOOKUPS = 12


class _Synthetic:
    """The feed: its only file says how much, which day it is, and how much changed since day 0."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        (_, data), *_ = files.contents()
        plan = json.loads(data)
        names = [f"component-{number:05d}" for number in range(SOURCES)]
        left = plan["entries"]
        number = 0
        while left > 0:
            changed = plan["day"] and random.Random(number).random() < plan["share"]
            chance = random.Random(number + (1 << 40 if changed else 0))
            notes.read += 1
            name = random.Random(number).choice(names)
            advisory, items = _advisory(number, source, name, chance, plan.get("releases", _RELEASES))
            if text := plan.get("text"):
                prose = base64.b64encode(chance.randbytes(text)).decode()
                advisory = msgspec.structs.replace(advisory, title=f"{advisory.title} {prose}")
            left -= len(items)
            number += 1
            yield advisory, items
        yield from _scores(plan["scores"], plan["scores_change"])


def _scores(count: int, change: bool) -> Iterator[Item]:
    """A score for every CVE; on the day of ``change`` every one is another. A percentile is a score's rank."""
    chance = random.Random(20261126)
    likely = [min(chance.lognormvariate(-6.0, 1.6), 0.97) for _ in range(count)]
    if change:
        likely = [min(score * chance.uniform(0.9, 1.1), 0.97) + 0.00001 for score in likely]
    order = sorted(range(count), key=likely.__getitem__)
    for rank, number in enumerate(order):
        score = Epss(round(likely[number], 5), round(rank / count, 5), f"2026-11-2{7 if change else 6}")
        yield f"CVE-{2015 + number % 10}-{10000 + number}", score


def _advisory(
    number: int, source: str, component: str, chance: random.Random, releases: Sequence[str]
) -> tuple[Advisory, tuple[Affected, ...]]:
    items = []
    for release in chance.sample(releases, min(chance.choice((1, 2, 3)), len(releases))):
        namespace = f"redhat:{release}"
        state = chance.random()
        fix = f"{chance.randrange(1, 9)}.{chance.randrange(40)}.{chance.randrange(9)}-{chance.randrange(1, 90)}.el{release}"
        for part in range(chance.choice((1, 2, 4, 9, 14))):
            name = f"{component}-part{part}" if part else component
            items.append(Affected(namespace, name, tidy(_ranges(release, state, fix, chance))))
    made = Advisory(
        id=f"CVE-{2015 + number % 10}-{10000 + number}",
        source=source,
        title=f"{component}: a flaw of kind {chance.randrange(900)} in handling of input {number}",
        severity=chance.choice((Severity.LOW, Severity.MEDIUM, Severity.HIGH)),
        cvss=(
            Cvss(
                source,
                f"CVSS:3.1/AV:N/AC:{chance.choice('LH')}/PR:N/UI:N/S:U/C:{chance.choice('HLN')}/I:L/A:H",
                7.5,
            ),
        ),
        cwes=(f"CWE-{chance.randrange(20, 900)}",),
        url=f"https://access.redhat.com/security/cve/CVE-{2015 + number % 10}-{10000 + number}",
        published=f"20{15 + number % 10}-0{1 + number % 9}-11T00:00:00Z",
        modified=f"2026-0{1 + chance.randrange(9)}-{10 + chance.randrange(18)}T{chance.randrange(10, 24)}:00:00Z",
    )
    return made, tuple(items)


def _ranges(release: str, state: float, fix: str, chance: random.Random) -> Iterator[AffectedRange]:
    for repository in ("appstream", "baseos") if chance.random() < 0.3 else ("baseos",):
        cpe = f"cpe:/a:redhat:enterprise_linux:{release}::{repository}"
        if state < 0.3:
            yield affected("rpm", status=Status.NOT_AFFECTED, repository=cpe)
        elif state < 0.6:
            yield affected(
                "rpm", status=Status.WILL_NOT_FIX if state < 0.4 else Status.AFFECTED, repository=cpe
            )
        else:
            yield affected("rpm", "", fix, FIXED, repository=cpe)


SOURCE = Source(
    name="scale",
    title="made up",
    home="https://example.org/",
    licence="none",
    attribution="",
    feed=_Synthetic(),
    downloads=(Download("scale/plan.json", "https://example.org/plan.json"),),
    patterns=(("scale/plan.json",),),
)


def _build(folder: Path, out: Path, keys: Path, version: int) -> None:
    """One bundle, in this process."""
    with building.build(Mirror(folder), registry=[SOURCE], temporary=folder) as built:
        publish.publish(built, out, [load_key(keys)], channel="main", now=datetime.now(UTC), version=version)


def _lookups() -> dict[str, float]:
    """Microseconds of processor time for a lookup of a package, the first time and then again, and how many records it has.

    The same packages are looked up, by turns, in a small snapshot that holds the records of these and nothing else. Of both
    it is also measured what finding and copying what is stored takes, without making objects of it.
    """
    from redoubt.cli import settings

    names = [(f"redhat:{2 + n % 5 + 4}", f"component-{n:05d}") for n in range(0, SOURCES, 20)]
    random.Random(20261127).shuffle(names)  # images ask in no order of ours
    wanted = {f"a{namespace}\0{name}\0".encode() for namespace, name in names}
    result: dict[str, float] = {}
    with Library(settings.data_dir()).open_active() as large, tempfile.TemporaryDirectory() as folder:
        few = [item for item in large.records() if item[0][:1] == b"m" or package_of(item[0]) in wanted]
        snapshot.create(Path(folder, "small"), few)
        with snapshot.Snapshot.open(Path(folder, "small")) as small:
            both = {"": large, "small_": small}
            took: dict[str, list[float]] = {prefix: [] for prefix in both}
            read: dict[str, list[float]] = {prefix: [] for prefix in both}
            keys = [f"a{namespace}\0{name}".encode() for namespace, name in names]
            for definitions in both.values():  # neither pays for what only the first lookup of a process does
                definitions.affected("redhat:9", "unknown")
            for _ in range(_LOOKUPS):
                for prefix, definitions in both.items():
                    began = time.process_time()
                    found = sum(len(definitions.affected(*name)) for name in names)
                    took[prefix].append((time.process_time() - began) / len(names) * 1e6)
            for _ in range(_LOOKUPS):
                for prefix, definitions in both.items():
                    began = time.process_time()
                    for key in keys:
                        definitions.stored(key)
                    read[prefix].append((time.process_time() - began) / len(names) * 1e6)
            for prefix, times in took.items():
                result[f"{prefix}first"] = round(times[0], 1)
                result[f"{prefix}again"] = round(statistics.median(times[1:]), 1)
                result[f"{prefix}read"] = round(statistics.median(read[prefix][1:]), 1)
    return result | {"records_each": round(found / len(names), 1), "small_entries": len(few)}


def _watched(command: list[str], environment: dict[str, str]) -> tuple[float, float, bytes]:
    """Seconds, the greatest anonymous memory in megabytes, and the output of a process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    most = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            most = max(most, int(status.partition("RssAnon:")[2].split()[0]))
        except (OSError, IndexError):
            pass
        time.sleep(_POLL)
    assert process.stdout is not None
    if process.returncode:
        raise SystemExit(f"{command}: exit code {process.returncode}")
    return time.perf_counter() - began, most / 1024, process.stdout.read()


def run(entries: int = 5_000_000) -> dict[str, object]:
    """All phases, each once (they take minutes), with what they made."""
    result: dict[str, object] = {"entries": entries}
    with tempfile.TemporaryDirectory(dir=os.environ.get("REDOUBT_BENCH_DIR")) as home:
        base = Path(home)
        environment = os.environ | {"REDOUBT_DATA_DIR": f"{home}/data", "REDOUBT_CACHE_DIR": f"{home}/cache"}
        subprocess.run(
            [REDOUBT, "definitions", "keygen", "--out", f"{home}/keys"], check=True, capture_output=True
        )
        trust = [REDOUBT, "definitions", "trust", "add", f"{home}/keys/root.json", "--channel", "main"]
        subprocess.run(trust, env=environment, check=True, capture_output=True)
        days = (("day0", 0, False), ("day1", 1, False), ("day1-scores", 1, True))
        for version, (name, day, scores) in enumerate(days, 1):
            mirror = base / name
            (mirror / "scale").mkdir(parents=True)
            plan = {"entries": entries, "day": day, "share": 0.01, "scores": _SCORES, "scores_change": scores}
            (mirror / "scale" / "plan.json").write_text(json.dumps(plan))
            command = [
                sys.executable,
                __file__,
                "build",
                str(mirror),
                f"{home}/{name}.zip",
                f"{home}/keys",
                str(version),
            ]
            seconds, megabytes, _ = _watched(command, environment)
            if not day:
                size = Path(f"{home}/{name}.zip").stat().st_size / 1e6
                result["build"] = {
                    "seconds": round(seconds, 1),
                    "anonymous_mb": round(megabytes),
                    "bundle_mb": round(size, 1),
                }
                result["bundle_mb_per_million"] = round(size / entries * 1e6, 1)
        took = []
        for name in ("day0",):
            took = _watched([REDOUBT, "definitions", "import", f"{home}/{name}.zip", "-q"], environment)
            result["import"] = {"seconds": round(took[0], 1), "anonymous_mb": round(took[1])}
        result["lookup_microseconds"] = json.loads(
            _watched([sys.executable, __file__, "lookups"], environment)[2]
        )
        full = Path(f"{home}/day0.zip").stat().st_size
        for name in ("day1", "day1-scores"):
            making = [REDOUBT, "definitions", "delta", f"{home}/day0.zip", f"{home}/{name}.zip"]
            making += ["--key", f"{home}/keys", "--out", f"{home}/{name}.delta.zip", "-q"]
            seconds, megabytes, _ = _watched(making, environment)
            share = Path(f"{home}/{name}.delta.zip").stat().st_size / full
            # Applied where only the base is: the shelf of another machine.
            elsewhere = environment | {"REDOUBT_DATA_DIR": f"{home}/{name}-data"}
            subprocess.run(trust, env=elsewhere, check=True, capture_output=True)
            subprocess.run(
                [REDOUBT, "definitions", "import", f"{home}/day0.zip", "-q"], env=elsewhere, check=True
            )
            took = _watched([REDOUBT, "definitions", "import", f"{home}/{name}.delta.zip", "-q"], elsewhere)
            result[f"delta {name}"] = {
                "percent_of_bundle": round(share * 100, 2),
                "made_seconds": round(seconds, 1),
                "applied_seconds": round(took[0], 1),
                "applied_anonymous_mb": round(took[1]),
            }
    return result


def main() -> None:
    """Run everything, or one phase where the bench calls itself."""
    match sys.argv[1:]:
        case ["build", mirror, out, keys, version]:
            _build(Path(mirror), Path(out), Path(keys), int(version))
        case ["lookups"]:
            print(json.dumps(_lookups()))
        case [] | [_]:
            print(json.dumps(run(*map(int, sys.argv[1:])), indent=2))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
