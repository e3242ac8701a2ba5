"""The one exception tree. Each error is a line a person can act on, and an exit code.

A message says what was wrong and, after a semicolon or in a second clause, what to do next. It never
holds a secret. The exit codes are the same for every command of both CLIs and are documented in
``docs/exit-codes.md``.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_FINDINGS = 1
EXIT_USAGE = 2
EXIT_UNREADABLE = 3
EXIT_DEFINITIONS = 4
EXIT_CREDENTIALS = 5
EXIT_NETWORK = 6


class RedoubtError(Exception):
    """Anything Redoubt refuses to do. ``str(error)`` is one line; ``exit_code`` is what the CLI returns."""

    exit_code = EXIT_UNREADABLE


class UsageError(RedoubtError):
    """The command was called in a way that cannot work."""

    exit_code = EXIT_USAGE


class UnreadableInput(RedoubtError):
    """A file, archive, image or report that cannot be read as what it claims to be."""

    exit_code = EXIT_UNREADABLE


class LimitExceeded(UnreadableInput):
    """Input larger, deeper or more repetitive than the limit that protects this machine."""


class DefinitionsError(RedoubtError):
    """Something about vulnerability definitions stops the work."""

    exit_code = EXIT_DEFINITIONS


class DefinitionsMissing(DefinitionsError):
    """No definitions are active, or the named ones are not on the shelf."""


class DefinitionsRefused(DefinitionsError):
    """A bundle failed verification. What was active before stays active."""


class DefinitionsStale(DefinitionsError):
    """Definitions are older than the caller allowed (only where asked for)."""


class AccessDenied(RedoubtError):
    """Credentials are missing, wrong or not enough, or a file may not be read or written."""

    exit_code = EXIT_CREDENTIALS


class Busy(RedoubtError):
    """Somebody else is doing what can be done by one only; come again."""

    exit_code = EXIT_DEFINITIONS


class NetworkError(RedoubtError):
    """A server could not be reached, timed out, or answered with something unusable."""

    exit_code = EXIT_NETWORK


class TryLater(NetworkError):
    """A server answered that it cannot now, or broke off; the same may well succeed later.

    ``after`` are the seconds after which it asks to come back; 0 where it does not say.
    """

    def __init__(self, message: str = "", after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class DatabaseError(RedoubtError):
    """The database cannot be started, is not one of ours, or is another version's than this program."""


class DatabaseUnavailable(DatabaseError):
    """The database could not be reached, or went away; the same again may well succeed."""

    exit_code = EXIT_NETWORK


class HostRefused(NetworkError):
    """Offline mode does not let a host be contacted. The message names it."""

    @classmethod
    def of(cls, host: str) -> HostRefused:
        """The refusal of ``host``."""
        shown = "".join(c for c in host if c.isprintable())[:255]
        return cls(
            f"offline mode: {shown} was not named by you and is not contacted; allow it with REDOUBT_ALLOWED_HOSTS"
        )

    @property
    def host(self) -> str:
        """Which one."""
        return str(self).removeprefix("offline mode: ").partition(" ")[0]
