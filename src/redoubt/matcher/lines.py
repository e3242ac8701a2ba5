"""Builds that say for which line of a distribution they were made, and so with which fixes they are to be compared.

Pure text and ranges. A distribution that repairs a flaw for one minor release and again for the next names two builds,
and the later one is higher. A build of the earlier line that has the earlier fix is repaired, although the other is above
it; so is a build of a subscription's line (Ubuntu Pro's ``esm``) that has the subscription's fix. A build that names no line
is compared with all fixes, and so is one whose line has none: then nobody said that it is repaired.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from msgspec import structs

from redoubt.matcher import judge
from redoubt.matcher.group import Hit
from redoubt.matcher.judge import Bearing, Installed, Ranges
from redoubt.model import Advisory, RangeFlag, namespaces

#: The minor release that a build was made for: ``5.el9_4.2``, and of a module's ``1.module+el8.6.0+13392+…``.
_MINOR = re.compile(r"\.el(\d+)_(\d+)|\+el(\d+)\.(\d+)\.")
#: Builds of Ubuntu Pro: ``1.0-1ubuntu0.1~esm2``.
_ESM = re.compile(r"[~+]esm\d")
_CHANNEL = "esm"

_FIXED = int(RangeFlag.FIXED)


@lru_cache(1 << 15)
def minor(version: str) -> str:
    """The minor release that a build names in its release: ``9.4``; empty where it names none."""
    found = _MINOR.search(version)
    return f"{found[1] or found[3]}.{found[2] or found[4]}" if found else ""


def of_minor(line: str, ranges: Ranges) -> Ranges:
    """Of one record about one flaw: without fixes for other minor releases than ``line`` where that has one of its own."""
    if not line or len(ranges) < 2 or all(minor(item.fixed) != line for item in ranges):
        return ranges
    return tuple(item for item in ranges if not item.fixed or minor(item.fixed) == line)


class Notices:
    """Which notices of a package count, where it names a minor release and each has a notice of its own.

    ``entries`` are all records of the package, and ``advisory`` gives one by ref. For distributions whose records are notices
    (``namespaces.has_notices_of_minors``) and for packages outside modules: a module's notice names its flaws for all packages
    in it, whichever of them had the flaw, so that it does not say of one that it is repaired.
    """

    def __init__(
        self,
        package: Installed,
        entries: Iterable[tuple[str, Ranges]],
        advisory: Callable[[str], Advisory],
    ) -> None:
        asked = namespaces.has_notices_of_minors(package.namespace) and not package.module
        line = minor(package.version.text) if asked else ""
        self._own = {ref for ref, ranges in entries if _has_fix(ranges, line, package)} if line else set()
        own = [advisory(ref) for ref in self._own]
        #: The flaws that the package's own minor release has a fix for.
        self.repaired = frozenset(cve for item in own if not item.withdrawn for cve in item.cves)

    def left(self, ref: str, cves: tuple[str, ...]) -> tuple[str, ...]:
        """Of the flaws of a notice those that it counts for: of another minor release's those that the own one has no fix for."""
        if not self.repaired or ref in self._own or self.repaired.isdisjoint(cves):
            return cves
        return tuple(cve for cve in cves if cve not in self.repaired)

    def counting(self, hits: list[Hit]) -> list[Hit]:
        """Those of the hits that count, for the flaws that they count for."""
        if not self.repaired:  # nearly always
            return hits
        kept = []
        for hit in hits:
            cves = hit.advisory.cves
            left = self.left(hit.ref, cves)
            if left is cves:
                kept.append(hit)
            elif left:
                kept.append(structs.replace(hit, only=left))
        return kept


def _has_fix(ranges: Ranges, line: str, package: Installed) -> bool:
    """Whether any of a notice's fixes is for a minor release, and for such a package."""
    return any(
        item.flags & _FIXED and minor(item.upper) == line and judge.applies(item, package) for item in ranges
    )


def subscribed(package: Installed) -> bool:
    """Whether a build is one that only subscribers have."""
    return namespaces.has_channels(package.namespace) and _ESM.search(package.version.text) is not None


def repaired_for_subscribers(ranges: Ranges, package: Installed) -> bool:
    """Whether a record names fixes for subscribers and a build of theirs has them all."""
    theirs = [item for item in ranges if item.channel == _CHANNEL and item.fixed]
    return bool(theirs) and all(judge.bearing(item, package) is Bearing.FIXED for item in theirs)
