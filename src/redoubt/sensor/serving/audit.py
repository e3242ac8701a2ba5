"""The API server's audit webhook: an ASGI application that takes ``POST /audit``, and nothing else.

The API server proves who it is with a bearer token: the one that is in the kubeconfig of its ``--audit-webhook-config-file``.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from redoubt.errors import RedoubtError
from redoubt.sensor.runtime.audit import Auditing, Unreadable, items
from redoubt.sensor.runtime.surroundings import Outgoing
from redoubt.sensor.serving.nodes import audit

PATH = "/audit"
#: Bytes of a batch: the API server sends at most 10 MB, unless it is told otherwise.
_LARGEST = 16 << 20

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class AuditWebhook:
    """``token``: what callers have to know; where it is empty nobody is served. ``other``: takes all other requests."""

    def __init__(
        self,
        auditing: Auditing,
        outgoing: Outgoing,
        token: str,
        other: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None,
    ) -> None:
        self._auditing = auditing
        self._outgoing = outgoing
        self._token = token.encode()
        self._other = other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if self._other is not None and (scope["type"] != "http" or scope["path"] != PATH):
            await self._other(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await _answer(send, *await self._answered(scope, receive))

    async def _answered(self, scope: Scope, receive: Receive) -> tuple[int, str]:
        if scope["path"] != PATH or not self._token:
            return 404, "nothing is here"
        if scope["method"] != "POST":
            return 405, "events are posted"
        said = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(said, b"Bearer " + self._token):
            return 401, "another token is needed"
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return 400, "the request broke off"
            body += message.get("body", b"")
            if len(body) > _LARGEST:
                return 413, f"more than {_LARGEST} bytes"
            more = message.get("more_body", False)
        try:
            await audit(self._auditing, self._outgoing, items(bytes(body)))
        except Unreadable:
            return 400, "no EventList of audit.k8s.io/v1"
        except RedoubtError:
            return 503, "events cannot be kept now"
        return 200, ""


async def _answer(send: Send, status: int, text: str) -> None:
    data = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        asked = (await receive())["type"]
        await send({"type": f"{asked}.complete"})
        if asked == "lifespan.shutdown":
            return
