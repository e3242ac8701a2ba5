"""Laws that every scheme's keys obey, over texts made of the scheme's own pieces and over any text at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt import versions

_SEMVER = r"(0|1|2|10)\.(0|1|9|10)\.(0|1)(-(0|2|10|a|a1|rc|--)(\.(0|2|10|b))?)?(\+b)?"
GRAMMARS = {
    "apk": r"(0|1|01|10)(\.(0|00|05|1|9|10)){0,3}[ab]?(_(alpha|rc|git|p)(1|02|10)?){0,2}(~(a|ab|1))?(-r(0|1|01|10))?",
    "deb": r"((0|1|10):)?(0|1|a|é)([0-9]|[.+~aZ_]){0,6}(-([0-9]|[.+~aZ]){1,3})?",
    "golang": rf"v?{_SEMVER}|v[0-2](\.[0-2])?|(go)?1\.[12](rc|beta)[12]|go1\.[12](\.[01])?(-x| X:y)?",
    "maven": r"(0|1|10|rc|foo|[.-])((0|1|10|[.]|-|alpha|rc|snapshot|final|sp|foo|a|m)){0,8}",
    "npm": rf"[=v]?{_SEMVER}",
    "pypi": r"v?(1!)?(0|1|01|10)(\.(0|1|10)){0,3}(\.?(a|b|c|rc|pre)[-_.]?[01]?)?(\.?(post|r)[01]?|-1)?(\.?dev[01]?)?(\+(a|1|10|B)([-.](a|2))?)?",
    "rpm": r"((0|1|10|a)?:)?([0-9]|[.+~^aZ_]){1,6}(-([0-9]|[.+~^aZ]){0,3})?",
    "semver": rf"v?({_SEMVER}|[0-2](\.0[1-2])?(-a)?)",
}
SCHEMES = sorted(GRAMMARS)
BOUNDED = settings(max_examples=120, deadline=None)


def valid(scheme: str) -> st.SearchStrategy[str]:
    return st.from_regex(GRAMMARS[scheme], fullmatch=True)


def nearly_valid(scheme: str) -> st.SearchStrategy[str]:
    return st.tuples(valid(scheme), st.text(max_size=2), valid(scheme)).map("".join)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_exact_keys_order_as_compare_does(scheme: str) -> None:
    @BOUNDED
    @given(valid(scheme), valid(scheme))
    def law(a: str, b: str) -> None:
        key_a, key_b = versions.key(scheme, a), versions.key(scheme, b)
        order = versions.compare(scheme, a, b)
        assert order == -versions.compare(scheme, b, a)
        if versions.is_exact(key_a) and versions.is_exact(key_b):
            assert order == (key_a > key_b) - (key_a < key_b)

    law()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_compare_is_transitive_where_keys_are_exact(scheme: str) -> None:
    @BOUNDED
    @given(st.lists(valid(scheme), min_size=3, max_size=3))
    def law(three: list[str]) -> None:
        if all(versions.is_exact(versions.key(scheme, version)) for version in three):
            a, b, c = sorted(three, key=lambda version: versions.key(scheme, version))
            assert versions.compare(scheme, a, b) <= 0
            assert versions.compare(scheme, b, c) <= 0
            assert versions.compare(scheme, a, c) <= 0

    law()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_equal_keys_stay_equal_whatever_they_are_compared_with(scheme: str) -> None:
    @BOUNDED
    @given(valid(scheme), valid(scheme), valid(scheme))
    def law(a: str, b: str, c: str) -> None:
        if versions.key(scheme, a) == versions.key(scheme, b):
            assert versions.compare(scheme, a, c) == versions.compare(scheme, b, c)

    law()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_any_text_gives_a_key_or_invalid_version(scheme: str) -> None:
    @BOUNDED
    @given(st.text(max_size=40) | nearly_valid(scheme))
    def law(text: str) -> None:
        try:
            exact = versions.is_exact(versions.key(scheme, text))
        except versions.InvalidVersion:
            assert not versions.is_exact(versions.lenient_key(scheme, text))
        else:
            assert versions.lenient_key(scheme, text) == versions.key(scheme, text)
            assert versions.compare(scheme, text, text) == 0
            assert exact or scheme == "maven"

    law()
