"""Debian package versions, as dpkg compares them.

Rules: deb-version(7), Debian Policy 5.6.12, and dpkg's own parser where those are silent. What
``dpkg --compare-versions`` refuses is invalid here; what it accepts with a warning (a version that begins
with a letter, characters outside the policy's set) has a key, since real packages have such versions.
A missing revision equals the revision ``0``. Stricter than dpkg in one point: an epoch is digits only
(dpkg takes ``+1:``).
"""

from __future__ import annotations

import re

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.keys import Memo, number, number_of

_LARGEST_EPOCH = number_of("2147483647")
_PAIRS = re.compile("[^0-9]*[0-9]*").findall


def _order_of_bytes() -> bytes:
    """dpkg's order within a run of non-digits: ``~``, the end of the run, letters, everything else.

    Bytes above 0x7f come between letters and the rest, as with a signed C char.
    """
    table = bytearray(256)
    letters = [byte for byte in range(128) if chr(byte).isalpha()]
    others = [byte for byte in range(128) if not chr(byte).isalnum() and chr(byte) != "~"]
    for rank, byte in enumerate([*letters, *range(128, 256), *others], start=3):
        table[byte] = rank
    table[ord("~")] = 1
    return bytes(table)


_ORDER = _order_of_bytes()
_END = b"\x02"


def _pair(text: str) -> bytes:
    """A run of non-digits, its end, and the number that follows (zero where there is none)."""
    word = text.rstrip("0123456789")
    return word.encode("utf-8", "surrogatepass").translate(_ORDER) + _END + number(text[len(word) :])


_pair_of = Memo(_pair).__getitem__


def _part(text: str) -> bytes:
    """An upstream version or a revision."""
    # The last match is empty: an end of run and a zero, which closes the part.
    return b"".join(map(_pair_of, _PAIRS(text)))


#: Most packages of a release share a few revisions.
_revision_of = Memo(_part).__getitem__


def key(version: str) -> bytes:
    """Order-preserving bytes of ``[epoch:]upstream[-revision]``. Raises ``InvalidVersion``."""
    text = version.strip(" \t")
    epoch = b"\0"
    rest = text
    if ":" in text:
        digits, _, rest = text.partition(":")
        if not (digits.isdigit() and digits.isascii()):
            raise InvalidVersion("deb", version)
        epoch = number_of(digits)
        if epoch > _LARGEST_EPOCH:
            raise InvalidVersion("deb", version)
    upstream, hyphen, revision = rest.rpartition("-")
    if not hyphen:
        upstream, revision = rest, "0"
    if not upstream or not revision or " " in rest or "\t" in rest or "\0" in rest:
        raise InvalidVersion("deb", version)
    return epoch + _part(upstream) + _revision_of(revision)
