"""CSV: the bytes, what a reader gets back, and cells that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from formats_samples import IMAGE, INDEX, REPORT
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt import formats
from redoubt.model import (
    Cvss,
    Finding,
    Image,
    IndexReport,
    Package,
    PackageFindings,
    Severity,
    Status,
    VulnerabilityReport,
)

HERE = Path(__file__).parent


def rows(report: IndexReport | VulnerabilityReport) -> list[dict[str, str]]:
    """What a reader of RFC 4180 makes of the report."""
    text = formats.render(report, "csv").decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def named(name: str) -> IndexReport:
    return IndexReport(image=IMAGE, packages=(Package(type="npm", name=name, version="1"),))


@pytest.mark.parametrize(("report", "name"), [(REPORT, "report.csv"), (INDEX, "index.csv")])
def test_csv_is_what_it_was(report: IndexReport | VulnerabilityReport, name: str) -> None:
    assert formats.render(report, "csv") == (HERE / "golden" / name).read_bytes()


@pytest.mark.parametrize(("report", "rows_of"), [(REPORT, "findings"), (INDEX, "packages")])
def test_the_columns_are_those_of_the_document(
    report: IndexReport | VulnerabilityReport, rows_of: str
) -> None:
    page = (HERE.parents[2] / "docs" / "reports.md").read_text("utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {rows_of} | `")]
    header = formats.render(report, "csv").decode().splitlines()[0]
    assert header.split(",") == line.removeprefix(f"| {rows_of} | ").rstrip(" |").replace("`", "").split()


def test_every_finding_is_a_row_and_lines_end_as_rfc_4180_says() -> None:
    found = rows(REPORT)
    assert [(row["package"], row["id"]) for row in found] == [
        (package.name, item.id) for package in REPORT.packages for item in package.findings
    ]
    data = formats.render(REPORT, "csv")
    assert data.endswith(b"\r\n")
    assert data.count(b"\n") == data.count(b"\r\n") == len(found) + 1


def test_an_index_is_its_packages() -> None:
    assert [row["purl"] for row in rows(INDEX)] == [
        "pkg:deb/debian/libssl1.1@1.1.1n-0%2Bdeb11u3?arch=amd64&distro=debian-11&upstream=openssl",
        "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1",
        "pkg:npm/%40shop/cart",
    ]
    assert [row["places"] for row in rows(INDEX)] == ["1", "1", "2"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", " =", "\u00a0=", "＝", "＋", "－", "＠"])
def test_what_a_spreadsheet_would_run_is_text(start: str) -> None:
    (row,) = rows(named(f"{start}cmd|' /C calc'!A0"))
    assert row["package"].startswith("'")
    assert row["package"][1:].startswith(start)


def test_a_cell_that_begins_after_a_semicolon_is_text_too() -> None:
    (row,) = rows(named("a; =1+1;@b;c"))
    assert row["package"] == "a;' =1+1;'@b;c"


def test_tabs_and_line_breaks_are_shown_and_not_obeyed() -> None:
    (row,) = rows(named("a\t=1\r\n=2\n\x00\x1b[31m\u202e"))
    assert row["package"] == r"a\x09=1\x0d\x0a=2\x0a\x00\x1b[31m\u202e"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=5, max_size=5))
def test_no_text_adds_a_cell_a_row_or_a_formula(texts: list[str]) -> None:
    name, version, title, source, path = texts
    finding = Finding(
        id="CVE-1",
        status=Status.AFFECTED,
        severity=Severity.LOW,
        title=title,
        cvss=(Cvss(source, source, 1.0),),
    )
    package = PackageFindings(type="npm", name=name, version=version, findings=(finding,))
    report = VulnerabilityReport(
        image=Image(reference=path, kind="dir"), definitions=REPORT.definitions, packages=(package,)
    )
    (row,) = rows(report)
    assert None not in row
    assert None not in row.values()
    assert not [value for value in row.values() if value.lstrip().startswith(tuple("=+-@"))]
    assert row["id"] == "CVE-1"
    assert row["definitions"] == REPORT.definitions.digest
