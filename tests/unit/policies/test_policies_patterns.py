"""Texts and expressions: what fits, what is refused, and that nothing takes long."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.policies import patterns
from redoubt.policies.patterns import BadPattern

_PIECES = st.sampled_from(
    [
        "a",
        "b",
        "K",
        "s",
        "ß",
        "\\.",
        ".",
        ".*",
        "a+",
        "|",
        "[a-c]",
        "[^a]",
        "\\d",
        "?",
        "-",
        "/",
        "(b|a)",
        "\\|",
        " ",
    ]
)
_TEXTS = st.text(st.sampled_from("aAbkKKsSſßẞ.\n-/1İı | "), max_size=12)


def _reference(expression: str, text: str) -> bool:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    return re2.compile(expression.encode(), options).fullmatch(text.encode()) is not None


@settings(max_examples=600, deadline=None)
@given(st.lists(_PIECES, max_size=8).map("".join), _TEXTS)
def test_what_is_recognised_answers_as_re2_does(expression: str, text: str) -> None:
    try:
        matches = patterns.whole(expression)
    except BadPattern:
        with pytest.raises(re2.error):
            _reference(expression, text)
        return
    expected = True if not expression else _reference(expression, text)
    assert matches(text) is expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(_PIECES, min_size=1, max_size=4).map("".join), min_size=1, max_size=4), _TEXTS)
def test_any_of_is_one_of_them(expressions: list[str], text: str) -> None:
    try:
        matchers = [patterns.whole(expression) for expression in expressions]
    except BadPattern:
        return
    assert patterns.any_of(matchers)(text) is any(matcher(text) for matcher in matchers)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "expression", ["(a+)+$", "(a|a)*b", "(.*)(.*)(.*)(.*)x", "a*a*a*a*a*a*b", ".*.*.*=.*", "([a-z]+)*!"]
)
def test_no_expression_runs_away(expression: str) -> None:
    text = "a" * 120_000
    patterns.whole(expression)(text)
    patterns.contained(expression)(text)


@pytest.mark.parametrize("expression", ["(", "a{1001}", "(?=x)", "(a)\\1", "[z-a]", "\\", "*", "\ud800"])
def test_what_re2_does_not_take_is_refused_with_a_reason(expression: str) -> None:
    with pytest.raises(BadPattern, match="not a regular expression"):
        patterns.whole(expression)


def test_an_endless_expression_is_refused() -> None:
    with pytest.raises(BadPattern, match="at most"):
        patterns.whole("a" * (patterns.LONGEST + 1))
    with pytest.raises(BadPattern):
        patterns.path_pattern("/" + "*" * patterns.LONGEST)


def test_texts_that_are_no_unicode_are_asked_all_the_same() -> None:
    assert patterns.whole(".*(x|y)")("\udcff\udcfex")
    assert not patterns.whole("a")("\udcff")


@pytest.mark.parametrize(
    ("value", "fits", "fits_not"),
    [
        ("system:", "SYSTEM:admin", "my-system:"),
        ('"admin"', "Admin", "admins"),
        ("r/ad.*", "admins", "xad"),
        ("r/c/min", "admins", "max"),
        ("!admin", "me", "administrator"),
        ("g/a/*", "a/b", "a/b/c"),
        ("*", "", None),
        ("", "anything", None),
    ],
)
def test_terms(value: str, fits: str, fits_not: str | None) -> None:
    assert patterns.term(value)(fits)
    assert fits_not is None or not patterns.term(value)(fits_not)


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("/etc/passwd", ["/etc/passwd"], ["/etc/Passwd", "/etc/passwd2", "/etc"]),
        ("/etc/*", ["/etc/a", "/etc/.a"], ["/etc/a/b", "/etc"]),
        ("/etc/**", ["/etc", "/etc/", "/etc/a/b\nc"], ["/etcetera"]),
        ("/**/id_rsa", ["/id_rsa", "/root/.ssh/id_rsa"], ["/xid_rsa"]),
        ("/home/?/x", ["/home/a/x"], ["/home/ab/x", "/home///x"]),
        ("/{bin,usr/bin}/su", ["/bin/su", "/usr/bin/su"], ["/sbin/su"]),
        ("/dev/sd[a-c]", ["/dev/sdb"], ["/dev/sdd"]),
        ("/dev/sd[!a-c]", ["/dev/sdd"], ["/dev/sda"]),
        ("/a\\*b", ["/a*b"], ["/axb"]),
        ("/a.b+(c)", ["/a.b+(c)"], ["/axb+(c)"]),
    ],
)
def test_path_patterns(pattern: str, fits: list[str], fits_not: list[str]) -> None:
    matches = patterns.path_pattern(pattern)
    assert [path for path in fits if not matches(path)] == []
    assert [path for path in fits_not if matches(path)] == []


@pytest.mark.parametrize("pattern", ["/a[", "/a{b", "/a\\", "/[]"])
def test_broken_path_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        patterns.path_pattern(pattern)
