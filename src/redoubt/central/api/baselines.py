"""``/v1/processbaselines``: what programs containers are known to run. Learned for an hour, then looked after by people."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, put
from litestar.params import FromQuery, JSONBody, QueryParameter

from redoubt.central.activity.baselines import Baselines, Failed
from redoubt.central.activity.records import path_of
from redoubt.central.api import checks
from redoubt.central.api.given import Call, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.reach import reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.refusals import InvalidArgument, NotFound, Unavailable
from redoubt.central.store.baselines import Baseline, BaselineKey

_READ = allow(Resource.DEPLOYMENT_EXTENSION, Access.READ, scoped=True)
_WRITE = allow(Resource.DEPLOYMENT_EXTENSION, Access.READ_WRITE, scoped=True)

#: Baselines, and programs, that one call changes at most.
_MOST = 1000


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message of the original."""


class BaselineItem(_Message, frozen=True, kw_only=True):
    """``BaselineItem``: a program's path."""

    process_name: str = ""


class BaselineElement(_Message, frozen=True, kw_only=True):
    """``BaselineElement``; ``auto``: it was learned."""

    element: BaselineItem
    auto: bool


class ProcessBaseline(_Message, frozen=True, kw_only=True):
    """``storage.ProcessBaseline``."""

    id: str
    key: BaselineKey
    elements: list[BaselineElement]
    element_graveyard: list[BaselineElement]
    created: datetime
    user_locked_timestamp: datetime | None
    stack_rox_locked_timestamp: datetime
    last_update: datetime


class BaselineError(_Message, frozen=True, kw_only=True):
    """``ProcessBaselineUpdateError``."""

    error: str
    key: BaselineKey


class UpdatedBaselines(_Message, frozen=True, kw_only=True):
    """``UpdateProcessBaselinesResponse``."""

    baselines: list[ProcessBaseline]
    errors: list[BaselineError]


class UpdateBaselines(_Message, frozen=True, kw_only=True):
    """``UpdateProcessBaselinesRequest``."""

    keys: tuple[BaselineKey, ...] = ()
    add_elements: tuple[BaselineItem, ...] = ()
    remove_elements: tuple[BaselineItem, ...] = ()


class LockBaselines(_Message, frozen=True, kw_only=True):
    """``LockProcessBaselinesRequest``."""

    keys: tuple[BaselineKey, ...] = ()
    locked: bool = False


class BulkBaselines(_Message, frozen=True, kw_only=True):
    """``BulkProcessBaselinesRequest``; all namespaces where none is named."""

    cluster_id: str = ""
    namespaces: tuple[str, ...] = ()


class BulkUpdated(_Message, frozen=True, kw_only=True):
    """``BulkUpdateProcessBaselinesResponse``; the number is ours."""

    success: bool
    number: int


class DeletedBaselines(_Message, frozen=True, kw_only=True):
    """``DeleteProcessBaselinesResponse``."""

    num_deleted: int
    dry_run: bool


class BaselineController(Controller):
    """Process baselines."""

    path = "/v1/processbaselines"
    tags = ("Process baselines",)

    @get("/key", opt=_READ, summary="A container's baseline")
    async def one(
        self,
        request: Call,
        services: Given,
        deployment: Annotated[str, QueryParameter(name="key.deploymentId")] = "",
        container: Annotated[str, QueryParameter(name="key.containerName")] = "",
        cluster: Annotated[str, QueryParameter(name="key.clusterId")] = "",
        namespace: Annotated[str, QueryParameter(name="key.namespace")] = "",
    ) -> ProcessBaseline:
        """There is one as soon as something ran in the container."""
        key = _checked(
            BaselineKey(
                deployment_id=deployment, container_name=container, cluster_id=cluster, namespace=namespace
            )
        )
        within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION)
        found = await baselines_of(services).store.get(key, within)
        if found is None:
            raise NotFound("there is no such baseline")
        return _told(found)

    @put(opt=_WRITE, summary="Add programs to baselines, or remove them")
    async def change(
        self, request: Call, services: Given, data: JSONBody[UpdateBaselines]
    ) -> UpdatedBaselines:
        """What is removed is not learned again. Each baseline counts for itself."""
        keys = _keys(data.keys)
        add, remove = (_paths(each) for each in (data.add_elements, data.remove_elements))
        within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION, Access.READ_WRITE)
        return _updated(await baselines_of(services).change(keys, add, remove, within))

    @put("/lock", opt=_WRITE, summary="Lock baselines, or unlock them")
    async def lock(self, request: Call, services: Given, data: JSONBody[LockBaselines]) -> UpdatedBaselines:
        """What is not in a locked one breaks the policies that ask for it."""
        within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION, Access.READ_WRITE)
        return _updated(await baselines_of(services).lock(_keys(data.keys), within, locked=data.locked))

    @put("/bulk/lock", opt=_WRITE, summary="Lock the baselines of namespaces")
    async def bulk_lock(self, request: Call, services: Given, data: JSONBody[BulkBaselines]) -> BulkUpdated:
        """Of one cluster."""
        return await _bulk(request, services, data, locked=True)

    @put("/bulk/unlock", opt=_WRITE, summary="Unlock the baselines of namespaces")
    async def bulk_unlock(self, request: Call, services: Given, data: JSONBody[BulkBaselines]) -> BulkUpdated:
        """Of one cluster."""
        return await _bulk(request, services, data, locked=False)

    @delete(opt=_WRITE, status_code=200, summary="Have baselines learned anew")
    async def remove(
        self,
        request: Call,
        services: Given,
        search: Annotated[str, QueryParameter(name="query")] = "",
        confirm: FromQuery[bool] = False,
    ) -> DeletedBaselines:
        """Those that the query finds (``Deployment Id:…``), which cannot be empty. Without ``confirm`` they are only counted."""
        if not search.strip():
            raise InvalidArgument("query is missing: which baselines are forgotten?")
        within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION, Access.READ_WRITE)
        baselines = baselines_of(services)
        keys = await baselines.store.select(search, within)
        number = await baselines.forget(keys, within) if confirm else len(keys)
        return DeletedBaselines(num_deleted=number, dry_run=not confirm)


async def _bulk(request: Call, services: Given, data: BulkBaselines, *, locked: bool) -> BulkUpdated:
    within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION, Access.READ_WRITE)
    baselines = baselines_of(services)
    cluster = checks.identifier(data.cluster_id, "clusterId")
    if len(data.namespaces) > _MOST:
        raise InvalidArgument(f"namespaces: at most {_MOST}")
    for each in data.namespaces:
        checks.text(each, "a namespace", 253)
    keys = await baselines.store.within(cluster, data.namespaces, within)
    changed, failed = await baselines.lock(keys, within, locked=locked)
    return BulkUpdated(success=not failed, number=len(changed))


def baselines_of(services: Given) -> Baselines:
    """Central's baselines. Raises ``Unavailable`` where it looks after no clusters."""
    if services.baselines is None:
        raise Unavailable("this Central looks after no clusters")
    return services.baselines


def _keys(given: tuple[BaselineKey, ...]) -> list[BaselineKey]:
    if not given or len(given) > _MOST:
        raise InvalidArgument(f"keys: one at least, and at most {_MOST}")
    return [_checked(each) for each in given]


def _checked(key: BaselineKey) -> BaselineKey:
    if not key.deployment_id or not key.container_name:
        raise InvalidArgument("a key has a deploymentId and a containerName")
    for each in msgspec.structs.astuple(key):
        checks.text(each, "a part of a key", 300)
    return key


def _paths(given: tuple[BaselineItem, ...]) -> list[str]:
    if len(given) > _MOST:
        raise InvalidArgument(f"elements: at most {_MOST}")
    found = [path_of(checks.text(each.process_name, "processName", 4096)) for each in given]
    if not all(found):
        raise InvalidArgument("processName is missing")
    return found


def _updated(done: tuple[list[Baseline], list[Failed]]) -> UpdatedBaselines:
    changed, failed = done
    return UpdatedBaselines(
        baselines=[_told(each) for each in changed],
        errors=[BaselineError(error=each.error, key=each.key) for each in failed],
    )


def _told(found: Baseline) -> ProcessBaseline:
    cluster = str(found.cluster)
    return ProcessBaseline(
        id=f"PB{cluster}:{found.namespace}:{found.deployment}:{found.container}",
        key=BaselineKey(
            deployment_id=found.deployment,
            container_name=found.container,
            cluster_id=cluster,
            namespace=found.namespace,
        ),
        elements=_elements(found, buried=False),
        element_graveyard=_elements(found, buried=True),
        created=found.created,
        user_locked_timestamp=found.locked,
        stack_rox_locked_timestamp=found.learned,
        last_update=found.changed,
    )


def _elements(found: Baseline, *, buried: bool) -> list[BaselineElement]:
    return [
        BaselineElement(element=BaselineItem(process_name=each.path), auto=each.auto)
        for each in found.elements
        if each.buried == buried
    ]
