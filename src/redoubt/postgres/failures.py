"""What asyncpg and the sockets below it raise, as our errors: a line to act on, without a password in it."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import asyncpg

from redoubt.errors import AccessDenied, DatabaseError, DatabaseUnavailable, RedoubtError, UsageError

# The server is starting, stopping, full, or went away under a statement: the same again may succeed.
_PASSING = (
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,
    ConnectionError,
    FileNotFoundError,  # the socket is not there yet
    TimeoutError,
    asyncpg.InternalClientError,  # how asyncpg stumbles over a connection that breaks between two messages
)
# All that a database is the reason of. ``ValueError`` is said of the URL, or of a value of a wrong type.
RAISED = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, ValueError)
# Two transactions in each other's way: one of them was undone, and is to be done again.
_CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


def where(url: str) -> str:
    """``host:port/database`` of a URL: enough to find it, without user, password or options."""
    try:
        parts = urlsplit(url)
        asked = parse_qs(parts.query)
        host = parts.hostname or (asked.get("host") or ["localhost"])[0]
        port = str(parts.port or "") or (asked.get("port") or ["5432"])[0]
    except ValueError:
        return "the database"
    return f"{host}:{port}{parts.path}"


def passing(error: BaseException) -> bool:
    """Whether waiting may help, as while a server starts or is started again."""
    if _of_tls(error) or _of_a_file(error):
        return False
    if isinstance(error, asyncpg.InterfaceError):
        return "closed" in str(error) or "closing" in str(error)
    return isinstance(error, (*_PASSING, DatabaseUnavailable))


def conflict(error: BaseException) -> bool:
    """Whether the transaction was undone because of another one."""
    return isinstance(error, _CONFLICTS)


def translated(error: BaseException, url: str = "") -> RedoubtError:
    """The error of ours that stands for ``error``. A ``RedoubtError`` stays as it is."""
    at = where(url) if url else "the database"
    if isinstance(error, RedoubtError):
        return error
    if isinstance(error, (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
        return AccessDenied(f"{at} does not accept this user and password; check the database URL")
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return DatabaseError(f"there is no such database: {at}; make it, or correct the database URL")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return AccessDenied(
            f"{at} refuses this user: {_first_line(error)}; grant it, or use the database's owner"
        )
    if _of_tls(error):
        return DatabaseError(
            f"the certificate of {at} is not one that sslmode accepts ({_reason(error)}); "
            "check sslrootcert and the host's name"
        )
    if isinstance(error, asyncpg.QueryCanceledError):
        return DatabaseUnavailable(
            f"{at} took longer than is allowed for one statement; try again when it is less busy"
        )
    if isinstance(error, asyncpg.DiskFullError):
        return DatabaseError(f"the disk of {at} is full; make room, nothing is lost")
    if passing(error) or isinstance(error, OSError):
        return DatabaseUnavailable(f"cannot reach {at}: {_reason(error)}; see that PostgreSQL runs there")
    if isinstance(error, (ValueError, asyncpg.InterfaceError)) and not isinstance(
        error, asyncpg.PostgresError
    ):
        # Said of the URL, or of a file that it names; asyncpg puts no password in these.
        return UsageError(f"the database URL cannot be used: {_first_line(error)}")
    return DatabaseError(f"{at} refused a statement: {_first_line(error)}")


def _of_tls(error: BaseException) -> bool:
    # By name: the module ``ssl`` makes connections, and those are egress's alone.
    return any(each.__module__ == "ssl" and each.__name__ == "SSLError" for each in type(error).__mro__)


def _of_a_file(error: BaseException) -> bool:
    # Of the server's socket, which is not there while it starts, no name is said.
    return isinstance(error, FileNotFoundError) and error.filename is not None


def _reason(error: BaseException) -> str:
    if verification := getattr(error, "verify_message", None):
        return str(verification)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
