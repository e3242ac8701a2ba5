"""Laws that every scheme's keys obey, over texts made of the scheme's own pieces and over any text at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt import versions

_RELEASE = r"(0|1|2|10)\.(0|1|9|10)\.(0|1)(-(0|2|10|a|a1|rc|--)(\.(0|2|10|b))?)?"
_SEMVER = _RELEASE + r"(\+b)?"
GRAMMARS = {
    "apk": r"(0|1|01|10)(\.(0|00|05|1|9|10)){0,3}[ab]?(_(alpha|rc|git|p)(1|02|10)?){0,2}(~(a|ab|1))?(-r(0|1|01|10))?",
    "composer": r"v?(0(\.(0|1|10|2)){0,3}|1(\.(0|1|10|2)){0,3}|2010-01-02|20100102)([-._]?(alpha|a|beta|rc|RC|patch|p)([.-]?[012]){0,2})?(-dev)?(\+b)?|[12](\.[12x])?\.x-dev",
    "deb": r"((0|1|10):)?(0|1|a|é)([0-9]|[.+~aZ_]){0,6}(-([0-9]|[.+~aZ]){1,3})?",
    "gem": r"(0|1|01|10)(\.(0|00|1|10|a|A|b|rc1|a01)){0,6}(-(a|0|1|x86)(\.0)?)?",
    "golang": rf"v?{_SEMVER}|v[0-2](\.[0-2])?|(go)?1\.[12](rc|beta)[12]|go1\.[12](\.[01])?(-x| X:y)?",
    "jvm": r"(8|9|11)(\.0){0,2}(\.(1|10|0\.1))?(-(ea|EA|1|10|a1))?(\+(0|8|10)(-LTS)?)?|1\.[78]\.0(_(1|01|10))?(-ea)?(-b01)?|[78]u(1|10)",
    "julia": r"[vV]?(0|1|2|10)(\.(0|1|9|10)){0,2}(-|((a|rc1|-0|-2|-10|-a1|-rc|---)(\.(0|2|10|b))?)?(\+((0|2|10|a|B)(\.(0|2|b))?)?)?)",
    "maven": r"(0|1|10|rc|foo|[.-])((0|1|10|[.]|-|alpha|rc|snapshot|final|sp|foo|a|m)){0,8}",
    "npm": rf"[=v]?{_SEMVER}",
    "nuget": r"(0|1|01|10)(\.(0|1|9|10)){0,3}(-(0|2|10|a|A|a1|rc|RC|--)(\.(0|2|10|b|B))?)?(\+b)?",
    "pacman": r"((0|1|10|a)?:)?([0-9]|[.+~_aZ]){1,6}(-([0-9]|[.~aZ]){0,3})?",
    "pub": rf"v?{_RELEASE}(\+((0|2|10|a|B)(\.(0|2|b))?)?)?",
    "pypi": r"v?(1!)?(0|1|01|10)(\.(0|1|10)){0,3}(\.?(a|b|c|rc|pre)[-_.]?[01]?)?(\.?(post|r)[01]?|-1)?(\.?dev[01]?)?(\+(a|1|10|B)([-.](a|2))?)?",
    "rpm": r"((0|1|10|a)?:)?([0-9]|[.+~^aZ_]){1,6}(-([0-9]|[.+~^aZ]){0,3})?",
    "semver": rf"v?({_SEMVER}|[0-2](\.0[1-2])?(-a)?)",
}
SCHEMES = sorted(GRAMMARS)
BOUNDED = settings(max_examples=80, deadline=None)


def valid(scheme: str) -> st.SearchStrategy[str]:
    return st.from_regex(GRAMMARS[scheme], fullmatch=True)


def nearly_valid(scheme: str) -> st.SearchStrategy[str]:
    return st.tuples(valid(scheme), st.text(max_size=2), valid(scheme)).map("".join)


def _order(a: bytes, b: bytes) -> int:
    return (a > b) - (a < b)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_compare_is_antisymmetric_and_agrees_with_exact_keys_so_that_these_are_totally_ordered(
    scheme: str,
) -> None:
    @BOUNDED
    @given(valid(scheme), valid(scheme), valid(scheme))
    def law(a: str, b: str, c: str) -> None:
        for x, y in ((a, b), (b, c), (c, a)):
            order = versions.compare(scheme, x, y)
            assert order == -versions.compare(scheme, y, x)
            key_x, key_y = versions.key(scheme, x), versions.key(scheme, y)
            if versions.is_exact(key_x) and versions.is_exact(key_y):
                assert order == _order(key_x, key_y)
                if order == 0:
                    assert versions.compare(scheme, x, a) == versions.compare(scheme, y, a)
        if all(versions.is_exact(versions.key(scheme, version)) for version in (a, b, c)):
            low, middle, high = sorted((a, b, c), key=lambda version: versions.key(scheme, version))
            assert versions.compare(scheme, low, middle) <= 0
            assert versions.compare(scheme, middle, high) <= 0
            assert versions.compare(scheme, low, high) <= 0

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
            assert exact or scheme in ("maven", "pacman")

    law()
