"""npm package versions, as node-semver reads them.

Rules: what ``semver.clean`` of node-semver accepts (strict parse after white space and any ``=`` and
``v`` in front, which published ``package.json`` files have): three numbers without leading zeros up to
2**53-1, at most 256 characters. Pre-releases compare as Semantic Versioning says, numbers whole
(node-semver rounds those above 2**53 to a double). Build metadata is ignored.
"""

from __future__ import annotations

import re

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.keys import number_of
from redoubt.versions.semver import ordered

_NUMBER = r"(?:0|[1-9][0-9]*+)"
_IDENTIFIER = rf"(?:[0-9]*+[A-Za-z-][0-9A-Za-z-]*+|{_NUMBER})"
_VERSION = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})"
    rf"(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*+))?+(?:\+[0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+)?+"
).fullmatch

#: JavaScript's white space and line terminators.
_BLANKS = "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_LONGEST = 256
_LARGEST = number_of(str(2**53 - 1))


def key(version: str) -> bytes:
    """Order-preserving bytes of an npm version. Raises ``InvalidVersion``."""
    text = version.strip(_BLANKS).lstrip("=v")
    match = _VERSION(text) if len(text) <= _LONGEST else None
    if not match:
        raise InvalidVersion("npm", version)
    major, minor, patch, prerelease = match.groups()
    if max(len(major), len(minor), len(patch)) > 15 and (  # 15 digits are always below 2**53
        max(number_of(major), number_of(minor), number_of(patch)) > _LARGEST
    ):
        raise InvalidVersion("npm", version)
    return ordered(major, minor, patch, prerelease)
