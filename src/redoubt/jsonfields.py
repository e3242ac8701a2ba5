"""Fields of decoded JSON, read without trust: what has another type than it should counts as not there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

Given: TypeAlias = Mapping[str, Any]


def text(given: Given, *path: str) -> str:
    """The text at a path; empty where there is none."""
    found = _at(given, path)
    return found if isinstance(found, str) else ""


def number(given: Given, *path: str) -> int:
    """The whole number at a path; 0 where there is none."""
    found = _at(given, path)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def flag(given: Given, *path: str, default: bool = False) -> bool:
    """What is said at a path, or the default."""
    found = _at(given, path)
    return found if isinstance(found, bool) else default


def part(given: Given, *path: str) -> dict[str, Any]:
    """The object at a path; an empty one where there is none."""
    found = _at(given, path)
    return found if isinstance(found, dict) else {}


def parts(given: Given, *path: str) -> list[dict[str, Any]]:
    """The objects of a list at a path."""
    found = _at(given, path)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def words(given: Given, *path: str) -> tuple[str, ...]:
    """The texts of a list at a path."""
    found = _at(given, path)
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()


def texts(given: Given, *path: str) -> dict[str, str]:
    """Names and texts: labels, annotations."""
    return {name: value for name, value in part(given, *path).items() if isinstance(value, str)}


def moment(given: Given, *path: str) -> datetime | None:
    """An RFC 3339 time; None where there is none."""
    try:
        found = datetime.fromisoformat(text(given, *path))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _at(given: object, path: tuple[str, ...]) -> object:
    for step in path:
        if not isinstance(given, dict):
            return None
        given = given.get(step)
    return given
