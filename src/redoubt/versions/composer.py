"""PHP package versions, as Composer normalises and compares them.

Rules: ``VersionParser::normalize`` of composer/semver (3.3) and PHP's ``version_compare``, by which Composer
orders what it has normalised. Branches (``dev-main``, ``master``) are invalid here: Composer compares them
with nothing, and an inexact key says the same. A branch with numbers (``2.1.x-dev``) has its place: above
every release that it leads to.

Deviations: numbers are compared whole (PHP stops at 64 bits), ``STABLE`` reads as ``stable``, and an alias
(``1.0 as 2.0``) is no version.
"""

from __future__ import annotations

import re

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.keys import Memo, number

_BLANKS = " \t\n\r\0\v"
MODIFIER = (
    r"(?i:[._-]?(?:(stable|beta|b|rc|alpha|a|patch|pl|p)((?:[.-]?[0-9]++)*+))?([.-]?dev)?)"  # one for all
)
_STABILITY = re.compile("@(?:stable|rc|beta|alpha|dev)$", re.IGNORECASE | re.ASCII)
_METADATA = re.compile(r"([^,\s+]++)\+\S++", re.ASCII).fullmatch
_CLASSICAL = re.compile(
    rf"[vV]?([0-9]{{1,5}}+)(\.[0-9]++)?+(\.[0-9]++)?+(\.[0-9]++)?+{MODIFIER}", re.ASCII
).fullmatch
_DATE = re.compile(
    rf"[vV]?([0-9]{{4}}(?:[.:-]?[0-9]{{2}}){{1,6}}(?:[.:-]?[0-9]{{1,3}})?){MODIFIER}"
).fullmatch
_BRANCH = re.compile(
    r"[vV]?([0-9]++)(\.(?:[0-9]++|[xX*]))?+(\.(?:[0-9]++|[xX*]))?+(\.(?:[0-9]++|[xX*]))?+[.-]?(?i:dev)"
).fullmatch
_RUNS = re.compile("[0-9]+").findall

#: What stands in a branch's name for the numbers to come.
_ANY_NUMBER = "9999999"

# What may come next, in ascending order. PHP puts the end between RC and numbers.
_DEV, _ALPHA, _BETA, _RC, _END, _NUMBER, _PATCH = (bytes((n,)) for n in range(1, 8))
_WORDS = {"alpha": _ALPHA, "a": _ALPHA, "beta": _BETA, "b": _BETA, "rc": _RC}
_WORDS |= {"patch": _PATCH, "pl": _PATCH, "p": _PATCH}

_number_of = Memo(lambda digits: _NUMBER + number(digits)).__getitem__


def key(version: str) -> bytes:
    """Order-preserving bytes of a Composer version. Raises ``InvalidVersion``, also for a branch."""
    text = _STABILITY.sub("", version.strip(_BLANKS))
    metadata = _METADATA(text)
    if metadata:
        text = metadata[1]
    match = _CLASSICAL(text)
    if match:
        numbers = [match[1], *((match[at] or ".0")[1:] for at in (2, 3, 4))]
        return _ordered(numbers, match[5], match[6], match[7])
    match = _DATE(text)
    if match:
        return _ordered(_RUNS(match[1]), match[2], match[3], match[4])
    match = _BRANCH(text)
    if match:
        numbers = [match[1], *((match[at] or ".x")[1:] for at in (2, 3, 4))]
        return _ordered([_ANY_NUMBER if text in "xX*" else text for text in numbers], None, None, "dev")
    raise InvalidVersion("composer", version)


def _ordered(numbers: list[str], word: str | None, more: str | None, dev: str | None) -> bytes:
    parts = list(map(_number_of, numbers))
    word = (word or "").lower()
    if word and word != "stable":
        parts.append(_WORDS[word])
        parts.extend(map(_number_of, _RUNS(more or "")))
    if dev and word != "stable":
        parts.append(_DEV)
    parts.append(_END)
    return b"".join(parts)
