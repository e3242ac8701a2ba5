"""A policy as the original writes it, ``storage.Policy``: read, written and carried without loss. Pure.

Names of the fields and enumerations are those of StackRox's ``proto/storage/policy.proto`` and ``scope.proto``. As its
REST API does (protobuf's JSON mapping): what is not known is dropped, ``null`` is the default, ``snake_case`` names
are taken too, and all fields are written. Moments are kept as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from redoubt.errors import UnreadableInput

Stage = Literal["DEPLOY", "BUILD", "RUNTIME"]
EventSource = Literal["NOT_APPLICABLE", "DEPLOYMENT_EVENT", "AUDIT_LOG_EVENT", "NODE_EVENT"]
PolicySeverity = Literal[
    "UNSET_SEVERITY", "LOW_SEVERITY", "MEDIUM_SEVERITY", "HIGH_SEVERITY", "CRITICAL_SEVERITY"
]
Enforcement = Literal[
    "UNSET_ENFORCEMENT",
    "SCALE_TO_ZERO_ENFORCEMENT",
    "UNSATISFIABLE_NODE_CONSTRAINT_ENFORCEMENT",
    "KILL_POD_ENFORCEMENT",
    "FAIL_BUILD_ENFORCEMENT",
    "FAIL_KUBE_REQUEST_ENFORCEMENT",
    "FAIL_DEPLOYMENT_CREATE_ENFORCEMENT",
    "FAIL_DEPLOYMENT_UPDATE_ENFORCEMENT",
]
Operator = Literal["OR", "AND"]
ContainerType = Literal["REGULAR", "INIT"]
Source = Literal["IMPERATIVE", "DECLARATIVE"]

#: The only form of policies that is read.
VERSION = "1.1"
#: A moment as RFC 3339 text.
Written = Annotated[
    str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$")
]
#: A document larger than this is no policy.
LARGEST = 16 * 1024 * 1024


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message of the original."""


class PolicyValue(_Message, frozen=True, kw_only=True):
    """One value of a criterion."""

    value: str = ""


class PolicyGroup(_Message, frozen=True, kw_only=True):
    """One criterion, and the values that are asked for."""

    field_name: str = ""
    boolean_operator: Operator = "OR"
    negate: bool = False
    values: tuple[PolicyValue, ...] = ()


class PolicySection(_Message, frozen=True, kw_only=True):
    """Criteria that all have to hold."""

    section_name: str = ""
    policy_groups: tuple[PolicyGroup, ...] = ()


class ScopeLabel(_Message, frozen=True, kw_only=True):
    """Expressions for a label's name and content."""

    key: str = ""
    value: str = ""


class Scope(_Message, frozen=True, kw_only=True):
    """Where a policy applies: ``cluster`` is an identifier, ``namespace`` an expression."""

    cluster: str = ""
    namespace: str = ""
    label: ScopeLabel | None = None
    cluster_label: ScopeLabel | None = None
    namespace_label: ScopeLabel | None = None


class ExcludedDeployment(_Message, frozen=True, kw_only=True):
    """Workloads: ``name`` is an expression."""

    name: str = ""
    scope: Scope | None = None


class ExcludedImage(_Message, frozen=True, kw_only=True):
    """Images whose full name begins so."""

    name: str = ""


class Exclusion(_Message, frozen=True, kw_only=True):
    """What a policy does not apply to, until ``expiration``."""

    name: str = ""
    deployment: ExcludedDeployment | None = None
    image: ExcludedImage | None = None
    expiration: Written | None = None


class MitreAttackVectors(_Message, frozen=True, kw_only=True):
    """A tactic of ATT&CK and techniques of it, by their identifiers."""

    tactic: str = ""
    techniques: tuple[str, ...] = ()


class EvaluationFilter(_Message, frozen=True, kw_only=True):
    """Containers that are not looked at."""

    skip_container_types: tuple[ContainerType, ...] = ()


class Policy(_Message, frozen=True, kw_only=True):
    """A policy. Sections are joined by OR, the criteria in one by AND."""

    id: str = ""
    name: str = ""
    description: str = ""
    rationale: str = ""
    remediation: str = ""
    disabled: bool = False
    categories: tuple[str, ...] = ()
    lifecycle_stages: tuple[Stage, ...] = ()
    event_source: EventSource = "NOT_APPLICABLE"
    exclusions: tuple[Exclusion, ...] = ()
    scope: tuple[Scope, ...] = ()
    severity: PolicySeverity = "UNSET_SEVERITY"
    enforcement_actions: tuple[Enforcement, ...] = ()
    notifiers: tuple[str, ...] = ()
    last_updated: Written | None = None
    sort_name: str = msgspec.field(default="", name="SORTName")
    sort_lifecycle_stage: str = msgspec.field(default="", name="SORTLifecycleStage")
    sort_enforcement: bool = msgspec.field(default=False, name="SORTEnforcement")
    policy_version: str = ""
    policy_sections: tuple[PolicySection, ...] = ()
    mitre_attack_vectors: tuple[MitreAttackVectors, ...] = ()
    criteria_locked: bool = False
    mitre_vectors_locked: bool = False
    is_default: bool = False
    source: Source = "IMPERATIVE"
    evaluation_filter: EvaluationFilter | None = None

    def groups(self) -> Iterable[PolicyGroup]:
        """Every group of every section."""
        return (group for section in self.policy_sections for group in section.policy_groups)


def moment(text: str) -> datetime:
    """An RFC 3339 text as a moment; nanoseconds are cut to microseconds. Raises ``ValueError``."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))


def read(content: bytes) -> Policy:
    """One policy. Raises :class:`UnreadableInput` saying what is wrong and where."""
    return understood(_document(content))


def read_all(content: bytes) -> tuple[Policy, ...]:
    """A policy, a list of them, or ``{"policies": […]}`` as an export is. Raises :class:`UnreadableInput`."""
    given = _document(content)
    if isinstance(given, dict) and "policies" not in given:
        return (understood(given),)
    if isinstance(given, dict):
        given = given["policies"]
    if not isinstance(given, list):
        raise UnreadableInput("no policy: neither an object nor a list")
    return tuple(understood(item) for item in given)


def understood(given: object) -> Policy:
    """A decoded document as a policy. Raises :class:`UnreadableInput`."""
    try:
        return msgspec.convert(_plain(given, 0), Policy)
    except msgspec.ValidationError as error:
        raise UnreadableInput(f"no policy: {error}") from None


def written(policy: Policy) -> bytes:
    """The policy's JSON, with all its fields."""
    return msgspec.json.encode(policy)


def exported(policies: Iterable[Policy]) -> bytes:
    """``ExportPoliciesResponse``, indented for people and version control. Internal fields are cleared."""
    plain = [
        msgspec.structs.replace(policy, sort_name="", sort_lifecycle_stage="", sort_enforcement=False)
        for policy in policies
    ]
    return msgspec.json.format(msgspec.json.encode({"policies": plain}), indent=2) + b"\n"


def _document(content: bytes) -> object:
    if len(content) > LARGEST:
        raise UnreadableInput(f"no policy: {len(content)} bytes, and at most {LARGEST} are read")
    try:
        given: object = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UnreadableInput(f"no policy: {error}") from None
    return given


#: A policy is not deeper than this.
_DEEPEST = 20


def _plain(given: object, depth: int) -> object:
    """Without ``null``, with names in camelCase. There are no maps in a policy whose keys are a user's."""
    if depth > _DEEPEST:
        raise UnreadableInput("no policy: nested too deep")
    if isinstance(given, dict):
        return {_camel(key): _plain(value, depth + 1) for key, value in given.items() if value is not None}
    if isinstance(given, list):
        return [_plain(value, depth + 1) for value in given]
    return given


def _camel(name: str) -> str:
    if name.startswith("SORT_"):
        return "SORT" + name[5:6].upper() + name[6:]
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name) if "_" in name else name
