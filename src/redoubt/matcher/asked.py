"""What a fleet asks of one snapshot: verdicts, marks, scores, ends of life. One object a run; not for several threads.

Pure but for the snapshot. ``encode`` and ``decode`` are how questions and answers travel: zstd of a msgpack array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec
import zstandard

from redoubt.definitions.marks import Marks
from redoubt.definitions.snapshot import Snapshot
from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.matcher.apart import Apart, Subject, Verdict
from redoubt.model import Epss

T = TypeVar("T")

#: What a packed array may take, unpacked, in bytes.
_LARGEST = 512 << 20


class Answers:
    """``snapshot`` asked about many packages at a time."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        # Kept for the whole run: records are shared by questions that come in different batches.
        self._marks = Marks(snapshot)
        self._marking = Apart(snapshot)

    def judge(self, subjects: Sequence[Subject]) -> list[Verdict]:
        """A verdict for each, in order."""
        apart = Apart(self._snapshot)  # what it remembers goes with the batch
        return [apart.judge(subject) for subject in subjects]

    def marks(self, subjects: Sequence[Subject]) -> list[bytes]:
        """For each a digest of what is said about it: the same digest, the same verdicts."""
        return [self._marking.mark(subject, self._marks) for subject in subjects]

    def scores(self, cves: Sequence[str]) -> list[Epss | None]:
        """The EPSS of each."""
        return [self._snapshot.epss(cve) for cve in cves]

    def ends_of_life(self, releases: Sequence[str]) -> list[str]:
        """From when each release is no longer looked after; empty if not known."""
        return [self._snapshot.end_of_life(release) for release in releases]


def encode(things: object) -> bytes:
    """An array as it travels."""
    return zstandard.ZstdCompressor(level=1).compress(msgspec.msgpack.encode(things))


def decode(data: bytes, kind: type[T]) -> T:
    """What ``encode`` packed. Raises ``UnreadableInput``, and ``LimitExceeded`` for what would take too much."""
    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= _LARGEST:
            raise LimitExceeded(f"a message of {size} bytes, more than the limit of {_LARGEST}")
        return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data), type=kind)
    except (zstandard.ZstdError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableInput(f"not what was to be asked or answered ({error})") from None
