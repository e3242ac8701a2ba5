"""OSV: a zip of JSON files, one an advisory, for one ecosystem (``PyPI``, ``Go``, ``npm`` …) or for several.

Follows the OSV schema 1.7, https://ossf.github.io/osv-schema/: what is affected is what ``versions``
lists, and what any ``SEMVER`` or ``ECOSYSTEM`` range holds. ``GIT`` ranges speak of commits, which nobody
can compare with an installed version, and are passed over.

Decided here:

- withdrawn records are dropped; so are those that affect nothing in the feed's ecosystems;
- a package that occurs twice in ``affected`` gets the ranges of both;
- a malicious package (``MAL-…``) is kept, as ``CRITICAL``: to have it installed is the incident;
- severity is the word in ``database_specific.severity`` where there is one; CVSS vectors of a package come
  before the record's. Where a record's packages are rated apart, each range carries its own rating;
- GitHub's records write "up to 1.2, and nothing fixes it" as an open range, and the 1.2 beside it
  (``last_known_affected_version_range``). The range ends there: that is what their page says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import msgspec

from redoubt.definitions import cvss
from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.events import Event, ranges_of
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import UNDECODABLE, Item, Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import LAST, affected, tidy, uncovered
from redoubt.model import Advisory, Affected, AffectedRange, Cvss, Severity, namespaces


class Package(msgspec.Struct):
    """``affected[].package``."""

    ecosystem: str = ""
    name: str = ""


class Range(msgspec.Struct):
    """``affected[].ranges[]``."""

    type: str = ""
    events: list[Event] | None = None


class Rating(msgspec.Struct):
    """``severity[]``: a kind of score, and the vector."""

    type: str = ""
    score: str = ""


class Specific(msgspec.Struct):
    """``database_specific``, which each database fills as it likes: any type anywhere."""

    severity: object = None
    cwe_ids: object = None
    last_known_affected_version_range: object = None


class AffectedPackage(msgspec.Struct):
    """``affected[]``."""

    package: Package | None = None
    ranges: list[Range] | None = None
    versions: list[str] | None = None
    severity: list[Rating] | None = None
    database_specific: Specific | None = None


class Reference(msgspec.Struct):
    """``references[]``."""

    url: str | None = None


class Record(msgspec.Struct):
    """The parts of an OSV record that are read."""

    id: str
    summary: str | None = None
    modified: str | None = None
    published: str | None = None
    withdrawn: str | None = None
    aliases: list[str] | None = None
    related: list[str] | None = None
    upstream: list[str] | None = None
    severity: list[Rating] | None = None
    references: list[Reference] | None = None
    affected: list[AffectedPackage] | None = None
    database_specific: Specific | None = None


_decode = msgspec.json.Decoder(Record).decode


_LAST_KNOWN = re.compile(r"<(=?) ?([^\s,<>=]+)")


def records(files: Files, notes: Notes, *, within: str = "") -> Iterator[Record]:
    """Decode every member, or those with ``within`` in their path; count those that are not OSV records."""
    for name, data in files.members(within=within):
        notes.read += 1
        try:
            yield _decode(data)
        except UNDECODABLE as error:
            notes.spoil(name, error)


class OsvFeed:
    """Some ecosystems of OSV: ``ecosystems`` is upstream's word → our namespace.

    Members of the zip count where ``within`` is a part of their path. ``page`` gives a record's page for
    people.
    """

    def __init__(
        self, ecosystems: Mapping[str, str], page: Callable[[str], str] | None = None, *, within: str = ""
    ) -> None:
        self._namespaces = dict(ecosystems)
        self._page = page or osv_page
        self._within = within

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``."""
        for record in records(files, notes, within=self._within):
            if record.withdrawn:
                notes.drop("withdrawn")
                continue
            try:
                item = self._item(record, source, facts_only)
            except SpoiltRecord as error:
                notes.spoil(record.id, error)
                continue
            if item is None:
                notes.drop("affects nothing that has versions here")
                continue
            notes.dated(item[0].modified or item[0].published)
            yield item

    def _item(
        self, record: Record, source: str, facts_only: bool
    ) -> tuple[Advisory, tuple[Affected, ...]] | None:
        ours: list[AffectedPackage] = []
        places: list[tuple[str, str]] = []
        for entry in record.affected or ():
            if entry.package is None:
                continue
            namespace = self._namespaces.get(entry.package.ecosystem.partition(":")[0])
            if namespace is not None:
                ours.append(entry)
                places.append((namespace, fields.package(namespace, entry.package.name)))
        rated_apart = len({_vectors(entry.severity) for entry in ours}) > 1
        found: dict[tuple[str, str], list[AffectedRange]] = {}
        for entry, place in zip(ours, places, strict=True):
            vectors = _vectors(entry.severity) or _vectors(record.severity)
            severity = _worst(vectors) if rated_apart else Severity.UNKNOWN
            found.setdefault(place, []).extend(_ranges(namespaces.scheme(place[0]), entry, severity))
        items = tuple(
            Affected(namespace, name, tidy(ranges))
            for (namespace, name), ranges in sorted(found.items())
            if ranges
        )
        if not items:
            return None
        return describe(record, source, self._page, ours, facts_only=facts_only), items


def _ranges(scheme: str, entry: AffectedPackage, severity: Severity) -> list[AffectedRange]:
    ranges: list[AffectedRange] = []
    for item in entry.ranges or ():
        if item.type in ("ECOSYSTEM", "SEMVER"):
            ranges += ranges_of(scheme, _ended(item.events or [], entry.database_specific), severity)
    if entry.versions:
        ranges += (
            affected(scheme, version, version, LAST, severity=severity)
            for version in uncovered(scheme, entry.versions, ranges)
        )
    return ranges


def _ended(events: list[Event], specific: Specific | None) -> list[Event]:
    """The events, and the end that GitHub writes beside a range that has none."""
    last = specific.last_known_affected_version_range if specific else None
    if not isinstance(last, str) or len(events) != 1 or (found := _LAST_KNOWN.fullmatch(last)) is None:
        return events
    return [*events, Event(last_affected=found[2]) if found[1] else Event(limit=found[2])]


def describe(
    record: Record,
    source: str,
    page: Callable[[str], str],
    entries: list[AffectedPackage],
    *,
    facts_only: bool,
) -> Advisory:
    """The advisory that an OSV record is, without what it affects."""
    identifier = fields.identifier(record.id)
    specific = record.database_specific or Specific()
    severity = fields.severity(specific.severity)
    if identifier.startswith("MAL-"):
        severity = Severity.CRITICAL
    return Advisory(
        id=identifier,
        source=source,
        title="" if facts_only else fields.title(record.summary),
        severity=severity,
        cvss=_scores(source, record, entries),
        cwes=fields.cwes(specific.cwe_ids),
        aliases=fields.identifiers(record.aliases, but=identifier),
        cves=fields.cve_ids(record.upstream or ()),
        references=fields.links(reference.url for reference in record.references or ()),
        url=page(identifier),
        published=fields.time(record.published),
        modified=fields.time(record.modified) or fields.time(record.published),
    )


def osv_page(identifier: str) -> str:
    """The page for people of any record in OSV; GitHub's own for theirs."""
    if identifier.startswith("GHSA-"):
        return f"https://github.com/advisories/{identifier}"
    return f"https://osv.dev/vulnerability/{identifier}"


def go_page(identifier: str) -> str:
    """The page for people of a Go record."""
    return f"https://pkg.go.dev/vuln/{identifier}"


def rust_page(identifier: str) -> str:
    """The page for people of a RustSec record."""
    if identifier.startswith("RUSTSEC-"):
        return f"https://rustsec.org/advisories/{identifier}.html"
    return osv_page(identifier)


def _vectors(ratings: list[Rating] | None) -> frozenset[str]:
    if not ratings:
        return frozenset()
    return frozenset(rating.score for rating in ratings if rating.type.startswith("CVSS"))


def _scores(source: str, record: Record, entries: list[AffectedPackage]) -> tuple[Cvss, ...]:
    vectors: set[str] = set()
    for entry in entries:
        vectors |= _vectors(entry.severity) or _vectors(record.severity)
    return fields.scores(source, vectors)


def _worst(vectors: frozenset[str]) -> Severity:
    worst = Severity.UNKNOWN
    for vector in vectors:
        try:
            worst = max(worst, cvss.rating(vector), key=lambda severity: severity.rank)
        except cvss.InvalidVector:
            continue
    return worst
