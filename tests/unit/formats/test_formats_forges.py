"""GitLab's and GitHub's own documents: the bytes and what their servers demand.

GitLab's schema (security report schemas 15.0.4, container scanning) and GitHub's (REST API, dependency
submission) come in no package, so what they require is written here by hand: required members, types,
patterns, lengths and enumerations of what we write.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from formats_samples import IMAGE, INDEX, REPORT

from redoubt import formats
from redoubt.errors import UsageError
from redoubt.model import (
    Cvss,
    Finding,
    Image,
    IndexReport,
    Location,
    Package,
    PackageFindings,
    Platform,
    Severity,
    Status,
    VulnerabilityReport,
)

HERE = Path(__file__).parent


def record(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """The schema of an object that has all of ``required`` and nothing but both."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def listed(item: dict[str, Any], **limits: int) -> dict[str, Any]:
    return {"type": "array", "items": item, **limits}


TEXT = {"type": "string"}
FILLED = {"type": "string", "minLength": 1}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$"}
WEB = {"type": "string", "pattern": "^https?://.+"}
SCANNER = record({"id": FILLED, "name": FILLED, "version": FILLED, "vendor": record({"name": FILLED})})
V2 = r"AV:[NAL]/AC:[LMH]/Au:[MSN]/C:[NPC]/I:[NPC]/A:[NPC]"
V3 = r"CVSS:3\.[01]/AV:[NALP]/AC:[LH]/PR:[NLH]/UI:[NR]/S:[UC]/C:[NLH]/I:[NLH]/A:[NLH]"
GITLAB = record(
    {
        "version": {"const": "15.0.4"},
        "scan": record(
            {
                "analyzer": SCANNER,
                "scanner": SCANNER,
                "type": {"const": "container_scanning"},
                "start_time": TIME,
                "end_time": TIME,
                "status": {"enum": ["success", "failure"]},
            },
            {"messages": listed(record({"level": {"enum": ["info", "warn", "fatal"]}, "value": FILLED}))},
        ),
        "vulnerabilities": listed(
            record(
                {
                    "id": FILLED,
                    "name": {"type": "string", "maxLength": 255},
                    "description": {"type": "string", "maxLength": 1_048_576},
                    "severity": {"enum": ["Info", "Unknown", "Low", "Medium", "High", "Critical"]},
                    "identifiers": listed(
                        record({"type": FILLED, "name": FILLED, "value": FILLED}, {"url": WEB}),
                        minItems=1,
                        maxItems=20,
                    ),
                    "location": record(
                        {
                            "dependency": record({"package": record({"name": TEXT}), "version": TEXT}),
                            "operating_system": FILLED,
                            "image": FILLED,
                        }
                    ),
                },
                {
                    "solution": {"type": "string", "maxLength": 7000},
                    "links": listed(record({"url": WEB})),
                    "cvss_vectors": listed(
                        record({"vendor": FILLED, "vector": {"type": "string", "pattern": f"^({V2}|{V3})$"}}),
                        minItems=1,
                        maxItems=10,
                    ),
                },
            )
        ),
    }
)

SCALARS = {"type": "object", "maxProperties": 8, "additionalProperties": TEXT}
GITHUB = record(
    {
        "version": {"const": 0},
        "job": record({"id": FILLED, "correlator": FILLED}),
        "detector": record({"name": FILLED, "version": FILLED, "url": FILLED}),
        "metadata": SCALARS,
        "manifests": {
            "type": "object",
            "additionalProperties": record(
                {
                    "name": FILLED,
                    "metadata": SCALARS,
                    "resolved": {
                        "type": "object",
                        "additionalProperties": record(
                            {
                                "package_url": {"type": "string", "pattern": "^pkg:"},
                                "scope": {"enum": ["runtime", "development"]},
                                "metadata": SCALARS,
                            }
                        ),
                    },
                }
            ),
        },
    }
)


def gitlab(report: VulnerabilityReport) -> Any:
    data = json.loads(formats.render(report, "gitlab"))
    jsonschema.Draft7Validator(GITLAB).validate(data)
    ids = [item["id"] for item in data["vulnerabilities"]]
    assert len(ids) == len(set(ids))
    return data


def github(report: IndexReport) -> Any:
    data = json.loads(formats.render(report, "github"))
    jsonschema.Draft7Validator(GITHUB).validate(data)
    for name, manifest in data["manifests"].items():
        assert manifest["name"] == name
    return data


def report_of(item: Finding, name: str = "x") -> VulnerabilityReport:
    package = PackageFindings(type="npm", name=name, version="1", findings=(item,))
    return VulnerabilityReport(image=IMAGE, definitions=REPORT.definitions, packages=(package,))


def test_gitlabs_report_is_what_it_was() -> None:
    gitlab(REPORT)
    assert formats.render(REPORT, "gitlab") == (HERE / "golden" / "report.gitlab.json").read_bytes()


def test_gitlab_is_told_what_could_not_be_judged() -> None:
    assert [item["level"] for item in gitlab(REPORT)["scan"]["messages"]] == ["warn"] * 3


def test_gitlabs_times_are_the_definitions_and_not_the_clocks() -> None:
    scan = gitlab(REPORT)["scan"]
    assert scan["start_time"] == scan["end_time"] == "2026-11-22T10:00:00"


def test_gitlab_follows_a_finding_through_builds_by_its_id() -> None:
    newer = msgspec.structs.replace(
        REPORT, image=Image(reference="registry.example/shop:2", kind="registry", digest="sha256:" + "7" * 64)
    )
    other = msgspec.structs.replace(REPORT, image=Image(reference="registry.example/other", kind="registry"))
    ids = [{item["id"] for item in gitlab(each)["vulnerabilities"]} for each in (REPORT, newer, other)]
    assert ids[0] == ids[1]
    assert not ids[0] & ids[2]


def test_the_flaws_own_name_is_gitlabs_primary_identifier() -> None:
    found = gitlab(REPORT)["vulnerabilities"]
    assert [item["identifiers"][0]["value"] for item in found] == [
        item.id for package in REPORT.packages for item in package.findings
    ]
    assert [item["type"] for item in found[0]["identifiers"]] == ["cve", "ghsa", "cwe"]


@pytest.mark.parametrize(
    ("vector", "kept"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", True),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:P/RL:O", True),
        ("AV:N/AC:L/Au:N/C:P/I:P/A:P", True),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", False),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:HX", False),
        ("CVSS:3.1/bogus", False),
    ],
)
def test_gitlab_gets_only_vectors_that_its_schema_takes(vector: str, kept: bool) -> None:
    item = Finding(
        id="CVE-2024-1", status=Status.AFFECTED, severity=Severity.LOW, cvss=(Cvss("", vector, 5.0),)
    )
    (found,) = gitlab(report_of(item))["vulnerabilities"]
    assert ("cvss_vectors" in found) is kept


def test_hostile_texts_stay_within_gitlabs_schema() -> None:
    bad = "x\x00\x1b[2J\u202e\ud800[a](http://evil.example)@admin</script>" + "ü" * 300_000
    item = Finding(
        id=bad,
        status=Status.AFFECTED,
        severity=Severity.UNKNOWN,
        title=bad,
        aliases=tuple(f"CVE-2024-{number:04}" for number in range(1000)),
        cvss=(Cvss(bad, bad, 3.0),) * 30,
        cwes=(bad, "CWE-79"),
        url=bad,
        references=(bad, "https://ok.example/x"),
        fixed_version=bad,
    )
    (found,) = gitlab(report_of(item, name=bad))["vulnerabilities"]
    assert "\\[a\\](" in found["description"]
    assert "\\@admin" in found["description"]
    assert found["links"] == [{"url": "https://ok.example/x"}]
    assert found["location"]["operating_system"] == "unknown"


def test_gitlab_and_a_finding_without_a_name() -> None:
    gitlab(report_of(Finding(id="", status=Status.AFFECTED, severity=Severity.LOW), name=""))


def test_an_index_is_no_report_for_gitlab() -> None:
    with pytest.raises(UsageError, match="an index has none"):
        formats.render(INDEX, "gitlab")


def test_githubs_snapshot_is_what_it_was() -> None:
    github(INDEX)
    assert formats.render(INDEX, "github") == (HERE / "golden" / "index.github.json").read_bytes()


def test_a_snapshot_claims_no_commit_and_no_time() -> None:
    assert not {"sha", "ref", "scanned"} & set(github(INDEX))


def test_a_snapshot_replaces_that_of_the_image_before_and_no_other() -> None:
    def correlator(reference: str, architecture: str = "amd64") -> str:
        platform = Platform(os="linux", architecture=architecture)
        image = Image(reference=reference, kind="registry", platform=platform)
        found: str = github(IndexReport(image=image))["job"]["correlator"]
        return found

    assert correlator("host:5000/shop:1") == correlator("host:5000/shop:2")
    assert correlator("host:5000/shop:1") != correlator("host:5000/cart:1")
    assert correlator("host:5000/shop:1") != correlator("host:5000/shop:1", "arm64")


def test_a_snapshot_has_a_dependency_for_every_purl() -> None:
    twice = (Location("a"),), (Location("b"),)
    packages = tuple(Package(type="npm", name="x", version="1", locations=where) for where in twice)
    (manifest,) = github(IndexReport(image=IMAGE, packages=packages))["manifests"].values()
    assert list(manifest["resolved"]) == ["pkg:npm/x@1"]
    assert manifest["resolved"]["pkg:npm/x@1"]["metadata"] == {"redoubt:path": "a"}


def test_hostile_texts_stay_within_githubs_schema() -> None:
    bad = "x\x00\x1b[2J\u202e\ud800</script>" + "ü" * 300
    package = Package(type="npm", name=bad, version=bad, locations=(Location(bad),))
    github(IndexReport(image=Image(reference=bad, kind="registry"), packages=(package,)))
    github(IndexReport(image=Image(reference="", kind="dir")))


def test_findings_are_no_snapshot_for_github() -> None:
    with pytest.raises(UsageError, match="redoubt index -o github"):
        formats.render(REPORT, "github")
