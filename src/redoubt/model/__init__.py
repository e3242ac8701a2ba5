"""The nouns of the house, as frozen structs. No I/O, no rules of any one source or format."""

from redoubt.model.advisory import (
    Advisory,
    Affected,
    AffectedRange,
    CveRecord,
    Cvss,
    DefinitionsInfo,
    Epss,
    KnownExploited,
    RangeFlag,
    Severity,
    SourceInfo,
    Status,
)
from redoubt.model.image import Image, IndexReport, Layer, Platform, Problem, ProblemKind
from redoubt.model.package import Distribution, Location, Package
from redoubt.model.report import (
    AdvisoryReference,
    Coverage,
    Finding,
    Judged,
    PackageFindings,
    Suppression,
    VulnerabilityReport,
)

__all__ = [
    "Advisory",
    "AdvisoryReference",
    "Affected",
    "AffectedRange",
    "Coverage",
    "CveRecord",
    "Cvss",
    "DefinitionsInfo",
    "Distribution",
    "Epss",
    "Finding",
    "Image",
    "IndexReport",
    "Judged",
    "KnownExploited",
    "Layer",
    "Location",
    "Package",
    "PackageFindings",
    "Platform",
    "Problem",
    "ProblemKind",
    "RangeFlag",
    "Severity",
    "SourceInfo",
    "Status",
    "Suppression",
    "VulnerabilityReport",
]
