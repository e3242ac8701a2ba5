"""Range expressions: which ones are well formed, and which versions they hold, as the tools themselves say."""

from __future__ import annotations

import random
import re

import pytest
import versions_corpus as corpus
import versions_oracles
import versions_range_oracles as oracles

from redoubt.versions import expressions

EXPRESSIONS = 3_000

#: Scheme → what an expression is made of: operators, versions, joints; and changes that make it odd.
_WHOLE = {
    "npm": ["{n}.{n}.{n}", "{n}.{n}.{n}", "{n}.{n}.{n}-{p}", "{n}.{n}.{n}-{p}.{n}", "v{n}.{n}.{n}", "{n}.{n}.{n}+b"],
    "gem": ["{n}", "{n}.{n}", "{n}.{n}.{n}", "{n}.{n}.{n}.{p}{n}", "{n}.{n}.{p}", "{n}.{n}.{n}-{p}", "{n}.0.0"],
    "composer": ["{n}", "{n}.{n}", "{n}.{n}.{n}", "{n}.{n}.{n}.{n}", "{n}.{n}-{p}{n}", "{n}.{n}.{n}-dev", "{n}.x-dev", "v{n}.{n}", "{n}.{n}-patch{n}", "2010-0{n}-01"],
    "maven": ["{n}", "{n}.{n}", "{n}.{n}.{n}", "{n}.{n}-{p}", "{n}.{n}-{p}-{n}", "{n}.{n}.Final", "{n}.{n}-SNAPSHOT", "{n}.{n}-jre"],
}  # fmt: skip
_PARTIAL = {
    "npm": ["{n}", "{n}.{n}", "{n}.x", "{n}.{n}.x", "{n}.*", "*", "x", "{n}.x.{n}", "{n}.X.X", "v{n}"],
    "gem": [],
    "composer": ["{n}.*", "{n}.{n}.*", "{n}.{n}.{n}.x", "*", "*.*", "v*", "{n}.{n}@dev", "{n}.{n}@beta", "@dev", "{n}.{n}@stable", "{n}.{n}.x-dev", "{n}.{n}beta{n}", "{n}.{n}+b"],
    "maven": [],
}  # fmt: skip
_OPERATORS = {
    "npm": ["", "", "=", ">", "<", ">=", "<=", "^", "^", "~", "~", "~>", ">= ", "^ ", "< "],
    "gem": ["", "= ", "!= ", "> ", "< ", ">= ", "<= ", "~> ", "~> ", "~>", ">="],
    "composer": ["", "", "=", "==", "!=", "<>", ">", "<", ">=", "<=", "^", "^", "~", "~", ">= ", "< ", "!= "],
}
_JOINTS = {"npm": [" ", " ", "||", " || ", " - "], "gem": [", ", ","], "composer": [" ", ",", ", ", "||", " || ", "|", " - "]}  # fmt: skip
_ODDITIES = {
    "npm": [*"0123456789.-+xX*<>=~^|", "||", " - ", " ", "-0", "", "a"],
    "gem": [*"0123456789.-<>=~!,a_ ", ", ", ""],
    "composer": [*"0123456789.-+x*<>=~^|,@ ", "||", "-dev", "@beta", "dev-main", ""],
    "maven": [*"0123456789.-[](),, ", "[1,2)", "],", ""],
}
_WORDS = {"npm": ["alpha", "rc", "0", "beta"], "gem": ["a", "rc", "beta", "B"], "composer": ["alpha", "beta", "RC", "a"], "maven": ["alpha", "rc", "beta", "foo"]}  # fmt: skip


_PLAIN_DEV = re.compile(r"[<>=!~^]*v?\d+(\.\d+)*([._-]?(alpha|a|beta|RC|patch)\d*)?-dev").fullmatch


def _version(draw: random.Random, scheme: str, shapes: list[str]) -> str:
    shape = re.sub(r"\{n\}", lambda _: draw.choice("000111222339"), draw.choice(shapes))
    return shape.replace("{p}", draw.choice(_WORDS[scheme]))


def _item(draw: random.Random, scheme: str) -> str:
    if scheme == "maven":
        low, high = (_version(draw, scheme, _WHOLE[scheme]) if draw.random() < 0.8 else "" for _ in "lh")
        if draw.random() < 0.2:
            return f"[{low}]"
        return draw.choice("[(") + low + draw.choice([",", ",", " , "]) + high + draw.choice("])")
    shapes = _WHOLE[scheme] if draw.random() < 0.6 else [*_WHOLE[scheme], *_PARTIAL[scheme]]
    return draw.choice(_OPERATORS[scheme]) + _version(draw, scheme, shapes)


def _expression(draw: random.Random, scheme: str) -> str:
    items = [_item(draw, scheme) for _ in range(draw.choice((1, 1, 2, 2, 3)))]
    if scheme != "maven" and draw.random() < 0.1 and " - " in _JOINTS[scheme]:
        shapes = _WHOLE[scheme] + _PARTIAL[scheme]
        items = [" - ".join(_version(draw, scheme, shapes) for _ in range(2))]
    if scheme == "maven":
        items.sort(key=lambda item: item.strip("[(").lstrip() or "0")
    text = items[0]
    for item in items[1:]:
        text += draw.choice(_JOINTS.get(scheme, [",", ", ", ""])) + item
    return corpus.changed(draw, text, _ODDITIES[scheme]) if draw.random() < 0.15 else text


def _questions(scheme: str) -> list[tuple[str, list[str]]]:
    draw = random.Random(f"redoubt ranges {scheme}")
    real = corpus.gem_requirements() if scheme == "gem" else ()
    questions = []
    for text in [*real, *(_expression(draw, scheme) for _ in range(EXPRESSIONS))]:
        named = re.findall(r"\d[^\s,|\])@]*", text)
        versions = [_version(draw, scheme, _WHOLE[scheme]) for _ in range(8)]
        versions += named + [corpus.changed(draw, version, ["0", "1", ".0", ".1"]) for version in named]
        versions += [f"{version}.0" for version in named]
        questions.append((text, [version for version in versions if version.strip()]))
    return questions


def _differs_on_purpose(scheme: str, text: str, *, ours_refuses: bool) -> bool:
    """Where the module says that it does not follow the tool."""
    match scheme:
        case "npm":
            # Signs in a row, blanks between them or not, and a star that touches a word.
            return ours_refuses and bool(
                re.search(r"[=v][\s=v]+|[<>=]\s+[=<>]|[~^]>?\s*=|>\s|-\s+=|=.* - |[\w-]\*|\*[v\d<>=]", text)
            )
        case "composer":
            # Branches with operators or company, those that end with -dev, aliases, and signs after +.
            return ours_refuses and bool(
                re.search(r"(?i)dev-|master|trunk|default| as |patch\d@|\+\S*[,~^<>=!]", text)
                or any(item.endswith("dev") and not _PLAIN_DEV(item) for item in re.split(r"[|, ]+", text))
            )
        case "maven":
            # A version without brackets is a wish; a version has no brackets, commas or nothing in it; [1,1] is [1].
            if not ours_refuses:
                return bool(re.search(r"\[([^,\[(]*),\1\]", text))
            return bool(
                re.search(
                    r"^[^\[(]|[\[(][^\])]*[\[(]|[\])][^\[(]*[\])]|\[\s*\]|,\s*$|,[^\])]*,[^\[(]*[\])]", text
                )
            )
    return False


def _mistaken_version(scheme: str, text: str, version: str) -> bool:
    """Versions about which the answer differs on purpose."""
    match scheme:
        case "npm":
            # A build in a hyphen's lower end makes node-semver forget the pre-releases there.
            return bool(re.search(r"\d{16}|\+\S*\s+-\s", version + " " + text))
        case "gem":
            # `0` is open below, and words of capital As are below the end of ~>.
            return bool(re.search(r"\.A\b|\.A\d", version)) or bool(
                re.search(r"(>|>=)\s*0(,|$|\s)", text) and re.match(r"[0.]+[.-]?[a-zA-Z]", version)
            )
        case "maven":
            # Blanks in front make a range a mere wish to Maven; `[0,` is open below.
            return bool(re.match(r"\s+|\[\s*0\s*,", text))
    return False


@pytest.mark.parametrize("scheme", sorted(oracles.ORACLES))
def test_every_expression_holds_the_versions_that_the_tool_says(scheme: str) -> None:
    package = versions_oracles.missing(scheme)
    if package:
        pytest.skip(f"needs the Debian package {package}")
    questions = [
        (text, versions) for text, versions in _questions(scheme) if text.strip() and "\t" not in text
    ]
    answers = oracles.ORACLES[scheme](questions)
    assert len(answers) == len(questions)

    wrong: list[tuple[object, ...]] = []
    held = refused = 0
    for (text, versions), theirs in zip(questions, answers, strict=True):
        try:
            ours = expressions.parse(scheme, text)
        except expressions.InvalidRange:
            refused += 1
            if theirs is not None and not _differs_on_purpose(scheme, text, ours_refuses=True):
                wrong.append((text, "refused", theirs))
            continue
        if theirs is None:
            if not _differs_on_purpose(scheme, text, ours_refuses=False):
                wrong.append((text, "taken", ours))
            continue
        for version, expected in zip(versions, theirs, strict=True):
            if expected is None or _mistaken_version(scheme, text, version):
                continue
            held += expected
            if expressions.holds(ours, version) != expected:
                wrong.append((text, version, expected, ours))
    assert not wrong, f"{len(wrong)} of {len(questions)}: {wrong[:14]}"
    assert refused < len(questions) * 2 // 3, "too much was refused"
    assert held > len(questions), "too little was held"


def test_npm_ranges_hold_the_releases_that_they_hold_without_prereleases() -> None:
    package = versions_oracles.missing("npm")
    if package:
        pytest.skip(f"needs the Debian package {package}")
    questions = [
        (text, [version for version in versions if "-" not in version])
        for text, versions in _questions("npm")
        if not re.search(r"\d{16}", text)
    ]
    answers = oracles.npm(questions, prereleases="as npm says")
    asked = 0
    for (text, versions), theirs in zip(questions, answers, strict=True):
        try:
            ours = expressions.parse("npm", text)
        except expressions.InvalidRange:
            continue
        assert theirs is not None, text
        for version, expected in zip(versions, theirs, strict=True):
            if expected is not None:
                asked += 1
                assert expressions.holds(ours, version) == expected, (text, version, ours)
    assert asked > 10_000
