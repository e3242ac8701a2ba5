"""Which version repairs a finding, and which one a whole package."""

from __future__ import annotations

from matcher_judged import findings, flaw, judged, pypi
from matcher_snapshot import MemorySnapshot, affected, index

from redoubt.matcher import match, only_fixed
from redoubt.model import (
    Advisory,
    Distribution,
    Package,
    Status,
)


def test_a_denial_holds_for_the_flaws_other_names_too() -> None:
    snapshot = MemorySnapshot()
    denial = Advisory(id="CVE-2024-0001", source="s", aliases=("GHSA-a",))
    snapshot.add(denial, "wolfi", "p", affected("wolfi", status=Status.NOT_AFFECTED))
    snapshot.add(Advisory(id="GHSA-a", source="s"), "wolfi", "p", affected("wolfi", fixed="2-r0"))
    package = Package(type="apk", name="p", version="1-r0")
    assert match(index([package], Distribution(id="wolfi")), snapshot).packages == ()


def test_the_fix_is_that_of_the_branch_the_version_is_on() -> None:
    snapshot = MemorySnapshot().add(
        flaw("CVE-2024-1000"),
        "pypi",
        "a",
        affected("pypi", "1.0", fixed="1.5"),
        affected("pypi", "2.0", fixed="2.3"),
    )
    assert judged(snapshot, pypi("a", "1.2")).upgrade == "1.5"
    assert judged(snapshot, pypi("a", "2.2")).upgrade == "2.3"


def test_a_fix_that_another_source_still_calls_affected_is_not_offered() -> None:
    snapshot = (
        MemorySnapshot()
        .add(flaw("GHSA-1", aliases=("CVE-2024-1000",)), "pypi", "a", affected("pypi", fixed="1.4"))
        .add(flaw("PYSEC-1", aliases=("CVE-2024-1000",)), "pypi", "a", affected("pypi", fixed="1.5"))
        .add(flaw("VENDOR-1", aliases=("CVE-2024-1000",)), "pypi", "a", affected("pypi"))
    )
    (found,) = findings(snapshot, pypi("a", "1.0"))
    assert found.fixed_version == "1.5"


def test_a_branch_without_its_own_fix_gets_the_next_one_that_is_not_affected() -> None:
    snapshot = MemorySnapshot().add(
        flaw("CVE-2024-1000"),
        "pypi",
        "a",
        affected("pypi", "1", last="1.9"),
        affected("pypi", "2", fixed="2.3"),
    )
    assert judged(snapshot, pypi("a", "1.2")).upgrade == "2.3"


def test_an_upgrade_stays_on_the_branch_where_another_flaws_fix_is_above_the_last_affected_version() -> None:
    snapshot = (
        MemorySnapshot()
        .add(
            flaw("CVE-2024-1000"),
            "pypi",
            "a",
            affected("pypi", "1", last="1.8"),
            affected("pypi", "2", fixed="2.3"),
        )
        .add(flaw("CVE-2024-1001"), "pypi", "a", affected("pypi", "1", fixed="1.9"))
    )
    assert judged(snapshot, pypi("a", "1.2")).upgrade == "1.9"
    assert judged(snapshot, pypi("a", "2.2")).upgrade == "2.3"


def test_a_fix_that_its_own_record_calls_affected_is_none() -> None:
    snapshot = MemorySnapshot()
    # Ranges that touch, a listed version where a range ends, and a range without an end.
    snapshot.add(
        Advisory(id="CVE-2024-0001", source="s"),
        "pypi",
        "a",
        affected("pypi", fixed="3.1.1"),
        affected("pypi", "3.1.1", fixed="3.1.3"),
    )
    snapshot.add(
        Advisory(id="CVE-2024-0002", source="s"),
        "pypi",
        "a",
        affected("pypi", fixed="2.0"),
        affected("pypi", "2.0", last="2.0"),
        affected("pypi", "3.0", fixed="3.2"),
    )
    snapshot.add(
        Advisory(id="CVE-2024-0003", source="s"), "pypi", "a", affected("pypi"), affected("pypi", fixed="9")
    )
    found = judged(snapshot, pypi("a", "1.0"))
    assert {item.id: item.fixed_version for item in found.findings} == {
        "CVE-2024-0001": "3.1.3",
        "CVE-2024-0002": "3.2",
        "CVE-2024-0003": "",
    }
    assert found.upgrade == "3.2"
    assert found.unfixed == 1


def test_the_upgrade_repairs_every_fixable_flaw_and_brings_no_known_one() -> None:
    snapshot = (
        MemorySnapshot()
        .add(flaw("CVE-2024-1000"), "pypi", "a", affected("pypi", fixed="1.5"))
        .add(flaw("CVE-2024-2000"), "pypi", "a", affected("pypi", "1", fixed="1.8"))
        .add(flaw("CVE-2024-3000"), "pypi", "a", affected("pypi", "1.6", fixed="2.1"))
        .add(flaw("CVE-2024-4000"), "pypi", "a", affected("pypi", "2.1", last="2.1"))
        .add(flaw("CVE-2024-5000"), "pypi", "a", affected("pypi", "2.0", fixed="2.2"))
        .add(flaw("CVE-2024-6000"), "pypi", "a", affected("pypi"))
    )
    found = judged(snapshot, pypi("a", "1.0"))
    assert (found.upgrade, found.unfixed) == ("2.2", 1)


def test_a_later_flaw_without_a_fix_does_not_take_the_upgrade_away() -> None:
    snapshot = (
        MemorySnapshot()
        .add(flaw("CVE-2024-1000"), "pypi", "a", affected("pypi", fixed="1.5"))
        .add(flaw("CVE-2024-2000"), "pypi", "a", affected("pypi", "1.5"))
    )
    assert judged(snapshot, pypi("a", "1.0")).upgrade == "1.5"


def test_a_withdrawn_advisory_does_not_push_the_upgrade() -> None:
    snapshot = (
        MemorySnapshot()
        .add(flaw("CVE-2024-1000"), "pypi", "a", affected("pypi", fixed="1.5"))
        .add(
            flaw("CVE-2024-2000", withdrawn="2024-01-01T00:00:00Z"),
            "pypi",
            "a",
            affected("pypi", "1.5", fixed="3"),
        )
    )
    assert judged(snapshot, pypi("a", "1.0")).upgrade == "1.5"


def test_flaws_that_no_one_version_repairs_together_give_no_upgrade() -> None:
    snapshot = (
        MemorySnapshot()
        .add(flaw("CVE-2024-1000"), "pypi", "a", affected("pypi", fixed="1.5"), affected("pypi", "2"))
        .add(flaw("CVE-2024-2000"), "pypi", "a", affected("pypi", fixed="2.5"))
    )
    found = judged(snapshot, pypi("a", "1.0"))
    assert [item.fixed_version for item in found.findings] == ["1.5", "2.5"]
    assert found.upgrade == ""


def test_contradictory_ranges_end() -> None:
    snapshot = MemorySnapshot().add(
        flaw("CVE-2024-1000"),
        "pypi",
        "a",
        affected("pypi", "3", fixed="1"),
        affected("pypi", fixed="2"),
        affected("pypi", "2", fixed="2"),
        affected("pypi", "2", last="2"),
        affected("pypi", "1", fixed="4"),
    )
    assert judged(snapshot, pypi("a", "1.5")).upgrade == "4"


def test_only_fixed_keeps_what_can_be_repaired() -> None:
    snapshot = (
        MemorySnapshot()
        .add(flaw("CVE-2024-1000"), "pypi", "a", affected("pypi", fixed="1.5"))
        .add(flaw("CVE-2024-2000"), "pypi", "a", affected("pypi"))
        .add(flaw("CVE-2024-3000"), "pypi", "b", affected("pypi"))
    )
    report = only_fixed(match(index([pypi("a", "1"), pypi("b", "1")]), snapshot))
    assert [[item.id for item in found.findings] for found in report.packages] == [["CVE-2024-1000"]]
    assert report.packages[0].unfixed == 0
    assert report.left_out == 2
