"""OSV: a zip of JSON files, one an advisory, for one ecosystem (``PyPI``, ``Go``, ``npm`` …).

Follows the OSV schema 1.7, https://ossf.github.io/osv-schema/: what is affected is what ``versions``
lists, and what any ``SEMVER`` or ``ECOSYSTEM`` range holds. ``GIT`` ranges speak of commits, which nobody
can compare with an installed version, and are passed over.

Decided here:

- withdrawn records are dropped; so are those that affect nothing in the feed's ecosystem;
- a package that occurs twice in ``affected`` gets the ranges of both;
- a malicious package (``MAL-…``) is kept, as ``CRITICAL``: to have it installed is the incident;
- severity is the word in ``database_specific.severity`` where there is one; CVSS vectors of a package come
  before the record's. Where a record's packages are rated apart, each range carries its own rating.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

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


class AffectedPackage(msgspec.Struct):
    """``affected[]``."""

    package: Package | None = None
    ranges: list[Range] | None = None
    versions: list[str] | None = None
    severity: list[Rating] | None = None


class Reference(msgspec.Struct):
    """``references[]``."""

    url: str | None = None


class Specific(msgspec.Struct):
    """``database_specific``, which each database fills as it likes: any type anywhere."""

    severity: object = None
    cwe_ids: object = None


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


def records(files: Files, notes: Notes) -> Iterator[Record]:
    """Decode every member; count those that are not OSV records."""
    for name, data in files.members():
        notes.read += 1
        try:
            yield _decode(data)
        except UNDECODABLE as error:
            notes.spoil(name, error)


class OsvFeed:
    """One ecosystem of OSV. ``ecosystem`` is upstream's word for it, ``namespace`` ours."""

    def __init__(self, ecosystem: str, namespace: str, page: Callable[[str], str] | None = None) -> None:
        self._ecosystem = ecosystem
        self._namespace = namespace
        self._page = page or osv_page

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``."""
        for record in records(files, notes):
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
        ours = [
            entry
            for entry in record.affected or ()
            if entry.package and entry.package.ecosystem.partition(":")[0] == self._ecosystem
        ]
        rated_apart = len({_vectors(entry.severity) for entry in ours}) > 1
        found: dict[str, list[AffectedRange]] = {}
        for entry in ours:
            if entry.package is None:
                continue
            name = fields.package(self._namespace, entry.package.name)
            vectors = _vectors(entry.severity) or _vectors(record.severity)
            severity = _worst(vectors) if rated_apart else Severity.UNKNOWN
            found.setdefault(name, []).extend(self._ranges(entry, severity))
        items = tuple(
            Affected(self._namespace, name, tidy(ranges)) for name, ranges in sorted(found.items()) if ranges
        )
        if not items:
            return None
        return describe(record, source, self._page, ours, facts_only=facts_only), items

    def _ranges(self, entry: AffectedPackage, severity: Severity) -> list[AffectedRange]:
        scheme = namespaces.scheme(self._namespace)
        ranges: list[AffectedRange] = []
        for item in entry.ranges or ():
            if item.type in ("ECOSYSTEM", "SEMVER"):
                ranges += ranges_of(scheme, item.events or [], severity)
        if entry.versions:
            ranges += (
                affected(scheme, version, version, LAST, severity=severity)
                for version in uncovered(scheme, entry.versions, ranges)
            )
        return ranges


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
