"""Policies as documents: read, written, exported, and what is no policy."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.errors import UnreadableInput
from redoubt.policies import policy as documents
from redoubt.policies.defaults import default_policies
from redoubt.policies.policy import Policy, exported, moment, read, read_all, written

#: All that a policy can say, in the order and form of the original's API.
FULL: dict[str, Any] = {
    "id": "00000000-0000-4000-8000-000000000001",
    "name": "Everything at once",
    "description": "d",
    "rationale": "r",
    "remediation": "m",
    "disabled": True,
    "categories": ["One", "Two"],
    "lifecycleStages": ["RUNTIME"],
    "eventSource": "DEPLOYMENT_EVENT",
    "exclusions": [
        {
            "name": "x",
            "deployment": {
                "name": "shop",
                "scope": {
                    "cluster": "c",
                    "namespace": "n",
                    "label": {"key": "k", "value": "v"},
                    "clusterLabel": None,
                    "namespaceLabel": None,
                },
            },
            "image": None,
            "expiration": "2099-01-01T00:00:00.123456789Z",
        },
        {"name": "", "deployment": None, "image": {"name": "registry.example/"}, "expiration": None},
    ],
    "scope": [
        {
            "cluster": "",
            "namespace": "",
            "label": None,
            "clusterLabel": {"key": "env", "value": "prod"},
            "namespaceLabel": {"key": "tier", "value": ""},
        }
    ],
    "severity": "HIGH_SEVERITY",
    "enforcementActions": ["KILL_POD_ENFORCEMENT"],
    "notifiers": ["n-1"],
    "lastUpdated": "2099-01-02T03:04:05Z",
    "SORTName": "",
    "SORTLifecycleStage": "",
    "SORTEnforcement": False,
    "policyVersion": "1.1",
    "policySections": [
        {
            "sectionName": "s",
            "policyGroups": [
                {
                    "fieldName": "Process Name",
                    "booleanOperator": "AND",
                    "negate": True,
                    "values": [{"value": "ünï\n'cöde\""}, {"value": ""}],
                }
            ],
        }
    ],
    "mitreAttackVectors": [{"tactic": "TA0001", "techniques": ["T1190", "T1133"]}],
    "criteriaLocked": True,
    "mitreVectorsLocked": False,
    "isDefault": False,
    "source": "DECLARATIVE",
    "evaluationFilter": {"skipContainerTypes": ["INIT"]},
}


def test_everything_is_read_and_written_unchanged() -> None:
    again = written(read(json.dumps(FULL).encode()))
    assert json.loads(again) == FULL
    assert list(json.loads(again)) == list(FULL)
    assert written(read(again)) == again


def test_an_export_is_read_again() -> None:
    policies = (read(json.dumps(FULL).encode()), *default_policies()[:3])
    assert read_all(exported(policies)) == policies
    assert read_all(json.dumps([FULL]).encode()) == policies[:1]
    assert read_all(json.dumps(FULL).encode()) == policies[:1]
    assert json.loads(exported(policies))["policies"][0] == FULL


def test_internal_fields_are_not_exported() -> None:
    internal = {**FULL, "SORTName": "x", "SORTLifecycleStage": "RUNTIME", "SORTEnforcement": True}
    kept = read(json.dumps(internal).encode())
    assert json.loads(written(kept)) == internal
    assert json.loads(exported([kept]))["policies"] == [FULL]


def test_what_the_original_takes_is_taken() -> None:
    given = {
        "name": "Names in both forms",
        "policy_version": "1.1",
        "lifecycle_stages": ["BUILD"],
        "SORT_name": "x",
        "somethingNew": {"a": [1, None]},
        "notifiers": None,
        "policySections": [{"policy_groups": [{"field_name": "CVE", "values": [{"value": "x", "more": 1}]}]}],
    }
    found = read(json.dumps(given).encode())
    assert found.policy_version == "1.1"
    assert found.notifiers == ()
    assert found.sort_name == "x"
    assert found.policy_sections[0].policy_groups[0].field_name == "CVE"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[1]",
        b'"x"',
        b"{",
        b'{"name": 1}',
        b'{"severity": "WORST"}',
        b'{"lifecycleStages": ["SOMETIMES"]}',
        b'{"enforcementActions": ["PRAY"]}',
        b'{"policySections": {}}',
        b'{"policySections": [{"policyGroups": [{"values": ["x"]}]}]}',
        b'{"exclusions": [{"expiration": "tomorrow"}]}',
        b"\xff\xfe",
        b'{"a":' * 50_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"x": ' + b"[" * 30 + b"]" * 30 + b"}",
        b'{"name": "' + b"x" * documents.LARGEST + b'"}',
    ],
    ids=range(17),
)
def test_what_is_no_policy_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableInput, match="no policy"):
        read_all(content)
    with pytest.raises(UnreadableInput):
        read(content)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4) | st.sampled_from(["AND", "BUILD"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*FULL, "values", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*FULL, "policy_sections"]), _JSON, max_size=6))
def test_anything_is_a_policy_or_refused(given_document: dict[str, Any]) -> None:
    try:
        found = read(msgspec.json.encode(given_document))
    except UnreadableInput:
        return
    assert read(written(found)) == found


def test_a_list_of_policies_is_a_list() -> None:
    with pytest.raises(UnreadableInput):
        read_all(b'{"policies": {"a": 1}}')


def test_moments() -> None:
    assert moment("2099-01-01T00:00:00.123456789Z").microsecond == 123456
    assert moment("2099-01-01T00:00:00.5Z").microsecond == 500000
    assert moment("2099-01-01T02:00:00+02:00") == moment("2099-01-01T00:00:00Z")
    with pytest.raises(ValueError, match="month"):
        moment("2099-13-01T00:00:00Z")


def test_a_policy_without_anything_has_the_originals_defaults() -> None:
    assert json.loads(written(Policy()))["severity"] == "UNSET_SEVERITY"
    assert json.loads(written(Policy()))["eventSource"] == "NOT_APPLICABLE"
