"""Dart and Flutter package versions, as pub_semver compares them.

Rules: ``Version.compareTo`` of pub_semver: Semantic Versioning 2.0.0, but that build metadata counts. A version with
it is above the one without, and two are compared identifier by identifier, as pre-releases are: ``1.2.3+1``, which is how
pub publishes a repaired 1.2.3, is a later version. Read more widely, as ``semver`` is: a leading ``v``, a missing minor or
patch. What Dart reads as a number beside digits alone (``-5``, ``0x1f``) is a word here.
"""

from __future__ import annotations

import re

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.semver import identifiers, ordered

_VERSION = re.compile(
    r"v?([0-9]++)(?:\.([0-9]++))?+(?:\.([0-9]++))?+"
    r"(?:-([0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+))?+(?:\+([0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+)?+)?+"
).fullmatch


def key(version: str) -> bytes:
    """Order-preserving bytes of a pub version. Raises ``InvalidVersion``."""
    match = _VERSION(version)
    if not match:
        raise InvalidVersion("pub", version)
    major, minor, patch, prerelease, build = match.groups()
    core = ordered(major, minor, patch, prerelease)
    return core + identifiers(build) if build else core
