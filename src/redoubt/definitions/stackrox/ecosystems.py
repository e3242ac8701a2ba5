"""Updaters of language ecosystems: OSV, and StackRox's own additions to it.

OSV's ranges reach ClairCore's records in two forms.

* Go, npm and other ecosystems of semantic versions: ``range``, from a normalised version (inclusive) to
  another (exclusive). A normalised version is a kind, a colon and ten whole numbers, of which places 1 to 3
  are major, minor and patch: pre-releases are lost in it, and 65535 in place 0 means no end. Where
  ``fixed_in_version`` is set it is the upper end as OSV wrote it, and is taken.
* Maven, PyPI and RubyGems: ``fixed_in_version`` holds the interval, url-encoded: ``introduced``, and
  ``fixed`` or ``lastAffected``. Empty means every version.

For the others (NuGet, Packagist) ClairCore drops where a flaw begins, and does not match them itself: they
are left out, and counted. Our own reading of OSV is better for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import parse_qs, unquote

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.interface import Notes, SpoiltRecord
from redoubt.definitions.feeds.osv import go_page, osv_page
from redoubt.definitions.feeds.ranges import FIXED, LAST, LIMIT, affected
from redoubt.definitions.stackrox.blob import Alias, Vulnerability
from redoubt.definitions.stackrox.interface import Said, advisory, links, severity, vectors
from redoubt.model import AffectedRange, Severity
from redoubt.model.namespaces import scheme

_SEMVER = {"go": "golang", "npm": "npm", "crates.io": "crates.io", "hex": "hex", "pub": "pub"}
_INTERVALS = {"maven": "maven", "pypi": "pypi", "rubygems": "rubygems"}
_NAMESPACES = _SEMVER | _INTERVALS

#: Aliases stand among the links too; records of older schemas have them nowhere else.
_ALIAS_PAGE = "https://osv.dev/vulnerability/"

_NORMALISED = re.compile(r"semver:((?:\d{1,10}\.){9}\d{1,10})", re.ASCII)
_NO_END = 65535
_PURL = re.compile(r"pkg:[a-z]{1,20}/([^?#]{1,2000})", re.ASCII)


class Osv:
    """One ecosystem of OSV, or records of several that say of which each is."""

    def read(self, record: Vulnerability, source: str, notes: Notes) -> Iterator[Said]:
        """See ``Vulnerabilities``."""
        package, repository = record.package, record.repository
        if package is None or repository is None:
            raise SpoiltRecord("names no package or no ecosystem")
        namespace = _NAMESPACES.get(repository.name.lower())
        if namespace is None:
            notes.drop("an ecosystem that the original does not match")
            return
        found = _interval(namespace, record) if namespace in _INTERVALS else _semver(namespace, record)
        cvss = vectors(record, source)
        malicious = record.name.startswith("MAL-")
        word = Severity.CRITICAL if malicious else Severity.UNKNOWN if cvss else severity(record)
        url = go_page(record.name) if record.name.startswith("GO-") else osv_page(record.name)
        said = advisory(
            record, source, record.name, severity=word, cvss=cvss, aliases=_aliases(record), url=url
        )
        yield said, namespace, _named(namespace, package.name), found


def _aliases(record: Vulnerability) -> tuple[str, ...]:
    if record.aliases:
        return fields.identifiers((_alias(alias) for alias in record.aliases), but=record.name)
    pages = (link[len(_ALIAS_PAGE) :] for link in links(record) if link.startswith(_ALIAS_PAGE))
    return fields.identifiers(pages, but=record.name)


def _alias(alias: Alias) -> str:
    """``CVE`` and ``2024-1`` are ``CVE-2024-1``; a space that is an address is left out."""
    return f"{alias.space}-{alias.name}" if "://" not in alias.space else ""


def _named(namespace: str, name: str) -> str:
    if name.startswith("pkg:"):
        found = _PURL.fullmatch(name)
        if found is None:
            raise SpoiltRecord(f"not a package URL: {name[:80]!r}")
        name = unquote(found[1])
    return fields.package(namespace, name)


def _interval(namespace: str, record: Vulnerability) -> AffectedRange:
    if len(record.fixed_in_version) > 8192:
        raise SpoiltRecord("an interval that is too long")
    try:
        ends = parse_qs(record.fixed_in_version, max_num_fields=8)
    except ValueError as error:
        raise SpoiltRecord(f"not an interval: {error}") from None
    if record.fixed_in_version and not ends.keys() & {"introduced", "fixed", "lastAffected"}:
        raise SpoiltRecord(f"not an interval: {record.fixed_in_version[:80]!r}")
    lower = ends.get("introduced", [""])[0]
    if fixed := ends.get("fixed", [""])[0]:
        return affected(scheme(namespace), lower, fixed, FIXED)
    return affected(scheme(namespace), lower, ends.get("lastAffected", [""])[0], LAST)


def _semver(namespace: str, record: Vulnerability) -> AffectedRange:
    if record.range is None:
        raise SpoiltRecord("names no range")
    lower, upper = _normalised(record.range.lower), _normalised(record.range.upper)
    if lower is None and upper is None:
        raise SpoiltRecord("names a range without ends")
    begins = "" if lower in (None, "0.0.0") else lower
    if record.fixed_in_version:
        return affected(scheme(namespace), begins or "", record.fixed_in_version, FIXED)
    return affected(scheme(namespace), begins or "", upper or "", LIMIT)


@lru_cache(maxsize=1 << 14)
def _normalised(text: str) -> str | None:
    """``semver:0.1.2.3.0.0.0.0.0.0`` is ``1.2.3``; None for none, and for no end."""
    if not text:
        return None
    found = _NORMALISED.fullmatch(text)
    if found is None:
        raise SpoiltRecord(f"not a normalised version: {text[:80]!r}")
    places = found[1].split(".")
    if int(places[0]) == _NO_END:
        return ""
    return ".".join(str(int(place)) for place in places[1:4])
