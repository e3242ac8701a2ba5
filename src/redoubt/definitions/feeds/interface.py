"""What a feed is: the reader of one upstream's shape. Each implementation is a module beside this one.

A feed turns an upstream's files into our records, and holds everything that is special about that
upstream. It knows nothing of URLs, mirrors, snapshots or other feeds; which files it is given, and under
which source's name, is decided in ``sources``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Protocol, TypeAlias

import msgspec

from redoubt.definitions.feeds.files import Files
from redoubt.model import Advisory, Affected, CveRecord, EndOfLife, Epss, Mapped

#: An advisory and what it affects, what is known about a CVE wherever it occurs, or what a name stands for.
Item: TypeAlias = (
    tuple[Advisory, tuple[Affected, ...]]
    | tuple[str, CveRecord]
    | tuple[str, Epss]
    | tuple[str, Mapped]
    | tuple[str, EndOfLife]
)

#: What decoding one record of an upstream can raise; anything else is a bug of ours.
UNDECODABLE = (msgspec.DecodeError, RecursionError, UnicodeError)

_EXAMPLES = 5


class SpoiltRecord(ValueError):
    """One record of an upstream cannot be used. The rest of its file can."""


class Notes:
    """What a feed has to say besides its records.

    ``read`` counts the upstream's records that were looked at; ``spoilt`` those that could not be used,
    with the first few reasons in ``examples``; ``dropped`` those that were understood and left out, by
    reason.
    """

    def __init__(self) -> None:
        self.read = 0
        self.spoilt = 0
        self.examples: list[str] = []
        self.dropped: Counter[str] = Counter()
        self._newest = ""
        self._dated = 0

    def spoil(self, where: str, reason: object) -> None:
        """Count a record that cannot be used. ``where`` names it for people."""
        self.spoilt += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{where[:100]}: {str(reason)[:200]}")

    def drop(self, reason: str) -> None:
        """Count a record that was understood and is left out."""
        self.dropped[reason] += 1

    def dated(self, time: str) -> None:
        """Note the time of a record: RFC 3339 in UTC, or empty for one that has none."""
        self._newest = max(self._newest, time)
        self._dated += 1 if time else -1

    @property
    def newest(self) -> str:
        """The time of the newest record, or empty where most records have none: it would say nothing."""
        return self._newest if self._dated > 0 else ""


class Feed(Protocol):
    """Reads one upstream's shape.

    An implementation is a small immutable object: the same files give the same items whatever the order
    of an archive's members, the time or the machine (the order of items is free; they are sorted later).
    """

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """Yield every record of ``files``.

        ``source`` is the name to write into each ``Advisory``. With ``facts_only`` no title is carried:
        nothing that somebody phrased. Names are normalised (``model.namespaces``), versions have keys.

        A record that cannot be used is counted with ``notes.spoil`` and skipped, however it is broken; one
        that says nothing of a flaw that counts today (withdrawn, a mere bug fix) with ``notes.drop``. A
        file that cannot be read at all raises ``UnreadableInput`` or ``LimitExceeded``.
        """
        ...
