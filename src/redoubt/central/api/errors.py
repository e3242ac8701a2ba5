"""Every failure as an answer of one shape, the one that grpc-gateway gives.

``{"code": <gRPC's number>, "message": …, "error": <the same>, "details": []}``. What an exception amounts to is told by
``central.mishaps``; here it becomes HTTP.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.types import ExceptionHandlersMap

from redoubt.central.mishaps import code_of, judged
from redoubt.central.refusals import HTTP, Code, Exhausted
from redoubt.errors import RedoubtError

AnyRequest = Request[Any, Any, Any]


class ErrorBody(msgspec.Struct, frozen=True):
    """What a failure is answered with."""

    code: int
    message: str
    error: str
    details: list[dict[str, str]] = []


#: litestar's words for a caller who went away while his body was read.
_GONE = "client disconnected prematurely"
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
    if isinstance(error, InternalServerException) and error.detail == _GONE:
        return answer(Code.ABORTED, _GONE)  # nobody hears it; no fault of Central's
    if status >= 500:
        return _judged(request, error)
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
        return _judged(request, error)
    return answer(Code.INVALID_ARGUMENT, "the body is nested too deeply")


def _judged(request: AnyRequest, error: Exception) -> Response[ErrorBody]:
    number = str(request.scope.get("state", {}).get("request_id", ""))
    code, message = judged(error, method=request.method, path=request.scope["path"], number=number)
    return answer(code, message)


HANDLERS: ExceptionHandlersMap = {
    RedoubtError: _ours,
    HTTPException: _http,
    RecursionError: _too_deep,
    Exception: _judged,
}
