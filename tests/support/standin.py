"""A stand-in for Central: it speaks the contract of the REST paths that roxctl uses, over real TLS, and knows nothing.

For what a test does not need the real one for: how roxctl behaves when Central refuses, stalls, lies or is something
else. What the real Central answers is tested against the real one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

from support.tls import Authority
from support.web import Answer, Asked, Web

TOKEN = "a-token-of-the-test"
PASSWORD = "a password of the test"

Route = Answer | Callable[[Asked], Answer]


def refusal(status: int, message: str, code: int = 0) -> Answer:
    """An error in grpc-gateway's form."""
    body = {"code": code, "message": message, "error": message, "details": []}
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def answer(value: object, status: int = 200) -> Answer:
    """A JSON answer."""
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


class StandIn(Web):
    """``routes``: ``"GET /v1/metadata"`` → an answer, or what makes one. Everything but ``open`` wants credentials."""

    open = ("/v1/metadata", "/v1/ping", "/v1/login/authproviders")

    def __init__(self, folder: Path, *hosts: str) -> None:
        self.authority = Authority(folder)
        self.routes: dict[str, Route] = {
            "GET /v1/auth/status": answer({"userId": "api-token:1", "userInfo": {"friendlyName": "pipeline"}})
        }
        super().__init__(self._answer, self.authority.context(*(hosts or ("localhost", "127.0.0.1"))))
        self.endpoint = self.host.replace("127.0.0.1", "localhost")

    def bodies(self, method: str, path: str) -> list[bytes]:
        """What was sent to a path, without its query."""
        return [one.body for one in self.asked if one.method == method and one.path.partition("?")[0] == path]

    def _answer(self, asked: Asked) -> Answer:
        path = asked.path.partition("?")[0]
        given = asked.headers.get("authorization", "")
        basic = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        if path not in self.open and given not in (f"Bearer {TOKEN}", f"Basic {basic}"):
            return refusal(401, "credentials not found" if not given else "invalid credentials", 16)
        route = self.routes.get(f"{asked.method} {path}")
        if route is None:
            return refusal(404, f"no route {path}", 5)
        return route(asked) if callable(route) else route
