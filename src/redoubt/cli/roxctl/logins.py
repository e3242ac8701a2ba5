"""Logins that were stored: a YAML file, of the original's form and name, that only its owner may read.

Knows files and their form. It makes no connection; ``connection`` renews a login that has expired.
"""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from redoubt.errors import AccessDenied, UnreadableInput

_NAME = "roxctl-config.yaml"
_LARGEST = 1 << 20
#: A token that ends within this time is not worth sending.
_SLACK = timedelta(seconds=30)


class Login(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A token for one Central. Times are UTC; ``expires_at`` is None where nobody said."""

    access_token: str = ""
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    refresh_token: str = ""

    def expired(self, now: datetime) -> bool:
        """Whether the token is known to be worth nothing any more."""
        return not self.access_token or (self.expires_at is not None and self.expires_at <= now + _SLACK)


class _Central(msgspec.Struct, frozen=True, omit_defaults=True):
    access: Login | None = None


class _File(msgspec.Struct, frozen=True):
    centrals: dict[str, _Central] = {}


class Logins:
    """The file in ``folder``, by ``host:port``."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _NAME

    def find(self, endpoint: str) -> Login | None:
        """What is stored for an endpoint. Raises ``UnreadableInput`` and ``AccessDenied``."""
        central = self._read().get(endpoint)
        login = central.access if central else None
        return login if login and (login.access_token or login.refresh_token) else None

    def store(self, endpoint: str, login: Login) -> None:
        """File ``login``, in place of what was there. The file is 0600 and its folder 0700, whatever they were."""
        import msgspec.yaml

        from redoubt.definitions import durable

        stored = self._read() | {endpoint: _Central(login)}
        data = msgspec.yaml.encode(_File(stored))
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.replace(self.path, data, mode=0o600)
        except OSError as error:
            raise AccessDenied(
                f"{self.path} cannot be written: {error.strerror}; set ROX_CONFIG_DIR to a folder of yours"
            ) from None

    def _read(self) -> dict[str, _Central]:
        import msgspec.yaml

        try:
            with self.path.open("rb") as file:
                data = file.read(_LARGEST + 1)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except PermissionError:
            raise AccessDenied(f"{self.path}: permission denied") from None
        except OSError as error:
            raise UnreadableInput(f"{self.path}: {error.strerror}") from None
        if len(data) > _LARGEST:
            raise UnreadableInput(f"{self.path}: too large for a list of logins; delete it and log in again")
        try:
            return (msgspec.yaml.decode(data, type=_File | None) or _File()).centrals
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError):
            raise UnreadableInput(
                f"{self.path} cannot be read as a list of logins; delete it and log in again"
            ) from None

    def open_to_others(self) -> bool:
        """Whether others may read the file."""
        try:
            return bool(stat.S_IMODE(self.path.stat().st_mode) & 0o077)
        except OSError:
            return False


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)
