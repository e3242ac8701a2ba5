"""Why a flaw is a finding in a package, and why not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matcher_snapshot import ALMA, DEBIAN, MemorySnapshot, affected, index

from redoubt.matcher import explain, match
from redoubt.matcher.explain import Case, Explanation, Verdict
from redoubt.matcher.judge import Bearing
from redoubt.model import Advisory, AffectedRange, Distribution, Judged, Location, Package, Status

DEB = "debian:11"
RPM = "almalinux:9"
FLAW = "CVE-2024-1000"


def flaw(identifier: str = FLAW, source: str = "osv", **more: object) -> Advisory:
    return Advisory(id=identifier, source=source, **more)


def pypi(version: str, name: str = "shop") -> Package:
    return Package(type="pypi", name=name, version=version)


def rpm(version: str, **more: str) -> Package:
    return Package(type="rpm", name="shop", version=version, **more)


def told(
    snapshot: MemorySnapshot, package: Package, system: Distribution | None = None, name: str = FLAW
) -> Case:
    (case,) = explain(index([package], system), snapshot, name).cases
    return case


def bearings(case: Case) -> list[Bearing | None]:
    return [word.bearing for record in case.records for word in record.ranges]


@pytest.mark.parametrize(
    ("span", "version", "bearing", "verdict"),
    [
        (affected("pypi", "1.0", fixed="2.0"), "1.5", Bearing.HOLDS, Verdict.FINDING),
        (affected("pypi", "1.0", fixed="2.0"), "0.9", Bearing.BELOW, Verdict.OUTSIDE),
        (affected("pypi", "1.0", fixed="2.0"), "2.0", Bearing.FIXED, Verdict.OUTSIDE),
        (affected("pypi", "1.0", fixed="2.0"), "3", Bearing.FIXED, Verdict.OUTSIDE),
        (affected("pypi", "1.0", last="2.0"), "2.0", Bearing.HOLDS, Verdict.FINDING),
        (affected("pypi", "1.0", last="2.0"), "2.1", Bearing.ABOVE, Verdict.OUTSIDE),
        (affected("pypi", status=Status.NOT_AFFECTED), "1", Bearing.NOT_AFFECTED, Verdict.NOT_AFFECTED),
        (affected("pypi", fixed="2", status=Status.NOT_AFFECTED), "3", Bearing.FIXED, Verdict.OUTSIDE),
        (affected("pypi", "1", fixed="2"), "not!a!version", Bearing.UNORDERED, Verdict.UNORDERED),
        (affected("pypi", fixed="2"), "", None, Verdict.NO_VERSION),
    ],
)
def test_each_range_says_whether_it_holds_the_version_or_why_not(
    span: AffectedRange, version: str, bearing: Bearing | None, verdict: Verdict
) -> None:
    case = told(MemorySnapshot().add(flaw(), "pypi", "shop", span), pypi(version))
    assert (bearings(case), case.verdict) == ([bearing], verdict)
    assert bool(case.findings) == (verdict is Verdict.FINDING)


@pytest.mark.parametrize(
    ("span", "bearing"),
    [
        (affected(RPM, fixed="2", arch="aarch64"), Bearing.OTHER_ARCH),
        (affected(RPM, fixed="2", module="nodejs:18"), Bearing.OTHER_MODULE),
        (affected(RPM, fixed="2", module="-"), Bearing.HOLDS),
        (affected(RPM, fixed="2", repository="extras"), Bearing.OTHER_REPOSITORY),
        (affected(RPM, fixed="2", repository="extras", module="nodejs:18"), Bearing.OTHER_MODULE),
        (affected(RPM, fixed="2", repository="extras", arch="aarch64"), Bearing.OTHER_ARCH),
        (affected(RPM, fixed="2", repository="extras|"), Bearing.HOLDS),
    ],
)
def test_ranges_for_other_builds_are_told_apart(span: AffectedRange, bearing: Bearing) -> None:
    case = told(MemorySnapshot().add(flaw(), RPM, "shop", span), rpm("1", arch="x86_64"), ALMA)
    assert bearings(case) == [bearing]


def test_a_denial_silences_another_record_and_both_are_shown() -> None:
    snapshot = (
        MemorySnapshot()
        .add(flaw(source="vex"), RPM, "shop", affected(RPM, status=Status.NOT_AFFECTED))
        .add(flaw("ERR-1", "vendor", cves=(FLAW, "CVE-2024-2000")), RPM, "shop", affected(RPM, fixed="2"))
    )
    case = told(snapshot, rpm("1"), ALMA)
    assert case.verdict is Verdict.NOT_AFFECTED
    assert {record.ref: record.ranges[0].bearing for record in case.records} == {
        f"vex/{FLAW}": Bearing.NOT_AFFECTED,
        "vendor/ERR-1": Bearing.HOLDS,
    }


def test_withdrawn_records_are_shown_and_do_not_count() -> None:
    gone = flaw(withdrawn="2024-05-01T00:00:00Z")
    case = told(MemorySnapshot().add(gone, "pypi", "shop", affected("pypi", fixed="2")), pypi("1"))
    assert case.verdict is Verdict.WITHDRAWN
    assert case.records[0].withdrawn == "2024-05-01T00:00:00Z"


@pytest.mark.parametrize("name", [FLAW, "GHSA-aaaa-bbbb-cccc", "PYSEC-1", "osv/PYSEC-1"])
def test_any_name_of_a_flaw_leads_to_its_finding(name: str) -> None:
    record = flaw("PYSEC-1", aliases=(FLAW, "GHSA-aaaa-bbbb-cccc"))
    snapshot = MemorySnapshot().add(record, "pypi", "shop", affected("pypi", fixed="2"))
    case = told(snapshot, pypi("1"), name=name)
    assert [item.id for item in case.findings] == [FLAW]


def test_a_notice_stands_for_every_flaw_that_it_repairs_and_a_flaw_only_for_itself() -> None:
    notice = flaw("ERR-1", "vendor", cves=(FLAW, "CVE-2024-2000"))
    snapshot = MemorySnapshot().add(notice, RPM, "shop", affected(RPM, fixed="2"))
    assert {item.id for item in told(snapshot, rpm("1"), ALMA, "ERR-1").findings} == {FLAW, "CVE-2024-2000"}
    assert {item.id for item in told(snapshot, rpm("1"), ALMA).findings} == {FLAW}


def test_the_name_and_version_that_decided_are_told_and_where_the_package_lies() -> None:
    snapshot = MemorySnapshot().add(flaw(), DEB, "openssl", affected(DEB, fixed="2"))
    place = Location("var/lib/dpkg/status", "sha256:" + "a" * 64)
    binary = Package(
        type="deb",
        name="libssl",
        version="9",
        source_name="openssl",
        source_version="1",
        locations=(place,),
    )
    case = told(snapshot, binary, DEBIAN)
    assert (case.namespace, case.name, case.version) == (DEB, "openssl", "1")
    assert case.package.locations == (place,)
    (word,) = case.records[0].ranges
    assert bytes.fromhex(case.key) < bytes.fromhex(word.upper_key)
    assert (word.range, word.fixed, word.lower_key) == ("< 2", "2", "")


def explained(snapshot: MemorySnapshot, *packages: Package) -> Explanation:
    return explain(index(packages), snapshot, FLAW)


def test_packages_that_nobody_could_be_asked_about_are_named() -> None:
    snapshot = MemorySnapshot().add(flaw(), "pypi", "shop", affected("pypi", fixed="2"))
    made = explained(
        snapshot, pypi("2"), Package(type="npm", name="shop", version="1"), rpm("1"), pypi("", "other")
    )
    assert {row.type: row.judged for row in made.unjudged} == {
        "npm": Judged.NO_DATA,
        "rpm": Judged.UNKNOWN_DISTRIBUTION,
        "pypi": Judged.MATCHED,
    }
    assert [case.verdict for case in made.cases] == [Verdict.OUTSIDE]


def test_an_unknown_flaw_has_no_cases() -> None:
    snapshot = MemorySnapshot().add(flaw("CVE-2024-2"), "pypi", "shop", affected("pypi", fixed="2"))
    assert explained(snapshot, pypi("1")).cases == ()


_versions = st.sampled_from(["", "0.9", "1.0", "1.5rc1", "2.0", "2.0.post1", "3!1", "odd"])
_bounds = st.sampled_from(["", "1.0", "1.5", "2.0", "odd"])
_spans = st.builds(
    lambda lower, upper, form, status: affected(
        "pypi", lower, status=status, **({form: upper} if upper else {})
    ),
    _bounds,
    _bounds,
    st.sampled_from(["fixed", "last", "limit"]),
    st.sampled_from(Status),
)
_advisories = st.builds(
    lambda source, identifier, aliases, cves, withdrawn: flaw(
        identifier, source, aliases=aliases, cves=cves, withdrawn=withdrawn
    ),
    st.sampled_from(["a", "b"]),
    st.sampled_from([FLAW, "CVE-2024-2000", "PYSEC-1"]),
    st.sampled_from([(), (FLAW,)]),
    st.sampled_from([(), (), (FLAW, "CVE-2024-2000")]),
    st.sampled_from(["", "", "2024-01-01T00:00:00Z"]),
)


@given(
    st.lists(
        st.tuples(_advisories, st.lists(_spans, min_size=1, max_size=3)),
        max_size=3,
        unique_by=lambda pair: pair[0].ref,
    ),
    _versions,
)
def test_an_explanation_never_contradicts_the_match(
    known: list[tuple[Advisory, list[AffectedRange]]], version: str
) -> None:
    snapshot = MemorySnapshot().add(flaw("CVE-1999-0001"), "pypi", "other", affected("pypi"))
    for advisory, spans in known:
        snapshot.add(advisory, "pypi", "shop", *spans)
    report = index([pypi(version)])
    matched = {
        item
        for found in match(report, snapshot).packages
        for item in found.findings
        if FLAW in (item.id, *item.aliases)
    }
    for case in explain(report, snapshot, FLAW).cases:
        assert matched <= set(case.findings)
        assert (case.verdict is Verdict.FINDING) == bool(case.findings)
        matched -= set(case.findings)
    assert matched == set()
