"""Every answer of definitions and matcher over the whole advisory data, against a naive second matcher.

For each package and each version around its records' bounds: the same findings under the same names, with the
same aliases, records, fixed version and upgrade. Versions are ordered by the ecosystems' own tools.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import matcher_languages as languages
import matcher_oracle as oracle
import matcher_orders as tools
import matcher_systems as systems
import pytest
from matcher_probes import checksum, probes

from redoubt.definitions.build import build
from redoubt.definitions.mirror import Mirror
from redoubt.definitions.snapshot import Snapshot, create
from redoubt.matcher import match
from redoubt.model import Detection, Distribution, Image, IndexReport, Location, Package, PackageFindings
from support.data import shared_data
from support.feeds import fixture_mirror

#: How many times more packages to ask about than a test run has time for.
SCALE = int(os.environ.get("REDOUBT_ORACLE_SCALE", "1"))


class Case(NamedTuple):
    """One part of the data: what it says, and how many packages and versions of each to ask about.

    A quarter of the packages are those with the most records, the others are drawn by checksum.
    """

    scheme: str
    type: str
    packages: int
    versions: int


CASES = {
    "pypi": Case("pypi", "pypi", 80, 40),
    "golang": Case("golang", "golang", 200, 30),
    "npm": Case("npm", "npm", 100, 120),
    "maven": Case("maven", "maven", 100, 90),
    "debian": Case("deb", "deb", 50, 30),
    "alpine": Case("apk", "apk", 30, 40),
    "wolfi": Case("apk", "apk", 80, 40),
    "almalinux": Case("rpm", "rpm", 24, 16),
    "rubygems": Case("gem", "gem", 120, 60),
    "bitnami": Case("semver", "bitnami", 60, 40),
    "crates.io": Case("semver", "cargo", 200, 30),
}

#: Parts of which there are fixtures only.
SMALL = {
    "nuget": Case("nuget", "nuget", 20, 60),
    "packagist": Case("composer", "composer", 20, 60),
    "hex": Case("semver", "hex", 20, 60),
    "pub": Case("pub", "pub", 20, 60),
    "swift": Case("semver", "swift", 20, 60),
    "julia": Case("julia", "julia", 20, 60),
    "amazon": Case("rpm", "rpm", 20, 60),
    "rocky": Case("rpm", "rpm", 20, 60),
    "bottlerocket": Case("rpm", "rpm", 20, 60),
    "fedora": Case("rpm", "rpm", 20, 60),
    "photon": Case("rpm", "rpm", 20, 60),
    "redhat": Case("rpm", "rpm", 20, 60),
    "arch": Case("pacman", "alpm", 20, 60),
    "chainguard": Case("apk", "apk", 20, 60),
    "minimos": Case("apk", "apk", 20, 60),
    "ubuntu": Case("deb", "deb", 20, 60),
}

CASE = CASES | SMALL

READERS = {
    reader.__name__: reader
    for reader in (
        systems.amazon,
        systems.rocky,
        systems.bottlerocket,
        systems.fedora,
        systems.photon,
        systems.redhat,
        systems.arch,
        systems.ubuntu,
    )
}

LANGUAGES = ("RubyGems", "Bitnami", "crates.io", "NuGet", "Packagist", "Hex", "Pub", "SwiftURL", "Julia")


#: Parts whose fixtures are well-formed: the naive reader takes no others.
FIXTURES = (
    "almalinux",
    "alpine",
    "debian",
    "golang",
    "maven",
    "npm",
    "wolfi",
    "rubygems",
    "bitnami",
    "crates.io",
    *SMALL,
)


@contextmanager
def snapshot_of(mirror: Path, folder: Path) -> Iterator[Snapshot]:
    with build(Mirror(mirror)) as built:
        create(folder, built.records())
    with Snapshot.open(folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    with snapshot_of(shared_data(), tmp_path_factory.mktemp("oracle") / "snapshot") as opened:
        yield opened


#: Parts whose records may call a flaw by both names.
NAMING = ("pypi", "golang", "npm", "maven", "rubygems", "alpine", "wolfi", "chainguard", "minimos")


def claims(part: str, data: Path) -> dict[str, dict[str, list[oracle.Claim]]]:
    """Namespace → package → claims, each with the CVE that others say it is."""
    own, mentioned = names(data)
    return {
        namespace: {
            name: [oracle.renamed(claim, own, mentioned) for claim in said] for name, said in packages.items()
        }
        for namespace, packages in read(part, data).items()
    }


@cache
def names(data: Path) -> tuple[oracle.Names, oracle.Names]:
    own: oracle.Names = {}
    mentioned: oracle.Names = {}
    everything = [every_language(data)]
    for part in NAMING:
        with suppress(FileNotFoundError):
            everything.append(read(part, data))
    for found in everything:
        for packages in found.values():
            for said in packages.values():
                oracle.told(said, own, mentioned)
    if (archive := data / "chainguard-names/chainguard-osv.tar.gz").exists():
        oracle.told_by_chainguard(archive, mentioned)
    return own, mentioned


def read(part: str, data: Path) -> dict[str, dict[str, list[oracle.Claim]]]:
    """The same as each upstream writes it."""
    match part:
        case "pypi":
            return {"pypi": oracle.osv(data, "PyPI", "osv-pypi")}
        case "golang":
            return {"golang": oracle.osv(data, "Go", "osv-go")}
        case "npm":
            return {"npm": oracle.osv(data, "npm", "osv-npm")}
        case "maven":
            return {"maven": oracle.osv(data, "Maven", "osv-maven")}
        case "debian":
            return oracle.debian(next((data / "debian").glob("tracker.json*")))
        case "alpine":
            return oracle.secdb(sorted((data / "alpine").glob("*/*.json")), "alpine")
        case "wolfi":
            return oracle.secdb([data / "wolfi/security.json"], "wolfi")
        case "almalinux":
            return oracle.almalinux(data)
        case "chainguard" | "minimos":
            return oracle.secdb([data / part / "security.json"], part)
        case "amazon" | "rocky" | "bottlerocket" | "fedora" | "photon" | "redhat" | "arch" | "ubuntu":
            return READERS[part](data)
        case "rubygems" | "bitnami" | "crates.io" | "nuget" | "packagist" | "hex" | "pub" | "swift" | "julia":
            return {part: every_language(data).get(part, {})}
    raise ValueError(part)


def every_language(data: Path) -> dict[str, dict[str, list[oracle.Claim]]]:
    parts = [
        languages.osv(data / "osv" / name / "all.zip", f"osv-{name.removesuffix('URL').lower()}")
        for name in LANGUAGES
        if (data / "osv" / name / "all.zip").exists()
    ]
    if (archive := data / "github/advisory-database.zip").exists():
        parts.append(languages.osv(archive, "github", "/github-reviewed/"))
    parts.append(languages.ruby(data / "ruby/ruby-advisory-db.zip"))
    found: dict[str, dict[str, list[oracle.Claim]]] = {}
    for part in parts:
        for namespace, packages in part.items():
            for name, claims in packages.items():
                found.setdefault(namespace, {}).setdefault(name, []).extend(claims)
    return found


def distribution(namespace: str) -> Distribution | None:
    name, colon, version = namespace.partition(":")
    if not colon and name not in ("wolfi", "chainguard", "minimos", "bottlerocket", "arch"):
        return None
    names = {"redhat": "rhel", "amazon": "amzn"}
    return Distribution(id=names.get(name, name), version_id=version.removeprefix("v"))


class Asked(NamedTuple):
    """One package with one version: what is asked, and what the oracle needs to answer."""

    name: str
    probe: oracle.Probe
    claims: list[oracle.Claim]
    order: tools.Order


def questions(part: str, spoken: dict[str, list[oracle.Claim]]) -> list[Asked]:
    case = CASE[part]
    most = case.packages * SCALE
    by_records = sorted(spoken, key=lambda name: (-len(spoken[name]), name))
    at_random = sorted(by_records[most // 4 :], key=lambda name: (checksum(name), name))
    names = by_records[: most // 4] + at_random[: most - most // 4]
    groups = []
    for name in names:
        bounds = {text for claim in spoken[name] for text in oracle.texts(claim) - claim.listed}
        listed = {text for claim in spoken[name] for text in claim.listed}
        groups.append(probes(case.scheme, name, bounds, listed, case.versions))
    everything = [
        sorted({*group, *(text for claim in spoken[name] for text in oracle.texts(claim))})
        for name, group in zip(names, groups, strict=True)
    ]
    asked = []
    if case.scheme == "gem":
        wanted = [sorted({text for claim in spoken[name] for text in claim.spared or ()}) for name in names]
        ordered = tools.requirements(everything, wanted)
    else:
        ordered = tools.orders(case.scheme, everything)
    for name, group, order in zip(names, groups, ordered, strict=True):
        modules = sorted({claim.module for claim in spoken[name]} - {"", "-", "*"})
        streams = [""]
        if part in ("almalinux", "rocky"):
            streams += [*(f"{module}:8050020211" for module in modules[:3]), "other:1"]
        arches = sorted({arch for claim in spoken[name] for arch in claim.arches} | {"x86_64"})
        if len(arches) > 1 or part in SMALL:
            arches += ["s390x", "noarch"]
        repositories = sorted({one for claim in spoken[name] for one in claim.repositories} | {""})
        if len(repositories) > 1:
            repositories.append("another")
        for version, *rest in product(group, streams, dict.fromkeys(arches), repositories):
            if part == "photon" and ":" in version:
                continue  # compared without an epoch (docs/sources.md)
            asked.append(Asked(name, oracle.Probe(version, *rest), spoken[name], order))
    return asked


def installed(part: str, asked: Asked, place: int) -> Package:
    """Half of the Debian and Alpine packages are binaries that are named and versioned otherwise."""
    name, version, other = asked.name, asked.probe.version, {}
    if CASE[part].type in ("deb", "apk") and place % 2:
        other = {"source_name": name, "source_version": version}
        name, version = f"lib{name}-bin", f"{version}+b1"
    return Package(
        type=CASE[part].type,
        name=name,
        version=version,
        arch=asked.probe.arch,
        module=asked.probe.module,
        repositories=(asked.probe.repository,) if asked.probe.repository else (),
        locations=(Location(str(place)),),
        **other,
    )


def differences(asked: Asked, got: PackageFindings | None) -> list[str]:
    """What the report says otherwise than the oracle, a line each."""
    expected, upgrades = oracle.judge(asked.claims, asked.probe, asked.order)
    found = {finding.id: finding for finding in got.findings} if got else {}
    lines = [f"missing {name}" for name in sorted(expected.keys() - found.keys())]
    lines += [f"too many {name}" for name in sorted(found.keys() - expected.keys())]
    for name in sorted(expected.keys() & found.keys()):
        want, have = expected[name], found[name]
        if frozenset(have.aliases) != want.aliases:
            lines.append(f"{name} aliases {sorted(want.aliases ^ set(have.aliases))}")
        if frozenset(item.ref for item in have.advisories) != want.refs:
            lines.append(f"{name} records {sorted(want.refs)} but {[item.ref for item in have.advisories]}")
        if have.status != want.status:
            lines.append(f"{name} status {want.status} but {have.status}")
        if not _same(asked.order, want.fixed, have.fixed_version):
            lines.append(f"{name} fixed {want.fixed!r} but {have.fixed_version!r}")
    if got and expected.keys() == found.keys() and got.upgrade not in upgrades:
        lines.append(f"upgrade {sorted(upgrades)} but {got.upgrade!r}")
    where = " ".join((asked.name, *filter(None, asked.probe)))
    return [f"{where}: {line}" for line in lines]


def _same(order: tools.Order, a: str, b: str) -> bool:
    return a == b or bool(a and b and order(a, b) == 0)


@pytest.mark.shared
@pytest.mark.parametrize("part", sorted(CASES))
def test_findings_are_those_of_a_naive_reading(part: str, snapshot: Snapshot) -> None:
    compared, affected = compare(part, shared_data(), snapshot)
    assert compared // 20 < affected < compared


@pytest.mark.parametrize("part", FIXTURES)
def test_findings_of_the_fixtures_are_those_of_a_naive_reading(part: str, tmp_path: Path) -> None:
    mirror = fixture_mirror(tmp_path / "mirror")
    with snapshot_of(mirror, tmp_path / "snapshot") as opened:
        compared, affected = compare(part, mirror, opened)
    assert 0 < affected < compared


def compare(part: str, data: Path, snapshot: Snapshot) -> tuple[int, int]:
    """How many packages were compared and have findings; fails where the two matchers differ."""
    if package := tools.missing(CASE[part].scheme):
        pytest.skip(f"needs the Debian package {package}")
    exploited = {
        item["cveID"]: item["dateAdded"]
        for item in json.loads((data / "kev/known_exploited_vulnerabilities.json").read_text())[
            "vulnerabilities"
        ]
    }
    wrong: list[str] = []
    compared = affected = 0
    for namespace, spoken in sorted(claims(part, data).items()):
        asked = questions(part, spoken)
        packages = tuple(installed(part, one, place) for place, one in enumerate(asked))
        report = match(
            IndexReport(
                image=Image(reference="x", kind="dir"),
                distribution=distribution(namespace),
                packages=packages,
            ),
            snapshot,
            detection=Detection.COMPREHENSIVE,
        )
        results = {int(item.locations[0].path): item for item in report.packages}
        compared += len(asked)
        affected += len(results)
        for place, one in enumerate(asked):
            if one.probe.version == "(devel)":
                assert place not in results
                continue
            wrong += [f"{namespace} {line}" for line in differences(one, results.get(place))]
        for item in report.packages:
            for finding in item.findings:
                names = [name for name in (finding.id, *finding.aliases) if name in exploited]
                days = [exploited[name] for name in names]
                if (finding.kev.added if finding.kev else None) != min(days, default=None):
                    wrong.append(f"{namespace} {item.name} {finding.id} KEV {days} but {finding.kev}")
    print(f"{part}: {compared} packages compared, {affected} affected, {len(wrong)} differences")
    if wrong:
        pytest.fail(f"{len(wrong)} differences in {compared} packages:\n" + "\n".join(wrong[:40]))
    return compared, affected
