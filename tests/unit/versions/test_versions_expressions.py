"""Range expressions: the ranges they say, what is refused, what lies outside, and huge ones.

The tables were put together by hand from each scheme's documentation; the real tools are asked in
``tests/integration/versions``.
"""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt import versions
from redoubt.versions.expressions import SCHEMES, Expression, InvalidRange, Range, holds, outside, parse
from redoubt.versions.expressions.spans import successor

EVERYTHING = "*"


def _said(expression: Expression) -> str:
    """Ranges as Maven writes them, one beside the other, and points."""

    def text(range_: Range) -> str:
        introduced, after, fixed, last = range_
        if not any(range_):
            return EVERYTHING
        opening = "[" if introduced else "("
        return f"{opening}{introduced or after},{fixed or last}{']' if last else ')'}"

    return " ".join([*map(text, expression.ranges), *expression.points])


#: (scheme, expression, what it says)
SAID = [
    ("npm", "", EVERYTHING),
    ("npm", "*", EVERYTHING),
    ("npm", "^x", EVERYTHING),
    ("npm", "1.2.3", "1.2.3"),
    ("npm", "=v1.2.3+build", "1.2.3"),
    ("npm", "1", "[1.0.0-0,2.0.0-0)"),
    ("npm", "1.2.x", "[1.2.0-0,1.3.0-0)"),
    ("npm", "1.x.5", "[1.0.0-0,2.0.0-0)"),
    ("npm", ">1.2 <=3", "[1.3.0-0,4.0.0-0)"),
    ("npm", ">= 1.2.3 < 2", "[1.2.3,2.0.0-0)"),
    ("npm", ">1.2.3 <=1.4.0 >1.2.0", "(1.2.3,1.4.0]"),
    ("npm", "^1.2.3", "[1.2.3,2.0.0-0)"),
    ("npm", "^1.2.3-rc.1", "[1.2.3-rc.1,2.0.0-0)"),
    ("npm", "^0.2.3", "[0.2.3-0,0.3.0-0)"),
    ("npm", "^0.0.3", "[0.0.3-0,0.0.4-0)"),
    ("npm", "^0.0", "[0.0.0-0,0.1.0-0)"),
    ("npm", "~1.2.3", "[1.2.3,1.3.0-0)"),
    ("npm", "~> 1", "[1.0.0,2.0.0-0)"),
    ("npm", "1.2.3 - 2.3.4-rc", "[1.2.3-0,2.3.4-rc]"),
    ("npm", "1.2 - 2.3.4", "[1.2.0-0,2.3.5-0)"),
    ("npm", "<1.0.0 || 1.5.0||>=2.0.0-rc.1", "(,1.0.0) [2.0.0-rc.1,) 1.5.0"),
    ("npm", ">*", ""),
    ("npm", ">2.0.0 <1.0.0", ""),
    ("npm", "1.0.0 2.0.0", ""),
    ("gem", "1.2", "1.2"),
    ("gem", "~> 1.2", "[1.2,2.A)"),
    ("gem", "~>1.2.3.beta1", "[1.2.3.beta1,1.3.A)"),
    ("gem", "~> 9", "[9,10.A)"),
    ("gem", ">= 1.2, < 2", "[1.2,2)"),
    ("gem", "~> 1.2, >= 1.2.3, != 1.2.5,!=3", "[1.2.3,1.2.5) (1.2.5,2.A)"),
    ("gem", "!= 1.0, != 1", "(,1.0) (1.0,)"),
    ("gem", ">= 1, != 1, <= 2, != 2.0", "(1,2)"),
    ("gem", "= 1, != 1.0", ""),
    ("maven", "[1.0,2.0)", "[1.0,2.0)"),
    ("maven", "(,1.0]", "(,1.0]"),
    ("maven", "[1.2]", "1.2"),
    ("maven", "[1,1.0]", "1"),
    ("maven", "(,)", EVERYTHING),
    ("maven", " ( , 1.0 ) , [ 1.2 , 1.3-rc ] , (2,)", "(,1.0) [1.2,1.3-rc] (2,)"),
    ("maven", "(,1),[1,)", "(,1) [1,)"),
    ("composer", "*", EVERYTHING),
    ("composer", "@dev", EVERYTHING),
    ("composer", "1.0.2", "1.0.2"),
    ("composer", "==1.0@beta", "1.0"),
    ("composer", "dev-main", "dev-main"),
    ("composer", "master", "dev-master"),
    ("composer", "1.x-dev", "1.x-dev"),
    ("composer", ">=1.0 <1.1 || >=1.2", "[1.0-dev,1.1-dev) [1.2-dev,)"),
    ("composer", ">1.0,<=2.0|<0.5-beta", "(1.0,2.0] (,0.5-beta)"),
    ("composer", ">=1.0@RC", "[1.0-RC,)"),
    ("composer", "!=1.5", "(,1.5) (1.5,)"),
    ("composer", "1.*", "[1.0.0.0-dev,2.0.0.0-dev)"),
    ("composer", "0.*", "(,1.0.0.0-dev)"),
    ("composer", "v1.2.x", "[1.2.0.0-dev,1.3.0.0-dev)"),
    ("composer", "~1.2", "[1.2-dev,2.0.0.0-dev)"),
    ("composer", "~1.2.9", "[1.2.9-dev,1.3.0.0-dev)"),
    ("composer", "~1.2.3-beta", "[1.2.3-beta,1.3.0.0-dev)"),
    ("composer", "^1.2.3", "[1.2.3-dev,2.0.0.0-dev)"),
    ("composer", "^0.3", "[0.3-dev,0.4.0.0-dev)"),
    ("composer", "^0.0.3", "[0.0.3-dev,0.0.4.0-dev)"),
    ("composer", "1.0 - 2.0", "[1.0-dev,2.1.0.0-dev)"),
    ("composer", "1.0-RC1 - 2.0.0, !=1.5", "[1.0-RC1,1.5) (1.5,2.0.0]"),
]

REFUSED = {
    "npm": ["latest", "^", ">", "1.2.3.4", "1.0.0 -2.0.0", "1.0.0- 2.0.0", "01", "1.2.3-01", "^^1", ">1<2", "git+https://x", "1 || nope", "9007199254740992", "9007199254740991.0.0 - 9007199254740991", "٣", "1,2", "!=1.0.0"],
    "gem": ["", ",", "~>", "~> 1,", "latest", "^1", "1 2", ">= 1 < 2", "=> 1", "1..2", "~> ١"],
    "maven": ["", " ", "1.0", "[1.0", "1.0]", "(1.0)", "[1.0)", "[]", "[2,1]", "[1,1)", "(1,1.0]", "[1,3],[2,4]", "[1,2],(,3)", "[1,2],1.0", "[1,2,3]", "[[1,2]", "[1,2] or [3,4]", "[é]", "{1,2}"],
    "composer": ["", "||", "1.0 ||", "~>1.0", "^", "~ 1.0", "latest", "1.0.0.0.0", ">=1.*", "!=1.*", ">dev-main", "dev-main,>=1", "1.0 as 2.0", "dev-main#abcdef", ",1", "1,,2", "é", ">=1.0-patch1@beta", ">=1.0+", "1.0+"],
}  # fmt: skip


@pytest.mark.parametrize(("scheme", "text", "said"), SAID)
def test_expression_becomes_ranges_and_points(scheme: str, text: str, said: str) -> None:
    assert _said(parse(scheme, text)) == said


@pytest.mark.parametrize("scheme", sorted(REFUSED))
def test_text_that_says_no_range_is_refused(scheme: str) -> None:
    for text in REFUSED[scheme]:
        with pytest.raises(InvalidRange) as caught:
            parse(scheme, text)
        assert caught.value.scheme == scheme


def test_every_scheme_has_a_table_and_unknown_ones_are_a_key_error() -> None:
    assert {scheme for scheme, _, _ in SAID} == SCHEMES == set(REFUSED)
    for scheme in ("floppy", "deb", "spans"):
        with pytest.raises(KeyError, match=scheme):
            parse(scheme, "1")


def test_refusal_names_scheme_and_text_in_one_short_line_and_survives_pickling() -> None:
    with pytest.raises(InvalidRange) as caught:
        parse("gem", "~> 1\x1b\n" + "x" * 1_000_000)
    message = str(caught.value)
    assert message.startswith("not a gem range: '~> 1\\x1b\\nxx")
    assert message.isprintable()
    assert len(message) < 200
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.expression) == (message, caught.value.expression)


@pytest.mark.parametrize(
    ("scheme", "text", "held", "not_held"),
    [
        ("npm", "<1.2.3", ["1.2.2", "1.2.3-rc.1", "0.0.0-0"], ["1.2.3", "nonsense"]),
        ("npm", ">1.2.3 || 1.0.0", ["1.2.4-0", "1.0.0+b", "v1.0.0"], ["1.2.3", "1.0.1"]),
        ("gem", "~> 1.2", ["1.2", "1.99", "1.2.0"], ["2.0", "2.0.0.beta1", "1.2.a", "1.1"]),
        ("gem", "> 1.0", ["1.0.0.1", "1.0.1.a"], ["1.0.0", "1"]),
        ("gem", "> 0", ["0.0.1"], ["0", "0.a"]),
        ("gem", ">= 0", ["0", "0.a", "nonsense!"], []),
        ("maven", "(1.0,2.0],[3.0]", ["1.0.1", "2.0.0", "2.0.Final", "3"], ["1", "1.0-ga", "1.0-rc", "3.0.1"]),
        ("maven", "[3.6,3.7.0.rc.2]", ["3.7.0-04", "3.7.0.rc.2", "3.7.0.RC.2"], ["3.7", "3.7.1"]),
        ("composer", "^1.2", ["1.2.0", "1.2-beta", "v1.9.9", "1.x-dev"], ["2.0-beta", "2.0", "dev-main", "1.1"]),
        ("composer", "dev-main || 1.0", ["dev-main", "1.0.0.0"], ["dev-other", "1.0.1", "1.0-beta"]),
    ],
)  # fmt: skip
def test_versions_are_held_or_not(scheme: str, text: str, held: list[str], not_held: list[str]) -> None:
    expression = parse(scheme, text)
    assert [version for version in held + not_held if holds(expression, version)] == held


@pytest.mark.parametrize(
    ("patched", "affected"),
    [
        ([], EVERYTHING),
        ([">= 0"], ""),
        ([">= 1.2"], "(,1.2)"),
        (["> 1.2"], "(,1.2]"),
        (["~> 1.2.3", ">= 2.0.1", "< 1.0"], "[1.0,1.2.3) [1.3.A,2.0.1)"),
        (["~> 1.2.3", "~> 1.2.5", ">= 1.3"], "(,1.2.3) [1.3.A,1.3)"),
        (["< 1", "> 1.0"], "1"),
        (["<= 1", "> 1.0"], ""),
        (["< 1", "1.0.0", "> 1.0"], ""),
        (["< 2", "< 1"], "[2,)"),
        (["1", "2"], "(,1) (1,2) (2,)"),
    ],
)
def test_what_lies_outside_of_all_is_affected(patched: list[str], affected: str) -> None:
    found = outside("gem", *(parse("gem", text) for text in patched))
    assert _said(found) == affected


def test_outside_refuses_ends_without_a_place() -> None:
    for scheme, text in (("composer", "dev-main"), ("maven", "[1,3.7.0.rc.2]")):
        with pytest.raises(InvalidRange, match="no place"):
            outside(scheme, parse(scheme, text))


_GEM = st.from_regex(r"[012](\.[012]){0,2}(\.[ab])?", fullmatch=True)
_GEM_LIST = st.lists(
    st.tuples(st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "~>"]), _GEM).map(" ".join),
    min_size=1,
    max_size=3,
).map(", ".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(_GEM_LIST, max_size=3), _GEM)
def test_a_version_is_outside_exactly_if_no_expression_holds_it(texts: list[str], version: str) -> None:
    parsed = [parse("gem", text) for text in texts]
    assert holds(outside("gem", *parsed), version) is not any(holds(each, version) for each in parsed)


def test_what_lies_below_zero_is_not_outside_of_what_is_below_zero() -> None:
    below = parse("gem", "< 0")
    assert holds(below, "0.a")
    assert not holds(outside("gem", below), "0.a")
    assert holds(outside("gem", below), "0")


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_any_text_gives_ranges_whose_ends_are_versions_or_is_refused(scheme: str) -> None:
    alphabet = st.sampled_from([*"0129.-+x*<>=~^|,[]()! @", "dev", "beta", " - ", "||", "1.0", "\n", "é"])

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=30) | st.lists(alphabet, max_size=12).map("".join))
    def law(text: str) -> None:
        try:
            expression = parse(scheme, text)
        except InvalidRange:
            return
        for introduced, after, fixed, last in expression.ranges:
            assert not (introduced and after)
            assert not (fixed and last)
            lower, upper = introduced or after, fixed or last
            for end in filter(None, (lower, upper)):
                assert versions.compare(scheme, end, end) == 0
            if lower and upper:
                assert versions.compare(scheme, lower, upper) < 0
        for point in expression.points:
            assert holds(expression, point)

    law()


LARGE = 60_000
HUGE = {
    "digits": "9" * LARGE,
    "digits after a sign": "~>1." + "9" * LARGE,
    "caret": "^" + "9" * LARGE,
    "wildcard": "9" * LARGE + ".*",
    "signs": "<" * LARGE,
    "carets": "^" * LARGE,
    "bars": "|" * LARGE,
    "commas": "," * LARGE,
    "brackets": "[" * LARGE,
    "sets": "[1]," * (LARGE // 8) + "[2]",
    "blanks": "1" + " " * LARGE + "!",
    "blanks in front": " " * LARGE,
    "blanks and a hyphen": ("1" + " " * 50) * (LARGE // 100) + "-",
    "hyphens": "1 - " * (LARGE // 8),
    "alternatives": "1.0.0||" * (LARGE // 14) + "2.0.0",
    "conjunction": ">=1.0.0 " * (LARGE // 16),
    "list": ", ".join(f"!= {n}" for n in range(2_000)),
    "modifiers": "1.0" + "-a1" * (LARGE // 3),
    "stable": "<" + "stable" * (LARGE // 6),
    "metadata": "1.0+" + "a+" * (LARGE // 2),
    "flags": ">=1.0" + "@dev" * (LARGE // 4),
    "identifiers": "^1.0.0-" + "a." * (LARGE // 2) + "a",
}


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
@pytest.mark.parametrize("name", HUGE)
def test_huge_expression_ends_in_ranges_or_a_refusal(scheme: str, name: str) -> None:
    try:
        message = str(parse(scheme, HUGE[name]).scheme)
    except InvalidRange as error:
        message = str(error)
    assert scheme in message
    assert len(message) < 300


def test_many_exclusions_are_cut_and_turned_around_in_time() -> None:
    excluded = parse("gem", ", ".join(f"!= {n}" for n in range(3_000, 0, -1)))
    assert len(excluded.ranges) == 3_001
    assert outside("gem", excluded).points == tuple(map(str, range(1, 3_001)))


@given(st.integers(min_value=0, max_value=10**30), st.integers(min_value=0, max_value=2))
def test_successor_is_one_higher(number: int, zeros: int) -> None:
    assert int(successor("0" * zeros + str(number))) == number + 1
