"""Rust programs built with ``cargo auditable``: the crates that were linked into an executable.

They stand in a section ``.dep-v0`` as zlib-compressed JSON (cargo-auditable's PARSING.md and its JSON
schema). An ELF program doesn't load that section, so linkers put it behind everything that is loaded, with the
names and the table of the sections: that tail is kept while the file streams by, and a program in which the
section's name doesn't occur there is done with. The head of PE and Mach-O files says where the section is. It
must not know about lock files.
"""

from __future__ import annotations

import zlib
from collections import deque

import msgspec

from redoubt.indexer.catalogers import elf, macho, pe
from redoubt.indexer.catalogers.elf import Elf
from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, FileReader, Wanted
from redoubt.model import ProblemKind

_SECTION = b".dep-v0"
_NAMED = _SECTION + b"\0"
_HEAD = 4096
_MAX_HEAD = 2 << 20
#: How much of the tail is kept. Without symbols it is some kilobytes.
_TAIL = 4 << 20
#: Largest section and largest JSON that is read: the second is what upstream's own reader allows.
_MAX_SECTION = 4 << 20
_MAX_JSON = 8 << 20
_GO_NOTES = (b"\x04\0\0\0Go\0\0", b"\0\0\0\x04Go\0\0")  # type 4 (build ID), name "Go"


class _Crate(msgspec.Struct):
    name: str
    version: str
    source: str
    kind: str = "runtime"
    root: bool = False


class _Audit(msgspec.Struct):
    packages: list[_Crate]


_DECODER = msgspec.json.Decoder(_Audit)


class CargoBinaryCataloger:
    """Executables of at least 128 KB, as for Go: a Rust program with its standard library is larger."""

    name = "cargo-auditable"
    version = 2
    wanted = Wanted(
        magic=(elf.MAGIC, pe.MAGIC, *macho.MAGICS),
        programs=frozenset({b".exe", b".dll"}),
        min_size=128 << 10,
        max_size=4 << 30,
    )

    def accepts(self, path: bytes) -> bool:
        """Every path: the content decides."""
        return True

    def reader(self, path: str, size: int) -> FileReader:
        """A reader that keeps the file's end, or the section that the file's head names."""
        return _Reader(size)

    def catalog(self, path: str, content: Content) -> Catalog:
        """The same by place, wherever in the file the section is."""
        found = Findings()
        for program in macho.slices(content):
            head = program.read(0, _HEAD)
            if header := elf.header(head):
                _crates(header.section(program, _SECTION), program, found)
                continue
            layout = pe.layout(head) or macho.layout(head)
            if layout is not None and not layout.whole:
                head = program.read(0, min(layout.tables_end, _MAX_HEAD))
                layout = pe.layout(head) or macho.layout(head)
            if layout is not None:
                _crates(layout.sections.get(_SECTION), program, found)
        return found.catalog()


class _Reader:
    """Skips what is loaded, then keeps the last of what follows and watches for the section's name."""

    __slots__ = (
        "_at",
        "_edge",
        "_head",
        "_header",
        "_length",
        "_named",
        "_other",
        "_size",
        "_start",
        "_tail",
    )

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0
        self._head = b""
        self._header: Elf | None = None
        self._start = 0  # where in the file the tail begins
        self._tail: deque[bytes] = deque()  # the file's bytes up to ``_at``, as far back as they are kept
        self._length = 0
        self._edge = b""  # the last bytes of the tail, for a name that two pieces share
        self._named = False
        self._other = False  # not ELF, and worth reading by place

    def feed(self, chunk: bytes | memoryview) -> bool:
        """The next bytes of the file. False: nothing after this matters."""
        start = self._at
        self._at += len(chunk)
        if self._header is None:
            self._head += bytes(chunk[: _HEAD - len(self._head)])
            if len(self._head) < min(_HEAD, self._size):
                return True
            self._header = elf.header(self._head)
            self._other = _elsewhere(self._head)
            self._start = _tail(self._header, self._head) if self._header else 0
            if not 0 < self._start < self._size:
                return False
        if self._at > self._start:
            self._keep(bytes(chunk[max(self._start - start, 0) :]))
        return True

    @property
    def keep(self) -> bool:
        """Never: most executables aren't of Rust, and the tail is enough for nearly all that are."""
        return False

    def finish(self) -> Catalog | None:
        """What was found; None if the section is named and isn't in what was kept, or the format isn't ELF."""
        if self._other:
            return None
        if not self._named or self._header is None:
            return Catalog()
        tail = _Tail(b"".join(self._tail), self._size)
        found = Findings()
        _crates(self._header.section(tail, _SECTION), tail, found)
        return None if tail.missed else found.catalog()

    def _keep(self, piece: bytes) -> None:
        edge = len(_NAMED) - 1
        self._named = self._named or _NAMED in piece or _NAMED in self._edge + piece[:edge]
        self._edge = (self._edge + piece[-edge:])[-edge:]
        tail = self._tail
        tail.append(piece)
        self._length += len(piece)
        while self._length - len(tail[0]) >= _TAIL:
            self._length -= len(tail.popleft())


class _Tail:
    """Content of which only the end is at hand; ``missed`` as soon as anything before it is asked for."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._start = size - len(data)
        self.size = size
        self.missed = False

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from ``offset``."""
        if offset < self._start:
            self.missed = True
            return b""
        return self._data[offset - self._start : offset - self._start + length]

    def all(self) -> bytes:
        """The whole file, which isn't at hand."""
        return self.read(0, self.size)


def _tail(header: Elf, head: bytes) -> int:
    """Where the part begins that isn't loaded and holds the table of sections; 0: not worth looking."""
    if not header.section_count or any(note in head for note in _GO_NOTES):
        return 0
    segments = header.segments(head[header.segments_at : header.segments_end])
    ends = (segment.offset + segment.size for segment in segments)
    return max((end for end in ends if end <= header.sections_at), default=0)


def _elsewhere(head: bytes) -> bool:
    """Whether a file that isn't ELF may have the section: rare enough to be read by place."""
    layout = pe.layout(head) or macho.layout(head)
    if layout is None:
        return macho.is_fat(head)
    return _SECTION in layout.sections or not layout.whole


def _crates(place: tuple[int, int] | None, content: Content, found: Findings) -> None:
    """List the crates of the section at a place (offset, size), if there is one."""
    if place is None:
        return
    offset, size = place
    if size > _MAX_SECTION:
        found.problem(ProblemKind.LIMIT, f"a list of crates of {size:,} bytes; the limit is {_MAX_SECTION:,}")
        return
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(content.read(offset, size), _MAX_JSON)
        if inflater.unconsumed_tail:
            found.problem(ProblemKind.LIMIT, f"a list of crates of over {_MAX_JSON:,} bytes")
            return
        audit = _DECODER.decode(text)
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found.damaged(f"its list of crates cannot be read: {clean(str(error))[:200]}")
        return
    for crate in audit.packages:
        _add(crate, found)


def _add(crate: _Crate, found: Findings) -> None:
    """What only took part in building isn't in the program; of its own crates, the root is listed for all."""
    own = crate.source == "local"
    if crate.kind != "runtime" or (own and not crate.root):
        return
    name = clean(crate.name)
    if name:
        # As in lock files: only crates.io's names and versions are those that advisories speak of.
        found.add("cargo", name, clean(crate.version) if crate.source == "crates.io" else "")
    else:
        found.damaged("a crate without a name")
