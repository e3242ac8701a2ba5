"""``/api/docs/swagger``: the API as a page for people and as OpenAPI for programs. Needs nothing from elsewhere.

The page is ``page.html``, ``page.css`` and ``page.js`` beside this module; what it shows it reads from ``openapi.json``.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import msgspec
from litestar import Controller, Request, Response, get

from redoubt.central.auth.declare import anonymous


@cache
def asset(name: str) -> bytes:
    """A file beside this module."""
    return resources.files("redoubt.central.api").joinpath(name).read_bytes()


class PageController(Controller):
    """The code is public, so its description is."""

    path = "/api/docs"
    include_in_schema = False
    opt = anonymous()

    @get(["/swagger", "/v2/swagger"])
    async def swagger(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """A page where HTML is asked for, else the OpenAPI document."""
        if "text/html" in request.headers.get("accept", ""):
            return Response(asset("page.html"), media_type="text/html; charset=utf-8")
        body = msgspec.json.encode(request.app.openapi_schema.to_schema())
        return Response(body, media_type="application/json")

    @get("/page.css")
    async def style(self) -> Response[bytes]:
        """The page's style."""
        return Response(asset("page.css"), media_type="text/css; charset=utf-8")

    @get("/page.js")
    async def script(self) -> Response[bytes]:
        """The page's program."""
        return Response(asset("page.js"), media_type="text/javascript; charset=utf-8")
