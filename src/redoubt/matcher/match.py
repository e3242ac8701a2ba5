"""Index report and definitions in, vulnerability report out. The core of the house, on one screen.

Pure: no clock, no files, nothing kept between calls. Look up each package's advisories, keep those whose
ranges hold its version, group what is the same flaw, and say what could not be judged. The rules are
told in ``docs/matching.md``.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
from msgspec import structs

from redoubt.matcher import judge, kernel, lines
from redoubt.matcher.aliases import Aliases
from redoubt.matcher.coverage import Place, coverage, place, unidentified, unversioned
from redoubt.matcher.enrich import Scores, finding
from redoubt.matcher.group import Group, Hit, group, is_cve, names
from redoubt.matcher.interface import Snapshot
from redoubt.matcher.judge import Installed, Point, Ranges
from redoubt.matcher.order import finding_order, package_order
from redoubt.matcher.owned import Owners
from redoubt.matcher.redhat import Products
from redoubt.matcher.suppress import first, suppress
from redoubt.matcher.vendors import Origin, origin
from redoubt.model import (
    Advisory,
    AffectedRange,
    Detection,
    Distribution,
    Finding,
    IndexReport,
    Location,
    Package,
    PackageFindings,
    RangeFlag,
    Status,
    VulnerabilityReport,
    namespaces,
    purl,
)


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """What is known of one package at one version, wherever and however often it is installed."""

    findings: tuple[Finding, ...]
    upgrade: str
    unfixed: int


_CLEAN = Judgement((), "", 0)

#: How a range ends whose end is affected, or repairs: from there on an upgrade can be looked for.
_ENDED = RangeFlag.FIXED | RangeFlag.INCLUSIVE

#: A global, since an enumeration's members are slow to look up.
_UNDER_INVESTIGATION = Status.UNDER_INVESTIGATION


@contextmanager
def _collector_paused() -> Iterator[None]:
    """What is made here are many small things without cycles: looking for cycles takes an eighth of the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


@_collector_paused()
def match(
    report: IndexReport, snapshot: Snapshot, *, detection: Detection = Detection.PRECISE
) -> VulnerabilityReport:
    """Everything that ``snapshot`` knows of what is in ``report``. Same inputs, same report.

    ``detection`` says what becomes of language packages that the system's packages installed, and of what is
    built from the kernel's sources and no kernel.
    """
    info = snapshot.info
    types = dict.fromkeys(package.type for package in report.packages)
    places = {kind: place(kind, report.distribution, info) for kind in types}
    matcher = Matching(snapshot, report.distribution)
    packages = []
    strange = set()
    for package in report.packages:
        where = places[package.type]
        if not where.scheme or not judgeable(package, where):
            continue
        installed = matcher.installed(package, where)
        if not judge.ordered(where.scheme, installed.version):
            strange.add(f"{package.type}/{package.version}")
        judgement = matcher.judge(installed)
        if judgement.findings:
            packages.append(_package_findings(package, report.distribution, judgement))
    owners = None
    if detection is Detection.PRECISE:
        owners = Owners(report.packages, places, frozenset(strange), snapshot)
        packages = [_placed(item, owners.left(item.type, item.locations)) for item in packages]
    packages.sort(key=package_order)
    result = VulnerabilityReport(
        image=report.image,
        distribution=report.distribution,
        layers=report.layers,
        package_count=len(report.packages),
        definitions=info,
        end_of_life=_end_of_life(report.distribution, snapshot),
        coverage=coverage(
            report.packages, places, report.distribution, frozenset(strange), matcher.products.unplaced
        ),
        detection=detection,
        packages=tuple(packages),
        problems=report.problems,
    )
    return suppress(result, first(kernel.rule, owners.rule)) if owners else result


def only_fixed(report: VulnerabilityReport) -> VulnerabilityReport:
    """The report without findings that no version repairs which everybody can have; ``left_out`` counts these."""
    packages = []
    left_out = report.left_out
    for package in report.packages:
        findings = tuple(item for item in package.findings if item.fixable)
        left_out += len(package.findings) - len(findings)
        if findings:
            packages.append(structs.replace(package, findings=findings, unfixed=0))
    return structs.replace(report, packages=tuple(sorted(packages, key=package_order)), left_out=left_out)


class Matching:
    """One run. What is asked more than once (binaries of one source, a CVE in many packages) is kept."""

    def __init__(self, snapshot: Snapshot, distribution: Distribution | None) -> None:
        self._snapshot = snapshot
        self.products = Products(snapshot, distribution)
        self._scores = Scores(snapshot)
        self._aliases = Aliases(snapshot)
        self._judged: dict[Installed, Judgement] = {}
        self._advisories: dict[str, Advisory] = {}
        self._findings: dict[tuple[str, str, AffectedRange, str, str], Finding] = {}

    def installed(self, package: Package, where: Place) -> Installed:
        """What decides the match of one package. Ask once for each: some are counted."""
        installed = as_installed(package, where)
        if namespaces.is_of_products(where.namespace):
            return self.products.place(package, installed, counted=judgeable(package, where))
        if namespaces.may_name_installed(where.namespace):
            return self._by_binary(package, installed)
        return installed

    def _by_binary(self, package: Package, installed: Installed) -> Installed:
        """The package as it is installed, where definitions speak of it so, and not of its source."""
        name = namespaces.binary(package.name)
        if not self._snapshot.affected(installed.namespace, name):
            return installed
        version = judge.point(installed.scheme, package.version)
        return structs.replace(installed, name=name, version=version)

    def judge(self, package: Installed) -> Judgement:
        """The findings of one package, and what would repair them."""
        if (known := self._judged.get(package)) is None:
            known = self._judged[package] = self._judge(package)
        return known

    def _judge(self, package: Installed) -> Judgement:
        if package.products is None:
            entries = self._snapshot.affected(package.namespace, package.name)
        else:
            entries = self.products.entries(package)
        affected: list[Hit] = []
        denied: list[str] = []
        subscribed = lines.subscribed(package)
        for ref, ranges in entries:
            found = judge.hits(ranges, package, package.version)
            if found is None:
                denied.append(ref)
            elif found and not (subscribed and lines.repaired_for_subscribers(ranges, package)):
                advisory = self.advisory(ref)
                if not advisory.withdrawn:
                    affected.append(Hit(ref, advisory, ranges, found))
        if not affected:
            return _CLEAN
        every, affected = affected, lines.Notices(package, entries, self.advisory).counting(affected)
        groups = group(affected, self._denied_names(denied, affected))
        if not groups:
            return _CLEAN
        findings: list[Finding] = []
        fixes: list[Point | None] = []
        unfixed = 0
        for item in groups:
            fix = judge.smallest_fix([hit.ranges for hit in item.hits], package)
            made = self._finding(item, fix.text if fix else "", package.namespace)
            findings.append(made)
            if made.fix_channel:
                fix = None
            fixes.append(fix)
            if fix is None and made.status is not _UNDER_INVESTIGATION:
                unfixed += 1
        upgrade = self._upgrade(package, _but(entries, every, affected), groups, fixes)
        if affected is not every and lines.minor(upgrade) != lines.minor(package.version.text):
            upgrade = self._upgrade(package, entries, groups, fixes)  # compared with the others' fixes again
        if len(findings) > 1:
            findings.sort(key=finding_order)
        return Judgement(tuple(findings), upgrade, unfixed)

    def _finding(self, item: Group, fixed: str, namespace: str) -> Finding:
        """The finding of a group. What was built from one source mostly has the same flaws, word for word."""
        hit = item.hits[0]
        if len(item.hits) > 1 or len(hit.ranges) > 1:
            return finding(item, fixed, namespace, self._scores)
        key = item.id, hit.ref, hit.ranges[0], fixed, namespace
        if (known := self._findings.get(key)) is None:
            known = self._findings[key] = finding(item, fixed, namespace, self._scores)
        return known

    def _upgrade(
        self,
        package: Installed,
        entries: Sequence[tuple[str, Ranges]],
        groups: list[Group],
        fixes: list[Point | None],
    ) -> str:
        """The smallest version that has none of the fixable flaws, and no other known one if possible."""
        points = [_least(item, fix, package) for item, fix in zip(groups, fixes, strict=True) if fix]
        if not points:
            return ""
        start = judge.largest(package.scheme, points)
        reaching = [item for item in entries if judge.reaches(item[1], start, package)]
        if not reaching:  # nearly always: the highest fix is above everything known
            return start.text
        fixable = {
            hit.ref
            for item, fix in zip(groups, fixes, strict=True)
            if fix
            for hit in item.hits
            if len(item.hits) == 1 or judge.has_fix(hit.ranges, package)
        }
        hopeless = {hit.ref for item in groups for hit in item.hits} - fixable
        every = [
            ranges for ref, ranges in reaching if ref not in hopeless and not self.advisory(ref).withdrawn
        ]
        own = [ranges for ref, ranges in reaching if ref in fixable]
        best = judge.settle(start, every, package) or judge.settle(start, own, package)
        return best.text if best else ""

    def advisory(self, ref: str) -> Advisory:
        """The advisory of a ref, with all its names; one that only has a name where definitions lack it."""
        if (known := self._advisories.get(ref)) is None:
            found = self._snapshot.advisory(ref) or _unnamed(ref)
            known = self._advisories[ref] = self._aliases.named(found)
        return known

    def _denied_names(self, refs: list[str], hits: list[Hit]) -> frozenset[str]:
        """The flaws that explicit "not affected" records, ``refs``, speak of.

        Their aliases matter only where some of the ``hits`` go by another name than a CVE's.
        """
        denied: set[str] = set()
        named = bool(refs) and all(is_cve(hit.advisory.id) for hit in hits)
        for ref in refs:
            identifier = ref.partition("/")[2]
            if named and is_cve(identifier):  # nine in ten: its name says it all
                denied.add(identifier)
            elif not (advisory := self.advisory(ref)).withdrawn:
                denied.update(names(advisory))
        return frozenset(denied)


def _but(
    entries: Sequence[tuple[str, Ranges]], every: list[Hit], counting: list[Hit]
) -> Sequence[tuple[str, Ranges]]:
    """The records without those of ``every`` hit that are not among the ``counting`` ones."""
    if counting is every:  # nearly always
        return entries
    gone = {hit.ref for hit in every}.difference(hit.ref for hit in counting)
    return [(ref, ranges) for ref, ranges in entries if ref not in gone]


def _unnamed(ref: str) -> Advisory:
    """What is known of a record whose advisory is missing."""
    source, _, identifier = ref.partition("/")
    return Advisory(id=identifier, source=source)


def judgeable(package: Package, where: Place) -> bool:
    """Whether a package says all that it takes, and is one that the data of its namespace speaks of."""
    if unversioned(package) or unidentified(package):
        return False
    return origin(package, where.namespace) is not Origin.THIRD_PARTY


def as_installed(package: Package, where: Place) -> Installed:
    """What decides the match. What definitions speak of, ``namespaces.subject`` knows."""
    name, version = namespaces.subject(where.namespace, package)
    return Installed(
        namespace=where.namespace,
        scheme=where.scheme,
        name=name,
        version=judge.point(where.scheme, version),
        arch=package.arch,
        module=package.module,
        repositories=package.repositories,
    )


def _placed(item: PackageFindings, locations: tuple[Location, ...]) -> PackageFindings:
    return item if locations is item.locations else structs.replace(item, locations=locations)


def _end_of_life(distribution: Distribution | None, snapshot: Snapshot) -> str:
    release = namespaces.lifecycle(distribution) if distribution else None
    return snapshot.end_of_life(release) if release else ""


def as_reported(package: Package, distribution: Distribution | None) -> PackageFindings:
    """A package as reports name it, without findings."""
    return PackageFindings(
        type=package.type,
        name=package.name,
        version=package.version,
        purl=purl.of_package(package, distribution),
        arch=package.arch,
        source_name=package.source_name,
        locations=package.locations,
    )


def _least(item: Group, fix: Point, package: Installed) -> Point:
    """What an upgrade must at least be for a flaw: its fix, or where its ranges end if that is below and no fix."""
    ends = [found for hit in item.hits for found in hit.found]
    if any(found.upper in ("", fix.text) or not found.flags & _ENDED for found in ends):
        return fix
    return judge.largest(package.scheme, map(judge.end, ends))


def _package_findings(
    package: Package, distribution: Distribution | None, judgement: Judgement
) -> PackageFindings:
    return structs.replace(
        as_reported(package, distribution),
        upgrade=judgement.upgrade,
        unfixed=judgement.unfixed,
        findings=judgement.findings,
    )
