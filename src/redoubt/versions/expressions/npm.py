"""npm's range expressions, as node-semver reads them.

Rules: "Ranges" of node-semver's documentation: comparators, hyphens, x-ranges, ``~``, ``^`` and ``||``, with
``includePrerelease``. Without that option a pre-release satisfies a range only if a comparator in it names a
pre-release of the same three numbers: a rule about what to install. A flaw in everything ``<1.2.3`` is in
``1.2.3-rc.1`` too, so here a pre-release is just a version in its place; on releases both readings agree.
With the option, node-semver moves some lower ends below their pre-releases and others not (``1.2``,
``^0.2.3`` and hyphens do, ``~1.2`` and ``^1.2.3`` do not); so it is here.

Stricter than node-semver: one ``v`` in front of a version, no second sign after a sign (``> =1``, ``1 - =2``),
no star that touches a number, and only ASCII's blanks.
"""

from __future__ import annotations

import re

from redoubt.versions.expressions.spans import Comparator, Range, conjunction
from redoubt.versions.invalid import InvalidRange

_X = r"(?:0|[1-9][0-9]*+|[xX*])"
_IDENTIFIER = r"(?:[0-9]*+[A-Za-z-][0-9A-Za-z-]*+|0|[1-9][0-9]*+)"
_PRERELEASE = rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})*+"
_BUILD = r"[0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+"
_PARTIAL = rf"v?({_X})(?:\.({_X})(?:\.({_X})(?:-({_PRERELEASE}))?+(?:\+{_BUILD})?+)?+)?+"
_ITEM = re.compile(rf"\s*+(\^|~>?|[<>]=?|=)?+\s*+{_PARTIAL}(?!\S)", re.ASCII)
_HYPHEN = re.compile(rf"{_PARTIAL}\s++-\s++{_PARTIAL}", re.ASCII).fullmatch

#: Below every version: what ``>*`` and ``<*`` say is nothing at all.
_NOTHING = Comparator("<", "0.0.0-0")

_Parts = tuple[str | None, ...]


def parse(text: str) -> list[Range]:
    """The ranges of an npm expression. Raises ``InvalidRange`` or ``InvalidVersion``."""
    ranges: list[Range] = []
    for alternative in text.split("||"):
        comparators = _comparators(text, alternative.strip(" \t\n\v\f\r"))
        if _NOTHING not in comparators:
            ranges += conjunction("npm", comparators)
    return ranges


def _comparators(text: str, alternative: str) -> list[Comparator]:
    hyphen = _HYPHEN(alternative)
    if hyphen:
        parts = hyphen.groups()
        return _from(parts[:4]) + _to(parts[4:])
    comparators: list[Comparator] = []
    at = 0
    while at < len(alternative):
        item = _ITEM.match(alternative, at)
        if not item:
            raise InvalidRange("npm", text)
        at = item.end()
        operator, *partial = item.groups()
        match operator:
            case "^":
                comparators += _caret(tuple(partial))
            case "~" | "~>":
                comparators += _tilde(tuple(partial))
            case _:
                comparators += _plain(operator or "=", tuple(partial))
    return comparators


def _known(parts: _Parts) -> list[int]:
    """The numbers up to the first that is missing or an ``x``."""
    numbers: list[int] = []
    for part in parts[:3]:
        if part is None or part in "xX*":
            break
        # A number that Python would refuse to read is far beyond what npm takes as well.
        numbers.append(int(part) if len(part) <= 16 else 10**16)
    return numbers


def _version(numbers: list[int], prerelease: str | None = None) -> str:
    text = ".".join(map(str, (*numbers, 0, 0)[:3]))
    return f"{text}-{prerelease}" if prerelease else text


def _below_next(numbers: list[int]) -> Comparator:
    """Below the version whose last number of these is one higher, and below its pre-releases."""
    return Comparator("<", _version([*numbers[:-1], numbers[-1] + 1], "0"))


def _at_least(numbers: list[int], prerelease: str | None) -> Comparator:
    return Comparator(">=", _version(numbers, prerelease))


def _caret(parts: _Parts) -> list[Comparator]:
    numbers, prerelease = _known(parts), parts[3]
    if not numbers:
        return []
    if len(numbers) < 3:
        kept = 1 if numbers[0] else len(numbers)
        return [_at_least(numbers, "0"), _below_next(numbers[:kept])]
    kept = 1 if numbers[0] else 2 if numbers[1] else 3
    lowest = prerelease or (None if numbers[0] else "0")
    return [_at_least(numbers, lowest), _below_next(numbers[:kept])]


def _tilde(parts: _Parts) -> list[Comparator]:
    numbers = _known(parts)
    if not numbers:
        return []
    prerelease = parts[3] if len(numbers) == 3 else None
    return [_at_least(numbers, prerelease), _below_next(numbers[:2])]


def _plain(operator: str, parts: _Parts) -> list[Comparator]:
    numbers = _known(parts)
    if len(numbers) == 3:
        return [Comparator(operator, _version(numbers, parts[3]))]
    if not numbers:
        return [_NOTHING] if operator in ("<", ">") else []
    match operator:
        case "<":
            return [Comparator("<", _version(numbers, "0"))]
        case "<=":
            return [_below_next(numbers)]
        case ">":
            return [Comparator(">=", _below_next(numbers).version)]
        case ">=":
            return [_at_least(numbers, "0")]
    return [_at_least(numbers, "0"), _below_next(numbers)]


def _from(parts: _Parts) -> list[Comparator]:
    numbers = _known(parts)
    if not numbers:
        return []
    return [_at_least(numbers, (parts[3] if len(numbers) == 3 else None) or "0")]


def _to(parts: _Parts) -> list[Comparator]:
    numbers = _known(parts)
    if not numbers:
        return []
    if len(numbers) == 3 and parts[3]:
        return [Comparator("<=", _version(numbers, parts[3]))]
    return [_below_next(numbers)]
