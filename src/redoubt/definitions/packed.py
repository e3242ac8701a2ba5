"""A snapshot's file: entries in the order of their keys, and a table that finds each with one look.

The file begins with 16 bytes that say what it is. Entries are framed as the stream's records are. From the next
multiple of 64 on lies the table: 64-bit numbers in the machine's order, each where an entry begins, 0 for none.
A key is looked for from the slot on that its number (its bytes, the first one least significant) has modulo
``Layout.modulus`` modulo ``Layout.slots``, up to an empty slot; there is none at the end only where the file is
damaged. The modulus is drawn anew for every file, so that nobody can choose names that all have one slot.

The file is mapped, never locked, and never changes. Knows neither how records are grouped (``grouping``) nor what
they mean; ``snapshot`` sees to it that the file is the one that was written.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import secrets
import struct
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from redoubt.definitions.records import Record
from redoubt.definitions.stream import HEAD
from redoubt.errors import AccessDenied, DefinitionsError, DefinitionsMissing, DefinitionsRefused

if TYPE_CHECKING:
    from concurrent.futures import Future

_MAGIC = b"redoubt/entries\n"
_BEGIN = len(_MAGIC)
_LINE = 64
#: Written in pieces of 2 MB, a file lies in memory in pages of that size where its file system can do that, and what
#: translates their addresses is at hand.
_CHUNK = 2 << 20
#: Below this an ``int`` has one digit.
_MODULUS = 1 << 30


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Where things lie in a file. ``entries``: where they end. ``sections``: a key's first byte → the first such entry."""

    entries: int
    sections: dict[str, int]
    modulus: int
    slots: int


class _Read(Protocol):
    def __call__(self, key: bytes, /) -> bytes | None: ...


class PackedWriter:
    """Write a file at ``path``, where none is. Raises ``OSError``.

    A thread hashes and writes, which takes no turn of the interpreter's, while the next entries are put together.
    """

    def __init__(self, path: Path) -> None:
        from concurrent.futures import ThreadPoolExecutor  # readers do without

        self._file = path.open("xb", buffering=0)
        self._hash = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1)
        self._written: Future[None] | None = None
        #: What is not yet written, in pieces.
        self._pending = [_MAGIC]
        self._at = _BEGIN
        self._last = b""
        self._sections: dict[str, int] = {}
        self._modulus = _prime()
        #: Of each entry, where it begins and its key's number modulo the modulus.
        self._places = array("Q")
        self._residues = array("I")
        self.size = 0

    @property
    def sha256(self) -> str:
        """Of what was written so far, in hexadecimal; of the file, once it is finished."""
        return self._hash.hexdigest()

    def put(self, entries: Sequence[Record]) -> None:
        """Append entries. Raises ``DefinitionsRefused`` where their keys do not ascend."""
        pack, head, number, modulus = HEAD.pack, HEAD.size, int.from_bytes, self._modulus
        place, residue = self._places.append, self._residues.append
        parts: list[bytes] = []
        at, last = self._at, self._last
        section = last[0] if last else -1
        for key, value in entries:
            if key <= last:
                raise DefinitionsRefused("the definitions' records are out of order; build the bundle again")
            if key[0] != section:
                section = key[0]
                self._sections[chr(section)] = at
            place(at)
            residue(number(key, "little") % modulus)
            parts += (pack(len(key), len(value)), key, value)
            at += head + len(key) + len(value)
            last = key
        self._at, self._last = at, last
        self._pending.append(b"".join(parts))
        if at - self.size >= _CHUNK:
            self._write(_CHUNK)

    def finish(self) -> Layout:
        """Write the table, see that everything is on the disk, and close the file."""
        slots = 2 * len(self._places) + 1
        table = array("Q", [0]) * slots
        for at, residue in zip(self._places, self._residues, strict=True):
            slot = residue % slots
            while table[slot]:
                slot += 1
                if slot == len(table):
                    table.append(0)
            table[slot] = at
        table.append(0)
        self._pending.append(bytes(-self._at % _LINE))
        for start in range(0, len(table), _CHUNK // 8):
            self._pending.append(table[start : start + _CHUNK // 8].tobytes())
            self._write(_CHUNK)
        self._write(1)
        self._wait()
        os.fsync(self._file.fileno())
        self.close()
        return Layout(entries=self._at, sections=self._sections, modulus=self._modulus, slots=slots)

    def close(self) -> None:
        """Let go of the file, finished or not. Twice is harmless."""
        self._thread.shutdown()
        self._file.close()

    def _write(self, to: int) -> None:
        """Hand over what is pending, as far as it makes pieces that end at multiples of ``to``."""
        data = memoryview(b"".join(self._pending))
        whole = len(data) - len(data) % to
        self._pending = [bytes(data[whole:])]
        self.size += whole
        self._wait()
        self._written = self._thread.submit(self._out, data[:whole])

    def _wait(self) -> None:
        if self._written is not None:
            self._written.result()

    def _out(self, data: memoryview) -> None:
        for start in range(0, len(data), _CHUNK):
            left = data[start : start + _CHUNK]
            self._hash.update(left)
            while left:
                left = left[self._file.write(left) :]


class PackedFile:
    """A file as readers see it. It stays readable, whatever becomes of its name, as long as somebody holds this."""

    def __init__(self, path: Path, layout: Layout, size: int) -> None:
        """Map the file at ``path``, which has to have ``size``.

        Raises ``DefinitionsMissing``, ``DefinitionsError`` where it isn't what it should be, ``AccessDenied``.
        """
        self._directory, self._layout = path.parent, layout
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size != size:
                    raise damaged(self._directory)
                self._data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
            if not self._data[:_BEGIN] == _MAGIC or not _within(layout, size):
                raise damaged(self._directory)
            table = memoryview(self._data)[-(-layout.entries // _LINE) * _LINE :].cast("Q")
        except FileNotFoundError:  # pruned since its stamp was read
            raise missing(self._directory) from None
        except OSError as error:
            raise AccessDenied(f"cannot read {path}: {error.strerror}") from None
        except (ValueError, TypeError):  # empty, or no table
            raise damaged(self._directory) from None
        self.read = _reader(self._data, table, layout, self._directory)

    def entries(self, prefix: str = "") -> Iterator[Record]:
        """All entries, or those whose keys begin with the byte ``prefix``, in order."""
        layout = self._layout
        if not prefix:
            return self._walk(_BEGIN, layout.entries)
        begin = layout.sections.get(prefix, layout.entries)
        return self._walk(
            begin, min((at for at in layout.sections.values() if at > begin), default=layout.entries)
        )

    def _walk(self, at: int, end: int) -> Iterator[Record]:
        data, unpack, head = self._data, HEAD.unpack_from, HEAD.size
        try:
            while at < end:
                key_size, value_size = unpack(data, at)
                middle = at + head + key_size
                begin, at = at + head, middle + value_size
                if at > end:
                    break
                yield data[begin:middle], data[middle:at]
        except (struct.error, OverflowError):
            raise damaged(self._directory) from None
        if at != end:
            raise damaged(self._directory)


def _within(layout: Layout, size: int) -> bool:
    starts = layout.sections.values()
    return (
        min(starts, default=_BEGIN) >= _BEGIN
        and max(starts, default=_BEGIN) <= layout.entries <= size
        and 0 < layout.slots <= (size - layout.entries) // 8
        and layout.modulus > 0
    )


def _reader(data: mmap.mmap, table: memoryview, layout: Layout, directory: Path) -> _Read:
    modulus, slots, entries = layout.modulus, layout.slots, layout.entries
    number, unpack, head = int.from_bytes, HEAD.unpack_from, HEAD.size

    def read(key: bytes, /) -> bytes | None:
        """The value of the entry that has ``key``. Raises ``DefinitionsError`` where damage is met."""
        slot = number(key, "little") % modulus % slots
        size = len(key)
        try:
            while at := table[slot]:
                key_size, value_size = unpack(data, at)
                if key_size == size:
                    at += head
                    middle = at + size
                    if data[at:middle] == key:
                        if (end := middle + value_size) > entries:
                            raise damaged(directory)
                        return data[middle:end]
                slot += 1
        except (struct.error, IndexError, OverflowError):
            raise damaged(directory) from None
        return None

    return read


def _prime() -> int:
    """A prime between half of ``_MODULUS`` and it; numbers that only pass for one do as well."""
    while True:
        number = secrets.randbelow(_MODULUS // 2) + _MODULUS // 2 | 1
        if all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7)):
            return number


def missing(directory: Path) -> DefinitionsMissing:
    """The error that there is no snapshot in ``directory``."""
    return DefinitionsMissing(
        f"there are no definitions in {directory}; run `redoubt definitions import BUNDLE`"
    )


def damaged(what: Path | str) -> DefinitionsError:
    """The error that ``what``, a snapshot's directory or digest, is not as it was written."""
    return DefinitionsError(
        f"the definitions {what} are damaged; import their bundle again, or `redoubt definitions rollback`"
    )
