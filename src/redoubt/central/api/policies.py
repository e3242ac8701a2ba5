"""``/v1/policies`` and ``/v1/policyCategories``: policies listed, kept, carried in and out, and tried out.

Paths, fields and permissions are the original's. ``/v1/policies/{id}/status`` is ours: what a policy lacks data for.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias
from uuid import UUID, uuid4

import msgspec
from litestar import Controller, Response, delete, get, patch, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from redoubt.central import search as searching
from redoubt.central.api import checks
from redoubt.central.api.given import Call, Empty, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.policies.jobs import DryRuns, Tried
from redoubt.central.policies.keeping import Imported, Policies
from redoubt.central.policies.trying import tried
from redoubt.central.refusals import InvalidArgument, Unavailable
from redoubt.errors import UnreadableInput
from redoubt.policies import Policy, PolicySet
from redoubt.policies import policy as documents
from redoubt.policies.criteria import ALL
from redoubt.policies.validation import PolicyInvalid, check, prepared
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

_READ = allow(Resource.WORKFLOW_ADMINISTRATION, Access.READ)
_WRITE = allow(Resource.WORKFLOW_ADMINISTRATION, Access.READ_WRITE)
#: A policy as it is sent: read by ``policies.policy``, which takes what the original takes.
Document: TypeAlias = dict[str, object]
#: Images and deployments that a policy is tried out on while somebody waits.
_IMAGES, _DEPLOYMENTS = 500, 5000


class ListPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``storage.ListPolicy``."""

    id: str
    name: str
    description: str
    severity: str
    disabled: bool
    lifecycle_stages: tuple[str, ...]
    notifiers: tuple[str, ...]
    last_updated: str | None
    event_source: str
    is_default: bool
    source: str
    evaluation_filter: documents.EvaluationFilter | None


class PolicyList(msgspec.Struct, frozen=True):
    """Policies, by name."""

    policies: list[ListPolicy]


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """``PatchPolicyRequest``."""

    id: str = ""
    disabled: bool | UnsetType = UNSET


class Wanted(msgspec.Struct, frozen=True, rename="camel"):
    """``ExportPoliciesRequest``."""

    policy_ids: tuple[str, ...] = ()


class Categories(msgspec.Struct, frozen=True):
    """All categories that a policy has."""

    categories: list[str]


class MissingSource(msgspec.Struct, frozen=True):
    """A criterion that nothing is known of yet, and why."""

    criterion: str
    reason: str


class PolicyStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether a policy is asked. ``no_source``: criteria without data; where the rest of a section holds it is unanswered."""

    id: str
    name: str
    asked: bool
    reason: str = ""
    no_source: list[MissingSource] = []


class DryRunBegun(msgspec.Struct, frozen=True, rename="camel"):
    """``JobId``."""

    job_id: str


class DryRunStatus(msgspec.Struct, frozen=True, rename="camel"):
    """``DryRunJobStatusResponse``."""

    pending: bool
    result: Tried | None = None


class ImportFault(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``ImportPolicyError``."""

    message: str
    type: str
    duplicate_name: str | UnsetType = UNSET
    validation_error: str | UnsetType = UNSET


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    """``ImportPolicyResponse``."""

    succeeded: bool
    policy: Policy
    errors: list[ImportFault]


class ImportResults(msgspec.Struct, frozen=True, rename="camel"):
    """``ImportPoliciesResponse``."""

    responses: list[ImportResult]
    all_succeeded: bool


class ImportMetadata(msgspec.Struct, frozen=True):
    """``overwrite``: in place of those that have the identifier or the name."""

    overwrite: bool = False


class ImportRequest(msgspec.Struct, frozen=True):
    """``ImportPoliciesRequest``."""

    policies: list[Document] = []
    metadata: ImportMetadata | None = None


class PolicyController(Controller):
    """Policies."""

    path = "/v1"
    tags = ("Policies",)

    @get("/policies", opt=_READ, summary="All policies")
    async def all(
        self, services: Given, search: Annotated[str, QueryParameter(name="query")] = ""
    ) -> PolicyList:
        """By name. ``query``: ``Policy``, ``Severity``, ``Lifecycle Stage``, ``Category``, ``Disabled``, ``Enforcement``…"""
        asked = searching.parse(search)
        found = await policies_of(services).all()
        return PolicyList([_listed(policy) for policy in found if searching.fits(asked, _fields(policy))])

    @get("/policies/{id:str}", opt=_READ, summary="A policy")
    async def one(self, services: Given, id: FromPath[str]) -> Policy:  # noqa: A002
        """By its identifier."""
        return await policies_of(services).get(id)

    @get(
        "/policies/{id:str}/status",
        opt=_READ,
        summary="Whether a policy is asked, and what it lacks data for",
    )
    async def status(self, services: Given, id: FromPath[str]) -> PolicyStatus:  # noqa: A002
        """A criterion without data is never taken for one that does not fit."""
        policy = await policies_of(services).get(id)
        refused = PolicySet([msgspec.structs.replace(policy, disabled=False)]).refused
        names = dict.fromkeys(group.field_name for group in policy.groups())
        missing = [
            MissingSource(name, ALL[name].no_source) for name in names if name in ALL and ALL[name].no_source
        ]
        reason = refused[0].reason if refused else "disabled" if policy.disabled else ""
        return PolicyStatus(
            id=policy.id, name=policy.name, asked=not reason, reason=reason, no_source=missing
        )

    @post("/policies", opt=_WRITE, status_code=200, summary="Add a policy")
    async def add(
        self,
        services: Given,
        data: JSONBody[Document],
        strict: Annotated[bool, QueryParameter(name="enableStrictValidation")] = False,
    ) -> Policy:
        """The policy itself is the body; its identifier is chosen here."""
        return await policies_of(services).add(_policy(data), strict=strict)

    @put("/policies/{id:str}", opt=_WRITE, summary="Change a policy")
    async def change(self, services: Given, id: FromPath[str], data: JSONBody[Document]) -> Empty:  # noqa: A002
        """The whole policy."""
        given = _policy(data)
        checks.same(id, given.id)
        await policies_of(services).change(id, given)
        return Empty()

    @patch("/policies/{id:str}", opt=_WRITE, summary="Switch a policy off or on")
    async def switch(self, services: Given, id: FromPath[str], data: JSONBody[Switch]) -> Empty:  # noqa: A002
        """``disabled``."""
        checks.same(id, data.id)
        if data.disabled is not UNSET:
            await policies_of(services).switch(id, disabled=data.disabled)
        return Empty()

    @delete("/policies/{id:str}", opt=_WRITE, status_code=200, summary="Delete a policy")
    async def remove(self, services: Given, id: FromPath[str]) -> Empty:  # noqa: A002
        """Default policies can only be disabled."""
        await policies_of(services).delete(id)
        return Empty()

    @post("/policies/export", opt=_READ, status_code=200, summary="Export policies")
    async def export(self, services: Given, data: JSONBody[Wanted]) -> Response[bytes]:
        """In a form that can be imported, here and in the original."""
        found = await policies_of(services).exported(data.policy_ids)
        return Response(documents.exported(found), media_type="application/json")

    @post("/policies/import", opt=_WRITE, status_code=200, summary="Import policies")
    async def import_policies(self, services: Given, data: JSONBody[ImportRequest]) -> ImportResults:
        """What an export is, and ``metadata``. Each policy counts for itself."""
        given = [_policy(document) for document in data.policies]
        overwrite = data.metadata is not None and data.metadata.overwrite
        done = await policies_of(services).imported(given, overwrite=overwrite)
        return ImportResults([_result(each) for each in done], all(not each.error for each in done))

    @post("/policies/dryrun", opt=_WRITE, status_code=200, summary="Try a policy out")
    async def dry_run(self, request: Call, services: Given, data: JSONBody[Document]) -> Tried:
        """Whether it is disabled does not matter. It is tried on images that were scanned and on deployments, as its stages say."""
        policy = _tryable(data)
        return await tried(services, request.user, policy, images=_IMAGES, deployments=_DEPLOYMENTS)

    @post("/policies/dryrunjob", opt=_WRITE, status_code=200, summary="Try a policy out in the background")
    async def dry_run_job(self, request: Call, services: Given, data: JSONBody[Document]) -> DryRunBegun:
        """The same of all images and deployments; asked for with ``jobId``, by whoever began it."""
        return DryRunBegun(str(await _dry_runs(services).begin(request.user, _tryable(data))))

    @get("/policies/dryrunjob/{job:uuid}", opt=_READ, summary="What trying a policy out came to")
    async def dry_run_status(self, request: Call, services: Given, job: FromPath[UUID]) -> DryRunStatus:
        """``pending`` while it goes on. Known for an hour."""
        found = await _dry_runs(services).result(request.user, job)
        return DryRunStatus(pending=found is None, result=found)

    @delete("/policies/dryrunjob/{job:uuid}", opt=_WRITE, status_code=200, summary="Stop trying a policy out")
    async def dry_run_cancel(self, request: Call, services: Given, job: FromPath[UUID]) -> Empty:
        """Whatever came of it is forgotten."""
        await _dry_runs(services).cancel(request.user, job)
        return Empty()

    @post("/policies/reassess", opt=_WRITE, status_code=200, summary="Have all deployments asked about again")
    async def reassess(self, services: Given) -> Empty:
        """By the Sensors that are connected."""
        if services.hub is None:
            raise Unavailable("this Central looks after no clusters")
        services.hub.pusher.tell_all(pb.ToSensor(request=pb.Request(id=str(uuid4()), reassess="")))
        return Empty()

    @get("/policyCategories", opt=_READ, summary="Categories of policies")
    async def categories(self, services: Given) -> Categories:
        """By name."""
        found = {name for policy in await policies_of(services).all() for name in policy.categories}
        return Categories(sorted(found))


def _tryable(document: Document) -> Policy:
    policy = msgspec.structs.replace(prepared(_policy(document)), disabled=False)
    try:
        check(policy)
    except PolicyInvalid as error:
        raise InvalidArgument(str(error)) from None
    return policy


def _dry_runs(services: Given) -> DryRuns:
    if services.dry_runs is None:
        raise Unavailable("this Central tries no policies out in the background")
    return services.dry_runs


def policies_of(services: Given) -> Policies:
    """Central's policies. Raises ``Unavailable`` where it has none."""
    if services.policies is None:
        raise Unavailable("this Central has no policies")
    return services.policies


def _policy(document: Document) -> Policy:
    try:
        return documents.understood(document)
    except UnreadableInput as error:
        raise InvalidArgument(str(error)) from None


def _fields(policy: Policy) -> dict[str, tuple[str, ...]]:
    """What a policy can be found by."""
    return {
        "policy": (policy.name,),
        "policy id": (policy.id,),
        "description": (policy.description,),
        "severity": (policy.severity,),
        "lifecycle stage": policy.lifecycle_stages,
        "category": policy.categories,
        "enforcement": policy.enforcement_actions,
        "event source": (policy.event_source,),
        "disabled": ("true" if policy.disabled else "false",),
        "default policy": ("true" if policy.is_default else "false",),
    }


def _listed(policy: Policy) -> ListPolicy:
    return ListPolicy(**{name: getattr(policy, name) for name in ListPolicy.__struct_fields__})


def _result(done: Imported) -> ImportResult:
    errors = []
    if done.error:
        errors.append(
            ImportFault(
                message=done.error,
                type=done.kind,
                duplicate_name=done.duplicate or UNSET,
                validation_error=done.reasons or UNSET,
            )
        )
    if done.notice:
        errors.append(ImportFault(message=done.notice, type="removed_clusters_or_notifiers"))
    return ImportResult(succeeded=not done.error, policy=done.policy, errors=errors)
