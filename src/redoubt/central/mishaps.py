"""What an exception amounts to for whoever called, over HTTP or gRPC: one of gRPC's codes, and a message.

What was not foreseen is logged with all that is known and told as nothing but the call's number.
"""

from __future__ import annotations

import asyncpg
import structlog

from redoubt.central.refusals import Code, Refused
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
from redoubt.postgres.failures import passing
from redoubt.wire import failures

_log = structlog.get_logger("api")

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


def away(error: BaseException) -> bool:
    """Whether the database is not there, or not for us now; the call may be repeated."""
    ended = asyncpg.InterfaceError, asyncpg.OperatorInterventionError  # a statement of ours, whatever it was
    return passing(error) or isinstance(error, ended)


def code_of(error: RedoubtError) -> Code:
    """gRPC's code for an error of ours."""
    if isinstance(error, Refused):
        return error.code
    return next((code for kind, code in _OURS if isinstance(error, kind)), Code.INTERNAL)


def judged(error: Exception, *, method: str, path: str, number: str) -> tuple[Code, str]:
    """Code and message. ``number`` is the call's, for the log."""
    if isinstance(error, RedoubtError):
        return code_of(error), str(error)
    if away(error):
        _log.warning("the database is away", reason=type(error).__name__, path=path)
        return Code.UNAVAILABLE, "the database cannot be reached; try again in a moment"
    if isinstance(error, asyncpg.DataError):
        return (
            Code.INVALID_ARGUMENT,
            "a value cannot be stored as it is: a number too large, or a text with a NUL",
        )
    _log.error("unforeseen", exc_info=error, method=method, path=path, request=number)
    return Code.INTERNAL, f"this should not have happened; Central's log tells more of request {number}"
