"""``/v1/ping``: that Central answers. ``/health/…``: the same for Kubernetes, and whether it can do its work."""

from __future__ import annotations

import time

import msgspec
from litestar import Controller, get

from redoubt.central.api.given import Given
from redoubt.central.auth.declare import anonymous
from redoubt.central.mishaps import away
from redoubt.central.refusals import Unavailable

#: Strangers may ask, so the database is asked this often at most (seconds).
_EVERY = 1.0


class Pong(msgspec.Struct, frozen=True, rename="camel"):
    """What a ping is answered with."""

    status: str = "ok"


class PingController(Controller):
    """Anybody may ask."""

    path = "/"
    tags = ("Ping",)
    _asked = -_EVERY
    _there = False

    @get("/v1/ping", opt=anonymous(), summary="Whether Central answers")
    async def ping(self) -> Pong:
        """Always ``ok``; the database is not touched."""
        return Pong()

    @get("/health/liveness", opt=anonymous(), summary="Whether Central answers, for Kubernetes")
    async def liveness(self) -> Pong:
        """As ``/v1/ping``."""
        return Pong()

    @get("/health/readiness", opt=anonymous(), summary="Whether Central can work, for Kubernetes")
    async def readiness(self, services: Given) -> Pong:
        """503 while the database is away."""
        if time.monotonic() - self._asked >= _EVERY:
            self._asked = time.monotonic()
            try:
                self._there = bool(await services.pool.fetchval("SELECT true", timeout=5))
            except Exception as error:
                if not away(error):
                    raise
                self._there = False
        if not self._there:
            raise Unavailable("the database cannot be reached")
        return Pong()
