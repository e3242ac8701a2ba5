"""Reviews as the API server sends them, and as nobody should."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.admission import reviews
from redoubt.admission.reviews import ALLOWED, LONGEST_MESSAGE, Answer, Unusable
from support.admission import encoded, review

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "shop", "namespace": "stores", "managedFields": [{"fieldsV1": {"f:spec": {}}}]},
    "spec": {"containers": [{"name": "c", "image": "shop:1"}]},
    "status": {"phase": "Pending"},
}


def test_what_is_looked_at_is_read_and_the_rest_is_left() -> None:
    request = reviews.read(encoded(review(POD, dryRun=True)))
    assert (request.operation, request.kind.kind, request.resource.resource) == ("CREATE", "Pod", "pods")
    assert (request.name, request.namespace, request.user_info.username) == ("shop", "stores", "jane")
    assert request.dry_run is True
    assert request.object is not None
    assert request.object.metadata is not None
    assert json.loads(bytes(request.object.spec)) == POD["spec"]
    assert request.old_object is None


def test_options_of_a_connection_are_read() -> None:
    given_review = review({"apiVersion": "v1", "kind": "PodExecOptions", "metadata": {}})
    given_review["request"]["object"] = {"kind": "PodExecOptions", "container": "c", "command": ["id", "-u"]}
    options = reviews.read_event(encoded(given_review)).object
    assert options is not None
    assert (options.container, options.command) == ("c", ("id", "-u"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b'{"request":null}',
        b'{"request":{"uid":"","operation":"CREATE"},"apiVersion":"admission.k8s.io/v1"}',
        b'{"request":{"operation":"CREATE"}}',
        b'{"request":{"uid":5,"operation":"CREATE"}}',
        b"\xff\xfe" * 50,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        encoded(review(POD))[:-200],
    ],
)
def test_what_has_no_uid_cannot_be_answered(body: bytes) -> None:
    for read in (reviews.read, reviews.read_event):
        with pytest.raises(Unusable) as refused:
            read(body)
        assert refused.value.uid == ""


@pytest.mark.parametrize(
    "change",
    [
        {"operation": 5},
        {"kind": "Pod"},
        {"userInfo": []},
        {"userInfo": {"groups": "all"}},
        {"object": "x"},
        {"object": {**POD, "metadata": []}},
        {"namespace": None},
        {"dryRun": "yes"},
    ],
)
def test_what_is_mistyped_and_has_a_uid_can_be_answered(change: dict[str, Any]) -> None:
    with pytest.raises(Unusable) as refused:
        reviews.read(encoded(review(POD, **change)))
    assert refused.value.uid == "11111111-2222-4333-8444-555555555555"


def test_another_version_is_not_taken_for_this_one() -> None:
    old = {**review(POD), "apiVersion": "admission.k8s.io/v1beta1"}
    with pytest.raises(Unusable, match="another version") as refused:
        reviews.read(encoded(old))
    assert refused.value.uid


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["request", "uid", "object", "kind", "operation", "metadata", "userInfo", "apiVersion"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200)
@given(_JSON, st.integers(0, 400))
def test_whatever_comes_is_read_or_unusable(document: Any, cut: int) -> None:
    body = msgspec.json.encode({"apiVersion": reviews.VERSION, "request": document})
    for read in (reviews.read, reviews.read_event):
        for sent in (body, body[:cut]):
            try:
                read(sent)
            except Unusable:
                continue


def test_answers_are_what_an_api_server_takes() -> None:
    odd = 'u"id\n☃'
    assert json.loads(reviews.written(odd, ALLOWED)) == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": odd, "allowed": True},
    }
    refused = json.loads(reviews.written("u", Answer(allowed=False, message="x" * 100_000, note="denied")))
    status = refused["response"]["status"]
    assert (status["code"], status["status"]) == (403, "Failure")
    assert len(status["message"]) <= LONGEST_MESSAGE + 2
    assert refused["response"]["auditAnnotations"] == {"decision": "denied"}
    warned = json.loads(reviews.written("u", Answer(allowed=True, message="careful", note="x")))["response"]
    assert (warned["allowed"], warned["warnings"]) == (True, ["careful"])
