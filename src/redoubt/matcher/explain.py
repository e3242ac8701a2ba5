"""Why a flaw is, or is not, a finding in each package that any record of it speaks of.

Pure, and judges nothing itself: findings are those of ``match``, reasons those of ``judge``. It must not
know how an explanation is shown.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from redoubt.matcher import judge, kernel, lines
from redoubt.matcher.coverage import Place, coverage, place, unidentified, unversioned
from redoubt.matcher.enrich import rating
from redoubt.matcher.group import Hit, group
from redoubt.matcher.interface import Snapshot
from redoubt.matcher.judge import Bearing, Installed, Ranges
from redoubt.matcher.match import Matching, as_reported, judgeable
from redoubt.matcher.owned import Owners
from redoubt.matcher.suppress import Rule, first, of_packages
from redoubt.model import (
    AffectedRange,
    Coverage,
    Detection,
    Distribution,
    Finding,
    Image,
    IndexReport,
    Layer,
    Package,
    Severity,
    Status,
)

_HOLDING = frozenset({Bearing.HOLDS, Bearing.NOT_AFFECTED})


class Verdict(enum.StrEnum):
    """What came of one package."""

    FINDING = "finding"
    NOT_AFFECTED = "not_affected"  # a record of its namespace says so
    WITHDRAWN = "withdrawn"  # only records hold its version that were taken back
    OUTSIDE = "outside"  # no range holds its version
    UNORDERED = "unordered"  # its version has no place in the order of its kind
    NO_VERSION = "no_version"  # it does not say which version it is
    SUPPRESSED = "suppressed"  # it would be a finding, and does not count: the finding says why
    THIRD_PARTY = "third_party"  # it is not the distribution's, whose records these are


class RangeWord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One range of a record, its keys in hexadecimal, and how it bears on the package (None: no version)."""

    range: str
    bearing: Bearing | None
    lower: str = ""
    upper: str = ""
    fixed: str = ""
    lower_key: str = ""
    upper_key: str = ""
    status: Status = Status.AFFECTED
    arch: str = ""
    module: str = ""
    repository: str = ""


class RecordWord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one source says of the flaw and the package. ``severity`` is its own, not the finding's."""

    ref: str
    ranges: tuple[RangeWord, ...]
    aliases: tuple[str, ...] = ()
    cves: tuple[str, ...] = ()
    severity: Severity = Severity.UNKNOWN
    severity_source: str = ""
    url: str = ""
    withdrawn: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One package of the image: as what it was looked up, each record's word, and what came of it."""

    package: Package
    namespace: str
    name: str
    version: str
    key: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    records: tuple[RecordWord, ...]


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that bears on ``flaw`` in one image. ``unjudged``: packages nobody could be asked about, or not surely."""

    flaw: str
    image: Image
    definitions: str
    layers: tuple[Layer, ...] = ()
    cases: tuple[Case, ...]
    unjudged: tuple[Coverage, ...]


class _Told(msgspec.Struct, frozen=True):
    """A case without the package, which may be installed more than once under other names."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    records: tuple[RecordWord, ...]


def explain(
    report: IndexReport,
    snapshot: Snapshot,
    flaw: str,
    *,
    detection: Detection = Detection.PRECISE,
    rules: Sequence[Rule] = (),
) -> Explanation:
    """Every package of ``report`` whose namespace has a record of ``flaw`` about it, and what was decided.

    ``flaw`` is any name of it: a CVE, an advisory's id, an alias, a ref (``source/id``). ``rules`` are those by which
    the findings of ``match`` are suppressed, in order.
    """
    places = {
        kind: place(kind, report.distribution, snapshot.info)
        for kind in dict.fromkeys(package.type for package in report.packages)
    }
    asking = _Asking(snapshot, flaw, report.distribution)
    cases: list[Case] = []
    strange = set()
    for package in report.packages:
        where = places[package.type]
        if not where.scheme or unidentified(package):
            continue
        installed = asking.matching.installed(package, where, counted=judgeable(package, where))
        if not unversioned(package) and not judge.ordered(where.scheme, installed.version):
            strange.add(f"{package.type}/{package.version}")
        if (told := asking.told(installed, unversioned(package))) is not None:
            if not unversioned(package) and not judgeable(package, where):
                told = msgspec.structs.replace(told, verdict=Verdict.THIRD_PARTY, findings=())
            cases.append(_case(package, where, installed, told))
    owners = None
    if detection is Detection.PRECISE:
        owners = Owners(report.packages, places, frozenset(strange), snapshot)
        rules = (of_packages(kernel.rule, owners.rule), *rules)
    cases = [_settled(case, rules, owners, report.distribution) for case in cases]
    unplaced = asking.matching.products.unplaced
    rows = coverage(report.packages, places, report.distribution, frozenset(strange), unplaced)
    return Explanation(
        flaw=flaw,
        image=report.image,
        definitions=snapshot.info.digest,
        layers=report.layers,
        cases=tuple(sorted(cases, key=_case_order)),
        unjudged=tuple(row for row in rows if row.detail),
    )


class _Asking:
    """One flaw asked about in one snapshot; packages that are judged alike are asked about once."""

    def __init__(self, snapshot: Snapshot, flaw: str, distribution: Distribution | None) -> None:
        self._snapshot = snapshot
        self._flaw = flaw
        self.matching = Matching(snapshot, distribution)
        self._known: dict[Installed, _Told | None] = {}

    def told(self, package: Installed, unversioned: bool) -> _Told | None:
        """What is to be said of a package; None where no record of the flaw speaks of it."""
        if package not in self._known:
            self._known[package] = self._tell(package, unversioned)
        return self._known[package]

    def _tell(self, package: Installed, unversioned: bool) -> _Told | None:
        names, hits = self._related(package)
        if not hits:
            return None
        records = tuple(_record(hit, package, unversioned) for hit in hits)
        if unversioned:
            return _Told(Verdict.NO_VERSION, (), records)
        findings = tuple(item for item in self.matching.judge(package).findings if item.id in names)
        return _Told(_verdict(records, findings, package), findings, records)

    def _related(self, package: Installed) -> tuple[set[str], list[Hit]]:
        """The flaw's names, and the records of the package that are about it under any of them, by ref.

        An erratum asked for by its own id stands for each flaw that it repairs.
        """
        every = [
            Hit(ref, self.matching.advisory(ref), ranges, list(speaking))
            for ref, ranges, speaking in self._entries(package)
        ]
        names: set[str] = set()
        related: dict[str, Hit] = {}
        for item in group(every, frozenset()):
            refs = [name for hit in item.hits for name in (hit.ref, hit.advisory.id)]
            if self._flaw in (item.id, *item.aliases, *refs):
                names.update((item.id, *item.aliases))
                related.update((hit.ref, hit) for hit in item.hits)
        notices = lines.Notices(package, [(hit.ref, hit.ranges) for hit in every], self.matching.advisory)
        return names, [self._of_line(related[ref], package, names, notices) for ref in sorted(related)]

    def _of_line(self, hit: Hit, package: Installed, names: set[str], notices: lines.Notices) -> Hit:
        """The record with those of its ranges that count for a build of the package's line."""
        if (cves := hit.advisory.cves) and names.isdisjoint(notices.left(hit.ref, cves)):
            return msgspec.structs.replace(hit, found=[])
        if lines.subscribed(package) and lines.repaired_for_subscribers(hit.ranges, package):
            return msgspec.structs.replace(hit, found=[item for item in hit.found if item.channel])
        return hit

    def _entries(self, package: Installed) -> list[tuple[str, Ranges, Ranges]]:
        """Each record's ranges, and those of them that speak of the package's product: nearly always all."""
        if package.products is not None:
            return self.matching.products.explained(package)
        known = self._snapshot.affected(package.namespace, package.name)
        return [(ref, ranges, ranges) for ref, ranges in known]


def _record(hit: Hit, package: Installed, unversioned: bool) -> RecordWord:
    advisory, ranges = hit.advisory, hit.ranges
    words = [_range(item, None if unversioned else _bearing(item, hit, package)) for item in ranges]
    pairs = zip(ranges, words, strict=True)
    rated = [item for item, word in pairs if word.bearing is Bearing.HOLDS] or ranges
    severity, source = rating(advisory, rated) if rated else (Severity.UNKNOWN, "")
    return RecordWord(
        ref=hit.ref,
        ranges=tuple(words),
        aliases=advisory.aliases,
        cves=advisory.cves,
        severity=severity,
        severity_source=source,
        url=advisory.url,
        withdrawn=advisory.withdrawn,
    )


def _bearing(item: AffectedRange, hit: Hit, package: Installed) -> Bearing:
    bearing = judge.bearing(item, package)
    elsewhere = item not in hit.found and bearing not in (Bearing.OTHER_ARCH, Bearing.OTHER_MODULE)
    return Bearing.OTHER_REPOSITORY if elsewhere else bearing


def _range(item: AffectedRange, bearing: Bearing | None) -> RangeWord:
    return RangeWord(
        range=item.text,
        bearing=bearing,
        lower=item.lower,
        upper=item.upper,
        fixed=item.fixed,
        lower_key=item.lower_key.hex(),
        upper_key=item.upper_key.hex(),
        status=item.status,
        arch=item.arch,
        module=item.module,
        repository=item.repository,
    )


def _verdict(records: tuple[RecordWord, ...], findings: tuple[Finding, ...], package: Installed) -> Verdict:
    if findings:
        return Verdict.FINDING
    counting = {word.bearing for record in records if not record.withdrawn for word in record.ranges}
    if counting & _HOLDING:  # affected or not: without a denial it would have been a finding
        return Verdict.NOT_AFFECTED
    if any(word.bearing in _HOLDING for record in records for word in record.ranges):
        return Verdict.WITHDRAWN
    return Verdict.OUTSIDE if judge.ordered(package.scheme, package.version) else Verdict.UNORDERED


def _case(package: Package, where: Place, installed: Installed, told: _Told) -> Case:
    return Case(
        package=package,
        namespace=where.namespace,
        name=installed.name,
        version=installed.version.text,
        key=installed.version.key.hex(),
        verdict=told.verdict,
        findings=told.findings,
        records=told.records,
    )


def _settled(
    case: Case, rules: Sequence[Rule], owners: Owners | None, distribution: Distribution | None
) -> Case:
    """The case with the findings that do not count marked so; without any that counts, it is none."""
    if not case.findings or not rules:
        return case
    package = as_reported(case.package, distribution)
    if owners:
        left = owners.left(package.type, package.locations)
        package = msgspec.structs.replace(package, locations=left)
    rule = first(*rules)
    findings = tuple(msgspec.structs.replace(item, suppression=rule(package, item)) for item in case.findings)
    verdict = Verdict.SUPPRESSED if all(item.suppression for item in findings) else case.verdict
    return msgspec.structs.replace(case, findings=findings, verdict=verdict)


def _case_order(case: Case) -> tuple[object, ...]:
    return (case.verdict is not Verdict.FINDING, *case.package.identity, case.package.locations)
