"""YAML of network policies, read and written."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.errors import RedoubtError, UnreadableInput
from redoubt.networkpolicies import writing

ONE = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: one, namespace: web, labels: {team: a}, annotations: {since: 2099-01-01}}
spec:
  podSelector: {}
  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80, endPort: 90, protocol: UDP}]}]
  policyTypes: [Egress]
status: {}
"""


def test_what_is_written_is_read_again() -> None:
    (policy,) = writing.read(ONE)
    assert policy.annotations == {"since": "2099-01-01"}
    assert writing.read(writing.written([policy])) == [policy]
    assert writing.read("---\n") == writing.read("") == []
    assert writing.written([]) == ""


def test_a_list_of_them_is_read() -> None:
    items = "\n".join(f"  {line}" for line in ONE.strip().splitlines())
    assert len(writing.read("kind: List\nitems:\n- " + items.strip())) == 1


@pytest.mark.parametrize(
    ("there", "wrong", "said"),
    [
        ("podSelector: {}", "podselector: {}", "no field 'spec.podselector'"),
        ("{port: 80,", "{port: 80, ports: 3,", "no field 'spec.egress.ports.ports'"),
        ("status: {}", "spec2: {}", "no field 'spec2'"),
        ("name: one", "name: ../one", "no name"),
        ("namespace: web", "namespace: Web", "no namespace"),
        ("namespace: web, ", "", "names no namespace"),
        ("labels: {team: a}", "labels: {team: 5}", "Expected"),
        ("networking.k8s.io/v1", "extensions/v1beta1", "is no NetworkPolicy"),
        ("metadata: {", "metadata: [{", "cannot be read"),
        ("spec:", "spec: 5 #", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(there: str, wrong: str, said: str) -> None:
    assert there in ONE
    with pytest.raises(UnreadableInput, match=said):
        writing.read(ONE.replace(there, wrong))


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=100))
def test_no_text_does_any_harm(text: str) -> None:
    for given_text in (text, ONE + text, ONE.replace("web", text), ONE.replace("{}", text)):
        with contextlib.suppress(RedoubtError):
            writing.read(given_text)
