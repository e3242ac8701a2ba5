"""Who the user is to a registry: what ``docker login`` and ``podman login`` left, and their helper programs.

Sources of the rules: docker's ``config.json`` (``auths``, ``credHelpers``, ``credsStore``; the helpers' protocol
in docker-credential-helpers), and ``containers-auth.json(5)`` (keys may name a repository; the longest match
counts). A secret is never part of a message.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from redoubt.errors import AccessDenied, UnreadableInput
from redoubt.indexer.sources.reference import DOCKER_HUB, ImageReference

HELPER_TIMEOUT = 30.0
_MAX_FILE = 4 << 20
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_DOCKER_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io")
#: What stands for a user where the secret is an identity token: helpers write it, and ``SourceOptions`` may.
TOKEN_USER = "<token>"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password, or an identity token (OAuth2 refresh token) in their place."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


class _Auth(msgspec.Struct, frozen=True):
    auth: str = ""
    username: str = ""
    password: str = ""
    identity_token: str = msgspec.field(name="identitytoken", default="")


class _File(msgspec.Struct, frozen=True):
    auths: dict[str, _Auth | None] | None = None
    helpers: dict[str, str] | None = msgspec.field(name="credHelpers", default=None)
    store: str = msgspec.field(name="credsStore", default="")


class _Helped(msgspec.Struct, frozen=True):
    username: str = msgspec.field(name="Username", default="")
    secret: str = msgspec.field(name="Secret", default="")


def find_credentials(reference: ImageReference) -> Credentials | None:
    """What this user's files hold for a repository; None where they hold nothing.

    Raises ``UnreadableInput`` or ``AccessDenied`` for a file or a helper that does not do its part.
    """
    for path in _files():
        if (file := _read(path)) is not None and (found := _in_file(file, path, reference)) is not None:
            return found
    return None


def find_within(config: str, name: str, reference: ImageReference) -> Credentials | None:
    """What the text of such a file, called ``name``, holds for a repository. Helpers that it names are not run.

    Raises ``UnreadableInput``.
    """
    file = msgspec.structs.replace(_parsed(config.encode(), name), helpers=None, store="")
    return _in_file(file, Path(name), reference)


def _files() -> list[Path]:
    """Where credentials may lie, the most specific first."""
    environment = os.environ
    home = Path(environment["HOME"]) if environment.get("HOME") else None
    places: list[Path] = []
    if named := environment.get("REGISTRY_AUTH_FILE"):
        places.append(Path(named))
    if folder := environment.get("DOCKER_CONFIG"):
        places.append(Path(folder) / "config.json")
    elif home:
        places.append(home / ".docker" / "config.json")
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        places.append(Path(runtime) / "containers" / "auth.json")
    if config := environment.get("XDG_CONFIG_HOME"):
        places.append(Path(config) / "containers" / "auth.json")
    elif home:
        places.append(home / ".config" / "containers" / "auth.json")
    return places


def _read(path: Path) -> _File | None:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise AccessDenied(f"{path}: the registry credentials cannot be read ({error.strerror})") from error
    return _parsed(data, str(path))


def _parsed(data: bytes, name: str) -> _File:
    try:
        return msgspec.json.decode(data, type=_File)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        # The decoder's own message may quote the file.
        raise UnreadableInput(
            f"{name}: not a file of registry credentials as Docker or Podman write it; log in again"
        ) from None


def _in_file(file: _File, path: Path, reference: ImageReference) -> Credentials | None:
    keys = _keys(reference)
    for key in keys:
        if helper := (file.helpers or {}).get(key):
            return _ask_helper(helper, key, path)
    auths = {_plain(key): value for key, value in (file.auths or {}).items() if value is not None}
    for key in keys:
        if (entry := auths.get(_plain(key))) and (found := _decoded(entry, path)):
            return found
    if file.store:
        name = _DOCKER_HUB_KEYS[0] if reference.host == DOCKER_HUB else reference.host
        return _ask_helper(file.store, name, path)
    return None


def _keys(reference: ImageReference) -> list[str]:
    """What an entry for this repository may be called, the longest name first."""
    keys = []
    parts = reference.repository.split("/")
    for count in range(len(parts), 0, -1):
        keys.append("/".join([reference.host, *parts[:count]]))
    keys.append(reference.host)
    if reference.host == DOCKER_HUB:
        keys += _DOCKER_HUB_KEYS
    return keys


def _plain(key: str) -> str:
    """A key without scheme and version path: old files hold ``https://host/v1/``."""
    key = re.sub(r"^https?://", "", key)
    return re.sub(r"/(v[12]/?)?$", "", key)


def _decoded(entry: _Auth, path: Path) -> Credentials | None:
    username, password = entry.username, entry.password
    if entry.auth:
        try:
            text = base64.b64decode(entry.auth, validate=True).decode()
        except (binascii.Error, ValueError):
            raise UnreadableInput(f"{path}: holds an entry that is not base64; log in again") from None
        username, colon, password = text.partition(":")
        if not colon:
            raise UnreadableInput(f"{path}: holds an entry without a password; log in again")
        password = password.rstrip("\0")
    if entry.identity_token:
        return Credentials(username, identity_token=entry.identity_token)
    return Credentials(username, password) if username else None


def _ask_helper(name: str, host: str, path: Path) -> Credentials | None:
    """Run ``docker-credential-NAME get``. None where it says that it holds nothing for the host."""
    if not _HELPER.match(name):
        raise UnreadableInput(f"{path}: {name[:80]!r} is not the name of a credential helper")
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(
            [program, "get"], input=host.encode(), capture_output=True, timeout=HELPER_TIMEOUT, check=False
        )
    except FileNotFoundError:
        raise AccessDenied(f"{path}: names the credential helper {program}, which is not installed") from None
    except OSError as error:
        raise AccessDenied(f"{program}: cannot be run ({error.strerror})") from error
    except subprocess.TimeoutExpired:
        raise AccessDenied(f"{program}: gave no answer in {HELPER_TIMEOUT:.0f} seconds") from None
    if done.returncode:
        if b"not found" in done.stdout.lower():
            return None
        raise AccessDenied(f"{program}: failed for {host} (exit code {done.returncode}); log in again")
    try:
        answer = msgspec.json.decode(done.stdout, type=_Helped)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise AccessDenied(f"{program}: its answer for {host} cannot be read") from None
    if answer.username == TOKEN_USER:
        return Credentials(identity_token=answer.secret)
    return Credentials(answer.username, answer.secret) if answer.username else None
