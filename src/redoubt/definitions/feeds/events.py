"""OSV's events: ``introduced``, ``fixed``, ``last_affected`` and ``limit`` on a line of versions → ranges.

The rule is the evaluation algorithm of the OSV schema (section "Evaluation"): events are sorted by version,
``introduced`` switches to affected, ``fixed`` and what lies above ``last_affected`` switch back, and a
version has to be below some ``limit`` where there is one. ``introduced`` ``0`` is before every version;
``limit`` ``*`` is above every one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cmp_to_key
from itertools import groupby
from typing import TypeAlias

import msgspec

from redoubt.definitions.feeds.interface import SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, LAST, LIMIT, Compare, affected, comparator
from redoubt.model import AffectedRange, RangeFlag, Severity

_INEXACT = int(RangeFlag.INEXACT)


class Event(msgspec.Struct):
    """One event; the schema allows one field each, and more than one is read as so many events."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None


def ranges_of(
    scheme: str, events: Sequence[Event], severity: Severity = Severity.UNKNOWN
) -> list[AffectedRange]:
    """The ranges that ``events``, in any order, describe; possibly none.

    Raises ``SpoiltRecord`` where nothing is introduced, or a text is no version at all.
    """
    simple = _simple(scheme, events, severity)
    if simple is not None:
        return [simple]
    if any(event.fixed == "" or event.last_affected == "" or event.limit == "" for event in events):
        raise SpoiltRecord("an event without a version")
    starts = [event.introduced for event in events if event.introduced is not None]
    if not starts:
        raise SpoiltRecord("a range in which nothing is introduced")
    ends = [(event.fixed, FIXED) for event in events if event.fixed is not None]
    ends += [(event.last_affected, LAST) for event in events if event.last_affected is not None]
    limits = [event.limit for event in events if event.limit is not None]
    bounded = limits and "*" not in limits
    texts = {*starts, *(text for text, _ in ends), *(limits if bounded else ())}
    compare = comparator(scheme, texts)
    spans = _spans(compare, starts, ends)
    if bounded:
        highest = max(sorted(limits), key=cmp_to_key(compare))
        spans = [span for each in spans for span in _below(compare, each, highest)]
    return [affected(scheme, lower, upper, end, severity=severity) for lower, upper, end in spans]


def _simple(scheme: str, events: Sequence[Event], severity: Severity) -> AffectedRange | None:
    """The usual case without any sorting: one start, and at most one end that lies above it."""
    if not 1 <= len(events) <= 2:
        return None
    first, last = events[0], events[-1]
    if first.introduced is None or first.fixed or first.last_affected or first.limit is not None:
        return None
    if len(events) == 1:
        return affected(scheme, first.introduced, severity=severity)
    if last.introduced is not None or last.limit is not None:
        return None
    if last.fixed and not last.last_affected:
        found = affected(scheme, first.introduced, last.fixed, FIXED, severity=severity)
    elif last.last_affected and not last.fixed:
        found = affected(scheme, first.introduced, last.last_affected, LAST, severity=severity)
    else:
        return None
    if not found.lower or (found.lower_key < found.upper_key and not found.flags & _INEXACT):
        return found
    return None


#: Lower text, upper text, what the upper end is.
_Span: TypeAlias = tuple[str, str, str]
#: A version, and what it is: "" where something is introduced, else what kind of end.
_Point: TypeAlias = tuple[str, str]


def _spans(compare: Compare, starts: list[str], ends: list[_Point]) -> list[_Span]:
    """Walk the events in the order of versions.

    At one version, what is open ends before the next begins; what is not open begins before it ends.
    """

    def order(a: _Point, b: _Point) -> int:
        first_a, first_b = not a[1] and _is_start(a[0]), not b[1] and _is_start(b[0])
        return first_b - first_a if first_a or first_b else compare(a[0], b[0])

    place = cmp_to_key(order)
    points = sorted([*((start, "") for start in sorted(starts)), *sorted(ends)], key=place)
    spans: list[_Span] = []
    lower: str | None = None
    for _, group in groupby(points, key=place):
        at = {kind: text for text, kind in group}
        if lower is not None:
            end = FIXED if FIXED in at else LAST if LAST in at else None
            if end:
                spans.append((lower, at[end], end))
                lower = at.get("")
        elif "" in at:
            lower = at[""]
            if LAST in at:
                spans.append((lower, at[LAST], LAST))
            if LAST in at or FIXED in at:
                lower = None
    if lower is not None:
        spans.append((lower, "", FIXED))
    return spans


def _is_start(text: str) -> bool:
    return text in ("", "0")


def _below(compare: Compare, span: _Span, limit: str) -> list[_Span]:
    """The part of ``span`` below ``limit``: one span or none."""
    lower, upper, end = span
    if not _is_start(lower) and compare(lower, limit) >= 0:
        return []
    if upper and compare(upper, limit) < (0 if end == LAST else 1):
        return [span]
    return [(lower, limit, LIMIT)]
