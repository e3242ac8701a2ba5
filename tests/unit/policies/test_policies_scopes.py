"""Where policies apply: scopes, exclusions and their ends; and what nothing is known of."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from redoubt.model.happening import EventObject
from redoubt.model.scannedimage import SignatureVerification
from redoubt.model.workload import SecurityContext, Surroundings
from redoubt.policies.policy import ExcludedDeployment, ExcludedImage, Exclusion, Policy, Scope, ScopeLabel
from support.policies import (
    NOW,
    asked,
    container,
    deployed,
    deployment,
    group,
    image,
    policy,
    request,
    runtime,
)

BAD = deployment(container(security_context=SecurityContext(privileged=True)), labels={"team": "blue"})
AROUND = Surroundings(cluster_labels={"env": "prod"}, namespace_labels={"tier": "1"})


def privileged(**more: Any) -> Policy:
    return policy([group("Privileged Container", "true")], **more)


@pytest.mark.parametrize(
    ("scope", "inside"),
    [
        (Scope(cluster="cluster-1"), True),
        (Scope(cluster="cluster"), False),
        (Scope(namespace="store.*"), True),
        (Scope(namespace="store"), False),
        (Scope(label=ScopeLabel(key="team", value="b.*")), True),
        (Scope(label=ScopeLabel(key="team")), True),
        (Scope(label=ScopeLabel(key="team", value="red")), False),
        (Scope(cluster_label=ScopeLabel(key="env", value="prod")), True),
        (Scope(cluster_label=ScopeLabel(key="env", value="test")), False),
        (Scope(namespace_label=ScopeLabel(key="tier", value="1")), True),
        (Scope(namespace_label=ScopeLabel(key="tier", value="2")), False),
        (Scope(cluster="cluster-1", namespace="other"), False),
    ],
)
def test_scopes(scope: Scope, inside: bool) -> None:
    assert bool(deployed(privileged(scope=(scope,)), BAD, around=AROUND).broken) is inside
    assert deployed(privileged(scope=(scope, Scope(namespace="stores"))), BAD, around=AROUND).broken


@pytest.mark.parametrize(
    ("excluded", "left_out"),
    [
        (ExcludedDeployment(name="shop"), True),
        (ExcludedDeployment(name="sh.*"), True),
        (ExcludedDeployment(name="sho"), False),
        (ExcludedDeployment(scope=Scope(namespace="stores")), True),
        (ExcludedDeployment(name="shop", scope=Scope(namespace="other")), False),
        (ExcludedDeployment(scope=Scope(label=ScopeLabel(key="team", value="blue"))), True),
    ],
)
def test_exclusions_of_workloads(excluded: ExcludedDeployment, left_out: bool) -> None:
    made = privileged(exclusions=(Exclusion(deployment=excluded),))
    assert bool(deployed(made, BAD).broken) is not left_out


@pytest.mark.parametrize(
    ("end", "left_out"),
    [
        ("2099-06-01T12:00:01Z", True),
        ("2099-06-01T11:59:59.123456789Z", False),
        ("2099-06-01T14:30:00+02:00", True),
        ("2099-06-01T13:30:00+02:00", False),
        (None, True),
    ],
)
def test_an_exclusion_ends(end: str | None, left_out: bool) -> None:
    workloads = privileged(
        exclusions=(Exclusion(deployment=ExcludedDeployment(name="shop"), expiration=end),)
    )
    assert bool(deployed(workloads, BAD).broken) is not left_out
    images = asked(
        policy(
            [group("Image Tag", "1.4")],
            lifecycle_stages=("BUILD",),
            exclusions=(Exclusion(image=ExcludedImage(name="registry.example/team"), expiration=end),),
        )
    )
    assert bool(images.build(images.image(image(), NOW), NOW).broken) is not left_out


def test_images_are_excluded_by_the_beginning_of_their_name_and_for_builds_only() -> None:
    excluded = (
        Exclusion(image=ExcludedImage(name="registry.example/")),
        Exclusion(image=ExcludedImage(name="other/")),
    )
    made = asked(
        policy([group("Image Tag", "1.4")], lifecycle_stages=("BUILD", "DEPLOY"), exclusions=excluded)
    )
    part = made.image(image(), NOW)
    assert not made.build(part, NOW).broken
    assert made.deploy(deployment(), [part], NOW).broken


def test_audit_events_have_scopes_of_clusters_and_namespaces() -> None:
    def broken(given: Scope | None = None, exclusion: Exclusion | None = None, **thing: Any) -> bool:
        made = asked(
            runtime(
                [group("Kubernetes Resource", "SECRETS"), group("Kubernetes API Verb", "GET")],
                source="AUDIT_LOG_EVENT",
                scope=(given,) if given else (),
                exclusions=(exclusion,) if exclusion else (),
            )
        )
        event = request(
            "SECRETS", "GET", object=EventObject(resource="SECRETS", cluster_id="cluster-1", **thing)
        )
        return bool(made.audit(event, NOW, AROUND).broken)

    assert broken(namespace="stores")
    assert broken(Scope(namespace="stores"), namespace="stores")
    assert not broken(Scope(namespace="stores"), namespace="other")
    assert broken(Scope(namespace="stores"), namespace="")
    assert not broken(Scope(cluster="other"), namespace="stores")
    assert not broken(Scope(namespace_label=ScopeLabel(key="tier", value="9")), namespace="stores")
    ours = Exclusion(deployment=ExcludedDeployment(scope=Scope(namespace="stores")))
    assert not broken(None, ours, namespace="stores")
    assert broken(None, ours, namespace="other")


SIGNER = "io.stackrox.signatureintegration.00000000-0000-4000-8000-00000000000a"


def test_what_nothing_is_known_of_is_said_and_is_neither_broken_nor_kept() -> None:
    made = policy([group("Image Registry", "registry.example"), group("Image Signature Verified By", SIGNER)])
    found = deployed(made, deployment(), [image()])
    assert not found.broken
    (one,) = found.unanswered
    assert one.criteria == ("Image Signature Verified By",)
    assert asked(made).compiled[0].no_source == ("Image Signature Verified By",)


def test_what_is_wrong_anyway_is_not_unanswered() -> None:
    made = policy([group("Image Registry", "other.example"), group("Image Signature Verified By", SIGNER)])
    assert deployed(made, deployment(), [image()]).unanswered == ()
    unsigned = msgspec.structs.replace(image(), signature_verification_data=SignatureVerification())
    both = policy(
        [group("Image Signature Verified By", SIGNER)],
        [group("Image Tag", "1.4")],
        name="Broken by its second section",
    )
    found = deployed(both, deployment(), [image()])
    assert [each.policy.name for each in found.broken] == ["Broken by its second section"]
    assert found.unanswered == ()
    assert deployed(both, deployment(container(), container("b")), [image(), unsigned]).broken


def test_one_unsigned_image_breaks_what_another_leaves_open() -> None:
    made = policy([group("Image Signature Verified By", SIGNER)])
    unsigned = msgspec.structs.replace(image(), signature_verification_data=SignatureVerification())
    found = deployed(made, deployment(container(), container("b")), [image(), unsigned])
    (broken,) = found.broken
    assert [each.container for each in broken.violations] == ["b"]
    assert found.unanswered == ()
