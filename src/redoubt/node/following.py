"""A log file followed over its rotations: lines in their order, from where it was left off, also after a restart.

A rotated file is told by its number in the file system: what is left of it is read before the new one. It must not know what
the lines are.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from redoubt.definitions.durable import replace, writing

#: Bytes of a line, beyond which it is passed over. With what is read at once and what is around it it goes into one message, of
#: which the Sensor takes 4 MiB; an event of the level "Metadata" has some kilobytes.
LONGEST = 2 << 20
_READ = 1 << 20


class Position(msgspec.Struct, frozen=True):
    """A file's number and device, and bytes of it that are done with."""

    inode: int
    device: int
    offset: int


class LogFollower:
    """``read``, have the lines taken, ``commit``. ``state``: the file that remembers, or None."""

    def __init__(self, log: Path, state: Path | None) -> None:
        self._log = log
        self._state = state
        self._file: BinaryIO | None = None
        self._rest = b""
        self._skipping, self._skipped = False, 0
        #: Where the next byte is read, and up to where lines were given.
        self._given = 0
        self._known = self._remembered()
        self._first = True
        #: Lines that were too long.
        self.passed_over = 0

    def read(self, most: int = _READ) -> list[bytes]:
        """Whole lines, about ``most`` bytes of them at most; none where there are none now."""
        if self._file is None and not self._open():
            return []
        assert self._file is not None
        data = self._file.read(most)
        if not data:
            self._turn()
            return []
        return self._lines(data)

    @property
    def position(self) -> bytes:
        """Up to where lines were given, for ``resume``; empty where nothing is open."""
        if self._file is None:
            return b""
        status = os.fstat(self._file.fileno())
        return msgspec.json.encode(Position(status.st_ino, status.st_dev, self._given))

    def resume(self, position: bytes) -> None:
        """Begin where another follower of this log was, unless there is a memory of our own. What is no position does not count."""
        if self._known is None and self._file is None:
            with suppress(msgspec.MsgspecError, UnicodeDecodeError):
                self._known = msgspec.json.decode(position, type=Position)

    def commit(self) -> None:
        """All that was given is done with. Raises ``AccessDenied`` where that cannot be written down."""
        if self._file is None:
            return
        status = os.fstat(self._file.fileno())
        self._known = Position(status.st_ino, status.st_dev, self._given)
        if self._state is not None:
            with writing(self._state):
                replace(self._state, msgspec.json.encode(self._known))

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def again(self) -> None:
        """Go back to what was committed last: what was given since is given once more."""
        self.close()

    def _lines(self, data: bytes) -> list[bytes]:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        self._given += sum(map(len, lines)) + len(lines)
        if self._skipping and lines:
            self._given += self._skipped
            del lines[0]
            self._skipping = False
        if len(self._rest) > LONGEST:
            if not self._skipping:
                self._skipping, self._skipped = True, 0
                self.passed_over += 1
            self._skipped += len(self._rest)
            self._rest = b""
        return [line for line in lines if line.strip()]

    def _open(self) -> bool:
        """The file that was read last, where it is there still; else the one that is written now."""
        known = self._known
        for path in [self._log, *self._rotated()] if known else [self._log]:
            try:
                file = path.open("rb")
            except OSError:
                continue
            status = os.fstat(file.fileno())
            same = known is not None and (status.st_ino, status.st_dev) == (known.inode, known.device)
            if path != self._log and not same:
                file.close()
                continue
            if same and known is not None:
                start = known.offset if known.offset <= status.st_size else 0
                self._begin(file, start)
                return True
            if known is None:
                # What happened before anybody looked is not told, unless it was begun since.
                self._begin(file, _line_end(file, status.st_size) if self._first else 0)
                return True
            file.close()
        if known is not None:  # it is gone, with what was left of it
            self._known, self._first = None, False
            return self._open()
        self._first = False  # a log that does not exist yet is read from its beginning
        return False

    def _begin(self, file: BinaryIO, offset: int) -> None:
        file.seek(offset)
        self._file, self._given, self._rest = file, offset, b""
        self._skipping, self._skipped, self._first = False, 0, False
        status = os.fstat(file.fileno())
        self._known = Position(status.st_ino, status.st_dev, offset)

    def _rotated(self) -> list[Path]:
        """Rotated files, the oldest first: their names have the time. Those that are packed are passed over."""
        with suppress(OSError):
            stem = self._log.stem
            return sorted(
                each
                for each in self._log.parent.iterdir()
                if each.name.startswith(stem) and each != self._log and each.suffix != ".gz"
            )
        return []

    def _after(self, own: os.stat_result) -> os.stat_result | None:
        """The file that was begun when this one was rotated away; None where that is not known."""
        found = False
        for path in self._rotated():
            with suppress(OSError):
                status = path.stat()
                if found:
                    return status
                found = (status.st_ino, status.st_dev) == (own.st_ino, own.st_dev)
        return None

    def _turn(self) -> None:
        """At the end of the file: whether another one is written now, or this one was emptied."""
        assert self._file is not None
        own = os.fstat(self._file.fileno())
        try:
            now = self._log.stat()
        except OSError:
            return  # between two files
        if (now.st_ino, now.st_dev) != (own.st_ino, own.st_dev):
            following = self._after(own) or now
            self.close()
            self._known, self._first = Position(following.st_ino, following.st_dev, 0), False
        elif own.st_size < self._file.tell():
            self._begin(self._file, 0)

    def _remembered(self) -> Position | None:
        if self._state is None:
            return None
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=Position)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None


def _line_end(file: BinaryIO, size: int) -> int:
    """Where the last whole line ends."""
    at = max(0, size - LONGEST)
    file.seek(at)
    found = file.read(size - at).rfind(b"\n")
    return at + found + 1 if found >= 0 else (0 if at == 0 else size)
