"""``/authorize-roxctl``: the page to which ``roxctl central login`` sends a browser, and what that page asks.

A person logs in with user name and password, and the browser goes back to the roxctl that waits on the person's own machine,
with a token that is good for some hours. The page is ``authorize.html``, ``.css`` and ``.js`` beside this module; it needs
nothing from elsewhere, and the address to go back to never reaches Central before the person agreed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import JSONBody

from redoubt.central.api.given import Call, Given
from redoubt.central.api.page import asset
from redoubt.central.auth import callback
from redoubt.central.auth.caller import Kind
from redoubt.central.auth.declare import anonymous, authenticated
from redoubt.central.refusals import PermissionDenied

PATH = "/authorize-roxctl"
#: Of the tokens: how they are called in the list of all tokens.
NAME = "roxctl central login"

#: Stricter than what all pages have: no pictures but an empty icon, no fonts, and no form that goes anywhere.
_POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
}


class RoxctlLogin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the browser shall be sent: ``http://127.0.0.1:PORT/callback…``."""

    callback: str


class RoxctlLoggedIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``location`` is the callback with the token in it."""

    location: str
    expires_at: datetime


class AuthorizeController(Controller):
    """The page."""

    path = PATH
    include_in_schema = False
    opt = anonymous()

    @get()
    async def page(self) -> Response[bytes]:
        """For everybody: it shows nothing of this Central."""
        return Response(asset("authorize.html"), media_type="text/html; charset=utf-8", headers=_POLICY)

    @get("/page.css")
    async def style(self) -> Response[bytes]:
        """The page's style."""
        return Response(asset("authorize.css"), media_type="text/css; charset=utf-8", headers=_POLICY)

    @get("/page.js")
    async def script(self) -> Response[bytes]:
        """The page's program."""
        return Response(asset("authorize.js"), media_type="text/javascript; charset=utf-8", headers=_POLICY)


class RoxctlLoginController(Controller):
    """What the page asks."""

    path = "/v1/login/roxctl"
    tags = ("Authentication",)

    @post(
        opt=authenticated(), status_code=200, summary="A token for a roxctl that waits on one's own machine"
    )
    async def log_in(self, request: Call, services: Given, data: JSONBody[RoxctlLogin]) -> RoxctlLoggedIn:
        """For who shows a password; a token makes no other one here. It is listed, and can be revoked, as all tokens."""
        if request.user.kind is not Kind.USER:
            raise PermissionDenied("only who logs in with a password can log roxctl in")
        callback.checked(data.callback)
        lasts = timedelta(seconds=services.settings.login_token_seconds)
        roles = [role.role.name for role in request.user.roles]
        text, token = await services.auth.tokens.issue(request.user, NAME, roles, datetime.now(UTC) + lasts)
        return RoxctlLoggedIn(
            location=callback.answered(data.callback, text, token.expiration), expires_at=token.expiration
        )
