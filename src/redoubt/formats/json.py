"""Reports as JSON: the structs of ``model`` as they are (``docs/reports.md``, ``docs/schemas/``).

What is at its default is left out, except ``schema``. Invisible and reordering characters are written as
``\\u`` escapes, so that a report on a terminal is as harmless as one in a file; a JSON reader sees no
difference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from redoubt.errors import UnreadableInput
from redoubt.formats.interface import Options
from redoubt.formats.text import INVISIBLE
from redoubt.model import IndexReport, VulnerabilityReport
from redoubt.model.image import INDEX_SCHEMA


class _Header(msgspec.Struct):
    """Enough of a document to say what it is."""

    schema: str | None = None
    definitions: msgspec.Raw = msgspec.Raw()
    bomFormat: str | None = None  # noqa: N815 - CycloneDX's own spelling
    spdxVersion: str | None = None  # noqa: N815 - SPDX's


_decode_header = msgspec.json.Decoder(_Header).decode
_decode_index = msgspec.json.Decoder(IndexReport).decode


def vulnerabilities(report: VulnerabilityReport, options: Options) -> bytes:
    """A vulnerability report as indented JSON."""
    return encode(report)


def index(report: IndexReport, options: Options) -> bytes:
    """An index report as indented JSON; ``read_index`` reads it back."""
    return encode(report)


def encode(document: msgspec.Struct | Mapping[str, object]) -> bytes:
    """A struct or mapping as indented JSON with a final newline; keys in its order."""
    return harmless(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n").encode()


def harmless(text: str) -> str:
    """JSON as it is shown on a terminal: the same to who reads it, with what a terminal obeys or hides as escapes."""
    if text.isascii() and "\x7f" not in text:
        return text
    return INVISIBLE.sub(_escape, text)


def read_index(data: bytes, name: str = "index report") -> IndexReport:
    """The index report in ``data``. ``name`` is what messages call it.

    Raises ``UnreadableInput``, saying what the document is instead where that can be told. Fields that
    are not known are skipped: a later minor version may have added them.
    """
    try:
        header = _decode_header(data)
        if header.bomFormat or header.spdxVersion:
            kind = "a CycloneDX" if header.bomFormat else "an SPDX"
            raise UnreadableInput(f"{name} is {kind} SBOM; give the JSON that `redoubt index -o json` writes")
        if bytes(header.definitions):
            raise UnreadableInput(f"{name} is a vulnerability report; give the index report it was made from")
        if header.schema is None:
            raise UnreadableInput(f"{name} is not an index report; `redoubt index -o json` writes one")
        if header.schema.partition(".")[0] != INDEX_SCHEMA.partition(".")[0]:
            raise UnreadableInput(
                f"{name} has schema {header.schema[:20]!r}, this Redoubt reads {INDEX_SCHEMA.partition('.')[0]}.x;"
                " index the image again"
            )
        return _decode_index(data)
    except msgspec.ValidationError as error:
        raise UnreadableInput(f"{name} is not an index report: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableInput(f"{name} is not JSON: {error}") from None
    except RecursionError:
        raise UnreadableInput(f"{name} is nested too deeply to be an index report") from None


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + ((code - 0x10000) >> 10):04x}\\u{0xDC00 + ((code - 0x10000) & 0x3FF):04x}"
