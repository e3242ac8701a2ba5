"""Building: many sources into one sequence, the same whatever the circumstances."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from redoubt.definitions import records, stream
from redoubt.definitions.build import Built, build, merge
from redoubt.definitions.mirror import Fetch, Mirror
from redoubt.definitions.sources import SOURCES
from redoubt.errors import AccessDenied, DefinitionsError, UnreadableInput, UsageError
from redoubt.model import Advisory, AffectedRange, CveRecord, Cvss, Epss, KnownExploited, Severity
from support.data import ROOT
from support.feeds import FIXTURES, fixture_mirror, write_zip

NAMES = [source.name for source in SOURCES]


def digest(mirror: Path, **options: object) -> str:
    with build(Mirror(mirror), **options) as built:  # type: ignore[arg-type]
        return stream.digest(built.records())


def states(built: Built) -> dict[str, str]:
    return {source.name: source.state for source in built.sources}


def test_every_source_ends_up_in_one_ascending_sequence(tmp_path: Path) -> None:
    with build(Mirror(fixture_mirror(tmp_path))) as built:
        found = dict(built.records())
        assert list(found) == sorted(found)
        assert list(built.records()) == list(found.items()), "records can be asked for again"
        assert states(built) == dict.fromkeys(NAMES, "fresh")
        ranges = records.decode_affected(
            found[records.affected_key("debian:12", "fixture-src", "debian/CVE-2099-0701")]
        )
        assert [item.upper for item in ranges] == ["1.2-3+deb12u1"]
        assert records.decode_cve(found[b"cCVE-2099-0001"]).kev == KnownExploited(
            "2099-10-01", "2099-10-22", True
        )
        assert records.decode_epss(found[b"eCVE-2099-0001"]) == Epss(0.94321, 0.99876, "2099-11-01")
        assert records.decode_namespaces(found[b"mnamespaces"]) == built.namespaces
        assert records.decode_sources(found[b"msources"]) == tuple(sorted(built.infos))
        assert sum(built.namespaces.values()) == sum(key[:1] == b"a" for key in found)
        by_source = {info.name: info for info in built.infos}
        assert by_source["kev"].records == 2
        assert by_source["osv-almalinux"].records == 3
        assert by_source["osv-go"].newest == "2099-04-02T00:00:00Z"
        assert by_source["debian"].newest == ""


def test_packing_order_of_members_and_folder_do_not_change_the_digest(tmp_path: Path) -> None:
    first = digest(fixture_mirror(tmp_path / "a"))
    assert digest(fixture_mirror(tmp_path / "b", backwards=True)) == first
    assert digest(fixture_mirror(tmp_path / "c", stored=True)) == first


def test_spilling_to_disk_does_not_change_the_digest(tmp_path: Path) -> None:
    mirror = fixture_mirror(tmp_path / "mirror")
    spill = tmp_path / "spill"
    spill.mkdir()
    for budget in (0, 4000, 40_000):
        assert digest(mirror, budget=budget, temporary=spill) == digest(mirror)
    assert list(spill.iterdir()) == []


def test_no_room_for_temporary_files_or_copies_is_said_and_stops_the_build(tmp_path: Path) -> None:
    mirror = fixture_mirror(tmp_path / "mirror", ["debian"])
    with pytest.raises(AccessDenied, match=r"cannot write to .*gone"):
        build(Mirror(mirror), budget=0, temporary=tmp_path / "gone")
    (tmp_path / "state").write_text("a file where a folder should be")
    with pytest.raises(AccessDenied, match=r"cannot write to .*state"):
        build(Mirror(mirror, state=tmp_path / "state"))


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_hash_seed_time_and_zone_do_not_change_the_digest(tmp_path: Path, seed: str) -> None:
    mirror = fixture_mirror(tmp_path)
    program = (
        "import sys; from pathlib import Path; from redoubt.definitions import build, mirror, stream\n"
        "print(stream.digest(build.build(mirror.Mirror(Path(sys.argv[1]))).records()))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": "Pacific/Kiritimati", "LC_ALL": "C"}
    environment["PYTHONPATH"] = str(ROOT / "src")
    done = subprocess.run(
        [sys.executable, "-c", program, str(mirror)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest(mirror)


def test_facts_only_holds_no_titles(tmp_path: Path) -> None:
    mirror = Mirror(fixture_mirror(tmp_path))
    with build(mirror) as whole, build(mirror, facts_only=True) as facts:
        titled = b"".join(value for _, value in whole.records())
        bare = b"".join(value for _, value in facts.records())
        assert b"a prototype is polluted" in titled
        assert b"Fixture:" not in bare
        assert [key for key, _ in facts.records()] == [key for key, _ in whole.records()]


def test_only_the_sources_named_are_read(tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    with build(
        Mirror(fixture_mirror(tmp_path)), ["kev", "debian"], progress=lambda *step: heard.append(step)
    ) as built:
        assert states(built) == {"debian": "fresh", "kev": "fresh"}
    assert heard == [("debian", 0, 2), ("kev", 1, 2), ("", 2, 2)]


def test_an_absent_source_is_missing_and_an_error_only_where_named(tmp_path: Path) -> None:
    mirror = Mirror(fixture_mirror(tmp_path, ["debian"]))
    with build(mirror) as built:
        assert states(built) == {**dict.fromkeys(NAMES, "missing"), "debian": "fresh"}
        assert [info.name for info in built.infos] == ["debian"]
    with pytest.raises(UnreadableInput, match=r"holds no files of kev; expected kev/known_exploited"):
        build(mirror, ["debian", "kev"])
    with pytest.raises(UsageError, match="no such source: kevv"):
        build(mirror, ["kevv"])


def test_a_folder_of_nothing_and_no_folder_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"see docs/sources\.md"):
        build(Mirror(tmp_path))
    with pytest.raises(UnreadableInput, match="is not a folder"):
        Mirror(tmp_path / "gone")


def test_all_sources_failing_is_an_error_that_names_the_first(tmp_path: Path) -> None:
    for name in ("debian", "kev"):
        fixture_mirror(tmp_path, [name])
    (tmp_path / "debian" / "tracker.json").write_text("<html>")
    (tmp_path / "kev" / "known_exploited_vulnerabilities.json").write_text("{}")
    with pytest.raises(DefinitionsError, match=r"no source could be read: debian: .*\(and 1 more\)"):
        build(Mirror(tmp_path))


def test_a_failing_source_does_not_stop_the_others(tmp_path: Path) -> None:
    mirror = fixture_mirror(tmp_path)
    (mirror / "osv/Bitnami/all.zip").write_bytes(b"PK\x03\x04 truncated")
    with build(Mirror(mirror)) as built:
        assert states(built) == {**dict.fromkeys(NAMES, "fresh"), "osv-bitnami": "missing"}
        assert "osv-bitnami" not in {info.name for info in built.infos}
        [detail] = [source.detail for source in built.sources if source.name == "osv-bitnami"]
        assert "not a zip archive" in detail
        assert "bitnami" not in built.namespaces


def test_a_few_spoilt_records_are_counted_and_many_fail_the_source(tmp_path: Path) -> None:
    good = (FIXTURES / "osv-npm" / "records" / "GHSA-fix1-ture-0301.json").read_bytes()
    members = {f"{n}.json": good.replace(b"ture-0301", b"ture-%04d" % n) for n in range(20)}
    path = tmp_path / "osv/npm/all.zip"
    write_zip(path, {**members, "x.json": b"?", "y.json": b"[]"})
    with build(Mirror(tmp_path)) as built:
        reading = next(reading for reading in built.readings if reading.name == "osv-npm")
        assert (reading.read, reading.spoilt, len(reading.examples)) == (22, 2, 2)
        assert built.namespaces == {"npm": 40}
    write_zip(path, {**members, **{f"bad{n}.json": b"?" for n in range(3)}})
    with pytest.raises(DefinitionsError, match="3 of 23 records cannot be used"):
        build(Mirror(tmp_path))


def test_a_source_that_holds_nothing_failed(tmp_path: Path) -> None:
    write_zip(tmp_path / "osv/npm/all.zip", {})
    with pytest.raises(DefinitionsError, match="osv-npm holds no records at all"):
        build(Mirror(tmp_path))


def test_what_was_read_last_is_kept_and_used_when_the_source_breaks(tmp_path: Path) -> None:
    mirror, state = fixture_mirror(tmp_path / "mirror"), tmp_path / "state"
    with build(Mirror(mirror, state=state)) as built:
        first = list(built.records())
    tracker = mirror / "debian" / "tracker.json"
    tracker.write_text('{"fixture-src": 7}')
    (mirror / "wolfi" / "security.json").unlink()
    for _ in range(2):
        with build(Mirror(mirror, state=state)) as built:
            assert states(built) == {**dict.fromkeys(NAMES, "fresh"), "debian": "stale", "wolfi": "stale"}
            reasons = {source.name: source.detail for source in built.sources}
            assert reasons["debian"].startswith("debian/tracker.json is not the security tracker's JSON")
            assert reasons["wolfi"] == "not in the mirror folder; used what was kept"
            assert list(built.records()) == first
    tracker.write_text(
        json.dumps({"fixture-src": {"CVE-2099-0001": {"releases": {"bookworm": {"status": "open"}}}}})
    )
    with build(Mirror(mirror, state=state)) as built:
        assert states(built)["debian"] == "fresh"
        assert built.namespaces["debian:12"] == 1


def test_copies_of_two_mirrors_never_mix(tmp_path: Path) -> None:
    state = tmp_path / "state"
    build(Mirror(fixture_mirror(tmp_path / "one"), state=state)).close()
    other = fixture_mirror(tmp_path / "two", ["kev"])
    with build(Mirror(other, state=state)) as built:
        assert states(built) == {**dict.fromkeys(NAMES, "missing"), "kev": "fresh"}


def test_a_process_that_ended_while_copying_leaves_a_whole_copy(tmp_path: Path) -> None:
    mirror, state = fixture_mirror(tmp_path / "mirror", ["kev"]), tmp_path / "state"
    build(Mirror(mirror, state=state)).close()
    file = mirror / "kev" / "known_exploited_vulnerabilities.json"
    good = file.read_bytes()
    [kept] = state.iterdir()
    (kept / ".kev.new" / "kev").mkdir(parents=True)
    (kept / ".kev.new" / "kev" / file.name).write_bytes(good[:100])
    file.write_text("")
    for _ in range(2):
        with build(Mirror(mirror, state=state)) as built:
            assert (states(built)["kev"], built.infos[0].records) == ("stale", 2)
        if (kept / "kev").exists():
            (kept / "kev").rename(kept / ".kev.old")
    file.write_bytes(good)
    with build(Mirror(mirror, state=state)) as built:
        assert states(built)["kev"] == "fresh"
    assert sorted(path.name for path in kept.iterdir()) == ["kev"]


def test_a_source_that_could_not_be_fetched_is_stale_with_the_files_that_are_there(tmp_path: Path) -> None:
    fetches = {"kev": Fetch(detail="upstream: answered 503"), "debian": Fetch(), "epss": Fetch(detail="no")}
    mirror = Mirror(fixture_mirror(tmp_path, ["kev", "debian"]), fetches=fetches, identity="online")
    with build(mirror, ["kev", "debian", "epss"]) as built:
        assert states(built) == {"debian": "unchanged", "kev": "stale", "epss": "missing"}
        assert {source.name: source.detail for source in built.sources} == {
            "debian": "",
            "kev": "upstream: answered 503",
            "epss": "no",
        }


def one_range(upper: str) -> AffectedRange:
    return AffectedRange(b"", upper.encode(), 4, "", upper)


def test_ranges_of_the_same_advisory_and_package_are_united() -> None:
    key, first = records.affected("npm", "a", "osv-npm/X", [one_range("1"), one_range("2")])
    _, second = records.affected("npm", "a", "osv-npm/X", [one_range("3"), one_range("2")])
    assert records.decode_affected(merge(key, [first, second])) == (
        one_range("1"),
        one_range("2"),
        one_range("3"),
    )


def test_of_one_advisory_the_newest_wins_whatever_the_order() -> None:
    old, new = (
        records.advisory(Advisory(id="X", source="osv-npm", title=title, modified=modified))
        for title, modified in (("zz old", "2099-01-01T00:00:00Z"), ("aa new", "2099-01-02T00:00:00Z"))
    )
    for order in ([old[1], new[1]], [new[1], old[1]]):
        assert merge(old[0], order) == new[1]


def test_the_same_advisory_twice_in_an_archive_does_not_depend_on_order(tmp_path: Path) -> None:
    template = json.loads((FIXTURES / "osv-npm" / "records" / "GHSA-fix1-ture-0301.json").read_text())
    old = json.dumps({**template, "summary": "old"}).encode()
    later = {
        **template,
        "summary": "new",
        "modified": "2099-06-02T00:00:00Z",
        "affected": template["affected"][:1],
    }
    new = json.dumps(later).encode()
    outcomes = set()
    for name, order in (("a", {"1.json": old, "2.json": new}), ("b", {"2.json": new, "1.json": old})):
        write_zip(tmp_path / name / "osv/npm/all.zip", order)
        with build(Mirror(tmp_path / name)) as built:
            found = dict(built.records())
            outcomes.add(stream.digest(built.records()))
        advisory = records.decode_advisory("x/y", found[b"vosv-npm/GHSA-fix1-ture-0301"])
        assert (advisory.title, advisory.modified) == ("new", "2099-06-02T00:00:00Z")
        assert built.namespaces == {"npm": 2}
    assert len(outcomes) == 1


def test_what_sources_say_of_a_cve_stands_together() -> None:
    kev = CveRecord(kev=KnownExploited("2099-01-01"))
    scored = CveRecord(cvss=(Cvss("nvd", "AV:N", 5.0),), severity=Severity.HIGH)
    key, first = records.cve("CVE-2099-0001", kev)
    united = records.decode_cve(merge(key, [first, records.cve("CVE-2099-0001", scored)[1]]))
    assert united == CveRecord(kev=kev.kev, cvss=scored.cvss, severity=Severity.HIGH)


def test_what_an_advisory_calls_a_flaw_beside_its_cve_is_kept_for_those_that_only_know_that_name(
    tmp_path: Path,
) -> None:
    def record(identifier: str, *aliases: str, **more: object) -> bytes:
        package = {"ecosystem": "PyPI", "name": "fixture"}
        ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]
        affected = [{"package": package, "ranges": ranges}]
        return json.dumps({"id": identifier, "aliases": aliases, "affected": affected, **more}).encode()

    members = {
        "a.json": record("PYSEC-2099-1", "CVE-2099-1", "GHSA-a"),
        "b.json": record("PYSEC-2099-2", "CVE-2099-2", "GHSA-a", "GHSA-b"),
        "c.json": record("GHSA-c", "CVE-2099-3"),
        "d.json": record("PYSEC-2099-4", "GHSA-d"),
        "e.json": record("PYSEC-2099-5", "GHSA-e", upstream=["CVE-2099-5"]),
        "f.json": record("CVE-2099-6", "GHSA-f"),
    }
    write_zip(tmp_path / "osv" / "PyPI" / "all.zip", members)
    with build(Mirror(tmp_path), ["osv-pypi"]) as built:
        found = {key: value for key, value in built.records() if key[:1] == records.MAPPED}
        (info,) = built.infos
    assert {key: records.decode_mapped(value) for key, value in found.items()} == {
        b"ralias\0GHSA-a": ("CVE-2099-1", "CVE-2099-2"),
        b"ralias\0GHSA-b": ("CVE-2099-2",),
        b"ralias\0GHSA-f": ("CVE-2099-6",),
    }
    assert info.records == 6


def test_a_source_of_names_alone_counts_them_and_makes_no_finding(tmp_path: Path) -> None:
    with build(Mirror(fixture_mirror(tmp_path)), ["chainguard-names"]) as built:
        (info,) = built.infos
        assert (info.records, info.scores_only, built.namespaces) == (2, True, {})


def test_of_two_scores_the_later_stays() -> None:
    key, old = records.epss("CVE-2099-0001", Epss(0.9, 0.9, "2099-01-01"))
    _, new = records.epss("CVE-2099-0001", Epss(0.1, 0.1, "2099-01-02"))
    assert merge(key, sorted([old, new])) == new


def test_a_score_of_one_source_is_kept_with_the_cve_for_records_that_rate_nothing(tmp_path: Path) -> None:
    vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"

    def record(identifier: str, aliases: list[str]) -> bytes:
        ranges = [{"type": "SEMVER", "events": [{"introduced": "0"}]}]
        affected = [{"package": {"ecosystem": "Bitnami", "name": "thing"}, "ranges": ranges}]
        rated = [{"type": "CVSS_V3", "score": vector}]
        text = {"id": identifier, "modified": "2099-01-01T00:00:00Z", "aliases": aliases, "severity": rated}
        return json.dumps(text | {"affected": affected}).encode()

    mirror = tmp_path / "mirror"
    members = {
        "a.json": record("BIT-1", ["CVE-2099-0001"]),
        "b.json": record("BIT-2", ["CVE-2099-0002", "CVE-2099-0003"]),
    }
    write_zip(mirror / "osv" / "Bitnami" / "all.zip", members)
    with build(Mirror(mirror)) as built:
        found = dict(built.records())
    assert records.decode_cve(found[b"cCVE-2099-0001"]).cvss == (Cvss("osv-bitnami", vector, 9.8),)
    assert b"cCVE-2099-0002" not in found, "a score of two flaws together is neither's"
    assert [info.records for info in built.infos] == [2]
