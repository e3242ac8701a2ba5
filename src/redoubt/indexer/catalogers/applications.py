"""Well-known programs that no package manager installed: interpreters and servers that were built on the spot.

Only ELF executables and libraries of certain names are looked at, while they stream by, for the text with which each
tells its own version. A text counts that its program prints itself (``node.js/v20.1.0``, ``nginx/1.25.3``), or
one alone between zero bytes that begins with the release that the file's name says (Python). It must not know how
versions are compared.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from redoubt.indexer.catalogers import elf
from redoubt.indexer.catalogers.fields import Findings
from redoubt.indexer.catalogers.interface import Catalog, Content, FileReader, Wanted

_PIECE = 1 << 20
_LONGEST = 96  # bytes of any text that is looked for, with what stands around it
_MAX_LOOKS = 10_000  # places that begin like such a text and aren't one


class _Program(NamedTuple):
    """``files`` is for base names; ``mark`` is how the text begins that ``text`` then holds, its first group the
    version. One that others could write as well counts only if all that are found agree (``alone``).
    """

    name: str
    files: re.Pattern[bytes]
    mark: bytes
    text: re.Pattern[bytes]
    alone: bool = False


def _program(name: str, files: bytes, mark: bytes, text: bytes) -> _Program:
    return _Program(name, re.compile(files), mark, re.compile(re.escape(mark) + text))


_THREE = rb"(\d{1,3}\.\d{1,3}\.\d{1,3})(?![\w.]|-[A-Za-z])"
_PROGRAMS = (
    _program("node", rb"node(?:js)?|libnode\.so[.\d]*", b"node.js/v", _THREE),
    _program(
        "ruby",
        rb"ruby[\d.]*|libruby.*\.so[.\d]*",
        b"ruby ",
        rb"(\d\.\d{1,2}\.\d{1,3})(?:p\d+)? \(\d{4}-\d\d-\d\d",
    ),
    _program("php", rb"php[\d.]*|php-(?:fpm|cgi)[\d.]*|libphp[\d.]*\.so", b"X-Powered-By: PHP/", _THREE),
    _program("nginx", rb"nginx", b"nginx/", rb"(1\.\d{1,3}\.\d{1,3})(?![\w.]|-[A-Za-z])"),
    _program(
        "postgresql",
        rb"postgres",
        b"postgres (PostgreSQL) ",
        rb"(\d{1,2}\.\d{1,3}(?:\.\d{1,3})?)(?![\w.]|-[A-Za-z])",
    ),
    _program("apache", rb"httpd|apache2", b"Apache/", rb"(2\.\d{1,2}\.\d{1,3})(?![\w.]|-[A-Za-z])"),
    _program("memcached", rb"memcached", b"memcached ", rb"(1\.\d{1,3}\.\d{1,3})(?![\w.]|-[A-Za-z])"),
)
_PYTHON = re.compile(rb"(?:lib)?python(3\.\d{1,3})t?(?:\.so[.\d]*)?")


class ApplicationCataloger:
    """ELF files from 128 KB with an execute bit that are called like one of a few programs or their libraries."""

    name = "applications"
    version = 1
    wanted = Wanted(magic=(elf.MAGIC,), min_size=128 << 10, max_size=1 << 30)

    def accepts(self, path: bytes) -> bool:
        """Whether the file is called like one of them. What Bitnami installed says so itself (``bitnami``)."""
        return not path.startswith(b"opt/bitnami/") and _called(path.rpartition(b"/")[2]) is not None

    def reader(self, path: str, size: int) -> FileReader:
        """A reader that looks at every byte, until it is sure."""
        return _Reader(path)

    def catalog(self, path: str, content: Content) -> Catalog:
        """The program and its version, type ``generic``; nothing where no text or more than one tells it."""
        reader = _Reader(path)
        for at in range(0, content.size, _PIECE):
            if not reader.feed(content.read(at, _PIECE)):
                break
        return reader.finish()


class _Reader:
    """Finds the texts of one program, in pieces of any size."""

    __slots__ = ("_edge", "_looks", "_program", "_versions")

    def __init__(self, path: str) -> None:
        self._program = _called(path.rpartition("/")[2].encode("utf-8", "replace"))
        self._edge = b""
        self._looks = _MAX_LOOKS
        self._versions: set[str] = set()

    def feed(self, chunk: bytes | memoryview) -> bool:
        """The next bytes of the file. False: there is no sense in going on."""
        if self._program is None:
            return False
        data = self._edge + bytes(chunk)
        sure = max(len(data) - _LONGEST, 0)  # what begins after it is looked at with the next piece
        self._look(self._program, data, sure)
        self._edge = data[sure:]
        return self._looks > 0 and (self._program.alone or not self._versions)

    @property
    def keep(self) -> bool:
        """Never."""
        return False

    def finish(self) -> Catalog:
        """What was found."""
        found = Findings()
        if self._program is not None and (self._program.alone or not self._versions):
            self._look(self._program, self._edge, len(self._edge))
        if self._program is not None and len(self._versions) == 1 and self._looks:
            found.add("generic", self._program.name, next(iter(self._versions)))
        return found.catalog()

    def _look(self, program: _Program, data: bytes, end: int) -> None:
        place = data.find(program.mark, 0, end + len(program.mark) - 1)
        while 0 <= place < end and self._looks:
            self._looks -= 1
            if match := program.text.match(data, place):
                self._versions.add(match[1].decode("ascii"))
                if not program.alone:
                    return
            place = data.find(program.mark, place + 1, end + len(program.mark) - 1)


def _called(base: bytes) -> _Program | None:
    """The program that a file of this name may be."""
    if python := _PYTHON.fullmatch(base):
        mark = b"\0" + python[1] + b"."
        return _Program(
            "python",
            _PYTHON,
            mark,
            re.compile(rb"\0(" + re.escape(python[1]) + rb"\.\d{1,3}(?:(?:a|b|rc)\d{1,2})?)\+?\0"),
            alone=True,
        )
    return next((program for program in _PROGRAMS if program.files.fullmatch(base)), None)
