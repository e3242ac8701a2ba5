"""``roxctl image`` and ``sbom`` against a real Central and a real registry: they find what ``redoubt scan`` finds."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ociwriter import Entry, ImageWriter
from support.cli import Cli
from support.registry import Registry, needs_registry, open_registry
from support.roots import dpkg_root
from support.up import Up

__all__ = ["open_registry"]
pytestmark = needs_registry

METADATA = b"Metadata-Version: 2.1\nName: Django\nVersion: 2.2\n"


@pytest.fixture(scope="module")
def image(open_registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> str:
    writer = ImageWriter()
    writer.add(dpkg_root([("openssl", "3.0.2-0", ""), ("zlib1g", "1:1.2.11.dfsg-2", "zlib")]))
    writer.add([Entry("usr/lib/python3/dist-packages/Django-2.2.dist-info/METADATA", METADATA)])
    archive = writer.write_docker_archive(tmp_path_factory.mktemp("image") / "image.tar")
    return open_registry.push(f"docker-archive:{archive}", "shop/web:1.4")


def run(up: Up, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = up.roxctl(*words)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def flaws(report: Any) -> set[tuple[str, str, str]]:
    """``(package, version, flaw)`` of a report of ``redoubt``."""
    return {
        (package["name"], package["version"], finding["id"])
        for package in report["packages"]
        for finding in package["findings"]
    }


@pytest.fixture(scope="module")
def expected(image: str, starter_home: Path) -> set[tuple[str, str, str]]:
    found = flaws(Cli(starter_home).json("scan", image))
    assert ("Django", "2.2", "CVE-2020-7471") in found
    assert any(name == "zlib1g" for name, _, _ in found)
    return found


def test_every_form_holds_what_redoubt_scan_finds(
    up: Up, image: str, expected: set[tuple[str, str, str]]
) -> None:
    rows = json.loads(run(up, "image", "scan", "-i", image, "-o", "json").stdout)["result"]["vulnerabilities"]
    assert {(row["componentName"], row["componentVersion"], row["cveId"]) for row in rows} == expected
    table = csv.DictReader(io.StringIO(run(up, "image", "scan", "-i", image, "-o", "csv").stdout))
    assert {(row["COMPONENT"], row["VERSION"], row["CVE"]) for row in table} == expected
    legacy = json.loads(run(up, "image", "scan", "-i", image).stdout)
    assert {
        (component["name"], component["version"], flaw["cve"])
        for component in legacy["scan"]["components"]
        for flaw in component["vulns"]
    } == expected
    assert flaws(json.loads(run(up, "image", "scan", "-i", image, "-o", "report-json").stdout)) == expected
    log = json.loads(run(up, "image", "scan", "-i", image, "-o", "sarif").stdout)
    assert {one["ruleId"] for one in log["runs"][0]["results"]} == {flaw for _, _, flaw in expected}


def test_fail_is_a_gate(up: Up, image: str) -> None:
    run(up, "image", "scan", "-i", image, "--severity", "CRITICAL", "--fail", code=1)
    run(up, "image", "scan", "-i", image, "-o", "html", "--severity", "LOW", "--fail")


def test_a_missing_image_is_one_line_and_unreadable(up: Up, open_registry: Registry) -> None:
    missing = run(up, "image", "scan", "-i", f"{open_registry.host}/shop/none:1", "-o", "table", code=3)
    assert "has no such image" in missing.stderr
    assert len(missing.stderr.splitlines()) == 1


def test_an_sbom_finds_what_its_image_does(
    up: Up, image: str, expected: set[tuple[str, str, str]], tmp_path: Path
) -> None:
    document = run(up, "image", "sbom", "-i", image).stdout
    assert json.loads(document)["spdxVersion"] == "SPDX-2.3"
    (tmp_path / "shop.spdx.json").write_text(document)
    rows = json.loads(
        run(up, "sbom", "scan", "--file", str(tmp_path / "shop.spdx.json"), "-o", "json").stdout
    )
    found = rows["result"]["vulnerabilities"]
    assert {(row["componentName"], row["componentVersion"], row["cveId"]) for row in found} == expected


def test_the_export_holds_the_image(up: Up, image: str) -> None:
    run(up, "image", "scan", "-i", image, "-o", "json")
    lines = run(up, "central", "export", "images").stdout.splitlines()
    assert image in [json.loads(line)["image"]["name"]["fullName"] for line in lines]


def test_an_image_is_checked_against_policies(up: Up, image: str) -> None:
    """The default policies: Django's flaws with a fix break the build; without those, nothing does."""
    done = run(up, "image", "check", "-i", image, "-o", "json", code=1)
    found = json.loads(done.stdout)
    names = {each["name"]: each for each in found["results"][0]["violatedPolicies"]}
    flaws_to_fix = names["Fixable Severity at least Important"]
    assert flaws_to_fix["failingCheck"]
    assert any("in Django 2.2" in line for line in flaws_to_fix["violation"])
    assert "Docker CIS 4.1: Ensure That a User for the Container Has Been Created" in names
    assert "breaks the build" in done.stderr
    other = run(up, "image", "check", "-i", image, "-c", "Docker CIS", "-o", "csv")
    rows = list(csv.DictReader(io.StringIO(other.stdout)))
    assert {row["BREAKS BUILD"] for row in rows} == {"-"}
    unknown = run(up, "image", "check", "-i", image, "-c", "No Such Category", code=3)
    assert "No Such Category" in unknown.stderr


def test_a_manifest_is_checked_against_policies(up: Up, image: str, tmp_path: Path) -> None:
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop"},
        "spec": {
            "template": {
                "spec": {
                    "containers": [{"name": "web", "image": image, "securityContext": {"privileged": True}}]
                }
            }
        },
    }
    file = tmp_path / "shop.yaml"
    file.write_text(json.dumps(manifest))
    done = run(up, "deployment", "check", "-f", str(file), "-o", "json")
    (result,) = json.loads(done.stdout)["results"]
    assert result["metadata"]["additionalInfo"] == {
        "name": "shop",
        "namespace": "default",
        "type": "Deployment",
    }
    names = {each["name"] for each in result["violatedPolicies"]}
    assert {
        "Privileged Container",
        "Privileged Containers with Important and Critical Fixable CVEs",
        "No CPU request or memory limit specified",
    } <= names
    assert "was not scanned" not in done.stderr
