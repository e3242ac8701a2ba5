"""A group of records becomes a finding: how bad, since when, how to be rid of it, and who says so.

Pure. Severity comes from the nearest voice: the range's own rating, the advisory's word, the advisory's
CVSS; then the same of the other records of the flaw; then NVD. A notice about several flaws rates the worst of
them, and is asked last (``docs/matching.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from redoubt.matcher.group import Group, Hit
from redoubt.matcher.interface import Snapshot
from redoubt.model import (
    Advisory,
    AdvisoryReference,
    AffectedRange,
    CveRecord,
    Cvss,
    Epss,
    Finding,
    KnownExploited,
    Severity,
    Status,
    namespaces,
)

#: Where sources differ about a flaw, the first of these that any of them says stands.
_STATUS_ORDER = {status: place for place, status in enumerate(Status)} | {Status.UNDER_INVESTIGATION: 99}

#: As a plain value: this runs once a finding, and an enumeration's members are slow to look up.
_UNKNOWN = Severity.UNKNOWN
#: A score of 0.0 says that a flaw is none: a notice that repairs it knows better.
_LOW = Severity.LOW.rank

_T = TypeVar("_T")
_Ordered = TypeVar("_Ordered", str, Cvss)


class _Asked(dict[str, _T | None]):
    """Name → what definitions say of it, asked for once."""

    def __init__(self, ask: Callable[[str], _T | None]) -> None:
        super().__init__()
        self._ask = ask

    def __missing__(self, name: str) -> _T | None:
        known = self[name] = self._ask(name)
        return known


class Scores:
    """What the definitions say of CVEs, each asked for once during one match."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._cves = _Asked(snapshot.cve)
        self._epss = _Asked(snapshot.epss)
        #: The same of one CVE. (Brackets look this up, in a subclass, each time.)
        self.cve = self._cves.__getitem__
        self.epss_of = self._epss.__getitem__
        self._rated = _Asked(snapshot.advisory)

    def cves(self, identifiers: tuple[str, ...]) -> list[CveRecord]:
        """The records of those CVEs that have one."""
        asked = self.cve
        if len(identifiers) == 1:
            return [] if (record := asked(identifiers[0])) is None else [record]
        return [record for name in identifiers if (record := asked(name)) is not None]

    def rebuilt(self, namespace: str, cve: str) -> tuple[Severity, str]:
        """How bad a CVE is to those whose packages a distribution (``namespace``) builds anew, and who these are."""
        source = namespaces.rebuilt_from(namespace)
        record = self._rated[f"{source}/{cve}"] if source else None
        if record is None or record.withdrawn or record.severity is _UNKNOWN:
            return _UNKNOWN, ""
        return record.severity, source

    def epss(self, identifiers: tuple[str, ...]) -> Epss | None:
        """The highest score among some CVEs."""
        asked = self.epss_of
        if len(identifiers) == 1:
            return asked(identifiers[0])
        scores = [score for name in identifiers if (score := asked(name)) is not None]
        return max(scores, key=lambda score: (score.probability, score.percentile)) if scores else None


def finding(group: Group, fixed: str, namespace: str, scores: Scores) -> Finding:
    """The finding of one group. ``fixed`` is the version that repairs it, or empty."""
    hits = group.hits
    advisory = hits[0].advisory if len(hits) == 1 else _united(hits)
    cves = scores.cves(group.cves)
    severity, severity_source = _severity(group, cves, namespace, scores)
    cvss = advisory.cvss
    if cves or len(cvss) > 1:
        cvss = _merged([cvss, *[record.cvss for record in cves]])
    references = advisory.references
    if references:
        references = tuple(sorted(set(references) - {advisory.url}))
    return Finding(
        id=group.id,
        status=_status(hits),
        severity=severity,
        severity_source=severity_source,
        title=advisory.title,
        fixed_version=fixed,
        fix_channel=_channel(hits, fixed) if fixed else "",
        fixing_advisory=_fixing_advisory(group, fixed) if fixed else "",
        aliases=group.aliases,
        cvss=cvss,
        cwes=advisory.cwes if len(advisory.cwes) < 2 else _merged([advisory.cwes]),
        kev=_kev(cves) if cves else None,
        epss=scores.epss(group.cves) if group.cves else None,
        url=advisory.url,
        published=advisory.published,
        references=references,
        namespace=namespace,
        advisories=_references(hits),
    )


def of_one(hit: Hit, fixed: str, namespace: str, scores: Scores) -> Finding:
    """``finding`` of a record that has one range and speaks of one flaw, a CVE, by that name alone. In half the time."""
    advisory, item = hit.advisory, hit.found[0]
    cve = scores.cve(advisory.id)
    severity, severity_source = rating(advisory, hit.found)
    cvss = advisory.cvss
    references = advisory.references
    if cve is not None:
        if not severity_source:
            severity, severity_source = _anywhere([cve])
        cvss = _merged([cvss, cve.cvss])
    elif len(cvss) > 1:
        cvss = _merged([cvss])
    if references:
        references = tuple(sorted(set(references) - {advisory.url}))
    return Finding(
        id=advisory.id,
        status=item.status,
        severity=severity,
        severity_source=severity_source,
        title=advisory.title,
        fixed_version=fixed,
        fix_channel=item.channel if fixed else "",
        fixing_advisory=item.notice if fixed else "",
        cvss=cvss,
        cwes=advisory.cwes if len(advisory.cwes) < 2 else _merged([advisory.cwes]),
        kev=cve.kev if cve is not None else None,
        epss=scores.epss_of(advisory.id),
        url=advisory.url,
        published=advisory.published,
        references=references,
        namespace=namespace,
        advisories=(
            AdvisoryReference(
                ref=hit.ref, url=advisory.url, range=item.text, fixed=item.fixed, status=item.status
            ),
        ),
    )


def _united(hits: list[Hit]) -> Advisory:
    """What several records of a flaw say together: the first words, all scores and links, the first day."""
    advisories = [hit.advisory for hit in hits]
    return Advisory(
        id=advisories[0].id,
        source=advisories[0].source,
        title=_first([advisory.title for advisory in advisories]),
        cvss=_merged([advisory.cvss for advisory in advisories]),
        cwes=_merged([advisory.cwes for advisory in advisories]),
        references=_merged(
            [
                *[advisory.references for advisory in advisories],
                tuple(advisory.url for advisory in advisories if advisory.url),
            ]
        ),
        url=_first([advisory.url for advisory in advisories]),
        published=min([advisory.published for advisory in advisories if advisory.published], default=""),
    )


def severity_of(cvss: tuple[Cvss, ...]) -> tuple[Severity, str]:
    """The word for the highest base score of the newest CVSS version among some, and ``cvss:SOURCE``."""
    if not cvss:
        return _UNKNOWN, ""
    best = max(cvss, key=lambda item: (_cvss_version(item.vector), item.score, item.source))
    return best.severity, f"cvss:{best.source}"


def _cvss_version(vector: str) -> str:
    return vector[5:8] if vector.startswith("CVSS:") else "2.0"


def rating(advisory: Advisory, found: Sequence[AffectedRange]) -> tuple[Severity, str]:
    """How bad one record calls its ``found`` ranges (one at least), and who gave that; unknown and empty if nobody."""
    own = found[0].severity if len(found) == 1 else _worst([item.severity for item in found])
    if own is not _UNKNOWN:
        return own, advisory.source
    if advisory.severity is not _UNKNOWN:
        return advisory.severity, advisory.source
    return severity_of(advisory.cvss)


def _severity(group: Group, cves: list[CveRecord], namespace: str, scores: Scores) -> tuple[Severity, str]:
    of_notices: list[tuple[Severity, str]] = []
    for hit in group.hits:
        said = rating(hit.advisory, hit.found)
        if said[1]:
            if len(hit.advisory.cves) < 2:
                return said
            of_notices.append(said)
    if of_notices and (said := scores.rebuilt(namespace, group.id))[1]:
        return said
    said = _anywhere(cves)
    if not of_notices:
        return said
    # The flaw is none of theirs that is worse than what they say: theirs is the worst of several.
    bound = min(of_notices, key=_rank)
    return said if _LOW <= said[0].rank < bound[0].rank else bound


def _anywhere(cves: list[CveRecord]) -> tuple[Severity, str]:
    """How bad some CVEs are called wherever they occur, and by whom."""
    if not cves:
        return _UNKNOWN, ""
    rated = [record.severity for record in cves if record.severity is not _UNKNOWN]
    if rated:
        return _worst(rated), "nvd"
    return severity_of(_merged([record.cvss for record in cves]))


def _rank(said: tuple[Severity, str]) -> int:
    return said[0].rank


def _worst(severities: Sequence[Severity]) -> Severity:
    return max(severities, key=lambda severity: severity.rank)


def _status(hits: list[Hit]) -> Status:
    if len(hits) == 1 and len(hits[0].found) == 1:
        return hits[0].found[0].status
    said = {item.status for hit in hits for item in hit.found}
    return min(said, key=_STATUS_ORDER.__getitem__)


def _kev(cves: list[CveRecord]) -> KnownExploited | None:
    listed = [record.kev for record in cves if record.kev]
    return min(listed, key=lambda kev: (kev.added, kev.due, kev.ransomware)) if listed else None


def _channel(hits: list[Hit], fixed: str) -> str:
    """What must be subscribed to for a fix; empty where any record gives it to everybody."""
    channels = {item.channel for hit in hits for item in hit.ranges if item.upper == fixed and item.fixed}
    return min(channels, default="")


def _fixing_advisory(group: Group, fixed: str) -> str:
    """The erratum that brings the version which repairs the flaw."""
    for hit in group.hits:
        for item in hit.found:
            if item.notice and item.upper == fixed:
                return item.notice
        if hit.advisory.cves and hit.advisory.id != group.id:
            for item in hit.found:
                if item.upper == fixed:
                    return hit.advisory.id
    return ""


def _references(hits: list[Hit]) -> tuple[AdvisoryReference, ...]:
    if len(hits) == 1 and len(hits[0].found) == 1:
        return (_reference(hits[0], hits[0].found[0]),)
    return tuple(sorted([_reference(hit, item) for hit in hits for item in hit.found]))


def _reference(hit: Hit, item: AffectedRange) -> AdvisoryReference:
    return AdvisoryReference(
        ref=hit.ref,
        url=hit.advisory.url,
        range=item.text,
        fixed=item.fixed,
        status=item.status,
        severity=rating(hit.advisory, hit.found)[0] if len(hit.advisory.cves) > 1 else _UNKNOWN,
    )


def _merged(parts: list[tuple[_Ordered, ...]]) -> tuple[_Ordered, ...]:
    """All items of some tuples, sorted, each once."""
    first = parts[0]
    if len(first) < 2 and parts.count(first) == len(parts):
        return first
    return tuple(sorted({item for part in parts for item in part}))


def _first(texts: Iterable[str]) -> str:
    return next((text for text in texts if text), "")
