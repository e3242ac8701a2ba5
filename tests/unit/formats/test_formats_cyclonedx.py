"""CycloneDX: the bytes, the published schema, and references that resolve."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from formats_samples import IMAGE, INDEX, LAYERS, REPORT
from referencing import Registry, Resource

from redoubt import formats
from redoubt.model import (
    Cvss,
    Finding,
    Image,
    IndexReport,
    Location,
    Package,
    PackageFindings,
    Severity,
    Status,
    VulnerabilityReport,
)

HERE = Path(__file__).parent


@cache
def validator() -> jsonschema.Draft7Validator:
    """The published schema of CycloneDX 1.6, from the files that its Python library carries."""
    folder = files("cyclonedx.schema") / "_res"
    registry: Registry[Any] = Registry()
    for name in ("spdx", "jsf-0.82"):
        schema = json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text())
        registry = registry.with_resource(schema["$id"], Resource.from_contents(schema))
    bom = json.loads((folder / "bom-1.6.SNAPSHOT.schema.json").read_text())
    return jsonschema.Draft7Validator(bom, registry=registry, format_checker=jsonschema.FormatChecker())


def document(report: IndexReport | VulnerabilityReport) -> Any:
    """The report as CycloneDX, checked against the schema and for references that lead somewhere."""
    data = json.loads(formats.render(report, "cyclonedx"))
    validator().validate(data)
    parts = [data["metadata"]["component"], *data["components"], *data.get("vulnerabilities", [])]
    refs = [part["bom-ref"] for part in parts]
    assert len(refs) == len(set(refs))
    for flaw in data.get("vulnerabilities", []):
        assert {item["ref"] for item in flaw["affects"]} <= set(refs)
    return data


@pytest.mark.parametrize(("report", "name"), [(REPORT, "report.cdx.json"), (INDEX, "index.cdx.json")])
def test_cyclonedx_is_what_it_was(report: IndexReport | VulnerabilityReport, name: str) -> None:
    document(report)
    assert formats.render(report, "cyclonedx") == (HERE / "golden" / name).read_bytes()


def test_the_image_is_named_by_its_digest_and_nothing_varies() -> None:
    data = document(REPORT)
    assert data["metadata"]["component"]["version"] == IMAGE.digest
    assert "serialNumber" not in data
    assert "timestamp" not in data["metadata"]


def test_packages_that_share_a_purl_keep_references_of_their_own() -> None:
    places = (Location("a"),), (Location("b"),), (Location("c"),)
    packages = [
        PackageFindings(
            type="npm",
            name="x",
            version="1",
            purl="pkg:npm/x@1",
            locations=where,
            findings=(Finding(id="CVE-1", status=Status.AFFECTED, severity=Severity.LOW),),
        )
        for where in places
    ]
    report = VulnerabilityReport(image=IMAGE, definitions=REPORT.definitions, packages=tuple(packages))
    (flaw,) = document(report)["vulnerabilities"]
    assert [item["ref"] for item in flaw["affects"]] == ["pkg:npm/x@1", "pkg:npm/x@1#2", "pkg:npm/x@1#3"]


@pytest.mark.parametrize(
    ("status", "analysis"),
    [
        (Status.AFFECTED, None),
        (Status.UNDER_INVESTIGATION, "in_triage"),
        (Status.WILL_NOT_FIX, "exploitable"),
        (Status.FIX_DEFERRED, "exploitable"),
        (Status.END_OF_LIFE, "exploitable"),
    ],
)
def test_an_analysis_is_given_only_where_a_source_made_one(status: Status, analysis: str | None) -> None:
    finding = Finding(id="CVE-1", status=status, severity=Severity.LOW)
    package = PackageFindings(type="npm", name="x", version="1", purl="pkg:npm/x@1", findings=(finding,))
    report = VulnerabilityReport(image=IMAGE, definitions=REPORT.definitions, packages=(package,))
    (flaw,) = document(report)["vulnerabilities"]
    assert flaw.get("analysis", {}).get("state") == analysis


def test_hostile_texts_stay_within_the_schema() -> None:
    bad = "x\x00\x1b[2J\u202e</script>\ud7ff" + "ü" * 300
    finding = Finding(
        id=bad,
        status=Status.AFFECTED,
        severity=Severity.UNKNOWN,
        cvss=(Cvss(bad, bad, 3.0), Cvss("", "CVSS:4.0/AV:N", 9.9)),
        cwes=("CWE-79", "79", "CWE-0", bad, "CWE-99999999999999999999"),
        url="javascript:alert(1)",
        references=("http://ok.example/x", "https://a b", "ftp://x", bad),
        published=bad,
        aliases=(bad, ""),
    )
    package = PackageFindings(
        type="npm", name=bad, version=bad, purl="", locations=(Location(bad, bad),), findings=(finding,)
    )
    report = VulnerabilityReport(
        image=Image(reference=bad, kind="dir"), definitions=REPORT.definitions, packages=(package,)
    )
    (flaw,) = document(report)["vulnerabilities"]
    assert flaw["advisories"] == [{"url": "http://ok.example/x"}]
    assert flaw["cwes"] == [79]
    assert "published" not in flaw


def test_every_package_has_a_purl() -> None:
    packages = tuple(
        Package(type=kind, name=name, version=version)
        for kind, name, version in [
            ("golang", "stdlib", "1.21.3"),
            ("npm", "@a/b", ""),
            ("maven", "core", "1"),
        ]
    )
    data = document(IndexReport(image=IMAGE, layers=LAYERS, packages=packages))
    assert [item["purl"] for item in data["components"]] == [
        "pkg:golang/stdlib@1.21.3",
        "pkg:npm/%40a/b",
        "pkg:maven/core@1",
    ]
