"""SUSE, openSUSE, Oracle, Azure Linux, Mariner and Photon, from upstream's files to findings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from matcher_snapshot import index

from redoubt.definitions import snapshot
from redoubt.definitions.build import build
from redoubt.definitions.mirror import Mirror
from redoubt.matcher import match
from redoubt.model import Distribution, Judged, Package, Severity, VulnerabilityReport
from support.feeds import fixture_mirror

SOURCES = ("suse", "opensuse", "oracle", "azurelinux", "photon")


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[snapshot.Snapshot]:
    folder = tmp_path_factory.mktemp("definitions")
    with build(Mirror(fixture_mirror(folder / "mirror", SOURCES)), SOURCES) as built:
        snapshot.create(folder / "snapshot", built.records())
    with snapshot.Snapshot.open(folder / "snapshot") as opened:
        yield opened


def scanned(definitions: snapshot.Snapshot, system: str, **package: str) -> VulnerabilityReport:
    identifier, _, version = system.partition(":")
    name, _, installed = package.pop("nvr").partition("=")
    one = Package(type="rpm", name=name, version=installed, **package)
    return match(index([one], Distribution(id=identifier, version_id=version)), definitions)


def flaws(
    definitions: snapshot.Snapshot, system: str, nvr: str, arch: str = "x86_64", **more: str
) -> list[str]:
    """``CVE-2099-0001 < version that fixes`` of each finding, in the order of ids."""
    report = scanned(definitions, system, nvr=nvr, arch=arch, **more)
    assert report.coverage[0].judged is Judged.MATCHED
    return sorted(
        f"{item.id.removeprefix('CVE-2099-')} < {item.fixed_version}"
        for one in report.packages
        for item in one.findings
    )


@pytest.mark.parametrize(
    ("system", "nvr", "expected"),
    [
        (
            "sles:15.5",
            "libfixture1=1.4.2-150500.3.3.1",
            ["0701 < 1.4.2-150500.3.6.1", "0703 < 1.4.2-150500.3.9.1"],
        ),
        ("sles:15.5", "libfixture1=1.4.2-150500.3.6.1", ["0703 < 1.4.2-150500.3.9.1"]),
        ("sles:15.5", "libfixture1=1.4.2-150500.3.9.1", []),
        ("sled:15.5", "libfixture1=1.4.2-150500.3.6.1", ["0703 < 1.4.2-150500.3.9.1"]),
        ("sles:15.5", "python311-fixture=1.0-1", ["0702 < "]),
        ("sles:15.5", "python3-fixture=1.0-1", []),
        ("sles:15.5", "fixture-tools=1.0-1", ["0701 < 1.4.2-150500.3.6.1"]),
        ("sles:15.4", "libfixture1=1.3.9-150400.2.8.1", ["0701 < 1.3.9-150400.2.9.1"]),
        ("sles:12.5", "libfixture1=1.0-3.3.0", ["0701 < 1.0-3.3.1", "0703 < 1.0-3.3.1"]),
        ("sle-micro:5.5", "libfixture1=1.4.2-150500.3.3.1", ["0701 < 1.4.2-150500.3.6.1"]),
        ("opensuse-leap:15.5", "libfixture1=1.4.2-150500.3.3.1", ["0711 < 1.4.2-150500.3.6.1"]),
        ("opensuse-leap:15.5", "libfixture1=1.4.2-150500.3.6.1", []),
        ("opensuse-leap:15.5", "fixture-viewer=9-9", ["0711 < "]),
        ("opensuse-tumbleweed:20990801", "libfixture1=1.5.0-1.1", ["0711 < 1.6.0-1.1"]),
        ("opensuse-tumbleweed:20990801", "fixture-ranged=1.9-1.1", []),
        ("opensuse-tumbleweed:20990801", "fixture-ranged=2.0-1.1", ["0711 < "]),
    ],
)
def test_suse(definitions: snapshot.Snapshot, system: str, nvr: str, expected: list[str]) -> None:
    assert flaws(definitions, system, nvr) == expected


def test_a_fix_that_needs_a_subscription_names_its_channel(definitions: snapshot.Snapshot) -> None:
    [(_, [held])] = definitions.affected("sles:15.4", "libfixture1")
    assert held.channel == "ltss"
    [(_, [held])] = definitions.affected("sles:15.1", "libfixture1")
    assert held.channel == "bcl"


def test_a_fix_for_another_architecture_does_not_count(definitions: snapshot.Snapshot) -> None:
    nvr = "libfixture1=1.4.2-150500.3.9.1"
    assert flaws(definitions, "sles:15.5", nvr, "aarch64") == ["0703 < 1.4.2-150500.3.9.2"]
    assert flaws(definitions, "sles:15.5", nvr, "x86_64") == []
    assert flaws(definitions, "sles:15.5", nvr, "riscv64") == []


@pytest.mark.parametrize(
    ("system", "nvr", "arch", "module", "expected"),
    [
        (
            "ol:8.9",
            "fixture-libs=1:1.4.2-2.el8",
            "x86_64",
            "",
            ["0721 < 1:1.4.2-3.el8", "0722 < 1:1.4.2-3.el8"],
        ),
        ("ol:8.9", "fixture-libs=1:1.4.2-3.el8", "x86_64", "", []),
        ("ol:8.9", "fixture-libs=1:1.4.2-2.el8", "x86_64", "fixture:1", []),
        # A 32-bit library on a 64-bit system, and an architecture for which the erratum has the same fix.
        (
            "ol:8.9",
            "fixture-tools=1:1.4.2-2.el8",
            "i686",
            "",
            ["0721 < 1:1.4.2-3.el8", "0722 < 1:1.4.2-3.el8"],
        ),
        # Flavours: each only with its own, whatever the versions of the others are.
        ("ol:8.9", "fixture-libs=2:1.4.2-2.ksplice1.el8", "x86_64", "", ["0721 < 2:1.4.2-3.ksplice1.el8"]),
        ("ol:8.9", "fixture-libs=2:1.4.2-3.ksplice1.el8", "x86_64", "", []),
        ("ol:8.9", "fixture-libs=10:1.4.2-2.el8_fips", "x86_64", "", ["0721 < 10:1.4.2-3.el8_fips"]),
        ("ol:8.9", "fixture-libs=10:1.4.2-3.el8_fips", "x86_64", "", []),
        # An erratum of Ksplice alone says nothing of a common build.
        ("ol:8.9", "fixture-odd=2:1.4.2-2.el8", "x86_64", "", []),
        ("ol:7.9", "fixture-daemon=8.24-57.0.1.el7_9.3", "x86_64", "", []),
        ("ol:7.9", "fixture-daemon=8.24-57.0.1.el7_9.3", "aarch64", "", ["0724 < 8.24-57.0.4.el7_9.3"]),
        ("ol:7.9", "fixture-daemon=8.24-57.el7", "i686", "", ["0724 < 8.24-57.0.1.el7_9.3"]),
        (
            "ol:9",
            "fixturejs=1:18.1.0-1.module+el9.0.0+1+abcdef",
            "x86_64",
            "fixturejs:18",
            ["0725 < 1:18.2.0-1.module+el9.1.0+1+abcdef"],
        ),
        ("ol:9", "fixturejs=1:16.1.0-1.module+el9.0.0+1+abcdef", "x86_64", "fixturejs:16", []),
        ("ol:9", "fixturejs=1:16.1.0-1.el9", "x86_64", "", []),
    ],
)
def test_oracle(
    definitions: snapshot.Snapshot, system: str, nvr: str, arch: str, module: str, expected: list[str]
) -> None:
    assert flaws(definitions, system, nvr, arch, module=module) == expected


def test_a_finding_of_oracle_names_its_erratum(definitions: snapshot.Snapshot) -> None:
    report = scanned(definitions, "ol:8.9", nvr="fixture-libs=1:1.4.2-2.el8", arch="x86_64")
    assert {item.fixing_advisory for item in report.packages[0].findings} == {"ELSA-2099-0721"}
    assert report.packages[0].upgrade == "1:1.4.2-3.el8"


@pytest.mark.parametrize(
    ("system", "nvr", "source", "expected"),
    [
        # By source, without the epoch that only what is installed has.
        (
            "azurelinux:3.0",
            "fixture-libs=1:1.4.2-2.azl3",
            "fixture",
            ["0731 < 1.4.2-3.azl3", "0733 < 1.20.7-1.azl3"],
        ),
        ("azurelinux:3.0.20990101", "fixture=1.4.2-3.azl3", "", ["0733 < 1.20.7-1.azl3"]),
        ("azurelinux:3.0", "fixture=1.20.7-1.azl3", "", []),
        ("azurelinux:3.0", "fixture-libs=1.4.2-2.azl3", "another", []),
        ("mariner:2.0", "fixture=1.4.2-1.cm2", "", ["0731 < 1.4.2-2.cm2", "0735 < "]),
        ("mariner:2.0.20990101", "fixture=6.04-9.cm2", "", ["0735 < "]),
        ("mariner:2.0", "fixture=6.04-10.cm2", "", []),
        ("mariner:2.0", "fixture-fork=1.0-1.cm2", "", ["0735 < 1.0-2.cm2"]),
        (
            "photon:5.0",
            "fixture-libs=3:1.4.2-2.ph5",
            "fixture",
            ["0741 < 1.4.2-3.ph5", "0742 < ", "0743 < ", "BDSA-2099-0745 < 1.4.2-4.ph5"],
        ),
        ("photon:5.0", "fixture=1.5-1.ph5", "", ["0742 < "]),
        ("photon:5.0", "fixture-fork=1.0-1.ph5", "", []),
        ("photon:4.0", "fixture=1.2-9.ph4", "", []),
        ("photon:4.0", "fixture=1.2-8.ph4", "", ["0741 < 1.2-9.ph4"]),
    ],
)
def test_distributions_that_speak_of_sources(
    definitions: snapshot.Snapshot, system: str, nvr: str, source: str, expected: list[str]
) -> None:
    assert flaws(definitions, system, nvr, source_name=source) == expected


def test_a_source_of_another_version_is_compared_by_its_own(definitions: snapshot.Snapshot) -> None:
    found = flaws(
        definitions,
        "azurelinux:3.0",
        "fixture-module=9:7.0-1.azl3",
        source_name="fixture",
        source_version="1.4.2-2.azl3",
    )
    assert found == ["0731 < 1.4.2-3.azl3", "0733 < 1.20.7-1.azl3"]


def test_ratings_that_differ_between_packages_stay_with_each(definitions: snapshot.Snapshot) -> None:
    for name, severity in (("fixture", Severity.HIGH), ("fixture-fork", Severity.MEDIUM)):
        report = scanned(definitions, "azurelinux:3.0", nvr=f"{name}=1.4.2-2.azl3", arch="x86_64")
        rated = {item.id: item.severity for item in report.packages[0].findings}
        assert rated["CVE-2099-0731"] is severity


@pytest.mark.parametrize(
    "system",
    ["sles:15.6", "opensuse-leap:15.6", "ol:6", "azurelinux:4.0", "mariner:1.0", "photon:3.0", "photon:"],
)
def test_a_release_without_definitions_is_said_and_not_called_clean(
    definitions: snapshot.Snapshot, system: str
) -> None:
    report = scanned(definitions, system, nvr="libfixture1=0-0", arch="x86_64")
    assert report.coverage[0].judged is Judged.NO_DATA
    assert "were not judged" in report.coverage[0].detail or "was not judged" in report.coverage[0].detail
