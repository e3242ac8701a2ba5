"""Policies as custom resources, and the names of what they refer to."""

from __future__ import annotations

import io
import re
import zipfile

import msgspec
import pytest
import yaml

from redoubt.policies import customresource, mitre
from redoubt.policies.defaults import default_policies
from redoubt.policies.policy import MitreAttackVectors, understood
from support.policies import group, policy


def test_a_custom_resource_says_what_the_policy_says() -> None:
    given = policy(
        [group("Image Tag", "latest", "1\u00df")],
        id="x",
        name="No Latest: tag / here",
        description="two\nlines",
        mitre_attack_vectors=(MitreAttackVectors(tactic="TA0001", techniques=("T1195",)),),
    )
    found = customresource.resource(given)
    assert found["apiVersion"] == "config.stackrox.io/v1alpha1"
    assert (found["kind"], found["metadata"]) == ("SecurityPolicy", {"name": "no-latest-tag-here"})
    spec = found["spec"]
    assert spec["policyName"] == given.name
    assert spec["description"] == "two\nlines"
    assert spec["policySections"][0]["policyGroups"][0]["values"] == [
        {"value": "latest"},
        {"value": "1\u00df"},
    ]
    assert spec["mitreAttackVectors"] == [{"tactic": "TA0001", "techniques": ["T1195"]}]
    assert not spec.keys() & {"id", "name", "notifiers", "exclusions", "disabled", "isDefault", "SORTName"}


def test_every_default_policy_is_carried_out_and_means_the_same() -> None:
    given = default_policies()
    with zipfile.ZipFile(io.BytesIO(customresource.archive(given))) as made:
        names = made.namelist()
        assert len(set(names)) == len(given)
        assert all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?\.yaml", each) for each in names)
        for each, name in zip(given, names, strict=True):
            spec = yaml.safe_load(made.read(name))["spec"]
            again = understood({**spec, "name": spec.pop("policyName")})
            kept = (
                "name",
                "severity",
                "categories",
                "lifecycle_stages",
                "policy_sections",
                "mitre_attack_vectors",
            )
            for field in (*kept, "event_source", "enforcement_actions", "exclusions", "scope", "description"):
                assert getattr(again, field) == getattr(each, field), (each.name, field)
    assert customresource.archive(given) == customresource.archive(given)


def test_policies_whose_names_become_the_same_are_told_apart() -> None:
    several = [
        policy([group("Image Tag", "x")], id=f"id-{at}", name=name)
        for at, name in enumerate(("A b c", "a.b-c", "A  B/C"))
    ]
    several = [
        msgspec.structs.replace(each, name=name)
        for each, name in zip(several, ("A b c", "a b c", "A B C"), strict=True)
    ]
    with zipfile.ZipFile(io.BytesIO(customresource.archive(several))) as made:
        assert made.namelist() == ["a-b-c.yaml", "a-b-c-id-1.yaml", "a-b-c-id-2.yaml"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("..", "policy"),
        ("\u00dc\u00df", "policy"),
        ("-a-", "a"),
        ("x" * 300, "x" * 253),
        ("A..b--C", "a-b-c"),
    ],
)
def test_names_of_objects_are_such(name: str, expected: str) -> None:
    assert customresource.object_name(name) == expected


def test_all_that_default_policies_refer_to_has_a_name() -> None:
    for each in default_policies():
        for vector in mitre.named(each.mitre_attack_vectors):
            assert all(one.name != one.id for one in (vector.tactic, *vector.techniques)), each.name
    assert mitre.named([MitreAttackVectors(tactic="TA9999")])[0].tactic.name == "TA9999"
    assert all(
        one.name != one.id for vector in mitre.vectors() for one in (vector.tactic, *vector.techniques)
    )
