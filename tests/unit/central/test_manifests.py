"""YAML of Kubernetes that somebody sends: read as Kubernetes does, or refused; nothing in it is passed over."""

from __future__ import annotations

import pytest

from redoubt.central.policies import manifests
from redoubt.central.refusals import InvalidArgument

POD = """
apiVersion: v1
kind: Pod
metadata: {name: shop, annotations: {since: 2024-01-31}}
spec: {containers: [{name: a, image: registry.example/shop:1.4}]}
"""


def test_what_looks_like_a_date_is_a_text() -> None:
    (found,) = manifests.read(POD, "default").deployments
    assert found.annotations == {"since": "2024-01-31"}
    assert [each.name for each in found.containers] == ["a"]


def test_lists_and_documents_are_gone_through_and_others_named() -> None:
    text = f"{POD}---\n---\nkind: List\nitems: [{{apiVersion: v1, kind: Service, metadata: {{name: web}}}}]\n"
    found = manifests.read(text, "default")
    assert [each.name for each in found.deployments] == ["shop"]
    assert found.ignored == ("web[/v1, Kind=Service]",)


@pytest.mark.parametrize(
    "text",
    [
        "kind: List\nitems: 7",
        "kind: List\nitems: [1]",
        "kind: {a: b}",
        "[1, 2]",
        "text",
        POD.replace("[{name: a", "[1, {name: a"),
        POD.replace("kind: Pod", "kind: [Pod]"),
    ],
)
def test_what_is_no_object_of_kubernetes_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        manifests.read(text, "default")


def test_where_it_is_no_yaml_is_told() -> None:
    with pytest.raises(InvalidArgument, match=r"cannot be read: line 2, column \d+: ") as refusal:
        manifests.read("kind: Pod\nspec: {a: [}\n", "default")
    assert "unicode string" not in str(refusal.value)
