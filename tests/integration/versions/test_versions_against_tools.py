"""Every answer of ours against the tool whose rules it follows: which text is a version, and which is lower."""

from __future__ import annotations

import re

import pytest
import versions_corpus as corpus
import versions_oracles as oracles

from redoubt import versions

#: Scheme → pairs beyond the traps. dpkg costs a process or two a pair, the others next to nothing.
COUNTS = {
    "deb": 2_000,
    "rpm": 20_000,
    "pypi": 20_000,
    "npm": 20_000,
    "maven": 20_000,
    "golang": 20_000,
    "semver": 20_000,
    "gem": 20_000,
    "composer": 20_000,
    "nuget": 20_000,
    "jvm": 20_000,
    "pacman": 20_000,
}

_TOOLCHAIN = re.compile(r"go\d|[\d.]+(alpha|beta|rc)\d")


def _ours(scheme: str, a: str, b: str) -> int | None:
    try:
        return versions.compare(scheme, a, b)
    except versions.InvalidVersion:
        return None


def _deliberately_different(scheme: str, a: str, b: str) -> bool:
    match scheme:
        case "deb":
            # An epoch is digits only here; dpkg also takes a sign.
            return any(text.partition(":")[0].startswith(("+", "-")) for text in (a, b) if ":" in text)
        case "golang":
            # Toolchains' own names are versions here.
            return any(_TOOLCHAIN.match(text) for text in (a, b))
        case "composer":
            # No aliases, no blanks inside, numbers whole, and STABLE is stable.
            return any(
                " " in text.strip()
                or (re.search(r"(?i)stable", text) and "stable" not in text)
                or re.search(r"[1-9]\d{18}", text)
                for text in (a, b)
            )
        case "jvm":
            # Old names (1.8.0_312), zeros at the end and numbers above 2**31 are versions here.
            return any(
                re.match(r"1(\.|$)|\d+u", text) or re.search(r"\.0(?![.\d])|\d{10}", text) for text in (a, b)
            )
        case "npm" | "semver" | "nuget":
            # Numbers are compared whole here; JavaScript rounds those above 2**53.
            return any(
                len(run) > 15 for text in (a, b) for run in text.replace("-", ".").split(".") if run.isdigit()
            )
    return False


def _askable(scheme: str, text: str) -> bool:
    if scheme == "maven":
        return bool(text) and text.isascii() and text.isprintable()
    if scheme in ("golang", "jvm"):
        return "\n" not in text and "\r" not in text
    if scheme == "nuget" and re.search(r"\d{10}", text):
        # Numbers end at 2**31 there.
        return False
    if scheme in ("semver", "nuget"):
        # Wider than the tool by intent, so only its own grammar is asked about.
        return text[:1].isdigit() and text.isascii() and " " not in text
    return bool(text) if scheme == "deb" else True


@pytest.mark.parametrize("scheme", sorted(oracles.ORACLES))
def test_every_pair_is_ordered_as_the_tool_orders_it(scheme: str) -> None:
    package = oracles.missing(scheme)
    if package:
        pytest.skip(f"needs the Debian package {package}")
    pairs = [
        (a, b)
        for a, b in corpus.pairs(scheme, COUNTS[scheme])
        if _askable(scheme, a) and _askable(scheme, b) and not _deliberately_different(scheme, a, b)
    ]
    answers = oracles.ORACLES[scheme](pairs)

    assert len(answers) == len(pairs)
    if scheme in ("semver", "nuget"):
        compared = [(pair, answer) for pair, answer in zip(pairs, answers, strict=True) if answer is not None]
    else:
        compared = list(zip(pairs, answers, strict=True))
    wrong = [
        (a, b, answer, _ours(scheme, a, b)) for (a, b), answer in compared if _ours(scheme, a, b) != answer
    ]
    assert not wrong, f"{len(wrong)} of {len(compared)}: {wrong[:10]}"
    assert sum(answer is not None for _, answer in compared) > 2_000, "the tool refused too much"
