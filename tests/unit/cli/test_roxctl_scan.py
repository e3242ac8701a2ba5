"""``roxctl image scan``, ``image sbom`` and ``sbom scan``: what is asked of Central, and what is made of its answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt.cli.console import Advance, Console
from redoubt.cli.roxctl import connection, endpoint, results, roxctl, settings, watching
from redoubt.cli.roxctl import image as image_commands
from redoubt.cli.roxctl.credentials import Credentials
from redoubt.cli.roxctl.scanning import REPORT
from redoubt.model import (
    Coverage,
    DefinitionsInfo,
    Finding,
    Image,
    Judged,
    PackageFindings,
    Severity,
    Status,
    VulnerabilityReport,
)
from support.inprocess import Outcome, invoke
from support.standin import TOKEN, StandIn, answer, refusal
from support.web import Answer, Asked, script

NAME = "registry.example/shop:1.4"


def flaw(number: int, severity: str, score: float = 5.0, **more: Any) -> dict[str, Any]:
    return {
        "cve": f"CVE-2099-{number:04d}",
        "severity": f"{severity}_VULNERABILITY_SEVERITY",
        "cvss": score,
        "link": f"https://flaws.example/{number}",
        "summary": f"Flaw {number}",
        **more,
    }


SHOP: dict[str, Any] = {
    "id": "sha256:" + "0f" * 32,
    "name": {"registry": "registry.example", "remote": "shop", "tag": "1.4", "fullName": NAME},
    "metadata": {
        "v1": {"layers": [{"instruction": "FROM", "value": "base"}, {"instruction": "RUN", "value": "pip"}]}
    },
    "scan": {
        "operatingSystem": "debian:12",
        "scanTime": "2099-01-01T00:00:00Z",
        "components": [
            {
                "name": "zlib",
                "version": "1.2",
                "source": "OS",
                "layerIndex": 0,
                "vulns": [flaw(1, "LOW", 2.5), flaw(2, "MODERATE", 4.9, fixedBy="1.3")],
            },
            {
                "name": "shop-core",
                "version": "2.0",
                "source": "PYTHON",
                "location": "usr/lib/python3/shop_core",
                "layerIndex": 1,
                "vulns": [
                    flaw(2, "MODERATE", 4.9),
                    flaw(
                        3,
                        "CRITICAL",
                        9.8,
                        fixedBy="2.1",
                        advisory={"name": "SHOP-1", "link": "https://shop.example/1"},
                    ),
                    flaw(4, "UNKNOWN", 0.0),
                ],
            },
            {"name": "clean", "version": "1", "source": "OS", "layerIndex": 0},
        ],
    },
}
BARE: dict[str, Any] = {
    "id": "sha256:" + "00" * 32,
    "scan": {"notes": ["OS_UNAVAILABLE", "UNSET"]},
    "notes": ["MISSING_SIGNATURE"],
}


@pytest.fixture
def central(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path) as web:
        web.routes["POST /v1/images/scan"] = answer(SHOP)
        yield web


Run = Callable[..., Outcome]


@pytest.fixture
def run(central: StandIn) -> Run:
    given = {
        "ROX_ENDPOINT": central.endpoint,
        "ROX_CA_CERT_FILE": str(central.authority.file),
        "ROX_API_TOKEN": TOKEN,
        "ROX_CLIENT_MAX_RETRIES": "0",
    }

    def call(*words: str | Path, code: int = 0, stdin: str = "", **variables: str) -> Outcome:
        return invoke(roxctl, *words, code=code, environment=given | variables, stdin=stdin)

    return call


@pytest.fixture
def scan(run: Run) -> Run:
    return lambda *words, **more: run("image", "scan", "-i", NAME, *words, **more)


def test_the_default_is_legacy_json_and_says_so(scan: Run) -> None:
    done = scan()
    assert json.loads(done.stdout) == SHOP
    assert done.stdout.count("\n") > 10
    assert "note: the default is legacy-json" in done.stderr


def test_what_is_asked_of_central(scan: Run, central: StandIn) -> None:
    scan("-f", "-a", "--cluster", "east", "--namespace=shops", "-o", "json")
    assert json.loads(central.bodies("POST", "/v1/images/scan")[0]) == {
        "imageName": NAME,
        "force": True,
        "includeSnoozed": True,
        "cluster": "east",
        "namespace": "shops",
    }


def test_json_has_the_originals_names_and_order(scan: Run) -> None:
    result = json.loads(scan("-o", "json").stdout)["result"]
    assert result["summary"] == {
        "TOTAL-COMPONENTS": 2,
        "TOTAL-VULNERABILITIES": 4,
        "UNKNOWN": 1,
        "LOW": 1,
        "MODERATE": 1,
        "IMPORTANT": 0,
        "CRITICAL": 1,
    }
    assert [(row["componentName"], row["cveId"]) for row in result["vulnerabilities"]] == [
        ("shop-core", "CVE-2099-0003"),
        ("shop-core", "CVE-2099-0002"),
        ("shop-core", "CVE-2099-0004"),
        ("zlib", "CVE-2099-0002"),
        ("zlib", "CVE-2099-0001"),
    ]
    assert result["vulnerabilities"][0] == {
        "cveId": "CVE-2099-0003",
        "cveSeverity": "CRITICAL",
        "cveCVSS": 9.8,
        "cveInfo": "https://flaws.example/3",
        "advisoryId": "SHOP-1",
        "advisoryInfo": "https://shop.example/1",
        "componentName": "shop-core",
        "componentVersion": "2.0",
        "componentFixedVersion": "2.1",
    }
    assert scan("-o", "json", "--compact-output").stdout.count("\n") == 1


def test_table(scan: Run) -> None:
    done = scan("-o", "table", "--headers", "COMPONENT,VERSION,CVE,SEVERITY,FIXED_VERSION")
    assert done.stdout.splitlines() == [
        f"Scan results for image: {NAME}",
        "(TOTAL-COMPONENTS: 2, TOTAL-VULNERABILITIES: 4, UNKNOWN: 1, LOW: 1, MODERATE: 1, IMPORTANT: 0, CRITICAL: 1)",
        "",
        "COMPONENT  VERSION  CVE            SEVERITY  FIXED_VERSION",
        "shop-core  2.0      CVE-2099-0003  CRITICAL  2.1",
        "                    CVE-2099-0002  MODERATE  -",
        "                    CVE-2099-0004  UNKNOWN   -",
        "zlib       1.2      CVE-2099-0002  MODERATE  1.3",
        "                    CVE-2099-0001  LOW       -",
    ]
    assert "4 vulnerabilities in 2 components" in done.stderr
    unmerged = scan("-o", "table", "--headers=COMPONENT,CVE", "--merge-output=false", "--no-header").stdout
    assert unmerged.splitlines()[4] == "shop-core  CVE-2099-0002"


def test_csv(scan: Run) -> None:
    assert scan("-o", "csv", "--headers", "CVE", "--headers", "CVSS,ADVISORY").stdout.splitlines()[:3] == [
        "CVE,CVSS,ADVISORY",
        "CVE-2099-0003,9.8,SHOP-1",
        "CVE-2099-0002,4.9,-",
    ]
    assert scan("-o", "csv", "--headers=CVE", "--headers-as-comments").stdout.startswith("; CVE\nCVE-")
    assert scan("-o", "csv", "--headers=CVE", "--no-header").stdout.startswith("CVE-2099-0003\n")
    fixed = scan("-o", "csv", "--headers=CVE", "--required-headers", "fixed_version").stdout.splitlines()
    assert fixed == ["CVE", "CVE-2099-0003", "CVE-2099-0002"]


def test_the_deprecated_paths_still_choose_columns(scan: Run) -> None:
    path = "{result.vulnerabilities.#.cveId,result.vulnerabilities.#.componentName}"
    done = scan("-o", "csv", "--headers", "FLAW,WHERE", "--row-jsonpath-expressions", path)
    assert done.stdout.startswith("FLAW,WHERE\nCVE-2099-0003,shop-core\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--headers", "CVE,COLOUR"), "no column COLOUR"),
        (("--required-headers", "COLOUR"), "'COLOUR' is none of COMPONENT"),
        (("--no-header", "--headers-as-comments"), "exclude each other"),
        (
            ("--headers", "A", "--row-jsonpath-expressions", "{result.summary.@this}"),
            "only {result.vulnerabilities",
        ),
        (
            ("--headers", "A,B", "--row-jsonpath-expressions", "{result.vulnerabilities.#.cveId}"),
            "as many of both",
        ),
        (("--severity", "HIGH"), "'HIGH' is none of UNKNOWN, LOW"),
    ],
)
def test_what_cannot_be_printed_is_found_out_before_the_scan(
    scan: Run, central: StandIn, words: tuple[str, ...], message: str
) -> None:
    assert message in scan("-o", "csv", *words, code=2).stderr
    assert central.asked == []


def test_legacy_csv_goes_layer_by_layer(scan: Run) -> None:
    done = scan("-o", "legacy-csv")
    rows = done.stdout.split("\r\n")
    assert rows[0] == "CVE,CVSS Score,Severity Rating,Summary,Component,Version,Fixed By,Layer Instruction"
    assert rows[1] == "CVE-2099-0002,4.9,Moderate,Flaw 2,zlib,1.2,1.3,FROM base"
    assert rows[3] == "CVE-2099-0003,9.8,Critical,Flaw 3,shop-core,2.0,2.1,RUN pip"
    assert "legacy-csv is deprecated" in done.stderr
    assert scan("--format", "csv").stdout == done.stdout


@pytest.mark.parametrize("form", ["table", "csv", "json", "sarif", "legacy-json", "legacy-csv"])
def test_fail_counts_in_every_form(scan: Run, form: str) -> None:
    scan("-o", form, "--fail", code=1)
    scan("-o", form, "--fail", "--severity", "important", code=0)
    scan("-o", form, "--fail", "--severity", "important", "--severity", "low,CRITICAL", code=1)


def test_severities_narrow_what_is_shown(scan: Run) -> None:
    shown = json.loads(scan("-o", "json", "--severity", "LOW,CRITICAL").stdout)["result"]
    assert {row["cveSeverity"] for row in shown["vulnerabilities"]} == {"LOW", "CRITICAL"}
    assert shown["summary"]["TOTAL-VULNERABILITIES"] == 2
    assert image_commands.SEVERITIES == results.SEVERITIES


def test_what_could_not_be_judged_is_said_in_every_form(scan: Run, central: StandIn) -> None:
    central.routes["POST /v1/images/scan"] = answer(BARE)
    for form in ("table", "csv", "json", "legacy-json", "sarif"):
        stderr = scan("-o", form).stderr
        assert "its packages were not judged" in stderr, form
        assert "SIGNATURE" not in stderr
    central.routes["POST /v1/images/scan"] = answer({"id": "x"})
    assert "the image was not scanned" in scan("-o", "table").stderr


def test_sarif_holds_every_flaw_in_every_component(scan: Run) -> None:
    log = json.loads(scan("-o", "sarif").stdout)
    run = log["runs"][0]
    assert {(one["ruleId"], one["level"]) for one in run["results"]} == {
        ("CVE-2099-0001", "note"),
        ("CVE-2099-0002", "warning"),
        ("CVE-2099-0003", "error"),
        ("CVE-2099-0004", "note"),
    }
    assert len(run["results"]) == 5


def test_hostile_names_neither_steer_a_terminal_nor_run_in_a_spreadsheet(scan: Run, central: StandIn) -> None:
    nasty = "\x1b[2J=cmd|' /C calc'!A0\u202e"
    image = {
        "id": "x",
        "scan": {"components": [{"name": nasty, "version": "=1+1", "vulns": [flaw(1, "LOW")]}]},
    }
    central.routes["POST /v1/images/scan"] = answer(image)
    for form in ("table", "csv", "legacy-csv"):
        out = scan("-o", form).stdout
        assert "\x1b" not in out
        assert "\u202e" not in out
        if "csv" in form:
            assert "'=1+1" in out


def test_retries_are_for_what_may_pass(scan: Run, central: StandIn) -> None:
    central.routes["POST /v1/images/scan"] = script(refusal(503, "the Matcher is away"), answer(SHOP))
    done = scan("-o", "csv", "-r", "2", "-d", "0")
    assert "the Matcher is away; trying again in 0 s, 2 left" in done.stderr
    central.routes["POST /v1/images/scan"] = refusal(503, "the Matcher is away")
    assert "the Matcher is away" in scan("-r", "1", "-d", "0", code=6).stderr.splitlines()[-1]
    for message, number, code in (("a layer is truncated", 3, 3), ("the registry wants credentials", 9, 5)):
        central.routes["POST /v1/images/scan"] = refusal(400, message, number)
        before = len(central.asked)
        assert message in scan("-r", "3", "-d", "0", code=code).stderr
        assert len(central.asked) == before + 1


def test_names_that_no_image_has_are_not_asked_for(run: Run, central: StandIn) -> None:
    run("image", "scan", "-i", "Not An Image", code=2)
    run("image", "sbom", "-i", "", code=2)
    assert central.asked == []


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"scan": {"components": "many"}}', b"[" * 100_000, b'{"id": "\xff"}']
)
def test_an_answer_that_is_none_is_one_line(scan: Run, central: StandIn, body: bytes) -> None:
    central.routes["POST /v1/images/scan"] = Answer(body=body)
    stderr = scan("-o", "table", "-r", "0", code=6).stderr
    assert "not one of a scan" in stderr
    assert stderr.count("\n") == 1


def whole() -> VulnerabilityReport:
    found = (
        Finding(id="CVE-2099-0001", status=Status.AFFECTED, severity=Severity.HIGH, fixed_version="2"),
        Finding(id="CVE-2099-0002", status=Status.AFFECTED, severity=Severity.NEGLIGIBLE),
    )
    return VulnerabilityReport(
        image=Image(reference=NAME, kind="registry", digest="sha256:" + "0f" * 32),
        package_count=1,
        definitions=DefinitionsInfo(digest="sha256:" + "aa" * 32, schema="1.0"),
        coverage=(Coverage(type="deb", namespace="debian:12", judged=Judged.MATCHED, packages=1),),
        packages=(
            PackageFindings(
                type="deb", name="zlib", version="1", purl="pkg:deb/debian/zlib@1", findings=found
            ),
        ),
    )


@pytest.mark.parametrize("form", [*image_commands.WHOLE, "sarif"])
def test_redoubts_own_report_makes_more_forms_possible(scan: Run, central: StandIn, form: str) -> None:
    def give(asked: Asked) -> Answer:
        assert REPORT in asked.headers["accept"]
        return Answer(body=msgspec.json.encode(whole()), headers={"Content-Type": REPORT})

    central.routes["POST /v1/images/scan"] = give
    done = scan("-o", form, "--fail", code=1)
    assert "CVE-2099-0001" in done.stdout
    assert "CVE-2099-0002" not in scan("-o", form, "--severity", "IMPORTANT").stdout
    scan("-o", form, "--severity", "CRITICAL", "--fail")


def test_without_it_they_are_refused_with_what_to_do(scan: Run) -> None:
    assert "choose table, csv, json or sarif" in scan("-o", "html", code=2).stderr


def test_image_sbom_is_written_as_it_came(run: Run, central: StandIn) -> None:
    document = b'{"spdxVersion":"SPDX-2.3","name":"shop"}'
    central.routes["POST /api/v1/images/sbom"] = Answer(
        body=document, headers={"Content-Type": "application/json"}
    )
    assert run("image", "sbom", "-i", NAME, "-f").stdout == document.decode() + "\n"
    assert json.loads(central.bodies("POST", "/api/v1/images/sbom")[0]) == {
        "imageName": NAME,
        "force": True,
        "cluster": "",
        "namespace": "",
    }
    central.routes["POST /api/v1/images/sbom"] = Answer(body=b"<html>", headers={"Content-Type": "text/html"})
    assert "does not know SBOMs" in run("image", "sbom", "-i", NAME, "-r", "0", code=6).stderr


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ('{"name": "x", "spdxVersion": "SPDX-2.3"}', "text/spdx+json"),
        ('{"bomFormat": "CycloneDX", "specVersion": "1.6"}', "application/vnd.cyclonedx+json"),
    ],
)
def test_an_sbom_is_sent_as_what_it_is(
    run: Run, central: StandIn, tmp_path: Path, document: str, kind: str
) -> None:
    central.routes["POST /api/v1/sboms/scan"] = answer({"id": "sbom", "scan": SHOP["scan"]})
    file = tmp_path / "shop.json"
    file.write_text(document)
    done = run("sbom", "scan", "--file", file, "--headers", "CVE", "--fail", code=1)
    assert f"Scan results for SBOM: {file}" in done.stdout
    assert central.asked[-1].headers["content-type"] == kind
    assert central.asked[-1].body == document.encode()
    assert run("sbom", "scan", "--file", "-", "-o", "csv", stdin=document).stdout.startswith("COMPONENT,")
    run("sbom", "scan", "--file", file, "--content-type", "x/y", "-o", "sarif")
    assert central.asked[-1].headers["content-type"] == "x/y"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"spdxVersion": "SPDX-3.0"}', "Central reads SPDX-2.3"),
        ('{"spdxVersion": "SPDX-\x1b[2J"}', "neither SPDX nor CycloneDX"),
        ("[]", "neither SPDX nor CycloneDX"),
        ("", "neither SPDX nor CycloneDX"),
        ("[" * 100_000, "neither SPDX nor CycloneDX"),
    ],
)
def test_what_is_no_sbom_is_not_sent(
    run: Run, central: StandIn, tmp_path: Path, document: str, message: str
) -> None:
    (tmp_path / "shop.json").write_text(document)
    assert message in run("sbom", "scan", "--file", tmp_path / "shop.json", code=3).stderr
    assert "no such file" in run("sbom", "scan", "--file", tmp_path / "none", code=3).stderr
    assert central.asked == []


def test_an_sbom_that_central_cannot_read_is_exit_code_3(run: Run, central: StandIn, tmp_path: Path) -> None:
    central.routes["POST /api/v1/sboms/scan"] = refusal(400, "no package in it has a purl", 3)
    (tmp_path / "shop.json").write_text('{"spdxVersion": "SPDX-2.3"}')
    assert "no package in it" in run("sbom", "scan", "--file", tmp_path / "shop.json", code=3).stderr


def test_a_platform_is_asked_for_where_one_is_named(scan: Run, central: StandIn) -> None:
    scan("-o", "csv", "--platform", "linux/arm64")
    assert json.loads(central.bodies("POST", "/v1/images/scan")[0])["platform"] == "linux/arm64"


@pytest.mark.parametrize(
    ("answered", "drawn"),
    [
        (
            answer(
                {
                    "scans": [
                        {"image": "registry.example/other:1", "state": "QUEUED"},
                        {"image": NAME, "state": "FAILED"},
                        {"image": NAME, "state": "INDEXING", "progress": {"layers": 7, "layersDone": 3}},
                    ]
                }
            ),
            [("layers read", 3, 7)],
        ),
        (answer({"scans": [{"image": NAME, "state": "MATCHING"}]}), [("is matched", 0, 0)]),
        (refusal(404, "no such path"), []),
    ],
)
def test_how_far_a_scan_is_is_drawn_while_it_is_waited_for(
    central: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    answered: Answer,
    drawn: list[tuple[str, int, int]],
) -> None:
    told = settings.Settings(
        endpoint=endpoint.parse(central.endpoint),
        server_name="",
        ca=central.authority.file,
        ca_default=central.authority.file,
        skip_verify=False,
        kube_context=False,
        timeout=None,
        retry_timeout=5.0,
        retries=0,
    )
    central.routes["GET /v1/images/scans"] = answered
    monkeypatch.setattr(watching, "_EVERY", 0.01)
    seen: list[tuple[str, int, int]] = []

    class Drawing(Console):
        @contextmanager
        def bars(self, title: str, unit: str = "bytes", *, passing: bool = False) -> Iterator[Advance]:
            assert (title, unit) == (NAME, "layers")
            yield lambda task, done, total: seen.append((task, done, total))

    one = connection.Central(told, Credentials(f"Bearer {TOKEN}", "test"), 60.0)
    with watching.watched(one, NAME, Drawing(progress=True)):
        deadline = time.monotonic() + 20
        while not (seen if drawn else central.asked) and time.monotonic() < deadline:
            time.sleep(0.01)
    one.close()
    assert list(dict.fromkeys(seen)) == drawn
