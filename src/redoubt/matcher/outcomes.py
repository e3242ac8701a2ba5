"""What one record comes to for one version, found once for all packages that it says the same of.

Red Hat's data speaks of every binary package, and what was built from one source mostly has the same flaws, word for
word: a record is judged, and its finding made, for the first of them. Pure. This module must not know of definitions,
nor how a record is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import msgspec

from redoubt.matcher import judge
from redoubt.matcher.group import Hit
from redoubt.matcher.judge import Point, Ranges
from redoubt.model import Finding


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """What is known of one package at one version, wherever and however often it is installed."""

    findings: tuple[Finding, ...]
    upgrade: str
    unfixed: int


CLEAN = Judgement((), "", 0)


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What a record says of a version: the ``hit`` where it holds it, or that it ``denies`` the flaw, or nothing.

    ``name`` is the CVE that it speaks of and nothing else, empty where other names or an erratum are in play. Only
    then ``finding`` is given, what the hit comes to if no other record joins in, whether that counts as ``unfixed``,
    ``least`` (what an upgrade must at least be) and ``order`` (the finding's place). No version from ``reach`` upwards is affected by it, that of
    a flaw without fix left aside.
    """

    hit: Hit | None = None
    denies: bool = False
    name: str = ""
    reach: bytes = b""
    finding: Finding | None = None
    unfixed: bool = False
    least: Point | None = None
    order: tuple[object, ...] = ()


class Record(msgspec.Struct, gc=False, eq=False):
    """A record's ranges about some packages that only differ in their names, and the outcome once it was asked for."""

    ref: str
    ranges: Ranges
    outcome: Outcome | None = None


_order = attrgetter("order")
_unfixed = attrgetter("unfixed")


def plainly(outcomes: Sequence[Outcome], scheme: str) -> Judgement | None:
    """What the outcomes on a package come to where each is on a CVE of its own; None where that takes a closer look."""
    hits = [item for item in outcomes if item.hit is not None]
    if not hits:
        return CLEAN
    names = [item.name for item in outcomes if item.denies or item.hit is not None]
    if len({"", *names}) <= len(names):
        return None
    upgrade = ""
    if points := [item.least for item in hits if item.least is not None]:
        start = judge.largest(scheme, points)
        if not start.exact or max([item.reach for item in outcomes]) > start.key:
            return None
        upgrade = start.text
    if len(hits) > 1:
        hits.sort(key=_order)
    findings = tuple([item.finding for item in hits if item.finding is not None])
    return Judgement(findings, upgrade, sum(map(_unfixed, hits)))
