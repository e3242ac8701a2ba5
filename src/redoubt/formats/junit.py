"""Vulnerability reports as JUnit XML, as continuous integration shows it: a package is a suite, a flaw a case.

A flaw fails its case, one under investigation or suppressed is skipped. The first suite has a case for each group of
packages, skipped where it could not be judged, so that nothing found never looks like nothing looked at.
No times: cases take none. The elements are those that Jenkins, GitLab, Azure and others read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from redoubt.errors import UsageError
from redoubt.formats.interface import NO_INDEX, Options
from redoubt.formats.markup import Markup, tag
from redoubt.formats.summary import incomplete, problem_line, repair, suppression_line
from redoubt.formats.text import count
from redoubt.model import Finding, IndexReport, PackageFindings, Status, VulnerabilityReport


class _Case(NamedTuple):
    """A case: it fails, is skipped, or passes. ``text`` is what a failure shows."""

    name: str
    failure: str = ""
    severity: str = ""
    text: str = ""
    skipped: str = ""


class _Suite(NamedTuple):
    name: str
    cases: list[_Case]
    properties: dict[str, str]


def index(report: IndexReport, options: Options) -> bytes:
    """Refused: an index report tests nothing. Raises ``UsageError``."""
    raise UsageError(NO_INDEX["junit"])


def vulnerabilities(report: VulnerabilityReport, options: Options) -> bytes:
    """A suite on what could be judged, then one for each package with findings, those that count first."""
    suites = [_coverage(report), *map(_package, report.packages), *map(_package, report.suppressed)]
    cases = [case for suite in suites for case in suite.cases]
    body = tag("testsuites", *_lines(map(_suite, suites)), name=report.image.reference, **_counts(cases))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'.encode()


def _coverage(report: VulnerabilityReport) -> _Suite:
    none = "" if report.package_count else "no packages were found in this image, so nothing could be judged"
    cases = [_Case("packages were found", skipped=none)]
    for row in report.coverage:
        said = (row.detail or row.judged.value) if incomplete(row) else ""
        judge = f" with the definitions of {row.namespace}" if row.namespace else ""
        cases.append(_Case(f"{row.type} packages were judged{judge}", skipped=said))
    for problem in report.problems:
        where = problem.path or problem.cataloger or "the image"
        cases.append(_Case(f"{where} was read", skipped=problem_line(problem)))
    properties = {
        "image": report.image.reference,
        "image.digest": report.image.digest or report.image.config_digest,
        "packages": count(report.package_count, "package"),
        "definitions.digest": report.definitions.digest,
        "definitions.created": report.definitions.created,
        "definitions.unsigned": "true" if report.definitions.unsigned else "",
    }
    return _Suite("redoubt", cases, properties)


def _package(package: PackageFindings) -> _Suite:
    kind = f"{package.type}, {package.arch}" if package.arch else package.type
    cases = [_finding(package, item) for item in package.findings]
    properties = {"purl": package.purl, "upgrade": package.upgrade}
    return _Suite(f"{package.name} {package.version} ({kind})", cases, properties)


def _finding(package: PackageFindings, item: Finding) -> _Case:
    head = f"{item.severity}, {repair(item)}: {item.title or item.id}"
    if item.suppression:
        return _Case(item.id, skipped=f"suppressed, {suppression_line(item.suppression)}")
    if item.status is Status.UNDER_INVESTIGATION:
        return _Case(item.id, skipped=head)
    facts = [
        ("severity", f"{item.severity} {item.severity_source}".strip()),
        ("repair", repair(item)),
        ("exploited since", item.kev.added if item.kev else ""),
        *(("in", where.path) for where in package.locations[:10]),
        ("more", item.url),
    ]
    text = "\n".join(f"{name}: {value}" for name, value in facts if value)
    return _Case(item.id, head, item.severity.value, text)


def _suite(suite: _Suite) -> Markup:
    properties = [
        tag("property", name=name, value=value) for name, value in suite.properties.items() if value
    ]
    children = [tag("properties", *_lines(properties))] if properties else []
    children += [_case(suite.name, case) for case in suite.cases]
    return tag("testsuite", *_lines(children), name=suite.name, **_counts(suite.cases))


def _case(suite: str, case: _Case) -> Markup:
    inner: list[Markup] = []
    if case.failure:
        text = [child for line in case.text.split("\n") for child in (line, Markup("\n"))]
        inner = [tag("failure", *text, message=case.failure, type=case.severity)]
    elif case.skipped:
        inner = [tag("skipped", message=case.skipped)]
    return tag("testcase", *(_lines(inner) if inner else ()), classname=suite, name=case.name)


def _counts(cases: list[_Case]) -> dict[str, str]:
    failures = sum(bool(case.failure) for case in cases)
    skipped = sum(bool(case.skipped) for case in cases)
    return {
        "tests": str(len(cases)),
        "failures": str(failures),
        "errors": "0",
        "skipped": str(skipped),
    }


def _lines(children: Iterable[Markup]) -> list[Markup]:
    """Each on a line of its own."""
    return [Markup("\n"), *(Markup(f"{child}\n") for child in children)]
