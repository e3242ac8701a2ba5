"""What the Go linker wrote about a program: where it stands, in either form, and which modules it names.

The build information is that of Go's debug/buildinfo: a 16-byte aligned header, and either two strings
after it (Go 1.18 and later) or two pointers to strings (before). Programs built without modules, as Debian's
are, leave the second string empty. It must not know formats of executables, nor how versions are compared.
"""

from __future__ import annotations

import re
from typing import Literal

from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Content
from redoubt.indexer.catalogers.layout import Memory

HEADER = 32
MAX_MODULES = 1 << 20
_MAGIC = b"\xff Go buildinf:"
_ALIGNMENT = 16
_BIG_ENDIAN = 1
_INLINE = 2
#: The linker puts 16 bytes before and after the module text.
_FRAME = 16
_MAX_GO_VERSION = 1024
_PIECE = 1 << 20
_CUT_OFF = "its Go build information is damaged or cut off"
_MAX_FLAGS = 64 << 10
#: ``-X name=value`` among the linker's flags; a value with spaces is in quotes (cmd/internal/quoted).
_SET = re.compile(r"""(?:^|\s)--?X[=\s]\s*(?:'([^'=]+)=([^']*)'|"([^"=]+)=([^"]*)"|([^\s'"=]+)=(\S*))""")
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)")
#: What `git describe` adds to the last tag. What follows a tag isn't before it, as a pre-release would be.
_DESCRIBED = re.compile(r"(?:-\d+-g[0-9a-f]{7,40})?(?:-dirty)?$")
#: The program `promu` sets the version of whatever it builds here.
_SHARED = "github.com/prometheus/common/version"
_UNTAGGED = re.compile(r"v0\.0\.0-\d{14}-[0-9a-f]{12}\b")


def find(data: bytes, offset: int) -> int:
    """The first aligned header in ``data``, which lies at ``offset`` in the file; -1 if there is none."""
    place = data.find(_MAGIC)
    while place >= 0 and (offset + place) % _ALIGNMENT:
        place = data.find(_MAGIC, place + 1)
    return place


def find_by_place(content: Content, begin: int, end: int) -> int:
    """Where in the file the first aligned header between two places is; -1 if there is none."""
    kept = b""
    end = min(end, content.size)
    for at in range(begin, end, _PIECE):
        data = kept + content.read(at, min(_PIECE, end - at))
        if (place := find(data, at - len(kept))) >= 0:
            return at - len(kept) + place
        kept = data[-HEADER:]
    return -1


def is_inline(header: bytes) -> bool:
    """Whether the strings follow the header."""
    return len(header) > 15 and bool(header[15] & _INLINE)


def inline(data: bytes) -> tuple[bytes, bytes] | None:
    """The two strings after the header, each behind its length as a varint; None if there is not enough."""
    strings = []
    at = HEADER
    for limit in (_MAX_GO_VERSION, MAX_MODULES):
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


def read(content: Content, memory: Memory, place: int, found: Findings) -> None:
    """List what the build information at a place in the file says, in either form."""
    head = content.read(place, HEADER)
    if is_inline(head):
        strings = inline(content.read(place, MAX_MODULES + _MAX_GO_VERSION))
    else:
        strings = _pointed(memory, head, memory.address(place))
    if strings is None:
        found.damaged(_CUT_OFF)
    else:
        modules(*strings, found)


def _pointed(memory: Memory, head: bytes, place: int) -> tuple[bytes, bytes] | None:
    """The strings that the header's two pointers lead to, each by way of a Go string (pointer, length)."""
    if len(head) < HEADER or head[14] not in (4, 8):
        return None
    size = head[14]
    order: Literal["big", "little"] = "big" if head[15] & _BIG_ENDIAN else "little"
    strings = []
    for number, limit in enumerate((_MAX_GO_VERSION, MAX_MODULES)):
        string = memory.pointer(place + 16 + number * size)
        raw = memory.read(string + size, size) if string else bytes(size)
        length = int.from_bytes(raw, order)
        text = memory.read(memory.pointer(string), length) if 0 < length <= limit else b""
        if len(raw) < size or len(text) < length:
            return None
        strings.append(text)
    return strings[0], strings[1]


def modules(go: bytes, framed: bytes, found: Findings) -> None:
    """List the standard library and every module. Lines are tab-separated: what, path, version, checksum."""
    release = clean(go)
    if not release or len(release) < len(go.strip()):
        found.damaged(_CUT_OFF)
        return
    found.add("golang", "stdlib", _go_version(release))
    listed: list[tuple[str, str]] = []
    main, flags = -1, ""
    for line in framed[_FRAME:-_FRAME].decode("utf-8", "replace").split("\n"):
        what, _, rest = line.partition("\t")
        if what == "build" and rest.startswith("-ldflags="):
            flags = rest[9:]
        if what not in ("mod", "dep", "=>"):
            continue
        path, _, rest = rest.partition("\t")
        path, version = clean(path), clean(rest.partition("\t")[0])
        version = "" if version == "(devel)" else version
        if not path:
            found.damaged(f"a module without a path: {shown(line)!r}")
        elif what != "=>":
            main = len(listed) if what == "mod" else main
            listed.append((path, version))
        elif listed:
            # What was linked is the replacement. A folder in its place has no name of its own and no
            # version: the module is listed under the name it is imported by, and cannot be judged.
            local = not version or path.startswith((".", "/"))
            listed[-1] = (listed[-1][0], "") if local else (path, version)
    if main >= 0:
        listed[main] = (listed[main][0], _main_version(*listed[main], flags))
    for path, version in listed:
        found.add("golang", path, version)


def _main_version(path: str, version: str, flags: str) -> str:
    """The version of the program itself. From a checkout without a tag Go makes ``v0.0.0-…``, which lies below
    every release and would be judged as older than all of them: it is none.
    """
    if version and not _UNTAGGED.match(version):
        return version
    return flagged_version(path, flags)


def flagged_version(path: str, flags: str) -> str:
    """The version of the module ``path`` that ``-ldflags`` set in a variable of its own; empty if none or several.

    ``flags`` is as the build information has it, quoted or not. A variable counts if it is called ``version`` or
    ``ver`` in any case and belongs to package ``main`` or to a package of the module itself: others' are others'.
    """
    if len(flags) > _MAX_FLAGS:
        return ""
    if flags[:1] == '"':
        flags = flags[1:].removesuffix('"').replace('\\"', '"')
    values: dict[bool, set[str]] = {True: set(), False: set()}
    for groups in _SET.findall(flags):
        key, value = next((pair for pair in zip(groups[::2], groups[1::2], strict=True) if pair[0]), ("", ""))
        package, _, variable = key.strip().rpartition(".")
        own = package in (path, _SHARED) or package.startswith(f"{path}/")
        if variable.lower() not in ("version", "ver") or not (package == "main" or own) or "/vendor/" in key:
            continue
        if match := _VERSION.fullmatch(_DESCRIBED.sub("", value.strip(), count=1)):
            values[package == "main"].add("v" + match[1])
    chosen = values[True] or values[False]
    return chosen.pop() if len(chosen) == 1 else ""


def _go_version(text: str) -> str:
    """``go1.21.3 X:boringcrypto`` → ``1.21.3``; empty for a development build, whose place nobody knows."""
    if not text.startswith("go"):
        return ""
    return text[2:].partition(" ")[0].partition("-")[0]
