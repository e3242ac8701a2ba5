"""Arch Linux's security tracker, ``all.json``: groups (``AVG-…``) of flaws that the same packages share.

Shape and words: https://security.archlinux.org/ and its documentation. Names are those of binary packages. Decided
here:

- A group is a notice about several flaws: its ``issues`` are the advisory's CVEs. One without issues is itself the flaw.
- ``Fixed``: everything below ``fixed`` is affected. ``Testing``: likewise, and the version that fixes is only to be
  had from the testing repositories, which is its channel. ``Vulnerable``: affected, no fix.
- ``Not affected`` is stored as such, and ``Unknown`` as under investigation, which is never "affected".
- ``affected`` is the version that somebody looked at, not the first that has the flaw: ranges are open below.
- ``advisories`` (``ASA-…``) are what was sent to the mailing list, one a package: links, no other names of a flaw.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import UNDECODABLE, Item, Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, affected
from redoubt.errors import UnreadableInput
from redoubt.model import Advisory, Affected, AffectedRange, Status

_HOME = "https://security.archlinux.org/"
_NOTICE = re.compile(r"ASA-\d{6}-\d{1,6}")
#: The channel of fixes that have not left the testing repositories.
TESTING = "testing"


class _Group(msgspec.Struct):
    name: str
    packages: list[str]
    status: str
    severity: str | None = None
    type: str | None = None
    fixed: str | None = None
    issues: list[str] | None = None
    advisories: list[str] | None = None


_decode_groups = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_group = msgspec.json.Decoder(_Group).decode


class ArchFeed:
    """Reads the tracker's JSON."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``. The tracker's file carries no dates."""
        for where, data in files.contents():
            try:
                groups = _decode_groups(data)
            except UNDECODABLE as error:
                raise UnreadableInput(f"{where} is not the security tracker's JSON: {error}") from None
            for raw in groups:
                notes.read += 1
                try:
                    yield _item(_decode_group(raw), source, facts_only)
                except (*UNDECODABLE, SpoiltRecord) as error:
                    notes.spoil(f"{where} {bytes(raw)[:60]!r}", error)


def _item(group: _Group, source: str, facts_only: bool) -> tuple[Advisory, tuple[Affected, ...]]:
    identifier = fields.identifier(group.name)
    names = sorted({fields.package("arch", name) for name in group.packages})
    if not names:
        raise SpoiltRecord("names no package")
    ranges = (_range(group),)
    notices = [f"{_HOME}{notice}" for notice in group.advisories or () if _NOTICE.fullmatch(notice)]
    advisory = Advisory(
        id=identifier,
        source=source,
        title="" if facts_only else fields.title(group.type),
        severity=fields.severity(group.severity),
        cves=fields.cve_ids(group.issues or ()),
        references=fields.links(notices),
        url=_HOME + identifier,
    )
    return advisory, tuple(Affected("arch", name, ranges) for name in names)


def _range(group: _Group) -> AffectedRange:
    match group.status:
        case "Fixed" if group.fixed:
            return affected("pacman", "", group.fixed, FIXED)
        case "Testing" if group.fixed:
            return affected("pacman", "", group.fixed, FIXED, channel=TESTING)
        case "Vulnerable":
            return affected("pacman")
        case "Unknown":
            return affected("pacman", status=Status.UNDER_INVESTIGATION)
        case "Not affected":
            return affected("pacman", status=Status.NOT_AFFECTED)
    raise SpoiltRecord(f"no such status, or no version that fixes: {group.status[:40]!r}")
