"""Alpine package versions, as apk-tools 3 (3.0) compares them.

Rules: apk-package(5), ``number{.number}{letter}{_suffix{number}}{~hash}{-r#}``, and the order that apk 3
gives the parts. A component after the first that begins with ``0`` compares as text (``1.05 < 1.1``,
``1.0 < 1.00``); apk 2 differs there. Numbers are compared whole (apk stops at 64 bits).
"""

from __future__ import annotations

import re

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.keys import Memo, number, number_of

_VERSION = re.compile(
    r"([0-9]+)((?:\.[0-9]+)*)([a-z]?)"
    r"((?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*)"
    r"(?:~([0-9a-f]+))?(?:-r([0-9]+))?"
).fullmatch
_SUFFIXES = re.compile(r"_[a-z]+[0-9]*").findall

# What may come next, in ascending order: a version that ends is above one that goes on with a
# pre-release suffix and below one that goes on with anything else.
_PRE, _END, _REVISION, _HASH, _SUFFIX_NUMBER, _POST, _LETTER, _NUMBER = (bytes((n,)) for n in range(1, 9))
_RANKS = {name: _PRE + bytes((rank,)) for rank, name in enumerate(("alpha", "beta", "pre", "rc"))}
_RANKS |= {name: _POST + bytes((rank,)) for rank, name in enumerate(("cvs", "svn", "git", "hg", "p"))}


def _component(digits: str) -> bytes:
    if digits[0] == "0":
        return _NUMBER + b"\x01" + digits.encode("ascii") + b"\0"
    return _NUMBER + b"\x02" + number(digits)


def _suffix(text: str) -> bytes:
    name = text.rstrip("0123456789")
    digits = text[len(name) :]
    return _RANKS[name[1:]] + (_SUFFIX_NUMBER + number(digits) if digits else b"")


_component_of = Memo(_component).__getitem__
_suffix_of = Memo(_suffix).__getitem__


def key(version: str) -> bytes:
    """Order-preserving bytes of an apk version. Raises ``InvalidVersion``."""
    match = _VERSION(version)
    if not match:
        raise InvalidVersion("apk", version)
    first, components, letter, suffixes, commit, revision = match.groups()
    parts = [number_of(first)]
    if components:
        parts.extend(map(_component_of, components[1:].split(".")))
    if letter:
        parts.append(_LETTER + letter.encode("ascii"))
    if suffixes:
        parts.extend(map(_suffix_of, _SUFFIXES(suffixes)))
    if commit:
        parts.append(_HASH + commit.encode("ascii") + b"\0")
    if revision:
        parts.append(_REVISION + number_of(revision))
    parts.append(_END)
    return b"".join(parts)
