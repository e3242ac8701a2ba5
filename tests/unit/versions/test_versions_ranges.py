"""Ranges: which versions lie within, by bytes where keys are exact and by the texts where they are not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt import versions
from redoubt.versions.ranges import Bounds, bounds, within


def holds(scheme: str, version: str, range_: Bounds) -> bool:
    return within(scheme, version, versions.lenient_key(scheme, version), *range_)


def test_introduced_is_inclusive_and_fixed_is_exclusive() -> None:
    range_ = bounds("deb", introduced="1.0-1", fixed="1.2-1")
    assert [holds("deb", v, range_) for v in ("1.0-1~", "1.0-1", "1.2-1~", "1.2-1", "1.3-1")] == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_last_affected_is_inclusive() -> None:
    range_ = bounds("deb", introduced="1.0", last_affected="1.2")
    assert [holds("deb", v, range_) for v in ("1.2", "1.2-0", "1.2-1", "1.2+b1")] == [
        True,
        True,
        False,
        False,
    ]


def test_zero_and_nothing_are_open_below() -> None:
    assert bounds("semver", introduced="0", fixed="1.0.0") == bounds("semver", fixed="1.0.0")
    assert holds("semver", "0.0.0-0", bounds("semver", introduced="0", fixed="1.0.0"))
    assert holds("deb", "0~~", bounds("deb", introduced="0", fixed="1"))


def test_range_without_upper_end_holds_everything_above() -> None:
    range_ = bounds("rpm", introduced="1:2.0-1")
    assert holds("rpm", "9:1-1", range_)
    assert not holds("rpm", "3.0-1", range_)


def test_range_open_at_both_ends_holds_every_text() -> None:
    range_ = bounds("golang", introduced="0")
    assert range_ == Bounds(b"", b"", "", "", inclusive=False, inexact=False)
    assert holds("golang", "v1.0.0", range_)
    assert holds("golang", "(devel)", range_)


def test_fixed_wins_over_last_affected() -> None:
    assert bounds("npm", fixed="1.0.0", last_affected="0.9.0") == bounds("npm", fixed="1.0.0")


def test_single_version_is_a_range() -> None:
    range_ = bounds("pypi", introduced="1.0", last_affected="1.0")
    assert [holds("pypi", v, range_) for v in ("1.0", "1.0.0", "1.0.post1", "1.0rc1")] == [
        True,
        True,
        False,
        False,
    ]


def test_maven_version_without_exact_key_is_compared_exactly() -> None:
    range_ = bounds("maven", introduced="3.7", fixed="3.7.1")
    assert not range_.inexact
    assert holds("maven", "3.7.0-04", range_)
    assert not holds("maven", "3.7.0.rc.2", range_)
    assert holds("maven", "3.7.0.rc.2", bounds("maven", introduced="3.6", fixed="3.7.1"))


def test_maven_bound_without_exact_key_is_compared_exactly() -> None:
    range_ = bounds("maven", introduced="3.6", fixed="3.7.0.rc.2")
    assert range_.inexact
    assert holds("maven", "3.7.0.rc.1", range_)
    assert holds("maven", "3.7.0-04", range_)
    assert not holds("maven", "3.7.0", range_)
    assert not holds("maven", "3.7.0.rc.2", range_)
    assert holds("maven", "3.7.0.RC.2", bounds("maven", last_affected="3.7.0.rc.2"))


@pytest.mark.parametrize(
    ("version", "introduced", "fixed", "last_affected", "expected"),
    [
        ("0.3.2d", "0", "", "0.3.2d", True),
        ("0.3.2d", "0.3.2d", "", "0.3.2d", True),
        ("0.3.2d", "0.3.2d", "0.4", "", True),
        ("0.3.2d", "0", "0.3.2d", "", False),
        ("0.3.2d", "0", "9.9", "", False),
        ("0.3.2d", "0.1", "", "", False),
        ("0.3.2", "0", "0.3.2d", "", False),
        ("0.3.2", "0", "", "0.3.2d", False),
        ("0.3.2", "0.3.2", "0.3.2d", "", True),
        ("0.3.2", "0.4", "", "0.3.2d", False),
        ("0.3.2D", "0", "", "0.3.2d", False),
    ],
)
def test_text_outside_the_grammar_is_within_only_where_the_range_names_it(
    version: str, introduced: str, fixed: str, last_affected: str, expected: bool
) -> None:
    assert holds("pypi", version, bounds("pypi", introduced, fixed, last_affected)) is expected


def test_unknown_scheme_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        bounds("floppy", fixed="1")


_SOME = st.lists(
    st.sampled_from(["0", "1", "2", ".", ".", "-", "rc", "sp", "foo", "final"]), min_size=1, max_size=6
).map("".join)


@settings(max_examples=150, deadline=None)
@given(_SOME, _SOME | st.just(""), _SOME | st.just(""), st.booleans())
def test_within_says_what_compare_says(version: str, lower: str, upper: str, inclusive: bool) -> None:
    lower = "" if lower == "0" else lower
    range_ = bounds("maven", lower, "" if inclusive else upper, upper if inclusive else "")
    above = not lower or versions.compare("maven", version, lower) >= 0
    below = not upper or versions.compare("maven", version, upper) < (1 if inclusive else 0)
    assert holds("maven", version, range_) == (above and below)
