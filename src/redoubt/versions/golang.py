"""Go module versions and the toolchain's own, on one line so that ``stdlib`` compares with the Go vulndb.

Rules: golang.org/x/mod/semver with an optional ``v`` (``v1.2`` equals ``v1.2.0``; pseudo-versions are
pre-releases; ``+incompatible`` and other build metadata are ignored), and the names of toolchains
(``go/version``): ``go1.21rc2`` is ``1.21.0-rc.2`` as the vulndb writes it, ``go1.20`` is ``1.20.0``, and what
follows a hyphen or a space (``go1.22.4 X:boringcrypto``) is ignored. ``(devel)`` and ``devel …`` are invalid:
nobody knows where they stand.
"""

from __future__ import annotations

import re

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.semver import ordered

_NUMBER = r"(?:0|[1-9][0-9]*+)"
_IDENTIFIER = rf"(?:[0-9]*+[A-Za-z-][0-9A-Za-z-]*+|{_NUMBER})"
_MODULE = re.compile(
    rf"v?({_NUMBER})(?:\.({_NUMBER})(?:\.({_NUMBER})"
    rf"(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*+))?+(?:\+[0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+)?+)?+)?+"
).fullmatch
_TOOLCHAIN = re.compile(
    rf"go({_NUMBER})(?:\.({_NUMBER})(?:\.({_NUMBER}))?+(?:(alpha|beta|rc)({_NUMBER}))?+)?+(?:[- ].*+)?+",
    re.DOTALL,
).fullmatch
_CANDIDATE = re.compile(rf"({_NUMBER})\.({_NUMBER})(?:\.({_NUMBER}))?+(alpha|beta|rc)({_NUMBER})").fullmatch


def key(version: str) -> bytes:
    """Order-preserving bytes of a module's or a toolchain's version. Raises ``InvalidVersion``."""
    match = _MODULE(version)
    if match:
        return ordered(*match.groups())
    match = _TOOLCHAIN(version) or _CANDIDATE(version)
    if not match:
        raise InvalidVersion("golang", version)
    major, minor, patch, kind, number = match.groups()
    return ordered(major, minor, patch, f"{kind}.{number}" if kind else None)
