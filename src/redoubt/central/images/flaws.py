"""A finding in the original's form, ``storage.EmbeddedVulnerability``. Pure.

What the original has no word for keeps its meaning where it can: a fix that only subscribers get is no ``fixedBy``.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from redoubt.formats.summary import main_cvss
from redoubt.model import Cvss, Finding, Severity

_SEVERITIES = {
    Severity.UNKNOWN: "UNKNOWN",
    Severity.NEGLIGIBLE: "LOW",
    Severity.LOW: "LOW",
    Severity.MEDIUM: "MODERATE",
    Severity.HIGH: "IMPORTANT",
    Severity.CRITICAL: "CRITICAL",
}
_SOURCES = {"nvd": "SOURCE_NVD", "redhat": "SOURCE_RED_HAT", "osv": "SOURCE_OSV"}
_IMPACT = {"N": "IMPACT_NONE", "L": "IMPACT_LOW", "H": "IMPACT_HIGH"}
#: Metrics of CVSS 3.x → field, and its letters → words.
_METRICS: dict[str, tuple[str, dict[str, str]]] = {
    "AV": (
        "attack_vector",
        {"N": "ATTACK_NETWORK", "A": "ATTACK_ADJACENT", "L": "ATTACK_LOCAL", "P": "ATTACK_PHYSICAL"},
    ),
    "AC": ("attack_complexity", {"L": "COMPLEXITY_LOW", "H": "COMPLEXITY_HIGH"}),
    "PR": ("privileges_required", {"N": "PRIVILEGE_NONE", "L": "PRIVILEGE_LOW", "H": "PRIVILEGE_HIGH"}),
    "UI": ("user_interaction", {"N": "UI_NONE", "R": "UI_REQUIRED"}),
    "S": ("scope", {"U": "UNCHANGED", "C": "CHANGED"}),
    "C": ("confidentiality", _IMPACT),
    "I": ("integrity", _IMPACT),
    "A": ("availability", _IMPACT),
}


class _Part(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """See ``original.Part``."""


class Advisory(_Part, frozen=True, kw_only=True):
    """The vendor's notice of a fix."""

    name: str
    link: str


class CvssV2(_Part, frozen=True, kw_only=True):
    """CVSS 2.0, as far as its vector is not taken apart."""

    vector: str
    score: float


class CvssV3(_Part, frozen=True, kw_only=True):
    """CVSS 3.x; what the vector does not say is left out."""

    vector: str
    score: float
    severity: str
    attack_vector: str | UnsetType = UNSET
    attack_complexity: str | UnsetType = UNSET
    privileges_required: str | UnsetType = UNSET
    user_interaction: str | UnsetType = UNSET
    scope: str | UnsetType = UNSET
    confidentiality: str | UnsetType = UNSET
    integrity: str | UnsetType = UNSET
    availability: str | UnsetType = UNSET


class CvssScore(_Part, frozen=True, kw_only=True):
    """A score, and who gave it."""

    source: str
    url: str = ""
    cvssv2: CvssV2 | UnsetType = UNSET
    cvssv3: CvssV3 | UnsetType = UNSET


class EpssScore(_Part, frozen=True, kw_only=True):
    """Both 0.0-1.0."""

    epss_probability: float
    epss_percentile: float


class Exploit(_Part, frozen=True, kw_only=True):
    """CISA's word."""

    date_added: str
    due_date: str
    known_ransomware_campaign_use: str


class Vulnerability(_Part, frozen=True, kw_only=True):
    """``EmbeddedVulnerability``."""

    cve: str
    advisory: Advisory | None
    cvss: float
    summary: str
    link: str
    fixed_by: str | UnsetType = UNSET
    score_version: str
    cvss_v2: CvssV2 | None
    cvss_v3: CvssV3 | None
    published_on: str | None
    last_modified: str | None = None
    vulnerability_type: str = "IMAGE_VULNERABILITY"
    vulnerability_types: tuple[str, ...] = ("IMAGE_VULNERABILITY",)
    suppressed: bool = False
    severity: str
    state: str = "OBSERVED"
    cvss_metrics: tuple[CvssScore, ...]
    nvd_cvss: float
    epss: EpssScore | None
    exploit: Exploit | None
    cisa_kev: bool


def severity(ours: Severity) -> str:
    """The original's word."""
    return f"{_SEVERITIES[ours]}_VULNERABILITY_SEVERITY"


def vulnerability(item: Finding, *, describe: bool = True) -> Vulnerability:
    """The finding; without ``describe`` its summary is empty."""
    main = main_cvss(item)
    return Vulnerability(
        cve=item.id,
        advisory=_advisory(item),
        cvss=main.score if main else 0.0,
        summary=item.title if describe else "",
        link=item.url,
        fixed_by=item.fixed_version if item.fixable else UNSET,
        score_version="V2" if main is None or not main.vector.startswith("CVSS:") else "V3",
        cvss_v2=_v2(main) if main else None,
        cvss_v3=_v3(main) if main else None,
        published_on=item.published or None,
        severity=severity(item.severity),
        cvss_metrics=tuple(
            CvssScore(
                source=_SOURCES.get(score.source, "SOURCE_UNKNOWN"),
                cvssv2=_v2(score) or UNSET,
                cvssv3=_v3(score) or UNSET,
            )
            for score in item.cvss
            if score.vector
        ),
        nvd_cvss=next((score.score for score in item.cvss if score.source == "nvd"), 0.0),
        epss=EpssScore(epss_probability=item.epss.probability, epss_percentile=item.epss.percentile)
        if item.epss
        else None,
        exploit=Exploit(
            date_added=item.kev.added,
            due_date=item.kev.due,
            known_ransomware_campaign_use="Known" if item.kev.ransomware else "Unknown",
        )
        if item.kev
        else None,
        cisa_kev=item.kev is not None,
    )


def _advisory(item: Finding) -> Advisory | None:
    if not item.fixing_advisory:
        return None
    links = (rests.url for rests in item.advisories if rests.ref.endswith(f"/{item.fixing_advisory}"))
    return Advisory(name=item.fixing_advisory, link=next(links, ""))


def _v2(score: Cvss) -> CvssV2 | None:
    if score.vector.startswith("CVSS:"):
        return None
    return CvssV2(vector=score.vector, score=score.score)


def _v3(score: Cvss) -> CvssV3 | None:
    """Also of CVSS 4.0, which the original has no message for: its score and vector, without the parts."""
    if not score.vector.startswith("CVSS:"):
        return None
    said: dict[str, str] = {}
    if score.vector.startswith("CVSS:3"):
        for metric in score.vector.split("/")[1:]:
            key, _, letter = metric.partition(":")
            field, words = _METRICS.get(key, ("", {}))
            if letter in words:
                said[field] = words[letter]
    word = "NONE" if score.score == 0 else score.severity.value
    return CvssV3(vector=score.vector, score=score.score, severity=word, **said)
