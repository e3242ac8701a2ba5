"""What is sent to the webhooks' port, and what is answered."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from redoubt.admission import app as apps
from redoubt.admission import rules
from redoubt.admission.app import App
from redoubt.admission.reviews import ALLOWED, Answer, Request
from redoubt.admission.rules import Rules
from redoubt.errors import RedoubtError
from support.admission import encoded, review, settings

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shop"}, "spec": {}}


class Served:
    """An application whose judges answer ``answer``, or fail with it."""

    def __init__(
        self, answer: Answer | Exception = ALLOWED, *, ready: bool = True, closed: bool = False
    ) -> None:
        self.answer = answer
        self.within: list[float] = []
        self.why = ""
        self.app = App(self._judge, self._judge, self)
        if ready:
            self.app.rules = rules.read(settings(1, fail_closed=closed))

    async def _judge(self, request: Request, given: Rules, within: float) -> Answer:
        self.within.append(within)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def failed(self, request: Request, given: Rules, why: str) -> Answer:
        self.why = why
        return Answer(allowed=not given.config.fail_closed, message=why)

    def ask(
        self, path: str, *pieces: bytes, method: str = "POST", query: bytes = b"", ends: bool = True
    ) -> tuple[int, bytes]:
        """Status and body."""
        messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": piece, "more_body": at < len(pieces) - 1 or not ends}
            for at, piece in enumerate(pieces or (b"",))
        ]
        messages.append({"type": "http.disconnect"})
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {"type": "http", "path": path, "method": method, "query_string": query}
        asyncio.run(self.app(scope, receive, send))
        return sent[0]["status"], sent[1]["body"]


def test_a_review_in_pieces_is_answered() -> None:
    body = encoded(review(POD))
    status, told = Served().ask("/validate", body[:10], body[10:50], body[50:])
    assert (status, json.loads(told)["response"]["allowed"]) == (200, True)


def test_nothing_is_answered_for_before_settings_came() -> None:
    served = Served(ready=False)
    assert served.ask("/ready", method="GET")[0] == 503
    status, told = served.ask("/validate", encoded(review(POD)))
    assert (status, b"no settings" in told) == (503, True)
    assert Served().ask("/ready", method="GET") == (200, b"ok\n")


def test_what_has_no_uid_is_a_failure_of_the_webhook_with_a_reason() -> None:
    for body in (b"", b"{}", b"\xff", b"[" * 5000, encoded(review(POD))[:300]):
        status, told = Served().ask("/validate", body)
        assert (status, told.startswith(b"no AdmissionReview")) == (400, True)
    status, _ = Served().ask("/validate", encoded(review(POD))[:300], ends=False)
    assert status == 400


@pytest.mark.parametrize("closed", [False, True])
def test_what_has_a_uid_is_answered_as_the_setting_says(closed: bool) -> None:
    mistyped = encoded(review(POD, userInfo=5))
    for served, body in (
        (Served(closed=closed), mistyped),
        (Served(KeyError("hunter2"), closed=closed), encoded(review(POD))),
        (Served(RedoubtError("the reason"), closed=closed), encoded(review(POD))),
        (Served(RecursionError(), closed=closed), encoded(review(POD))),
    ):
        status, told = served.ask("/validate", body)
        response = json.loads(told)["response"]
        assert (status, response["allowed"]) == (200, not closed)
        assert response["uid"] == review(POD)["request"]["uid"]
        assert served.why
        assert "hunter2" not in served.why


def test_too_much_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "LARGEST", 1000)
    assert Served().ask("/validate", b"x" * 600, b"x" * 600, b"x" * 600)[0] == 413


@pytest.mark.parametrize(
    ("query", "within"),
    [
        (b"", 10.0),
        (b"timeout=5s", 4.25),
        (b"a=b&timeout=5s", 4.25),
        (b"timeout=30s", 10.0),
        (b"timeout=1m0s", 10.0),
        (b"timeout=500ms", 0.25),
        (b"timeout=0s", 0.25),
        (b"timeout=1s", 0.65),
        (b"timeout=", 10.0),
        (b"timeout=soon", 10.0),
        (b"timeout=-5s", 10.0),
        (b"timeout=99999999999999s", 10.0),
    ],
)
def test_the_time_is_what_the_api_server_gives_less_the_way(query: bytes, within: float) -> None:
    served = Served()
    served.ask("/validate", encoded(review(POD)), query=query)
    assert served.within == [pytest.approx(within)]


def test_other_paths_and_methods() -> None:
    assert Served().ask("/", method="GET")[0] == 404
    assert Served().ask("/validate", method="GET")[0] == 405
