"""Oracle Linux's errata, in OVAL: ``com.oracle.elsa-all.xml.bz2``.

An erratum (ELSA) is a notice of repaired packages, not a flaw: its CVEs go to ``Advisory.cves``. What is special:

- Three flavours of builds whose versions do not compare: common ones, those for Ksplice (``.ksplice1.``) and
  those certified for FIPS (``_fips``). A fix of one says nothing of the others, so each flavour has a name of
  its own (``namespaces.flavoured``). An erratum whose products are all ``userspace_ksplice`` is one of Ksplice,
  whatever its versions look like.
- The architecture in a tree is the system's. Where each has the same fix, the fix is anybody's; where they differ,
  it counts for packages that such a system may have (an i686 library on x86_64).
- ``Module nodejs:18 is enabled`` restricts to a stream. From release 8 on, builds outside modules say
  nothing of modular packages (``-``).
- Platforms, architectures and modules are told by comments: their tests are patterns, or look into files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

import msgspec

from redoubt.definitions.feeds import fields, oval
from redoubt.definitions.feeds.criteria import Claim, Scope, claims
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, LAST, affected, tidy
from redoubt.model import Advisory, Affected, AffectedRange
from redoubt.model.namespaces import flavoured

_COMMENT = re.compile(
    r"Oracle Linux (?P<platform>\d+)(?:\.\d+)? is installed$|Oracle Linux arch is (?P<arch>[\w|]+)$"
    r"|Module (?P<module>[\w.+-]+:[\w.+-]+) is enabled$"
)
_ID = re.compile(r"EL[SBE]A-\d{4}-\d+(?:-\d+)?")
_CERTAINLY_MODULAR = re.compile(r"\.module[+_]el")
_KSPLICE = ":userspace_ksplice"
_FIRST_MODULAR = 8

#: What a system of an architecture may have installed, beside its own.
_COMPATIBLE = {"x86_64": "i386|i586|i686|x86_64", "i386": "i386|i586|i686", "i686": "i386|i586|i686"}


class OracleFeed:
    """Reads Oracle's errata."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``."""
        for name, chunks in files.pieces():
            document = oval.read(name, chunks, notes, _COMMENT)
            for definition in document.definitions:
                try:
                    advisory = _advisory(definition, source, facts_only=facts_only)
                    found = _affected(
                        claims(definition.criteria, document.tests, _scope, notes.drop),
                        ksplice=_only_ksplice(definition.cpes),
                    )
                except SpoiltRecord as error:
                    notes.spoil(f"{name} {definition.id}", error)
                    continue
                if not found:
                    notes.drop("affects nothing that has versions here")
                    continue
                notes.dated(advisory.modified)
                yield advisory, found


@lru_cache(maxsize=4096)
def _known(comment: str) -> Scope | None:
    found = _COMMENT.match(comment)
    if found is None or found.lastgroup is None:
        return None
    value = found[found.lastgroup]
    return Scope(found.lastgroup, f"oracle:{value}" if found.lastgroup == "platform" else value)


def _scope(comment: str, test: oval.Test | None) -> Scope | None:
    return _known(comment) if comment else None


def _only_ksplice(cpes: list[str]) -> bool:
    return bool(cpes) and all(cpe.endswith(_KSPLICE) or f"{_KSPLICE}:" in cpe for cpe in cpes)


def _advisory(definition: oval.Definition, source: str, *, facts_only: bool) -> Advisory:
    facts = definition.facts
    own = [item for item in definition.references if item.source.lower() == "elsa"]
    found = next(
        (match for match in map(_ID.search, [*(item.id for item in own), facts.get("title", "")]) if match),
        None,
    )
    if found is None:
        raise SpoiltRecord("an erratum without a number")
    title = facts.get("title", "").replace(f"{found[0]}:", "", 1)
    return Advisory(
        id=found[0],
        source=source,
        title="" if facts_only else fields.title(title),
        severity=fields.severity(facts.get("severity")),
        cves=fields.cve_ids(flaw.text for flaw in definition.flaws),
        url=next(iter(fields.links(item.url for item in own)), ""),
        published=fields.time(facts.get("issued")),
        modified=fields.time(facts.get("updated") or facts.get("issued")),
    )


def _affected(found: Iterable[Claim], *, ksplice: bool) -> tuple[Affected, ...]:
    # Of each package and stream: range without architecture → the architectures that the erratum gives it for.
    said: dict[tuple[str, str, str], dict[AffectedRange, set[str]]] = {}
    for claim in found:
        span = claim.span
        bare = affected("rpm", span.lower, span.upper, LAST if span.inclusive else FIXED)
        for namespace in claim.platforms or ():
            name = fields.package(namespace, span.name)
            flavour = flavoured(namespace, name, span.upper or span.lower)
            if ksplice and flavour == name:
                flavour = f"{name}:ksplice"
            for module in _modules(claim, namespace):
                arches = said.setdefault((namespace, flavour, module), {}).setdefault(bare, set())
                arches |= claim.arches or {""}
    ranges: dict[tuple[str, str], list[AffectedRange]] = {}
    for (namespace, name, module), fixes in sorted(said.items()):
        differ = len({frozenset(arches) for arches in fixes.values()}) > 1
        for bare, arches in fixes.items():
            arch = _arch(frozenset(arches)) if differ else ""
            whole = msgspec.structs.replace(bare, arch=arch, module=module)
            ranges.setdefault((namespace, name), []).append(whole)
    return tuple(Affected(namespace, name, tidy(several)) for (namespace, name), several in ranges.items())


def _modules(claim: Claim, namespace: str) -> Iterable[str]:
    if claim.modules is not None:
        return sorted(claim.modules)
    if int(namespace.partition(":")[2]) < _FIRST_MODULAR:
        return ("",)
    return ("*",) if _CERTAINLY_MODULAR.search(claim.span.upper) else ("-",)


@lru_cache(maxsize=64)
def _arch(arches: frozenset[str]) -> str:
    if "" in arches:
        return ""
    return "|".join(sorted({each for arch in arches for each in _COMPATIBLE.get(arch, arch).split("|")}))
