"""SUSE's OVAL, a file a product line: ``suse.linux.enterprise.server.15-affected.xml``, ``opensuse.leap.15.5.xml`` …

There are three of each. Without a suffix it says by CVE what was fixed and what is not affected; ``-affected``
says besides what is affected and not fixed; ``-patch`` says by patch what each fixed. Of one product line the
one that says most is read. What is special:

- Products are told by the comments of criteria (``SUSE Linux Enterprise Server 15 SP5 is installed``): the
  tests beneath do not tell ``SP1-BCL`` from ``SP1``. Modules, Desktop and HPC are one stream of packages with the
  server, so all of them are ``sles:15.5``.
- ``LTSS``, ``ESPOS``, ``BCL``, SAP and the like get fixes that others do not: such a fix counts only where a
  package has none for everybody, and names its channel.
- "Is affected" is a version later than ``0:0-0``; "is not affected" one that equals ``0``.
- Several fixes of a package in one service pack: the last one counts, the earlier did not suffice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from redoubt.definitions.feeds import fields, oval
from redoubt.definitions.feeds.criteria import Claim, Scope, Span, claims
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, LAST, affected, greatest, tidy
from redoubt.model import Advisory, Affected, AffectedRange, Cvss, Status

_PRODUCTS = re.compile(r"(?:SUSE|openSUSE) (?=.* is installed$)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?=-|$)")
_PACK = re.compile(r"SP(\d+)(?=-|$)")
_LEAP = re.compile(r"openSUSE Leap (\d+\.\d+)")
_FILE = re.compile(r"(?:.*/)?([\w.-]+?)(-affected|-patch)?\.xml(?:\.gz|\.bz2|\.xz|\.zst)?")
_PATCH = re.compile(r"(?:open)?SUSE-[A-Z]{2}-\d{4}:\d+(?:-\d+)?")

#: What one must subscribe to for some fixes, and how the names of products say it; the commonest first.
_CHANNELS = (
    ("LTSS", "ltss"),
    ("ESPOS", "espos"),
    ("SAP", "sap"),
    ("BCL", "bcl"),
    ("TERADATA", "teradata"),
    ("CERTIFICATIONS", "certifications"),
)
_ORDER = {channel: place for place, (_, channel) in enumerate(_CHANNELS, 1)} | {"": 0}
#: Which of a product line's files says most.
_SUFFIXES = ("-affected", None, "-patch")


class SuseFeed:
    """Reads SUSE's and openSUSE's OVAL files."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``."""
        for name, chunks in files.matching(*_best(files.names)).pieces():
            document = oval.read(name, chunks, notes, _PRODUCTS)
            for definition in document.definitions:
                try:
                    found = tuple(_united(claims(definition.criteria, document.tests, _scope, notes.drop)))
                    advisory = _advisory(definition, source, facts_only=facts_only)
                except SpoiltRecord as error:
                    notes.spoil(f"{name} {definition.id}", error)
                    continue
                if not found:
                    notes.drop("affects nothing that has versions here")
                    continue
                notes.dated(advisory.modified)
                yield advisory, found


def _best(names: Iterable[str]) -> list[str]:
    """Of each product line's files the one that says most. They are named as upstream names them."""
    lines: dict[str, tuple[int, str]] = {}
    for name in names:
        parts = _FILE.fullmatch(name)
        line, place = (parts[1], _SUFFIXES.index(parts[2])) if parts else (name, 0)
        lines[line] = min(lines.get(line, (9, "")), (place, name))
    return [re.sub(r"([\[?*])", r"[\1]", name) for _, name in lines.values()]


def _scope(comment: str, test: oval.Test | None) -> Scope | None:
    if comment:
        return Scope("platform", _platform(comment.removesuffix(" is installed")))
    return None


@lru_cache(maxsize=4096)
def _platform(product: str) -> str:
    """``namespace|channel`` of a product by its name; empty for those that nothing here is about.

    >>> _platform("SUSE Linux Enterprise Module for Python 3 15 SP5")
    'sles:15.5|'
    >>> _platform("SUSE Linux Enterprise Server 12 SP2-LTSS")
    'sles:12.2|ltss'
    """
    if product.startswith("openSUSE Tumbleweed"):
        return "opensuse-tumbleweed|"
    if found := _LEAP.fullmatch(product):
        return f"opensuse-leap:{found[1]}|"
    name, release = _split(product)
    if not release:
        return ""
    if name.startswith(("SUSE Linux Enterprise Micro", "SUSE Linux Micro")):
        return f"sle-micro:{release}|"
    if not name.startswith(("SUSE Linux Enterprise", "SUSE Package Hub")):
        return ""
    upper = product.upper()
    channel = next((channel for word, channel in _CHANNELS if word in upper), "")
    return f"sles:{release}|{channel}"


def _split(product: str) -> tuple[str, str]:
    """What stands before a product's release, and the release as ``os-release`` has it: ``15.5``, ``16.0``."""
    words = product.split(" ")
    for at in range(len(words) - 1, 0, -1):
        if number := _NUMBER.match(words[at]):
            pack = _PACK.match(words[at + 1]) if at + 1 < len(words) and number[0] == words[at] else None
            return " ".join(words[:at]), f"{number[0]}.{pack[1]}" if pack else number[0]
    return product, ""


def _advisory(definition: oval.Definition, source: str, *, facts_only: bool) -> Advisory:
    facts = definition.facts
    title = facts.get("title", "")
    cves = fields.cve_ids(flaw.text.partition(" ")[0] for flaw in definition.flaws)
    page = "https://www.suse.com/security/cve/{}.html"
    if definition.kind == "patch":
        names = [title, *(item.id for item in definition.references if item.source == "SUSE-SU")]
        found = next((match for match in map(_PATCH.search, names) if match), None)
        if found is None:
            raise SpoiltRecord("a patch without a number")
        identifier, title = found[0], title.replace(found[0], "").strip(" :-")
        links = [item.url for item in definition.references if item.id == identifier]
    else:
        identifier, cves = fields.identifier(title), ()
        links, title = [page.format(identifier)] if fields.CVE.fullmatch(identifier) else [], ""
    return Advisory(
        id=identifier,
        source=source,
        title="" if facts_only else fields.title(title),
        severity=fields.severity(facts.get("severity")),
        cvss=_scores(source, definition.flaws) if not cves else (),
        cves=cves,
        url=next(iter(fields.links(links)), ""),
        published=fields.time(facts.get("issued")),
        modified=fields.time(facts.get("updated") or facts.get("issued")),
    )


def _scores(source: str, flaws: list[oval.Flaw]) -> tuple[Cvss, ...]:
    """``7/CVSS:3.1/AV:L/…`` of SUSE, and of NVD where the text says so (``CVE-2099-0001 at NVD``)."""
    found: list[Cvss] = []
    for flaw in flaws:
        vector = flaw.cvss3.partition("/")[2]
        found += fields.scores("nvd" if flaw.text.endswith("NVD") else source, [vector] if vector else [])
    return tuple(sorted(set(found)))


def _united(found: Iterable[Claim]) -> Iterator[Affected]:
    """The ranges of one definition: each package's in each namespace, from the channel that most have."""
    said: dict[tuple[str, str], dict[str, set[Span]]] = {}
    for claim in found:
        for platform in claim.platforms or ():
            namespace, _, channel = platform.partition("|")
            if namespace:
                package = (namespace, fields.package(namespace, claim.span.name))
                said.setdefault(package, {}).setdefault(channel, set()).add(claim.span)
    for (namespace, name), channels in sorted(said.items()):
        bad = [channel for channel, spans in channels.items() if not all(span.unaffected for span in spans)]
        if bad:
            channel = min(bad, key=lambda channel: (_ORDER.get(channel, 99), channel))
            ranges = _ranges([span for span in channels[channel] if not span.unaffected], channel)
        else:
            ranges = [affected("rpm", status=Status.NOT_AFFECTED)]
        yield Affected(namespace, name, tidy(ranges))


def _ranges(spans: Iterable[Span], channel: str) -> list[AffectedRange]:
    by_arch: dict[str, list[Span]] = {}
    for span in spans:
        by_arch.setdefault(span.arch, []).append(span)
    ranges = []
    for arch, several in by_arch.items():
        fixes = [span.upper for span in several if span.upper and not span.lower and not span.inclusive]
        if fixes:
            several = [Span("", upper=greatest("rpm", fixes))]
        elif any(not span.upper and not span.lower for span in several):
            several = [Span("")]
        for span in several:
            ranges.append(
                affected(
                    "rpm",
                    span.lower,
                    span.upper,
                    LAST if span.inclusive else FIXED,
                    arch=_arch(arch),
                    channel=channel if span.upper and not span.inclusive else "",
                )
            )
    return ranges


@lru_cache(maxsize=256)
def _arch(arches: str) -> str:
    """Architectures in one order. ``noarch`` beside others says nothing of them, and alone nothing at all."""
    return "|".join(sorted(set(arches.split("|")) - {"noarch", ""}))
