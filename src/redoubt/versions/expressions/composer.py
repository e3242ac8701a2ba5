"""Composer's constraints: ``^1.2 || ~2.3.4, !=2.3.7``, wildcards, hyphens and ``@stability``.

Rules: "Versions and constraints" of Composer's documentation, and ``VersionParser::parseConstraints`` of
composer/semver (3.3). Most lower and upper ends get ``-dev``, which stands below every pre-release of the
version. A branch (``dev-main``) is a point; nothing but ``*`` and its own name holds it.

Narrower than Composer: branches take no operator but ``=``, and aliases (``as``), commit references (``#``) and
``main-dev`` for ``dev-main`` are refused.
"""

from __future__ import annotations

import re

from redoubt.versions.composer import MODIFIER, key
from redoubt.versions.expressions.spans import Comparator, Range, conjunction, successor
from redoubt.versions.invalid import InvalidRange

_BLANKS = " \t\n\r\0\v"
_PARTS = (
    r"[vV]?([0-9]++)(?:\.([0-9]++))?+(?:\.([0-9]++))?+(?:\.([0-9]++))?+"
    rf"(?:{MODIFIER}|\.([xX*][.-]?(?i:dev)))(?:\+[^\s,]++)?"
)
_ALTERNATIVES = re.compile(r"\|\|?").split
_END_OF_ITEM = r"(?:(?<!-)(?: *+, *+| ++)(?=[^ ,-])|$)"
_HYPHEN = re.compile(rf"({_PARTS}) ++- ++({_PARTS}){_END_OF_ITEM}", re.ASCII).match
_ITEM = re.compile(rf"(?:(<>|!=|==?|[<>]=?)(\s*+)|([~^]))?+([^\s,|<>=!~^]++){_END_OF_ITEM}", re.ASCII).match
_FLAG = re.compile(r"@(stable|rc|beta|alpha|dev)$", re.IGNORECASE | re.ASCII).search
_METADATA = re.compile(r"\+\S+$").sub
_STABLE = re.compile(r"[._-]?stable[0-9.-]*(?:[.-]?dev)?$", re.IGNORECASE | re.ASCII).sub
_ANY = re.compile(r"([vV]?)[xX*]((?:\.[xX*])*+)").fullmatch
_PARTIAL = re.compile(_PARTS, re.ASCII).fullmatch
_WILDCARD = re.compile(r"[vV]?([0-9]++)(?:\.([0-9]++))?+(?:\.([0-9]++))?+(?:\.[xX*])++").fullmatch
_BRANCH = re.compile(r"(?i:dev-)([^\s,@#|]++)|(master|trunk|default)").fullmatch
_FLAG_OFF = re.compile(r"@(?:stable|rc|beta|alpha|dev)$", re.IGNORECASE | re.ASCII).sub
_MODIFIED = re.compile(rf"{MODIFIER}$").search
_HYPHENED = re.compile(rf"-{MODIFIER}$").search

_LOWEST = "0.0.0.0-dev"


def parse(text: str) -> list[Range]:
    """The ranges of a Composer constraint. Raises ``InvalidRange`` or ``InvalidVersion``."""
    ranges: list[Range] = []
    for alternative in _ALTERNATIVES(text.strip(_BLANKS)):
        ranges += _alternative(text, alternative.strip(" \t\n\r\f\v"))
    return ranges


def _alternative(text: str, alternative: str) -> list[Range]:
    branch = _BRANCH(alternative.removeprefix("=").removeprefix("="))
    if branch:
        name = f"dev-{branch[1] or branch[2]}"
        return [Range(introduced=name, last_affected=name)]
    comparators: list[Comparator] = []
    at = 0
    while at < len(alternative) or not at:
        hyphen = _HYPHEN(alternative, at)
        item = hyphen or _ITEM(alternative, at)
        if not item:
            raise InvalidRange("composer", text)
        at = item.end()
        comparators += _hyphen(hyphen.groups()) if hyphen else _constraint(text, *item.groups())
    return conjunction("composer", comparators)


def _constraint(
    text: str, operator: str | None, blanks: str | None, sign: str | None, version: str
) -> list[Comparator]:
    flag = None
    if not blanks:
        found = _FLAG(version)
        if found:
            flag = None if found[1].lower() == "stable" else found[1]
            version = version[: found.start()] or ("" if operator or sign else "*")
    if sign:
        partial = _PARTIAL(version)
        if not partial:
            raise InvalidRange("composer", text)
        return _significant(sign, version, partial.groups())
    if not operator:
        anything = _ANY(version)
        if anything:
            return [Comparator(">=", _LOWEST)] if anything[1] or anything[2] else []
        wildcard = _WILDCARD(version)
        if wildcard:
            return _wildcard([part for part in wildcard.groups() if part is not None])
    return [_basic(operator or "=", version, flag)]


def _basic(operator: str, version: str, flag: str | None) -> Comparator:
    operator = {"==": "=", "<>": "!="}.get(operator, operator)
    base = _METADATA("", _FLAG_OFF("", version))
    key(base)  # raises for a wildcard, which would become a branch below
    if operator == "=":
        return Comparator("=", base)
    if flag and _is_stable(base):
        return Comparator(operator, f"{_STABLE('', base)}-{flag}")
    if operator in ("<", ">=") and not _HYPHENED(version):
        return Comparator(operator, f"{_STABLE('', base)}-dev")
    return Comparator(operator, base)


def _is_stable(version: str) -> bool:
    modifier = _MODIFIED(version)
    word = (modifier[1] or "").lower() if modifier else ""
    return not (modifier and modifier[3]) and word in ("", "stable", "patch", "pl", "p")


def _significant(sign: str, version: str, parts: tuple[str | None, ...]) -> list[Comparator]:
    """``~`` and ``^``: from a version up to the next one in which a number that matters is higher."""
    given = [part for part in parts[:4] if part is not None]
    unstable = parts[4] or parts[6] or parts[7]
    if sign == "~":
        kept = max(1, len(given) - (0 if parts[7] else 1))
    else:
        kept = next((at for at, part in enumerate(given[:3], start=1) if part != "0"), min(len(given), 3))
    lower = version if unstable else f"{version}-dev"
    return [Comparator(">=", lower), _below_next(given[:kept])]


def _wildcard(given: list[str]) -> list[Comparator]:
    low = f"{_padded(given)}-dev"
    lower = [] if low == _LOWEST else [Comparator(">=", low)]
    return [*lower, _below_next(given)]


def _hyphen(groups: tuple[str | None, ...]) -> list[Comparator]:
    start, start_parts, end, end_parts = groups[0] or "", groups[1:9], groups[9] or "", groups[10:]
    lower = _METADATA("", start)
    if not (start_parts[4] or start_parts[6] or start_parts[7]):
        lower = f"{lower}-dev"
    given = [part for part in end_parts[:3] if part is not None]
    if len(given) == 3 or end_parts[4] or end_parts[6] or end_parts[7]:
        return [Comparator(">=", lower), Comparator("<=", _METADATA("", end))]
    return [Comparator(">=", lower), _below_next(given)]


def _padded(numbers: list[str]) -> str:
    return ".".join([*numbers, "0", "0", "0"][:4])


def _below_next(numbers: list[str]) -> Comparator:
    """Below everything of the version whose last number of these is one higher."""
    return Comparator("<", f"{_padded([*numbers[:-1], successor(numbers[-1])])}-dev")
