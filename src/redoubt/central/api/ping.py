"""``/v1/ping``: that Central answers."""

from __future__ import annotations

import msgspec
from litestar import Controller, get

from redoubt.central.auth.declare import anonymous


class Pong(msgspec.Struct, frozen=True, rename="camel"):
    """What a ping is answered with."""

    status: str = "ok"


class PingController(Controller):
    """Anybody may ask; the database is not touched."""

    path = "/v1/ping"
    tags = ("Ping",)

    @get(opt=anonymous(), summary="Whether Central answers")
    async def ping(self) -> Pong:
        """Always ``ok``."""
        return Pong()
