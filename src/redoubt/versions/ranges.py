"""Ranges of versions as OSV writes them, with their keys, and whether a version lies within one.

Rules: "affected[].ranges[].events" of the OSV schema: ``introduced`` is inclusive and ``0`` stands before
every version, ``fixed`` is exclusive, ``last_affected`` inclusive. Knows nothing of advisories.
"""

from __future__ import annotations

from typing import NamedTuple

from redoubt.versions import InvalidVersion, compare, is_exact, lenient_key
from redoubt.versions.keys import INEXACT


class Bounds(NamedTuple):
    """A range: keys and texts of both ends, empty where open. ``lower`` is always inclusive.

    ``inclusive`` is about ``upper``. ``inexact`` says that an end's key is, so that the texts decide.
    """

    lower_key: bytes
    upper_key: bytes
    lower: str
    upper: str
    inclusive: bool
    inexact: bool


def bounds(scheme: str, introduced: str = "", fixed: str = "", last_affected: str = "") -> Bounds:
    """The range between the given events; ``fixed`` wins over ``last_affected`` where both are given.

    ``introduced`` as ``"0"`` or empty is open below. Text outside the scheme's grammar is kept, inexact.
    Raises ``KeyError`` for an unknown scheme.
    """
    lower = "" if introduced == "0" else introduced
    upper = fixed or last_affected
    lower_key = lenient_key(scheme, lower) if lower else b""
    upper_key = lenient_key(scheme, upper) if upper else b""
    inclusive = bool(last_affected and not fixed)
    return Bounds(
        lower_key, upper_key, lower, upper, inclusive, not (is_exact(lower_key) and is_exact(upper_key))
    )


def within(
    scheme: str,
    version: str,
    version_key: bytes,
    lower_key: bytes,
    upper_key: bytes,
    lower: str,
    upper: str,
    inclusive: bool,
    inexact: bool,
) -> bool:
    """Whether ``version`` lies in the range; the other arguments are its ``lenient_key`` and the ``Bounds``.

    Compares bytes unless a side is inexact; then the texts are compared. Where those cannot be either
    (outside the grammar), a version is only within a range that is open at both ends or that names it:
    as ``lower``, or as an inclusive ``upper``.
    """
    if inexact or version_key >= INEXACT:
        return _within_texts(scheme, version, lower, upper, inclusive)
    if version_key < lower_key:
        return False
    return not upper_key or version_key < upper_key or (inclusive and version_key == upper_key)


def _within_texts(scheme: str, version: str, lower: str, upper: str, inclusive: bool) -> bool:
    try:
        if lower and compare(scheme, version, lower) < 0:
            return False
        if not upper:
            return True
        order = compare(scheme, version, upper)
        return order < 0 or (inclusive and order == 0)
    except InvalidVersion:
        if version == upper:
            return inclusive
        return version == lower
