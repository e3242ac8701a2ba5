"""What there is to be allowed, and the roles that come with every Central.

A role is a permission set (what may be done to which resource) and an access scope (in which clusters and
namespaces). Names, identifiers and contents are the original's, so that its scripts find them. Pure: what an
administrator adds is in the database, see ``store/access.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, IntEnum, StrEnum

import msgspec


class Level(StrEnum):
    """How finely a resource can be scoped."""

    GLOBAL = "global"
    CLUSTER = "cluster"
    NAMESPACE = "namespace"


class Resource(StrEnum):
    """What permissions are about."""

    ACCESS = "Access"
    ADMINISTRATION = "Administration"
    ALERT = "Alert"
    CVE = "CVE"
    CLUSTER = "Cluster"
    COMPLIANCE = "Compliance"
    DEPLOYMENT = "Deployment"
    DEPLOYMENT_EXTENSION = "DeploymentExtension"
    DETECTION = "Detection"
    IMAGE = "Image"
    IMAGE_ADMINISTRATION = "ImageAdministration"
    INTEGRATION = "Integration"
    K8S_ROLE = "K8sRole"
    K8S_ROLE_BINDING = "K8sRoleBinding"
    K8S_SUBJECT = "K8sSubject"
    NAMESPACE = "Namespace"
    NETWORK_GRAPH = "NetworkGraph"
    NETWORK_POLICY = "NetworkPolicy"
    NODE = "Node"
    SECRET = "Secret"  # noqa: S105 (a resource's name)
    SERVICE_ACCOUNT = "ServiceAccount"
    VIRTUAL_MACHINE = "VirtualMachine"
    VULNERABILITY_MANAGEMENT_APPROVALS = "VulnerabilityManagementApprovals"
    VULNERABILITY_MANAGEMENT_REQUESTS = "VulnerabilityManagementRequests"
    WATCHED_IMAGE = "WatchedImage"
    WORKFLOW_ADMINISTRATION = "WorkflowAdministration"

    @property
    def level(self) -> Level:
        """How finely it can be scoped."""
        return _LEVELS.get(self, Level.NAMESPACE)

    @property
    def also(self) -> Resource | None:
        """The older name that grants the same, if there is one."""
        return Resource.WATCHED_IMAGE if self is Resource.IMAGE_ADMINISTRATION else None


_LEVELS: dict[Resource, Level] = {
    **dict.fromkeys(
        (
            Resource.ACCESS,
            Resource.ADMINISTRATION,
            Resource.DETECTION,
            Resource.IMAGE_ADMINISTRATION,
            Resource.INTEGRATION,
            Resource.VULNERABILITY_MANAGEMENT_APPROVALS,
            Resource.VULNERABILITY_MANAGEMENT_REQUESTS,
            Resource.WATCHED_IMAGE,
            Resource.WORKFLOW_ADMINISTRATION,
        ),
        Level.GLOBAL,
    ),
    **dict.fromkeys((Resource.CLUSTER, Resource.COMPLIANCE, Resource.NODE), Level.CLUSTER),
}


class Access(IntEnum):
    """How much may be done; each includes those before it."""

    NO = 0
    READ = 1
    READ_WRITE = 2

    @property
    def word(self) -> AccessWord:
        """As JSON has it."""
        return _WORDS[self]


class AccessWord(Enum):
    """``Access`` in JSON."""

    NO = "NO_ACCESS"
    READ = "READ_ACCESS"
    READ_WRITE = "READ_WRITE_ACCESS"

    @property
    def level(self) -> Access:
        """As a number that can be compared."""
        return Access[self.name]


_WORDS = {Access[word.name]: word for word in AccessWord}


class Origin(Enum):
    """Who made a role, a set or a scope; only what people made can be changed."""

    IMPERATIVE = "IMPERATIVE"
    DEFAULT = "DEFAULT"
    DECLARATIVE = "DECLARATIVE"
    DECLARATIVE_ORPHANED = "DECLARATIVE_ORPHANED"


class Traits(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a record comes from."""

    origin: Origin = Origin.IMPERATIVE


class PermissionSet(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What may be done to which resource; what is not named may not."""

    id: str = ""
    name: str = ""
    description: str = ""
    resource_to_access: dict[str, AccessWord] = {}
    traits: Traits | None = None


class ScopeNamespace(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A namespace of a cluster, which is named by its identifier or its name."""

    cluster_id: str = ""
    cluster_name: str = ""
    namespace_name: str = ""


class Requirement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A requirement on a label, as in Kubernetes' set-based selectors."""

    key: str = ""
    op: str = "UNKNOWN"
    values: list[str] = []


class Selector(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All requirements have to hold."""

    requirements: list[Requirement] = []


class ScopeRules(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a scope lets in; no rule at all lets nothing in."""

    included_cluster_ids: list[str] = []
    included_clusters: list[str] = []
    included_namespaces: list[ScopeNamespace] = []
    cluster_label_selectors: list[Selector] = []
    namespace_label_selectors: list[Selector] = []


class AccessScope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """In which clusters and namespaces; ``UNRESTRICTED`` is told by its identifier, not by its rules."""

    id: str = ""
    name: str = ""
    description: str = ""
    rules: ScopeRules | None = None
    traits: Traits | None = None


class Role(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A name for a permission set in an access scope."""

    name: str = ""
    description: str = ""
    permission_set_id: str = ""
    access_scope_id: str = ""
    traits: Traits | None = None


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """A role with what it stands for."""

    role: Role
    permissions: dict[Resource, Access]
    scope: AccessScope

    @property
    def unrestricted(self) -> bool:
        """It holds everywhere."""
        return self.scope.id == UNRESTRICTED

    def gives(self, resource: Resource, *, everywhere: bool = False) -> Access:
        """What it gives on a resource: somewhere, or ``everywhere``. Scopes do not touch global resources."""
        if (
            resource.level is Level.GLOBAL
            or self.unrestricted
            or not (everywhere or self.scope.id == DENY_ALL)
        ):
            return self.permissions.get(resource, Access.NO)
        return Access.NO


_ID = "ffffffff-ffff-fff4-f5ff-fffffffffff"
UNRESTRICTED = _ID + "f"
DENY_ALL = _ID + "e"

ADMIN = "Admin"
NONE = "None"

_READ, _WRITE = Access.READ, Access.READ_WRITE
_R = Resource

#: Name, identifier's last digit, description, permissions. Every set but the last two has a role of its name.
_SETS: tuple[tuple[str, str, str, dict[Resource, Access]], ...] = (
    (ADMIN, "f", "People: everything may be read and written", dict.fromkeys(Resource, _WRITE)),
    (
        "Analyst",
        "e",
        "People: everything but the administration of the system may be read",
        {resource: _READ for resource in Resource if resource is not _R.ADMINISTRATION},
    ),
    ("Continuous Integration", "d", "Pipelines: images are scanned and judged", {_R.DETECTION: _READ, _R.IMAGE: _WRITE}),
    (NONE, "c", "People: nothing may be read or written", {}),
    (
        "Sensor Creator",
        "a",
        "Automation: clusters are added",
        {_R.CLUSTER: _WRITE, _R.ADMINISTRATION: _WRITE},
    ),
    (
        "Vulnerability Management Approver",
        "9",
        "People: requests to defer or dismiss vulnerabilities are decided",
        {_R.VULNERABILITY_MANAGEMENT_APPROVALS: _WRITE},
    ),
    (
        "Vulnerability Management Requester",
        "8",
        "People: asking for a vulnerability to be deferred or dismissed",
        {_R.VULNERABILITY_MANAGEMENT_REQUESTS: _WRITE},
    ),
    (
        "Vulnerability Report Creator",
        "7",
        "People: reports on vulnerabilities are set up and sent",
        {_R.WORKFLOW_ADMINISTRATION: _WRITE, _R.INTEGRATION: _READ},
    ),
    (
        "Network Graph Viewer",
        "5",
        "People: the network graph may be looked at",
        {_R.DEPLOYMENT: _READ, _R.NETWORK_GRAPH: _READ, _R.NETWORK_POLICY: _READ},
    ),
    (
        "Configuration Controller",
        "3",
        "Automation: what the configuration controller looks after",
        {_R.WORKFLOW_ADMINISTRATION: _WRITE, _R.INTEGRATION: _READ, _R.CLUSTER: _READ},
    ),
    (
        "Vulnerability Management Consumer",
        "6",
        "People: vulnerabilities are looked at, and exceptions asked for",
        {
            **dict.fromkeys((_R.NODE, _R.DEPLOYMENT, _R.IMAGE, _R.WATCHED_IMAGE, _R.WORKFLOW_ADMINISTRATION), _READ),
            _R.VULNERABILITY_MANAGEMENT_REQUESTS: _WRITE,
        },
    ),
    (
        "Vulnerability Management Admin",
        "4",
        "People: vulnerabilities, their reports and exceptions are managed",
        {
            **dict.fromkeys((_R.CLUSTER, _R.NODE, _R.NAMESPACE, _R.DEPLOYMENT, _R.IMAGE, _R.INTEGRATION), _READ),
            _R.WATCHED_IMAGE: _WRITE,
            _R.VULNERABILITY_MANAGEMENT_REQUESTS: _WRITE,
            _R.VULNERABILITY_MANAGEMENT_APPROVALS: _WRITE,
            _R.WORKFLOW_ADMINISTRATION: _WRITE,
        },
    ),
)  # fmt: skip

_DEFAULT = Traits(origin=Origin.DEFAULT)

DEFAULT_PERMISSION_SETS: dict[str, PermissionSet] = {
    _ID + digit: PermissionSet(
        id=_ID + digit,
        name=name,
        description=description,
        resource_to_access={resource.value: access.word for resource, access in permissions.items()},
        traits=_DEFAULT,
    )
    for name, digit, description, permissions in _SETS
}

DEFAULT_SCOPES: dict[str, AccessScope] = {
    UNRESTRICTED: AccessScope(
        id=UNRESTRICTED, name="Unrestricted", description="All clusters and namespaces", traits=_DEFAULT
    ),
    DENY_ALL: AccessScope(
        id=DENY_ALL,
        name="Deny All",
        description="No cluster and no namespace",
        rules=ScopeRules(),
        traits=_DEFAULT,
    ),
}

DEFAULT_ROLES: dict[str, Role] = {
    name: Role(
        name=name,
        description=description,
        permission_set_id=_ID + digit,
        access_scope_id=UNRESTRICTED,
        traits=_DEFAULT,
    )
    for name, digit, description, _ in _SETS[:-2]
}


def permissions_of(found: PermissionSet) -> dict[Resource, Access]:
    """A set's permissions, by resource; names of resources that we do not know are left out."""
    return {
        Resource(name): word.level
        for name, word in found.resource_to_access.items()
        if name in _NAMES and word.level is not Access.NO
    }


_NAMES = frozenset(resource.value for resource in Resource)


def resolve(role: Role, permission_set: PermissionSet | None, scope: AccessScope | None) -> Resolved:
    """A role with what it stands for; where a part of it is missing, it stands for nothing."""
    if permission_set is None or scope is None:
        return Resolved(role=role, permissions={}, scope=DEFAULT_SCOPES[DENY_ALL])
    return Resolved(role=role, permissions=permissions_of(permission_set), scope=scope)


def default(name: str) -> Resolved:
    """A default role by its name; raises ``KeyError``."""
    role = DEFAULT_ROLES[name]
    return resolve(
        role, DEFAULT_PERMISSION_SETS[role.permission_set_id], DEFAULT_SCOPES[role.access_scope_id]
    )


def combined(roles: Iterable[Resolved], *, everywhere: bool = False) -> dict[Resource, Access]:
    """The most that any of the roles gives, by resource; every resource is named."""
    several = list(roles)
    return {
        resource: max((role.gives(resource, everywhere=everywhere) for role in several), default=Access.NO)
        for resource in Resource
    }


def excess(held: Iterable[Resolved], wanted: Iterable[Resolved]) -> list[str]:
    """What ``wanted`` would give beyond ``held``, a line each; empty if it gives nothing more.

    A permission is covered by one that holds everywhere or in the very same scope.
    """
    mine = list(held)
    anywhere = combined(mine, everywhere=True)
    told = []
    for role in wanted:
        here = combined(other for other in mine if other.scope.id == role.scope.id)
        told += [
            f"{resource} with {given.word.value} in scope {role.scope.name!r}"
            for resource in Resource
            if (given := role.gives(resource)) > max(here[resource], anywhere[resource])
        ]
    return told
