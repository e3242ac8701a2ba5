"""SPDX: the bytes, the specification as ``spdx-tools`` checks it, and references that resolve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from formats_samples import IMAGE, INDEX, REPORT
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from redoubt import formats
from redoubt.model import (
    Distribution,
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


def document(report: IndexReport | VulnerabilityReport) -> Any:
    """The report as SPDX, read and validated as SPDX 2.3, with every package in one relationship."""
    data = json.loads(formats.render(report, "spdx"))
    parsed = JsonLikeDictParser().parse(data)
    assert [message.validation_message for message in validate_full_spdx_document(parsed)] == []
    ids = [package["SPDXID"] for package in data["packages"]]
    assert len(ids) == len(set(ids))
    assert [item["relatedSpdxElement"] for item in data["relationships"]] == ids
    return data


@pytest.mark.parametrize(("report", "name"), [(REPORT, "report.spdx.json"), (INDEX, "index.spdx.json")])
def test_spdx_is_what_it_was(report: IndexReport | VulnerabilityReport, name: str) -> None:
    document(report)
    assert formats.render(report, "spdx") == (HERE / "golden" / name).read_bytes()


def test_the_namespace_follows_from_the_document_alone() -> None:
    other = msgspec.structs.replace(INDEX, packages=INDEX.packages[:1])
    spaces = [document(report)["documentNamespace"] for report in (INDEX, INDEX, other, REPORT)]
    assert spaces[0] == spaces[1]
    assert len(set(spaces)) == 3
    assert all(space.startswith("urn:uuid:") for space in spaces)


def test_the_time_is_that_of_the_definitions_or_none() -> None:
    assert document(REPORT)["creationInfo"]["created"] == "2026-11-22T10:00:00Z"
    assert document(INDEX)["creationInfo"]["created"] == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("created", "said"),
    [
        ("2026-11-22T10:00:00.123456Z", "2026-11-22T10:00:00Z"),
        ("2026-11-22T10:00:00+00:00", "2026-11-22T10:00:00Z"),
        ("", "1970-01-01T00:00:00Z"),
        ("yesterday", "1970-01-01T00:00:00Z"),
        ("２０２６-11-22T10:00:00Z", "1970-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_whole_seconds_in_utc(created: str, said: str) -> None:
    definitions = msgspec.structs.replace(REPORT.definitions, created=created)
    report = msgspec.structs.replace(REPORT, definitions=definitions)
    assert document(report)["creationInfo"]["created"] == said


def test_a_package_is_the_same_element_in_the_sbom_and_in_the_report() -> None:
    index = IndexReport(
        image=IMAGE, distribution=INDEX.distribution, packages=INDEX.packages[1:2], layers=INDEX.layers
    )
    report = msgspec.structs.replace(REPORT, packages=REPORT.packages[:1])
    assert document(index)["packages"][2]["SPDXID"] == document(report)["packages"][2]["SPDXID"]


def test_findings_are_security_references() -> None:
    package = document(REPORT)["packages"][2]
    assert [
        (item["referenceCategory"], item["referenceType"], item["referenceLocator"])
        for item in package["externalRefs"]
    ] == [
        ("PACKAGE-MANAGER", "purl", "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"),
        ("SECURITY", "advisory", "https://osv.example/GHSA-jfh8-c2jp-5v3q"),
        ("OTHER", "vulnerability", "GHSA-aaaa-bbbb-cccc"),  # it has no address
    ]


def test_what_could_not_be_judged_or_read_is_said() -> None:
    assert "300 npm packages were not judged" in document(REPORT)["comment"]
    assert "broken.jar" in document(INDEX)["comment"]


def test_packages_that_nothing_tells_apart_are_elements_of_their_own() -> None:
    package = Package(type="npm", name="x", version="1")
    assert len(document(IndexReport(image=IMAGE, packages=(package,) * 3))["packages"]) == 4


def test_hostile_texts_stay_within_the_specification() -> None:
    bad = "x y\x00\x1b[2J\u202e\n</script>#" + "ü" * 300
    finding = Finding(
        id=bad, status=Status.AFFECTED, severity=Severity.LOW, url="http://a b", fixed_version=bad
    )
    package = PackageFindings(
        type=bad, name=bad, version=bad, purl=bad, locations=(Location(bad, bad),) * 200, findings=(finding,)
    )
    image = Image(reference=bad, kind="dir", digest=bad, config_digest=bad)
    system = Distribution(id=bad, version_id=bad, name=bad)
    document(
        VulnerabilityReport(
            image=image, distribution=system, definitions=REPORT.definitions, packages=(package,)
        )
    )
    document(
        IndexReport(
            image=image,
            distribution=system,
            packages=(Package(type="npm", name=bad, version=bad, vendor=bad),),
        )
    )
    document(
        IndexReport(
            image=Image(reference="", kind="dir"), packages=(Package(type="npm", name="", version=""),)
        )
    )
