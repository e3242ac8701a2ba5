"""CISA's catalogue of known exploited vulnerabilities: one JSON file.

Only facts are taken: the CVE, the day it was added, the day it was due, and whether ransomware uses it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import UNDECODABLE, Item, Notes
from redoubt.errors import UnreadableInput
from redoubt.model import CveRecord, KnownExploited


class _Catalogue(msgspec.Struct):
    vulnerabilities: list[msgspec.Raw]
    dateReleased: str | None = None  # noqa: N815 - upstream's name


class _Entry(msgspec.Struct, rename="camel"):
    cve_id: str = msgspec.field(name="cveID")
    date_added: str
    due_date: str | None = None
    known_ransomware_campaign_use: str | None = None


_decode_catalogue = msgspec.json.Decoder(_Catalogue).decode
_decode_entry = msgspec.json.Decoder(_Entry).decode


class KevFeed:
    """Reads the catalogue."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``. The newest record's time is the catalogue's release: it changes with each record."""
        for where, data in files.contents():
            try:
                catalogue = _decode_catalogue(data)
            except UNDECODABLE as error:
                raise UnreadableInput(f"{where} is not the KEV catalogue: {error}") from None
            if released := fields.time(catalogue.dateReleased):
                notes.dated(released)
            for raw in catalogue.vulnerabilities:
                notes.read += 1
                try:
                    entry = _decode_entry(raw)
                except UNDECODABLE as error:
                    notes.spoil(f"{where} {bytes(raw)[:60]!r}", error)
                    continue
                added = fields.date(entry.date_added)
                if not fields.CVE.fullmatch(entry.cve_id) or not added:
                    notes.spoil(entry.cve_id, "no CVE id, or not the date it was added")
                    continue
                notes.dated(fields.time(entry.date_added))
                ransomware = entry.known_ransomware_campaign_use == "Known"
                exploited = KnownExploited(added, fields.date(entry.due_date), ransomware)
                yield entry.cve_id, CveRecord(kev=exploited)
