"""An XML document read while it streams by: elements begin and end, and nothing else happens.

Refused as soon as it is seen: a document type (and with it every entity of its own and everything it could
fetch), elements nested deeper than ``MAX_DEPTH``, and a tag or comment of more than ``MAX_TOKEN`` bytes, for
which the parser would have to hold all of it. Names are without prefixes: upstreams declare the same
namespace as ``linux-def:``, as ``red-def:`` or as the default. Knows no vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol
from xml.parsers import expat

from redoubt.errors import LimitExceeded, UnreadableInput

MAX_DEPTH = 64
MAX_TOKEN = 4 << 20
#: Characters of one element's text that are kept; longer text is cut there.
MAX_TEXT = 64 << 10
_MAX_NAMES = 10_000


class Handler(Protocol):
    """What is told of a document, in its order."""

    def start(self, tag: str, attributes: dict[str, str], depth: int) -> bool:
        """An element begins; the root's ``depth`` is 1. True where its text is wanted: ``end`` is then told it."""
        ...

    def end(self, tag: str, text: str, depth: int) -> None:
        """An element ends. ``text`` is all between its tags but that of elements within, if it was wanted."""
        ...


def parse(name: str, chunks: Iterable[bytes], handler: Handler) -> None:
    """Read the document in ``chunks`` to its end. ``name`` is what errors call it.

    Raises ``UnreadableInput`` where it is not well-formed XML or has a document type, ``LimitExceeded`` where it
    is built to hurt, and what ``handler`` raises.
    """
    reader = _Reader(name, handler)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = MAX_TEXT
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    fed = 0
    try:
        for chunk in chunks:
            fed += len(chunk)
            parser.Parse(chunk, False)
            if fed - parser.CurrentByteIndex > MAX_TOKEN + len(chunk):
                raise LimitExceeded(f"{name} has a tag or comment of over {MAX_TOKEN} bytes; it is not read")
        parser.Parse(b"", True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise UnreadableInput(f"{name} is not readable XML ({error}); fetch it again") from None
    finally:
        # Parser and handlers hold each other; with the collector off they would stay until the process ends.
        parser.StartElementHandler = parser.EndElementHandler = parser.CharacterDataHandler = None
        parser.StartDoctypeDeclHandler = None


class _Reader:
    def __init__(self, name: str, handler: Handler) -> None:
        self._name = name
        self._handler = handler
        self._depth = 0
        self._wanted = 0  # depth of the element whose text is gathered
        self._pieces: list[str] = []
        self._size = 0
        self._names: dict[str, str] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise LimitExceeded(f"{self._name} has elements nested over {MAX_DEPTH} deep; it is not read")
        if self._handler.start(self._names.get(tag) or self._plain(tag), attributes, self._depth):
            self._wanted = self._depth
            self._pieces = []
            self._size = 0

    def end(self, tag: str) -> None:
        text = ""
        if self._wanted == self._depth:
            text = "".join(self._pieces)
            self._wanted = 0
        self._handler.end(self._names[tag], text, self._depth)
        self._depth -= 1

    def text(self, piece: str) -> None:
        if self._wanted and self._wanted == self._depth and self._size < MAX_TEXT:
            self._pieces.append(piece[: MAX_TEXT - self._size])
            self._size += len(piece)

    def refuse(self, *_: object) -> None:
        raise UnreadableInput(f"{self._name} declares a document type, which no source does; it is not read")

    def _plain(self, tag: str) -> str:
        if len(self._names) >= _MAX_NAMES:
            raise LimitExceeded(f"{self._name} has over {_MAX_NAMES} kinds of elements; it is not read")
        plain = self._names[tag] = tag.rpartition(":")[2]
        return plain
