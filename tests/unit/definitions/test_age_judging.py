from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from redoubt.definitions.age import Level, judge
from redoubt.model import DefinitionsInfo, SourceInfo

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def info(*newest, created=""):
    sources = tuple(SourceInfo(name=f"s{number}", newest=text) for number, text in enumerate(newest))
    return DefinitionsInfo(digest="sha256:0", schema="1.0", created=created, sources=sources)


@pytest.mark.parametrize(
    ("newest", "level", "message"),
    [
        (
            "2026-11-22T11:30:00Z",
            Level.FRESH,
            "definitions are less than an hour old (newest record 2026-11-22)",
        ),
        ("2026-11-22T11:00:00Z", Level.FRESH, "definitions are 1 hour old (newest record 2026-11-22)"),
        ("2026-11-21T12:00:00Z", Level.FRESH, "definitions are 24 hours old (newest record 2026-11-21)"),
        (
            "2026-11-21T11:59:59Z",
            Level.NOTICE,
            "definitions are 24 hours old (newest record 2026-11-21); import a newer bundle",
        ),
        (
            "2026-11-17T12:00:00Z",
            Level.NOTICE,
            "definitions are 5 days old (newest record 2026-11-17); import a newer bundle",
        ),
        (
            "2026-11-17T11:59:59Z",
            Level.WARNING,
            "definitions are 5 days old (newest record 2026-11-17); import a newer bundle",
        ),
        (
            "2026-08-18",
            Level.WARNING,
            "definitions are 96 days old (newest record 2026-08-18); import a newer bundle",
        ),
    ],
)
def test_age_is_judged_and_said_in_one_line(newest, level, message):
    age = judge(info(newest), NOW)
    assert (age.level, age.message) == (level, message)
    assert age.stale is (level is Level.WARNING)


def test_age_is_that_of_the_newest_record_over_all_sources():
    age = judge(info("2024-01-01T00:00:00Z", "2026-11-22T10:00:00Z", ""), NOW)
    assert age.level is Level.FRESH
    assert age.age == timedelta(hours=2)
    assert [source.age for source in age.sources] == [
        timedelta(days=1056, hours=12),
        timedelta(hours=2),
        None,
    ]


def test_thresholds_are_the_callers():
    definitions = info("2026-11-22T10:00:00Z")
    assert judge(definitions, NOW, notice=timedelta(hours=1)).level is Level.NOTICE
    assert judge(definitions, NOW, warn=timedelta(minutes=90)).level is Level.WARNING


def test_bundle_built_today_from_old_records_is_old():
    assert judge(info("2026-08-18", created="2026-11-22T11:00:00Z"), NOW).level is Level.WARNING


def test_record_dated_after_the_bundle_does_not_make_it_look_fresh():
    age = judge(info("2026-08-01", "2099-01-01", created="2026-08-18T12:00:00Z"), NOW)
    assert (age.level, age.age) == (Level.WARNING, timedelta(days=96))


def test_clock_behind_the_definitions_is_said():
    age = judge(info("2026-11-30T12:00:00Z", created="2026-12-01T12:00:00Z"), NOW)
    assert age.level is Level.WARNING
    assert age.message == (
        "definitions are dated 9 days after this machine's clock (2026-11-22 12:00 UTC), "
        "so their age is unknown; set the clock"
    )
    assert age.age == timedelta()


def test_small_difference_of_clocks_is_no_matter():
    age = judge(info("2026-11-22T12:20:00Z", created="2026-11-22T12:30:00Z"), NOW)
    assert (age.level, age.age) == (Level.FRESH, timedelta())


@pytest.mark.parametrize("dates", [(), ("",), ("yesterday", "2026-13-01"), ("9999-12-31T23:59:59-23:59",)])
def test_unknown_age_is_a_warning_and_not_fresh(dates):
    age = judge(info(*dates), NOW)
    assert (age.level, age.age, age.newest) == (Level.WARNING, None, "")
    assert "unknown" in age.message


def test_time_zones_are_one_time():
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    definitions = info("2026-11-22T20:00:00+09:00")
    assert judge(definitions, elsewhere) == judge(definitions, NOW)
    assert judge(definitions, NOW).age == timedelta(hours=1)


def test_scores_of_today_do_not_make_old_advisories_fresh():
    sources = (
        SourceInfo(name="feed", newest="2026-01-01T00:00:00Z"),
        SourceInfo(name="scores", newest="2026-11-22T00:00:00Z", scores_only=True),
    )
    made = DefinitionsInfo(digest="sha256:0", schema="1.0", sources=sources)
    assert judge(made, NOW).level is Level.WARNING
    assert judge(msgspec.structs.replace(made, sources=sources[1:]), NOW).level is Level.FRESH
