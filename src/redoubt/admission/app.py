"""What the API server calls: ``/validate``, ``/events`` and ``/ready``, over HTTPS. It must not know what is decided.

Whatever is sent, the answer says what became of it: a review that can be answered is, and what cannot be is a failure
of the webhook with a reason, for which the API server has its ``failurePolicy``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Protocol

import structlog

from redoubt.admission import reviews
from redoubt.admission.reviews import Answer, Asked, EventRequest, Request, Unusable
from redoubt.admission.rules import Rules
from redoubt.errors import RedoubtError

#: Bytes of a review. The API server takes no object of more than 3 MB; a review has two, written in another way.
LARGEST = 32 << 20
#: Of the time that the API server gives, the part that is kept for the way, and at least so many seconds.
_MARGIN, _LEAST = 0.1, 0.25
_TIMEOUT = re.compile(rb"(?:^|&)timeout=(?:(\d{1,4})m)?(?:(\d{1,5}(?:\.\d{1,9})?)(ms|s))?(?:&|$)")
#: The API server asks with the same query each time.
_SHORT = 64
_JSON, _TEXT = b"application/json", b"text/plain; charset=utf-8"
_log = structlog.get_logger("admission")

AskedOfWorkloads = Callable[[Asked, Rules, float], Awaitable[Answer]]
AskedOfEvents = Callable[[EventRequest, Rules, float], Awaitable[Answer]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Failing(Protocol):
    """Who answers what cannot be judged."""

    def failed(self, request: Request, rules: Rules, why: str) -> Answer:
        """See ``Judge``."""


class App:
    """The ASGI application. ``rules`` is what is decided by; None before any settings came."""

    def __init__(self, workload: AskedOfWorkloads, event: AskedOfEvents, failing: Failing) -> None:
        self.rules: Rules | None = None
        self._asked: dict[
            str, tuple[Callable[[bytes | bytearray], Any], Callable[..., Awaitable[Answer]]]
        ] = {
            "/validate": (reviews.look, workload),
            "/events": (reviews.read_event, event),
        }
        self._failing = failing

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        asked = self._asked.get(path)
        if asked is not None and scope["method"] == "POST":
            await self._review(scope, receive, send)
        elif asked is not None:
            await _answer(send, 405, b"only POST\n", _TEXT)
        elif path == "/ready":
            ready = self.rules is not None
            await _answer(send, 200 if ready else 503, b"ok\n" if ready else b"no settings yet\n", _TEXT)
        else:
            await _answer(send, 404, b"see /validate, /events and /ready\n", _TEXT)

    async def _review(self, scope: Any, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if body is None:
            await _answer(send, 413, b"the review is too large\n", _TEXT)
            return
        rules = self.rules
        if rules is None:
            await _answer(
                send, 503, b"Redoubt has no settings yet: the Sensor has to say what counts\n", _TEXT
            )
            return
        try:
            within = _within(scope["query_string"], rules.timeout)
            uid, answer = await self._judged(body, rules, within, *self._asked[scope["path"]])
        except Unusable as error:
            await _answer(send, 400, f"{error}\n".encode(errors="replace"), _TEXT)
            return
        await _answer(send, 200, reviews.written(uid, answer), _JSON)

    async def _judged(
        self,
        body: bytes | bytearray,
        rules: Rules,
        within: float,
        read: Callable[[bytes | bytearray], Any],
        asked: Callable[..., Awaitable[Answer]],
    ) -> tuple[str, Answer]:
        """Raises ``Unusable`` for what has no uid: it cannot be answered."""
        try:
            given = read(body)
        except Unusable as error:
            if not error.uid:
                raise
            request = Request(uid=error.uid, operation="")
            return error.uid, self._failing.failed(request, rules, str(error))
        request = given.request if isinstance(given, Asked) else given
        try:
            return request.uid, await asked(given, rules, within)
        except RedoubtError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, the API server is told, and the setting counts
            _log.exception("a review failed", kind=type(error).__name__)
            why = f"a fault of Redoubt's ({type(error).__name__}); see its log"
        return request.uid, self._failing.failed(request, rules, why)


async def _body(receive: Receive) -> bytes | bytearray | None:
    """The whole of it; None where it is too much."""
    message = await receive()
    body: bytes | bytearray = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        if isinstance(body, bytes):
            body = bytearray(body)
        body += message.get("body", b"")
        if len(body) > LARGEST:
            return None
    return body


def _within(query: bytes, most: float) -> float:
    """How many seconds there are: as it is set, or as the API server will wait."""
    return _usual(query, most) if len(query) <= _SHORT else _seconds(query, most)


def _seconds(query: bytes, most: float) -> float:
    found = _TIMEOUT.search(query)
    if found is None or not (found[1] or found[2]):
        return most
    given = 60.0 * int(found[1] or 0) + float(found[2] or 0) * (0.001 if found[3] == b"ms" else 1)
    return max(_LEAST, min(most, given * (1 - _MARGIN) - _LEAST))


_usual = lru_cache(maxsize=64)(_seconds)


async def _answer(send: Send, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
