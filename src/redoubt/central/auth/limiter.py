"""How often a source may guess. Kept in memory, each replica for itself; time is monotonic, so clocks do not matter.

Each source has its own allowance of wrong passwords, which fills again slowly; nobody else's attempts take from it. There
is no lock on an account: a stranger must not be able to lock the administrator out.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from redoubt.central.auth.sources import group
from redoubt.central.refusals import Exhausted

#: Wrong passwords at once, and seconds until one of them is forgiven.
BURST = 10
FORGIVEN_AFTER = 30.0

_MOST = 50_000


class Limiter:
    """Counts failures by source. An entry that is full again is dropped; at most ``_MOST`` are kept, newest first."""

    def __init__(
        self,
        burst: int = BURST,
        seconds: float = FORGIVEN_AFTER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._seconds = seconds
        self._clock = clock
        #: Source to the moment at which all of its failures are forgiven.
        self._until: OrderedDict[str, float] = OrderedDict()

    def check(self, source: str) -> None:
        """Raises ``Exhausted`` where the source has to wait."""
        now = self._clock()
        left = self._until.get(group(source), 0.0) - now - (self._burst - 1) * self._seconds
        if left > 0:
            raise Exhausted("too many wrong passwords from this address; wait and try again", left)

    def failed(self, source: str) -> None:
        """A wrong password came from there."""
        now = self._clock()
        name = group(source)
        self._until[name] = max(self._until.get(name, 0.0), now) + self._seconds
        self._until.move_to_end(name)
        while self._until and (len(self._until) > _MOST or next(iter(self._until.values())) <= now):
            self._until.popitem(last=False)

    def succeeded(self, source: str) -> None:
        """The right one came from there."""
        self._until.pop(group(source), None)
