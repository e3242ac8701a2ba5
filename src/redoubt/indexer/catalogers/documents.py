"""Documents in JSON, decoded into what a cataloger needs of them. It must not know any one format."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Content
from redoubt.model import ProblemKind

_BOM = b"\xef\xbb\xbf"
#: A list or an object takes two hundred bytes of memory and three of the file, any other value thirty and two: a file
#: within its limit could take thirty times as much. Lock files have over a hundred bytes an object.
MAX_HOLDERS, MAX_VALUES = 1_500_000, 5_000_000
#: Larger documents (SBOMs that are given) may hold more, where these are as far apart as in real ones: bytes of the file for each.
_PER_HOLDER, _PER_VALUE = 48, 24
_T = TypeVar("_T")


def decoded(decoder: msgspec.json.Decoder[_T], content: Content | bytes, found: Findings) -> _T | None:
    """The document, with or without a byte order mark; None and a problem if it is not what the decoder knows."""
    data = content if isinstance(content, bytes) else content.all()
    if sprawls(data):
        found.problem(ProblemKind.LIMIT, TOO_MANY)
        return None
    try:
        return decoder.decode(data[len(_BOM) :] if data.startswith(_BOM) else data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found.damaged(f"not the JSON that it should be: {clean(str(error))[:200]}")
        return None


TOO_MANY = f"more than {MAX_VALUES:,} values or {MAX_HOLDERS:,} objects, close together; not read"


def sprawls(data: bytes) -> bool:
    """Whether a document may hold too many values to be decoded."""
    holders, values = data.count(b"{") + data.count(b"["), data.count(b",")
    size = len(data)
    return holders > max(MAX_HOLDERS, size // _PER_HOLDER) or values > max(MAX_VALUES, size // _PER_VALUE)


def word(value: object) -> str:
    """A field that should be text, clean; empty if it is something else."""
    return clean(value) if isinstance(value, str) else ""


def table(value: object) -> dict[str, object]:
    """A field that should be an object; empty if it is something else."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[object]:
    """A field that should be a list; empty if it is something else."""
    return value if isinstance(value, list) else []
