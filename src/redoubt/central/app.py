"""The HTTP application: routes, who is let in, how failures are answered. Nothing is listened on here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from litestar import Litestar, Request, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp, ControllerRouterHandler, Receive, Scope, Send

import redoubt
from redoubt.central import api
from redoubt.central.api import paging
from redoubt.central.api.errors import HANDLERS
from redoubt.central.auth import sources
from redoubt.central.auth.authenticate import Authenticator
from redoubt.central.auth.declare import anonymous, conditions_of, guard
from redoubt.central.frame import Frame
from redoubt.central.services import Services
from redoubt.egress import refusals as egress_refusals

#: The largest body that a route reads; one that takes more says so and streams it.
BODY_LIMIT = 1_000_000


class Undeclared(Exception):
    """A route does not say who may call it. The programmer's fault, so nobody is served."""


def create(services: Services, routes: Sequence[ControllerRouterHandler] | None = None) -> Litestar:
    """The application. ``routes`` are for tests. Its start and end are those of ``services``.

    Raises ``Undeclared`` where a route does not say who may call it.
    """
    app = Litestar(
        route_handlers=list(api.ALL if routes is None else routes),
        dependencies={
            "services": Provide(lambda: services, sync_to_thread=False),
            "page": Provide(paging.page, sync_to_thread=False),
        },
        middleware=[
            _Authentication(services.auth.authenticator, sources.networks(services.settings.trusted_proxies))
        ],
        guards=[guard],
        exception_handlers=HANDLERS,
        openapi_config=_openapi(),
        request_max_body_size=BODY_LIMIT,
        logging_config=None,
        on_startup=[services.start],
        on_shutdown=[services.stop],
        signature_namespace={"Request": Request},
    )
    _declared(app)
    app.asgi_handler = cast(
        ASGIApp, Frame(app.asgi_handler, [services.metrics, services.auth.audit, *services.hooks])
    )
    return app


class _Authentication(ASGIMiddleware):
    """Puts the caller into ``scope["user"]``, or refuses."""

    def __init__(self, auth: Authenticator, trusted: tuple[sources.Network, ...]) -> None:
        self._auth = auth
        self._trusted = trusted

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)
        client = scope.get("client")
        source = sources.source(
            client[0] if client else "", connection.headers.getall("x-forwarded-for", []), self._trusted
        )
        scope["state"]["source"] = source
        peer = scope["state"].get("peer")
        user = await self._auth.caller(connection.headers.get("authorization", ""), peer, source)
        scope["user"], scope["auth"] = user, None
        with egress_refusals.asking(user.label):
            await next_app(scope, receive, send)


def _declared(app: Litestar) -> None:
    missing = sorted(
        f"{'/'.join(sorted(handler.http_methods))} {route.path}"
        for route in app.routes
        for handler in getattr(route, "route_handlers", [getattr(route, "route_handler", None)])
        if not _automatic(handler) and not conditions_of(handler.opt)
    )
    if missing:
        raise Undeclared("routes without a declaration of who may call them: " + ", ".join(missing))


def _automatic(handler: object) -> bool:
    """Litestar's own answer to OPTIONS, which tells the methods of a path; the guard refuses it."""
    return isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"OPTIONS"}


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Redoubt Central",
        version=redoubt.__version__,
        description="Paths and fields are those of StackRox, where it has them.",
        security=[{"token": []}, {"password": []}],
        components=Components(
            security_schemes={
                "token": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT"),
                "password": SecurityScheme(type="http", scheme="basic"),
            }
        ),
        openapi_router=Router("/api/docs", route_handlers=[], opt=anonymous(), include_in_schema=False),
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
    )
