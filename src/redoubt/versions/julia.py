"""Julia package versions, as Julia's ``VersionNumber`` parses and compares them.

Rules: ``base/version.jl`` of Julia: Semantic Versioning 2.0.0, but that build metadata counts. ``3.0.16+1``, the same
library built once more, is above ``3.0.16+0`` and this above ``3.0.16``; Julia's advisories name such versions. A
pre-release may follow without a hyphen (``1.0rc1``); a hyphen with nothing behind it is below all pre-releases, a plus with
nothing behind it above all builds. Numbers are compared whole.
"""

from __future__ import annotations

import re

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.semver import ABOVE, BELOW, identifiers, ordered

_WORDS = r"[0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+"
_VERSION = re.compile(
    rf"[vV]?([0-9]++)(?:\.([0-9]++))?+(?:\.([0-9]++))?+"
    rf"(?:(?:([A-Za-z][0-9A-Za-z-]*+(?:\.[0-9A-Za-z-]++)*+)|-({_WORDS}))?+(\+(?:{_WORDS})?+)?+|(-))"
).fullmatch


def key(version: str) -> bytes:
    """Order-preserving bytes of a Julia version. Raises ``InvalidVersion``."""
    match = _VERSION(version)
    if not match:
        raise InvalidVersion("julia", version)
    major, minor, patch, attached, hyphened, build, hyphen = match.groups()
    core = ordered(major, minor, patch, attached or hyphened)
    if hyphen:
        return core[:-1] + BELOW
    if not build:
        return core
    return core + (identifiers(build[1:]) if build != "+" else ABOVE)
