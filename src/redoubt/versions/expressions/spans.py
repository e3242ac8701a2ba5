"""What range expressions become: ranges between versions, and how comparators joined by *and* make them.

Knows no scheme's grammar, only ``versions.compare``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cmp_to_key, partial
from typing import NamedTuple

from redoubt.versions import compare


class Range(NamedTuple):
    """Versions between two ends, each empty where open; OSV's words, and one that OSV lacks.

    ``introduced`` is an inclusive lower end (``0`` is open, as in OSV) and ``after`` an exclusive one;
    ``fixed`` is an exclusive upper end and ``last_affected`` an inclusive one. Each end is given once.
    """

    introduced: str = ""
    after: str = ""
    fixed: str = ""
    last_affected: str = ""


class Comparator(NamedTuple):
    """An operator (``<``, ``<=``, ``>``, ``>=``, ``=`` or ``!=``) and the version it is about."""

    operator: str
    version: str


def conjunction(scheme: str, comparators: Iterable[Comparator]) -> list[Range]:
    """The ranges in which all ``comparators`` hold, ascending; none if they contradict each other.

    ``[Range()]`` for no comparators. Raises ``InvalidVersion``. Time grows as n log n.
    """
    order = partial(compare, scheme)
    lower, lower_open = "", False
    upper, upper_open = "", False
    excluded: list[str] = []
    for operator, version in comparators:
        order(version, version)  # raises where it is none
        if operator == "!=":
            excluded.append(version)
        if operator in (">", ">=", "="):
            found = order(version, lower) if lower else 1
            if found > 0 or (found == 0 and operator == ">"):
                lower, lower_open = version, operator == ">"
        if operator in ("<", "<=", "="):
            found = order(version, upper) if upper else -1
            if found < 0 or (found == 0 and operator == "<"):
                upper, upper_open = version, operator == "<"
    ranges: list[Range] = []
    for version in sorted(excluded, key=cmp_to_key(order)):
        if (lower and order(version, lower) <= 0) or (upper and order(version, upper) >= 0):
            # Not between the ends: at most it takes an end away.
            lower_open = lower_open or bool(lower and order(version, lower) == 0)
            upper_open = upper_open or bool(upper and order(version, upper) == 0)
            continue
        ranges.append(between(lower, lower_open, version, True))
        lower, lower_open = version, True
    if lower and upper:
        found = order(lower, upper)
        if found > 0 or (found == 0 and (lower_open or upper_open)):
            return ranges
    ranges.append(between(lower, lower_open, upper, upper_open))
    return ranges


def between(lower: str, lower_open: bool, upper: str, upper_open: bool) -> Range:
    """The range with these ends; an open one excludes its version, an empty one is no end."""
    return Range(
        introduced="" if lower_open else lower,
        after=lower if lower_open else "",
        fixed=upper if upper_open else "",
        last_affected="" if upper_open else upper,
    )


def successor(digits: str) -> str:
    """The next number, for digits of any count (``int`` refuses thousands of them)."""
    kept = digits.rstrip("9")
    zeros = "0" * (len(digits) - len(kept))
    return f"{kept[:-1]}{int(kept[-1]) + 1}{zeros}" if kept else f"1{zeros}"
