"""From what upstreams write about versions to ``AffectedRange``: keys, flags, and OSV's events.

Knows no upstream by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache

from redoubt import versions
from redoubt.definitions.feeds.interface import SpoiltRecord
from redoubt.model import AffectedRange, RangeFlag, Severity, Status
from redoubt.versions.ranges import bounds, within

#: Longest version text taken from an upstream; real ones stay under 150.
MAX_VERSION = 1024

#: Upper end of a range: the version that fixes, the last one affected, or merely where the range ends.
FIXED, LAST, LIMIT = "fixed", "last_affected", "limit"


@lru_cache(maxsize=1 << 16)
def affected(
    scheme: str,
    lower: str = "",
    upper: str = "",
    end: str = FIXED,
    *,
    status: Status = Status.AFFECTED,
    module: str = "",
    severity: Severity = Severity.UNKNOWN,
) -> AffectedRange:
    """Versions from ``lower`` (inclusive; empty or ``0``: from the first) up to ``upper`` (empty: open).

    ``end`` says what the upper end is: ``FIXED`` and ``LIMIT`` exclude it, ``LAST`` includes it. Raises
    ``SpoiltRecord`` where a text cannot be a version at all.
    """
    for text in (lower, upper):
        if len(text) > MAX_VERSION or not text.isprintable():
            raise SpoiltRecord(f"not a version: {text[:80]!r}")
    found = bounds(scheme, lower, "" if end == LAST else upper, upper if end == LAST else "")
    flags = RangeFlag(0)
    if found.inexact:
        flags |= RangeFlag.INEXACT
    if found.inclusive:
        flags |= RangeFlag.INCLUSIVE
    if upper and end == FIXED:
        flags |= RangeFlag.FIXED
    return AffectedRange(
        lower_key=found.lower_key,
        upper_key=found.upper_key,
        flags=int(flags),
        lower=found.lower,
        upper=found.upper,
        status=status,
        module=module,
        severity=severity,
    )


def tidy(ranges: Iterable[AffectedRange]) -> tuple[AffectedRange, ...]:
    """Sorted, each once: the form in which ranges are stored."""
    return tuple(sorted(set(ranges)))


def compare(scheme: str, a: str, b: str) -> int:
    """Negative, zero or positive as ``a`` is below, equal to or above ``b``.

    For sorting: what is outside the scheme's grammar comes after everything else, in the order of texts.
    """
    key_a, key_b = versions.lenient_key(scheme, a), versions.lenient_key(scheme, b)
    if not (versions.is_exact(key_a) and versions.is_exact(key_b)):
        with suppress(versions.InvalidVersion):
            return versions.compare(scheme, a, b)
    return (key_a > key_b) - (key_a < key_b)


def holds(scheme: str, item: AffectedRange, version: str) -> bool:
    """Whether ``version`` lies in a range."""
    return within(
        scheme,
        version,
        versions.lenient_key(scheme, version),
        item.lower_key,
        item.upper_key,
        item.lower,
        item.upper,
        bool(item.flags & RangeFlag.INCLUSIVE),
        bool(item.flags & RangeFlag.INEXACT),
    )
