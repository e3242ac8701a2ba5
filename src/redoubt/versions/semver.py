"""Semantic versions, as crates.io, Bitnami and OSV's ``SEMVER`` ranges write them.

Rules: Semantic Versioning 2.0.0, section 11; build metadata is ignored. Read more widely than its
grammar, because real records are: a leading ``v``, a missing minor or patch (zero), and leading zeros
(``2024.03.30``), which change nothing. ``npm`` and ``golang`` are strict in their own ways, ``pub`` and ``julia``
order build metadata, and have their own modules; the order of identifiers is shared from here.
"""

from __future__ import annotations

import re

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.keys import ZERO, Memo, number, number_of

_VERSION = re.compile(
    r"v?([0-9]++)(?:\.([0-9]++))?+(?:\.([0-9]++))?+"
    r"(?:-([0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+))?+(?:\+[0-9A-Za-z.-]*+)?+"
).fullmatch

_END, _NUMERIC, _TEXT, _RELEASE = b"\0", b"\x01", b"\x02", b"\x03"


def _identifier(text: str) -> bytes:
    if text.isdigit():
        return _NUMERIC + number(text)
    return _TEXT + text.encode("ascii") + b"\0"


#: One pre-release identifier as bytes, numbers below words; ASCII letters, digits and hyphens.
identifier = Memo(_identifier).__getitem__

#: What stands in the place of ``identifiers`` below, and above, any of them.
BELOW, ABOVE = _END, _RELEASE


def identifiers(text: str) -> bytes:
    """Identifiers between dots as bytes: one after another, fewer below more; nothing at all is below any."""
    return b"".join(map(identifier, text.split("."))) + _END


def ordered(major: str, minor: str | None, patch: str | None, prerelease: str | None) -> bytes:
    """Order-preserving bytes of parts that were already found to be well formed (ASCII).

    ``None`` for a number is zero; for the pre-release it is a release, above all its pre-releases.
    """
    core = number_of(major) + (number_of(minor) if minor else ZERO) + (number_of(patch) if patch else ZERO)
    if prerelease is None:
        return core + _RELEASE
    return core + identifiers(prerelease)


def key(version: str) -> bytes:
    """Order-preserving bytes of a semantic version. Raises ``InvalidVersion``."""
    match = _VERSION(version)
    if not match:
        raise InvalidVersion("semver", version)
    return ordered(*match.groups())
