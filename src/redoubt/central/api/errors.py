"""Every failure as an answer of one shape, the one that grpc-gateway gives.

``{"code": <gRPC's number>, "message": …, "error": <the same>, "details": []}``. What was not foreseen is logged with all
that is known and answered with nothing but the request's number.
"""

from __future__ import annotations

import math
from typing import Any

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from redoubt.central.refusals import HTTP, Code, Exhausted, Refused
from redoubt.errors import (
    AccessDenied,
    Busy,
    DatabaseUnavailable,
    DefinitionsError,
    NetworkError,
    RedoubtError,
    UnreadableInput,
    UsageError,
)
from redoubt.wire import failures

_log = structlog.get_logger("api")

AnyRequest = Request[Any, Any, Any]


class ErrorBody(msgspec.Struct, frozen=True):
    """What a failure is answered with."""

    code: int
    message: str
    error: str
    details: list[dict[str, str]] = []


_OURS: tuple[tuple[type[RedoubtError], Code], ...] = (
    (failures.NotFound, Code.NOT_FOUND),
    (failures.Changed, Code.ABORTED),
    (failures.Unimplemented, Code.UNIMPLEMENTED),
    (UsageError, Code.INVALID_ARGUMENT),
    (Busy, Code.ABORTED),
    (UnreadableInput, Code.INVALID_ARGUMENT),
    (DefinitionsError, Code.INVALID_ARGUMENT),
    (NetworkError, Code.UNAVAILABLE),
    (DatabaseUnavailable, Code.UNAVAILABLE),
    (AccessDenied, Code.FAILED_PRECONDITION),
)

_STATUSES = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    405: Code.UNIMPLEMENTED,
    409: Code.ABORTED,
    413: Code.INVALID_ARGUMENT,
    415: Code.INVALID_ARGUMENT,
    429: Code.RESOURCE_EXHAUSTED,
    503: Code.UNAVAILABLE,
}

#: The database is not there, or not for us now; the call may be repeated.
AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    ConnectionError,
    TimeoutError,
)


def code_of(error: RedoubtError) -> Code:
    """gRPC's code for an error of ours."""
    if isinstance(error, Refused):
        return error.code
    return next((code for kind, code in _OURS if isinstance(error, kind)), Code.INTERNAL)


def answer(
    code: Code, message: str, status: int = 0, headers: dict[str, str] | None = None
) -> Response[ErrorBody]:
    """An answer for a failure; ``status`` where it is not the code's own."""
    return Response(
        ErrorBody(code=code, message=message, error=message),
        status_code=status or HTTP[code],
        headers=headers or {},
        media_type=MediaType.JSON,
    )


def _ours(request: AnyRequest, error: RedoubtError) -> Response[ErrorBody]:
    code = code_of(error)
    headers = {}
    if code is Code.UNAUTHENTICATED:
        # Not "Basic": a browser would ask for the password, keep it, and send it along with other sites' requests.
        headers["WWW-Authenticate"] = 'Bearer realm="Redoubt"'
    if isinstance(error, Exhausted) and error.retry_after > 0:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    return answer(code, str(error), headers=headers)


def _http(request: AnyRequest, error: HTTPException) -> Response[ErrorBody]:
    status = error.status_code
    if status >= 500:
        return _unforeseen(request, error)
    message = error.detail
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        told = [_told(one) for one in error.extra if isinstance(one, dict)]
        message = "; ".join(told) or message
    allowed = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return answer(_STATUSES.get(status, Code.INVALID_ARGUMENT), message, status, allowed)


def _told(one: dict[str, Any]) -> str:
    key, message = str(one.get("key", "")), str(one.get("message", ""))
    if key == "data" and message == "'data'":
        return "the body is missing"
    return f"{key}: {message}"


def _too_deep(request: AnyRequest, error: RecursionError) -> Response[ErrorBody]:
    """msgspec says so of a body; from anywhere else it is our fault."""
    if "deserializing" not in str(error):
        return _unforeseen(request, error)
    return answer(Code.INVALID_ARGUMENT, "the body is nested too deeply")


def _away(request: AnyRequest, error: Exception) -> Response[ErrorBody]:
    _log.warning("the database is away", reason=type(error).__name__, path=request.scope["path"])
    return answer(Code.UNAVAILABLE, "the database cannot be reached; try again in a moment")


def _unfit(request: AnyRequest, error: Exception) -> Response[ErrorBody]:
    return answer(
        Code.INVALID_ARGUMENT, "a value cannot be stored as it is: a number too large, or a text with a NUL"
    )


def _unforeseen(request: AnyRequest, error: Exception) -> Response[ErrorBody]:
    number = str(request.scope.get("state", {}).get("request_id", ""))
    _log.error(
        "unforeseen", exc_info=error, method=request.method, path=request.scope["path"], request=number
    )
    return answer(
        Code.INTERNAL, f"this should not have happened; Central's log tells more of request {number}"
    )


HANDLERS: ExceptionHandlersMap = {
    RedoubtError: _ours,
    HTTPException: _http,
    **dict.fromkeys(AWAY, _away),
    asyncpg.DataError: _unfit,
    RecursionError: _too_deep,
    Exception: _unforeseen,
}
