"""The API server's audit log → policies' events: requests to secrets, config maps, roles and the like. Pure but for its clock.

An event is one of ``audit.k8s.io/v1``, as JSON: a line of the log file, or an item of what the webhook is sent. It may come
several times, and from both.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
import structlog

from redoubt.model.happening import API_VERBS, EventObject, EventUser, KubernetesEvent
from redoubt.policies.alerts import Alert
from redoubt.sensor.runtime.alerting import audited
from redoubt.sensor.runtime.indicators import Seen
from redoubt.sensor.runtime.surroundings import Judging

#: What is looked at, by Kubernetes' names; with its group, as others may call theirs the same.
_RESOURCES = {
    ("", "secrets"): "SECRETS",
    ("", "configmaps"): "CONFIGMAPS",
    ("rbac.authorization.k8s.io", "clusterroles"): "CLUSTER_ROLES",
    ("rbac.authorization.k8s.io", "clusterrolebindings"): "CLUSTER_ROLE_BINDINGS",
    ("networking.k8s.io", "networkpolicies"): "NETWORK_POLICIES",
    ("security.openshift.io", "securitycontextconstraints"): "SECURITY_CONTEXT_CONSTRAINTS",
    ("k8s.ovn.org", "egressfirewalls"): "EGRESS_FIREWALLS",
}
_VERBS = {verb.lower(): verb for verb in API_VERBS} | {"deletecollection": "DELETE"}
#: A request is told several times while it goes on; these are its end.
_STAGES = ("ResponseComplete", "Panic")
#: Events whose identifiers are remembered.
_MOST = 1 << 14
_LONGEST = 1024
_GROUPS = 100


class _Object(msgspec.Struct, rename="camel"):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    api_group: str = ""
    subresource: str = ""


class _User(msgspec.Struct, rename="camel"):
    username: str = ""
    groups: list[str] = []


class _Event(msgspec.Struct):
    stage: str = ""
    verb: str = ""
    audit_id: str = msgspec.field(default="", name="auditID")
    object: _Object | None = msgspec.field(default=None, name="objectRef")
    user: _User = msgspec.field(default_factory=_User)
    impersonated: _User | None = msgspec.field(default=None, name="impersonatedUser")
    sources: list[str] = msgspec.field(default_factory=list, name="sourceIPs")
    agent: str = msgspec.field(default="", name="userAgent")
    time: str = msgspec.field(default="", name="stageTimestamp")


class _List(msgspec.Struct):
    items: list[msgspec.Raw] = []


_log = structlog.get_logger("sensor.runtime")
_event = msgspec.json.Decoder(_Event).decode
_list = msgspec.json.Decoder(_List).decode


class Unreadable(ValueError):
    """It is no event."""


class Heard(msgspec.Struct):
    """Alerts of events, how many events could not be read, and the identifiers of those that were not seen before."""

    alerts: list[Alert] = []
    spoilt: int = 0
    fresh: list[str] = []


class Auditing:
    """``enabled``: events are looked at. ``spoilt``: how many could not be read."""

    def __init__(self, judging: Judging) -> None:
        self._judging = judging
        self._seen = Seen(_MOST)
        self.enabled = True
        self.taken = self.spoilt = 0

    def take(self, events: Iterable[bytes | msgspec.Raw]) -> Heard:
        """What policies say of events."""
        alerts: list[Alert] = []
        fresh: list[str] = []
        spoilt = 0
        if not self.enabled:
            return Heard()
        for each in events:
            try:
                event = read(each, self._judging.cluster[0])
            except Unreadable:
                spoilt += 1
                continue
            self.taken += 1
            if event is None or (event.id and self._seen.again(event.id)):
                continue
            fresh.append(event.id)
            try:
                alerts += self._judged(event)
            except Exception as error:  # noqa: BLE001 (one odd event must not keep all after it, nor come for ever)
                _log.error("an audit event could not be judged", error=type(error).__name__)
                spoilt += 1
        self.spoilt += spoilt
        return Heard(alerts, spoilt, fresh)

    def forget(self, heard: Heard) -> None:
        """Nobody could be told: when these come again they are new."""
        for each in heard.fresh:
            self._seen.forget(each)

    def _judged(self, event: KubernetesEvent) -> list[Alert]:
        now = datetime.now(UTC)
        about = event.object
        around = self._judging.in_namespace(about.namespace if about else "")
        verdict = self._judging.policies.audit(event, now, around)
        return [audited(broken, event, self._judging.cluster, now) for broken in verdict.broken]


def items(body: bytes) -> list[msgspec.Raw]:
    """The events of what the webhook is sent, an ``EventList``. Raises ``Unreadable``."""
    try:
        return _list(body).items
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unreadable from None


def read(data: bytes | msgspec.Raw, cluster: str) -> KubernetesEvent | None:
    """One event; None for what no policy looks at. Raises ``Unreadable``."""
    try:
        given = _event(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unreadable from None
    about = given.object
    if about is None or about.subresource or given.stage not in _STAGES:
        return None
    resource, verb = _RESOURCES.get((about.api_group, about.resource)), _VERBS.get(given.verb)
    if resource is None or verb is None:
        return None
    return KubernetesEvent(
        id=given.audit_id[:_LONGEST],
        object=EventObject(
            name=about.name[:_LONGEST],
            resource=resource,
            cluster_id=cluster,
            namespace=about.namespace[:_LONGEST],
        ),
        timestamp=_moment(given.time),
        api_verb=verb,
        user=_user(given.user),
        impersonated_user=_user(given.impersonated) if given.impersonated else None,
        source_ips=tuple(each[:_LONGEST] for each in given.sources[:_GROUPS]),
        user_agent=given.agent[:_LONGEST],
    )


def _user(given: _User) -> EventUser:
    return EventUser(
        username=given.username[:_LONGEST],
        groups=tuple(each[:_LONGEST] for each in given.groups[:_GROUPS]),
    )


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
