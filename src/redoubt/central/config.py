"""What Central is told at start: a YAML file, then the environment, then flags; the later wins.

Every setting is a field of ``Settings`` and has an environment variable, ``REDOUBT_CENTRAL_`` and the field's
name in capitals; some have a second one that the original has. An unknown key, an unknown variable with that prefix
and a value of the wrong type are errors that name the place. What can change while Central runs is not here
but in the database.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec
import yaml

from redoubt.errors import AccessDenied, UnreadableInput, UsageError

PREFIX = "REDOUBT_CENTRAL_"

#: Variables beside ``REDOUBT_CENTRAL_…``. The first one that is set counts.
ALIASES: dict[str, tuple[str, ...]] = {
    "data": ("REDOUBT_DATA_DIR",),
    "offline": ("ROX_OFFLINE_MODE", "REDOUBT_OFFLINE"),
    "allowed_hosts": ("REDOUBT_ALLOWED_HOSTS",),
    "admin_password": ("ROX_ADMIN_PASSWORD",),
    "log_level": ("LOGLEVEL",),
}

#: Never shown by ``repr`` and not in a log.
SECRET = frozenset({"admin_password", "database_url"})

_LIMIT = 1_000_000

Value: TypeAlias = object


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Central. Paths are absolute or relative to where it is started; times are in seconds."""

    #: Where everything lives that is not in the database: definitions, keys, uploads in progress.
    data: Path = Path("/var/lib/redoubt")
    host: str = "::"
    port: int = 8443
    #: ``postgresql://user:password@host/database?sslmode=verify-full``.
    database_url: str = ""
    #: A folder with ``ca.pem``, ``cert.pem`` and ``key.pem``; empty: ``<data>/certificates``.
    certificates: Path | None = None
    #: Host and port of the Indexer and the Matcher; empty: none, and what needs them says so.
    indexer: str = ""
    matcher: str = ""
    #: What the installation is told about the internet. None: what was stored at the first start, else online.
    offline: bool | None = None
    allowed_hosts: list[str] = []
    #: The password of ``admin`` at the first start; empty: one is made and printed once.
    admin_password: str = ""
    admin_password_disabled: bool = False
    #: The keys that seal secrets in the database; empty: ``<data>/keys/secrets.keys``.
    secrets_key_file: Path | None = None
    #: Addresses and networks of proxies whose ``X-Forwarded-For`` is believed.
    trusted_proxies: list[str] = []
    #: How long the audit log is kept.
    audit_days: int = 365
    log_level: str = "info"
    #: ``json`` for machines, ``console`` for people.
    log_format: str = "json"
    #: What a cluster's record gets where it names no image.
    main_image: str = "quay.io/stackrox-io/main"
    collector_image: str = "quay.io/stackrox-io/collector"

    def __repr__(self) -> str:
        told = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in SECRET)
        return f"Settings({', '.join(told)})"


def load(
    file: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Value] | None = None,
) -> Settings:
    """The settings. ``flags`` holds what was given on the command line; None means not given.

    Raises ``UsageError`` for what cannot be understood, ``UnreadableInput`` and ``AccessDenied`` for the file.
    """
    values: dict[str, Value] = {} if file is None else _file(file)
    values |= _environment(os.environ if environment is None else environment)
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return _checked(_convert(values, strict=False))
    except msgspec.ValidationError as error:
        raise UsageError(f"settings: {_reason(error)}") from None


def _file(path: Path) -> dict[str, Value]:
    try:
        with path.open("rb") as stream:
            text = stream.read(_LIMIT + 1)
    except FileNotFoundError:
        raise UnreadableInput(f"{path}: no such settings file") from None
    except PermissionError:
        raise AccessDenied(f"{path}: the settings file may not be read") from None
    except OSError as error:
        raise UnreadableInput(f"{path}: the settings file cannot be read ({error.strerror})") from None
    if len(text) > _LIMIT:
        raise UnreadableInput(f"{path}: larger than a settings file can be")
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UnreadableInput(f"{path}: not YAML") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise UsageError(f"{path}: settings are names and values")
    try:
        _convert(values)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {_reason(error)}") from None
    return values


def _environment(environment: Mapping[str, str]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    fields = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    for name in environment:
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() not in fields:
            raise UsageError(f"{name}: no such setting")
    for name, kind in fields.items():
        for variable in (PREFIX + name.upper(), *ALIASES.get(name, ())):
            if text := environment.get(variable, "").strip():
                value = _listed(text) if kind == list[str] else _flag(text) if kind == bool | None else text
                _one(variable, name, value)
                values[name] = value
                break
    return values


def _one(variable: str, name: str, value: Value) -> None:
    try:
        _convert({name: value}, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"{variable}: {_reason(error)}") from None


def _convert(values: dict[str, Value], *, strict: bool = True) -> Settings:
    return msgspec.convert(values, Settings, strict=strict, dec_hook=_path)


def _path(kind: type, value: Value) -> Value:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"Expected {kind.__name__}, got {type(value).__name__}")


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _flag(text: str) -> Value:
    """Words for yes and no that msgspec does not know."""
    return {"yes": True, "on": True, "no": False, "off": False}.get(text.lower(), text)


def _checked(settings: Settings) -> Settings:
    if not 0 <= settings.port < 65536:
        raise UsageError(f"settings: port {settings.port} is none")
    if settings.log_format not in ("json", "console"):
        raise UsageError(f"settings: log_format is json or console, not {settings.log_format!r}")
    if settings.audit_days < 1:
        raise UsageError("settings: audit_days is at least 1")
    return settings


def _reason(error: msgspec.ValidationError) -> str:
    return str(error).replace("`", "").replace(" - at $.", ", at ").replace("$.", "")
