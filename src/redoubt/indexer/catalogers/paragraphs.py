"""Reads a file of blank-line separated paragraphs in pieces: the form of dpkg's and apk's databases.

It must not know what a paragraph means.
"""

from __future__ import annotations

from collections.abc import Iterator

from redoubt.indexer.catalogers.interface import Content

_CHUNK = 1 << 20
#: Bytes of a paragraph that are kept. Names and versions stand at its beginning; what a longer one
#: holds after that is a list of files or prose.
MAX_PARAGRAPH = 1 << 20


def paragraphs(content: Content) -> Iterator[bytes]:
    """The paragraphs of a file, in order, without the blank lines between them.

    Memory is bounded by ``MAX_PARAGRAPH``: a longer paragraph is cut there. The last one may lack its
    final newline.
    """
    carry = b""
    for offset in range(0, content.size, _CHUNK):
        *whole, carry = (carry + content.read(offset, _CHUNK)).split(b"\n\n")
        for paragraph in whole:
            if paragraph:
                yield paragraph
        if len(carry) > MAX_PARAGRAPH:
            # The last byte stays, so that a blank line that straddles the next chunk is still seen.
            carry = carry[:MAX_PARAGRAPH].rstrip(b"\n") + carry[-1:]
    if carry.strip():
        yield carry


def fields(paragraph: bytes) -> dict[bytes, bytes]:
    """The first lines of the fields of one paragraph (``Name: value``), names in lower case; the first of each counts."""
    found: dict[bytes, bytes] = {}
    for line in paragraph.split(b"\n"):
        if line[:1] not in (b" ", b"\t"):
            key, colon, value = line.partition(b":")
            if colon:
                found.setdefault(key.strip().lower(), value.strip())
    return found
