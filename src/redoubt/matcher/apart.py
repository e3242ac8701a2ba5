"""Packages judged apart from any image, and images put together again out of judgements.

A fleet has few distinct packages and many images. What definitions say of a package depends on the package and its
distribution alone (``Subject``); what becomes of that in an image depends on the image's other packages: who owns
which file. ``Apart`` does the first, ``together`` the second; ``match`` in one go says the same. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol

import msgspec
from msgspec import structs

from redoubt.matcher import judge, kernel
from redoubt.matcher.coverage import Place, coverage, place
from redoubt.matcher.group import is_cve
from redoubt.matcher.interface import Snapshot
from redoubt.matcher.match import Matching, as_reported, judgeable
from redoubt.matcher.order import finding_order, package_order
from redoubt.matcher.outcomes import CLEAN, Judgement
from redoubt.matcher.owned import Owners
from redoubt.matcher.redhat import Unplaced, names_of
from redoubt.matcher.suppress import suppress_packages
from redoubt.matcher.vendors import Origin, origin
from redoubt.model import (
    AffectedRange,
    DefinitionsInfo,
    Detection,
    Distribution,
    Epss,
    Finding,
    IndexReport,
    Package,
    VulnerabilityReport,
    namespaces,
    redhat,
)


class Subject(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """All of a package that decides what definitions say of it: the package without its places, and its system.

    ``distribution`` is None where it decides nothing (most language packages).
    """

    package: Package
    distribution: Distribution | None = None

    @property
    def key(self) -> bytes:
        """16 bytes that are the same for subjects of which the same is said."""
        system: tuple[str, ...] = ()
        if self.distribution is not None:
            found = namespaces.of_distribution(self.distribution)
            release = "" if found else self.distribution.version_id or self.distribution.codename
            system = (found or "", self.distribution.id, release)
        parts = msgspec.msgpack.encode((self.package.identity, system))
        return blake2b(parts, digest_size=16).digest()


class Verdict(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What definitions say of a subject. The ``epss`` of its findings is left out: it changes daily and decides nothing.

    ``strange``: its version cannot be ordered. ``known``: there are records of it under the name that tells whether a
    package of no known maker is the distribution's. ``unplaced``: its product is not known.
    """

    place: Place
    judgement: Judgement
    strange: bool = False
    known: bool = False
    unplaced: Unplaced | None = None


def subject(package: Package, distribution: Distribution | None) -> Subject:
    """The part of an image's package that decides."""
    bare = structs.replace(package, locations=()) if package.locations else package
    language = namespaces.LANGUAGES.get(package.type)
    decides = package.type in namespaces.OPERATING_SYSTEM_TYPES or (
        language is not None and namespaces.is_of_products(language)
    )
    return Subject(bare, distribution if decides else None)


def question(asked: Subject) -> Subject:
    """What of a subject decides which records are read: not its version, mostly. Many subjects share one."""
    package = asked.package
    namespace = _namespace(asked) or ""
    name, source = package.name, package.source_name
    if _is_of_sources_only(namespace):
        name, source = source or name, ""
    bare = Package(
        type=package.type,
        name=name,
        version="",
        source_name=source,
        repositories=package.repositories if namespaces.is_of_products(namespace) else (),
    )
    if namespaces.subject(namespace, bare)[0] != namespaces.subject(namespace, package)[0]:
        # A few kernels and cryptographic libraries are told apart by their version.
        bare = structs.replace(bare, version=package.version, source_version=package.source_version)
    return Subject(bare, asked.distribution)


def is_suppressed(package: Package) -> bool:
    """Whether the findings of a package count in no image (``kernel``)."""
    return kernel.is_not_one(package.type, package.name, package.source_name)


class Marking(Protocol):
    """``definitions.marks.Marks``: digests of what a snapshot says."""

    def of(self, namespace: str, name: str) -> bytes:
        """Of a package."""

    def mapped(self, kind: str, name: str) -> bytes:
        """Of a name that stands for others."""


class Scores(Protocol):
    """``enrich.Scores``: what is known of CVEs today."""

    def epss(self, identifiers: tuple[str, ...]) -> Epss | None:
        """The highest score among some CVEs."""


class Apart:
    """One run over one snapshot. Subjects of one source one after another share most of the work."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = _Unscored(snapshot)
        self._systems: dict[tuple[str, Distribution | None], tuple[Place, Matching]] = {}

    def judge(self, asked: Subject) -> Verdict:
        """What the snapshot says of a subject."""
        package = asked.package
        where, matching = self._system(asked)
        known = bool(where.scheme) and self._is_known(where, package)
        if not where.scheme or not judgeable(package, where):
            return Verdict(where, CLEAN, known=known)
        matching.products.unplaced = {}
        installed = matching.installed(package, where)
        return Verdict(
            where,
            matching.judge(installed),
            strange=not judge.ordered(where.scheme, installed.version),
            known=known,
            unplaced=matching.products.unplaced.get(package.type),
        )

    def mark(self, asked: Subject, marks: Marking) -> bytes:
        """A digest (16 bytes) of all that a verdict on subjects of this ``question`` may read of the snapshot."""
        where, _ = self._system(asked)
        digest = blake2b(f"{where.namespace}\0{where.judged}".encode(), digest_size=16)
        if where.scheme:
            package = asked.package
            name = namespaces.subject(where.namespace, package)[0]
            names = dict.fromkeys((name, package.source_name or package.name, package.name))
            spaces = [where.namespace]
            if namespaces.may_name_installed(where.namespace):
                names[namespaces.binary(package.name)] = None
            if namespaces.is_of_products(where.namespace):
                spaces.append(redhat.LAYERED)
                for repository in package.repositories:
                    for name in names_of(repository):
                        digest.update(marks.mapped("product", name))
                digest.update(marks.mapped("container", package.name))
                names |= dict.fromkeys(self._snapshot.mapped("container", package.name))
            for space in spaces:
                for each in names:
                    digest.update(marks.of(space, each))
        return digest.digest()

    def _is_known(self, where: Place, package: Package) -> bool:
        if package.type != "deb" or origin(package, where.namespace) is not Origin.UNKNOWN:
            return False  # ``Owners`` does not ask
        return bool(self._snapshot.affected(where.namespace, package.source_name or package.name))

    def _system(self, asked: Subject) -> tuple[Place, Matching]:
        key = asked.package.type, asked.distribution
        if (found := self._systems.get(key)) is None:
            where = place(asked.package.type, asked.distribution, self._snapshot.info)
            found = self._systems[key] = where, Matching(self._snapshot, asked.distribution)
        return found


class _Unscored:
    """A snapshot without EPSS."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.info = snapshot.info
        self.affected = snapshot.affected
        self.undecoded = snapshot.undecoded
        self.decoded = snapshot.decoded
        self.parted = snapshot.parted
        self.ranges = snapshot.ranges
        self.advisory = snapshot.advisory
        self.cve = snapshot.cve
        self.end_of_life = snapshot.end_of_life
        self.mapped = snapshot.mapped

    def epss(self, identifier: str) -> None:
        """Nothing: who shows a finding asks for it then."""
        return


def together(
    report: IndexReport,
    verdicts: Sequence[Verdict],
    info: DefinitionsInfo,
    scores: Scores,
    *,
    end_of_life: str = "",
    detection: Detection = Detection.PRECISE,
) -> VulnerabilityReport:
    """The report that ``match`` would make: ``verdicts`` are those on ``report.packages``, in their order.

    ``info`` and ``end_of_life`` are what the definitions that the verdicts come from say of themselves and of the
    system; ``scores`` knows the CVEs' EPSS.
    """
    pairs = list(zip(report.packages, verdicts, strict=True))
    places = {package.type: verdict.place for package, verdict in pairs}
    strange = frozenset(f"{package.type}/{package.version}" for package, verdict in pairs if verdict.strange)
    owners = _owners(report, verdicts, places, strange) if detection is Detection.PRECISE else None
    packages = []
    for package, verdict in pairs:
        if not verdict.judgement.findings:
            continue
        findings = sorted([_scored(item, scores) for item in verdict.judgement.findings], key=finding_order)
        packages.append(
            structs.replace(
                as_reported(package, report.distribution),
                upgrade=verdict.judgement.upgrade,
                unfixed=verdict.judgement.unfixed,
                findings=tuple(findings),
                locations=owners.left(package.type, package.locations) if owners else package.locations,
            )
        )
    packages.sort(key=package_order)
    result = VulnerabilityReport(
        image=report.image,
        distribution=report.distribution,
        layers=report.layers,
        package_count=len(report.packages),
        definitions=info,
        end_of_life=end_of_life,
        coverage=coverage(report.packages, places, report.distribution, strange, _unplaced(pairs)),
        detection=detection,
        packages=tuple(packages),
        problems=report.problems,
    )
    return suppress_packages(result, kernel.rule, owners.rule) if owners else result


def owned(report: IndexReport, verdicts: Sequence[Verdict]) -> list[bool]:
    """Of each package of an image, in order, whether its findings don't count because the distribution judges it."""
    places = {package.type: verdict.place for package, verdict in zip(report.packages, verdicts, strict=True)}
    strange = frozenset(
        f"{package.type}/{package.version}"
        for package, verdict in zip(report.packages, verdicts, strict=True)
        if verdict.strange
    )
    owners = _owners(report, verdicts, places, strange)
    return [owners.owns(package.type, package.locations) for package in report.packages]


class _Known:
    """Answers whether there are records of a package of the system; nothing else is asked."""

    def __init__(self, names: frozenset[tuple[str, str]]) -> None:
        self._names = names

    def affected(self, namespace: str, name: str) -> Sequence[tuple[str, tuple[AffectedRange, ...]]]:
        return [("", ())] if (namespace, name) in self._names else []


def _owners(
    report: IndexReport, verdicts: Sequence[Verdict], places: dict[str, Place], strange: frozenset[str]
) -> Owners:
    known = frozenset(
        (verdict.place.namespace, package.source_name or package.name)
        for package, verdict in zip(report.packages, verdicts, strict=True)
        if verdict.known
    )
    return Owners(report.packages, places, strange, _Known(known))


def cves_of(item: Finding) -> tuple[str, ...]:
    """The CVEs that a finding is, which are what has scores."""
    return tuple(name for name in (item.id, *item.aliases) if is_cve(name))


def _scored(item: Finding, scores: Scores) -> Finding:
    cves = cves_of(item)
    return structs.replace(item, epss=scores.epss(cves)) if cves else item


def _unplaced(pairs: Sequence[tuple[Package, Verdict]]) -> dict[str, Unplaced]:
    found: dict[str, Unplaced] = {}
    for package, verdict in pairs:
        if (one := verdict.unplaced) is not None:
            total = found.setdefault(package.type, Unplaced())
            total.silent += one.silent
            total.unmapped += one.unmapped
            total.names |= one.names
    return found


def _namespace(asked: Subject) -> str | None:
    return namespaces.of_package(asked.package, asked.distribution)


def _is_of_sources_only(namespace: str) -> bool:
    """Whether definitions speak of source packages, whichever package of them is installed."""
    return (
        namespace.partition(":")[0] in namespaces.BY_SOURCE
        and not namespaces.may_name_installed(namespace)
        and not namespaces.is_of_products(namespace)
    )
