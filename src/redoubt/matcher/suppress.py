"""Moves findings that do not count out of the way, where they stay visible with the reason.

Pure: a report and a rule in, a report out. It must not know why a rule suppresses a finding.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from redoubt.matcher.order import package_order
from redoubt.model import Finding, PackageFindings, Status, Suppression, VulnerabilityReport

#: Says of a package and one of its findings why it does not count, or None where it does.
Rule = Callable[[PackageFindings, Finding], Suppression | None]
#: The same of a package, whatever was found in it.
PackageRule = Callable[[PackageFindings], Suppression | None]


def first(*rules: Rule) -> Rule:
    """The rule that says what the first of several rules says that says anything."""

    def rule(package: PackageFindings, item: Finding) -> Suppression | None:
        for one in rules:
            if (reason := one(package, item)) is not None:
                return reason
        return None

    return rule


def of_packages(*rules: PackageRule) -> Rule:
    """The rule that says of each finding what the first of several rules says of its package."""

    def rule(package: PackageFindings, item: Finding) -> Suppression | None:
        return next((reason for one in rules if (reason := one(package)) is not None), None)

    return rule


def suppress_packages(report: VulnerabilityReport, *rules: PackageRule) -> VulnerabilityReport:
    """The report with all findings of each package that any of ``rules`` speaks of among its ``suppressed``."""
    for package in report.packages:
        for rule in rules:
            if rule(package) is not None:
                return suppress(report, of_packages(*rules))
    return report  # nearly always, and a rule was asked once for each package


def suppress(report: VulnerabilityReport, rule: Rule) -> VulnerabilityReport:
    """The report with each finding that ``rule`` speaks of among its ``suppressed``, in the same order.

    Findings that are suppressed already stay as they are. ``upgrade`` stays where a fixable finding is left: it
    repairs that one too.
    """
    packages: list[PackageFindings] = []
    suppressed = list(report.suppressed)
    for package in report.packages:
        left: list[Finding] = []
        moved: list[Finding] = []
        for item in package.findings:
            if (reason := rule(package, item)) is None:
                left.append(item)
            else:
                moved.append(msgspec.structs.replace(item, suppression=reason))
        if not moved:
            packages.append(package)
            continue
        suppressed.append(_with(package, moved))
        if left:
            packages.append(_with(package, left))
    if len(suppressed) == len(report.suppressed):
        return report
    return msgspec.structs.replace(
        report,
        packages=tuple(sorted(packages, key=package_order)),
        suppressed=tuple(sorted(suppressed, key=package_order)),
    )


def _with(package: PackageFindings, findings: list[Finding]) -> PackageFindings:
    return msgspec.structs.replace(
        package,
        findings=tuple(findings),
        upgrade=package.upgrade if any(item.fixable for item in findings) else "",
        unfixed=sum(not item.fixable and item.status is not Status.UNDER_INVESTIGATION for item in findings),
    )
