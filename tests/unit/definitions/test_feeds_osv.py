"""What the fixtures of the OSV feeds do not show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes
from redoubt.model import Advisory, Severity
from support.feeds import said, source_named, write_zip


def read(name: str, *found: object, facts_only: bool = False) -> tuple[list[Item], Notes]:
    """What the feed of source ``name`` makes of these records (objects, or bytes as they are)."""
    import tempfile

    members = {
        f"{number}.json": one if isinstance(one, bytes) else json.dumps(one).encode()
        for number, one in enumerate(found)
    }
    with tempfile.TemporaryDirectory() as folder:
        archive = write_zip(Path(folder) / "all.zip", members)
        notes = Notes()
        source = source_named(name)
        items = list(source.feed.read(Files([("all.zip", archive)]), name, notes, facts_only=facts_only))
    return items, notes


def record(**more: object) -> dict[str, object]:
    affected = [
        {
            "package": {"ecosystem": "PyPI", "name": "fixture"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.0"}]}],
        }
    ]
    return {"id": "PYSEC-2099-1", "modified": "2099-01-01T00:00:00Z", "affected": affected, **more}


def advisory(**more: object) -> Advisory:
    [(found, _)], notes = read("osv-pypi", record(**more))
    assert isinstance(found, Advisory)
    assert notes.spoilt == 0
    return found


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("CRITICAL", Severity.CRITICAL),
        ("Moderate", Severity.MEDIUM),
        ("low", Severity.LOW),
        ("None", Severity.UNKNOWN),
        (None, Severity.UNKNOWN),
        (9.8, Severity.UNKNOWN),
        (["HIGH"], Severity.UNKNOWN),
    ],
)
def test_severity_is_the_databases_word_or_unknown(word: object, severity: Severity) -> None:
    assert advisory(database_specific={"severity": word}).severity is severity


def test_an_invalid_vector_is_dropped_and_the_valid_one_stays() -> None:
    good = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
    ratings = [{"type": "CVSS_V3", "score": score} for score in ("9.8", good, good + "/AV:N", "")]
    ratings.append({"type": "Ubuntu", "score": "high"})
    assert [score.vector for score in advisory(severity=ratings).cvss] == [good]


@pytest.mark.parametrize(
    ("modified", "published", "expected"),
    [
        ("0001-01-01T00:00:00Z", "2099-05-05T05:05:05Z", "2099-05-05T05:05:05Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", ""),
        ("2099-01-02T03:04:05.678901Z", None, "2099-01-02T03:04:05Z"),
        ("yesterday", None, ""),
        ("2099-13-40T00:00:00Z", None, ""),
    ],
)
def test_modified_falls_back_to_published_and_never_lies(
    modified: str, published: str | None, expected: str
) -> None:
    assert advisory(modified=modified, published=published).modified == expected


def test_a_source_whose_records_mostly_have_no_date_has_no_newest_record() -> None:
    undated = [record(id=f"GO-2099-{n}", modified="0001-01-01T00:00:00Z") for n in range(3)]
    _, notes = read("osv-pypi", record(), *undated)
    assert notes.newest == ""
    _, notes = read("osv-pypi", record(), undated[0], record(id="GO-2099-9"))
    assert notes.newest == "2099-01-01T00:00:00Z"


def test_references_are_links_and_not_too_many() -> None:
    urls = [
        "ftp://example.org/a",
        "https://example.org/\x1b[31m",
        "HTTPS://EXAMPLE.ORG/b",
        "https://x/" + "y" * 3000,
    ]
    urls += [f"https://example.org/{number}" for number in range(40)]
    found = advisory(references=[{"url": url} for url in urls]).references
    assert found[0] == "HTTPS://EXAMPLE.ORG/b"
    assert len(found) == 20


def test_title_is_one_printable_line() -> None:
    title = advisory(summary="Fixture:\r\n\x1b[31mred\u202e " + "long " * 200).title
    assert title.startswith("Fixture: [31mred")
    assert title.isprintable()
    assert len(title) <= 300


def test_git_ranges_are_passed_over_wherever_they_stand() -> None:
    git = {"type": "GIT", "events": [{"introduced": "0"}]}
    real = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.0"}]}
    for order in ([git, real], [real, git]):
        [(_, (one,))], _ = read(
            "osv-pypi",
            record(affected=[{"package": {"ecosystem": "PyPI", "name": "fixture"}, "ranges": order}]),
        )
        assert [said(item) for item in one.ranges] == ["[, 1.0) fixed"]


def test_an_ecosystem_with_a_release_is_still_the_ecosystem() -> None:
    affected = [{"package": {"ecosystem": "PyPI:3", "name": "fixture"}, "versions": ["1.0"]}]
    items, _ = read("osv-pypi", record(affected=affected))
    assert len(items) == 1


@pytest.mark.parametrize(
    ("last", "events", "expected"),
    [
        ("<= 1.4", [], "[, 1.4]"),
        ("< 1.4", [], "[, 1.4)"),
        ("<=1.4", [], "[, 1.4]"),
        ("<= 1.4", [{"fixed": "2.0"}], "[, 2.0) fixed"),
        (">= 1.0, <= 1.4", [], "[, )"),
        ("", [], "[, )"),
        (5, [], "[, )"),
        (["<= 1.4"], [], "[, )"),
    ],
)
def test_an_open_range_ends_where_githubs_record_says(
    last: object, events: list[object], expected: str
) -> None:
    affected = [
        {
            "package": {"ecosystem": "PyPI", "name": "fixture"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, *events]}],
            "database_specific": {"last_known_affected_version_range": last},
        }
    ]
    [(_, (one,))], _ = read("osv-pypi", record(affected=affected))
    assert [said(item) for item in one.ranges] == [expected]


def test_unreviewed_advisories_of_github_are_not_even_unpacked(tmp_path: Path) -> None:
    reviewed = json.dumps(record(id="GHSA-fix1-ture-0001")).encode()
    place = "advisory-database-main/advisories"
    members = {f"{place}/github-reviewed/a.json": reviewed, f"{place}/unreviewed/b.json": b"{" * 100}
    archive = write_zip(tmp_path / "github.zip", members)
    notes = Notes()
    files = Files([("github.zip", archive)])
    [(found, _)] = source_named("github").feed.read(files, "github", notes, facts_only=False)
    assert isinstance(found, Advisory)
    assert (found.id, notes.read, notes.spoilt) == ("GHSA-fix1-ture-0001", 1, 0)


BROKEN = [
    b"",
    b"[]",
    b"null",
    b"{",
    b'{"id": "X"',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"id":' + b"[" * 100_000,
    b'{"id":"X","details":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"id": "PYSEC-\\ud800"}',
    json.dumps(record(id=5)).encode(),
    json.dumps(record(id="")).encode(),
    json.dumps(record(id="PYSEC 1\n")).encode(),
    json.dumps(record(affected={})).encode(),
    json.dumps(record(aliases="CVE-2099-1")).encode(),
    json.dumps(
        record(affected=[{"package": {"ecosystem": "PyPI", "name": "a\0b"}, "versions": ["1"]}])
    ).encode(),
    json.dumps(
        record(affected=[{"package": {"ecosystem": "PyPI", "name": "n" * 70_000}, "versions": ["1"]}])
    ).encode(),
    json.dumps(record(affected=[{"package": {"ecosystem": "PyPI", "name": ""}, "versions": ["1"]}])).encode(),
]


@pytest.mark.parametrize("data", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_record_is_counted_and_the_next_one_is_read(data: bytes) -> None:
    items, notes = read("osv-pypi", data, record())
    assert [first.id for first, _ in items if isinstance(first, Advisory)] == ["PYSEC-2099-1"]
    assert (notes.read, notes.spoilt, len(notes.examples)) == (2, 1, 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    "id",
    "modified",
    "withdrawn",
    "aliases",
    "severity",
    "references",
    "affected",
    "database_specific",
    "summary",
]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(FIELDS), json_values)
def test_any_value_in_any_field_spoils_at_most_its_record(field: str, value: object) -> None:
    for name in ("osv-pypi", "osv-almalinux"):
        items, notes = read(name, record(**{field: value}))
        assert notes.read == 1
        assert len(items) + notes.spoilt + notes.dropped.total() == 1
