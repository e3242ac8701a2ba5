"""From what upstreams write about versions to ``AffectedRange``: keys, flags, and OSV's events.

Knows no upstream by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cmp_to_key, lru_cache
from typing import TypeAlias

from redoubt import versions
from redoubt.definitions.feeds.interface import SpoiltRecord
from redoubt.model import AffectedRange, RangeFlag, Severity, Status
from redoubt.versions.ranges import bounds, within

Compare: TypeAlias = Callable[[str, str], int]

_INEXACT, _INCLUSIVE, _FIXED = int(RangeFlag.INEXACT), int(RangeFlag.INCLUSIVE), int(RangeFlag.FIXED)

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
    arch: str = "",
    module: str = "",
    severity: Severity = Severity.UNKNOWN,
    repository: str = "",
    channel: str = "",
    notice: str = "",
) -> AffectedRange:
    """Versions from ``lower`` (inclusive; empty or ``0``: from the first) up to ``upper`` (empty: open).

    ``end`` says what the upper end is: ``FIXED`` and ``LIMIT`` exclude it, ``LAST`` includes it. Raises
    ``SpoiltRecord`` where a text cannot be a version at all, or what restricts it cannot be a name: such a range would
    never hold, and nobody would know.
    """
    for text in (arch, module, repository, channel, notice):
        if not text.isprintable():
            raise SpoiltRecord(f"restricted to what is no name: {text[:80]!r}")
    for text in (lower, upper):
        if len(text) > MAX_VERSION or not text.isprintable():
            raise SpoiltRecord(f"not a version: {text[:80]!r}")
    found = bounds(scheme, lower, "" if end == LAST else upper, upper if end == LAST else "")
    flags = _INEXACT if found.inexact else 0
    if found.inclusive:
        flags |= _INCLUSIVE
    if upper and end == FIXED:
        flags |= _FIXED
    return AffectedRange(
        lower_key=found.lower_key,
        upper_key=found.upper_key,
        flags=flags,
        lower=found.lower,
        upper=found.upper,
        status=status,
        arch=arch,
        module=module,
        severity=severity,
        repository=repository,
        channel=channel,
        notice=notice,
    )


def tidy(ranges: Iterable[AffectedRange]) -> tuple[AffectedRange, ...]:
    """Sorted, each once: the form in which ranges are stored."""
    return tuple(sorted(set(ranges)))


def comparator(scheme: str, texts: Iterable[str]) -> Compare:
    """Compares any two of ``texts``: below zero, zero, or above. Their keys are made once.

    What is outside the scheme's grammar comes after everything else, in the order of texts.
    """
    keys = {text: versions.lenient_key(scheme, text) for text in texts}

    def compare(a: str, b: str) -> int:
        key_a, key_b = keys[a], keys[b]
        if a != b and not (versions.is_exact(key_a) and versions.is_exact(key_b)):
            with suppress(versions.InvalidVersion):
                return versions.compare(scheme, a, b)
        return (key_a > key_b) - (key_a < key_b)

    return compare


def greatest(scheme: str, texts: Iterable[str]) -> str:
    """The highest of some versions; of equal ones the first in the order of texts."""
    unique = sorted(set(texts))
    return max(unique, key=cmp_to_key(comparator(scheme, unique))) if len(unique) > 1 else unique[0]


def least(scheme: str, texts: Iterable[str]) -> str:
    """The lowest of some versions; of equal ones the first in the order of texts."""
    unique = sorted(set(texts))
    return min(unique, key=cmp_to_key(comparator(scheme, unique))) if len(unique) > 1 else unique[0]


def uncovered(scheme: str, listed: Iterable[str], ranges: Iterable[AffectedRange]) -> list[str]:
    """Those of the ``listed`` versions that no range holds, sorted as text, each once."""
    spans = [item.bounds for item in ranges]
    if any(not lower and not upper for _, _, lower, upper, _, _ in spans):
        return []
    left = []
    for version in sorted(set(listed)):
        key = versions.lenient_key(scheme, version)
        if not any(within(scheme, version, key, *span) for span in spans):
            left.append(version)
    return left
