"""``/v1/alerts``: what breaks policies in clusters, under the original's paths and in its form.

Whoever may see some clusters or namespaces only, sees, counts, resolves and deletes the alerts of these.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Annotated, TypeAlias

import msgspec
from litestar import Controller, delete, get, patch
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from redoubt.central.activity.records import MOST_NAME, path_of, text
from redoubt.central.api import checks
from redoubt.central.api.baselines import baselines_of
from redoubt.central.api.given import Call, Empty, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.reach import reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.refusals import FailedPrecondition, InvalidArgument, NotFound
from redoubt.central.search import Asked, Term
from redoubt.central.store.alert_intake import SEVERITIES
from redoubt.central.store.alerts import AlertStore, Listed, Moment, Wanted, wanted
from redoubt.central.store.baselines import BaselineKey
from redoubt.policies.alerts import Alert, Message
from redoubt.policies.policy import Policy

_READ = allow(Resource.ALERT, Access.READ, scoped=True)
_WRITE = allow(Resource.ALERT, Access.READ_WRITE, scoped=True)

#: Alerts of a page where no limit is asked for, and at most.
_PAGE = 1000
#: Alerts of which a time series tells, at most: the newest.
_MOMENTS = 100_000

Query: TypeAlias = Annotated[str, QueryParameter(name="query")]
RequestQuery: TypeAlias = Annotated[str, QueryParameter(name="request.query")]
Limit: TypeAlias = Annotated[int, QueryParameter(name="pagination.limit", ge=0, le=_PAGE)]
Offset: TypeAlias = Annotated[int, QueryParameter(name="pagination.offset", ge=0, le=10_000_000)]
SortField: TypeAlias = Annotated[str, QueryParameter(name="pagination.sortOption.field")]
Reversed: TypeAlias = Annotated[bool, QueryParameter(name="pagination.sortOption.reversed")]


class DeveloperFields(Message, frozen=True, kw_only=True):
    """``ListAlertPolicy.DevFields``."""

    sort_name: str = msgspec.field(name="SORTName", default="")


class ListAlertPolicy(Message, frozen=True, kw_only=True):
    """``storage.ListAlertPolicy``."""

    id: str
    name: str
    severity: str
    description: str
    categories: tuple[str, ...]
    developer_internal_fields: DeveloperFields


class CommonEntityInfo(Message, frozen=True, kw_only=True):
    """``ListAlert.CommonEntityInfo``."""

    cluster_name: str
    namespace: str
    cluster_id: str
    namespace_id: str
    resource_type: str


class ListAlertDeployment(Message, frozen=True, kw_only=True):
    """``storage.ListAlertDeployment``."""

    id: str
    name: str
    cluster_name: str
    namespace: str
    cluster_id: str
    inactive: bool
    namespace_id: str
    deployment_type: str


class NamedEntity(Message, frozen=True, kw_only=True):
    """``ListAlert.ResourceEntity`` and ``ListAlert.NodeEntity``."""

    name: str


class ListAlert(Message, frozen=True, kw_only=True):
    """``storage.ListAlert``."""

    id: str
    lifecycle_stage: str
    time: datetime
    first_occurred: datetime
    policy: ListAlertPolicy
    state: str
    enforcement_count: int
    enforcement_action: str
    common_entity_info: CommonEntityInfo
    deployment: ListAlertDeployment | None = None
    resource: NamedEntity | None = None
    node: NamedEntity | None = None
    platform_component: bool
    entity_type: str


class AlertList(Message, frozen=True):
    """``ListAlertsResponse``."""

    alerts: list[ListAlert]


class AlertCount(Message, frozen=True):
    """``CountAlertsResponse``."""

    count: int


class PolicyAlerts(Message, frozen=True):
    """``GetAlertsGroupResponse.PolicyGroup``; the number is text, as 64-bit numbers are."""

    policy: ListAlertPolicy
    num_alerts: str


class AlertGroups(Message, frozen=True):
    """``GetAlertsGroupResponse``."""

    alerts_by_policies: list[PolicyAlerts]


class SeverityCount(Message, frozen=True):
    """How many of a severity."""

    severity: str
    count: str


class CountGroup(Message, frozen=True):
    """A cluster, a category, or all."""

    group: str
    counts: list[SeverityCount]


class AlertCounts(Message, frozen=True):
    """``GetAlertsCountsResponse``."""

    groups: list[CountGroup]


class AlertEvent(Message, frozen=True):
    """An alert came (``CREATED``) or went (``REMOVED``); milliseconds since 1970, as text."""

    time: str
    type: str
    id: str


class SeverityEvents(Message, frozen=True):
    """What happened to alerts of a severity, in order."""

    severity: str
    events: list[AlertEvent]


class ClusterEvents(Message, frozen=True):
    """A cluster's alerts."""

    cluster: str
    severities: list[SeverityEvents]


class AlertSeries(Message, frozen=True):
    """``GetAlertTimeseriesResponse``."""

    clusters: list[ClusterEvents]


class ResolveOne(Message, frozen=True, kw_only=True):
    """``ResolveAlertRequest``. ``whitelist`` is the older name of ``addToBaseline``."""

    id: str = ""
    whitelist: bool = False
    add_to_baseline: bool = False


class ResolveMany(Message, frozen=True, kw_only=True):
    """``ResolveAlertsRequest``."""

    query: str = ""


class DeletedAlerts(Message, frozen=True):
    """``DeleteAlertsResponse``."""

    num_deleted: int
    dry_run: bool


class AlertController(Controller):
    """Alerts."""

    path = "/v1"
    tags = ("Alerts",)

    @get("/alerts", opt=_READ, summary="Alerts")
    async def all(
        self,
        request: Call,
        services: Given,
        search: Query = "",
        limit: Limit = 0,
        offset: Offset = 0,
        sort: SortField = "",
        reverse: Reversed = False,
    ) -> AlertList:
        """The newest first, unless sorted otherwise. What is resolved is left out unless ``Violation State`` asks for it."""
        chosen = await _wanted(request, services, search)
        found = await AlertStore(services.pool).find(
            chosen, limit=limit or _PAGE, offset=offset, sort=sort, descending=reverse
        )
        return AlertList([_listed(each) for each in found])

    @get("/alerts/{id:str}", opt=_READ, summary="An alert, with its violations")
    async def one(self, request: Call, services: Given, id: FromPath[str]) -> Alert:  # noqa: A002
        """By its identifier."""
        return await _one(request, services, id)

    @get("/alertscount", opt=_READ, summary="How many alerts there are")
    async def count(self, request: Call, services: Given, search: Query = "") -> AlertCount:
        """``query`` as for ``/v1/alerts``."""
        return AlertCount(await AlertStore(services.pool).count(await _wanted(request, services, search)))

    @get("/alerts/summary/groups", opt=_READ, summary="How many alerts there are, by policy")
    async def groups(self, request: Call, services: Given, search: Query = "") -> AlertGroups:
        """The most severe policies first."""
        found = await AlertStore(services.pool).groups(await _wanted(request, services, search))
        return AlertGroups(
            [
                PolicyAlerts(_policy(msgspec.json.decode(each.policy_record, type=Policy)), str(each.number))
                for each in found
            ]
        )

    @get("/alerts/summary/counts", opt=_READ, summary="How many alerts there are, by severity")
    async def counts(
        self,
        request: Call,
        services: Given,
        search: RequestQuery = "",
        group_by: Annotated[str, QueryParameter(name="groupBy")] = "UNSET",
    ) -> AlertCounts:
        """``groupBy`` is ``CATEGORY``, ``CLUSTER`` or ``UNSET``: all together."""
        if group_by not in ("CATEGORY", "CLUSTER", "UNSET"):
            raise InvalidArgument("groupBy is one of CATEGORY, CLUSTER, UNSET")
        groups: dict[str, list[SeverityCount]] = defaultdict(list)
        for each in await AlertStore(services.pool).counts(
            await _wanted(request, services, search), group_by
        ):
            groups[each.name].append(SeverityCount(SEVERITIES[each.severity], str(each.number)))
        return AlertCounts([CountGroup(name, counts) for name, counts in groups.items()])

    @get("/alerts/summary/timeseries", opt=_READ, summary="When alerts came and went")
    async def series(self, request: Call, services: Given, search: Query = "") -> AlertSeries:
        """By cluster and severity; what is resolved is among them."""
        chosen = await _wanted(request, services, search)
        return _series(await AlertStore(services.pool).moments(chosen, _MOMENTS))

    @patch("/alerts/{id:str}/resolve", opt=_WRITE, summary="An alert is over")
    async def resolve(
        self,
        request: Call,
        services: Given,
        id: FromPath[str],  # noqa: A002
        data: JSONBody[ResolveOne | None] = None,
    ) -> Empty:
        """With ``addToBaseline`` its processes are known from now on, and break nothing again."""
        asked = data or ResolveOne()
        checks.same(id, asked.id)
        found = await _one(request, services, id, Access.READ_WRITE)
        if asked.add_to_baseline or asked.whitelist:
            await _add_to_baseline(request, services, found)
        # A cluster chose the identifier: it is a value, and never a part of a query.
        only = Asked("Alert ID", (Term(found.id, quoted=True),))
        within = await reach(services.pool, request.user, Resource.ALERT, Access.READ_WRITE)
        await AlertStore(services.pool).resolve(Wanted((only,), within))
        return Empty()

    @patch("/alerts/resolve", opt=_WRITE, summary="Alerts are over")
    async def resolve_many(self, request: Call, services: Given, data: JSONBody[ResolveMany]) -> Empty:
        """All that the query finds; an empty one finds none."""
        if not data.query.strip():
            raise InvalidArgument("query is missing: which alerts are over?")
        await AlertStore(services.pool).resolve(
            await _wanted(request, services, data.query, Access.READ_WRITE)
        )
        return Empty()

    @delete("/alerts", opt=_WRITE, status_code=200, summary="Forget alerts that are over")
    async def remove(
        self,
        request: Call,
        services: Given,
        search: Annotated[str, QueryParameter(name="query.query")] = "",
        confirm: FromQuery[bool] = False,
    ) -> DeletedAlerts:
        """The query has to say ``Violation State:RESOLVED``. Without ``confirm`` they are only counted."""
        chosen = await _wanted(request, services, search, Access.READ_WRITE)
        states = [each for each in chosen.asked if each.field.lower() == "violation state"]
        terms = [term for each in states for term in each.terms]
        if not terms or any(term.negated or term.text.upper() != "RESOLVED" for term in terms):
            raise InvalidArgument(
                "only what is over can be deleted: the query has to say Violation State:RESOLVED"
            )
        store = AlertStore(services.pool)
        number = await (store.delete(chosen) if confirm else store.count(chosen))
        return DeletedAlerts(number, dry_run=not confirm)


async def _wanted(request: Call, services: Given, search: str, access: Access = Access.READ) -> Wanted:
    return wanted(search, await reach(services.pool, request.user, Resource.ALERT, access))


async def _one(request: Call, services: Given, identifier: str, access: Access = Access.READ) -> Alert:
    checks.text(identifier, "the identifier", 100)
    within = await reach(services.pool, request.user, Resource.ALERT, access)
    found = await AlertStore(services.pool).get(identifier, within)
    if found is None:
        raise NotFound(f"there is no alert {identifier}")
    return found


async def _add_to_baseline(request: Call, services: Given, alert: Alert) -> None:
    """The alert's processes are known from now on. It takes the right to change baselines."""
    within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION, Access.READ_WRITE)
    process = alert.process_violation
    paths: dict[str, set[str]] = defaultdict(set)
    for each in () if process is None else process.processes:
        if each.signal is not None and (path := each.signal.exec_file_path or each.signal.name):
            paths[each.container_name].add(path_of(path))
    if not paths or alert.deployment is None:
        raise InvalidArgument("this alert is about no processes that could be added to a baseline")
    for container, several in paths.items():
        key = BaselineKey(
            deployment_id=alert.deployment.id,
            container_name=text(container, MOST_NAME),
            cluster_id=alert.cluster_id,
            namespace=alert.namespace,
        )
        _, failed = await baselines_of(services).change([key], sorted(several), (), within)
        if failed:
            raise FailedPrecondition(f"the baseline of container {container[:100]!r}: {failed[0].error}")


def _policy(policy: Policy) -> ListAlertPolicy:
    return ListAlertPolicy(
        id=policy.id,
        name=policy.name,
        severity=policy.severity,
        description=policy.description,
        categories=policy.categories,
        developer_internal_fields=DeveloperFields(sort_name=policy.sort_name or policy.name),
    )


def _listed(row: Listed) -> ListAlert:
    deployment = None
    if row.entity_type == "DEPLOYMENT":
        deployment = ListAlertDeployment(
            id=row.deployment,
            name=row.entity_name,
            cluster_name=row.cluster_name,
            namespace=row.namespace,
            cluster_id=str(row.cluster),
            inactive=row.inactive,
            namespace_id=row.namespace_id,
            deployment_type=row.deployment_type,
        )
    named = NamedEntity(name=row.entity_name)
    return ListAlert(
        id=row.id,
        lifecycle_stage=row.stage,
        time=row.occurred,
        first_occurred=row.first_occurred,
        policy=_policy(msgspec.json.decode(row.policy_record, type=Policy)),
        state=row.state,
        enforcement_count=row.enforced,
        enforcement_action=row.enforcement or "UNSET_ENFORCEMENT",
        common_entity_info=CommonEntityInfo(
            cluster_name=row.cluster_name,
            namespace=row.namespace,
            cluster_id=str(row.cluster),
            namespace_id=row.namespace_id,
            resource_type=row.resource_type or row.entity_type,
        ),
        deployment=deployment,
        resource=named if row.entity_type == "RESOURCE" else None,
        node=named if row.entity_type == "NODE" else None,
        platform_component=row.platform,
        entity_type=row.entity_type,
    )


def _series(moments: list[Moment]) -> AlertSeries:
    found: dict[str, dict[int, list[tuple[int, str, str]]]] = defaultdict(lambda: defaultdict(list))
    for each in moments:
        events = found[each.cluster_name][each.severity]
        events.append((_milliseconds(each.first_occurred), "CREATED", each.id))
        if each.resolved is not None:
            events.append((_milliseconds(each.resolved), "REMOVED", each.id))
    return AlertSeries(
        [
            ClusterEvents(
                cluster,
                [
                    SeverityEvents(
                        SEVERITIES[severity],
                        [
                            AlertEvent(str(time), kind, identifier)
                            for time, kind, identifier in sorted(events)
                        ],
                    )
                    for severity, events in sorted(severities.items())
                ],
            )
            for cluster, severities in sorted(found.items())
        ]
    )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
