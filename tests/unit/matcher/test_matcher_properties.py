"""What must hold for any definitions: order does not matter, and advice is never to a version known to be bad."""

from __future__ import annotations

from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from matcher_snapshot import MemorySnapshot, affected, index

from redoubt.definitions import records
from redoubt.definitions.snapshot import Snapshot, create
from redoubt.matcher import match
from redoubt.model import (
    Advisory,
    AffectedRange,
    CveRecord,
    DefinitionsInfo,
    Epss,
    KnownExploited,
    Package,
    Severity,
    Status,
)

_VERSIONS = st.integers(1, 7).map(str)
_STATUSES = st.sampled_from([Status.AFFECTED] * 5 + list(Status))


@st.composite
def _ranges(draw: st.DrawFn) -> AffectedRange:
    end = draw(st.sampled_from(["fixed", "fixed", "last", "limit", ""]))
    upper = {end: draw(_VERSIONS)} if end else {}
    severity = draw(st.sampled_from(list(Severity)))
    return affected("pypi", draw(st.just("") | _VERSIONS), status=draw(_STATUSES), severity=severity, **upper)


_NAMES = [f"CVE-2024-{number}" for number in range(1000, 1004)] + ["GHSA-a", "GHSA-b", "PYSEC-a"]


@st.composite
def _advisories(draw: st.DrawFn) -> list[tuple[Advisory, tuple[AffectedRange, ...]]]:
    found = []
    for identifier in draw(
        st.lists(st.sampled_from([*_NAMES, "ERRATUM-1", "ERRATUM-2"]), unique=True, max_size=6)
    ):
        names = tuple(draw(st.lists(st.sampled_from(_NAMES), unique=True, max_size=2)))
        erratum = identifier.startswith("ERRATUM")
        advisory = Advisory(
            id=identifier,
            source=draw(st.sampled_from(["a", "b"])),
            severity=draw(st.sampled_from(list(Severity))),
            aliases=() if erratum else tuple(name for name in names if name != identifier),
            cves=tuple(name for name in names if name.startswith("CVE")) if erratum else (),
            withdrawn=draw(st.sampled_from(["", "", "", "2024-01-01T00:00:00Z"])),
        )
        found.append((advisory, tuple(draw(st.lists(_ranges(), min_size=1, max_size=3)))))
    return found


def _snapshot(entries: list[tuple[Advisory, tuple[AffectedRange, ...]]]) -> MemorySnapshot:
    snapshot = MemorySnapshot().add(Advisory(id="X", source="x"), "pypi", "other", affected("pypi"))
    for advisory, ranges in entries:
        snapshot.add(advisory, "pypi", "a", *ranges)
    return snapshot


def _holds(item: AffectedRange, version: str) -> bool:
    """A range of whole numbers, read the plain way."""
    number = int(version)
    if item.lower and number < int(item.lower):
        return False
    if not item.upper:
        return True
    return number < int(item.upper) or (bool(item.flags & 2) and number == int(item.upper))


def _affects(ranges: tuple[AffectedRange, ...], version: str) -> bool:
    """Whether a record calls a version affected, which an explicit "not affected" in it takes back."""
    said = {item.status for item in ranges if _holds(item, version)}
    return Status.NOT_AFFECTED not in said and bool(said - {Status.UNDER_INVESTIGATION})


@settings(max_examples=150, deadline=None)
@given(_advisories(), _VERSIONS, st.randoms(use_true_random=False))
def test_the_report_does_not_depend_on_the_order_of_records(
    entries: list[tuple[Advisory, tuple[AffectedRange, ...]]], version: str, chance: object
) -> None:
    report = index([Package(type="pypi", name="a", version=version)])
    expected = match(report, _snapshot(entries))
    shuffled = list(entries)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert match(report, _snapshot(shuffled)) == expected


@settings(max_examples=150, deadline=None)
@given(_advisories(), _VERSIONS)
def test_findings_are_exactly_what_plain_reading_gives(
    entries: list[tuple[Advisory, tuple[AffectedRange, ...]]], version: str
) -> None:
    report = match(index([Package(type="pypi", name="a", version=version)]), _snapshot(entries))
    shown = {item.ref for found in report.packages for flaw in found.findings for item in flaw.advisories}
    held, denied = {}, set()
    for advisory, ranges in entries:
        inside = [item for item in ranges if _holds(item, version)]
        if advisory.withdrawn:
            continue
        if any(item.status is Status.NOT_AFFECTED for item in inside):
            denied.update(advisory.cves or (advisory.id, *advisory.aliases))
        elif inside:
            held[advisory.ref] = advisory
    assert shown <= held.keys()
    for ref in held.keys() - shown:  # what is not shown has been denied, itself or through an alias
        assert denied, ref


@settings(max_examples=150, deadline=None)
@given(_advisories(), _VERSIONS)
def test_an_upgrade_repairs_all_that_is_fixable(
    entries: list[tuple[Advisory, tuple[AffectedRange, ...]]], version: str
) -> None:
    report = match(index([Package(type="pypi", name="a", version=version)]), _snapshot(entries))
    ranges_of = {advisory.ref: ranges for advisory, ranges in entries}
    harmless = (Status.NOT_AFFECTED, Status.UNDER_INVESTIGATION)
    for found in report.packages:
        for flaw in found.findings:
            if flaw.fixed_version:
                assert int(flaw.fixed_version) > int(version)
        if not found.upgrade:
            continue
        assert int(found.upgrade) > int(version)
        for flaw in found.findings:
            if int(found.upgrade) < int(
                flaw.fixed_version or 0
            ):  # where what held the version has ended before
                ends = [
                    item
                    for reference in flaw.advisories
                    for item in ranges_of[reference.ref]
                    if _holds(item, version) and item.status not in harmless
                ]
                assert not [item for item in ends if _holds(item, found.upgrade)]
        for flaw in found.findings:
            for reference in flaw.advisories:
                inside = [item for item in ranges_of[reference.ref] if _holds(item, found.upgrade)]
                named = any(  # a fix that the record itself calls affected is none
                    item.flags & 4
                    and int(item.upper) > int(version)
                    and item.status not in harmless
                    and not _affects(ranges_of[reference.ref], item.upper)
                    for item in ranges_of[reference.ref]
                )
                denied = any(item.status is Status.NOT_AFFECTED for item in inside)
                if flaw.fixed_version and named and not denied:
                    assert not [item for item in inside if item.status not in harmless]


def test_a_snapshot_on_disk_gives_the_report_that_one_in_memory_gives(tmp_path: Path) -> None:
    memory = _snapshot(
        [
            (
                Advisory(id="GHSA-a", source="osv", aliases=("CVE-2024-1000",), url="https://a.example/"),
                (affected("pypi", "1", fixed="3"), affected("pypi", "4", last="5", severity=Severity.HIGH)),
            ),
            (Advisory(id="ERRATUM-1", source="x", cves=("CVE-2024-1001",)), (affected("pypi", fixed="4"),)),
        ]
    )
    memory.cves["CVE-2024-1000"] = CveRecord(kev=KnownExploited("2024-02-03"))
    memory.scores["CVE-2024-1001"] = Epss(0.25, 0.5, "2024-02-03")
    stored = [records.cve(*item) for item in memory.cves.items()]
    stored += [records.epss(*item) for item in memory.scores.items()]
    stored += [records.advisory(item) for item in memory.advisories.values()]
    for name in ("a", "other"):
        stored += [
            records.affected("pypi", name, ref, ranges) for ref, ranges in memory.affected("pypi", name)
        ]
    stored += records.describe((), {"pypi": 3})
    create(tmp_path / "snapshot", sorted(stored))
    report = index([Package(type="pypi", name="a", version=version) for version in "12345"])
    with Snapshot.open(tmp_path / "snapshot") as disk:
        made = match(report, disk)
    expected = match(report, memory)
    blank = DefinitionsInfo(digest="", schema="")
    assert len(made.packages) == 5
    assert msgspec.structs.replace(made, definitions=blank) == msgspec.structs.replace(
        expected, definitions=blank
    )
