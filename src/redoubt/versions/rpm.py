"""RPM versions: ``[epoch:]version[-release]``, as librpm parses and compares them.

Rules: rpm-version(7) and librpm's ``rpmverParse``, ``rpmverCmp`` and ``rpmvercmp``. Digits followed by a
colon are an epoch; anything else before a colon belongs to the version. No epoch, and an empty one, equal
epoch 0. No release is lower than any release, the empty one (``1-``) included. librpm takes any text that
is not empty, so nearly everything has a key; the empty text and texts with a NUL are invalid.
"""

from __future__ import annotations

import re

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.keys import Memo, number, number_of

_TOKENS = re.compile("[0-9]+|[A-Za-z]+|[~^]").findall

# What may come next, in ascending order; the release is marked so that its absence is the lowest.
_TILDE, _END, _CARET, _LETTERS, _NUMBER = b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"
_NO_RELEASE, _RELEASE = b"\0", b"\x01"


def _token(text: str) -> bytes:
    if text == "~":
        return _TILDE
    if text == "^":
        return _CARET
    if text[0] <= "9":
        return _NUMBER + number(text)
    return _LETTERS + text.encode("ascii") + b"\0"


_token_of = Memo(_token).__getitem__


def _part(text: str) -> bytes:
    return b"".join(map(_token_of, _TOKENS(text))) + _END


def key(version: str) -> bytes:
    """Order-preserving bytes of an EVR. Raises ``InvalidVersion`` (empty text, NUL)."""
    if not version or "\0" in version:
        raise InvalidVersion("rpm", version)
    epoch = b"\0"
    rest = version
    if ":" in version:
        digits, _, tail = version.partition(":")
        if not digits or (digits.isdigit() and digits.isascii()):
            epoch, rest = number_of(digits), tail
    text, hyphen, release = rest.rpartition("-")
    if not hyphen:
        return epoch + _part(rest) + _NO_RELEASE
    return epoch + _part(text) + _RELEASE + _part(release)
