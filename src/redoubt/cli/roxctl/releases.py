"""Releases of StackRox: which of them names the bundle that is fetched, and what that file is called. Pure text."""

from __future__ import annotations

import re

from redoubt.definitions.stackrox import NEWEST_RELEASE as NEWEST_RELEASE
from redoubt.errors import UsageError

#: Where StackRox publishes its offline bundles.
UPSTREAM = "https://install.stackrox.io/scanner"
#: What releases before Scanner V4 (4.4) are given.
_LATEST = "scanner-vuln-updates.zip"
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(\.[0-9x]+)*(-[0-9A-Za-z.+-]+)?")


def variants(version: str) -> list[str]:
    """The version and what it is a variant of, most specific first: ``4.4.1-extra``, ``4.4.1``, ``4.4``.

    Raises ``UsageError`` for what is no version.
    """
    _parsed(version)
    parts = version.split("-")
    found = ["-".join(parts[:end]) for end in range(len(parts), 0, -1)]
    while found[-1].count(".") > 1:
        found.append(found[-1].rpartition(".")[0])
    return found


def files(version: str, *, only_first: bool = False) -> list[str]:
    """Paths below the base address, in the order in which they are tried."""
    major, minor, patch = _parsed(version)
    if (major, minor) < (4, 4) and (major, minor, patch) != (4, 3, ".x"):
        return [_LATEST]
    wanted = variants(version)
    return [f"{one}/scanner-vulns-{one}.zip" for one in (wanted[:1] if only_first else wanted)]


def _parsed(version: str) -> tuple[int, int, str]:
    """Major, minor and ``.patch``. 4.3.x is what development builds of 4.4 called themselves."""
    match = _VERSION.fullmatch(version)
    if not match or len(version) > 100:
        raise UsageError(f"{version!r} is no version of StackRox; write for example {NEWEST_RELEASE} or 4.11")
    return int(match[1]), int(match[2]), match[3] or ""
