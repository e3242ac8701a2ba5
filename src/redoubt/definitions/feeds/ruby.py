"""The Ruby advisory database: a zip of its repository, a YAML file an advisory and gem.

``gems/NAME/CVE-….yml`` lists the versions that are *not* affected, as gem requirements: ``patched_versions``
and ``unaffected_versions`` (https://github.com/rubysec/ruby-advisory-db). Decided here:

- affected is what no requirement holds; a gap that ends where a listed range begins ends with a fix: what is
  "unaffected" above it is a way out as well;
- one flaw in several gems has a file in each: they are one record;
- its name is the CVE, else GitHub's, else the file's (``OSVDB-…``); the others are aliases;
- scores come without their vectors, so they give the severity: the newest CVSS version's;
- ``platform: jruby`` speaks of builds for JRuby only, which an installed gem does not tell: dropped;
- ``rubies/``, about Ruby itself, is not read: interpreters are judged by Bitnami's data.

YAML is read as texts alone, with no tags, and nothing that refers to another part of a file: such a file
can mean more than its size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, LAST, LIMIT, affected, tidy
from redoubt.model import Advisory, Affected, AffectedRange, Cvss, Severity, Status
from redoubt.versions import expressions

#: Bytes of a file, YAML events in it, and how deep they may nest. Real ones: 15 KB, 120 and 4.
_LONGEST = 256 << 10
_EVENTS = 10_000
_DEPTH = 16

_GHSA = re.compile(r"[0-9a-z]{4}(?:-[0-9a-z]{4}){2}")
_SCORE = re.compile(r"\d{1,2}(?:\.\d)?")

_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class _Related(msgspec.Struct):
    url: list[str] | None = None


class _File(msgspec.Struct):
    gem: str
    cve: str | None = None
    ghsa: str | None = None
    url: str | None = None
    title: str | None = None
    date: str | None = None
    platform: str | None = None
    cvss_v2: str | None = None
    cvss_v3: str | None = None
    cvss_v4: str | None = None
    patched_versions: list[str] | None = None
    unaffected_versions: list[str] | None = None
    related: _Related | None = None


class RubyFeed:
    """Reads the repository's zip."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``. A record's time is the day it names; none says when it was changed."""
        found: dict[str, list[tuple[Advisory, Affected]]] = {}
        for name, data in files.members(".yml", within="/gems/"):
            notes.read += 1
            try:
                file = _decode(data)
                if file.platform:
                    notes.drop(f"about builds for {file.platform[:20]} only")
                    continue
                advisory = _advisory(file, source, name, facts_only)
                gem = fields.package("rubygems", file.gem)
                ranges = _ranges(file.patched_versions or (), file.unaffected_versions or ())
            except (yaml.YAMLError, msgspec.ValidationError, ValueError, RecursionError) as error:
                notes.spoil(name, error)
                continue
            if not ranges:
                notes.drop("affects no version")
                continue
            found.setdefault(advisory.id, []).append((advisory, Affected("rubygems", gem, ranges)))
            notes.dated(advisory.published)
        for files_of in found.values():
            yield _united(files_of)


def _decode(data: bytes) -> _File:
    """Raises ``ValueError`` (``SpoiltRecord`` is one) or ``yaml.YAMLError``."""
    if len(data) > _LONGEST:
        raise SpoiltRecord(f"longer than {_LONGEST} bytes")
    text = data.decode()
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.AliasEvent):
            raise SpoiltRecord("an alias")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if count > _EVENTS or depth > _DEPTH:
            raise SpoiltRecord("too large or too deep")
    return msgspec.convert(yaml.load(text, Loader=_Loader), _File)  # noqa: S506 - texts only, no tags


def _advisory(file: _File, source: str, name: str, facts_only: bool) -> Advisory:
    names = [f"CVE-{file.cve}"] if file.cve and fields.CVE.fullmatch(f"CVE-{file.cve}") else []
    if file.ghsa and _GHSA.fullmatch(file.ghsa):
        names.append(f"GHSA-{file.ghsa}")
    stem = name.rpartition("/")[2].removesuffix(".yml")
    identifier = fields.identifier(names[0] if names else stem)
    return Advisory(
        id=identifier,
        source=source,
        title="" if facts_only else fields.title(file.title),
        severity=_severity(file),
        aliases=fields.identifiers(names, but=identifier),
        references=fields.links((file.related and file.related.url) or ()),
        url=next(iter(fields.links([file.url])), ""),
        published=fields.time(file.date),
    )


def _severity(file: _File) -> Severity:
    for prefix, score in (("CVSS:4.0", file.cvss_v4), ("CVSS:3.1", file.cvss_v3), ("", file.cvss_v2)):
        if score and _SCORE.fullmatch(score) and float(score) <= 10:
            return Cvss("", prefix, float(score)).severity
    return Severity.UNKNOWN


def _ranges(patched: list[str] | tuple[()], unaffected: list[str] | tuple[()]) -> tuple[AffectedRange, ...]:
    """What none of the requirements holds. Raises ``ValueError`` for one that is none."""
    repaired = [expressions.parse("gem", text) for text in patched]
    spared = [expressions.parse("gem", text) for text in unaffected]
    starts = {item.introduced for one in (*repaired, *spared) for item in one.ranges}
    starts.update(point for one in (*repaired, *spared) for point in one.points)
    outside = expressions.outside("gem", *repaired, *spared)
    found = [affected("gem", point, point, LAST) for point in outside.points]
    for item in outside.ranges:
        end = LAST if item.last_affected else FIXED if item.fixed in starts else LIMIT
        found.append(affected("gem", item.introduced or item.after, item.fixed or item.last_affected, end))
        if item.after:  # a range begins with its lower end, so that one is excepted by name
            found.append(affected("gem", item.after, item.after, LAST, status=Status.NOT_AFFECTED))
    return tidy(found)


def _united(found: list[tuple[Advisory, Affected]]) -> tuple[Advisory, tuple[Affected, ...]]:
    """One record of the files of one flaw: the first gem's words, everybody's names and links, the worst score."""
    found.sort(key=lambda pair: (pair[1].name, pair[0].title, pair[0].url))
    advisories = [advisory for advisory, _ in found]
    ranges: dict[str, set[AffectedRange]] = {}
    for _, one in found:
        ranges.setdefault(one.name, set()).update(one.ranges)
    aliases = {name for advisory in advisories for name in advisory.aliases}
    united = msgspec.structs.replace(
        advisories[0],
        severity=max((advisory.severity for advisory in advisories), key=lambda severity: severity.rank),
        aliases=tuple(sorted(aliases)),
        references=fields.links(link for advisory in advisories for link in advisory.references),
        published=min((advisory.published for advisory in advisories if advisory.published), default=""),
    )
    return united, tuple(Affected("rubygems", name, tidy(spans)) for name, spans in sorted(ranges.items()))
