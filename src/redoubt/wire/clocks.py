"""How far another service's clock is from ours. Who is told of a moment by it takes that into account; pure but for our clock.

Nothing is made of less than ``TOLERATED``: that much a message may have been under way.
"""

from __future__ import annotations

import time
from datetime import timedelta

#: Nanoseconds.
TOLERATED = 30 * 10**9
_LONGEST = 10 * 366 * 86400 * 10**9


def now() -> int:
    """What ours shows: nanoseconds since 1970, as the wire has it."""
    return time.time_ns()


def ahead(theirs: int, ours: int | None = None) -> int:
    """By how many nanoseconds a clock that shows ``theirs`` is ahead of ours; negative: behind. 0 where it says nothing.

    A clock that is more than ten years off is no clock.
    """
    if theirs <= 0:
        return 0
    found = theirs - (now() if ours is None else ours)
    return found if TOLERATED < abs(found) < _LONGEST else 0


def told(nanoseconds: int) -> str:
    """``1:00:00 ahead``, ``2 days, 0:00:05 behind``."""
    seconds = round(abs(nanoseconds) / 1e9)
    return f"{timedelta(seconds=seconds)} {'ahead' if nanoseconds > 0 else 'behind'}"


class Reference:
    """Another's clock, as it was told once, running on beside ours: so it is noticed when ours is put right."""

    def __init__(self, theirs: int) -> None:
        self._theirs, self._since = theirs, time.monotonic_ns()

    @property
    def ahead(self) -> int:
        """By how many nanoseconds ours is ahead of it now; see ``ahead``."""
        if self._theirs <= 0:
            return 0
        return -ahead(self._theirs + time.monotonic_ns() - self._since)
