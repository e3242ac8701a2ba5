"""Azure Linux's OVAL, and that of CBL-Mariner before it: a file a release.

``azurelinux-3.0-oval.xml``, ``cbl-mariner-2.0-oval.xml``. A definition is one CVE in one *source* package; several
are about one CVE. The release stands in the file's name and nowhere else. ``patchable`` says what a
definition is: ``true`` for a fix, ``false`` for none yet (then the test is "this version or an earlier one"),
``Not Applicable`` for a flaw that the package does not, or no longer, have.

Ids are not all clean: a definition's own ends in a count (``31872-1``), and so may a CVE's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from redoubt.definitions.feeds import fields, oval
from redoubt.definitions.feeds.criteria import Scope, Span, claims
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, LAST, LIMIT, affected, tidy
from redoubt.errors import UnreadableInput
from redoubt.model import Advisory, Affected, AffectedRange, Severity, Status

_FILE = re.compile(r"(?:.*/)?(azurelinux|cbl-mariner)-(\d+\.\d+)(?:-preview)?-oval\.xml(?:\.\w+)?")
_NO_COMMENT = re.compile(r"(?!)")
_CVE = re.compile(r"CVE-\d{4}-\d{4,19}(?!\d)")


class _Flaw:
    """What all definitions about one flaw say together."""

    def __init__(self) -> None:
        self.url = ""
        self.modified = ""
        self.severities: set[Severity] = set()
        self.ranges: dict[tuple[str, str], set[AffectedRange]] = {}


class AzureLinuxFeed:
    """Reads the OVAL files of Azure Linux and CBL-Mariner."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``. There are no titles but such as repeat the id and the package."""
        flaws: dict[str, _Flaw] = {}
        for name, chunks in files.pieces():
            namespace = _namespace(name)
            document = oval.read(name, chunks, notes, _NO_COMMENT)
            for definition in document.definitions:
                try:
                    _take(definition, document.tests, namespace, flaws, notes)
                except SpoiltRecord as error:
                    notes.spoil(f"{name} {definition.id}", error)
        for identifier, flaw in flaws.items():
            notes.dated(flaw.modified)
            # One word of all: the advisory's. Where they differ, each range has its own.
            word = flaw.severities.pop() if len(flaw.severities) == 1 else Severity.UNKNOWN
            found = tuple(
                Affected(namespace, name, tidy(_settled(ranges, word)))
                for (namespace, name), ranges in sorted(flaw.ranges.items())
            )
            yield (
                Advisory(id=identifier, source=source, severity=word, url=flaw.url, modified=flaw.modified),
                found,
            )


def _namespace(name: str) -> str:
    found = _FILE.fullmatch(name)
    if found is None:
        raise UnreadableInput(f"{name} does not say its release as upstream's names do; keep those names")
    return f"{'mariner' if found[1] == 'cbl-mariner' else found[1]}:{found[2]}"


def _take(
    definition: oval.Definition, tests: oval.Tests, namespace: str, flaws: dict[str, _Flaw], notes: Notes
) -> None:
    facts = definition.facts
    reference = next((item for item in definition.references if item.id), None)
    named = (reference.id if reference else "", facts.get("title", ""))
    found = next((match[0] for match in map(_CVE.search, named) if match), "")
    identifier = found or fields.identifier(named[0])
    severity = fields.severity(facts.get("severity"))
    patchable = facts.get("patchable", "").lower()
    ranges: dict[tuple[str, str], set[AffectedRange]] = {}
    for claim in claims(definition.criteria, tests, _scope, notes.drop):
        name = fields.package(namespace, claim.span.name)
        ranges.setdefault((namespace, name), set()).add(_range(claim.span, patchable, severity))
    if not ranges:
        notes.drop("affects nothing that has versions here")
        return
    flaw = flaws.setdefault(identifier, _Flaw())
    flaw.url = f"https://nvd.nist.gov/vuln/detail/{found}" if found else ""
    flaw.modified = max(flaw.modified, fields.time(facts.get("advisory_date")))
    flaw.severities.add(severity)
    for package, some in ranges.items():
        flaw.ranges.setdefault(package, set()).update(some)


def _scope(comment: str, test: oval.Test | None) -> Scope | None:
    return None


def _range(span: Span, patchable: str, severity: Severity) -> AffectedRange:
    if patchable == "not applicable" or span.unaffected:
        return affected("rpm", status=Status.NOT_AFFECTED)
    end = LAST if span.inclusive else LIMIT if patchable == "false" else FIXED
    return affected("rpm", span.lower, span.upper, end, severity=severity)


def _settled(ranges: set[AffectedRange], word: Severity) -> list[AffectedRange]:
    """Without "not affected" beside a range that is affected, and without the word that the advisory has."""
    bad = [item for item in ranges if item.status is not Status.NOT_AFFECTED] or list(ranges)
    if word is Severity.UNKNOWN:
        return bad
    return [msgspec.structs.replace(item, severity=Severity.UNKNOWN) for item in bad]
