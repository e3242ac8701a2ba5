"""A service's settings: a YAML file, then the environment, then flags; the later wins.

Every field of a settings struct is a key of the file and has a variable, the service's prefix and the field's
name in capitals; some have others besides. An unknown key, an unknown variable with that prefix and a value of the wrong type
are errors that name the place. Knows no setting.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TypeAlias, TypeVar

import msgspec

from redoubt.errors import AccessDenied, UnreadableInput, UsageError

Settings = TypeVar("Settings", bound="Service")
Value: TypeAlias = object

#: How much a log says, the most first.
LOG_LEVELS = ("trace", "debug", "info", "warn", "error", "panic", "fatal")
_LIMIT = 1_000_000
#: After the prefix: names the file itself (``--config``), and is no setting.
_FILE = "CONFIG"


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every service is told: how it logs."""

    #: Names of settings that are never shown by ``repr``, not in a log, and not taken from a command line.
    secret: ClassVar[frozenset[str]] = frozenset()
    log_level: str = "info"
    #: ``json`` for machines, ``console`` for people.
    log_format: str = "json"

    def __repr__(self) -> str:
        told = (
            f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in self.secret
        )
        return f"Settings({', '.join(told)})"


class Server(Service, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service that is called: where it listens."""

    #: The address that is listened on; empty: every one.
    host: str = ""
    port: int = 8443

    @property
    def address(self) -> str | None:
        """What is listened on; None stands for every address."""
        return None if self.host in ("", "*", "::", "0.0.0.0") else self.host  # noqa: S104


class Internal(Server, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server that other services call, and nobody else."""

    #: Health and metrics, without TLS. 0: none.
    health_host: str = ""
    health_port: int = 9443
    #: A folder with ``ca.pem``, ``cert.pem`` and ``key.pem``; not given: ``<data>/certificates``.
    certificates: Path | None = None


def load(
    kind: type[Settings],
    prefix: str,
    file: Path | None = None,
    *,
    aliases: Mapping[str, tuple[str, ...]] | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Value] | None = None,
) -> Settings:
    """The settings. ``prefix`` is that of the variables; ``aliases`` names others, of which the first that is set counts.

    ``flags`` holds what was given on the command line; None means not given. Raises ``UsageError`` for what
    cannot be understood, ``UnreadableInput`` and ``AccessDenied`` for the file.
    """
    values: dict[str, Value] = {} if file is None else _file(kind, file)
    values |= _environment(kind, prefix, aliases or {}, os.environ if environment is None else environment)
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return _convert(kind, values, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"settings: {_reason(error)}") from None


def one_of(name: str, value: str, words: Sequence[str]) -> None:
    """Raises ``UsageError`` where a setting's value is none of ``words``."""
    if value not in words:
        raise UsageError(f"settings: {name} is {', '.join(words[:-1])} or {words[-1]}, not {value!r}")


def usual(settings: Service) -> None:
    """Check what services' settings have in common, as far as these have it: ports, and what is logged how.

    Raises ``UsageError``.
    """
    for name in ("port", "health_port"):
        if not 0 <= getattr(settings, name, 0) < 65536:
            raise UsageError(f"settings: {name} {getattr(settings, name)} is none")
    one_of("log_level", settings.log_level.lower(), LOG_LEVELS)
    one_of("log_format", settings.log_format, ("json", "console"))


def given(kind: type[Settings], said: Iterable[str], *, of: str = "") -> dict[str, Value]:
    """``NAME=VALUE`` of a command line, as ``flags``; values are written as in variables. ``of`` stood before the name.

    Raises ``UsageError``, also for what is ``secret``: a command line is seen by everybody on the machine.
    """
    fields: dict[str, Value] = {field.name: field.type for field in msgspec.structs.fields(kind)}
    values: dict[str, Value] = {}
    for text in said:
        written, equals, value = text.partition("=")
        name = written.strip().replace("-", "_")
        if not equals:
            raise UsageError(f"--set {of}{text[:100]}: write {of}NAME=VALUE")
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            meant = f"; did you mean {of}{near[0]}?" if near else ""
            raise UsageError(f"--set {of}{written[:100]}: no such setting{meant}")
        if name in kind.secret:
            raise UsageError(
                f"--set {of}{name}: others can read a command line; use the environment or the file"
            )
        values[name] = _parsed(fields[name], value.strip())
        _one(kind, f"--set {of}{name}", name, values[name])
    return values


def _file(kind: type[Settings], path: Path) -> dict[str, Value]:
    import yaml

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
        _convert(kind, values)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {_reason(error)}") from None
    return values


def _environment(
    kind: type[Settings],
    prefix: str,
    aliases: Mapping[str, tuple[str, ...]],
    environment: Mapping[str, str],
) -> dict[str, Value]:
    values: dict[str, Value] = {}
    fields: dict[str, Value] = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for name in environment:
        known = name.removeprefix(prefix).lower() in fields or name == prefix + _FILE
        if name.startswith(prefix) and not known:
            raise UsageError(f"{name}: no such setting")
    for name, wanted in fields.items():
        for variable in (prefix + name.upper(), *aliases.get(name, ())):
            if text := _text(variable, environment.get(variable, "")):
                value = _parsed(wanted, text)
                _one(kind, variable, name, value)
                values[name] = value
                break
    return values


def _text(variable: str, value: str) -> str:
    """Without blanks around it. Raises ``UsageError`` where it is no text."""
    try:
        value.encode()
    except UnicodeEncodeError:  # what Python could not read with the locale's encoding, it has kept as bytes
        try:
            value = os.fsencode(value).decode()
        except UnicodeError:
            raise UsageError(f"{variable}: it is no UTF-8") from None
    return value.strip()


def _one(kind: type[Settings], variable: str, name: str, value: Value) -> None:
    try:
        _convert(kind, {name: value}, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"{variable}: {_reason(error)}") from None


def _convert(kind: type[Settings], values: Mapping[str, Value], *, strict: bool = True) -> Settings:
    return msgspec.convert(values, kind, strict=strict, dec_hook=_path)


def _path(kind: type, value: Value) -> Value:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"Expected {kind.__name__}, got {type(value).__name__}")


def _parsed(wanted: Value, text: str) -> Value:
    """A variable's text as its field wants it, as far as msgspec does not do that itself."""
    if wanted == list[str]:
        return _listed(text)
    return _flag(text) if wanted in (bool, bool | None) else text


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _flag(text: str) -> Value:
    """Words for yes and no that msgspec does not know."""
    return {"yes": True, "on": True, "no": False, "off": False}.get(text.lower(), text)


def _reason(error: msgspec.ValidationError) -> str:
    return str(error).replace("`", "").replace(" - at $.", ", at ").replace("$.", "")
