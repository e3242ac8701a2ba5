"""Chainguard's advisories in OSV's form (``CGA-….json`` in a tar), read for one thing: which names a flaw has.

A record is about one flaw in one component, and lists all of the flaw's names in ``upstream``, the CVE and GitHub's id
beside each other (https://github.com/chainguard-dev/vulnerability-scanner-support, "OSV v3 feed"). The list of fixes of the
same distributions (``secdb``) has each name as an entry of its own, and does not say which belong together. What is affected
is left to it: no record makes a finding.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import UNDECODABLE, Item, Notes
from redoubt.model import Mapped, flawnames


class _Record(msgspec.Struct):
    id: str
    modified: str | None = None
    withdrawn: str | None = None
    upstream: list[str] | None = None
    aliases: list[str] | None = None


_decode_record = msgspec.json.Decoder(_Record).decode


class ChainguardNamesFeed:
    """Reads the tar; an index beside the records (``all.json``) is passed over."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``: what GitHub's ids of flaws stand for, each once."""
        found: dict[str, set[str]] = {}
        for where, data in files.tar_members():
            if not where.rpartition("/")[2].startswith("CGA-"):
                continue
            notes.read += 1
            try:
                record = _decode_record(data)
                notes.dated(fields.time(record.modified))
            except UNDECODABLE as error:
                notes.spoil(where, error)
                continue
            if record.withdrawn:
                notes.drop("withdrawn")
                continue
            names = fields.identifiers((*(record.upstream or ()), *(record.aliases or ())))
            for name, cves in flawnames.shared(names).items():
                found.setdefault(name, set()).update(cves)
        for name, together in found.items():
            yield name, Mapped(flawnames.ALIAS, tuple(sorted(together)))
