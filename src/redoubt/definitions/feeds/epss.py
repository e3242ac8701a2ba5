"""FIRST's EPSS scores: a CSV of every CVE, usually gzipped, that begins with a comment.

``#model_version:v2025.03.14,score_date:2025-08-25T00:00:00+0000``, then the line ``cve,epss,percentile``,
then a line a CVE. https://www.first.org/epss/data_stats
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes
from redoubt.errors import UnreadableInput
from redoubt.model import Epss

_DATE = re.compile(rb"score_date:([0-9T:+Z.-]{10,40})")
_LINE = re.compile(
    r"(CVE-\d{4}-\d{4,19}),([01](?:\.\d{1,10})?(?:[eE]-?\d{1,2})?),([01](?:\.\d{1,10})?(?:[eE]-?\d{1,2})?)"
)
_COLUMNS = b"cve,epss,percentile"


class EpssFeed:
    """Reads the CSV."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``. All scores have the date in the first line, and so has the newest record."""
        for where, data in files.contents():
            head, _, rest = data.partition(b"\n")
            dated = _DATE.search(head) if head.startswith(b"#") else None
            columns, _, body = rest.partition(b"\n") if head.startswith(b"#") else (head, b"", rest)
            if columns.strip() != _COLUMNS:
                raise UnreadableInput(f"{where} is not an EPSS file: it has no line {_COLUMNS.decode()!r}")
            time = fields.time(dated[1].decode()) if dated else ""
            notes.dated(time)
            for line in body.decode("ascii", "replace").split("\n"):
                if not line or line == "\r":
                    continue
                notes.read += 1
                found = _LINE.fullmatch(line.rstrip("\r"))
                if not found or not (float(found[2]) <= 1 and float(found[3]) <= 1):
                    notes.spoil(where, f"not a score: {line[:80]!r}")
                    continue
                yield found[1], Epss(float(found[2]), float(found[3]), time[:10])
