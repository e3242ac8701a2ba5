"""The original's search text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.central.refusals import InvalidArgument
from redoubt.central.search import Column, Kind, fits, parse, where

NOW = datetime(2026, 1, 31, tzinfo=UTC)
COLUMNS = {
    "name": Column("name"),
    "tags": Column("tags", Kind.TEXTS),
    "level": Column("level", Kind.ENUM, {"LOW": 1, "MEDIUM": 2, "HIGH": 3}),
    "score": Column("score", Kind.NUMBER),
    "seen": Column("seen", Kind.TIME),
    "on": Column("is_on", Kind.BOOLEAN),
}


def asked(query: str) -> tuple[list[str], list[Any]]:
    values: list[Any] = []
    return where(parse(query), COLUMNS, values, NOW), values


@pytest.mark.parametrize(
    ("query", "condition", "values"),
    [
        ("Name:shop", "(name ILIKE $1::text)", ["shop%"]),
        ('NAME:"Shop"', "(name = $1::text)", ["Shop"]),
        ("Name:50%_\\", "(name ILIKE $1::text)", [r"50\%\_\\%"]),
        ("Name:c/hop", "(name ILIKE $1::text)", ["%hop%"]),
        ("Name:r/s.*p", "(name ~* $1::text)", ["^(?:s.*p)$"]),
        ("Name:a,b", "(name ILIKE $1::text OR name ILIKE $2::text)", ["a%", "b%"]),
        ('Name:"a,b+c"', "(name = $1::text)", ["a,b+c"]),
        ("Name:!a", "NOT coalesce(name ILIKE $1::text, FALSE)", ["a%"]),
        ("Name:*", "(name <> '')", []),
        ("Name:-", "(name = '')", []),
        ("Level:hi", "(level = ANY ($1::int[]))", [[3]]),
        ("Level:>=medium", "(level = ANY ($1::int[]))", [[2, 3]]),
        ("Level:<high", "(level = ANY ($1::int[]))", [[1, 2]]),
        ("Level:none", "(level = ANY ($1::int[]))", [[]]),
        ("Score:>=7.5", "(score >= $1::float8)", [7.5]),
        ("Seen:>30d", "(seen < $1::timestamptz)", [datetime(2026, 1, 1, tzinfo=UTC)]),
        ("On:true", "(is_on)", []),
    ],
)  # fmt: skip
def test_what_is_understood(query: str, condition: str, values: list[object]) -> None:
    assert asked(query) == ([condition], values)


def test_an_expression_that_would_be_looked_at_for_years_is_answered() -> None:
    assert asked("Level:r/" + ".*" * 90 + "!") == (["(level = ANY ($1::int[]))"], [[]])
    assert asked("Level:r/(l|m).*") == (["(level = ANY ($1::int[]))"], [[1, 2]])
    assert not fits(parse("Name:r/" + "(.*)" * 40 + "!"), {"name": ["x" * 4000]})
    assert fits(parse("Name:r/SHO.*"), {"name": ["web", "shop"]})
    for refused in ("Level:r/(?=x)", "Level:r/x{2000}", "Level:r/*"):
        with pytest.raises(InvalidArgument):
            asked(refused)


def test_fields_are_joined_by_and() -> None:
    conditions, values = asked("Name:a+Level:low + Tags:x,!y")
    assert conditions[:2] == ["(name ILIKE $1::text)", "(level = ANY ($2::int[]))"]
    assert conditions[3].startswith("NOT coalesce(EXISTS")
    assert values == ["a%", [1], "x%", "y%"]


def test_moments() -> None:
    assert asked("Seen:tr/0-1000")[1] == [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
    ]
    assert asked("Seen:01/31/2026")[1] == [NOW, datetime(2026, 2, 1, tzinfo=UTC)]
    assert asked("Seen:<2026-01-31T00:00:00Z")[1] == [NOW]


@pytest.mark.parametrize(
    "query",
    ["x", "Name:", "Name:,", ":x", "Colour:red", "Name:a\x00b", 'Name:"a', "Name:!!a", "Name:!", "Score:x", "Seen:x", "On:maybe",
     "Name:r/(", r"Name:r/(a)\1", "Name:r/(?=a)", f"Name:r/{'a' * 201}", "Name:" + "a" * 5000, "Level:>=odd",
     "Seen:>99999999999999d", "Seen:tr/999999999999999-999999999999999"],
)  # fmt: skip
def test_what_is_refused(query: str) -> None:
    with pytest.raises(InvalidArgument):
        asked(query)


@given(st.text(alphabet=st.sampled_from('NameLevelSeen:,+!"r/c<>=-*tr0189d .\x00\\(é'), max_size=40))
def test_whatever_is_asked_is_understood_or_refused(query: str) -> None:
    try:
        conditions, values = asked(query)
    except InvalidArgument:
        return
    assert all(f"${at}" in " ".join(conditions) for at in range(1, len(values) + 1))
