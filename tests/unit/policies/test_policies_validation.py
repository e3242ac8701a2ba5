"""What is wrong with a policy, and that all of it is said."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from redoubt.policies import grammars
from redoubt.policies.policy import (
    EvaluationFilter,
    ExcludedDeployment,
    ExcludedImage,
    Exclusion,
    Policy,
    Scope,
    ScopeLabel,
)
from redoubt.policies.validation import PolicyInvalid, Strictness, check, prepared, problems
from support.policies import group, policy, runtime

GOOD = [group("Privileged Container", "true")]
EXEC = [group("Kubernetes Resource", "PODS_EXEC")]
AUDIT = [group("Kubernetes Resource", "SECRETS"), group("Kubernetes API Verb", "GET")]
PROCESS = [group("Process Name", "sh")]
FLOW = [group("Unexpected Network Flow Detected", "true")]
FILES = [group("File Path", "/etc/passwd")]
LABEL = ScopeLabel(key="k")


def audit(*more: Any, **fields: Any) -> Policy:
    return runtime([*AUDIT, *more], source="AUDIT_LOG_EVENT", **fields)


def excluded(**fields: Any) -> tuple[Exclusion, ...]:
    return (Exclusion(deployment=ExcludedDeployment(**fields)),)


VALID = [
    policy(GOOD),
    policy(GOOD, name="12345"),
    policy([group("CVE", "CVE-.*")], lifecycle_stages=("BUILD", "DEPLOY")),
    policy(
        [
            group(
                "Image Signature Verified By",
                grammars.SIGNATURE_PREFIX + "00000000-0000-4000-8000-00000000000a",
            )
        ]
    ),
    runtime(PROCESS),
    runtime([*PROCESS, *GOOD]),
    runtime([*PROCESS, *FILES], FILES),
    runtime(EXEC, [*EXEC, group("Kubernetes User Name", "me")]),
    runtime(FLOW),
    runtime(FILES, source="NODE_EVENT"),
    runtime([*FILES, *PROCESS], source="NODE_EVENT"),
    audit(),
    audit(scope=(Scope(namespace="x"),), exclusions=excluded(scope=Scope(namespace="y"))),
    policy(GOOD, exclusions=excluded(name="x", scope=Scope(label=LABEL))),
    policy(GOOD, scope=(Scope(cluster_label=LABEL, namespace="x"),)),
]

INVALID: list[tuple[str, Policy]] = [
    ("version 1.1", policy(GOOD, policy_version="1.0")),
    ("version 1.1", policy(GOOD, policy_version="")),
    ("5 to 128", policy(GOOD, name="1234")),
    ("5 to 128", policy(GOOD, name="x" * 129)),
    ("5 to 128", policy(GOOD, name="two\nlines")),
    ("5 to 128", policy(GOOD, name="100 $ and more")),
    ("description", policy(GOOD, description="x" * 801)),
    ("severity", policy(GOOD, severity="UNSET_SEVERITY")),
    ("category", policy(GOOD, categories=())),
    ("duplicate", policy(GOOD, categories=("a", "a"))),
    ("at least one lifecycle stage", policy(GOOD, lifecycle_stages=())),
    ("at least one section", policy()),
    ("no criteria", policy([])),
    ("event source must be", runtime(PROCESS, source="NOT_APPLICABLE")),
    ("event source must not be set", policy(GOOD, event_source="DEPLOYMENT_EVENT")),
    ("invalid for build time", policy(GOOD, lifecycle_stages=("BUILD",))),
    ("invalid for build time", policy([group("Namespace", "x")], lifecycle_stages=("BUILD", "DEPLOY"))),
    ("not supported for event source", policy(PROCESS, lifecycle_stages=("BUILD",))),
    ("cannot contain runtime criteria", policy(PROCESS)),
    ("at least one criterion about", runtime(GOOD)),
    ("mix incompatible", runtime(PROCESS, EXEC)),
    ("mix incompatible", runtime([*PROCESS, *FLOW])),
    ("mix incompatible", runtime(EXEC, FILES)),
    ("mix incompatible", runtime(PROCESS, FILES)),
    ("not supported for event source", runtime(AUDIT)),
    ("not supported for event source", audit(*PROCESS)),
    ("only criteria of audit log", audit(*GOOD)),
    ("require field 'Kubernetes API Verb'", runtime(AUDIT[:1], source="AUDIT_LOG_EVENT")),
    (
        "invalid value",
        runtime([group("Kubernetes Resource", "PODS_EXEC"), AUDIT[1]], source="AUDIT_LOG_EVENT"),
    ),
    ("invalid value", runtime([group("Kubernetes Resource", "SECRETS")])),
    ("require field 'File Path'", runtime(PROCESS, source="NODE_EVENT")),
    ("only criteria of node events", runtime([*FILES, *GOOD], source="NODE_EVENT")),
    ("must also contain 'File Path'", runtime([group("File Operation", "OPEN")])),
    ("must also contain 'Kubernetes Resource'", runtime([group("Kubernetes User Name", "me")])),
    ("must also contain 'Kubernetes Resource'", runtime([group("Kubernetes User Groups", "me")])),
    ("no part of", audit(enforcement_actions=("KILL_POD_ENFORCEMENT",))),
    ("no part of", audit(scope=(Scope(label=LABEL),))),
    ("no part of", audit(exclusions=excluded(name="x"))),
    ("no part of", audit(exclusions=excluded(scope=Scope(label=LABEL)))),
    ("is invalid", policy([group("Privileged", "true")])),
    ("no values", policy([group("Namespace")])),
    ("multiple groups", policy([*GOOD, *GOOD])),
    ("cannot be negated", policy([group("Privileged Container", "true", negate=True)])),
    ("more than one value", policy([group("Host IPC", "true", "false")])),
    ("AND is not allowed", policy([group("Image Signature Verified By", "x", every=True)])),
    (
        "enforcement of Has Ingress",
        policy(
            [group("Has Ingress Network Policy", "false")], enforcement_actions=("SCALE_TO_ZERO_ENFORCEMENT",)
        ),
    ),
    (
        "both add and drop: CHOWN",
        policy([group("Add Capabilities", "chown")], [group("Drop Capabilities", "CHOWN")]),
    ),
    ("at least one field", policy(GOOD, scope=(Scope(),))),
    ("not both", policy(GOOD, scope=(Scope(cluster="x", cluster_label=LABEL),))),
    ("not both", policy(GOOD, scope=(Scope(namespace="x", namespace_label=LABEL),))),
    ("cannot be read", policy(GOOD, scope=(Scope(namespace="("),))),
    ("cannot be read", policy(GOOD, scope=(Scope(label=ScopeLabel(key="[")),))),
    ("criteria to match on", policy(GOOD, exclusions=(Exclusion(name="x"),))),
    ("name or a scope", policy(GOOD, exclusions=excluded())),
    ("name: not a regular", policy(GOOD, exclusions=excluded(name="("))),
    ("cluster labels", policy(GOOD, exclusions=excluded(scope=Scope(cluster_label=LABEL)))),
    ("namespace labels", policy(GOOD, exclusions=excluded(scope=Scope(namespace_label=LABEL)))),
    (
        "only valid during the DEPLOY",
        policy([group("CVE", "x")], lifecycle_stages=("BUILD",), exclusions=excluded(name="x")),
    ),
    ("only valid during the BUILD", policy(GOOD, exclusions=(Exclusion(image=ExcludedImage(name="x")),))),
    (
        "must have a name",
        policy(
            [group("CVE", "x")], lifecycle_stages=("BUILD",), exclusions=(Exclusion(image=ExcludedImage()),)
        ),
    ),
    (
        "is no moment",
        policy(
            GOOD,
            exclusions=(
                Exclusion(deployment=ExcludedDeployment(name="x"), expiration="2099-02-30T00:00:00Z"),
            ),
        ),
    ),
    (
        "build-only",
        policy(
            [group("CVE", "x")],
            lifecycle_stages=("BUILD",),
            evaluation_filter=EvaluationFilter(skip_container_types=("INIT",)),
        ),
    ),
    ("about the audit log", audit(evaluation_filter=EvaluationFilter(skip_container_types=("INIT",)))),
    (
        "about node events",
        runtime(
            FILES, source="NODE_EVENT", evaluation_filter=EvaluationFilter(skip_container_types=("INIT",))
        ),
    ),
    ("at most 100 sections", policy(*([GOOD] * 101))),
    ("at most 10000 values", policy([group("Namespace", *(["x"] * 10_001))])),
]


@pytest.mark.parametrize("made", VALID, ids=range(len(VALID)))
def test_valid(made: Policy) -> None:
    assert list(problems(made)) == []
    check(made)


@pytest.mark.parametrize(
    ("told", "made"), INVALID, ids=[f"{at}-{case[0]}" for at, case in enumerate(INVALID)]
)
def test_invalid(told: str, made: Policy) -> None:
    with pytest.raises(PolicyInvalid) as error:
        check(made)
    assert any(told in reason for reason in error.value.reasons), error.value.reasons
    assert str(error.value).startswith("policy invalid: ")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    bad = Policy(
        name="x", policy_sections=policy([group("CVSS", "high"), group("Nothing", "x")]).policy_sections
    )
    assert len(list(problems(bad))) >= 7


def test_a_policy_is_prepared() -> None:
    made = policy(
        GOOD,
        name="  A policy ",
        enforcement_actions=(
            "FAIL_BUILD_ENFORCEMENT",
            "SCALE_TO_ZERO_ENFORCEMENT",
            "FAIL_DEPLOYMENT_CREATE_ENFORCEMENT",
        ),
    )
    assert prepared(made).name == "A policy"
    assert prepared(made).enforcement_actions == (
        "SCALE_TO_ZERO_ENFORCEMENT",
        "FAIL_DEPLOYMENT_CREATE_ENFORCEMENT",
    )


def test_new_policies_are_read_more_strictly() -> None:
    line = policy([group("Dockerfile Line", "FROM=.*")])
    variable = policy([group("Environment Variable", "SECRET_KEY=A=value")])
    assert list(problems(line)) == []
    assert list(problems(variable)) == []
    assert "without FROM" in str(list(problems(line, Strictness(no_from=True))))
    assert "without VALUE" in str(list(problems(variable, Strictness(variables=True))))
    assert (
        list(problems(policy([group("Environment Variable", "SECRET_KEY=A=")]), Strictness(True, True))) == []
    )


#: Criterion, values that can be written, values that cannot.
VALUES = [
    (
        "CVSS",
        ["7", ">= 7.5", "<.5", ">7", "<=10.0"],
        ["", "=7", "7.", "-1", "1e3", "≥7", "> ", "seven", "7 8"],
    ),
    ("Replicas", ["3", "> 3"], ["3.5", "x"]),
    ("Process UID", ["0", ">=1000"], ["root", "0.5"]),
    ("Severity", ["critical", ">= IMPORTANT", "<LOW"], ["HIGH", "> ", "IMPORTANT_VULNERABILITY_SEVERITY"]),
    ("Image Age", ["0", "90"], ["-1", "1.5", "1d", ""]),
    ("Host IPC", ["true", "FALSE"], ["yes", "1", "true "]),
    ("Add Capabilities", ["SYS_ADMIN", "chown"], ["ALL", "CAP_CHOWN"]),
    ("Drop Capabilities", ["ALL", "NET_RAW"], ["NOTHING"]),
    ("Dockerfile Line", ["RUN=.*", "=x", "user=root=x"], ["RUN", "RUM=x", "RUN x"]),
    (
        "Environment Variable",
        ["RAW=A=B", "==B", "secret_key=A=", "UNSET=A=B=C"],
        ["A=B", "FILE=A=B", "RAW=A"],
    ),
    ("Image Component", ["curl=", "a=1.*"], ["curl", "=1"]),
    ("Required Label", ["a=", "owner|team=.+"], ["a", "=x"]),
    ("Disallowed Annotation", ["a", "a=b"], ["", " "]),
    ("Minimum RBAC Permissions", ["DEFAULT", "cluster_admin"], ["NONE", "ADMIN"]),
    ("Port Exposure Method", ["external", "UNSET"], ["PUBLIC"]),
    ("Mount Propagation", ["HOSTTOCONTAINER", "bidirectional"], ["HOST_TO_CONTAINER"]),
    ("Seccomp Profile Type", ["RUNTIME_DEFAULT"], ["DEFAULT"]),
    ("Namespace", ["x", "(a|b).*"], ["", "  ", "(", "(?=x)", "x{1001}"]),
    (
        "Image Signature Verified By",
        [grammars.SIGNATURE_PREFIX + "00000000-0000-4000-8000-00000000000A"],
        ["x", "00000000-0000-4000-8000-00000000000A"],
    ),
]
RUNTIME_VALUES = [
    ("Kubernetes API Verb", ["get", "DELETE"], ["LIST", "WATCH"]),
    ("Kubernetes Resource", ["SECRETS", "egress_firewalls"], ["PODS_EXEC", "PODS"]),
    ("Source IP Address", ["10.0.0.1", "fe80::1", "1:2:3:4:5:6:7:8"], ["10.0.0", "x", "10.0.0.1/8"]),
    ("Kubernetes User Name", ["system:admin", "me"], ["me@x", "-x", ""]),
    ("Is Impersonated User", ["true"], ["maybe"]),
]


@pytest.mark.parametrize(("name", "good", "bad"), VALUES, ids=[row[0] for row in VALUES])
def test_values(name: str, good: list[str], bad: list[str]) -> None:
    assert [
        value for value in good if list(problems(policy([group(name, value)])))
    ] == [] or name == "Process UID"
    if name == "Process UID":
        assert [value for value in good if list(problems(runtime([group(name, value)])))] == []
        assert [value for value in bad if not list(problems(runtime([group(name, value)])))] == []
    else:
        assert [value for value in bad if not list(problems(policy([group(name, value)])))] == []


@pytest.mark.parametrize(("name", "good", "bad"), RUNTIME_VALUES, ids=[row[0] for row in RUNTIME_VALUES])
def test_values_of_audit_criteria(name: str, good: list[str], bad: list[str]) -> None:
    def made(value: str) -> Policy:
        others = [each for each in AUDIT if each.field_name != name]
        return runtime([*others, group(name, value)], source="AUDIT_LOG_EVENT")

    assert [value for value in good if list(problems(made(value)))] == []
    assert [value for value in bad if not list(problems(made(value)))] == []


@pytest.mark.parametrize("value", ["/etc/passwd", "/etc/**", "/a/{b,c}/*", "/a..b/c"])
def test_paths(value: str) -> None:
    assert list(problems(runtime([group("File Path", value)]))) == []


@pytest.mark.parametrize("value", ["etc/passwd", "/etc/../x", "/a[", "/a{b", "", "**"])
def test_what_is_no_path(value: str) -> None:
    assert list(problems(runtime([group("File Path", value)])))


@pytest.mark.parametrize(
    "name", ["CVSS", "Namespace", "Dockerfile Line", "Environment Variable", "Required Label", "Image Age"]
)
@pytest.mark.parametrize("sign", ["9", "=", "a", " ", "\n", ":", "1."])
def test_endless_values_are_judged_at_once(name: str, sign: str) -> None:
    before = time.perf_counter()
    list(problems(policy([group(name, sign * 19_000)])))
    list(problems(policy([group(name, sign * 1_000_000)])))
    assert time.perf_counter() - before < 3


def test_a_policy_of_many_values_is_judged_and_asked_in_time() -> None:
    from redoubt.policies import PolicySet

    big = policy([group("Namespace", *(f"space-{at}.*x" for at in range(2_000)))])
    before = time.perf_counter()
    assert list(problems(big)) == []
    assert PolicySet([msgspec.structs.replace(big)]).refused == []
    assert time.perf_counter() - before < 10
