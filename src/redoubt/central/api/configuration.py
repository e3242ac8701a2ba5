"""``/v1/config``: how long alerts are kept. The original's other settings are not there, and refused."""

from __future__ import annotations

import msgspec
from litestar import Controller, get, put
from litestar.params import JSONBody

from redoubt.central.api.given import Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.refusals import InvalidArgument
from redoubt.central.store.retention import AlertRetention, RetentionStore

_READ = allow(Resource.ADMINISTRATION, Access.READ)
_WRITE = allow(Resource.ADMINISTRATION, Access.READ_WRITE)
#: Days, at most: a hundred years.
_LONGEST = 36_500


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A message of the original."""


class PrivateConfig(_Message, frozen=True, kw_only=True):
    """``storage.PrivateConfig``, as much of it as counts here."""

    alert_config: AlertRetention = AlertRetention()


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
        """Days that alerts are kept; 0: for ever."""
        return Config(private_config=await self._private(services))

    @get("/private", opt=_READ, summary="Settings that callers who are known may see")
    async def private(self, services: Given) -> PrivateConfig:
        """Days that alerts are kept; 0: for ever."""
        return await self._private(services)

    @put("/", opt=_WRITE, summary="Change settings")
    async def change(self, services: Given, data: JSONBody[PutConfig]) -> Config:
        """What is not named gets its default. A setting that is not known here is refused."""
        if data.config.public_config:
            raise InvalidArgument("config.publicConfig: nothing of it is known here")
        given = (data.config.private_config or PrivateConfig()).alert_config
        for field in msgspec.structs.fields(AlertRetention):
            if not 0 <= getattr(given, field.name) <= _LONGEST:
                raise InvalidArgument(f"alertConfig.{field.encode_name}: days, from 0 to {_LONGEST}")
        await RetentionStore(services.pool).put(given)
        return Config(private_config=PrivateConfig(alert_config=given))

    @staticmethod
    async def _private(services: Given) -> PrivateConfig:
        return PrivateConfig(alert_config=await RetentionStore(services.pool).get())
