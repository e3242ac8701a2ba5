"""What surrounds every HTTP request, also those that match no route: a number, headers, refusal of what other sites'
pages send, and word to whoever wants to know how it ended.

It knows nothing of routes, roles or the database.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from redoubt.central.refusals import Code

MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})

#: On every answer. What an answer has of its own stays.
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"strict-transport-security", b"max-age=31536000"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        b" font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"cache-control", b"no-store"),
)


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A request at the moment its answer begins, or when it ended without one (status 499). Seconds."""

    scope: HTTPScope
    status: int
    seconds: float


Hook = Callable[[Ended], Awaitable[None]]


class Frame:
    """An ASGI application around another. Hooks are waited for before the answer's first byte."""

    def __init__(self, app: ASGIApp, hooks: Sequence[Hook] = ()) -> None:
        self._app = app
        self._hooks = tuple(hooks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        number = secrets.token_hex(8)
        scope["state"] = {**scope.get("state", {}), "request_id": number}
        answered = False

        async def framed(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start" and not answered:
                answered = True
                await self._ended(scope, message["status"], began)
                given = list(message.get("headers", ()))
                named = {name.lower() for name, _ in given}
                given += [(name, value) for name, value in HEADERS if name not in named]
                message["headers"] = [*given, (b"x-request-id", number.encode())]
            await send(message)

        try:
            if scope["method"] in MUTATING and foreign(scope):
                await _refuse(framed)
            else:
                await self._app(scope, receive, framed)
        finally:
            if not answered:
                await self._ended(scope, 499, began)

    async def _ended(self, scope: HTTPScope, status: int, began: float) -> None:
        ended = Ended(scope=scope, status=status, seconds=time.perf_counter() - began)
        for hook in self._hooks:
            await hook(ended)


def foreign(scope: HTTPScope) -> bool:
    """Whether a browser sends it from a page of another site (Fetch Metadata; else ``Origin`` against ``Host``)."""
    headers = dict(scope["headers"])
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin = headers.get(b"origin")
    return origin is not None and origin.partition(b"://")[2] != headers.get(b"host")


async def _refuse(send: Send) -> None:
    message = "a page of another site may not change anything here"
    body = msgspec.json.encode(
        {"code": Code.PERMISSION_DENIED, "message": message, "error": message, "details": []}
    )
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
