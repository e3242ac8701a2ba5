"""Huge texts that would trip a slow or a trusting parser. A quadratic one would not come back."""

from __future__ import annotations

import pytest

from redoubt import versions

MILLION = 1_000_000
LARGE = 200_000
HUGE = {
    "digits": "9" * LARGE,
    "number after a dot": "1." + "9" * LARGE,
    "zeros": "0" * LARGE,
    "zero components": "1" + ".0" * (LARGE // 2),
    "zero components and a bad end": "1" + ".0" * (LARGE // 2) + "!",
    "zero components and a one": "1" + ".0" * (LARGE // 2) + ".10",
    "components": "1" + ".1" * (LARGE // 2),
    "lists in lists": "1" + "-1" * (LARGE // 2),
    "empty lists": "-" * LARGE,
    "letters and digits": "a1" * (LARGE // 2),
    "letters": "1.0-" + "a" * LARGE,
    "letters and a bad end": "1.0.0-" + "a" * LARGE + "é",
    "identifiers": "1.0.0-" + "a." * (LARGE // 2) + "a",
    "tildes": "1" + "~" * LARGE,
    "carets": "1" + "^" * LARGE,
    "blanks": "1" + " " * LARGE + "x",
    "blanks in front": " " * LARGE,
    "separators": "1" + "." * LARGE,
    "suffixes": "1" + "_p1" * (LARGE // 3),
    "suffixes and a bad end": "1" + "_p1" * (LARGE // 3) + "_",
    "hash": "1~" + "a" * LARGE,
    "local": "1.0+" + "a-" * (LARGE // 2) + "a",
    "epoch": "1" * LARGE + ":1",
    "epoch of Python packages": "1" * LARGE + "!1",
    "colons": ":" * LARGE,
    "toolchain": "go1." + "2" * LARGE + "rc1",
    "unknown words": "foo." * (LARGE // 4),
    "surrogates": "1." + "\udcff" * LARGE,
    "modifiers": "1.0" + "-a1" * (LARGE // 3),
    "numbers of a modifier": "1.0-a" + "-1" * (LARGE // 2) + "x",
    "zeros and a word": "1.a" + ".0" * (LARGE // 2) + ".b",
    "dates": "2010" + "-01" * (LARGE // 3),
    "metadata": "1.0.0+" + "a+" * (LARGE // 2),
    "flags": "1.0" + "@dev" * (LARGE // 4),
    "nuls": "\0" * LARGE,
}


@pytest.mark.parametrize("scheme", sorted(versions.SCHEMES))
@pytest.mark.parametrize("name", HUGE)
def test_huge_text_ends_in_a_key_or_invalid_version(scheme: str, name: str) -> None:
    text = HUGE[name]
    key = versions.lenient_key(scheme, text)
    assert 0 < len(key) < 16 * len(text)


@pytest.mark.parametrize(
    ("scheme", "shape"),
    [("deb", "1.{}-1"), ("rpm", "1.{}-1"), ("apk", "1.{}-r1"), ("pypi", "1.{}"), ("maven", "1.{}"), ("semver", "1.{}"), ("golang", "v1.{}.0"), ("gem", "1.{}"), ("composer", "1.{}"), ("jvm", "1{}.1")],
)  # fmt: skip
def test_numbers_of_a_million_digits_are_ordered(scheme: str, shape: str) -> None:
    lower, higher = shape.format("8" * MILLION), shape.format("8" * (MILLION - 1) + "9")
    assert versions.key(scheme, "1.2.0") < versions.key(scheme, lower) < versions.key(scheme, higher)
    assert versions.compare(scheme, higher, lower) == 1


def test_deep_maven_lists_are_compared_without_recursion() -> None:
    deep = "1" + "-1" * 100_000
    assert versions.compare("maven", deep, deep + "-1") == -1
    assert versions.compare("maven", deep + "-rc", deep) == -1
    assert versions.compare("maven", "1.foo.1" + "-1" * 100_000, "1.foo.1") == 1
