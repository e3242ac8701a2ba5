"""What leaves the matcher: findings, what could and could not be judged, and the report around them."""

from __future__ import annotations

import enum

import msgspec

from redoubt.model.advisory import Cvss, DefinitionsInfo, Epss, KnownExploited, Severity, Status
from redoubt.model.image import Image, Layer, Problem
from redoubt.model.package import Distribution, Location

REPORT_SCHEMA = "1.0"


class Judged(enum.StrEnum):
    """Whether the packages of a namespace could be judged at all. Zero findings means only one of these."""

    MATCHED = "matched"
    NO_DATA = "no_data"  # a supported ecosystem, but these definitions hold nothing for it
    UNSUPPORTED_DISTRIBUTION = "unsupported_distribution"
    UNKNOWN_DISTRIBUTION = "unknown_distribution"  # OS packages, but nothing says of which system
    UNSUPPORTED_ECOSYSTEM = "unsupported_ecosystem"


class Detection(enum.StrEnum):
    """What becomes of flaws in a language package that a package of the operating system installed, and of the kernel's
    in packages that are built from its sources and no kernel (headers, tools).

    ``PRECISE``: where the distribution's data is comprehensive, it alone judges; the others don't count.
    ``COMPREHENSIVE``: all count.
    """

    PRECISE = "precise"
    COMPREHENSIVE = "comprehensive"


class Coverage(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What became of one group of packages. ``packages`` counts them; ``unversioned`` those without a
    usable version and ``unidentified`` those whose full name is not known (a jar that names no group),
    neither of which can be judged; ``third_party`` those that are not the distribution's, which its data does
    not speak of; ``unmapped`` those of repositories that the definitions know no product of, which are judged as
    the system's main stream. ``detail`` is a line for people where something is missing.
    """

    type: str
    namespace: str
    judged: Judged
    packages: int
    unversioned: int = 0
    unidentified: int = 0
    third_party: int = 0
    unmapped: int = 0
    detail: str = ""


class AdvisoryReference(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, order=True):
    """A record that a finding rests on, and the range of it that the version fell into.

    ``range`` is for people: ``>= 1.0, < 1.4``. ``fixed`` is empty where the record names no fix. ``severity`` is given
    where the record is a notice of several flaws: how bad the worst of them is, in its own word.
    """

    ref: str
    url: str = ""
    range: str = ""
    fixed: str = ""
    status: Status = Status.AFFECTED
    severity: Severity = Severity.UNKNOWN


class Suppression(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, order=True):
    """Why a finding does not count. ``kind`` is who says so: ``ignore-rule``, ``vex``, or ``kernel`` (the
    kernel's, in a package that is none), or ``owned`` (an
    operating system's package brought the file, and its distribution judges that one).

    ``source`` names the file or package that says so, ``reason`` is in its words, ``justification`` is
    VEX's code for it and ``status`` VEX's (``not_affected``, ``fixed``). ``expires`` is the day
    (``YYYY-MM-DD``) on which an ignore rule ends.
    """

    kind: str
    source: str = ""
    reason: str = ""
    justification: str = ""
    status: str = ""
    expires: str = ""


class Finding(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One flaw in one package. ``id`` is a CVE where there is one, else the record's own id.

    ``fixing_advisory`` is the vendor's notice that carries the fix (``ALSA-…``), where it is not ``id``.
    ``severity_source`` names who gave the severity: a source, or ``cvss:SOURCE``. ``fix_channel`` names
    what must be subscribed to for ``fixed_version`` (``esm``). ``suppression`` is set where the finding
    does not count.
    """

    id: str
    status: Status
    severity: Severity
    severity_source: str = ""
    title: str = ""
    fixed_version: str = ""
    fix_channel: str = ""
    fixing_advisory: str = ""
    aliases: tuple[str, ...] = ()
    cvss: tuple[Cvss, ...] = ()
    cwes: tuple[str, ...] = ()
    kev: KnownExploited | None = None
    epss: Epss | None = None
    url: str = ""
    published: str = ""
    references: tuple[str, ...] = ()
    namespace: str = ""
    advisories: tuple[AdvisoryReference, ...] = ()
    suppression: Suppression | None = None

    @property
    def fixable(self) -> bool:
        """Whether a version that repairs it is there for everybody: not one that must be subscribed to."""
        return bool(self.fixed_version) and not self.fix_channel


class PackageFindings(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The findings of one package. ``upgrade`` is the smallest version that fixes every fixable one;
    empty where none is fixable. ``unfixed`` counts findings that are not ``fixable``.
    """

    type: str
    name: str
    version: str
    purl: str = ""
    arch: str = ""
    source_name: str = ""
    upgrade: str = ""
    unfixed: int = 0
    locations: tuple[Location, ...] = ()
    findings: tuple[Finding, ...] = ()


class VulnerabilityReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Same index report, same definitions, same bytes. Holds no time of its own.

    ``packages`` are those with findings, in a stable order; ``package_count`` counts all that were
    indexed. ``coverage`` says of every package type and namespace whether it could be judged. ``left_out``
    counts findings that somebody asked not to see (those without a fix). ``suppressed`` are packages with
    the findings that do not count, each with its ``suppression``. ``end_of_life`` is the day
    (``YYYY-MM-DD``) from which the distribution is no longer looked after, where definitions know it.
    """

    schema: str = msgspec.field(default_factory=lambda: REPORT_SCHEMA)  # a plain default would be omitted
    image: Image
    distribution: Distribution | None = None
    layers: tuple[Layer, ...] = ()
    package_count: int = 0
    definitions: DefinitionsInfo
    coverage: tuple[Coverage, ...] = ()
    detection: Detection = Detection.PRECISE
    packages: tuple[PackageFindings, ...] = ()
    suppressed: tuple[PackageFindings, ...] = ()
    end_of_life: str = ""
    left_out: int = 0
    problems: tuple[Problem, ...] = ()
