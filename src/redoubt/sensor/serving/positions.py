"""How far node agents are in the audit logs of their nodes: kept on disk for those that have nowhere to write it down themselves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import structlog

from redoubt.definitions import durable

#: Bytes of a position, and nodes of which one is kept: those told last.
LONGEST = 1024
_MOST = 1000

_log = structlog.get_logger("sensor")


class Positions:
    """Positions by node, in a file; in memory only where there is none."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._known: dict[str, bytes] = {}
        self._writing = asyncio.Lock()

    def load(self) -> None:
        """Read what is on the disk. Blocking. What cannot be read counts as not there."""
        if self._file is None:
            return
        try:
            self._known = msgspec.json.decode(self._file.read_bytes(), type=dict[str, bytes])
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            _log.warning("positions in audit logs cannot be read", reason=str(error)[:200])

    def get(self, node: str) -> bytes:
        """Where a node's agent was last; empty where that is not known."""
        return self._known.get(node, b"")

    async def put(self, node: str, position: bytes) -> None:
        """Keep where it is. What cannot be written is logged: the events themselves are kept already."""
        self._known.pop(node, None)
        self._known[node] = position
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        if self._file is None:
            return
        async with self._writing:
            try:
                content = msgspec.json.encode(self._known)
                await asyncio.to_thread(durable.replace, self._file, content, mode=0o600)
            except OSError as error:
                _log.warning("positions in audit logs are not kept", reason=error.strerror)
