"""Ubuntu's security data: OSV records of CVEs and of notices (USN), and VEX statements, a tar of each.

``osv-all.tar.xz`` holds ``osv/cve/**/UBUNTU-CVE-….json`` and ``osv/usn/USN-….json``, ``vex-all.tar.xz``
``vex/cve/**/CVE-….json`` (https://documentation.ubuntu.com/security/security-updates/). Names are those of
*source* packages; the kernel's flavours are sources of their own. Decided here:

- A record is the CVE in ``upstream``; withdrawn records are retractions, and dropped.
- OSV writes every open flaw as an open range, whatever the tracker says of it. VEX knows more: "decided to
  not fix" is ``WILL_NOT_FIX``, "no longer supported" ``END_OF_LIFE``, ``under_investigation`` (needs triage)
  stays that. Not affected, and not in the release, is what neither names: nothing is stored.
- ``Ubuntu:Pro:…`` speaks of the same packages with extended maintenance. Where the release itself has a fix,
  that one stands. Where only Pro has one, the range ends there, and its channel is ``esm``: one must
  subscribe for it. What Pro has not fixed either is open. An entry that says "No subscription required" has
  no channel.
- Pro's fix often came first, and is lower than the one that everybody got later: ``1.0-1ubuntu0.1~esm1`` below
  ``1.0-1ubuntu0.1``. Both are kept, since builds of Pro's are compared with Pro's (``matcher.lines``).
- FIPS, realtime and BlueField builds are other packages under the same names: dropped.
- A notice stands beside the CVEs that it repairs in a package (``Advisory.cves``), where their records name
  the same fixed version for all of them. It never makes a finding that they do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.events import Event, ranges_of
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import UNDECODABLE, Item, Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, affected, greatest, tidy
from redoubt.model import Advisory, Affected, AffectedRange, Severity, Status

ESM = "esm"
_ECOSYSTEM = re.compile(r"Ubuntu:(Pro:)?(\d\d\.\d\d)(?::LTS)?")
_PURL = re.compile(r"pkg:deb/ubuntu/([^@?]+)@[^?]*\?arch=source&distro=([^&]+)")
_WILL_NOT_FIX = {"decided to not fix it": Status.WILL_NOT_FIX, "is no longer supported": Status.END_OF_LIFE}
#: How much of an action statement holds its opening sentence.
_OPENING = 300


class _Package(msgspec.Struct):
    ecosystem: str = ""
    name: str = ""
    purl: str = ""


class _Range(msgspec.Struct):
    type: str = ""
    events: list[Event] | None = None


class _Specific(msgspec.Struct):
    availability: object = None


class _Entry(msgspec.Struct):
    package: _Package | None = None
    ranges: list[_Range] | None = None
    ecosystem_specific: _Specific | None = None


class _Rating(msgspec.Struct):
    type: str = ""
    score: str = ""


class _Reference(msgspec.Struct):
    url: str | None = None


class _Record(msgspec.Struct):
    id: str
    summary: str | None = None
    modified: str | None = None
    published: str | None = None
    withdrawn: str | None = None
    upstream: list[str] | None = None
    severity: list[_Rating] | None = None
    references: list[_Reference] | None = None
    affected: list[_Entry] | None = None


class _Flaw(msgspec.Struct):
    name: str = ""


class _Product(msgspec.Struct):
    id: str = msgspec.field(name="@id", default="")


class _Statement(msgspec.Struct):
    status: str = ""
    vulnerability: _Flaw | None = None
    products: msgspec.Raw = msgspec.Raw(b"[]")
    action_statement: str | None = None


class _Vex(msgspec.Struct):
    statements: list[_Statement] | None = None


_decode_record = msgspec.json.Decoder(_Record).decode
_decode_vex = msgspec.json.Decoder(_Vex).decode
_decode_products = msgspec.json.Decoder(list[_Product]).decode

#: CVE → "package label" → what VEX says of it, where that is more than "affected".
_Said = dict[str, dict[str, Status]]
#: Namespace, package, version that fixes.
_Fix = tuple[str, str, str]
#: The range that a fix ends, and the flaws whose records say so.
_Fixes = dict[_Fix, tuple[AffectedRange, set[str]]]


class _Notice(NamedTuple):
    """What is kept of a notice until the flaws are known."""

    id: str
    title: str
    published: str
    modified: str
    cves: frozenset[str]
    fixes: tuple[_Fix, ...]


class UbuntuFeed:
    """Reads both tars; the first without the second as well."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``."""
        said = _statements(files.matching("*vex-all.tar*"), notes)
        fixes: _Fixes = {}
        notices: list[_Notice] = []
        for name, data in files.matching("*osv-all.tar*").tar_members():
            notes.read += 1
            try:
                record = _decode_record(data)
                if record.withdrawn:
                    notes.drop("withdrawn")
                elif record.id.startswith("USN-"):
                    notices.append(_notice(record, facts_only))
                elif item := _flaw(record, source, said):
                    for one in item[1]:
                        for span in one.ranges:
                            if span.fixed:
                                fix = (one.namespace, one.name, span.fixed)
                                fixes.setdefault(fix, (span, set()))[1].add(item[0].id)
                    notes.dated(item[0].modified)
                    yield item
                else:
                    notes.drop("affects nothing in a release")
            except (*UNDECODABLE, SpoiltRecord) as error:
                notes.spoil(name, error)
        for notice in notices:
            if found := _repair(notice, source, fixes):
                notes.dated(found[0].modified)
                yield found
            else:
                notes.drop("a notice that no flaw's record names the fix of")


def _statements(files: Files, notes: Notes) -> _Said:
    said: _Said = {}
    texts: dict[str, str] = {}  # a hundred thousand flaws speak of the same few packages
    for name, data in files.tar_members():
        if "/usn/" in name:
            continue
        notes.read += 1
        try:
            for statement in _decode_vex(data).statements or ():
                status = _status(statement)
                if status is None or statement.vulnerability is None:
                    continue
                places = said.setdefault(statement.vulnerability.name, {})
                for product in _decode_products(statement.products):
                    if found := _PURL.match(product.id):
                        place = f"{found[1]} {found[2]}"
                        places[texts.setdefault(place, place)] = status
        except UNDECODABLE as error:
            notes.spoil(name, error)
    return said


def _status(statement: _Statement) -> Status | None:
    if statement.status == "under_investigation":
        return Status.UNDER_INVESTIGATION
    if statement.status == "affected":
        opening = (statement.action_statement or "")[:_OPENING]
        return next((status for words, status in _WILL_NOT_FIX.items() if words in opening), None)
    return None


def _flaw(record: _Record, source: str, said: _Said) -> tuple[Advisory, tuple[Affected, ...]] | None:
    # One without ``upstream`` still bears the CVE in its own id.
    cves = fields.cve_ids(record.upstream or ()) or fields.cve_ids([record.id.removeprefix("UBUNTU-")])
    identifier = cves[0] if len(cves) == 1 else fields.identifier(record.id)
    places = _places(record, said.get(identifier, {}))
    items = tuple(
        Affected(namespace, name, tidy(ranges))
        for (namespace, name), (own, pro) in sorted(places.items())
        if (ranges := _settled(own, pro))
    )
    if not items:
        return None
    ratings = record.severity or ()
    advisory = Advisory(
        id=identifier,
        source=source,
        severity=next(
            (fields.severity(one.score) for one in ratings if one.type == "Ubuntu"), Severity.UNKNOWN
        ),
        cvss=fields.scores(source, (one.score for one in ratings if one.type.startswith("CVSS"))),
        cves=cves if len(cves) > 1 else (),
        references=fields.links(reference.url for reference in record.references or ()),
        url=f"https://ubuntu.com/security/{identifier}" if len(cves) == 1 else "",
        published=fields.time(record.published),
        modified=fields.time(record.modified) or fields.time(record.published),
    )
    return advisory, items


def _places(
    record: _Record, said: dict[str, Status]
) -> dict[tuple[str, str], tuple[list[AffectedRange], list[AffectedRange]]]:
    """Namespace and package → the ranges of the release's own entries, and of Pro's."""
    places: dict[tuple[str, str], tuple[list[AffectedRange], list[AffectedRange]]] = {}
    for entry in record.affected or ():
        release = _ECOSYSTEM.fullmatch(entry.package.ecosystem) if entry.package else None
        if entry.package is None or release is None:
            continue
        namespace = f"ubuntu:{release[2]}"
        own, pro = places.setdefault((namespace, fields.package(namespace, entry.package.name)), ([], []))
        purl = _PURL.match(entry.package.purl)
        status = said.get(f"{purl[1]} {purl[2]}", Status.AFFECTED) if purl else Status.AFFECTED
        channel = ESM if release[1] and not _free(entry) else ""
        for item in entry.ranges or ():
            if item.type == "ECOSYSTEM":
                for span in ranges_of("deb", item.events or []):
                    (pro if release[1] else own).append(_told(span, status, channel))
    return places


def _told(span: AffectedRange, status: Status, channel: str) -> AffectedRange:
    if span.fixed:
        return affected("deb", span.lower, span.fixed, FIXED, channel=channel)
    return msgspec.structs.replace(span, status=status)


def _free(entry: _Entry) -> bool:
    words = entry.ecosystem_specific.availability if entry.ecosystem_specific else None
    return isinstance(words, str) and words.startswith("No subscription")


def _settled(own: list[AffectedRange], pro: list[AffectedRange]) -> list[AffectedRange]:
    """What holds for a package of a release: its own fix, else Pro's, else that it is open.

    Beside its own, a lower one of Pro's stays: builds of Pro's that have it are repaired.
    """
    fixes = [span.fixed for span in own if span.fixed]
    if fixes:
        most = greatest("deb", fixes)
        return own + [
            span
            for span in pro
            if span.channel and span.fixed != most and greatest("deb", (span.fixed, most)) == most
        ]
    return [span for span in pro if span.fixed] or own or pro


def _notice(record: _Record, facts_only: bool) -> _Notice:
    fixes: dict[_Fix, None] = {}
    for entry in record.affected or ():
        release = _ECOSYSTEM.fullmatch(entry.package.ecosystem) if entry.package else None
        for item in (entry.ranges or ()) if release else ():
            for event in item.events or ():
                if release and entry.package and event.fixed:
                    fixes[f"ubuntu:{release[2]}", entry.package.name, event.fixed] = None
    return _Notice(
        id=fields.identifier(record.id),
        title="" if facts_only else fields.title(record.summary),
        published=fields.time(record.published),
        modified=fields.time(record.modified) or fields.time(record.published),
        cves=frozenset(fields.cve_ids(name.removeprefix("UBUNTU-") for name in record.upstream or ())),
        fixes=tuple(fixes),
    )


def _repair(notice: _Notice, source: str, known: _Fixes) -> tuple[Advisory, tuple[Affected, ...]] | None:
    """The notice as a record, in those packages where every flaw of it that is known has this very fix."""
    fixes = {fix: known[fix] for fix in notice.fixes if fix in known}
    cves = notice.cves & {cve for _, flaws in fixes.values() for cve in flaws}
    places: dict[tuple[str, str], list[AffectedRange]] = {}
    for (namespace, name, _), (span, flaws) in fixes.items():
        if cves and cves <= flaws:
            places.setdefault((namespace, name), []).append(span)
    if not places:
        return None
    advisory = Advisory(
        id=notice.id,
        source=source,
        title=notice.title,
        cves=tuple(sorted(cves)),
        url=f"https://ubuntu.com/security/notices/{notice.id}",
        published=notice.published,
        modified=notice.modified,
    )
    return advisory, tuple(Affected(*place, tidy(ranges)) for place, ranges in sorted(places.items()))
