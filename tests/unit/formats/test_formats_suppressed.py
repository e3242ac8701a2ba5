"""Findings that do not count: not lost and not counted, in every format that has a place for them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from formats_samples import REPORT, SHELL, STUCK

from redoubt import formats
from redoubt.formats import summary
from redoubt.model import Finding, Location, PackageFindings, Suppression, VulnerabilityReport

REASON = "owned by deb/python3-pip 20.3-1; the distribution judges it"
PLACE = Location("usr/share/python-wheels/requests.whl", "", "deb/python3-pip")


def hidden(suppression: Suppression, finding: Finding = SHELL) -> VulnerabilityReport:
    """The sample with one finding more, in a package of its own, that does not count."""
    package = PackageFindings(
        type="pypi",
        name="requests",
        version="2.25.1",
        purl="pkg:pypi/requests@2.25.1",
        locations=(PLACE,),
        findings=(msgspec.structs.replace(finding, suppression=suppression),),
    )
    return msgspec.structs.replace(REPORT, suppressed=(package,))


OWNED = hidden(Suppression(kind="owned", source="deb/python3-pip", reason=REASON))
VEX = hidden(
    Suppression(
        kind="vex",
        source="shop.vex.json",
        reason="never called",
        justification="vulnerable_code_not_in_execute_path",
    )
)


def text(report: VulnerabilityReport, name: str, **options: bool) -> str:
    return formats.render(report, name, formats.Options(**options)).decode()


def document(report: VulnerabilityReport, name: str, **options: bool) -> Any:
    return json.loads(text(report, name, **options))


def test_they_are_neither_counted_nor_the_worst() -> None:
    alone = msgspec.structs.replace(OWNED, packages=())
    assert summary.worst(alone) is None
    assert summary.summarize(OWNED) == summary.summarize(REPORT)


def test_the_verdict_names_them_by_kind() -> None:
    assert summary.verdict(OWNED).endswith("; 1 finding suppressed: 1 judged by the distribution")
    assert summary.verdict(VEX).endswith("; 1 finding suppressed: 1 by VEX")
    judged = msgspec.structs.replace(OWNED, packages=(), coverage=REPORT.coverage[:1], problems=())
    assert summary.verdict(judged) == (
        "No known vulnerabilities in 430 packages; 1 finding suppressed: 1 judged by the distribution"
    )


@pytest.mark.parametrize(
    ("suppression", "line"),
    [
        (Suppression(kind="owned", source="deb/a", reason=REASON), REASON),
        (Suppression(kind="ignore-rule", source="rules.toml", reason="not ours", expires="2099-01-31"),
         "ignore-rule rules.toml: not ours, until 2099-01-31"),
        (Suppression(kind="vex", source="a.json", justification="component_not_present"),
         "vex a.json: component_not_present"),
        (Suppression(kind="vex"), "vex"),
        (None, ""),
    ],
)  # fmt: skip
def test_the_reason_is_one_line(suppression: Suppression | None, line: str) -> None:
    assert summary.suppression_line(suppression) == line


def test_a_table_lists_them_where_that_is_wished() -> None:
    short = text(OWNED, "table")
    assert "requests 2.25.1" not in short
    assert "1 finding suppressed" in short
    assert "--show-suppressed lists" in short
    long = text(OWNED, "table", show_suppressed=True)
    head, _, listed = long.partition("SUPPRESSED\n")
    assert "requests" not in head
    for piece in ("requests 2.25.1  pypi", f"{PLACE.path} (of {PLACE.owner})", REASON, "CVE-2021-44228"):
        assert piece in listed


def test_html_has_them_in_a_section_of_their_own() -> None:
    page = text(OWNED, "html")
    assert "<h2>Suppressed</h2>" in page
    assert REASON in page
    assert "<h2>Suppressed</h2>" not in text(REPORT, "html")


def test_json_has_them_apart_with_the_suppression() -> None:
    [package] = document(OWNED, "json")["suppressed"]
    assert package["findings"][0]["suppression"] == {
        "kind": "owned",
        "source": "deb/python3-pip",
        "reason": REASON,
    }


def test_csv_marks_their_rows() -> None:
    rows = list(csv.DictReader(io.StringIO(text(OWNED, "csv"))))
    marked = [row for row in rows if row["suppressed"]]
    assert [(row["package"], row["suppressed"], row["owner"]) for row in marked] == [
        ("requests", REASON, "deb/python3-pip")
    ]
    assert len(rows) == len(list(csv.DictReader(io.StringIO(text(REPORT, "csv"))))) + 1


def test_sarif_counts_them_and_has_them_as_results_where_that_is_wished() -> None:
    [run] = document(OWNED, "sarif")["runs"]
    assert not any("suppressions" in result for result in run["results"])
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert notes[-1]["level"] == "note"
    assert "1 finding suppressed" in notes[-1]["message"]["text"]
    [run] = document(OWNED, "sarif", show_suppressed=True)["runs"]
    suppressed = [result for result in run["results"] if "suppressions" in result]
    assert [result["suppressions"] for result in suppressed] == [
        [{"kind": "external", "justification": REASON}]
    ]
    assert len({json.dumps(result["partialFingerprints"]) for result in run["results"]}) == len(
        run["results"]
    )


def test_cyclonedx_gives_them_an_analysis() -> None:
    analyses = {
        name: [item["analysis"] for item in document(report, "cyclonedx")["vulnerabilities"]
               if "detail" in item.get("analysis", {}) and "requests" in json.dumps(item["affects"])]
        for name, report in (("owned", OWNED), ("vex", VEX))
    }  # fmt: skip
    assert analyses["owned"] == [{"state": "false_positive", "detail": REASON}]
    assert analyses["vex"][0]["state"] == "not_affected"
    assert analyses["vex"][0]["justification"] == "code_not_reachable"


def test_cyclonedx_keeps_a_flaw_that_counts_elsewhere_apart() -> None:
    found = [item for item in document(OWNED, "cyclonedx")["vulnerabilities"] if item["id"] == SHELL.id]
    assert len(found) == 2
    assert len({item["bom-ref"] for item in found}) == 2
    assert sum("analysis" in item for item in found) == 1


def test_junit_skips_them() -> None:
    root = ElementTree.fromstring(text(OWNED, "junit"))
    before = ElementTree.fromstring(text(REPORT, "junit"))
    assert root.attrib["failures"] == before.attrib["failures"]
    [case] = [case for case in root.iter("testcase") if case.attrib["classname"].startswith("requests")]
    skipped = case.find("skipped")
    assert skipped is not None
    assert skipped.attrib["message"] == f"suppressed, {REASON}"


def test_gitlab_leaves_them_out_and_says_how_many() -> None:
    report = document(OWNED, "gitlab")
    assert report["vulnerabilities"] == document(REPORT, "gitlab")["vulnerabilities"]
    assert report["scan"]["messages"][-1] == {
        "level": "info",
        "value": "1 finding suppressed: 1 judged by the distribution",
    }


def test_spdx_lists_what_counts() -> None:
    assert "requests" not in text(OWNED, "spdx")


@pytest.mark.parametrize("name", ["table", "html", "csv", "sarif", "cyclonedx", "junit", "gitlab", "json"])
def test_hostile_reasons_stay_text(name: str) -> None:
    hostile = '\x1b[2J<script>\u202e]]>\r\n,"=cmd()'
    report = hidden(Suppression(kind=hostile, source=hostile, reason=hostile), STUCK)
    for show in (False, True):
        data = text(report, name, show_suppressed=show)
        assert "\x1b[2J" not in data
        assert "\u202e" not in data
        assert name != "html" or data.count("<script>") == 1


def test_cyclonedx_does_not_call_unaffected_what_somebody_lives_with() -> None:
    for suppression, state in (
        (Suppression(kind="ignore-rule", reason="accepted"), "exploitable"),
        (Suppression(kind="ignore-rule", reason="no", justification="component_not_present"), "not_affected"),
        (Suppression(kind="vex", status="fixed"), "resolved"),
    ):
        analyses = [
            item["analysis"]
            for item in document(hidden(suppression), "cyclonedx")["vulnerabilities"]
            if "detail" in item.get("analysis", {}) and "requests" in json.dumps(item["affects"])
        ]
        assert [item["state"] for item in analyses] == [state]
