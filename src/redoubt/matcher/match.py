"""Index report and definitions in, vulnerability report out. The core of the house, on one screen.

Pure: no clock, no files, nothing kept between calls. Look up each package's advisories, keep those whose
ranges hold its version, group what is the same flaw, and say what could not be judged. The rules are
told in ``docs/matching.md``.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter

from msgspec import structs

from redoubt.matcher import judge, kernel, lines
from redoubt.matcher.aliases import Aliases
from redoubt.matcher.coverage import Place, coverage, place, unidentified, unversioned
from redoubt.matcher.enrich import Scores, finding, of_one
from redoubt.matcher.group import Group, Hit, group, is_cve, like_cve, names
from redoubt.matcher.interface import Snapshot
from redoubt.matcher.judge import Installed, Point, Ranges
from redoubt.matcher.order import finding_order, package_order
from redoubt.matcher.outcomes import CLEAN, Judgement, Outcome, Record, plainly
from redoubt.matcher.owned import Owners
from redoubt.matcher.redhat import Products
from redoubt.matcher.suppress import suppress_packages
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

#: How a range ends whose end is affected, or repairs: from there on an upgrade can be looked for.
_ENDED = RangeFlag.FIXED | RangeFlag.INCLUSIVE

#: What decides the match of a package in a namespace of products, but for its name.
_but_name = attrgetter(
    *["type", "version", "arch", "source_name", "source_version", "module", "vendor", "repositories"]
)

#: A global, since an enumeration's members are slow to look up.
_UNDER_INVESTIGATION = Status.UNDER_INVESTIGATION


@contextmanager
def _collector_paused() -> Iterator[None]:
    """What is made here are many small things without cycles: looking for cycles takes an eighth of the time.

    Nor are they looked through when all is done: they count as old from then on.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
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
    for package in sorted(report.packages, key=_source):  # what has one source has mostly the same flaws
        if (installed := matcher.named(package)) is None:
            where = places[package.type]
            if not where.scheme or not judgeable(package, where):
                continue
            installed = matcher.installed(package, where)
        if not installed.version.exact and not judge.ordered(installed.scheme, installed.version):
            strange.add(f"{package.type}/{package.version}")
        judgement = matcher.judge(installed)
        if judgement.findings:
            packages.append(as_reported(package, report.distribution, judgement))
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
    return suppress_packages(result, kernel.rule, owners.rule) if owners else result


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
        self._last: tuple[tuple[object, ...], Installed] | None = None
        #: Of a product, the last package's records: the very same are of one that only differs in its name.
        self._last_judged: tuple[list[Record], Judgement] = [], CLEAN
        self._judged: dict[Installed, Judgement] = {}
        self._advisories: dict[str, Advisory] = {}
        self._findings: dict[tuple[str, str, AffectedRange, str, str], Finding] = {}

    def installed(self, package: Package, where: Place, *, counted: bool = True) -> Installed:
        """What decides the match of one package. What definitions speak of, ``namespaces.subject`` knows.

        Ask once for each package: of those that are ``counted`` some are.
        """
        namespace = where.namespace
        of_products = namespaces.is_of_products(namespace)
        name, version = namespaces.subject(namespace, package)
        installed = Installed(
            namespace=namespace,
            scheme=where.scheme,
            name=name,
            version=judge.point(where.scheme, version),
            arch=package.arch,
            module=package.module,
            repositories=() if of_products else package.repositories,
            products=self.products.of(package, namespace, counted=counted) if of_products else None,
            source=package.source_name if of_products else "",
        )
        if namespaces.may_name_installed(namespace):
            return self._by_binary(package, installed)
        if of_products and name == package.name:
            self._last = _but_name(package), installed
        return installed

    def named(self, package: Package) -> Installed | None:
        """The same of a package that only its name tells from the last one of a product, which was judgeable."""
        if self._last is None or self._last[0] != _but_name(package):
            return None
        installed = self._last[1]
        self.products.of(package, installed.namespace, counted=True)
        return structs.replace(installed, name=package.name)

    def _by_binary(self, package: Package, installed: Installed) -> Installed:
        """The package as it is installed, where definitions speak of it so, and not of its source."""
        name = namespaces.binary(package.name)
        if not self._snapshot.affected(installed.namespace, name):
            return installed
        version = judge.point(installed.scheme, package.version)
        return structs.replace(installed, name=name, version=version)

    def judge(self, package: Installed) -> Judgement:
        """The findings of one package, and what would repair them."""
        if package.products is not None:
            return self._judge_of_product(package)
        if (known := self._judged.get(package)) is None:
            known = self._judged[package] = self._judge(package)
        return known

    def _judge(self, package: Installed) -> Judgement:
        entries = self._snapshot.affected(package.namespace, package.name)
        hits: list[Hit] = []
        denied: list[str] = []
        subscribed = lines.subscribed(package)
        for ref, ranges in entries:
            found = judge.hits(ranges, package, package.version)
            if found is None:
                denied.append(ref)
            elif found and not (subscribed and lines.repaired_for_subscribers(ranges, package)):
                advisory = self.advisory(ref)
                if not advisory.withdrawn:
                    hits.append(Hit(ref, advisory, ranges, found))
        return self._settled(package, entries, hits, denied) if hits else CLEAN

    def _judge_of_product(self, package: Installed) -> Judgement:
        """The same where a package's records mostly are those of others of its source."""
        records = self.products.records(package)
        known, judgement = self._last_judged
        if known != records:
            judgement = self._of_records(records, package)
            self._last_judged = records, judgement
        return judgement

    def _of_records(self, records: list[Record], package: Installed) -> Judgement:
        outcomes = [item.outcome or self._outcome(item, package) for item in records]
        if (plain := plainly(outcomes, package.scheme)) is not None:
            return plain
        pairs = list(zip(records, outcomes, strict=True))
        hits = [outcome.hit for _, outcome in pairs if outcome.hit is not None]
        denied = [record.ref for record, outcome in pairs if outcome.denies]
        entries = [(item.ref, item.ranges) for item in records]
        return self._settled(package, entries, hits, denied)

    def _outcome(self, record: Record, package: Installed) -> Outcome:
        """What a record comes to for a package, and for all that it says the same of."""
        ref, ranges = record.ref, record.ranges
        found = judge.hits(ranges, package, package.version)
        if found is None:
            identifier = ref.partition("/")[2]
            outcome = Outcome(denies=True, name=identifier if like_cve(identifier) else "")
        elif not found:
            outcome = Outcome(reach=judge.reach(ranges))
        else:
            outcome = self._hit(ref, ranges, found, package)
        record.outcome = outcome
        return outcome

    def _hit(self, ref: str, ranges: Ranges, found: list[AffectedRange], package: Installed) -> Outcome:
        advisory = self._snapshot.advisory(ref) or _unnamed(ref)
        if advisory.withdrawn:
            return Outcome(reach=judge.reach(ranges))
        name = advisory.id
        if advisory.aliases or advisory.cves or not like_cve(name):
            return Outcome(Hit(ref, self._aliases.named(advisory), ranges, found))
        hit = Hit(ref, advisory, ranges, found)
        if len(ranges) > 1:
            made, fix, unfixed = self._flaw(item := Group(name, (), (name,), [hit]), package)
            least = _least(item, fix, package) if fix else None
        else:  # nearly always
            least = judge.smallest_fix([ranges], package)
            made = of_one(hit, least.text if least else "", package.namespace, self._scores)
            if made.fix_channel:
                least = None
            unfixed = least is None and made.status is not _UNDER_INVESTIGATION
        reach = judge.reach(ranges) if least else b""
        return Outcome(hit, False, name, reach, made, unfixed, least, finding_order(made))

    def _settled(
        self, package: Installed, entries: Sequence[tuple[str, Ranges]], every: list[Hit], denied: list[str]
    ) -> Judgement:
        """What ``every`` hit among the records of a package comes to, where ``denied`` deny flaws."""
        hits = lines.Notices(package, entries, self.advisory).counting(every)
        groups = group(hits, self._denied_names(denied, hits))
        if not groups:
            return CLEAN
        flaws = [self._flaw(item, package) for item in groups]
        fixes = [fix for _, fix, _ in flaws]
        upgrade = self._upgrade(package, _but(entries, every, hits), groups, fixes)
        if hits is not every and lines.minor(upgrade) != lines.minor(package.version.text):
            upgrade = self._upgrade(package, entries, groups, fixes)  # compared with the others' fixes again
        findings = [made for made, _, _ in flaws]
        if len(findings) > 1:
            findings.sort(key=finding_order)
        return Judgement(tuple(findings), upgrade, sum([unfixed for _, _, unfixed in flaws]))

    def _flaw(self, item: Group, package: Installed) -> tuple[Finding, Point | None, bool]:
        """The finding of a group, the version that repairs it for everybody, and whether the lack of one counts."""
        fix = judge.smallest_fix([hit.ranges for hit in item.hits], package)
        fixed = fix.text if fix else ""
        if package.products is None:
            made = self._finding(item, fixed, package.namespace)
        else:  # the outcome remembers it
            made = finding(item, fixed, package.namespace, self._scores)
        if made.fix_channel:
            fix = None
        return made, fix, fix is None and made.status is not _UNDER_INVESTIGATION

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


def _source(package: Package) -> str:
    return package.source_name or package.name


def judgeable(package: Package, where: Place) -> bool:
    """Whether a package says all that it takes, and is one that the data of its namespace speaks of."""
    if unversioned(package) or unidentified(package):
        return False
    return origin(package, where.namespace) is not Origin.THIRD_PARTY


def _placed(item: PackageFindings, locations: tuple[Location, ...]) -> PackageFindings:
    return item if locations is item.locations else structs.replace(item, locations=locations)


def _end_of_life(distribution: Distribution | None, snapshot: Snapshot) -> str:
    release = namespaces.lifecycle(distribution) if distribution else None
    return snapshot.end_of_life(release) if release else ""


def as_reported(
    package: Package, distribution: Distribution | None, judgement: Judgement = CLEAN
) -> PackageFindings:
    """A package as reports name it, with what was found."""
    return PackageFindings(
        type=package.type,
        name=package.name,
        version=package.version,
        purl=purl.of_package(package, distribution),
        arch=package.arch,
        source_name=package.source_name,
        upgrade=judgement.upgrade,
        unfixed=judgement.unfixed,
        locations=package.locations,
        findings=judgement.findings,
    )


def _least(item: Group, fix: Point, package: Installed) -> Point:
    """What an upgrade must at least be for a flaw: its fix, or where its ranges end if that is below and no fix."""
    ends = [found for hit in item.hits for found in hit.found]
    if any(found.upper in ("", fix.text) or not found.flags & _ENDED for found in ends):
        return fix
    return judge.largest(package.scheme, map(judge.end, ends))
