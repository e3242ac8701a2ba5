"""Go programs: the modules and the Go release that the linker wrote into an executable, whatever its format.

The build information (``golang_info``) lies in a section of its own, in a writable segment of ELF, PE and
Mach-O files, so that it can be read while the file streams by; what cannot be is read by place. It must
not know how versions are compared.
"""

from __future__ import annotations

from redoubt.indexer.catalogers import elf, golang_info, macho, pe
from redoubt.indexer.catalogers.elf_memory import ElfMemory
from redoubt.indexer.catalogers.fields import Findings
from redoubt.indexer.catalogers.interface import Catalog, Content, FileReader, Wanted
from redoubt.indexer.catalogers.layout import Memory, span
from redoubt.model import ProblemKind

#: Enough for the header, the segments and the notes of every linker known.
_HEAD = 4096
_MAX_HEAD = 2 << 20
_GO_NOTE = b"\x04\0\0\0Go\0\0"  # type 4 (build ID), name "Go"
_GO_NOTE_BIG = b"\0\0\0\x04Go\0\0"
_UPX = b"UPX!"
_SECTIONS = (b"__go_buildinfo", b".go.buildinfo")
#: PE files begin to be worth a look by their name: Windows' layers have no execute bits.
PE_NAMES = frozenset({b".exe", b".dll"})


class GoCataloger:
    """Executables of at least 128 KB: the smallest Go program is eight times that, packed three."""

    name = "golang"
    version = 3
    wanted = Wanted(
        magic=(elf.MAGIC, pe.MAGIC, *macho.MAGICS),
        programs=PE_NAMES,
        min_size=128 << 10,
        max_size=4 << 30,
    )

    def accepts(self, path: bytes) -> bool:
        """Every path: the content decides."""
        return True

    def reader(self, path: str, size: int) -> FileReader:
        """A reader that looks at the file's head and at its writable segments."""
        return _Reader(size)

    def catalog(self, path: str, content: Content) -> Catalog:
        """The same by place, wherever in the file the build information is, in either form."""
        found = Findings()
        for program in macho.slices(content):
            head = program.read(0, _HEAD)
            if _packed(head):
                _unsupported(found)
            elif head.startswith(elf.MAGIC):
                _elf(program, head, found)
            else:
                _other(program, head, found)
        return found.catalog()


class _Reader:
    """Collects the head, then looks for the build information in the writable segments."""

    __slots__ = ("_at", "_catalog", "_elsewhere", "_end", "_head", "_kept", "_next", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0
        self._head = bytearray()
        self._next = -1  # where in the file the bytes wanted next begin; -1 while the head is collected
        self._end = 0
        self._kept = b""
        self._catalog: Catalog | None = None
        self._elsewhere = False

    def feed(self, chunk: bytes | memoryview) -> bool:
        """The next bytes of the file. False: nothing after this matters."""
        start = self._at
        self._at += len(chunk)
        if self._next < 0:
            self._head += chunk[: _HEAD - len(self._head)]
            if len(self._head) < min(_HEAD, self._size):
                return True
            if not self._plan(bytes(self._head)):
                return False
            if not self._take(0, self._head):
                return False
        return self._take(start, chunk)

    @property
    def keep(self) -> bool:
        """A Go program, of which nobody knows yet whether it is older than 1.18; or tables beyond the head."""
        return self._elsewhere

    def finish(self) -> Catalog | None:
        """What was found; None if it has to be read by place."""
        if self._catalog is None and self._elsewhere:
            return None
        return self._catalog or Catalog()

    def _plan(self, head: bytes) -> bool:
        """Decide which part of the file is looked at. False: none."""
        if _packed(head):
            found = Findings()
            _unsupported(found)
            self._catalog = found.catalog()
            return False
        if head.startswith(elf.MAGIC):
            begin, self._end = self._plan_elf(head)
        else:
            begin, self._end = self._plan_other(head)
        if begin < self._end:
            self._next = begin
        return begin < self._end

    def _plan_elf(self, head: bytes) -> tuple[int, int]:
        header = elf.header(head)
        if header is None:
            return 0, 0
        # A Go program whose build information does not turn up is read by place after all.
        self._elsewhere = header.segments_end > len(head) or _GO_NOTE in head or _GO_NOTE_BIG in head
        return span(header.segments(head[header.segments_at : header.segments_end]), self._size)

    def _plan_other(self, head: bytes) -> tuple[int, int]:
        layout = pe.layout(head) or macho.layout(head)
        self._elsewhere = macho.is_fat(head) or (layout is not None and not layout.whole)
        if layout is None or self._elsewhere:
            return 0, 0
        for offset, size in (layout.sections[name] for name in _SECTIONS if name in layout.sections):
            return offset, min(offset + size, self._size)
        return span(layout.segments, self._size)

    def _take(self, start: int, chunk: bytes | bytearray | memoryview) -> bool:
        begin = max(self._next - start, 0)
        stop = self._end - start
        if begin >= len(chunk):
            return self._next < self._end
        if begin < stop:
            piece = bytes(chunk[begin:stop])
            self._next = start + begin + len(piece)
            if not self._look(self._kept + piece):
                return False
        return self._next < self._end

    def _look(self, data: bytes) -> bool:
        """Search what has been collected, which ends at ``_next``. False: it was found."""
        place = golang_info.find(data, self._next - len(data))
        if place < 0:
            self._kept = data[-golang_info.HEADER :]
            return True
        self._kept = data[place:]
        if len(self._kept) < golang_info.HEADER and self._next < self._end:
            return True
        self._elsewhere = True
        if not golang_info.is_inline(self._kept):
            return False
        strings = golang_info.inline(self._kept)
        if strings is None:
            # More is needed, unless it ends here or is absurdly long: then by place, which says so.
            return len(self._kept) <= golang_info.MAX_MODULES
        found = Findings()
        golang_info.modules(*strings, found)
        self._catalog = found.catalog()
        return False


def _packed(head: bytes) -> bool:
    """Whether UPX packed it: its mark is among the first bytes of ELF, its names are those of PE's sections."""
    if head.startswith(elf.MAGIC):
        return _UPX in head[:1024]
    layout = pe.layout(head) or macho.layout(head)
    return layout is not None and layout.packed


def _unsupported(found: Findings) -> None:
    found.problem(ProblemKind.UNSUPPORTED, "an executable packed with UPX; what is in it is not seen")


def _elf(content: Content, head: bytes, found: Findings) -> None:
    header = elf.header(head)
    if header is None:
        return
    table = content.read(header.segments_at, min(header.segments_end, 1 << 16))
    section = header.section(content, b".go.buildinfo")
    writable = span(header.segments(table), content.size)
    _in(content, section, writable, ElfMemory(content, header, table), found)


def _other(content: Content, head: bytes, found: Findings) -> None:
    layout = pe.layout(head) or macho.layout(head)
    if layout is not None and not layout.whole:
        head = content.read(0, min(layout.tables_end, _MAX_HEAD))
        layout = pe.layout(head) or macho.layout(head)
    if layout is None:
        return
    section = next((layout.sections[name] for name in _SECTIONS if name in layout.sections), None)
    memory = Memory(content, layout.segments, wide=layout.wide, order=layout.order)
    _in(content, section, span(layout.segments, content.size), memory, found)


def _in(
    content: Content,
    section: tuple[int, int] | None,
    writable: tuple[int, int],
    memory: Memory,
    found: Findings,
) -> None:
    """Look for build information in a section (offset, size), then between two places of the file."""
    place = golang_info.find_by_place(content, section[0], sum(section)) if section else -1
    if place < 0:
        place = golang_info.find_by_place(content, *writable)
    if place >= 0:
        golang_info.read(content, memory, place, found)
