"""Which credentials are sent, and where from. Never shows one: messages name the flag, variable or file."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path

import click

from redoubt.cli.roxctl.settings import Told
from redoubt.errors import AccessDenied, UnreadableInput, UsageError

#: The only user with a password.
_USER = "admin"
_LARGEST = 64 << 10
_BOTH = "a password and a token cannot be used at the same time"


@dataclass(frozen=True)
class Credentials:
    """``header`` is what ``Authorization`` says; ``source`` names the flag, variable or file, never the secret."""

    header: str
    source: str


def choose(ctx: click.Context) -> Credentials | None:
    """What flags and environment give; None where they give nothing and a stored login is to be used.

    A flag beats the environment. Both kinds by flags, or both by the environment without a flag, are a
    ``UsageError``; so is a file that holds no single token. The rules of the original, facts 1.1.
    """
    told = Told(ctx)
    by_flag = {name for name in ("password", "token_file") if name in told.given}
    password, password_from = told.text("password", "ROX_ADMIN_PASSWORD")
    file, file_from = told.text("token_file", "ROX_API_TOKEN_FILE")
    token = os.environ.get("ROX_API_TOKEN", "").strip()
    if len(by_flag) == 2:
        raise UsageError(f"{_BOTH}; leave out --password or --token-file")
    if not by_flag and password and (token or file):
        other = "ROX_API_TOKEN" if token else file_from
        raise UsageError(f"{_BOTH}; unset {password_from} or {other}, or say which with a flag")
    if password and "token_file" not in by_flag:
        return Credentials(f"Basic {_basic(password, password_from)}", password_from)
    if token and "token_file" not in by_flag and file_from != "ROX_API_TOKEN_FILE":
        return bearer(token, "ROX_API_TOKEN")
    if file:
        return bearer(_read(Path(file), file_from), file)
    return None


def bearer(token: str, source: str) -> Credentials:
    """A token as it is sent. Raises ``UsageError`` where it cannot be one."""
    if not token or not token.isascii() or any(not c.isprintable() or c.isspace() for c in token):
        raise UsageError(f"{source} holds no token, or more than one; a token is one word on one line")
    return Credentials(f"Bearer {token}", source)


def _basic(password: str, source: str) -> str:
    try:
        told = password.encode()
    except UnicodeEncodeError:  # what Python could not read with the locale's encoding, it has kept as bytes
        told = os.fsencode(password)
        try:
            told.decode()
        except UnicodeError:
            raise UsageError(
                f"{source} is no UTF-8, as passwords are; check the terminal's encoding"
            ) from None
    return base64.b64encode(_USER.encode() + b":" + told).decode()


def _read(path: Path, named_by: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise UnreadableInput(f"{path}: no such token file; check {named_by}") from None
    except PermissionError:
        raise AccessDenied(f"{path}: the token file may not be read") from None
    except OSError as error:
        raise UnreadableInput(f"{path}: {error.strerror}") from None
    text = data.decode("ascii", "replace").strip()
    if not text:
        raise UnreadableInput(f"{path} is empty; put the API token into it")
    if len(data) > _LARGEST:
        raise UnreadableInput(f"{path} is too large for a token")
    return text
