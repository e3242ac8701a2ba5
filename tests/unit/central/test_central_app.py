"""The application's frame: declarations, errors, limits, headers."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from litestar import Litestar, get, post
from litestar.params import FromPath, JSONBody
from litestar.testing import TestClient
from litestar.types import ControllerRouterHandler

from redoubt.central.app import BODY_LIMIT, Undeclared
from redoubt.central.auth.authenticate import Authenticator
from redoubt.central.auth.declare import allow, anonymous, authenticated, services
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.config import Settings
from redoubt.central.refusals import AlreadyExists, Exhausted, Unauthenticated
from redoubt.errors import DefinitionsRefused, NetworkError, UsageError
from redoubt.wire.identity import Identity, Service
from support.centrals import bearer, without_database


class Body(msgspec.Struct):
    number: int


@get("/admin", opt=allow(Resource.ADMINISTRATION, Access.READ))
async def admin() -> str:
    return "in"


@get("/both", opt=allow((Resource.ACCESS, Access.READ), (Resource.INTEGRATION, Access.READ_WRITE)))
async def both() -> str:
    return "in"


@get("/known", opt=authenticated())
async def known() -> str:
    return "in"


@get("/sensors", opt=services(Service.SENSOR) | allow(Resource.CLUSTER, Access.READ))
async def sensors() -> str:
    return "in"


@post("/body", opt=anonymous(), status_code=200)
async def body(data: JSONBody[Body]) -> int:
    return data.number


@get("/fails/{kind:str}", opt=anonymous())
async def fails(kind: FromPath[str]) -> str:
    raise {
        "usage": UsageError("say it differently"),
        "refused": DefinitionsRefused("not signed"),
        "network": NetworkError("nobody answers"),
        "taken": AlreadyExists("the name is taken"),
        "often": Exhausted("too often", 2.5),
        "away": ConnectionRefusedError(),
        "bug": RuntimeError("secret detail"),
    }[kind]


ROUTES: list[ControllerRouterHandler] = [admin, both, known, sensors, body, fails]


def client(routes: list[ControllerRouterHandler] | None = None) -> TestClient[Litestar]:
    return TestClient(without_database(ROUTES if routes is None else routes), raise_server_exceptions=False)


def shape(answer: Any) -> tuple[int, int]:
    told = answer.json()
    assert set(told) == {"code", "message", "error", "details"}
    assert told["message"] == told["error"]
    return answer.status_code, told["code"]


def test_a_route_without_a_declaration_is_not_served() -> None:
    @get("/open")
    async def open_() -> str:
        return "in"

    @get("/wrong", opt={"access": "everybody"})
    async def wrong() -> str:
        return "in"

    with pytest.raises(Undeclared, match="GET /open"):
        without_database([open_])
    with pytest.raises(Undeclared, match="GET /wrong"):
        without_database([wrong])


def test_permissions_are_asked_for() -> None:
    with client() as http:
        assert shape(http.get("/admin")) == (401, 16)
        assert shape(http.get("/admin", headers=bearer("Analyst"))) == (403, 7)
        assert http.get("/admin", headers=bearer("Analyst", "Sensor Creator")).text == "in"
        assert http.get("/admin", headers=bearer("Admin")).text == "in"
        assert http.get("/both", headers=bearer("Analyst")).status_code == 403
        assert http.get("/both", headers=bearer("Admin")).status_code == 200
        assert http.get("/known", headers=bearer("None")).status_code == 200
        assert http.get("/known").status_code == 401


def test_wrong_credentials_are_refused_where_none_are_needed() -> None:
    with client() as http:
        assert shape(http.post("/body", json={"number": 1}, headers=bearer("Nobody"))) == (401, 16)
        for header in ("Digest x", "Bearer", "x" * 9000, "Basic YWRtaW4", "\x00"):
            assert (
                http.post("/body", json={"number": 1}, headers={"Authorization": header}).status_code == 401
            )


@pytest.mark.parametrize(
    ("peer", "status"),
    [
        (Identity(Service.SENSOR, "one"), 200),
        (Identity(Service.SENSOR, "one", expires=1), 401),
        (Identity(Service.SCANNER, "one"), 403),
        (None, 401),
    ],
)
def test_certificates_open_the_routes_of_their_service(peer: Identity | None, status: int) -> None:
    app = without_database(ROUTES)

    async def with_peer(scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {"peer": peer}
        await app(scope, receive, send)

    with TestClient(with_peer) as http:
        assert http.get("/sensors").status_code == status
        assert http.get("/sensors", headers=bearer("Analyst")).status_code == 200
        assert http.get("/admin").status_code in (401, 403)


def test_failures_have_the_originals_shape() -> None:
    with client() as http:
        assert shape(http.get("/fails/usage")) == (400, 3)
        assert shape(http.get("/fails/refused")) == (400, 3)
        assert shape(http.get("/fails/network")) == (503, 14)
        assert shape(http.get("/fails/taken")) == (409, 6)
        assert shape(http.get("/fails/away")) == (503, 14)
        assert http.get("/fails/often").headers["retry-after"] == "3"
        assert shape(http.get("/nowhere")) == (404, 5)
        assert shape(http.delete("/known")) == (405, 12)
        for sent in ({}, {"number": "one"}, [], {"number": None}):
            assert shape(http.post("/body", json=sent)) == (400, 3)
        assert shape(http.post("/body", content=b"\xff{")) == (400, 3)


def test_what_was_not_foreseen_tells_nothing_of_the_inside() -> None:
    with client() as http:
        answer = http.get("/fails/bug")
        assert shape(answer) == (500, 13)
        assert "secret detail" not in answer.text
        assert answer.headers["x-request-id"] in answer.text


def test_a_body_beyond_the_limit_is_not_read() -> None:
    with client() as http:
        assert shape(http.post("/body", content=b" " * (BODY_LIMIT + 1)))[0] == 413
        assert http.post("/body", content=b" " * (BODY_LIMIT - 20) + b'{"number":1}').status_code == 200


def test_every_answer_has_the_headers() -> None:
    with client() as http:
        for path in ("/known", "/nowhere", "/fails/bug", "/api/docs/openapi.json"):
            headers = http.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "strict-transport-security" in headers


def test_pages_of_other_sites_change_nothing() -> None:
    with client() as http:
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://elsewhere.example"},
            {"Origin": "null"},
        ):
            assert shape(http.post("/body", json={"number": 1}, headers=headers)) == (403, 7)
            assert http.get("/known", headers=headers | bearer("Admin")).status_code == 200
        own = {"Sec-Fetch-Site": "same-origin", "Origin": "https://elsewhere.example"}
        assert http.post("/body", json={"number": 1}, headers=own).status_code == 200
        assert (
            http.post("/body", json={"number": 1}, headers={"Origin": "http://testserver.local"}).status_code
            == 200
        )


def test_the_page_of_the_api_needs_nothing_from_elsewhere() -> None:
    with TestClient(without_database()) as http:
        page = http.get("/api/docs/swagger", headers={"Accept": "text/html,*/*"})
        assert page.headers["content-type"].startswith("text/html")
        for text in (page.text, http.get("/api/docs/page.css").text, http.get("/api/docs/page.js").text):
            assert "://" not in text
        described = http.get("/api/docs/swagger").json()
        assert described == http.get("/api/docs/openapi.json").json()
        assert described["paths"]["/v1/ping"]["get"]["summary"]


def test_the_version_is_for_callers_who_are_known() -> None:
    with TestClient(without_database(settings=Settings())) as http:
        assert http.get("/v1/metadata").json()["version"] == ""
        assert http.get("/v1/metadata", headers=bearer("None")).json()["version"]
        assert http.get("/v1/ping").json() == {"status": "ok"}


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
def test_without_passwords_and_tokens_nobody_is_let_in(scheme: str) -> None:
    with pytest.raises(Unauthenticated):
        asyncio.run(Authenticator().caller(f"{scheme} YTpi", None, ""))


HOSTILE = [
    b"",
    b"[" * 100_000,
    b'{"x":' * 100_000,
    b'{"unknown":' + b"[" * 100_000 + b"]" * 100_000 + b',"number":1}',
    b"\xef\xbb\xbf{}",
    '{"number":1}'.encode("utf-16"),
    b'{"number":1' + b"0" * 5000 + b"}",
    b'{"number":NaN}',
    b'{"number":1}x',
    b"null",
]


def test_hostile_bodies_are_refused_in_words() -> None:
    with client() as http:
        for kind in ("application/json", "multipart/form-data; boundary=x", "application/msgpack", ";"):
            for sent in HOSTILE:
                answer = http.post("/body", content=sent, headers={"Content-Type": kind})
                assert shape(answer) == (400, 3)
                assert len(answer.json()["message"]) > 10
                assert sent or answer.json()["message"] == "the body is missing"


def test_a_recursion_of_ours_is_not_the_callers_fault() -> None:
    @get("/loops", opt=anonymous())
    async def loops() -> str:
        def again(depth: int) -> int:
            return again(depth + 1) + 1

        return str(again(0))

    with client([loops]) as http:
        assert shape(http.get("/loops")) == (500, 13)
