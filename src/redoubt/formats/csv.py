"""Reports as CSV (RFC 4180, UTF-8, a header line): a finding a row, or a package a row.

The columns are told in ``docs/reports.md``; new ones are added at the end only. A spreadsheet takes a text
that begins with ``=``, ``+``, ``-`` or ``@`` for a formula and runs it: such a text gets a ``'`` before it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from itertools import chain

from redoubt.formats.interface import Options
from redoubt.formats.summary import main_cvss, suppressed_findings
from redoubt.formats.text import printable
from redoubt.model import Finding, Image, IndexReport, Location, PackageFindings, VulnerabilityReport, purl

_FINDING = (
    *("image", "image_digest", "type", "package", "version", "arch", "source", "purl"),
    *(
        "id",
        "aliases",
        "severity",
        "severity_source",
        "status",
        "fixed_version",
        "fix_channel",
        "fixing_advisory",
    ),
    *("cvss_score", "cvss_vector", "epss", "kev_added", "kev_due", "published", "title", "url"),
    *("namespace", "upgrade", "path", "layer", "places", "definitions", "owner", "suppressed"),
)
_PACKAGE = (
    *("image", "image_digest", "type", "package", "version", "arch", "source", "source_version"),
    *("module", "vendor", "purl", "path", "layer", "places", "owner"),
)

#: What spreadsheets take for a formula, the full-width forms included. After a semicolon too: where the
#: comma is the decimal sign, a semicolon ends a cell.
_FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@＝＋－＠])")


def vulnerabilities(report: VulnerabilityReport, options: Options) -> bytes:
    """A row for each flaw in each package, in the report's order; then those that do not count."""
    digest = report.definitions.digest + (" unsigned" if report.definitions.unsigned else "")
    counting = ((package, item, "") for package in report.packages for item in package.findings)
    rows = (
        (
            *_image(report.image),
            *_finding(package, item),
            *_place(package.locations),
            digest,
            _owner(package.locations),
            suppressed,
        )
        for package, item, suppressed in chain(counting, suppressed_findings(report))
    )
    return _table(_FINDING, rows)


def index(report: IndexReport, options: Options) -> bytes:
    """A row for each package, in the report's order."""
    rows = (
        (
            *_image(report.image),
            package.type,
            package.name,
            package.version,
            package.arch,
            package.source_name,
            package.source_version,
            package.module,
            package.vendor,
            purl.of_package(package, report.distribution),
            *_place(package.locations),
            _owner(package.locations),
        )
        for package in report.packages
    )
    return _table(_PACKAGE, rows)


def _image(image: Image) -> tuple[str, str]:
    return image.reference, image.digest or image.config_digest


def _finding(package: PackageFindings, item: Finding) -> tuple[str, ...]:
    cvss = main_cvss(item)
    return (
        package.type,
        package.name,
        package.version,
        package.arch,
        package.source_name,
        package.purl,
        item.id,
        " ".join(item.aliases),
        item.severity.value,
        item.severity_source,
        item.status.value,
        item.fixed_version,
        item.fix_channel,
        item.fixing_advisory,
        f"{cvss.score:.1f}" if cvss else "",
        cvss.vector if cvss else "",
        f"{item.epss.probability:.5f}" if item.epss else "",
        item.kev.added if item.kev else "",
        item.kev.due if item.kev else "",
        item.published,
        item.title,
        item.url,
        item.namespace,
        package.upgrade,
    )


def _place(locations: tuple[Location, ...]) -> tuple[str, str, str]:
    """The first place, its layer, and how many places there are."""
    first = locations[0] if locations else Location("")
    return first.path, first.layer, str(len(locations))


def _owner(locations: tuple[Location, ...]) -> str:
    """Who owns the first place."""
    return locations[0].owner if locations else ""


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([guarded(value) for value in row] for row in rows)
    return text.getvalue().encode()


def guarded(value: str) -> str:
    """A cell that no spreadsheet runs and no terminal obeys."""
    value = printable(value)
    if not value or (value[0].isalnum() and ";" not in value):  # most of them
        return value
    return _FORMULA.sub(r"\1'", value)
