"""Why Central refuses a call, in the words of gRPC, whose codes the original's REST answers carry as well.

Any part of Central may raise these; ``api/errors.py`` turns them into answers and gRPC handlers into statuses.
A message is for whoever called: it holds no secret and nothing of the inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from redoubt.errors import EXIT_CREDENTIALS, RedoubtError


class Code(IntEnum):
    """The status codes of gRPC (``google/rpc/code.proto``) that Central uses."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


#: What HTTP says for each, as grpc-gateway maps them.
HTTP: Mapping[int, int] = {
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}


class Refused(RedoubtError):
    """A call that is not answered as asked. ``code`` says why, ``str`` what to do about it."""

    code = Code.INTERNAL


class InvalidArgument(Refused):
    """What was sent cannot be meant."""

    code = Code.INVALID_ARGUMENT


class NotFound(Refused):
    """There is no such thing, or the caller may not know of it."""

    code = Code.NOT_FOUND


class AlreadyExists(Refused):
    """The name is taken."""

    code = Code.ALREADY_EXISTS


class PermissionDenied(Refused):
    """The caller is known, and may not."""

    code = Code.PERMISSION_DENIED
    exit_code = EXIT_CREDENTIALS


class Unauthenticated(Refused):
    """The caller is not known."""

    code = Code.UNAUTHENTICATED
    exit_code = EXIT_CREDENTIALS


class Exhausted(Refused):
    """Too much at once, or too often; ``retry_after`` in seconds, 0 where it is not known."""

    code = Code.RESOURCE_EXHAUSTED

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FailedPrecondition(Refused):
    """Right as it is, but not in the state that the system is in."""

    code = Code.FAILED_PRECONDITION


class Aborted(Refused):
    """Somebody else is at it; try again."""

    code = Code.ABORTED


class Unavailable(Refused):
    """Something that is needed is not there now; try again."""

    code = Code.UNAVAILABLE
