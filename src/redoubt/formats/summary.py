"""What people want to know of a report first: how many, how bad, and what could not be judged.

Shared by the formats for people, and by the CLI for its thresholds. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from redoubt.formats.text import count
from redoubt.model import (
    Coverage,
    Cvss,
    Finding,
    IndexReport,
    Judged,
    Location,
    PackageFindings,
    Problem,
    Severity,
    Status,
    Suppression,
    VulnerabilityReport,
)

#: Worst first.
SEVERITIES = tuple(sorted(Severity, key=lambda severity: -severity.rank))

#: What is said in the place of a fixed version where there is none.
NO_FIX = {
    Status.AFFECTED: "no fix",
    Status.UNDER_INVESTIGATION: "under investigation",
    Status.WILL_NOT_FIX: "will not be fixed",
    Status.FIX_DEFERRED: "fix deferred",
    Status.END_OF_LIFE: "end of life, no fix",
    Status.NOT_AFFECTED: "not affected",
}

#: Package types whose location is their system's database, which tells a reader nothing.
SYSTEM_TYPES = frozenset({"deb", "rpm", "apk", "alpm"})


#: Kinds of suppression, in words that follow a number of findings.
_SUPPRESSIONS = {
    "owned": "judged by the distribution",
    "kernel": "of the kernel's sources, and no kernel",
    "vex": "by VEX",
    "ignore-rule": "by ignore rules",
}


class Summary(NamedTuple):
    """Counts of findings, one for each flaw in each package. Those under investigation count apart only."""

    by_severity: dict[Severity, int]
    total: int
    packages: int
    fixable: int
    known_exploited: int
    investigating: int


class Block(NamedTuple):
    """Packages that came from one source in one version and share their findings: one thing to upgrade."""

    packages: tuple[PackageFindings, ...]
    findings: tuple[Finding, ...]

    @property
    def first(self) -> PackageFindings:
        """The package whose name, version and advice stand for all."""
        return self.packages[0]


def summarize(report: VulnerabilityReport) -> Summary:
    """The counts of a report."""
    by_severity = dict.fromkeys(SEVERITIES, 0)
    packages = fixable = exploited = investigating = 0
    for package in report.packages:
        affected = [item for item in package.findings if item.status is not Status.UNDER_INVESTIGATION]
        investigating += len(package.findings) - len(affected)
        packages += bool(affected)
        for item in affected:
            by_severity[item.severity] += 1
            fixable += item.fixable
            exploited += item.kev is not None
    return Summary(by_severity, sum(by_severity.values()), packages, fixable, exploited, investigating)


def worst(report: VulnerabilityReport) -> Severity | None:
    """The worst severity of any finding that is not merely under investigation; None without findings."""
    counts = summarize(report).by_severity
    return next((severity for severity in SEVERITIES if counts[severity]), None)


def suppressed_findings(report: VulnerabilityReport) -> Iterator[tuple[PackageFindings, Finding, str]]:
    """Every finding that does not count, with its package and the reason in one line, in the report's order."""
    for package in report.suppressed:
        for item in package.findings:
            yield package, item, suppression_line(item.suppression)


def suppressed(report: VulnerabilityReport) -> str:
    """One line on the findings that do not count, with the reasons' kinds; empty where there are none."""
    counts: dict[str, int] = {}
    for _, item, _ in suppressed_findings(report):
        kind = item.suppression.kind if item.suppression else "unknown"
        counts[kind] = counts.get(kind, 0) + 1
    if not counts:
        return ""
    kinds = ", ".join(
        f"{number:,} {_SUPPRESSIONS.get(kind, kind)}" for kind, number in sorted(counts.items())
    )
    return f"{count(sum(counts.values()), 'finding')} suppressed: {kinds}"


def suppression_line(item: Suppression | None) -> str:
    """Why a finding does not count, in one line."""
    if item is None:
        return ""
    if item.kind in ("owned", "kernel"):  # the reason names the source
        return item.reason
    status = item.status if item.status == "fixed" else ""
    said = ", ".join(part for part in (status, item.reason, item.justification) if part)
    until = f", until {item.expires}" if item.expires else ""
    return ": ".join(part for part in (f"{item.kind} {item.source}".strip(), said) if part) + until


def main_cvss(item: Finding) -> Cvss | None:
    """The score to show where there is room for one: the first that agrees with the finding's severity, else the first."""
    agreeing = (cvss for cvss in item.cvss if cvss.severity is item.severity)
    return next(agreeing, item.cvss[0] if item.cvss else None)


def repair(item: Finding) -> str:
    """``fixed in 1.4``, or why not: ``no fix``, ``will not be fixed``."""
    if not item.fixed_version:
        return NO_FIX[item.status]
    return f"fixed in {item.fixed_version}" + (f" ({needs(item)})" if item.fix_channel else "")


def needs(item: Finding) -> str:
    """What a fix asks for, where it is not there for everybody: ``needs esm``. Empty where it is."""
    return f"needs {item.fix_channel}" if item.fix_channel else ""


def ended(report: VulnerabilityReport, today: date) -> str:
    """That the distribution is no longer looked after, and since when; empty where it still is, or nobody knows."""
    if not report.end_of_life or report.end_of_life > today.isoformat():
        return ""
    system = report.distribution
    name = (system.name or system.id) if system else ""
    return f"{name} is no longer looked after since {report.end_of_life}: flaws that nobody repairs may not be listed"


def no_upgrade(package: PackageFindings) -> str:
    """Why no version of a package is recommended."""
    if any(item.fixable for item in package.findings):
        return "no single version fixes all that is fixable"
    channels = sorted({item.fix_channel for item in package.findings if item.fix_channel})
    return f"fixed for subscribers only ({', '.join(channels)})" if channels else "no fix yet"


def blocks(report: VulnerabilityReport) -> list[Block]:
    """The report's packages in its order, those that share source, version and findings together."""
    grouped: dict[tuple[str, str, str], list[list[PackageFindings]]] = {}
    found: list[list[PackageFindings]] = []
    for package in report.packages:
        alike = grouped.setdefault((package.type, package.source_name or package.name, package.version), [])
        for members in alike:
            if members[0].findings == package.findings:
                members.append(package)
                break
        else:
            members = [package]
            alike.append(members)
            found.append(members)
    return [Block(tuple(members), members[0].findings) for members in found]


def clean(report: VulnerabilityReport) -> bool:
    """Whether everything could be judged and nothing at all is known."""
    return not (report.packages or report.left_out or gaps(report))


def gaps(report: VulnerabilityReport) -> list[str]:
    """Lines for people on everything that could not be judged, the broadest first. Empty: all of it could."""
    lines = (
        [] if report.package_count else ["no packages were found in this image, so nothing could be judged"]
    )
    lines += [row.detail or f"{row.type}: {row.judged}" for row in report.coverage if incomplete(row)]
    return lines + [problem_line(problem) for problem in report.problems]


def index_gaps(report: IndexReport) -> list[str]:
    """The same for an index report, which judges nothing: what could not be read."""
    lines = [] if report.packages else ["no packages were found in this image"]
    return lines + [problem_line(problem) for problem in report.problems]


def place(where: Location) -> str:
    """A place in the image, with the system's package that installed the file: ``path (of deb/name)``."""
    return f"{where.path} (of {where.owner})" if where.owner else where.path


def problem_line(problem: Problem) -> str:
    """A problem in one line: ``damaged: var/lib/dpkg/status: …``."""
    return ": ".join(part for part in (problem.kind.value, problem.path, problem.message) if part)


def verdict(report: VulnerabilityReport) -> str:
    """The one sentence that sums a report up, and never calls unjudged clean."""
    summary = summarize(report)
    rest = f" ({count(report.left_out, 'finding')} without a fix left out)" if report.left_out else ""
    hidden = f"; {suppressed(report)}" if report.suppressed else ""
    if summary.total:
        return f"{count(summary.total, 'finding')} in {count(summary.packages, 'package')}{rest}{hidden}"
    if rest:
        return f"No fixable vulnerabilities{rest}{hidden}"
    judged = sum(
        row.packages - row.unversioned - row.unidentified - row.third_party
        for row in report.coverage
        if row.judged is Judged.MATCHED
    )
    if not judged:
        return "Nothing could be judged: this is not a clean result"
    if gaps(report):
        return f"No known vulnerabilities in the {count(judged, 'package')} that could be judged{hidden}"
    return f"No known vulnerabilities in {count(judged, 'package')}{hidden}"


def incomplete(row: Coverage) -> bool:
    """Whether some of a group's packages could not be judged, or not as what they are."""
    lacking = row.unversioned or row.unidentified or row.third_party or row.unmapped
    return row.judged is not Judged.MATCHED or bool(lacking)
