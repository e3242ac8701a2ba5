"""A search made a policy: fields become criteria, clusters, namespaces and labels become scopes. Pure.

A policy's texts are expressions that fit as a whole, a search's are beginnings: each is written so that it finds the same. What
cannot be said by a criterion is told, and left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import get_args

import msgspec

from redoubt.central.refusals import InvalidArgument
from redoubt.central.search import Asked, Term
from redoubt.policies import policy as documents
from redoubt.policies.policy import Policy, PolicyGroup, PolicySection, PolicyValue, Scope, ScopeLabel
from redoubt.policies.validation import PolicyInvalid, check, prepared

#: Fields of a search, in lower case, whose values are texts → criteria.
_TEXTS = {
    **{each.lower(): each for each in (
        "Add Capabilities", "Drop Capabilities", "CVE", "Container Name", "Image OS", "Image Registry", "Image Remote",
        "Image Tag", "Image User", "Process Ancestor", "Process Arguments", "Process Name", "Process UID",
        "Runtime Class", "Service Account", "Volume Destination", "Volume Name", "Volume Source", "Volume Type",
    )},
    "port protocol": "Exposed Port Protocol",
}  # fmt: skip
#: Those whose values are numbers, truths and words: said as they are.
_WORDS = {
    "cvss": "CVSS",
    "cpu cores limit": "Container CPU Limit",
    "cpu cores request": "Container CPU Request",
    "exposed node port": "Exposed Node Port",
    "exposure level": "Port Exposure Method",
    "fixable": "Fixable",
    "memory limit (mb)": "Container Memory Limit",
    "memory request (mb)": "Container Memory Request",
    "port": "Exposed Port",
    "privileged": "Privileged Container",
    "read only root filesystem": "Read-Only Root Filesystem",
    "replicas": "Replicas",
    "severity": "Severity",
}
_SCOPES = ("cluster", "namespace", "deployment label")
_STAGES: tuple[documents.Stage, ...] = get_args(documents.Stage)
#: Scopes that a policy gets, at most.
_MOST = 200


class Made(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``PolicyFromSearchResponse``."""

    policy: Policy
    altered_search_terms: tuple[str, ...]
    has_nested_fields: bool = False


def made(asked: Sequence[Asked], clusters: Mapping[str, str]) -> Made:
    """``clusters`` are their identifiers, by name. Raises ``InvalidArgument`` where no criterion and no scope is left."""
    groups: dict[str, PolicyGroup] = {}
    altered: dict[str, None] = {}
    for each in asked:
        field = each.field.lower()
        if field in _SCOPES:
            continue
        name = _TEXTS.get(field) or _WORDS.get(field, "")
        values = tuple(
            value for term in each.terms if (value := _value(term, text=field in _TEXTS)) is not None
        )
        group = PolicyGroup(field_name=name, values=tuple(PolicyValue(value=value) for value in values))
        if not values or name in groups or not _stages([group]):
            altered[each.field] = None
            continue
        if len(values) < len(each.terms):
            altered[each.field] = None
        groups[name] = group
    scopes = _scopes(asked, clusters)
    if not groups and not scopes:
        raise InvalidArgument("nothing of this search can be said by a policy")
    stages = _stages(groups.values()) if groups else ()
    return Made(
        policy=Policy(
            policy_version="1.1",
            scope=scopes,
            policy_sections=(PolicySection(policy_groups=tuple(groups.values())),) if groups else (),
            lifecycle_stages=stages,
            event_source="DEPLOYMENT_EVENT" if "RUNTIME" in stages else "NOT_APPLICABLE",
        ),
        altered_search_terms=tuple(altered),
    )


def _value(term: Term, *, text: bool) -> str | None:
    """As a criterion has it; None where it cannot say that."""
    if term.negated or (not term.quoted and term.text in ("-", "")):
        return None
    if not text:
        return term.text
    if term.quoted:
        return re.escape(term.text)
    if term.text == "*":
        return ".+"
    for mark, written in (("r/", ".*({}).*"), ("c/", ".*{}.*")):
        if term.text.startswith(mark):
            inner = term.text[2:] if mark == "r/" else re.escape(term.text[2:])
            return written.format(inner)
    return re.escape(term.text) + ".*"


def _stages(groups: Iterable[PolicyGroup]) -> tuple[documents.Stage, ...]:
    """Stages in which a policy of these criteria may be asked."""
    sections = (PolicySection(policy_groups=tuple(groups)),)
    found: list[documents.Stage] = []
    for stage in _STAGES:
        tried = Policy(
            name="Policy from search",
            severity="LOW_SEVERITY",
            categories=("Search",),
            policy_version="1.1",
            policy_sections=sections,
            lifecycle_stages=(stage,),
            event_source="DEPLOYMENT_EVENT" if stage == "RUNTIME" else "NOT_APPLICABLE",
        )
        try:
            check(prepared(tried))
        except PolicyInvalid:
            continue
        found.append(stage)
    return tuple(found)


def _scopes(asked: Sequence[Asked], clusters: Mapping[str, str]) -> tuple[Scope, ...]:
    """Every cluster with every namespace and label. Raises ``InvalidArgument`` for too many, or a cluster that is none."""
    given = {each.field.lower(): [one for one in each.terms if not one.negated] for each in asked}
    if not any(given.get(field) for field in _SCOPES):
        return ()
    identifiers: list[str] = []
    for term in given.get("cluster", ()):
        fitting = [
            identifier
            for name, identifier in clusters.items()
            if (name == term.text if term.quoted else name.lower().startswith(term.text.lower()))
        ]
        if not fitting:
            raise InvalidArgument(f"there is no cluster {term.text[:80]!r}")
        identifiers += fitting
    namespaces = [value for term in given.get("namespace", ()) if (value := _value(term, text=True))]
    labels: list[ScopeLabel | None] = [
        ScopeLabel(key=key.strip(), value=value.strip())
        for term in given.get("deployment label", ())
        for key, _, value in (term.text.partition("="),)
    ]
    found = product(dict.fromkeys(identifiers) or [""], namespaces or [""], labels or [None])
    several = [
        Scope(cluster=cluster, namespace=namespace, label=label) for cluster, namespace, label in found
    ]
    if len(several) > _MOST:
        raise InvalidArgument(f"that makes {len(several)} scopes, and at most {_MOST} are made")
    return tuple(several)
