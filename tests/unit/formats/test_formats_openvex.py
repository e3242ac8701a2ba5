"""OpenVEX out: what its schema demands, nothing that was not said, and a round trip.

The schema (openvex/spec, 0.2.0) comes in no package: what it requires of what we write is written here by hand.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest
from formats_samples import IMAGE, OPEN, REPORT, SHELL, STUCK, TLS
from test_formats_forges import FILLED, TEXT, listed, record

from redoubt import formats
from redoubt.assessments.documents import read
from redoubt.matcher.suppress import suppress
from redoubt.matcher.vex import Vex
from redoubt.model import Finding, Image, PackageFindings, Suppression, VulnerabilityReport

COMPONENT = {
    "@id": FILLED,
    "identifiers": record({"purl": {"type": "string", "pattern": "^pkg:"}}),
    "hashes": record({"sha-256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}),
}
STATEMENT = record(
    {
        "vulnerability": record(
            {"name": FILLED}, {"@id": FILLED, "description": TEXT, "aliases": listed(TEXT, minItems=1)}
        ),
        "products": listed(
            record(
                {
                    "@id": FILLED,
                    "subcomponents": {**listed(record({"@id": FILLED}), minItems=1), "uniqueItems": True},
                },
                {key: value for key, value in COMPONENT.items() if key != "@id"},
            ),
            minItems=1,
        ),
        "status": {"enum": ["not_affected", "affected", "fixed", "under_investigation"]},
    },
    {
        "status_notes": TEXT,
        "justification": {
            "enum": [
                "component_not_present",
                "vulnerable_code_not_present",
                "vulnerable_code_not_in_execute_path",
                "vulnerable_code_cannot_be_controlled_by_adversary",
                "inline_mitigations_already_exist",
            ]
        },
        "impact_statement": FILLED,
        "action_statement": FILLED,
    },
)
STATEMENT["allOf"] = [
    {
        "if": {"properties": {"status": {"const": "not_affected"}}},
        "then": {"anyOf": [{"required": ["justification"]}, {"required": ["impact_statement"]}]},
    },
    {
        "if": {"properties": {"status": {"const": "affected"}}},
        "then": {"required": ["action_statement"]},
        "else": {"not": {"required": ["action_statement"]}},
    },
]
SCHEMA = record(
    {
        "@context": {"const": "https://openvex.dev/ns/v0.2.0"},
        "@id": {"type": "string", "pattern": "^urn:uuid:[0-9a-f-]{36}$"},
        "author": FILLED,
        "timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
        "version": {"type": "integer", "minimum": 1},
        "statements": {**listed(STATEMENT, minItems=1), "uniqueItems": True},
    },
    {"role": TEXT, "tooling": TEXT},
)


def silenced(finding: Finding, name: str, **suppression: str) -> PackageFindings:
    return PackageFindings(
        type="npm",
        name=name,
        version="1.0",
        purl=f"pkg:npm/{name}@1.0",
        findings=(msgspec.structs.replace(finding, suppression=Suppression(**suppression)),),
    )


HIDDEN = msgspec.structs.replace(
    REPORT,
    suppressed=(
        silenced(SHELL, "a", kind="vex", source="x", justification="component_not_present", status="not_affected"),
        silenced(SHELL, "b", kind="vex", source="x", reason="Rebuilt.", status="fixed"),
        silenced(STUCK, "c", kind="ignore-rule", source="r, rule 1", reason="No.", justification="component_not_present"),
        silenced(STUCK, "d", kind="ignore-rule", source="r, rule 2", reason="Accepted.", expires="2099-01-31"),
        silenced(TLS, "e", kind="owned", source="deb/e", reason="owned by deb/e 1; the distribution judges it"),
        silenced(TLS, "f", kind="owned", source="deb/openssl", reason="owned by deb/openssl 1; the distribution judges it"),
        silenced(OPEN, "g", kind="vex", source="x", justification="a code of their own"),
    ),
)  # fmt: skip


def document(report: VulnerabilityReport) -> Any:
    made = json.loads(formats.render(report, "openvex"))
    jsonschema.validate(made, SCHEMA)
    return made


def words(report: VulnerabilityReport) -> dict[tuple[str, str], dict[str, Any]]:
    """``(flaw, purl) → statement``."""
    return {
        (item["vulnerability"]["name"], part["@id"]): item
        for item in document(report)["statements"]
        for product in item["products"]
        for part in product["subcomponents"]
    }


def test_every_finding_has_a_statement_that_says_what_to_do() -> None:
    said = words(REPORT)
    assert len(said) == sum(len(package.findings) for package in REPORT.packages)
    log4j = REPORT.packages[0].purl
    assert said[SHELL.id, log4j]["status"] == "affected"
    assert said[SHELL.id, log4j]["action_statement"] == "Upgrade to 2.15.0 or later."
    assert said[SHELL.id, log4j]["vulnerability"]["aliases"] == ["GHSA-jfh8-c2jp-5v3q"]
    assert said[STUCK.id, log4j]["action_statement"] == "Nothing to upgrade to: will not be fixed."
    for package in REPORT.packages[1:]:
        assert said[OPEN.id, package.purl]["status"] == "under_investigation"
    assert said[TLS.id, REPORT.packages[1].purl] == said[TLS.id, REPORT.packages[2].purl]


def test_what_does_not_count_says_what_was_said_and_no_more() -> None:
    said = {purl[8:9]: item for (_, purl), item in words(HIDDEN).items() if purl.startswith("pkg:npm/")}
    assert (said["a"]["status"], said["a"]["justification"]) == ("not_affected", "component_not_present")
    assert "impact_statement" not in said["a"]
    assert (said["b"]["status"], said["b"]["status_notes"]) == ("fixed", "Rebuilt.")
    assert (said["c"]["status"], said["c"]["justification"], said["c"]["impact_statement"]) == (
        "not_affected", "component_not_present", "No.",
    )  # fmt: skip
    assert said["d"]["status"] == "affected"
    assert said["d"]["status_notes"] == "ignore-rule r, rule 2: Accepted., until 2099-01-31"
    assert (said["e"]["status"], said["e"]["impact_statement"]) == (
        "not_affected", "owned by deb/e 1; the distribution judges it",
    )  # fmt: skip
    assert "f" not in said  # its owner has the same flaw, which counts
    assert "justification" not in said["g"]


def test_the_product_is_the_image_by_digest() -> None:
    [product] = {
        json.dumps(item["products"][0] | {"subcomponents": []}) for item in document(REPORT)["statements"]
    }
    assert json.loads(product) == {
        "@id": f"pkg:oci/shop@{IMAGE.digest}?repository_url=registry.example/shop",
        "identifiers": {"purl": f"pkg:oci/shop@{IMAGE.digest}?repository_url=registry.example/shop"},
        "hashes": {"sha-256": "1" * 64},
        "subcomponents": [],
    }


ARCHIVE = Image(reference="a b.tar", kind="docker-archive", config_digest="sha256:" + "5" * 64)
LAYOUT = Image(reference="oci-dir:out/Shop layout:1.4", kind="oci-dir", digest="sha256:" + "6" * 64)
FOLDER = Image(reference="/mnt/\u202eroot", kind="dir")


@pytest.mark.parametrize("image", [IMAGE, ARCHIVE, LAYOUT, FOLDER], ids=lambda image: image.kind)
def test_fed_back_it_silences_what_vex_was_said_of_and_nothing_else(image: Image) -> None:
    hidden = msgspec.structs.replace(HIDDEN, image=image)
    open_ = msgspec.structs.replace(
        hidden,
        packages=(*hidden.packages, *(_counting(package) for package in hidden.suppressed)),
        suppressed=(),
    )
    vex = Vex([read(formats.render(hidden, "openvex"), "own.json")], image, hidden.distribution)
    again = suppress(open_, vex.rule)
    assert {package.name for package in again.suppressed} == {"a", "b", "c", "e", "g"}
    assert len(again.packages) == len(REPORT.packages) + 2
    other = msgspec.structs.replace(image, reference="other", digest="sha256:" + "7" * 64, config_digest="")
    assert suppress(open_, Vex([read(formats.render(hidden, "openvex"), "own.json")], other).rule) == open_


def _counting(package: PackageFindings) -> PackageFindings:
    findings = tuple(msgspec.structs.replace(item, suppression=None) for item in package.findings)
    return msgspec.structs.replace(package, findings=findings)


def test_of_two_words_on_one_package_the_one_that_counts_stays() -> None:
    [log4j, *_] = REPORT.packages
    twin = msgspec.structs.replace(
        log4j,
        findings=(msgspec.structs.replace(SHELL, suppression=Suppression(kind="vex", reason="no")),),
    )
    report = msgspec.structs.replace(REPORT, suppressed=(twin,))
    assert document(report) == document(REPORT)


def test_hostile_texts_stay_text() -> None:
    hostile = '\x1b[2J\u202e"},{'
    finding = msgspec.structs.replace(SHELL, id=hostile, title=hostile, url=f"https://x.example/{hostile}")
    package = msgspec.structs.replace(REPORT.packages[0], findings=(finding,))
    data = formats.render(msgspec.structs.replace(REPORT, packages=(package,)), "openvex").decode()
    assert "\x1b" not in data
    assert "\u202e" not in data
    [found] = json.loads(data)["statements"]
    assert found["vulnerability"]["name"] == hostile
    assert "@id" not in found["vulnerability"]
