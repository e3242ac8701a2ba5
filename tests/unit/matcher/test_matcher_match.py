"""What becomes a finding, and what is said where nothing can be."""

from __future__ import annotations

import msgspec
import pytest
from matcher_judged import DEB, deb, findings, flaw, ids, judged, pypi
from matcher_snapshot import ALMA, DEBIAN, MemorySnapshot, affected, index

from redoubt.matcher import match
from redoubt.model import (
    CveRecord,
    Cvss,
    Distribution,
    Epss,
    Judged,
    KnownExploited,
    Package,
    Problem,
    ProblemKind,
    Severity,
    Status,
)

# Names and versions


def test_names_are_looked_up_in_the_form_their_ecosystem_compares() -> None:
    snapshot = MemorySnapshot().add(flaw("CVE-2024-1"), "pypi", "zope-interface", affected("pypi", fixed="2"))
    assert match(index([pypi("Zope.Interface", "1.0")]), snapshot).packages[0].name == "Zope.Interface"


@pytest.mark.parametrize(("kind", "fixed"), [("pub", "1.2.3+1"), ("julia", "1.2.3+1")])
def test_a_fix_that_only_build_metadata_tells_is_told_where_the_ecosystem_orders_it(
    kind: str, fixed: str
) -> None:
    snapshot = MemorySnapshot().add(flaw("CVE-2024-1"), kind, "png", affected(kind, fixed=fixed))
    for version, flawed in (("1.2.3", True), ("1.2.3+0", True), (fixed, False), ("1.2.3+10", False)):
        assert bool(ids(snapshot, Package(type=kind, name="png", version=version))) is flawed
    plain = MemorySnapshot().add(flaw("CVE-2024-1"), "hex", "png", affected("hex", fixed=fixed))
    assert ids(plain, Package(type="hex", name="png", version="1.2.3")) == []


def test_debian_is_judged_by_the_source_package_and_its_version() -> None:
    snapshot = MemorySnapshot().add(
        flaw("CVE-2024-1000", "debian"), DEB, "gcc", affected(DEB, fixed="1:4.8-2")
    )
    binary = deb("gcc", "4:4.8-2", source_name="gcc", source_version="1:4.8-1")
    assert ids(snapshot, binary, DEBIAN) == ["CVE-2024-1000"]
    assert ids(snapshot, deb("gcc", "4:4.8-2"), DEBIAN) == []


def test_binaries_of_one_source_ask_the_definitions_once() -> None:
    snapshot = MemorySnapshot().add(flaw("CVE-2024-1000", "debian"), DEB, "ssl", affected(DEB, fixed="2"))
    packages = [deb(name, "1", source_name="ssl") for name in ("libssl", "ssl", "ssl-doc")]
    assert len(match(index(packages, DEBIAN), snapshot).packages) == 3
    assert snapshot.asked == ["debian:11/ssl"]


def test_rpm_is_judged_by_the_binary_package_and_a_missing_epoch_is_zero() -> None:
    snapshot = MemorySnapshot().add(
        flaw("CVE-2024-1000", "almalinux"),
        "almalinux:9",
        "bash",
        affected("almalinux:9", fixed="0:5.1-9.el9"),
    )
    rpm = Package(type="rpm", name="bash", version="5.1-8.el9", arch="x86_64", source_name="bash-src")
    assert ids(snapshot, rpm, ALMA) == ["CVE-2024-1000"]
    fixed = msgspec.structs.replace(rpm, version="5.1-9.el9")
    assert ids(snapshot, fixed, ALMA) == []


@pytest.mark.parametrize(
    ("wanted", "label", "found"),
    [
        ("", "", True),
        ("", "nodejs:18", True),
        ("nodejs:18", "nodejs:18", True),
        ("nodejs:18", "nodejs:18:8070020230306:f1a2", True),
        ("nodejs:18", "nodejs:180", False),
        ("nodejs:18", "", False),
        ("*", "nodejs:18", True),
        ("*", "", False),
        ("-", "", True),
        ("-", "nodejs:18", False),
    ],
)
def test_a_range_for_a_module_stream_speaks_only_of_its_packages(
    wanted: str, label: str, found: bool
) -> None:
    name = "almalinux:9"
    snapshot = MemorySnapshot().add(
        flaw("CVE-2024-1000"), name, "npm", affected(name, fixed="9-1", module=wanted)
    )
    package = Package(type="rpm", name="npm", version="8-1", arch="x86_64", module=label)
    assert bool(ids(snapshot, package, ALMA)) is found


@pytest.mark.parametrize(
    ("wanted", "arch", "found"),
    [("", "x86_64", True), ("x86_64", "x86_64", True), ("s390x", "x86_64", False), ("s390x", "noarch", True)],
)
def test_a_range_for_an_architecture_speaks_only_of_it(wanted: str, arch: str, found: bool) -> None:
    name = "almalinux:9"
    snapshot = MemorySnapshot().add(
        flaw("CVE-2024-1000"), name, "npm", affected(name, fixed="9-1", arch=wanted)
    )
    assert bool(ids(snapshot, Package(type="rpm", name="npm", version="8-1", arch=arch), ALMA)) is found


@pytest.mark.parametrize(
    ("wanted", "own", "found"),
    [
        ("core", ("core",), True),
        ("core", ("core", "extras"), True),
        ("core", ("extras",), False),
        ("core", (), False),
        ("core|", (), True),
        ("core|", ("extras",), False),
        ("core|extras", ("extras",), True),
        ("", ("extras",), True),
    ],
)
def test_a_range_for_a_repository_speaks_only_of_its_packages(
    wanted: str, own: tuple[str, ...], found: bool
) -> None:
    name = "amazon:2"
    snapshot = MemorySnapshot().add(
        flaw("CVE-2024-1000"), name, "php", affected(name, fixed="9-1", repository=wanted)
    )
    package = Package(type="rpm", name="php", version="8-1", repositories=own)
    assert bool(ids(snapshot, package, Distribution(id="amzn", version_id="2"))) is found


@pytest.mark.parametrize(
    ("version", "found"), [("0.9", False), ("1.0", True), ("1.4", True), ("1.5", False), ("2.0", True)]
)
def test_ranges_begin_inclusive_and_end_as_they_say(version: str, found: bool) -> None:
    snapshot = MemorySnapshot().add(
        flaw("CVE-2024-1000"),
        "pypi",
        "a",
        affected("pypi", "1.0", fixed="1.5"),
        affected("pypi", "2.0", last="2.0"),
    )
    assert bool(ids(snapshot, pypi("a", version))) is found


def test_inexact_maven_keys_are_decided_by_the_exact_comparator() -> None:
    snapshot = MemorySnapshot().add(
        flaw("CVE-2024-1000"), "maven", "g:a", affected("maven", "3.0", fixed="3.7.0.rc.2")
    )
    package = Package(type="maven", name="g:a", version="3.7.0.rc.1")
    assert ids(snapshot, package) == ["CVE-2024-1000"]
    assert ids(snapshot, msgspec.structs.replace(package, version="3.7.0.rc.2")) == []


# States


def test_not_affected_wins_over_an_affected_range_of_the_same_record() -> None:
    snapshot = MemorySnapshot().add(
        flaw("CVE-2024-1000", "debian"),
        DEB,
        "a",
        affected(DEB, fixed="9"),
        affected(DEB, status=Status.NOT_AFFECTED),
    )
    assert ids(snapshot, deb("a", "1"), DEBIAN) == []


def test_not_affected_silences_the_same_flaw_under_another_record_and_name() -> None:
    snapshot = (
        MemorySnapshot()
        .add(flaw("CVE-2024-1000", "debian"), DEB, "a", affected(DEB, status=Status.NOT_AFFECTED))
        .add(flaw("GHSA-1", aliases=("CVE-2024-1000",)), DEB, "a", affected(DEB, fixed="9"))
        .add(flaw("DSA-1", cves=("CVE-2024-1000", "CVE-2024-2000")), DEB, "a", affected(DEB, fixed="9"))
    )
    assert ids(snapshot, deb("a", "1"), DEBIAN) == ["CVE-2024-2000"]


def test_not_affected_of_another_version_says_nothing_about_this_one() -> None:
    denial = affected(DEB, "5", status=Status.NOT_AFFECTED)
    snapshot = MemorySnapshot().add(flaw("CVE-2024-1000"), DEB, "a", affected(DEB, fixed="9"), denial)
    assert ids(snapshot, deb("a", "1"), DEBIAN) == ["CVE-2024-1000"]


def test_under_investigation_is_told_and_not_counted_as_affected() -> None:
    snapshot = (
        MemorySnapshot()
        .add(flaw("CVE-2024-1000"), DEB, "a", affected(DEB, status=Status.UNDER_INVESTIGATION))
        .add(flaw("CVE-2024-2000", severity=Severity.LOW), DEB, "a", affected(DEB))
    )
    found = judged(snapshot, deb("a", "1"), DEBIAN)
    assert [(item.id, item.status) for item in found.findings] == [
        ("CVE-2024-2000", Status.AFFECTED),
        ("CVE-2024-1000", Status.UNDER_INVESTIGATION),
    ]
    assert (found.upgrade, found.unfixed) == ("", 1)


@pytest.mark.parametrize("status", [Status.WILL_NOT_FIX, Status.FIX_DEFERRED, Status.END_OF_LIFE])
def test_what_a_source_will_do_about_a_flaw_is_kept(status: Status) -> None:
    snapshot = MemorySnapshot().add(flaw("CVE-2024-1000"), DEB, "a", affected(DEB, status=status))
    assert [item.status for item in findings(snapshot, deb("a", "1"), DEBIAN)] == [status]


def test_withdrawnadvisories_never_match() -> None:
    withdrawn = flaw("CVE-2024-1000", withdrawn="2024-05-01T00:00:00Z")
    snapshot = MemorySnapshot().add(withdrawn, "pypi", "a", affected("pypi", fixed="9"))
    assert ids(snapshot, pypi("a", "1")) == []


# One flaw, one finding


def test_records_that_name_each_other_are_one_finding_with_the_smallest_cve_first() -> None:
    snapshot = (
        MemorySnapshot()
        .add(flaw("PYSEC-1", aliases=("GHSA-x",)), "pypi", "a", affected("pypi", fixed="2"))
        .add(
            flaw("GHSA-x", aliases=("CVE-2024-10000", "CVE-2024-9999")),
            "pypi",
            "a",
            affected("pypi", fixed="2"),
        )
        .add(flaw("GHSA-other"), "pypi", "a", affected("pypi", fixed="2"))
    )
    merged, other = sorted(findings(snapshot, pypi("a", "1")), key=lambda item: item.id)
    assert merged.id == "CVE-2024-9999"
    assert merged.aliases == ("CVE-2024-10000", "GHSA-x", "PYSEC-1")
    assert [item.ref for item in merged.advisories] == ["osv/GHSA-x", "osv/PYSEC-1"]
    assert (other.id, other.aliases) == ("GHSA-other", ())


def test_an_erratum_becomes_a_finding_for_each_cve_and_joins_none() -> None:
    name = "almalinux:9"
    snapshot = MemorySnapshot().add(
        flaw("ALSA-2024:1", "almalinux", cves=("CVE-2024-1000", "CVE-2024-2000")),
        name,
        "bash",
        affected(name, fixed="5-2"),
    )
    found = findings(snapshot, Package(type="rpm", name="bash", version="5-1", arch="x86_64"), ALMA)
    assert [(item.id, item.aliases, item.fixing_advisory) for item in found] == [
        ("CVE-2024-1000", (), "ALSA-2024:1"),
        ("CVE-2024-2000", (), "ALSA-2024:1"),
    ]


def test_an_erratum_without_cves_is_its_own_finding() -> None:
    name = "almalinux:9"
    snapshot = MemorySnapshot().add(
        flaw("ALBA-2024:1", "almalinux"), name, "bash", affected(name, fixed="5-2")
    )
    (found,) = findings(snapshot, Package(type="rpm", name="bash", version="5-1"), ALMA)
    assert (found.id, found.fixing_advisory, found.fixed_version) == ("ALBA-2024:1", "", "5-2")


def test_ranges_are_told_in_words() -> None:
    snapshot = MemorySnapshot().add(
        flaw("CVE-2024-1000"),
        "pypi",
        "a",
        affected("pypi", "1.0", fixed="1.4"),
        affected("pypi", last="3"),
        affected("pypi", "1.2", last="1.2"),
        affected("pypi"),
    )
    (found,) = findings(snapshot, pypi("a", "1.2"))
    assert [(item.range, item.fixed) for item in found.advisories] == [
        ("<= 3", ""),
        ("= 1.2", ""),
        (">= 1.0, < 1.4", "1.4"),
        ("any version", ""),
    ]


# Severity and scores

V3 = Cvss("osv", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8)
V2 = Cvss("nvd", "AV:N/AC:L/Au:N/C:C/I:C/A:C", 10.0)
V4 = Cvss("osv", "CVSS:4.0/AV:L/AC:H/AT:P/PR:H/UI:A/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N", 1.0)


@pytest.mark.parametrize(
    ("own", "word", "cvss", "nvd", "expected"),
    [
        (Severity.LOW, Severity.HIGH, (V3,), None, (Severity.LOW, "osv")),
        (Severity.UNKNOWN, Severity.HIGH, (V3,), None, (Severity.HIGH, "osv")),
        (Severity.UNKNOWN, Severity.UNKNOWN, (V3,), None, (Severity.CRITICAL, "cvss:osv")),
        (Severity.UNKNOWN, Severity.UNKNOWN, (V3, V4), None, (Severity.LOW, "cvss:osv")),
        (Severity.UNKNOWN, Severity.UNKNOWN, (), CveRecord(cvss=(V2,)), (Severity.HIGH, "cvss:nvd")),
        (
            Severity.UNKNOWN,
            Severity.UNKNOWN,
            (),
            CveRecord(severity=Severity.MEDIUM, cvss=(V2,)),
            (Severity.MEDIUM, "nvd"),
        ),
        (Severity.UNKNOWN, Severity.UNKNOWN, (), None, (Severity.UNKNOWN, "")),
    ],
)
def test_severity_comes_from_the_nearest_voice(
    own: Severity,
    word: Severity,
    cvss: tuple[Cvss, ...],
    nvd: CveRecord | None,
    expected: tuple[Severity, str],
) -> None:
    snapshot = MemorySnapshot().add(
        flaw("CVE-2024-1000", severity=word, cvss=cvss), "pypi", "a", affected("pypi", severity=own)
    )
    if nvd:
        snapshot.cves["CVE-2024-1000"] = nvd
    (found,) = findings(snapshot, pypi("a", "1"))
    assert (found.severity, found.severity_source) == expected


def test_a_record_that_rates_nothing_borrows_from_its_aliases() -> None:
    snapshot = (
        MemorySnapshot()
        .add(flaw("CVE-2024-1000"), "pypi", "a", affected("pypi"))
        .add(flaw("PYSEC-1", aliases=("CVE-2024-1000",)), "pypi", "a", affected("pypi"))
        .add(flaw("GHSA-1", "ghsa", aliases=("CVE-2024-1000",), cvss=(V3,)), "pypi", "a", affected("pypi"))
    )
    (found,) = findings(snapshot, pypi("a", "1"))
    assert (found.severity, found.severity_source) == (Severity.CRITICAL, "cvss:osv")


@pytest.mark.parametrize(
    ("namespace", "cves", "red_hat", "nvd", "expected"),
    [
        # A notice about one flaw rates that one.
        ("almalinux:9", 1, Severity.LOW, Severity.LOW, (Severity.HIGH, "errata")),
        # One about several rates the worst of them.
        ("almalinux:9", 2, Severity.MEDIUM, Severity.LOW, (Severity.MEDIUM, "redhat")),
        ("almalinux:9", 2, Severity.CRITICAL, None, (Severity.CRITICAL, "redhat")),
        ("rocky:9", 2, Severity.UNKNOWN, Severity.MEDIUM, (Severity.MEDIUM, "nvd")),
        ("oracle:9", 2, None, Severity.CRITICAL, (Severity.HIGH, "errata")),
        ("oracle:9", 2, None, None, (Severity.HIGH, "errata")),
        ("oracle:9", 2, None, Severity.NEGLIGIBLE, (Severity.HIGH, "errata")),
        # Amazon's packages are its own.
        ("amazon:2023", 2, Severity.LOW, Severity.MEDIUM, (Severity.MEDIUM, "nvd")),
    ],
)
def test_a_notice_of_several_flaws_does_not_say_how_bad_each_is(
    namespace: str, cves: int, red_hat: Severity | None, nvd: Severity | None, expected: tuple[Severity, str]
) -> None:
    names = tuple(f"CVE-2099-{number}" for number in range(1000, 1000 + cves))
    notice = flaw("NOTICE-2099:1", "errata", severity=Severity.HIGH, cves=names)
    snapshot = MemorySnapshot().add(notice, namespace, "a", affected(namespace, fixed="2-1"))
    if red_hat is not None:
        snapshot.add(flaw("CVE-2099-1000", "redhat", severity=red_hat), "redhat:9", "a")
    if nvd is not None:
        snapshot.cves["CVE-2099-1000"] = CveRecord(severity=nvd)
    name, _, release = namespace.partition(":")
    system = Distribution(id={"oracle": "ol", "amazon": "amzn"}.get(name, name), version_id=release)
    package = Package(type="rpm", name="a", version="1-1", arch="x86_64")
    (found, *_) = sorted(findings(snapshot, package, system), key=lambda item: item.id)
    assert (found.severity, found.severity_source) == expected
    assert found.advisories[0].severity is (Severity.HIGH if cves > 1 else Severity.UNKNOWN)


def test_of_several_notices_the_mildest_bounds_a_flaw_and_a_record_of_its_own_decides() -> None:
    both = ("CVE-2099-1000", "CVE-2099-1001")
    name = "amazon:2023"
    snapshot = MemorySnapshot()
    for number, word in enumerate((Severity.HIGH, Severity.LOW, Severity.MEDIUM)):
        notice = flaw(f"ALAS-{number}", "errata", severity=word, cves=both)
        snapshot.add(notice, name, "a", affected(name, fixed="2-1"))
    system = Distribution(id="amzn", version_id="2023")
    package = Package(type="rpm", name="a", version="1-1", arch="x86_64")
    assert {item.severity for item in findings(snapshot, package, system)} == {Severity.LOW}
    own = flaw("CVE-2099-1000", "tracker", severity=Severity.CRITICAL)
    snapshot.add(own, name, "a", affected(name, fixed="2-1"))
    rated = {item.id: item.severity for item in findings(snapshot, package, system)}
    assert rated == {"CVE-2099-1000": Severity.CRITICAL, "CVE-2099-1001": Severity.LOW}


def test_kev_and_epss_are_joined_by_any_cve_of_the_flaw() -> None:
    snapshot = MemorySnapshot().add(
        flaw("GHSA-1", aliases=("CVE-2024-1000", "CVE-2024-2000")), "pypi", "a", affected("pypi")
    )
    snapshot.cves["CVE-2024-2000"] = CveRecord(kev=KnownExploited("2024-02-03"))
    snapshot.scores["CVE-2024-1000"] = Epss(0.1, 0.5)
    snapshot.scores["CVE-2024-2000"] = Epss(0.7, 0.9)
    (found,) = findings(snapshot, pypi("a", "1"))
    assert found.kev == KnownExploited("2024-02-03")
    assert found.epss == Epss(0.7, 0.9)


# Order


def test_findings_and_packages_come_worst_first_whatever_the_order_they_went_in() -> None:
    snapshot = (
        MemorySnapshot()
        .add(flaw("CVE-2024-1000", severity=Severity.LOW), "pypi", "a", affected("pypi"))
        .add(flaw("CVE-2024-2000", severity=Severity.HIGH), "pypi", "a", affected("pypi"))
        .add(flaw("CVE-2024-3000", severity=Severity.HIGH), "pypi", "a", affected("pypi"))
        .add(flaw("CVE-2024-4000", severity=Severity.HIGH), "pypi", "a", affected("pypi"))
        .add(flaw("CVE-2024-5000", severity=Severity.CRITICAL), "pypi", "b", affected("pypi"))
    )
    snapshot.cves["CVE-2024-4000"] = CveRecord(kev=KnownExploited("2024-02-03"))
    snapshot.scores["CVE-2024-3000"] = Epss(0.2, 0.5)
    packages = [pypi("a", "1"), pypi("b", "1"), pypi("a", "0")]
    report = match(index(packages), snapshot)
    assert [(item.name, item.version) for item in report.packages] == [("b", "1"), ("a", "0"), ("a", "1")]
    assert [item.id[-4:] for item in report.packages[1].findings] == ["4000", "3000", "2000", "1000"]
    assert match(index(reversed(packages)), snapshot).packages == report.packages


# What could not be judged


def coverage(
    snapshot: MemorySnapshot, packages: list[Package], system: Distribution | None = None
) -> list[object]:
    rows = match(index(packages, system), snapshot).coverage
    return [(row.type, row.namespace, row.judged, row.packages) for row in rows]


def some() -> MemorySnapshot:
    return MemorySnapshot().add(flaw("CVE-2024-1000"), DEB, "a", affected(DEB))


def test_every_group_of_packages_is_accounted_for() -> None:
    packages = [deb("a", "1"), deb("b", "1"), pypi("c", "1"), Package(type="flatpak", name="d", version="1")]
    assert coverage(some(), packages, DEBIAN) == [
        ("deb", "debian:11", Judged.MATCHED, 2),
        ("flatpak", "", Judged.UNSUPPORTED_ECOSYSTEM, 1),
        ("pypi", "pypi", Judged.NO_DATA, 1),
    ]


@pytest.mark.parametrize(
    ("system", "package_type", "expected"),
    [
        (None, "deb", ("", Judged.UNKNOWN_DISTRIBUTION)),
        (Distribution(id="debian", version_id="13"), "deb", ("debian:13", Judged.NO_DATA)),
        (Distribution(id="debian"), "deb", ("debian:unknown", Judged.NO_DATA)),
        (Distribution(id="plan9", version_id="4"), "deb", ("plan9:4", Judged.UNSUPPORTED_DISTRIBUTION)),
        (DEBIAN, "rpm", ("debian:11", Judged.UNSUPPORTED_DISTRIBUTION)),
    ],
)
def test_a_system_that_cannot_be_judged_is_said(
    system: Distribution | None, package_type: str, expected: tuple[str, Judged]
) -> None:
    (row,) = match(index([Package(type=package_type, name="a", version="1")], system), some()).coverage
    assert (row.namespace, row.judged) == expected
    assert "1 " + package_type in row.detail
    assert "not judged" in row.detail


def test_packages_without_a_usable_version_are_counted_and_not_matched() -> None:
    snapshot = MemorySnapshot().add(flaw("CVE-2024-1000"), "golang", "example.org/m", affected("golang"))
    versions = ("", "(devel)", "not a version", "v1.0.0")
    report = match(
        index(Package(type="golang", name="example.org/m", version=text) for text in versions), snapshot
    )
    (row,) = report.coverage
    assert (row.packages, row.unversioned) == (4, 3)
    assert row.detail == "3 golang packages without a usable version could not be judged"
    # what is affected in every version is so in one that cannot be ordered, but not in one unknown
    assert sorted(item.version for item in report.packages) == ["not a version", "v1.0.0"]


def test_a_jar_without_a_group_is_not_matched_by_guess_and_said() -> None:
    snapshot = MemorySnapshot().add(flaw("CVE-2024-1000"), "maven", "g:core", affected("maven"))
    report = match(index([Package(type="maven", name="core", version="1")]), snapshot)
    assert report.packages == ()
    assert [(row.unidentified, row.detail) for row in report.coverage] == [
        (1, "1 maven package without a group could not be judged")
    ]


def test_damage_found_while_indexing_stays_in_the_report() -> None:
    problem = Problem(kind=ProblemKind.DAMAGED, message="cut short", path="var/lib/dpkg/status")
    report = msgspec.structs.replace(index([], DEBIAN), problems=(problem,))
    assert match(report, some()).problems == (problem,)


def test_a_record_whose_advisory_is_missing_is_still_a_finding() -> None:
    snapshot = some()
    snapshot.advisories.clear()
    assert ids(snapshot, deb("a", "1"), DEBIAN) == ["CVE-2024-1000"]


def test_the_end_of_a_system_is_told_and_centos_has_its_own() -> None:
    snapshot = MemorySnapshot()
    snapshot.ends.update(
        {"debian:11": "2026-08-31", "centos:8": "2021-12-31", "centos-stream:8": "2024-05-31"}
    )
    centos = Distribution(id="centos", version_id="8", name="CentOS Linux 8")
    stream = Distribution(id="centos", version_id="8", name="CentOS Stream 8")
    red_hat = Distribution(id="rhel", version_id="8.9")
    ends = [
        match(index([], system), snapshot).end_of_life for system in (DEBIAN, centos, stream, red_hat, None)
    ]
    assert ends == ["2026-08-31", "2021-12-31", "2024-05-31", "", ""]
