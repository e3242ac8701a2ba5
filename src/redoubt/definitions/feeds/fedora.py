"""Fedora's security updates, as Bodhi's list of updates has them (``/updates/``, a JSON page at a time).

Decided here:

- Only stable security updates of Fedora itself: a page may hold others, and releases of EPEL, containers and
  Flatpaks, whose packages are not these.
- Builds are *source* packages with their epochs. Builds of modules are passed over: Fedora has had none since 39, and
  theirs say nothing of the packages outside.
- The CVEs of an update stand in the titles of its bugs; where none does, those in its own title and notes are taken. One
  without any is kept under its own name.
- Severity is the updater's word: urgent, high, medium, low.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import UNDECODABLE, Item, Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, affected, least
from redoubt.errors import UnreadableInput
from redoubt.model import Advisory, Affected, Severity

_PAGE = "https://bodhi.fedoraproject.org/updates/"
_CVE = re.compile(r"CVE-\d{4}-\d{4,19}(?!\d)")
_RELEASE = re.compile(r"F(\d{1,3})")
_MAX_NOTES = 100_000


class _Release(msgspec.Struct):
    name: str
    id_prefix: str | None = None


class _Bug(msgspec.Struct):
    title: str | None = None


class _Build(msgspec.Struct):
    nvr: str
    type: str | None = None
    epoch: int | None = None


class _Update(msgspec.Struct):
    alias: str
    release: _Release
    status: str | None = None
    type: str | None = None
    title: str | None = None
    display_name: str | None = None
    notes: str | None = None
    severity: str | None = None
    date_submitted: str | None = None
    date_modified: str | None = None
    date_stable: str | None = None
    bugs: list[_Bug] | None = None
    builds: list[_Build] | None = None


class _Page(msgspec.Struct):
    updates: list[msgspec.Raw]


_decode_page = msgspec.json.Decoder(_Page).decode
_decode_update = msgspec.json.Decoder(_Update).decode


class FedoraFeed:
    """Reads pages of Bodhi's list."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``. An update on two pages is given twice, alike."""
        for where, data in files.contents():
            try:
                page = _decode_page(data)
            except UNDECODABLE as error:
                raise UnreadableInput(f"{where} is no page of Bodhi's updates: {error}") from None
            for raw in page.updates:
                notes.read += 1
                try:
                    update = _decode_update(raw)
                    item = _item(update, source, facts_only)
                except (*UNDECODABLE, SpoiltRecord) as error:
                    notes.spoil(f"{where} {bytes(raw)[:60]!r}", error)
                    continue
                if item is None:
                    notes.drop("no stable security update of Fedora's packages")
                    continue
                notes.dated(item[0].modified)
                yield item


def _item(update: _Update, source: str, facts_only: bool) -> tuple[Advisory, tuple[Affected, ...]] | None:
    release = _RELEASE.fullmatch(update.release.name)
    if release is None or update.release.id_prefix != "FEDORA":
        return None
    if (update.status, update.type) != ("stable", "security"):
        return None
    builds = [build for build in update.builds or () if build.type == "rpm"]
    if not builds:
        return None
    identifier = fields.identifier(update.alias)
    published = fields.time(update.date_stable) or fields.time(update.date_submitted)
    advisory = Advisory(
        id=identifier,
        source=source,
        title="" if facts_only else fields.title(update.display_name or update.title),
        severity=_severity(update.severity),
        cves=_cves(update),
        url=_PAGE + identifier,
        published=published,
        modified=max(fields.time(update.date_modified), published),
    )
    return advisory, _affected(f"fedora:{release[1]}", builds)


def _affected(namespace: str, builds: list[_Build]) -> tuple[Affected, ...]:
    versions: dict[str, list[str]] = {}
    for build in builds:
        name, *rest = build.nvr.rsplit("-", 2)
        if len(rest) != 2 or not all(rest):
            raise SpoiltRecord(f"not a name, a version and a release: {build.nvr[:80]!r}")
        epoch = f"{build.epoch}:" if build.epoch and build.epoch > 0 else ""
        versions.setdefault(fields.package(namespace, name), []).append(epoch + "-".join(rest))
    return tuple(
        Affected(namespace, name, (affected("rpm", "", least("rpm", repaired), FIXED),))
        for name, repaired in versions.items()
    )


def _cves(update: _Update) -> tuple[str, ...]:
    titles = [bug.title or "" for bug in update.bugs or ()]
    own = [update.display_name or "", update.title or "", (update.notes or "")[:_MAX_NOTES]]
    found = _CVE.findall("\n".join(titles)) or _CVE.findall("\n".join(own))
    return fields.cve_ids(found)


def _severity(word: str | None) -> Severity:
    return Severity.CRITICAL if word == "urgent" else fields.severity(word)
