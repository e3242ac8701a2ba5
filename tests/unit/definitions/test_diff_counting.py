"""What lies between two snapshots, by source and severity."""

from __future__ import annotations

import pytest

from redoubt.definitions import records
from redoubt.definitions.diff import Counts, compare
from redoubt.definitions.snapshot import Snapshot, create
from redoubt.model import Advisory, CveRecord, Epss, Severity
from support.definitions_bundles import sample_records, span


@pytest.fixture
def between(tmp_path):
    """Compare two sets of records."""

    def difference(old, new):
        create(tmp_path / "old", old)
        create(tmp_path / "new", new)
        with Snapshot.open(tmp_path / "old") as before, Snapshot.open(tmp_path / "new") as after:
            return compare(before, after)

    return difference


def groups(found):
    return {
        (group.source, str(group.severity)): (group.appeared, group.changed, group.vanished)
        for group in found.advisories
    }


def test_equal_snapshots_differ_in_nothing(between):
    found = between(sample_records(), sample_records())
    assert found.advisories == ()
    assert (found.counts, found.cves.counts, found.scores) == (Counts(), Counts(), Counts())
    assert found.old == found.new


def test_advisory_is_changed_where_only_its_ranges_are(between):
    found = between(sample_records("1"), sample_records("2"))
    assert groups(found) == {("debian", "HIGH"): ((), ("CVE-2024-0001",), ())}
    assert found.counts == Counts(0, 1, 0)


def test_advisories_are_told_apart_by_what_became_of_them(between):
    def said(identifier, severity, title="", source="osv"):
        return records.advisory(Advisory(id=identifier, source=source, severity=severity, title=title))

    def hits(identifier, package="p"):
        return records.affected("pypi", package, f"osv/{identifier}", [span("1")])

    old = [
        said("GONE", Severity.LOW),
        hits("GONE"),
        said("RATED", Severity.LOW),
        said("WIDER", Severity.HIGH),
        hits("WIDER"),
    ]
    new = [
        said("NEW", Severity.CRITICAL),
        hits("NEW"),
        said("RATED", Severity.HIGH),
        said("WIDER", Severity.HIGH),
        hits("WIDER"),
        hits("WIDER", "q"),
        said("NEW", Severity.LOW, source="alpine"),
    ]
    found = between(sample_records(extra=old), sample_records(extra=new))
    assert groups(found) == {
        ("alpine", "LOW"): (("NEW",), (), ()),
        ("osv", "CRITICAL"): (("NEW",), (), ()),
        ("osv", "HIGH"): ((), ("RATED", "WIDER"), ()),
        ("osv", "LOW"): ((), (), ("GONE",)),
    }
    assert [(group.source, group.severity) for group in found.advisories] == [
        ("alpine", Severity.LOW),
        ("osv", Severity.CRITICAL),
        ("osv", Severity.HIGH),
        ("osv", Severity.LOW),
    ]
    assert found.counts == Counts(2, 2, 1)


def test_facts_and_scores_of_cves_are_counted_apart(between):
    def facts(identifier, severity):
        return records.cve(identifier, CveRecord(severity=severity))

    old = [facts("CVE-1", Severity.LOW), facts("CVE-2", Severity.LOW), records.epss("CVE-1", Epss(0.1, 0.1))]
    new = [facts("CVE-1", Severity.HIGH), facts("CVE-3", Severity.LOW), records.epss("CVE-1", Epss(0.2, 0.1))]
    new.append(records.epss("CVE-3", Epss(0.5, 0.5)))
    found = between(sample_records(extra=old), sample_records(extra=new))
    assert (found.cves.appeared, found.cves.changed, found.cves.vanished) == (
        ("CVE-3",),
        ("CVE-1",),
        ("CVE-2",),
    )
    assert found.scores == Counts(1, 1, 0)
    assert found.advisories == ()


def test_ranges_of_an_advisory_that_nothing_describes_are_a_change(between):
    orphan = records.affected("pypi", "p", "osv/ORPHAN", [span("1")])
    found = between(sample_records(), sample_records(extra=[orphan]))
    assert groups(found) == {("osv", "UNKNOWN"): ((), ("ORPHAN",), ())}
