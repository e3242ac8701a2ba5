"""``roxctl image check``: what is asked of Central, what is made of its answer, and when the build fails."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.roxctl import Run, runner
from support.standin import StandIn, answer, refusal

NAME = "registry.example/shop:1.4"


def alert(name: str, severity: str, *messages: str, enforced: bool = False, **policy: Any) -> dict[str, Any]:
    return {
        "id": "a",
        "policy": {
            "id": name,
            "name": name,
            "severity": f"{severity}_SEVERITY",
            "description": f"About {name}",
            "remediation": f"Mend {name}",
            "enforcementActions": ["FAIL_BUILD_ENFORCEMENT"] if enforced else [],
            **policy,
        },
        "image": {"id": "sha256:1", "name": {"fullName": NAME}},
        "violations": [{"message": message, "type": "GENERIC"} for message in messages],
    }


ALERTS = [
    alert("Latest tag", "LOW", "Image 'x': Image Tag: latest"),
    alert("Bad flaws", "CRITICAL", "one", "two", "one", enforced=True),
    alert("Old image", "HIGH", "too old"),
]


@pytest.fixture
def central(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path) as web:
        web.routes["POST /v1/detect/build"] = answer({"alerts": ALERTS})
        yield web


@pytest.fixture
def run(central: StandIn) -> Run:
    return runner(central)


def check(run: Run, *words: str, code: int = 1) -> Any:
    return run("image", "check", "-i", NAME, *words, code=code)


def test_what_is_asked(central: StandIn, run: Run) -> None:
    check(run, "-c", "Tests, More", "-f", "--send-notifications", "--cluster", "c", "--namespace", "n")
    (body,) = central.bodies("POST", "/v1/detect/build")
    assert json.loads(body) == {
        "imageName": NAME,
        "force": True,
        "cluster": "c",
        "namespace": "n",
        "sendNotifications": True,
        "policyCategories": ["Tests", "More"],
    }


def test_json(run: Run) -> None:
    found = json.loads(check(run, "-o", "json").stdout)
    assert found["summary"] == {"TOTAL": 3, "LOW": 1, "MEDIUM": 0, "HIGH": 1, "CRITICAL": 1}
    (result,) = found["results"]
    assert result["metadata"] == {"id": "sha256:1", "additionalInfo": {"name": NAME, "type": "image"}}
    assert [each["name"] for each in result["violatedPolicies"]] == ["Bad flaws", "Old image", "Latest tag"]
    assert result["violatedPolicies"][0] == {
        "name": "Bad flaws",
        "severity": "CRITICAL",
        "description": "About Bad flaws",
        "violation": ["one", "two"],
        "remediation": "Mend Bad flaws",
        "failingCheck": True,
    }
    assert [each["name"] for each in result["breakingPolicies"]] == ["Bad flaws"]
    assert check(run, "-o", "json", "--compact-output").stdout.count("\n") == 1


def test_csv(run: Run) -> None:
    rows = list(csv.reader(io.StringIO(check(run, "-o", "csv").stdout)))
    assert rows[0] == ["POLICY", "SEVERITY", "BREAKS BUILD", "DESCRIPTION", "VIOLATION", "REMEDIATION"]
    assert rows[1] == ["Bad flaws", "CRITICAL", "X", "About Bad flaws", "- one\n- two", "Mend Bad flaws"]
    assert [row[2] for row in rows[1:]] == ["X", "-", "-"]
    chosen = check(run, "-o", "csv", "--headers", "POLICY,SEVERITY", "--headers-as-comments").stdout
    assert chosen.splitlines()[:2] == ["; POLICY,SEVERITY", "Bad flaws,CRITICAL"]
    needed = check(
        run, "-o", "csv", "--no-header", "--headers", "POLICY", "--required-headers", "BREAKS BUILD"
    ).stdout
    assert needed == "Bad flaws\n"


def test_the_originals_expressions_for_columns(run: Run) -> None:
    paths = (
        "{results.#.violatedPolicies.#.name,results.#.violatedPolicies.#.violation.@list,"
        'results.#.violatedPolicies.#.failingCheck.@boolReplace:{"true":"X","false":"-"}}'
    )
    out = check(run, "-o", "csv", "--headers", "A,B,C", "--row-jsonpath-expressions", paths).stdout
    assert out.splitlines()[0] == "A,B,C"
    assert list(csv.reader(io.StringIO(out)))[1] == ["Bad flaws", "- one\n- two", "X"]
    bad = check(run, "--row-jsonpath-expressions", "{results.#.x}", code=2)
    assert "only {results.#.violatedPolicies.#.FIELD,…} is known" in bad.stderr


def test_table(run: Run) -> None:
    done = check(run)
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        f"Policy check results for image: {NAME}",
        "(TOTAL: 3, LOW: 1, MEDIUM: 0, HIGH: 1, CRITICAL: 1)",
    ]
    assert lines[3].split() == [
        "POLICY",
        "SEVERITY",
        "BREAKS",
        "BUILD",
        "DESCRIPTION",
        "VIOLATION",
        "REMEDIATION",
    ]
    assert "- two" in done.stdout
    assert "3 policies are violated" in done.stderr
    assert "policy 'Bad flaws' breaks the build; possible remediation: Mend Bad flaws" in done.stderr


def test_junit(run: Run) -> None:
    suite = ET.fromstring(check(run, "-o", "junit").stdout)
    assert suite.attrib == {
        "name": "image-check",
        "tests": "3",
        "failures": "1",
        "skipped": "2",
        "errors": "0",
    }
    cases = {case.attrib["name"]: case for case in suite}
    assert cases["Bad flaws"].findtext("failure") == "- one\n- two"
    assert cases["Latest tag"].find("skipped") is not None
    named = ET.fromstring(check(run, "-o", "junit", "--junit-suite-name", "mine").stdout)
    assert named.attrib["name"] == "mine"


def test_sarif(run: Run, central: StandIn) -> None:
    central.routes["POST /v1/detect/build"] = answer(
        {
            "alerts": ALERTS,
            "unanswered": [{"policyName": "Signed", "criteria": ["Image Signature Verified By"]}],
        }
    )
    log = json.loads(check(run, "-o", "sarif").stdout)
    (ran,) = log["runs"]
    assert [rule["id"] for rule in ran["tool"]["driver"]["rules"]] == ["Bad flaws", "Old image", "Latest tag"]
    assert [result["level"] for result in ran["results"]] == ["error", "error", "note"]
    (told,) = ran["invocations"][0]["toolExecutionNotifications"]
    assert "Signed" in told["message"]["text"]


def test_the_build_fails_only_where_a_policy_says_so(central: StandIn, run: Run) -> None:
    central.routes["POST /v1/detect/build"] = answer({"alerts": [ALERTS[0]]})
    assert "1 policy is violated" in check(run, code=0).stderr
    central.routes["POST /v1/detect/build"] = answer({"alerts": []})
    done = check(run, code=0)
    assert "TOTAL: 0" in done.stdout
    assert "violated" not in done.stderr
    for form in ("json", "csv", "junit", "sarif"):
        check(run, "-o", form, code=0)


def test_the_older_json(run: Run) -> None:
    done = check(run, "--json")
    assert json.loads(done.stdout) == {"alerts": ALERTS}
    assert "deprecated" in done.stderr
    check(run, "--json", "--json-fail-on-policy-violations=false", code=0)


def test_what_could_not_be_asked_is_warned_of(central: StandIn, run: Run) -> None:
    central.routes["POST /v1/detect/build"] = answer(
        {
            "alerts": [],
            "unanswered": [
                {"policyName": "Signed", "criteria": ["A", "B"]},
                {"policyName": "Bad", "reason": "x"},
            ],
        }
    )
    errors = check(run, code=0).stderr
    assert "policy 'Signed' could not be asked: nothing is known yet of A, B" in errors
    assert "policy 'Bad' could not be asked: x" in errors


def test_hostile_texts_stay_texts(central: StandIn, run: Run) -> None:
    evil = alert(
        '=cmd|"/c x"!A0', "LOW", "-2+3+cmd|' /C calc'!A0", "\x1b[31mred\nnew", "<b>&", description="@x\u202e"
    )
    central.routes["POST /v1/detect/build"] = answer({"alerts": [evil]})
    assert "\x1b" not in check(run, code=0).stdout
    row = list(csv.reader(io.StringIO(check(run, "-o", "csv", code=0).stdout)))[1]
    assert all(not cell.startswith(("=", "+", "@", "-2")) for cell in row)
    assert row[4].startswith("'")
    ET.fromstring(check(run, "-o", "junit", code=0).stdout)
    assert "\u202e" not in check(run, "-o", "sarif", code=0).stdout


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"alerts": [{}]}', b'{"alerts": 1}', b"<html>"])
def test_what_is_no_answer_of_a_check_is_said(central: StandIn, run: Run, body: bytes) -> None:
    from support.web import Answer

    central.routes["POST /v1/detect/build"] = Answer(200, body, {"Content-Type": "application/json"})
    assert "is this Central?" in check(run, code=6).stderr


def test_refusals_and_what_was_typed_wrong(central: StandIn, run: Run) -> None:
    central.routes["POST /v1/detect/build"] = refusal(403, "not authorized", 7)
    check(run, code=5)
    central.routes["POST /v1/detect/build"] = refusal(400, "no policy has the categories Foo", 3)
    assert "no policy has the categories Foo" in check(run, "-c", "Foo", code=3).stderr
    check(run, "--no-header", "--headers-as-comments", code=2)
    check(run, "--headers", "NOPE", code=2)
    run("image", "check", code=2)
    run("image", "check", "-i", "Not An Image", code=2)


def test_the_columns_of_the_help_are_those_that_there_are() -> None:
    from redoubt.cli.roxctl import checkforms, checkoptions

    assert tuple(checkforms.HEADERS) == checkoptions.HEADERS


def workload(name: str, *alerts: dict[str, Any], **more: Any) -> dict[str, Any]:
    deployment = {"id": f"id-{name}", "name": name, "type": "Deployment", "namespace": "stores"}
    return {
        "name": name,
        "type": "Deployment",
        "alerts": [{**each, "image": None, "deployment": deployment} for each in alerts],
        **more,
    }


STOPPED = alert(
    "Privileged",
    "HIGH",
    "Container 'web': Privileged Container: true",
    enforcementActions=["SCALE_TO_ZERO_ENFORCEMENT"],
)


@pytest.fixture
def manifest(tmp_path: Path, central: StandIn) -> Path:
    central.routes["POST /v1/detect/deploy/yaml"] = answer(
        {
            "runs": [workload("shop", STOPPED, ALERTS[0]), workload("api"), workload("bank", ALERTS[0])],
            "ignoredObjectRefs": ["stores/shop[/v1, Kind=Service]"],
            "imageProblems": [{"image": "odd:1", "reason": "away"}],
        }
    )
    file = tmp_path / "shop.yaml"
    file.write_text("kind: Deployment")
    return file


def test_manifests_are_checked(central: StandIn, run: Run, manifest: Path) -> None:
    words = ("deployment", "check", "-f", manifest, "-n", "stores", "-c", "A,B")
    found = json.loads(run(*words, "-o", "json", code=1).stdout)
    assert json.loads(central.bodies("POST", "/v1/detect/deploy/yaml")[0]) == {
        "yaml": "kind: Deployment",
        "force": False,
        "cluster": "",
        "namespace": "stores",
        "policyCategories": ["A", "B"],
    }
    assert [each["metadata"]["additionalInfo"]["name"] for each in found["results"]] == ["bank", "shop"]
    assert found["results"][1]["metadata"]["additionalInfo"] == {
        "name": "shop",
        "namespace": "stores",
        "type": "Deployment",
    }
    assert found["summary"] == {"TOTAL": 3, "LOW": 2, "MEDIUM": 0, "HIGH": 1, "CRITICAL": 0}
    rows = list(csv.reader(io.StringIO(run(*words, "-o", "csv", code=1).stdout)))
    assert [row[:4] for row in rows] == [
        ["POLICY", "SEVERITY", "BREAKS DEPLOY", "DEPLOYMENT"],
        ["Latest tag", "LOW", "-", "bank"],
        ["Privileged", "HIGH", "X", "shop"],
        ["Latest tag", "LOW", "-", "shop"],
    ]
    done = run(*words, "-v", code=1)
    assert f"Policy check results for files: {manifest}" in done.stdout
    assert "policy 'Privileged' breaks the deployment" in done.stderr
    assert "image odd:1 was not scanned: away" in done.stderr
    assert "not a workload: stores/shop[/v1, Kind=Service]" in done.stderr
    suite = ET.fromstring(run(*words, "-o", "junit", code=1).stdout)
    assert (suite.attrib["name"], suite.attrib["failures"]) == ("deployment-check", "1")
    json.loads(run(*words, "-o", "sarif", code=1).stdout)
    assert "runs" in json.loads(run(*words, "--json", code=1).stdout)


def test_manifests_that_break_nothing_and_those_that_are_none(
    central: StandIn, run: Run, manifest: Path
) -> None:
    central.routes["POST /v1/detect/deploy/yaml"] = answer({"runs": [workload("shop", ALERTS[0])]})
    run("deployment", "check", "-f", manifest)
    assert run("deployment", "check", "-f", "-", stdin="kind: Pod").stdout
    assert json.loads(central.bodies("POST", "/v1/detect/deploy/yaml")[-1])["yaml"] == "kind: Pod"
    central.routes["POST /v1/detect/deploy/yaml"] = answer({"runs": []})
    assert "nothing was checked" in run("deployment", "check", "-f", manifest).stderr
    run("deployment", "check", code=2)
    run("deployment", "check", "-f", manifest.with_name("gone"), code=3)
    assert "is empty" in run("deployment", "check", "-f", "-", stdin=" \n", code=3).stderr
    manifest.write_bytes(b"\xff")
    run("deployment", "check", "-f", manifest, code=3)
