"""Versions as bytes whose order is their scheme's order. Knows text and schemes, and nothing of ours.

``key("deb", "1.0~rc1-1") < key("deb", "1.0-1")``: parsing happens once, when a package is indexed or
definitions are built; matching compares bytes. Where bytes cannot keep a scheme's order (some Maven
versions, text outside a scheme's grammar) a key says so: it is *inexact*, equal only to itself, and the
exact comparator, ``compare``, decides on the texts that stand beside. ``versions.ranges`` does both.

Keys of different schemes do not compare. Which rules each scheme follows is said in its module.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.keys import INEXACT, inexact

__all__ = ["SCHEMES", "InvalidVersion", "compare", "is_exact", "key", "lenient_key"]

#: Every scheme has a module of its name here, with ``key`` and, where keys may be inexact, ``compare``.
SCHEMES = frozenset(
    {
        "apk",
        "composer",
        "deb",
        "gem",
        "golang",
        "julia",
        "jvm",
        "maven",
        "npm",
        "nuget",
        "pacman",
        "pub",
        "pypi",
        "rpm",
        "semver",
    }
)


class _Scheme(NamedTuple):
    key: Callable[[str], bytes]
    compare: Callable[[str, str], int] | None


class _Registry(dict[str, _Scheme]):
    """Scheme → its functions, imported when first asked for."""

    def __missing__(self, name: str) -> _Scheme:
        if name not in SCHEMES:
            raise KeyError(name)
        module = import_module(f"redoubt.versions.{name}")
        scheme = self[name] = _Scheme(module.key, getattr(module, "compare", None))
        return scheme


_functions_of = _Registry().__getitem__


def key(scheme: str, version: str) -> bytes:
    """Bytes that order as the scheme orders versions, and are equal where it says equal.

    The key may be inexact (Maven). Raises ``InvalidVersion`` for text outside the grammar and ``KeyError``
    for a scheme that is not in ``SCHEMES``. Time and size grow linearly with the text.
    """
    return _functions_of(scheme).key(version)


def lenient_key(scheme: str, version: str) -> bytes:
    """As ``key``, but text outside the grammar gives an inexact key instead of ``InvalidVersion``."""
    try:
        return _functions_of(scheme).key(version)
    except InvalidVersion:
        return inexact(version)


def is_exact(key: bytes) -> bool:
    """Whether a key's order means anything; if not, ``compare`` decides."""
    return key < INEXACT


def compare(scheme: str, a: str, b: str) -> int:
    """-1, 0 or 1 as the scheme orders ``a`` and ``b``, always exact. Raises as ``key`` does."""
    entry = _functions_of(scheme)
    if entry.compare:
        return entry.compare(a, b)
    left, right = entry.key(a), entry.key(b)
    return (left > right) - (left < right)
