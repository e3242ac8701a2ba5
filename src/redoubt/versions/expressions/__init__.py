"""Range expressions, as package managers write them, turned into ranges. Knows nothing of advisories.

``parse("npm", "^1.2.3 || 2.x")`` gives the ranges in OSV's words, so that definitions are built from them as
from OSV's events. Each scheme's grammar has a module of its name here. Text that the package manager would
refuse, and text that says something no range can say, is an ``InvalidRange``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key, partial
from importlib import import_module
from typing import NamedTuple

from redoubt.versions import InvalidVersion, compare, is_exact, lenient_key
from redoubt.versions.expressions.spans import Range, between
from redoubt.versions.invalid import InvalidRange
from redoubt.versions.ranges import bounds, within

__all__ = ["SCHEMES", "Expression", "InvalidRange", "Range", "holds", "outside", "parse"]

#: Every scheme has a module of its name here, with ``parse``.
SCHEMES = frozenset({"composer", "gem", "maven", "npm"})


class Expression(NamedTuple):
    """What an expression holds: every version in one of ``ranges``, and those equal to one of ``points``.

    Both may be empty: a contradiction (``>2 <1``) is well formed and holds nothing.
    """

    scheme: str
    ranges: tuple[Range, ...] = ()
    points: tuple[str, ...] = ()


def parse(scheme: str, text: str) -> Expression:
    """The ranges that ``text`` says. Raises ``InvalidRange``, and ``KeyError`` for an unknown scheme."""
    if scheme not in SCHEMES:
        raise KeyError(scheme)
    read: Callable[[str], list[Range]] = import_module(f"redoubt.versions.expressions.{scheme}").parse
    try:
        return _expression(scheme, read(text))
    except InvalidVersion as error:
        raise InvalidRange(scheme, text, str(error)) from None


def _expression(scheme: str, found: list[Range]) -> Expression:
    """Ranges and points apart, each once."""
    ranges: dict[Range, None] = {}
    points: dict[str, None] = {}
    for each in found:
        if (
            each.introduced
            and each.last_affected
            and _order(scheme, each.introduced, each.last_affected) == 0
        ):
            points[each.introduced] = None
        else:
            ranges[each] = None
    return Expression(scheme, tuple(ranges), tuple(points))


def holds(expression: Expression, version: str) -> bool:
    """Whether ``version`` is one of those that ``expression`` says. As in ``versions.ranges``, text outside
    the scheme's grammar is held only where an inclusive end or a point is that text, or by a range open at
    both ends.
    """
    scheme = expression.scheme
    key = lenient_key(scheme, version)
    for introduced, after, fixed, last_affected in expression.ranges:
        if after and _order(scheme, version, after) != 1:
            continue
        if within(scheme, version, key, *bounds(scheme, introduced, fixed, last_affected)):
            return True
    return any(_order(scheme, version, point) == 0 for point in expression.points)


def _order(scheme: str, a: str, b: str) -> int | None:
    """As ``compare``; ``None`` where a text is outside the grammar, unless both are the same text."""
    try:
        return compare(scheme, a, b)
    except InvalidVersion:
        return 0 if a == b else None


def outside(scheme: str, *expressions: Expression) -> Expression:
    """What none of ``expressions`` holds: the affected versions where an upstream lists those that are not.

    Raises ``InvalidRange`` for an end that has no place in an order (a branch, some Maven versions).
    """
    spans: list[tuple[str, bool, str, bool]] = []
    for expression in expressions:
        spans += [(point, False, point, False) for point in expression.points]
        for introduced, after, fixed, last_affected in expression.ranges:
            lower = "" if introduced == "0" else introduced or after
            spans.append((lower, bool(after), fixed or last_affected, bool(fixed)))
    for lower, _, upper, _ in spans:
        for end in (lower, upper):
            if end and not is_exact(lenient_key(scheme, end)):
                raise InvalidRange(scheme, end, "has no place among the others")
    order = partial(compare, scheme)
    as_key = cmp_to_key(order)
    spans.sort(key=lambda span: (1, as_key(span[0]), span[1]) if span[0] else (0,))

    def gap(upper: str, upper_open: bool) -> Range:
        """From what is reached to ``upper``. ``0`` as a lower end would be open, so it is spelled otherwise."""
        lower_open = started and not reached_open
        lower = "0.0" if reached == "0" and not lower_open and order("0", "0.0") == 0 else reached
        return between(lower, lower_open, upper, upper_open)

    gaps: list[Range] = []
    reached, reached_open = "", True  # everything below, and where not open this version too, is dealt with
    started = False
    for lower, lower_open, upper, upper_open in spans:
        if lower:
            found = order(lower, reached) if started else 1
            if found > 0 or (found == 0 and lower_open and reached_open):
                gaps.append(gap(lower, not lower_open))
        if not upper:
            return _expression(scheme, gaps)
        found = order(upper, reached) if started else 1
        if found > 0 or (found == 0 and not upper_open):
            reached, reached_open, started = upper, upper_open, True
    gaps.append(gap("", False))
    return _expression(scheme, gaps)
