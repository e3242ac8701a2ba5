"""Policies, and what they are then asked about: two halves of one input, with a zero byte between."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from redoubt.central.policies import manifests
from redoubt.errors import RedoubtError
from redoubt.model.scannedimage import ScannedImage
from redoubt.model.workload import Deployment
from redoubt.policies import PolicySet
from redoubt.policies import policy as documents
from redoubt.policies.defaults import default_policies
from redoubt.policies.validation import problems
from support.policies import group, image, policy, runtime
from targets.interface import Target, require_clean

_NOW = datetime(2099, 6, 1, tzinfo=UTC)


def _policies(data: bytes) -> int:
    """How many could be asked, and how much they found."""
    document, _, things = data.partition(b"\0")
    try:
        policies = documents.read_all(document)
    except RedoubtError:
        return 0
    for each in policies:
        assert documents.read(documents.written(each)) == each
        valid = not list(problems(each))
        compiled = PolicySet([msgspec.structs.replace(each, disabled=False)])
        assert not (valid and compiled.refused), compiled.refused
    made = PolicySet(policies)
    try:
        what = msgspec.json.decode(things, type=Deployment, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        what = Deployment()
    parts = [made.image(ScannedImage(), _NOW)] * len(what.containers)
    found = [*made.deploy(what, parts, _NOW).broken, *made.build(made.image(image(), _NOW), _NOW).broken]
    for broken in found:
        assert broken.violations
        require_clean([violation.message for violation in broken.violations])
    return len(policies) + len(found)


def _seeds() -> list[bytes]:
    workload = (
        b'{"name":"a","containers":[{"name":"b","securityContext":{"privileged":true}}],"labels":{"a":"b"}}'
    )
    simple = documents.written(
        policy([group("Privileged Container", "true"), group("Container Name", "b.*")])
    )
    events = documents.exported(
        [runtime([group("Process Name", "sh|bash"), group("File Path", "/etc/{a,b}*")])]
    )
    return [
        simple + b"\0" + workload,
        events,
        *(documents.written(each) + b"\0" + workload for each in default_policies()[::15]),
    ]


def _manifests(data: bytes) -> int:
    """How many workloads a text has, and what policies make of them."""
    try:
        found = manifests.read(data.decode("utf-8", "replace"), "default")
    except RedoubtError as error:
        require_clean(str(error))
        return 0
    made = PolicySet(default_policies())
    for each in found.deployments:
        made.deploy(each, [None] * len(each.containers), _NOW)
    return len(found.deployments) + len(found.ignored)


def _manifest_seeds() -> list[bytes]:
    pod = b"{containers: [{name: a, image: 'shop:1', resources: {limits: {cpu: 500m}}, env: [{name: A, value: b}]}]}"
    return [
        b"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec: {template: {spec: "
        + pod
        + b"}}\n",
        b"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: "
        + pod
        + b"}\n---\nkind: Service\n",
    ]


TARGETS = {"policies": Target(_policies, _seeds), "kubernetes": Target(_manifests, _manifest_seeds)}
