"""Packages judged apart and put together say what a match of the whole image says; marks say when to ask again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matcher_snapshot import ALMA, DEBIAN, MemorySnapshot, affected, index
from test_matcher_properties import _advisories, _snapshot

from redoubt.definitions import records
from redoubt.definitions.marks import Marks
from redoubt.definitions.snapshot import Snapshot, create
from redoubt.matcher import match
from redoubt.matcher.apart import Apart, Verdict, owned, question, subject, together
from redoubt.matcher.enrich import Scores
from redoubt.model import (
    Advisory,
    CveRecord,
    Detection,
    Distribution,
    Epss,
    IndexReport,
    KnownExploited,
    Location,
    Mapped,
    Package,
    SourceInfo,
)

RHEL = Distribution(id="rhel", version_id="9.4", name="Red Hat Enterprise Linux 9.4")
EGG = "usr/lib/python3/dist-packages/requests.egg-info"
PLACES = (Location(EGG, "", "deb/python3-requests"), Location("srv/own/requests", "", ""))
DEBS = "Some Team <team@tracker.debian.org>"

IMAGES = {
    "owned": index(
        [
            Package(type="deb", name="python3-requests", version="2-1", source_name="requests", vendor=DEBS),
            Package(type="pypi", name="requests", version="2", locations=PLACES[:1]),
        ],
        DEBIAN,
    ),
    "partly owned, by one of no known maker": index(
        [
            Package(type="deb", name="python3-requests", version="2-1", source_name="requests"),
            Package(type="pypi", name="requests", version="2", locations=PLACES),
        ],
        DEBIAN,
    ),
    "the kernel's headers": index(
        [Package(type="deb", name="linux-libc-dev", version="5-1", source_name="linux")], DEBIAN
    ),
    "another maker's, no version, no group, a strange version": index(
        [
            Package(type="deb", name="docker-ce", version="1", vendor="Docker <support@docker.com>"),
            Package(type="deb", name="broken", version="not a version"),
            Package(type="maven", name="nameless", version="1"),
            Package(type="golang", name="example.org/a", version=""),
        ],
        DEBIAN,
    ),
    "Red Hat's, of no known product": index(
        [
            Package(type="rpm", name="libfix", version="1-1.el9", repositories=("a-repository",)),
            Package(type="rpm", name="other", version="1-1.el9"),
            Package(type="rpm", name="placed", version="1-1.el9", repositories=("known-rpms",)),
        ],
        RHEL,
    ),
    "no data": index([Package(type="rpm", name="libfix", version="1-1.el9")], ALMA),
    "no system": index([Package(type="deb", name="requests", version="1")]),
    "nothing": index([]),
}


def definitions() -> MemorySnapshot:
    made = MemorySnapshot()
    made.add(Advisory(id="CVE-2099-1", source="osv"), "pypi", "requests", affected("pypi", fixed="3"))
    made.add(Advisory(id="CVE-2099-6", source="osv"), "pypi", "requests", affected("pypi", fixed="4"))
    made.add(
        Advisory(id="CVE-2099-2", source="debian"),
        "debian:11",
        "requests",
        affected("debian:11", fixed="2-9"),
    )
    made.add(Advisory(id="CVE-2099-3", source="debian"), "debian:11", "linux", affected("debian:11"))
    made.add(Advisory(id="CVE-2099-3", source="debian"), "debian:11", "broken", affected("debian:11"))
    for name in ("libfix", "placed"):
        cpe = "cpe:/o:redhat:enterprise_linux:9"
        said = affected("redhat:9", fixed="1-2.el9", repository=cpe, module="-")
        made.add(Advisory(id="CVE-2099-4", source="redhat"), "redhat:9", name, said)
    made.mappings = {("product", "known-rpms"): ("cpe:/o:redhat:enterprise_linux:9::baseos",)}
    made.scores = {"CVE-2099-1": Epss(0.1, 0.2, "2099-01-02"), "CVE-2099-6": Epss(0.9, 0.9, "2099-01-02")}
    made.cves = {"CVE-2099-6": CveRecord(kev=KnownExploited("2099-01-01"))}
    made.ends = {"debian:11": "2098-01-01"}
    return made


def verdicts(report: IndexReport, snapshot: MemorySnapshot) -> list[Verdict]:
    apart = Apart(snapshot)
    made = [apart.judge(subject(package, report.distribution)) for package in report.packages]
    return msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=list[Verdict])


@pytest.mark.parametrize("detection", list(Detection))
@pytest.mark.parametrize("name", IMAGES)
def test_together_they_say_what_a_match_says(name: str, detection: Detection) -> None:
    report, snapshot = IMAGES[name], definitions()
    expected = match(report, snapshot, detection=detection)
    made = together(
        report,
        verdicts(report, snapshot),
        snapshot.info,
        Scores(snapshot),
        end_of_life=expected.end_of_life,
        detection=detection,
    )
    assert msgspec.json.encode(made) == msgspec.json.encode(expected)


@settings(max_examples=150, deadline=None)
@given(_advisories(), st.integers(1, 7).map(str))
def test_so_they_do_for_any_records(entries: list, version: str) -> None:  # type: ignore[type-arg]
    report, snapshot = index([Package(type="pypi", name="a", version=version)]), _snapshot(entries)
    made = together(report, verdicts(report, snapshot), snapshot.info, Scores(snapshot))
    assert made == match(report, snapshot)


def test_what_the_distribution_judges_is_told() -> None:
    snapshot = definitions()
    for name, expected in (
        ("owned", [False, True]),
        ("partly owned, by one of no known maker", [False, False]),
    ):
        assert owned(IMAGES[name], verdicts(IMAGES[name], snapshot)) == expected


def test_a_verdict_holds_no_score_that_changes_every_day() -> None:
    [_, said] = verdicts(IMAGES["owned"], definitions())
    assert len(said.judgement.findings) == 2
    assert all(item.epss is None for item in said.judgement.findings)


def test_a_subject_is_the_package_and_of_the_system_what_decides() -> None:
    package = Package(type="deb", name="a", version="1")
    placed = msgspec.structs.replace(package, locations=PLACES)
    twelve = msgspec.structs.replace(DEBIAN, version_id="12")
    assert subject(placed, DEBIAN).key == subject(package, DEBIAN).key
    assert subject(package, DEBIAN).key != subject(package, twelve).key
    assert subject(package, DEBIAN).key != subject(package, None).key
    for change in ({"version": "2"}, {"arch": "arm64"}, {"vendor": "x"}, {"repositories": ("x",)}):
        assert subject(msgspec.structs.replace(package, **change), DEBIAN).key != subject(package, DEBIAN).key
    wheel = Package(type="pypi", name="a", version="1")
    assert subject(wheel, DEBIAN).key == subject(wheel, None).key


def test_one_question_serves_all_versions_but_those_of_flavours() -> None:
    oracle = Distribution(id="ol", version_id="8.9")

    def asked(version: str, system: Distribution) -> bytes:
        return question(subject(Package(type="rpm", name="openssl", version=version), system)).key

    assert asked("1-1.el9", ALMA) == asked("1-2.el9", ALMA)
    assert asked("1-1.el8", oracle) == asked("1-2.el8", oracle)
    assert asked("1-1.ksplice1.el8", oracle) != asked("1-1.el8", oracle)


# Marks


@contextmanager
def stored(memory: MemorySnapshot, *more: records.Record) -> Iterator[Snapshot]:
    kept = [records.cve(*item) for item in memory.cves.items()]
    kept += [records.epss(*item) for item in memory.scores.items()]
    kept += [records.advisory(item) for item in memory.advisories.values()]
    for (namespace, name), said in memory._affected.items():
        kept += [records.affected(namespace, name, ref, ranges) for ref, ranges in said]
    sources = tuple(SourceInfo(name=name) for name in ("a", "b", "osv", "ghsa"))
    kept += [*more, *records.describe(sources, memory.info.namespaces)]
    with tempfile.TemporaryDirectory() as folder:
        create(Path(folder, "snapshot"), sorted(kept))
        with Snapshot.open(Path(folder, "snapshot")) as snapshot:
            yield snapshot


def mark(snapshot: Snapshot, package: Package, system: Distribution | None = None) -> bytes:
    return Apart(snapshot).mark(question(subject(package, system)), Marks(snapshot))


@settings(max_examples=60, deadline=None)
@given(_advisories(), _advisories(), st.integers(1, 7).map(str))
def test_where_marks_are_the_same_verdicts_are(first: list, second: list, version: str) -> None:  # type: ignore[type-arg]
    package = Package(type="pypi", name="a", version=version)
    with stored(_snapshot(first)) as old, stored(_snapshot(second)) as new:
        if mark(old, package) == mark(new, package):
            assert Apart(old).judge(subject(package, None)) == Apart(new).judge(subject(package, None))
        if first == second:
            assert mark(old, package) == mark(new, package)


def test_whatever_a_verdict_reads_changes_its_mark_and_a_daily_score_does_not() -> None:
    wheel = Package(type="pypi", name="a", version="1")

    def memory(cve: str = "", **advisory: str) -> MemorySnapshot:
        made = MemorySnapshot().add(
            Advisory(id="GHSA-x", source="osv", **advisory), "pypi", "a", affected("pypi")
        )
        made.advisories["ghsa/GHSA-x"] = Advisory(id="GHSA-x", source="ghsa", aliases=("CVE-2099-1",))
        if cve:
            made.cves["CVE-2099-1"] = CveRecord(kev=KnownExploited(cve))
        return made

    with stored(memory()) as first:
        plain = mark(first, wheel)
    marks = {plain}
    other_name = memory()
    other_name.advisories["ghsa/GHSA-x"] = Advisory(id="GHSA-x", source="ghsa", aliases=("CVE-2099-2",))
    for changed in (memory(title="new"), memory(cve="2099-01-01"), memory(withdrawn="2099"), other_name):
        with stored(changed) as snapshot:
            marks.add(mark(snapshot, wheel))
    assert len(marks) == 5
    scored = memory()
    scored.scores["CVE-2099-1"] = Epss(0.5, 0.5, "2099-01-02")
    with stored(scored, records.cve("CVE-2099-7", CveRecord(kev=KnownExploited("2099-01-01")))) as snapshot:
        assert mark(snapshot, wheel) == plain


def test_what_a_repository_stands_for_is_in_the_mark() -> None:
    package = Package(type="rpm", name="libfix", version="1-1.el9", repositories=("some-rpms__9",))
    memory = MemorySnapshot().add(
        Advisory(id="CVE-2099-1", source="a"), "redhat:9", "libfix", affected("redhat:9")
    )
    seen = set()
    for cpes in ((), ("cpe:/o:redhat:enterprise_linux:9",), ("cpe:/o:redhat:rhel_eus:9.2",)):
        more = [records.mapped("some-rpms", Mapped("product", cpes))] if cpes else []
        with stored(memory, *more) as snapshot:
            seen.add(mark(snapshot, package, RHEL))
    assert len(seen) == 3


def test_data_of_a_system_that_had_none_before_changes_its_marks() -> None:
    package = Package(type="deb", name="a", version="1")
    other = MemorySnapshot().add(Advisory(id="X", source="a"), "pypi", "b", affected("pypi"))
    with stored(other) as snapshot:
        before = mark(snapshot, package, DEBIAN)
    other.add(Advisory(id="Y", source="a"), "debian:11", "b", affected("debian:11"))
    with stored(other) as snapshot:
        assert mark(snapshot, package, DEBIAN) != before
