"""What every area asks of names and identifiers that it is given."""

from __future__ import annotations

import re
from uuid import UUID, uuid4

from redoubt.central.refusals import InvalidArgument

_IMAGE = re.compile(r"[a-z0-9]+(?:[._:/@-]+[A-Za-z0-9_]+)*")


def name(text: str, what: str = "the name", most: int = 200) -> str:
    """``text`` without blanks around it. Raises ``InvalidArgument`` for an empty, long or unprintable one."""
    text = text.strip()
    if not text:
        raise InvalidArgument(f"{what} is missing")
    if len(text) > most or not text.isprintable():
        raise InvalidArgument(f"{what} has at most {most} printable characters")
    return text


def text(value: str, what: str, most: int = 2000) -> str:
    """``value``, which may be empty and have several lines, but no NUL and no more than ``most`` characters."""
    if len(value) > most or "\x00" in value:
        raise InvalidArgument(f"{what} has at most {most} characters, and no NUL")
    return value


def identifier(value: str, what: str = "the identifier") -> str:
    """A UUID in its usual form. Raises ``InvalidArgument``."""
    try:
        return str(UUID(value))
    except ValueError:
        raise InvalidArgument(f"{what} is not a UUID") from None


def identifier_or_new(value: str) -> str:
    """A UUID; a new one where ``value`` is empty."""
    return identifier(value) if value else str(uuid4())


def same(path: UUID | str, body: str, what: str = "the identifier") -> None:
    """Raises ``InvalidArgument`` where the body names another one than the path."""
    if body and body.lower() != str(path).lower():
        raise InvalidArgument(f"{what} in the path and the one in the body differ")


def repository(value: str, what: str) -> str:
    """An image's repository, or an empty text. Raises ``InvalidArgument``."""
    if value and (len(value) > 500 or not _IMAGE.fullmatch(value)):
        raise InvalidArgument(f"{what} is not an image's repository, as in registry.example/team/image")
    return value
