"""Risk as a number with its reasons, ``storage.Risk``. Pure.

A risk is the product of its factors. Each is between 1 (nothing speaks for it) and a maximum, which it reaches where what
speaks for it reaches a saturation: facts of StackRox's ``central/risk``. A factor that says nothing is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec


class Factor(msgspec.Struct, frozen=True, kw_only=True):
    """``Risk.Result.Factor``: one reason."""

    message: str
    url: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """``Risk.Result``: a factor by its name, with its reasons."""

    name: str
    factors: tuple[Factor, ...]
    score: float


class Risk(msgspec.Struct, frozen=True, kw_only=True):
    """A score and what it is made of."""

    score: float = 1.0
    results: tuple[Result, ...] = ()


def normalised(value: float, saturation: float, most: float) -> float:
    """1 for 0, ``most`` for ``saturation`` and above, in a straight line between."""
    if not math.isfinite(value) or value >= saturation:
        return most if value > 0 or math.isnan(value) else 1.0
    return 1.0 + max(value, 0.0) / saturation * (most - 1.0)


def between(value: float, floor: float, ceiling: float, most: float) -> float:
    """1 up to ``floor``, ``most`` from ``ceiling`` on."""
    return normalised(value - floor, ceiling - floor, most)


def together(results: Iterable[Result | None]) -> Risk:
    """The risk that some factors make."""
    given = tuple(each for each in results if each is not None and each.score > 1.0)
    return Risk(score=math.prod(each.score for each in given), results=given)


def reasons(messages: Iterable[str]) -> tuple[Factor, ...]:
    """Messages as factors."""
    return tuple(Factor(message=each) for each in messages)


def listed(words: Iterable[str], most: int = 10) -> str:
    """Words with commas between; no more than some."""
    given = list(words)
    shown = ", ".join(given[:most])
    return f"{shown} and {len(given) - most} more" if len(given) > most else shown
