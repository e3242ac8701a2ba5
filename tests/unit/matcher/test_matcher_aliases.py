"""A flaw that is listed by its CVE and by GitHub's id is one finding where any record says that the two are one."""

from __future__ import annotations

from matcher_snapshot import MemorySnapshot, affected, index

from redoubt.matcher import match
from redoubt.matcher.explain import explain
from redoubt.model import Advisory, Distribution, Finding, Package, Status, flawnames

WOLFI = Distribution(id="wolfi")
PACKAGE = Package(type="apk", name="p", version="1-r0")


def rolling() -> MemorySnapshot:
    snapshot = MemorySnapshot()
    snapshot.add(Advisory(id="CVE-2099-1001", source="wolfi"), "wolfi", "p", affected("wolfi", fixed="1-r3"))
    snapshot.add(Advisory(id="GHSA-a", source="wolfi"), "wolfi", "p", affected("wolfi", fixed="1-r4"))
    return snapshot


def findings(snapshot: MemorySnapshot, package: Package = PACKAGE) -> list[Finding]:
    return [item for found in match(index([package], WOLFI), snapshot).packages for item in found.findings]


def github(snapshot: MemorySnapshot, *aliases: str, identifier: str = "GHSA-a") -> None:
    record = Advisory(id=identifier, source="github", aliases=aliases)
    snapshot.add(record, "npm", "elsewhere", affected("npm", fixed="2"))


def test_without_a_record_that_joins_them_they_are_two() -> None:
    assert [item.id for item in findings(rolling())] == ["CVE-2099-1001", "GHSA-a"]


def test_another_sources_record_of_the_id_joins_them_and_the_later_fix_is_the_fix() -> None:
    snapshot = rolling()
    github(snapshot, "CVE-2099-1001")
    (found,) = findings(snapshot)
    assert (found.id, found.aliases, found.fixed_version) == ("CVE-2099-1001", ("GHSA-a",), "1-r4")


def test_what_only_the_github_id_still_holds_bears_the_cve() -> None:
    snapshot = rolling()
    github(snapshot, "CVE-2099-1001")
    (found,) = findings(snapshot, Package(type="apk", name="p", version="1-r3"))
    assert (found.id, found.aliases) == ("CVE-2099-1001", ("GHSA-a",))


def test_an_id_of_several_cves_joins_none() -> None:
    snapshot = rolling()
    github(snapshot, "CVE-2099-1001", "CVE-2099-1002")
    assert [item.id for item in findings(snapshot)] == ["CVE-2099-1001", "GHSA-a"]


def test_a_record_that_only_mentions_both_names_joins_them() -> None:
    snapshot = rolling()
    snapshot.mappings[flawnames.ALIAS, "GHSA-a"] = ("CVE-2099-1001",)
    (found,) = findings(snapshot)
    assert (found.id, found.aliases, found.fixed_version) == ("CVE-2099-1001", ("GHSA-a",), "1-r4")


def test_records_that_mention_the_id_beside_different_cves_join_none() -> None:
    snapshot = rolling()
    snapshot.mappings[flawnames.ALIAS, "GHSA-a"] = ("CVE-2099-1001", "CVE-2099-1002")
    assert [item.id for item in findings(snapshot)] == ["CVE-2099-1001", "GHSA-a"]


def test_a_record_of_the_id_itself_knows_better_than_those_that_mention_it() -> None:
    snapshot = rolling()
    github(snapshot, "CVE-2099-1001")
    snapshot.mappings[flawnames.ALIAS, "GHSA-a"] = ("CVE-2099-1002",)
    assert [item.id for item in findings(snapshot)] == ["CVE-2099-1001"]


def test_a_denial_by_the_github_id_is_one_of_the_cve() -> None:
    snapshot = MemorySnapshot()
    snapshot.add(Advisory(id="CVE-2099-1001", source="wolfi"), "wolfi", "p", affected("wolfi", fixed="1-r3"))
    snapshot.add(
        Advisory(id="GHSA-a", source="wolfi"), "wolfi", "p", affected("wolfi", status=Status.NOT_AFFECTED)
    )
    github(snapshot, "CVE-2099-1001")
    assert findings(snapshot) == []


def test_explain_finds_both_records_by_either_name() -> None:
    snapshot = rolling()
    github(snapshot, "CVE-2099-1001")
    for name in ("CVE-2099-1001", "GHSA-a"):
        (case,) = explain(index([PACKAGE], WOLFI), snapshot, name).cases
        assert [record.ref for record in case.records] == ["wolfi/CVE-2099-1001", "wolfi/GHSA-a"]
