"""What became of each source since the last build on this machine. Remembers one small file; judges nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from redoubt.definitions import durable
from redoubt.model import SourceInfo


class _Last(msgspec.Struct, frozen=True):
    sha256: str
    records: int


def since_last_build(state: Path, sources: Iterable[SourceInfo]) -> dict[str, str]:
    """Source → what changed, for people: ``new``, ``none``, ``+12``, ``-3``, or ``edited`` where only contents did.

    ``state`` is the file that remembers; it is brought up to date. Raises ``AccessDenied`` where it cannot be
    written.
    """
    try:
        last = msgspec.json.decode(state.read_bytes(), type=dict[str, _Last])
    except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        last = {}
    changes = {}
    for source in sources:
        before = last.get(source.name)
        changes[source.name] = _change(before, source)
        if source.sha256:
            last[source.name] = _Last(source.sha256, source.records)
    with durable.writing(state):
        state.parent.mkdir(parents=True, exist_ok=True)
        durable.replace(state, msgspec.json.encode(last, order="deterministic"))
    return changes


def _change(before: _Last | None, source: SourceInfo) -> str:
    if before is None:
        return "new"
    if before.sha256 == source.sha256:
        return "none"
    return f"{source.records - before.records:+,}" if source.records != before.records else "edited"
