"""What a policy has to be before it is kept. Pure: a policy in, everything that is wrong with it out.

Rules: StackRox's ``central/policy/service/validator.go`` and ``pkg/booleanpolicy/validate.go`` (facts 4.1). Whether
notifiers exist is for whoever knows them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from redoubt.errors import RedoubtError, UsageError
from redoubt.policies import grammars, patterns
from redoubt.policies.criteria import (
    ALL,
    AUDIT_LOG_EVENT,
    DEPLOYMENT_EVENT,
    IN_IMAGES,
    NODE_EVENT,
    Criterion,
    Happening,
)
from redoubt.policies.policy import VERSION, Enforcement, Exclusion, Policy, PolicySection, Scope, moment
from redoubt.policies.scopes import CompiledScope
from redoubt.policies.sections import Leaf

_STAGES: dict[Enforcement, str] = {
    "FAIL_BUILD_ENFORCEMENT": "BUILD",
    "SCALE_TO_ZERO_ENFORCEMENT": "DEPLOY",
    "UNSATISFIABLE_NODE_CONSTRAINT_ENFORCEMENT": "DEPLOY",
    "KILL_POD_ENFORCEMENT": "RUNTIME",
    "FAIL_KUBE_REQUEST_ENFORCEMENT": "RUNTIME",
}
#: What a criterion cannot do without, in the same section: one of those.
_NEEDS = {
    "File Operation": ("File Path",),
    "Kubernetes User Name": ("Kubernetes Resource",),
    "Kubernetes User Groups": ("Kubernetes Resource",),
}
#: What each section of a policy about such events needs.
_SOURCE_NEEDS = {AUDIT_LOG_EVENT: ("Kubernetes Resource", "Kubernetes API Verb"), NODE_EVENT: ("File Path",)}
_UNENFORCEABLE = ("Has Ingress Network Policy", "Has Egress Network Policy")
LONGEST_DESCRIPTION = 800
#: More than a policy of people's has.
MOST_SECTIONS = 100
MOST_VALUES = 10_000


class PolicyInvalid(UsageError):
    """A policy that cannot be kept. ``reasons`` is everything that is wrong with it."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("policy invalid: " + "; ".join(reasons))
        self.reasons = reasons


class Strictness(msgspec.Struct, frozen=True):
    """What is asked of policies that are written anew and not of those that are imported."""

    variables: bool = False
    no_from: bool = False


def prepared(policy: Policy) -> Policy:
    """The policy as it is kept: its name without space around it, no enforcement of stages that it does not have."""
    return msgspec.structs.replace(
        policy,
        name=policy.name.strip(),
        enforcement_actions=tuple(
            action
            for action in policy.enforcement_actions
            if action not in _STAGES or _STAGES[action] in policy.lifecycle_stages
        ),
    )


def check(policy: Policy, strictness: Strictness = Strictness()) -> None:  # noqa: B008  frozen
    """Raises :class:`PolicyInvalid`."""
    if reasons := tuple(problems(policy, strictness)):
        raise PolicyInvalid(reasons)


def problems(policy: Policy, strictness: Strictness = Strictness()) -> Iterator[str]:  # noqa: B008  frozen
    """Everything that is wrong with a policy, a line each."""
    yield from _named(policy)
    yield from _staged(policy)
    yield from _sections(policy, strictness)
    for scope in policy.scope:
        yield from _scope(scope)
    for exclusion in policy.exclusions:
        yield from _exclusion(policy, exclusion)
    yield from _capabilities(policy)
    yield from _filtered(policy)


def _named(policy: Policy) -> Iterator[str]:
    if policy.policy_version != VERSION:
        yield f"only policies of version {VERSION} are supported, not {policy.policy_version!r}"
    if not 5 <= len(policy.name) <= 128 or re.search(r"[\n\r$\x00]", policy.name):
        yield "a policy's name has 5 to 128 characters, without line breaks and dollar signs"
    if len(policy.description) > LONGEST_DESCRIPTION or "$" in policy.description:
        yield f"a description has at most {LONGEST_DESCRIPTION} characters, without dollar signs"
    if policy.severity == "UNSET_SEVERITY":
        yield "a policy must have a severity"
    if not policy.categories:
        yield "a policy must have at least one category"
    elif len(set(policy.categories)) != len(policy.categories):
        yield "a policy cannot contain duplicate categories"


def _staged(policy: Policy) -> Iterator[str]:
    stages, source = policy.lifecycle_stages, policy.event_source
    if not stages:
        yield "a policy must apply to at least one lifecycle stage"
    if "RUNTIME" in stages and source == "NOT_APPLICABLE":
        yield "event source must be deployment, audit event or node for runtime policies"
    if ("BUILD" in stages or "DEPLOY" in stages) and source != "NOT_APPLICABLE":
        yield "event source must not be set for build or deploy time policies"
    if policy.enforcement_actions:
        for name in _UNENFORCEABLE:
            if any(group.field_name == name for group in policy.groups()):
                yield f"enforcement of {name} is not allowed"
    if source == AUDIT_LOG_EVENT:
        yield from _audited(policy)


def _audited(policy: Policy) -> Iterator[str]:
    told = "of policies with the audit log as their event source"
    if policy.enforcement_actions:
        yield f"enforcement actions are no part {told}"
    if any(scope.label is not None for scope in policy.scope):
        yield f"labels in scopes are no part {told}"
    for exclusion in policy.exclusions:
        if (excluded := exclusion.deployment) is None:
            continue
        if excluded.name:
            yield f"exclusions of a deployment are no part {told}"
        if excluded.scope is not None and excluded.scope.label is not None:
            yield f"labels in exclusions are no part {told}"


def _sections(policy: Policy, strictness: Strictness) -> Iterator[str]:
    if not policy.policy_sections:
        yield "a policy must have at least one section"
    if len(policy.policy_sections) > MOST_SECTIONS:
        yield f"a policy has at most {MOST_SECTIONS} sections"
        return
    if sum(len(group.values) for group in policy.groups()) > MOST_VALUES:
        yield f"a policy has at most {MOST_VALUES} values"
        return
    for number, section in enumerate(policy.policy_sections, 1):
        name = section.section_name or str(number)
        for problem in _section(section, policy, strictness):
            yield f"section {name[:80]!r}: {problem}"
    used = [ALL[group.field_name] for group in policy.groups() if group.field_name in ALL]
    if "BUILD" in policy.lifecycle_stages:
        for criterion in used:
            if criterion.level not in IN_IMAGES:
                yield f"policy configuration is invalid for build time: {criterion.name!r} is not about images"
    if "DEPLOY" in policy.lifecycle_stages and any(criterion.runtime for criterion in used):
        yield "deploy time policy cannot contain runtime criteria"
    if "RUNTIME" in policy.lifecycle_stages:
        yield from _runtime(policy, used)


def _runtime(policy: Policy, used: list[Criterion]) -> Iterator[str]:
    if not any(criterion.runtime for criterion in used):
        yield (
            "a runtime policy must contain at least one criterion about processes, network flows, files, "
            "audit log events or Kubernetes events"
        )
        return
    kinds = [
        {
            kind
            for group in section.policy_groups
            if group.field_name in ALL
            for kind in ALL[group.field_name].happenings
        }
        for section in policy.policy_sections
    ]
    if policy.event_source == DEPLOYMENT_EVENT:
        groups = {
            Happening.PROCESS if kind is Happening.FILE else kind
            for section in kinds
            for kind in section - {Happening.AUDIT}
        }
        only_processes = any(Happening.PROCESS in kind and Happening.FILE not in kind for kind in kinds)
        if len(groups) > 1 or (only_processes and any(Happening.FILE in kind for kind in kinds)):
            yield (
                "a runtime policy must not mix incompatible criteria: processes and files belong in one section, and "
                "neither goes with network flows or Kubernetes events"
            )
    if policy.event_source == AUDIT_LOG_EVENT and not all(AUDIT_LOG_EVENT in c.sources for c in used):
        yield "a policy about the audit log must contain only criteria of audit log events"
    if policy.event_source == NODE_EVENT and not all(NODE_EVENT in c.sources for c in used):
        yield "a policy about node events must contain only criteria of node events"


def _section(section: PolicySection, policy: Policy, strictness: Strictness) -> Iterator[str]:
    seen: set[str] = set()
    if not section.policy_groups:
        yield "no criteria"
    for group in section.policy_groups:
        criterion = ALL.get(group.field_name)
        if criterion is None:
            yield f"policy criteria name {group.field_name[:80]!r} is invalid"
            continue
        name = criterion.name
        if criterion.runtime and policy.event_source not in criterion.sources:
            yield f"{name!r} is not supported for event source {policy.event_source!r}"
            continue
        if name in seen:
            yield f"field name {name!r} found in multiple groups"
        seen.add(name)
        if group.negate and not criterion.negatable:
            yield f"policy criteria {name!r} cannot be negated"
        if len(group.values) > 1 and not criterion.joinable:
            yield f"policy criteria {name!r} does not support more than one value"
        if group.boolean_operator == "AND" and name == "Image Signature Verified By":
            yield f"operator AND is not allowed for field {name!r}"
        judge = _grammar(criterion, policy, strictness)
        bad = False
        for at, each in enumerate(group.values):
            if wrong := judge(each.value):
                bad = True
                yield f"policy criteria {name!r} has invalid value[{at}]={each.value[:80]!r}: must be {wrong}"
        if bad:
            continue
        try:
            Leaf(group)
        except RedoubtError as error:
            yield f"policy criteria {name!r}: {error}"
    for name in _SOURCE_NEEDS.get(policy.event_source, ()):
        if name not in seen:
            yield f"{policy.event_source!r} policies require field {name!r}"
    for name, needed in _NEEDS.items():
        if name in seen and not seen.intersection(needed):
            yield f"sections with {name!r} must also contain {' or '.join(repr(each) for each in needed)}"


def _grammar(criterion: Criterion, policy: Policy, strictness: Strictness) -> Callable[[str], str]:
    if criterion.name == "Kubernetes Resource" and policy.event_source == AUDIT_LOG_EVENT:
        return grammars.AUDITED_RESOURCE
    if criterion.name == "Dockerfile Line" and strictness.no_from:
        return grammars.DOCKERFILE_WITHOUT_FROM
    if criterion.name == "Environment Variable" and strictness.variables:
        return grammars.ENVIRONMENT_STRICT
    return criterion.grammar


def _scope(scope: Scope) -> Iterator[str]:
    if scope == Scope():
        yield "scope must have at least one field populated"
    if scope.cluster and scope.cluster_label is not None:
        yield "a scope has a cluster or a cluster's label, not both"
    if scope.namespace and scope.namespace_label is not None:
        yield "a scope has a namespace or a namespace's label, not both"
    try:
        CompiledScope(scope)
    except RedoubtError as error:
        yield f"a scope cannot be read: {error}"


def _exclusion(policy: Policy, exclusion: Exclusion) -> Iterator[str]:
    deployment, image = exclusion.deployment, exclusion.image
    if deployment is None and image is None:
        yield "all excluded scopes must have some criteria to match on"
    if deployment is not None:
        if not {"DEPLOY", "RUNTIME"}.intersection(policy.lifecycle_stages):
            yield "excluding a deployment is only valid during the DEPLOY and RUNTIME lifecycles"
        yield from _excluded(deployment.name, deployment.scope)
    if image is not None:
        if "BUILD" not in policy.lifecycle_stages:
            yield "excluding an image is only valid during the BUILD lifecycle"
        if not image.name:
            yield "an excluded image must have a name"
    if exclusion.expiration is not None:
        try:
            moment(exclusion.expiration)
        except ValueError:
            yield f"{exclusion.expiration!r} is no moment"


def _excluded(name: str, scope: Scope | None) -> Iterator[str]:
    if not name and scope is None:
        yield "an excluded deployment must have a name or a scope"
    if scope is not None:
        if scope.cluster_label is not None:
            yield "exclusion scopes do not support cluster labels"
        if scope.namespace_label is not None:
            yield "exclusion scopes do not support namespace labels"
        yield from _scope(scope)
    if name:
        try:
            patterns.whole(name)
        except RedoubtError as error:
            yield f"an excluded deployment's name: {error}"


def _capabilities(policy: Policy) -> Iterator[str]:
    named: dict[str, list[str]] = {"Add Capabilities": [], "Drop Capabilities": []}
    for group in policy.groups():
        if group.field_name in named:
            named[group.field_name] += [each.value.upper() for each in group.values]
    both = [each for each in dict.fromkeys(named["Add Capabilities"]) if each in named["Drop Capabilities"]]
    if both:
        yield f"capabilities cannot be in both add and drop: {', '.join(both)[:200]}"


def _filtered(policy: Policy) -> Iterator[str]:
    only = policy.evaluation_filter
    if only is None or not only.skip_container_types:
        return
    told = "container types cannot be left out of"
    if "DEPLOY" not in policy.lifecycle_stages and "RUNTIME" not in policy.lifecycle_stages:
        yield f"{told} build-only policies"
    if policy.event_source == AUDIT_LOG_EVENT:
        yield f"{told} policies about the audit log"
    if policy.event_source == NODE_EVENT:
        yield f"{told} policies about node events"
