"""``/v1/sensorupgrades``: a cluster's certificates made anew now. Sensors are not upgraded by Central, and it says so."""

from __future__ import annotations

from uuid import UUID

import msgspec
from litestar import Controller, get, post
from litestar.params import FromPath

from redoubt.central.api.given import Empty, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.refusals import NotFound, Unavailable
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

#: Seconds in which the Sensor makes them and puts them where services find them.
_PATIENCE = 60.0


class UpgradeConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether Central upgrades Sensors."""

    enable_auto_upgrade: bool = False
    auto_upgrade_feature: str = "NOT_SUPPORTED"


class UpgradeConfigAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The same."""

    config: UpgradeConfig


class SensorUpgradeController(Controller):
    """``SensorUpgradeService`` of the original, as far as there is anything to do."""

    path = "/v1/sensorupgrades"
    tags = ("Clusters",)

    @get(
        "/config", opt=allow(Resource.ADMINISTRATION, Access.READ), summary="Whether Central upgrades Sensors"
    )
    async def config(self) -> UpgradeConfigAnswer:
        """It does not: whoever installed them does."""
        return UpgradeConfigAnswer(config=UpgradeConfig())

    @post(
        "/rotateclustercerts/{id:uuid}",
        opt=allow(Resource.CLUSTER, Access.READ_WRITE),
        status_code=200,
        summary="Make the certificates of a cluster's services anew, now",
    )
    async def rotate(self, services: Given, id: FromPath[UUID]) -> Empty:  # noqa: A002
        """Answered when they are where the cluster's services find them. Its Sensor has to be connected."""
        if services.hub is None:
            raise Unavailable("this Central looks after no clusters")
        if not await services.hub.exists(id):
            raise NotFound(f"there is no cluster {id}")
        await services.hub.pusher.request(id, pb.Request(renew_certificates=True), patience=_PATIENCE)
        return Empty()
