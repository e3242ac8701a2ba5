"""A finding of one record that has one range is the one that a group of several would have become."""

from __future__ import annotations

import itertools

import pytest
from matcher_snapshot import MemorySnapshot

from redoubt.matcher.enrich import Scores, finding, of_one
from redoubt.matcher.group import Group, Hit
from redoubt.model import (
    Advisory,
    AffectedRange,
    CveRecord,
    Cvss,
    Epss,
    KnownExploited,
    RangeFlag,
    Severity,
    Status,
)

CVE = "CVE-2099-0001"
LOW, BAD = Cvss("nvd", "CVSS:3.1/AV:N", 3.1), Cvss("red-hat", "CVSS:3.1/AV:L", 9.8)
SCORES = (
    None,
    CveRecord(severity=Severity.LOW),
    CveRecord(cvss=(LOW, BAD), kev=KnownExploited("2099-01-02")),
)


@pytest.mark.parametrize("known", SCORES)
@pytest.mark.parametrize("scored", [None, Epss(0.25, 0.5, "2099-01-01")])
def test_a_finding_of_one_record_and_range_is_that_of_their_group(
    known: CveRecord | None, scored: Epss | None
) -> None:
    snapshot = MemorySnapshot()
    if known is not None:
        snapshot.cves[CVE] = known
    if scored is not None:
        snapshot.scores[CVE] = scored
    advisories = itertools.product(
        (Severity.UNKNOWN, Severity.HIGH),
        ((), (BAD,), (LOW, BAD, LOW)),
        ("", "https://example.org/1"),
        (0, 1, 3),
    )
    ranges = itertools.product(Status, (Severity.UNKNOWN, Severity.LOW), ("", "esm"), ("", "RHSA-2099:0001"))
    for (severity, cvss, url, count), said in itertools.product(advisories, list(ranges)):
        status, own, channel, notice = said
        links = tuple(f"https://example.org/{number}" for number in (2, 1, 2)[:count])
        cwes = ("CWE-79", "CWE-20", "CWE-79")[:count]
        advisory = Advisory(
            id=CVE, source="red-hat", severity=severity, cvss=cvss, cwes=cwes, references=links, url=url
        )
        for upper, flags in (("", 0), ("1.4", RangeFlag.FIXED), ("1.4", RangeFlag.INCLUSIVE)):
            item = AffectedRange(
                *(b"", upper.encode(), int(flags), "", upper, status),
                severity=own,
                channel=channel,
                notice=notice,
            )
            hit = Hit(f"red-hat/{CVE}", advisory, (item,), [item])
            fixed = item.fixed
            expected = finding(Group(CVE, (), (CVE,), [hit]), fixed, "redhat:9", Scores(snapshot))
            assert of_one(hit, fixed, "redhat:9", Scores(snapshot)) == expected
