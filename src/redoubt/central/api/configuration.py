"""``/v1/config``: how long alerts, images, clusters that are gone and events are kept. The original's other settings are not there, and refused."""

from __future__ import annotations

import msgspec
from litestar import Controller, get, put
from litestar.params import JSONBody

from redoubt.central.api import checks
from redoubt.central.api.given import Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.refusals import InvalidArgument
from redoubt.central.store.retention import AlertRetention, ClusterRetention, Retention, RetentionStore

_READ = allow(Resource.ADMINISTRATION, Access.READ)
_WRITE = allow(Resource.ADMINISTRATION, Access.READ_WRITE)
#: Days, at most: a hundred years.
_LONGEST = 36_500


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A message of the original."""


class EventsConfig(_Message, frozen=True, kw_only=True):
    """``AdministrationEventsConfig``."""

    retention_duration_days: int = Retention().event_days


class PrivateConfig(_Message, frozen=True, kw_only=True):
    """``storage.PrivateConfig``, as much of it as counts here."""

    alert_config: AlertRetention = AlertRetention()
    image_retention_duration_days: int = Retention().image_days
    # By a factory: the page of the API looks defaults up by their hash, and labels have none.
    decommissioned_cluster_retention: ClusterRetention = msgspec.field(default_factory=ClusterRetention)
    administration_events_config: EventsConfig = EventsConfig()


class Config(_Message, frozen=True, kw_only=True):
    """``storage.Config``. ``publicConfig`` has nothing in it."""

    public_config: dict[str, str] | None = None
    private_config: PrivateConfig | None = None


class PutConfig(_Message, frozen=True, kw_only=True):
    """``PutConfigRequest``."""

    config: Config


class ConfigController(Controller):
    """Settings that can be changed while Central runs."""

    path = "/v1/config"
    tags = ("Settings",)

    @get("/", opt=_READ, summary="Settings that can be changed")
    async def all(self, services: Given) -> Config:
        """Days that things are kept; 0: for ever."""
        return Config(private_config=await self._private(services))

    @get("/private", opt=_READ, summary="Settings that callers who are known may see")
    async def private(self, services: Given) -> PrivateConfig:
        """Days that things are kept; 0: for ever."""
        return await self._private(services)

    @put("/", opt=_WRITE, summary="Change settings")
    async def change(self, services: Given, data: JSONBody[PutConfig]) -> Config:
        """What is not named gets its default. A setting that is not known here is refused."""
        if data.config.public_config:
            raise InvalidArgument("config.publicConfig: nothing of it is known here")
        given = data.config.private_config or PrivateConfig()
        _checked(given)
        others = Retention(
            image_days=given.image_retention_duration_days,
            event_days=given.administration_events_config.retention_duration_days,
            clusters=given.decommissioned_cluster_retention,
        )
        others = await RetentionStore(services.pool).put(given.alert_config, others)
        return Config(private_config=_private(given.alert_config, others))

    @staticmethod
    async def _private(services: Given) -> PrivateConfig:
        store = RetentionStore(services.pool)
        return _private(await store.get(), await store.others())


def _private(alerts: AlertRetention, others: Retention) -> PrivateConfig:
    return PrivateConfig(
        alert_config=alerts,
        image_retention_duration_days=others.image_days,
        decommissioned_cluster_retention=others.clusters,
        administration_events_config=EventsConfig(retention_duration_days=others.event_days),
    )


def _checked(given: PrivateConfig) -> None:
    """Raises ``InvalidArgument``."""
    numbers = {
        f"alertConfig.{field.encode_name}": getattr(given.alert_config, field.name)
        for field in msgspec.structs.fields(AlertRetention)
    }
    clusters = given.decommissioned_cluster_retention
    numbers["imageRetentionDurationDays"] = given.image_retention_duration_days
    numbers["decommissionedClusterRetention.retentionDurationDays"] = clusters.retention_duration_days
    numbers["administrationEventsConfig.retentionDurationDays"] = (
        given.administration_events_config.retention_duration_days
    )
    for name, days in numbers.items():
        if not 0 <= days <= _LONGEST:
            raise InvalidArgument(f"{name}: days, from 0 to {_LONGEST}")
    if len(clusters.ignore_cluster_labels) > 200:
        raise InvalidArgument("decommissionedClusterRetention.ignoreClusterLabels: at most 200")
    for key, value in clusters.ignore_cluster_labels.items():
        checks.name(key, "a label", 317)
        checks.text(value, "a label's value", 63)
