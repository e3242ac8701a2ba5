"""A fix that must be subscribed to is told apart in every format."""

from __future__ import annotations

import csv
import io
import json

import msgspec
import pytest
from formats_samples import REPORT

from redoubt import formats
from redoubt.formats.summary import no_upgrade, summarize

_PACKAGE = next(
    package for package in REPORT.packages if any(item.fixed_version for item in package.findings)
)
_FINDING = msgspec.structs.replace(
    next(item for item in _PACKAGE.findings if item.fixed_version),
    fixed_version="2.0-1ubuntu0.1~esm1",
    fix_channel="esm",
    fixing_advisory="USN-9999-1",
)
PACKAGE = msgspec.structs.replace(_PACKAGE, findings=(_FINDING,), upgrade="", unfixed=1)
SUBSCRIBED = msgspec.structs.replace(REPORT, packages=(PACKAGE,))


@pytest.mark.parametrize("name", ["table", "html", "junit", "gitlab", "cyclonedx"])
def test_what_people_read_says_what_the_fix_needs(name: str) -> None:
    text = formats.render(SUBSCRIBED, name).decode()
    assert "2.0-1ubuntu0.1~esm1" in text
    assert "needs esm" in text


def test_what_programs_read_has_the_channel() -> None:
    [row] = csv.DictReader(io.StringIO(formats.render(SUBSCRIBED, "csv").decode()))
    assert row["fix_channel"] == "esm"
    results = json.loads(formats.render(SUBSCRIBED, "sarif"))["runs"][0]["results"]
    assert {result["properties"]["fix_channel"] for result in results} == {"esm"}
    [finding] = json.loads(formats.render(SUBSCRIBED, "json"))["packages"][0]["findings"]
    assert finding["fix_channel"] == "esm"


def test_it_is_not_counted_as_fixable_and_no_upgrade_is_promised() -> None:
    assert summarize(SUBSCRIBED).fixable == 0
    assert no_upgrade(PACKAGE) == "fixed for subscribers only (esm)"
    assert "fixed for subscribers only (esm)" in formats.render(SUBSCRIBED, "table").decode()
    assert "Fixed for subscribers only (esm)" in formats.render(SUBSCRIBED, "html").decode()
    assert b"data-fixable" not in formats.render(SUBSCRIBED, "html").partition(b"<script")[0]
