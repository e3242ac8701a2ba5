"""Go programs: the modules and the Go release that the linker wrote into an ELF executable.

The build information is that of Go's debug/buildinfo: a 16-byte aligned header, and either two strings
after it (Go 1.18 and later) or two pointers to strings (before). Programs built without modules, as Debian's
are, leave the second string empty. It lies in the section
``.go.buildinfo``, in a writable segment, so that it can be read while the file streams by; what
cannot be is read by place. PE and Mach-O files are not read. It must not know how versions are compared.
"""

from __future__ import annotations

from typing import Literal

from redoubt.indexer.catalogers import elf
from redoubt.indexer.catalogers.elf import Elf
from redoubt.indexer.catalogers.elf_memory import Memory
from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, FileReader, Wanted
from redoubt.model import ProblemKind

_MAGIC = b"\xff Go buildinf:"
_ALIGNMENT = 16
_HEADER = 32
_BIG_ENDIAN = 1
_INLINE = 2
#: The linker puts 16 bytes before and after the module text.
_FRAME = 16
_MAX_GO_VERSION = 1024
_MAX_MODULES = 1 << 20
#: Enough for the header, the segments and the notes of every linker known.
_HEAD = 4096
_PIECE = 1 << 20
_GO_NOTE = b"\x04\0\0\0Go\0\0"  # type 4 (build ID), name "Go"
_GO_NOTE_BIG = b"\0\0\0\x04Go\0\0"
_UPX = b"UPX!"
_CUT_OFF = "its Go build information is damaged or cut off"


class GoCataloger:
    """ELF executables of at least 128 KB: the smallest Go program is eight times that, packed three."""

    name = "golang"
    version = 2
    wanted = Wanted(magic=(elf.MAGIC,), min_size=128 << 10, max_size=4 << 30)

    def accepts(self, path: bytes) -> bool:
        """Every path: the content decides."""
        return True

    def reader(self, path: str, size: int) -> FileReader:
        """A reader that looks at the file's head and at its writable segments."""
        return _Reader(size)

    def catalog(self, path: str, content: Content) -> Catalog:
        """The same by place, wherever in the file the build information is, in either format."""
        found = Findings()
        head = content.read(0, _HEAD)
        header = elf.header(head)
        if header is None:
            return Catalog()
        if packed := _packed(head):
            return packed
        segments = content.read(header.segments_at, min(header.segments_end, 1 << 16))
        place = _place(content, header, segments)
        if place >= 0:
            _by_place(content, Memory(content, header, segments), place, found)
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
        """A Go program, of which nobody knows yet whether it is older than 1.18."""
        return self._elsewhere

    def finish(self) -> Catalog | None:
        """What was found; None if it has to be read by place."""
        if self._catalog is None and self._elsewhere:
            return None
        return self._catalog or Catalog()

    def _plan(self, head: bytes) -> bool:
        """Decide which part of the file is looked at. False: none."""
        header = elf.header(head)
        if header is None:
            return False
        self._catalog = _packed(head)
        if self._catalog:
            return False
        # A Go program whose build information does not turn up is read by place after all.
        self._elsewhere = header.segments_end > len(head) or _GO_NOTE in head or _GO_NOTE_BIG in head
        segments = header.segments(head[header.segments_at : header.segments_end])
        writable = [segment for segment in segments if segment.writable]
        if not writable:
            return False
        self._next = min(segment.offset for segment in writable)
        self._end = min(max(segment.offset + segment.size for segment in writable), self._size)
        return True

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
        place = _find(data, self._next - len(data))
        if place < 0:
            self._kept = data[-_HEADER:]
            return True
        self._kept = data[place:]
        if len(self._kept) < _HEADER and self._next < self._end:
            return True
        self._elsewhere = True
        if not _is_inline(self._kept):
            return False
        strings = _inline(self._kept)
        if strings is None:
            # More is needed, unless it ends here or is absurdly long: then by place, which says so.
            return len(self._kept) <= _MAX_MODULES
        found = Findings()
        _modules(*strings, found)
        self._catalog = found.catalog()
        return False


def _packed(head: bytes) -> Catalog | None:
    if _UPX not in head[:1024]:
        return None
    found = Findings()
    found.problem(ProblemKind.UNSUPPORTED, "an executable packed with UPX; what is in it is not seen")
    return found.catalog()


def _place(content: Content, header: Elf, segments: bytes) -> int:
    """Where build information begins: in its section, else in a writable segment; -1 if in neither."""
    section = header.section(content, b".go.buildinfo")
    ranges = [section] if section else []
    ranges += [(part.offset, part.size) for part in header.segments(segments) if part.writable]
    for offset, size in ranges:
        kept = b""
        end = min(offset + size, content.size)
        for at in range(offset, end, _PIECE):
            data = kept + content.read(at, min(_PIECE, end - at))
            if (place := _find(data, at - len(kept))) >= 0:
                return at - len(kept) + place
            kept = data[-_HEADER:]
    return -1


def _find(data: bytes, offset: int) -> int:
    """The first aligned header in ``data``, which lies at ``offset`` in the file; -1 if there is none."""
    place = data.find(_MAGIC)
    while place >= 0 and (offset + place) % _ALIGNMENT:
        place = data.find(_MAGIC, place + 1)
    return place


def _is_inline(header: bytes) -> bool:
    return len(header) > 15 and bool(header[15] & _INLINE)


def _inline(data: bytes) -> tuple[bytes, bytes] | None:
    """The two strings after the header, each behind its length as a varint; None if there is not enough."""
    strings = []
    at = _HEADER
    for limit in (_MAX_GO_VERSION, _MAX_MODULES):
        length = shift = 0
        while True:
            if at >= len(data) or shift > 35:
                return None
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if length > limit or at + length > len(data):
            return None
        strings.append(data[at : at + length])
        at += length
    return strings[0], strings[1]


def _by_place(content: Content, memory: Memory, place: int, found: Findings) -> None:
    head = content.read(place, _HEADER)
    if _is_inline(head):
        strings = _inline(content.read(place, _MAX_MODULES + _MAX_GO_VERSION))
    else:
        strings = _pointed(memory, head, memory.address(place))
    if strings is None:
        found.damaged(_CUT_OFF)
    else:
        _modules(*strings, found)


def _pointed(memory: Memory, head: bytes, place: int) -> tuple[bytes, bytes] | None:
    """The strings that the header's two pointers lead to, each by way of a Go string (pointer, length)."""
    if len(head) < _HEADER or head[14] not in (4, 8):
        return None
    size = head[14]
    order: Literal["big", "little"] = "big" if head[15] & _BIG_ENDIAN else "little"
    strings = []
    for number, limit in enumerate((_MAX_GO_VERSION, _MAX_MODULES)):
        string = memory.pointer(place + 16 + number * size)
        raw = memory.read(string + size, size) if string else bytes(size)
        length = int.from_bytes(raw, order)
        text = memory.read(memory.pointer(string), length) if 0 < length <= limit else b""
        if len(raw) < size or len(text) < length:
            return None
        strings.append(text)
    return strings[0], strings[1]


def _modules(go: bytes, framed: bytes, found: Findings) -> None:
    """List the standard library and every module. Lines are tab-separated: what, path, version, checksum."""
    release = clean(go)
    if not release or len(release) < len(go.strip()):
        found.damaged(_CUT_OFF)
        return
    found.add("golang", "stdlib", _go_version(release))
    modules: list[tuple[str, str]] = []
    for line in framed[_FRAME:-_FRAME].decode("utf-8", "replace").split("\n"):
        what, _, rest = line.partition("\t")
        if what in ("mod", "dep", "=>"):
            path, _, rest = rest.partition("\t")
            path, version = clean(path), clean(rest.partition("\t")[0])
            version = "" if version == "(devel)" else version
            if not path:
                found.damaged(f"a module without a path: {shown(line)!r}")
            elif what != "=>":
                modules.append((path, version))
            elif modules:
                # What was linked is the replacement. A folder in its place has no name of its own and no
                # version: the module is listed under the name it is imported by, and cannot be judged.
                local = not version or path.startswith((".", "/"))
                modules[-1] = (modules[-1][0], "") if local else (path, version)
    for path, version in modules:
        found.add("golang", path, version)


def _go_version(text: str) -> str:
    """``go1.21.3 X:boringcrypto`` → ``1.21.3``; empty for a development build, whose place nobody knows."""
    if not text.startswith("go"):
        return ""
    return text[2:].partition(" ")[0].partition("-")[0]
