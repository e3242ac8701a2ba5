"""Records of the same flaw become one group: CVE first, whatever each source calls it.

Pure. This module must not know of versions or scores. An alias is taken as the same flaw (OSV schema,
``aliases``); an erratum (``Advisory.cves``) is not a flaw but repairs several, so it stands in the group
of each of its CVEs and joins none of them to another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from redoubt.matcher.judge import Ranges
from redoubt.model import Advisory, AffectedRange

_CVE = re.compile(r"CVE-(\d{4})-(\d{4,19})")


class Hit(msgspec.Struct, frozen=True, gc=False):
    """An advisory whose ``found`` ranges (of all its ``ranges``) hold the installed version.

    Of a notice ``only`` are the flaws that it counts for; empty where these are all of its own.
    """

    ref: str
    advisory: Advisory
    ranges: Ranges
    found: list[AffectedRange]
    only: tuple[str, ...] = ()


class Group(msgspec.Struct, frozen=True, gc=False):
    """One flaw. ``hits`` are in order of authority: the record named like the flaw, others, errata."""

    id: str
    aliases: tuple[str, ...]
    cves: tuple[str, ...]
    hits: list[Hit]


@lru_cache(1 << 16)  # asked for each record of each package, and what is built of one source has the same
def is_cve(identifier: str) -> bool:
    """Whether an id is a CVE's."""
    return _CVE.fullmatch(identifier) is not None


#: The same, as something or None, where it is asked once a record and there is nothing to remember.
like_cve = _CVE.fullmatch


def names(advisory: Advisory) -> tuple[str, ...]:
    """The names of the flaws that a record speaks of: its CVEs if it is an erratum, else its own."""
    return advisory.cves or (advisory.id, *advisory.aliases)


def group(hits: list[Hit], not_affected: frozenset[str]) -> list[Group]:
    """Hits of one package in one namespace, one group a flaw, in no particular but a stable order.

    ``not_affected`` are names of flaws that the namespace's own records explicitly deny: a group all of
    whose CVEs (all of whose names, where it has none) are denied is left out.
    """
    if any(hit.advisory.aliases or hit.advisory.cves for hit in hits):
        related = [_group(ids, members, not_affected) for ids, members in _related(hits).values()]
        return [item for item in related if item is not None]
    # Most distributions: every record is one flaw under one name.
    named: dict[str, list[Hit]] = {}
    for hit in hits:
        named.setdefault(hit.advisory.id, []).append(hit)
    return [
        Group(
            name,
            (),
            (name,) if is_cve(name) else (),
            sorted(members, key=_ref) if len(members) > 1 else members,
        )
        for name, members in named.items()
        if name not in not_affected
    ]


def _related(hits: list[Hit]) -> dict[str, tuple[set[str], list[Hit]]]:
    """Names and records of each flaw, by one of its names."""
    mentions: list[tuple[tuple[str, ...], Hit]] = []
    for hit in hits:
        if hit.advisory.cves:
            mentions += [((cve,), hit) for cve in hit.only or hit.advisory.cves]
        else:
            mentions.append(((hit.advisory.id, *hit.advisory.aliases), hit))
    roots = _union(ids for ids, _ in mentions)
    members: dict[str, tuple[set[str], list[Hit]]] = {}
    for ids, hit in mentions:
        group_ids, group_hits = members.setdefault(_find(roots, ids[0]), (set(), []))
        group_ids.update(ids)
        group_hits.append(hit)
    return members


def _group(ids: set[str], hits: list[Hit], not_affected: frozenset[str]) -> Group | None:
    cves = [name for name in ids if is_cve(name)]
    if cves:
        if len(cves) > 1:
            cves.sort(key=_cve_number)
        left = [name for name in cves if name not in not_affected]
        if not left:
            return None
        identifier = left[0]
    else:
        if not not_affected.isdisjoint(ids):
            return None
        identifier = min([hit.advisory.id for hit in hits])
    aliases: tuple[str, ...] = ()
    if len(ids) > 1:
        aliases = tuple([name for name in (*cves, *sorted(ids.difference(cves))) if name != identifier])
    if len(hits) > 1:
        unique = {hit.ref: hit for hit in hits}
        hits = sorted(
            unique.values(), key=lambda hit: (hit.advisory.id != identifier, bool(hit.advisory.cves), hit.ref)
        )
    return Group(identifier, aliases, tuple(cves), hits)


def _ref(hit: Hit) -> str:
    return hit.ref


def _cve_number(identifier: str) -> tuple[int, int]:
    """CVE-2021-9999 comes before CVE-2021-10000."""
    _, year, number = identifier.split("-")
    return int(year), int(number)


def _union(sets: Iterable[tuple[str, ...]]) -> dict[str, str]:
    parents: dict[str, str] = {}
    for ids in sets:
        first = _find(parents, ids[0])
        for other in ids[1:]:
            root = _find(parents, other)
            if root != first:
                parents[root] = first
    return parents


def _find(parents: dict[str, str], name: str) -> str:
    root = name
    while (parent := parents.setdefault(root, root)) != root:
        root = parent
    while parents[name] != root:
        parents[name], name = root, parents[name]
    return root
