"""What definitions know of a flaw or of a package, whatever image it may be in.

Packages are looked up; other names of a flaw are in no index, so all advisories are read through for
them. Pure: it must not know of images, or of how what it finds is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from redoubt.definitions import records
from redoubt.definitions.snapshot import Snapshot
from redoubt.model import Advisory, Affected, AffectedRange, CveRecord, Epss, namespaces

_CVE = re.compile(r"cve-\d{4}-\d{4,19}", re.IGNORECASE)


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One advisory, and the packages (of those that were asked for) that it speaks of."""

    advisory: Advisory
    affected: tuple[Affected, ...]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of ``query``: advisories by ref, the scores of the CVE if it is one, and the day on which
    the distribution's release ends if it is one (``debian:10``).
    """

    query: str
    known: tuple[Known, ...] = ()
    cve: CveRecord | None = None
    epss: Epss | None = None
    end_of_life: str = ""


def search(snapshot: Snapshot, query: str) -> Found:
    """What ``query``, a package's whole name or else a flaw's id, is known for."""
    found = of_package(snapshot, query)
    return found if found.known else of_flaw(snapshot, query)


def of_package(snapshot: Snapshot, name: str) -> Found:
    """The advisories about a package in every namespace; ``name`` is whole, in any spelling its ecosystem folds.

    Those that speak of it as it is installed, where others speak of sources, are among them.
    """
    affected: dict[str, list[Affected]] = {}
    for namespace in sorted(snapshot.info.namespaces):
        folded = namespaces.normalize(namespace, name)
        for each in (folded, namespaces.binary(folded)):
            for ref, ranges in snapshot.affected(namespace, each):
                affected.setdefault(ref, []).append(Affected(namespace, each, ranges))
    return Found(query=name, known=_known(snapshot, affected))


def of_flaw(snapshot: Snapshot, identifier: str) -> Found:
    """The advisories that bear an id or name it as an alias or as a CVE that they repair; ``source/id`` too.

    Case matters but for CVEs. Ids related only through a third record are not followed.
    """
    name = canonical(identifier)
    word = name.encode()
    affected: dict[str, list[Affected]] = {}
    for ref, value in snapshot.mentions(records.ADVISORY, [word]):
        if bears(records.decode_advisory(ref, value), name):
            affected[ref] = []
    words = [ref.encode() for ref in affected]
    if words:
        for key, _ in snapshot.mentions(records.AFFECTED, words):
            namespace, _, package = key.partition("\0")
            for ref, ranges in snapshot.affected(namespace, package):
                if ref in affected:
                    affected[ref].append(Affected(namespace, package, ranges))
    return Found(
        query=name,
        known=_known(snapshot, affected),
        cve=snapshot.cve(name),
        epss=snapshot.epss(name),
        end_of_life=snapshot.end_of_life(name),
    )


def canonical(identifier: str) -> str:
    """An id as definitions spell it: CVEs are known in capitals; others are left as they are.

    What is no text (a surrogate of an undecodable argument) becomes ``?``.
    """
    identifier = identifier.encode(errors="replace").decode()
    return identifier.upper() if _CVE.fullmatch(identifier) else identifier


def bears(advisory: Advisory, name: str) -> bool:
    """Whether an advisory goes by ``name``, or repairs it."""
    return name in (advisory.id, advisory.ref) or name in advisory.aliases or name in advisory.cves


def fixes(ranges: Iterable[AffectedRange]) -> tuple[str, ...]:
    """The versions that some ranges name as fixed, each once, in their order."""
    return tuple(dict.fromkeys(item.fixed for item in ranges if item.fixed))


def _known(snapshot: Snapshot, affected: dict[str, list[Affected]]) -> tuple[Known, ...]:
    return tuple(
        Known(advisory=_advisory(snapshot, ref), affected=tuple(sorted(places, key=_place)))
        for ref, places in sorted(affected.items())
    )


def _place(item: Affected) -> tuple[str, str]:
    return item.namespace, item.name


def _advisory(snapshot: Snapshot, ref: str) -> Advisory:
    source, _, identifier = ref.partition("/")
    return snapshot.advisory(ref) or Advisory(id=identifier, source=source)
