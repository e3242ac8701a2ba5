"""The "secdb" JSON of apk distributions: a file a release and repository of Alpine, one file of those that roll.

Each package lists versions and the flaws that they fixed: ``secfixes: {"1.2-r3": ["CVE-2020-1234"]}``.
Names are those of *origin* packages. Decided here:

- version ``0`` means that the package never had the flaw: an explicit "not affected";
- a flaw listed under several versions was fixed again: everything below the highest is affected, because
  the earlier fix did not last; a version beside ``0`` wins over it;
- an entry of a list may name several flaws, with remarks (``CVE-2019-2426 XSA-201``,
  ``CVE-2017-2616 (+ regression fix)``, ``CVE_2019-2426``): each CVE is a flaw of its own, other ids beside
  one single CVE are its aliases; without a CVE the first id is the flaw;
- an id beside one CVE here and another there (``CVE-2018-19961 XSA-275``, ``CVE-2018-19962 XSA-275``) is a
  notice about both and no other name of either: an alias would make them one flaw.

The files say nothing of unfixed flaws, severities or dates.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain

import msgspec

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import UNDECODABLE, Item, Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, affected, greatest, tidy
from redoubt.errors import UnreadableInput
from redoubt.model import Advisory, Affected, AffectedRange, Status

_CVE = re.compile(r"CVE[-_ ]+(\d{4})[-_](\d{4,19})(?!\d)", re.IGNORECASE)
_OTHER = re.compile(
    r"(?<![\w-])(?:GHSA(?:-[0-9a-z]{4}){3}|wnpa-sec-[\d-]+\d|(?!CVE\b)[A-Z][A-Za-z]*-[\w.-]*\d)(?![\w?])",
    re.ASCII,
)


class _File(msgspec.Struct):
    packages: list[msgspec.Raw] | None = None
    distroversion: str | None = None


class _Package(msgspec.Struct):
    name: str
    secfixes: dict[str, list[str] | None] | None = None


class _Wrapper(msgspec.Struct):
    pkg: _Package


_decode_file = msgspec.json.Decoder(_File).decode
_decode_package = msgspec.json.Decoder(_Wrapper).decode


class SecdbFeed:
    """Reads secdb files. ``namespace`` makes a namespace of a file's ``distroversion`` (perhaps empty);
    ``page`` gives an id's page for people.
    """

    def __init__(self, namespace: Callable[[str], str], page: Callable[[str], str]) -> None:
        self._namespace = namespace
        self._page = page

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``. The files carry no dates."""
        aliases: dict[str, set[str]] = {}
        fixes: dict[tuple[str, str, str], set[str]] = {}
        for where, data in files.contents():
            try:
                file = _decode_file(data)
                namespace = self._namespace(file.distroversion or "")
            except (*UNDECODABLE, SpoiltRecord) as error:
                raise UnreadableInput(f"{where} is not a secdb file: {error}") from None
            for raw in file.packages or ():
                notes.read += 1
                try:
                    package = _decode_package(raw).pkg
                    name = fields.package(namespace, package.name)
                    said = _flaws(package)
                except (*UNDECODABLE, SpoiltRecord) as error:
                    notes.spoil(f"{where} {bytes(raw)[:60]!r}", error)
                    continue
                for flaw, others, version in said:
                    aliases.setdefault(flaw, set()).update(others)
                    fixes.setdefault((flaw, namespace, name), set()).add(version)
        notices = {name for name, count in Counter(chain(*aliases.values())).items() if count > 1}
        found: dict[str, list[Affected]] = {}
        for (flaw, namespace, name), versions in fixes.items():
            found.setdefault(flaw, []).append(Affected(namespace, name, tidy([_range(versions)])))
        for flaw, items in found.items():
            others = tuple(sorted(aliases[flaw] - notices))
            yield Advisory(id=flaw, source=source, aliases=others, url=self._page(flaw)), tuple(items)


def alpine_namespace(distroversion: str) -> str:
    """``v3.20`` → ``alpine:v3.20``."""
    if not re.fullmatch(r"v\d{1,3}\.\d{1,3}|edge", distroversion):
        raise SpoiltRecord(f"no Alpine release: {distroversion[:40]!r}")
    return f"alpine:{distroversion}"


def alpine_page(identifier: str) -> str:
    """Alpine's page of a flaw."""
    return f"https://security.alpinelinux.org/vuln/{identifier}"


def chainguard_page(identifier: str) -> str:
    """A page about a flaw in Wolfi or Chainguard: GitHub's for its ids, else the distributions' own."""
    if identifier.startswith("GHSA-"):
        return f"https://github.com/advisories/{identifier}"
    return f"https://images.chainguard.dev/security/{identifier}"


def cve_page(identifier: str) -> str:
    """A page about a flaw where the distribution has none: GitHub's for its ids, NVD's for CVEs."""
    if identifier.startswith("GHSA-"):
        return f"https://github.com/advisories/{identifier}"
    return f"https://nvd.nist.gov/vuln/detail/{identifier}" if fields.CVE.fullmatch(identifier) else ""


def _flaws(package: _Package) -> list[tuple[str, tuple[str, ...], str]]:
    """``(flaw, its other names, version that fixed it)`` for everything a package says."""
    said = []
    for version, texts in (package.secfixes or {}).items():
        if version != "0":
            affected("apk", "", version)  # raises for what is no version at all
        for text in texts or ():
            said += [(flaw, others, version) for flaw, others in names_in(text)]
    return said


@lru_cache(maxsize=1 << 15)
def names_in(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The flaws that an entry names, each with its aliases. Nothing where it names none.

    >>> names_in("CVE-2017-2616 (+ regression fix)")
    (('CVE-2017-2616', ()),)
    >>> names_in("CVE-????-????? XSA-284")
    (('XSA-284', ()),)
    """
    if fields.CVE.fullmatch(text):
        return ((text, ()),)
    cves = dict.fromkeys(f"CVE-{year}-{number}" for year, number in _CVE.findall(text[:1000]))
    others = dict.fromkeys(other for other in _OTHER.findall(_CVE.sub(" ", text[:1000])))
    if len(cves) > 1:
        return tuple((cve, ()) for cve in cves)
    names = [*cves, *others]
    return ((names[0], tuple(names[1:])),) if names else ()


def _range(versions: set[str]) -> AffectedRange:
    fixed = versions - {"0"}
    if not fixed:
        return affected("apk", status=Status.NOT_AFFECTED)
    return affected("apk", "", greatest("apk", fixed), FIXED)
