"""A group of records becomes a finding: how bad, since when, how to be rid of it, and who says so.

Pure. Severity comes from the nearest voice: the range's own rating, the advisory's word, the advisory's
CVSS; then the same of the other records of the flaw; then NVD (``docs/matching.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from redoubt.matcher.group import Group, Hit
from redoubt.matcher.interface import Snapshot
from redoubt.model import (
    AdvisoryReference,
    AffectedRange,
    CveRecord,
    Cvss,
    Epss,
    Finding,
    KnownExploited,
    RangeFlag,
    Severity,
    Status,
)

#: Where sources differ about a flaw, the first of these that any of them says stands.
_STATUS_ORDER = {status: place for place, status in enumerate(Status)} | {Status.UNDER_INVESTIGATION: 99}

_T = TypeVar("_T")


class Scores:
    """What the definitions say of CVEs, each asked for once during one match."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._cves: dict[str, CveRecord | None] = {}
        self._epss: dict[str, Epss | None] = {}

    def cves(self, identifiers: Iterable[str]) -> list[CveRecord]:
        """The records of those CVEs that have one."""
        return _known(identifiers, self._cves, self._snapshot.cve)

    def epss(self, identifiers: Iterable[str]) -> Epss | None:
        """The highest score among some CVEs."""
        scores = _known(identifiers, self._epss, self._snapshot.epss)
        return max(scores, key=lambda score: (score.probability, score.percentile), default=None)


def finding(group: Group, fixed: str, namespace: str, scores: Scores) -> Finding:
    """The finding of one group. ``fixed`` is the version that repairs it, or empty."""
    cves = scores.cves(group.cves)
    advisories = [hit.advisory for hit in group.hits]
    severity, severity_source = _severity(group.hits, cves)
    published = [advisory.published for advisory in advisories if advisory.published]
    links = {link for advisory in advisories for link in (advisory.url, *advisory.references) if link}
    url = _first(advisory.url for advisory in advisories)
    return Finding(
        id=group.id,
        status=_status(group.hits),
        severity=severity,
        severity_source=severity_source,
        title=_first(advisory.title for advisory in advisories),
        fixed_version=fixed,
        fixing_advisory=_fixing_advisory(group, fixed),
        aliases=group.aliases,
        cvss=tuple(sorted({score for record in advisories for score in record.cvss} | _scores(cves))),
        cwes=tuple(sorted({cwe for advisory in advisories for cwe in advisory.cwes})),
        kev=_kev(cves),
        epss=scores.epss(group.cves),
        url=url,
        published=min(published, default=""),
        references=tuple(sorted(links - {url})),
        namespace=namespace,
        advisories=_references(group.hits),
    )


def severity_of(cvss: tuple[Cvss, ...]) -> tuple[Severity, str]:
    """The word for the highest base score of the newest CVSS version among some, and ``cvss:SOURCE``."""
    if not cvss:
        return Severity.UNKNOWN, ""
    best = max(cvss, key=lambda item: (_cvss_version(item.vector), item.score, item.source))
    return best.severity, f"cvss:{best.source}"


def _cvss_version(vector: str) -> str:
    return vector[5:8] if vector.startswith("CVSS:") else "2.0"


def _severity(hits: list[Hit], cves: list[CveRecord]) -> tuple[Severity, str]:
    for hit in hits:
        own = max((item.severity for item in hit.found), key=lambda severity: severity.rank)
        for said in (own, hit.advisory.severity):
            if said is not Severity.UNKNOWN:
                return said, hit.advisory.source
        severity, source = severity_of(hit.advisory.cvss)
        if source:
            return severity, source
    rated = [record.severity for record in cves if record.severity is not Severity.UNKNOWN]
    if rated:
        return max(rated, key=lambda severity: severity.rank), "nvd"
    return severity_of(tuple(sorted(_scores(cves))))


def _scores(cves: list[CveRecord]) -> set[Cvss]:
    return {score for record in cves for score in record.cvss}


def _status(hits: list[Hit]) -> Status:
    return min((item.status for hit in hits for item in hit.found), key=_STATUS_ORDER.__getitem__)


def _kev(cves: list[CveRecord]) -> KnownExploited | None:
    listed = [record.kev for record in cves if record.kev]
    return min(listed, key=lambda kev: (kev.added, kev.due, kev.ransomware), default=None)


def _fixing_advisory(group: Group, fixed: str) -> str:
    """The erratum that brings the version which repairs the flaw."""
    for hit in group.hits:
        if (
            hit.advisory.cves
            and hit.advisory.id != group.id
            and any(item.upper == fixed for item in hit.found)
        ):
            return hit.advisory.id if fixed else ""
    return ""


def _references(hits: list[Hit]) -> tuple[AdvisoryReference, ...]:
    return tuple(
        sorted(
            AdvisoryReference(
                ref=hit.ref,
                url=hit.advisory.url,
                range=_range(item),
                fixed=item.upper if item.flags & RangeFlag.FIXED else "",
                status=item.status,
            )
            for hit in hits
            for item in hit.found
        )
    )


def _range(item: AffectedRange) -> str:
    inclusive = bool(item.flags & RangeFlag.INCLUSIVE)
    if inclusive and item.lower and item.lower == item.upper:
        return f"= {item.lower}"
    bounds = []
    if item.lower:
        bounds.append(f">= {item.lower}")
    if item.upper:
        bounds.append(f"{'<=' if inclusive else '<'} {item.upper}")
    return ", ".join(bounds) or "any version"


def _first(texts: Iterable[str]) -> str:
    return next((text for text in texts if text), "")


def _known(names: Iterable[str], cache: dict[str, _T | None], ask: Callable[[str], _T | None]) -> list[_T]:
    found = []
    for name in names:
        if name not in cache:
            cache[name] = ask(name)
        record = cache[name]
        if record is not None:
            found.append(record)
    return found
