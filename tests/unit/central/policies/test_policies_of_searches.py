"""Searches become policies that find the same, or say what they cannot."""

from __future__ import annotations

import re

import msgspec
import pytest

from redoubt.central.policies.searching import made
from redoubt.central.refusals import InvalidArgument
from redoubt.central.search import parse
from redoubt.policies.validation import check, prepared

CLUSTERS = {"north": "id-n", "northern": "id-nn", "south": "id-s"}


def groups(query: str) -> dict[str, list[str]]:
    found = made(parse(query), CLUSTERS).policy
    return {group.field_name: [one.value for one in group.values] for group in found.groups()}


@pytest.mark.parametrize(
    ("term", "fits", "fits_not"),
    [
        ("1.2", "1.2.3", "1x2"),
        ('"1.2"', "1.2", "1.2.3"),
        ("r/lat[e]st", "my-latest-1", "last"),
        ("c/a.b", "xa.by", "axb"),
        ("*", "x", ""),
    ],
)
def test_texts_fit_what_the_search_finds(term: str, fits: str, fits_not: str) -> None:
    (value,) = groups(f"Image Tag:{term}")["Image Tag"]
    assert re.fullmatch(value, fits)
    assert not re.fullmatch(value, fits_not)


def test_criteria_say_in_which_stages_they_may_be_asked() -> None:
    found = made(parse("Image Tag:latest+CVSS:>=7"), CLUSTERS)
    assert set(found.policy.lifecycle_stages) == {"BUILD", "DEPLOY"}
    found = made(parse("Process Name:nmap+Privileged:true"), CLUSTERS)
    assert found.policy.lifecycle_stages == ("RUNTIME",)
    assert found.policy.event_source == "DEPLOYMENT_EVENT"
    assert found.altered_search_terms == ()
    whole = msgspec.structs.replace(
        found.policy, name="A policy of a search", severity="LOW_SEVERITY", categories=("X",)
    )
    check(prepared(whole))


def test_what_no_criterion_says_is_told() -> None:
    found = made(parse("Image Tag:latest,!old+Pod Name:x+CVSS:many+Add Capabilities:-"), CLUSTERS)
    assert found.altered_search_terms == ("Image Tag", "Pod Name", "CVSS", "Add Capabilities")
    assert [group.field_name for group in found.policy.groups()] == ["Image Tag"]


def test_clusters_namespaces_and_labels_are_scopes() -> None:
    found = made(parse('Cluster:nor+Namespace:"shop",r/b.*+Deployment Label:app=web'), CLUSTERS).policy
    assert {(each.cluster, each.namespace) for each in found.scope} == {
        (cluster, namespace) for cluster in ("id-n", "id-nn") for namespace in ("shop", ".*(b.*).*")
    }
    assert all(
        each.label is not None and (each.label.key, each.label.value) == ("app", "web")
        for each in found.scope
    )
    assert found.policy_sections == ()


@pytest.mark.parametrize(
    "query", ["Cluster:nowhere", "Pod Name:x", "Image Tag:-", "Namespace:" + ",".join(map(str, range(300)))]
)
def test_what_makes_no_policy_is_refused(query: str) -> None:
    with pytest.raises(InvalidArgument):
        made(parse(query), CLUSTERS)
