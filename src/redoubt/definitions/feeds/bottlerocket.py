"""Bottlerocket's advisories: one ``updateinfo.xml`` for all of its packages and releases.

An advisory (``BRSA-…``) names the packages that repair it under both of their names (``kernel-6.1`` and
``bottlerocket-kernel-6.1``). Most are about one CVE, some about a flaw that only GitHub has a number for (``ghsa``), which
is then another name of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from redoubt.definitions.feeds import fields, updateinfo
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes, SpoiltRecord
from redoubt.model import Advisory, Affected

_HOME = "https://advisories.bottlerocket.aws/"
_GHSA = re.compile(r"GHSA(?:-[0-9a-z]{4}){3}")


class BottlerocketFeed:
    """Reads the one file."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``."""
        for _, update in updateinfo.updates(files, notes):
            try:
                item = _item(update, source, facts_only)
            except SpoiltRecord as error:
                notes.spoil(update.id or "an update without an id", error)
                continue
            if not item[1]:
                notes.drop("names no package")
                continue
            notes.dated(item[0].modified)
            yield item


def _item(update: updateinfo.Update, source: str, facts_only: bool) -> tuple[Advisory, tuple[Affected, ...]]:
    own = [reference.url for reference in update.references if reference.kind == "brsa"]
    url = (*fields.links(own), _HOME)[0]
    advisory = updateinfo.advisory(update, source, url, facts_only=facts_only)
    if not advisory.cves:
        others = [reference.id for reference in update.references if _GHSA.fullmatch(reference.id)]
        advisory = msgspec.structs.replace(advisory, aliases=fields.identifiers(others))
    found = [
        Affected("bottlerocket", fields.package("bottlerocket", name), ranges)
        for name, ranges in updateinfo.ranges(update).items()
    ]
    return advisory, tuple(found)
