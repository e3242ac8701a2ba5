"""How fast an index report is matched: against all of the advisory data that is there, and against Red Hat's shape.

Packages are drawn from the data itself, so that far more of them have findings than in a real image: half
have advisories, at versions on either side of a fix; half have names that nobody knows. Processor time of
one warm process, best and median; the formats on the report that comes out.

Red Hat's data speaks of products and of each binary package, which none of the rest does. That of one release is made
up as ``scale`` does (as much as five million entries in five releases have of it), and 100,000 packages of it: five of
each of 20,000 sources, in that source's version, three in ten of whose records deny, and the others mostly affect.

    python bench/match.py [MIRROR]
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import scale

from redoubt import formats
from redoubt.definitions import records, snapshot
from redoubt.definitions.build import build
from redoubt.definitions.mirror import Mirror
from redoubt.matcher import match
from redoubt.model import Distribution, Image, IndexReport, Package, VulnerabilityReport

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("REDOUBT_SHARED", ROOT.parent / "shared")) / "data"
#: Share of each namespace in an image of 1,000 packages.
_MIX = {"debian:11": 500, "pypi": 200, "npm": 150, "maven": 100, "golang": 50}
_TYPES = {"debian:11": "deb"}
_DEBIAN = Distribution(id="debian", version_id="11", codename="bullseye")
_RUNS = 40
#: Entries of one release; packages of each source; what Red Hat's repositories of that release stand for.
_REDHAT_ENTRIES = 960_000
_REDHAT_PARTS = 5
_REDHAT = Distribution(id="rhel", version_id="9.4")
_REDHAT_PRODUCTS = ("cpe:/a:redhat:enterprise_linux:9::appstream", "cpe:/o:redhat:enterprise_linux:9::baseos")


def run(mirror: Path = DATA) -> dict[str, object]:
    """Milliseconds for 1,000 packages and seconds for 100,000, and what the report held."""
    with tempfile.TemporaryDirectory() as folder:
        with build(Mirror(mirror)) as built:
            snapshot.create(Path(folder, "s"), built.records())
        with snapshot.Snapshot.open(Path(folder, "s")) as definitions:
            known = _known(definitions)
            small = _index(known, 1)
            report = match(small, definitions)
            best, median = _measured(lambda: match(small, definitions), _RUNS)
            large = _index(known, 100)
            many, _ = _measured(lambda: match(large, definitions), 1)
            return {
                "packages": report.package_count,
                "affected_packages": len(report.packages),
                "findings": sum(len(package.findings) for package in report.packages),
                "match_ms_best": round(best * 1000, 1),
                "match_ms_median": round(median * 1000, 1),
                "match_100k_seconds": round(many, 2),
                "format_ms": {
                    name: _format_ms(report, name) for name in ("table", "json", "cyclonedx", "html")
                },
            }


def run_redhat() -> dict[str, object]:
    """Seconds for 100,000 packages of one release of Red Hat's, and what the report held."""
    with tempfile.TemporaryDirectory() as folder:
        mirror = Path(folder, "scale")
        mirror.mkdir()
        plan = {
            "entries": _REDHAT_ENTRIES,
            "day": 0,
            "scores": 300_000,
            "scores_change": False,
            "releases": "9",
        }
        (mirror / "plan.json").write_text(json.dumps(plan))
        with build(Mirror(Path(folder)), registry=[scale.SOURCE], temporary=Path(folder)) as built:
            snapshot.create(Path(folder, "s"), built.records())
        with snapshot.Snapshot.open(Path(folder, "s")) as definitions:
            index = _redhat_index()
            best, _ = _measured(lambda: match(index, definitions), 3)
            report = match(index, definitions)
    return {
        "redhat_100k_seconds": round(best, 2),
        "redhat_findings": sum(len(package.findings) for package in report.packages),
    }


def _redhat_index() -> IndexReport:
    chance = random.Random(20261122)
    packages = []
    for number in range(scale.SOURCES):
        source = f"component-{number:05d}"
        version = f"{chance.randrange(1, 9)}.{chance.randrange(40)}.{chance.randrange(9)}-{chance.randrange(1, 90)}.el9"
        for part in range(_REDHAT_PARTS):
            package = Package(
                type="rpm",
                name=f"{source}-part{part}" if part else source,
                version=version,
                arch="x86_64",
                source_name=source,
                vendor="Red Hat, Inc.",
                repositories=_REDHAT_PRODUCTS,
            )
            packages.append(package)
    return IndexReport(
        image=Image(reference="bench", kind="dir"), distribution=_REDHAT, packages=tuple(packages)
    )


def _format_ms(report: VulnerabilityReport, name: str) -> float:
    formats.render(report, name)
    return round(_measured(lambda: formats.render(report, name), 5)[0] * 1000, 1)


def _measured(work: Callable[[], object], runs: int) -> tuple[float, float]:
    times = []
    for _ in range(runs):
        start = time.process_time()
        made = work()
        times.append(time.process_time() - start)
        del made  # what becomes of a report afterwards is not its making
    return min(times), statistics.median(times)


def _known(definitions: snapshot.Snapshot) -> dict[str, list[tuple[str, list[str]]]]:
    """Namespace → names in it, each with versions that its advisories speak of."""
    names: dict[tuple[str, str], set[str]] = {}
    for key, value in definitions.records():
        if key[:1] != records.AFFECTED:
            continue
        namespace, name, _ = key[1:].decode().split("\0")
        if namespace in _MIX:
            texts = names.setdefault((namespace, name), set())
            for item in records.decode_affected(value):
                texts.update(text for text in (item.lower, item.upper) if text)
    known: dict[str, list[tuple[str, list[str]]]] = {}
    for (namespace, name), texts in sorted(names.items()):
        if texts:
            known.setdefault(namespace, []).append((name, sorted(texts)))
    return known


def _index(known: dict[str, list[tuple[str, list[str]]]], times: int) -> IndexReport:
    """An image of ``times`` thousand distinct packages, the same every time."""
    chance = random.Random(20261122)
    packages: dict[tuple[str, ...], Package] = {}
    for namespace, share in _MIX.items():
        kind = _TYPES.get(namespace, namespace)
        wanted, number = len(packages) + share * times, 0
        while len(packages) < wanted:
            number += 1
            name, texts = chance.choice(known[namespace])
            version = chance.choice(texts)
            if number % 2:
                name = f"{name}-unknown-{number}"
            elif times > 1 or kind == "deb":
                version += f".{number}" if kind in ("deb", "pypi", "maven") and number % 4 else ""
            source = name if kind == "deb" else ""
            binary = f"lib{name}{number}" if kind == "deb" else name
            package = Package(type=kind, name=binary, version=version, source_name=source)
            packages[package.identity] = package
    return IndexReport(
        image=Image(reference="bench", kind="dir"), distribution=_DEBIAN, packages=tuple(packages.values())
    )


if __name__ == "__main__":
    print(json.dumps(run(*map(Path, sys.argv[1:2])) | run_redhat(), indent=2))
