"""What is known about flaws: advisories, the versions they affect, and what others say of a CVE."""

from __future__ import annotations

import enum

import msgspec


class Severity(enum.StrEnum):
    """How bad, in ascending order of ``rank``. ``UNKNOWN`` means that nobody said."""

    UNKNOWN = "UNKNOWN"
    NEGLIGIBLE = "NEGLIGIBLE"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"

    def __init__(self, _: str) -> None:
        #: 0 for ``UNKNOWN`` up to 5 for ``CRITICAL``: how many members came before.
        self.rank = len(type(self).__members__)


class Status(enum.StrEnum):
    """What a source says of a package and a flaw. Kept apart, never folded into yes or no."""

    AFFECTED = "affected"
    NOT_AFFECTED = "not_affected"
    UNDER_INVESTIGATION = "under_investigation"
    WILL_NOT_FIX = "will_not_fix"
    FIX_DEFERRED = "fix_deferred"
    END_OF_LIFE = "end_of_life"


class RangeFlag(enum.IntFlag):
    """How an ``AffectedRange`` is to be read."""

    INEXACT = 1  # a bound's key does not order: the exact comparator decides, on the texts
    INCLUSIVE = 2  # the upper bound itself is affected (last_affected, or a single version)
    FIXED = 4  # the upper bound is a version that fixes (and not merely where the range ends)


#: As plain numbers: looking a member up in its class is slow.
_INEXACT = int(RangeFlag.INEXACT)
_INCLUSIVE = int(RangeFlag.INCLUSIVE)
_FIXED = int(RangeFlag.FIXED)


class AffectedRange(msgspec.Struct, frozen=True, gc=False, array_like=True, order=True):
    """Versions from ``lower`` (inclusive) up to ``upper`` (exclusive unless ``INCLUSIVE``).

    ``lower_key`` and ``upper_key`` are ``versions.key`` of the texts; empty text and key mean open.
    ``arch`` and ``module`` restrict the range to packages that have them; empty means any
    (``arch`` may be several, ``aarch64|x86_64``; ``module`` ``"*"``: any modular package; ``"-"``: only
    packages outside modules). ``repository`` restricts it to packages of a repository: a Red Hat CPE, or ids of
    repositories as images name them (``a|b``; an empty one, ``a|``, stands for packages that do not say theirs).
    ``severity`` is given where the source rates this range apart from the advisory. ``channel`` names what
    one must subscribe to for the version that fixes (``esm``); empty where anybody gets it. ``notice`` is
    the erratum that brings that version (``RHSA-…``), where the advisory itself is none.
    """

    lower_key: bytes
    upper_key: bytes
    flags: int
    lower: str
    upper: str
    status: Status = Status.AFFECTED
    arch: str = ""
    module: str = ""
    severity: Severity = Severity.UNKNOWN
    repository: str = ""
    channel: str = ""
    notice: str = ""

    @property
    def text(self) -> str:
        """The range for people: ``>= 1.0, < 1.4``, ``= 1.3``, ``any version``."""
        lower, upper = self.lower, self.upper
        if not upper:
            return f">= {lower}" if lower else "any version"
        inclusive = self.flags & _INCLUSIVE
        if inclusive and lower == upper:
            return f"= {lower}"
        below = f"{'<=' if inclusive else '<'} {upper}"
        return f">= {lower}, {below}" if lower else below

    @property
    def bounds(self) -> tuple[bytes, bytes, str, str, bool, bool]:
        """The ends as ``versions.ranges.within`` takes them: keys, texts, whether inclusive, whether inexact."""
        inclusive, inexact = bool(self.flags & _INCLUSIVE), bool(self.flags & _INEXACT)
        return self.lower_key, self.upper_key, self.lower, self.upper, inclusive, inexact

    @property
    def fixed(self) -> str:
        """The version that fixes, or empty where the range names none."""
        return self.upper if self.flags & _FIXED else ""


class Affected(msgspec.Struct, frozen=True, gc=False):
    """The ranges of one advisory in one package of one namespace; ``name`` is normalised."""

    namespace: str
    name: str
    ranges: tuple[AffectedRange, ...]


class Cvss(msgspec.Struct, frozen=True, gc=False, array_like=True, order=True):
    """A CVSS vector, who gave it, and the base score (0.0-10.0) that follows from it."""

    source: str
    vector: str
    score: float

    @property
    def severity(self) -> Severity:
        """The score in words: the scale of CVSS 3.x and 4.0, NVD's for 2.0, whose worst is ``HIGH``.

        A score of 0.0, "None" in the specifications, is ``NEGLIGIBLE``.
        """
        if self.score >= 9.0 and self.vector.startswith("CVSS:"):
            return Severity.CRITICAL
        if self.score >= 7.0:
            return Severity.HIGH
        if self.score >= 4.0:
            return Severity.MEDIUM
        return Severity.LOW if self.score > 0.0 else Severity.NEGLIGIBLE


class Advisory(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One record of one source.

    ``ref`` is ``source/id`` and unique in a snapshot. ``aliases`` are other names of the same flaw;
    ``cves`` are the flaws that this advisory (an erratum) repairs, where it is not itself one flaw.
    ``severity`` is the source's own word mapped to ours, ``UNKNOWN`` where it gives none. Times are
    RFC 3339 in UTC, or empty. ``url`` is the page for people.
    """

    id: str
    source: str
    title: str = ""
    severity: Severity = Severity.UNKNOWN
    cvss: tuple[Cvss, ...] = ()
    cwes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    cves: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    url: str = ""
    published: str = ""
    modified: str = ""
    withdrawn: str = ""

    @property
    def ref(self) -> str:
        """``source/id``."""
        return f"{self.source}/{self.id}"


class KnownExploited(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """CISA's word that a CVE is exploited: dates as ``YYYY-MM-DD``."""

    added: str
    due: str = ""
    ransomware: bool = False


class CveRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What is known about a CVE whichever package it is in: scores of NVD, and KEV."""

    kev: KnownExploited | None = None
    cvss: tuple[Cvss, ...] = ()
    severity: Severity = Severity.UNKNOWN


class Epss(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """FIRST's estimate that a CVE is exploited within 30 days: both 0.0-1.0, ``date`` ``YYYY-MM-DD``."""

    probability: float
    percentile: float
    date: str = ""


class Mapped(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a name in images stands for: ``kind`` ``product`` (a repository → CPEs) or ``container`` (the
    name in an image's labels → repositories it is published in). ``values`` are sorted.
    """

    kind: str
    values: tuple[str, ...]


class EndOfLife(msgspec.Struct, frozen=True, gc=False):
    """From when a distribution's release is no longer looked after: ``YYYY-MM-DD``."""

    day: str


class SourceInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, order=True):
    """One source inside a snapshot. ``sha256`` is of its inputs; ``newest`` its newest record's time.

    ``newest`` is RFC 3339 in UTC, or empty where the upstream carries no dates. ``records`` counts
    advisories (or scores). ``scores_only``: it speaks of CVEs wherever they occur, and makes no finding.
    """

    name: str
    title: str = ""
    url: str = ""
    licence: str = ""
    sha256: str = ""
    newest: str = ""
    records: int = 0
    scores_only: bool = False


class DefinitionsInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which definitions a report was made with.

    ``digest`` is the snapshot's (``sha256:…`` of its stream); ``channel`` and ``version`` are the
    bundle's, as signed; ``created`` is when it was built (RFC 3339, signed, outside the digest);
    ``namespaces`` is namespace → number of (package, advisory) records.
    """

    digest: str
    schema: str
    channel: str = ""
    version: int = 0
    created: str = ""
    unsigned: bool = False
    sources: tuple[SourceInfo, ...] = ()
    namespaces: dict[str, int] = {}
