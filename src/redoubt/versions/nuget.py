"""NuGet package versions, as NuGet.Versioning reads and compares them.

Rules: "Package versioning" of NuGet's documentation: Semantic Versioning 2.0.0 with a fourth number
(``1.2.3.4``), missing numbers that are zero (``1`` equals ``1.0.0.0``), pre-release labels compared without
regard to case, and metadata after ``+`` ignored. Leading zeros are read (``1.01`` is ``1.1``). Numbers of the
version fit into 32 bits with a sign; those of labels are compared whole.
"""

from __future__ import annotations

import re

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.keys import number_of
from redoubt.versions.semver import ordered

_VERSION = re.compile(
    r"([0-9]++)(?:\.([0-9]++))?+(?:\.([0-9]++))?+(?:\.([0-9]++))?+"
    r"(?:-([0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+))?+(?:\+[0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+)?+"
).fullmatch
_LARGEST = number_of("2147483647")


def key(version: str) -> bytes:
    """Order-preserving bytes of a NuGet version. Raises ``InvalidVersion``."""
    match = _VERSION(version.strip())
    if not match:
        raise InvalidVersion("nuget", version)
    major, minor, patch, revision, labels = match.groups()
    if any(len(text) > 9 and number_of(text) > _LARGEST for text in (major, minor, patch, revision) if text):
        raise InvalidVersion("nuget", version)
    # The major number leads; the other three are as many as `ordered` takes.
    return number_of(major) + ordered(minor or "0", patch, revision, labels.upper() if labels else None)
