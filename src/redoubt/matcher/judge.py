"""Whether a version lies in an advisory's ranges, and which version would not.

Pure comparisons. This module must not know of severities, aliases or reports. Versions are compared by
their keys; where a key is inexact, ``versions`` compares the texts (architecture: "Versions become
bytes").
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterable, Iterator, Sequence
from functools import cmp_to_key, lru_cache
from operator import attrgetter

import msgspec

from redoubt import versions
from redoubt.model import AffectedRange, RangeFlag, Status
from redoubt.versions import ranges as version_ranges
from redoubt.versions.keys import INEXACT

Ranges = tuple[AffectedRange, ...]

_INEXACT = int(RangeFlag.INEXACT)
_INCLUSIVE = int(RangeFlag.INCLUSIVE)
_FIXED = int(RangeFlag.FIXED)

#: Architectures that say "whatever the machine is".
_ANY_ARCH = frozenset({"", "noarch", "all"})

#: Statuses of a version that do not make it one to get away from.
_HARMLESS = frozenset({Status.NOT_AFFECTED, Status.UNDER_INVESTIGATION})

#: Looking a member up in its class takes thirty times as long as a global: too slow for every range.
_NOT_AFFECTED = Status.NOT_AFFECTED


_exact = attrgetter("exact")
_key_and_text = attrgetter("key", "text")


class Bearing(enum.StrEnum):
    """How a range bears on a version: whether it holds it, and if not, why."""

    HOLDS = "holds"
    NOT_AFFECTED = "not_affected"  # it holds it, to say that it is not affected
    BELOW = "below"  # the version comes before the flaw
    FIXED = "fixed"  # the version is the one that repairs it, or a later one
    ABOVE = "above"  # the version comes after the range, which names no fix
    OTHER_ARCH = "other_arch"
    OTHER_MODULE = "other_module"
    OTHER_REPOSITORY = "other_repository"  # or, of products, another range is nearer
    UNORDERED = "unordered"  # the version or a bound has no place in its scheme's order


class Point(msgspec.Struct, frozen=True, gc=False):
    """One version: its text, its key, and whether the key alone may decide."""

    text: str
    key: bytes
    exact: bool


class Installed(msgspec.Struct, frozen=True, gc=False):
    """All of a package that decides a match. ``name`` is the name that is looked up, normalised.

    ``products`` (CPEs) and ``source`` (a name) are given for packages of Red Hat's only; see ``redhat``.
    """

    namespace: str
    scheme: str
    name: str
    version: Point
    arch: str
    module: str
    repositories: tuple[str, ...] = ()
    products: tuple[str, ...] | None = None
    source: str = ""


@lru_cache(1 << 12)  # what was built from one source has one version
def point(scheme: str, text: str) -> Point:
    """A version made ready to compare."""
    key = versions.lenient_key(scheme, text)
    return Point(text, key, versions.is_exact(key))


def ordered(scheme: str, version: Point) -> bool:
    """Whether a version has a place in its scheme's order. One that has not only equals itself."""
    if version.exact:
        return True
    try:
        versions.key(scheme, version.text)
    except versions.InvalidVersion:
        return False
    return True


def hits(ranges: Ranges, package: Installed, version: Point) -> list[AffectedRange] | None:
    """The ranges of one advisory that hold ``version``; None where it is explicitly not affected.

    Ranges for other architectures, module streams or repositories than the package's do not count.
    """
    found: list[AffectedRange] = []
    key = version.key
    for item in ranges:
        if version.exact and not item.flags & _INEXACT:
            upper = item.upper_key
            if upper and key >= upper and (key > upper or not item.flags & _INCLUSIVE):
                continue
            if key < item.lower_key:
                continue
        elif not _within_exactly(item, package.scheme, version):
            continue
        # Of those that have products only such ranges are asked about as speak of these.
        restricted = item.arch or item.module or (item.repository and package.products is None)
        if restricted and not applies(item, package):
            continue
        if item.status is _NOT_AFFECTED:
            return None
        found.append(item)
    return found


def bearing(item: AffectedRange, package: Installed) -> Bearing:
    """What ``hits`` makes of one range and the package's own version, and for what reason."""
    version, scheme = package.version, package.scheme
    found = hits((item,), package, version)
    if found is None:
        return Bearing.NOT_AFFECTED
    if found:
        return Bearing.HOLDS
    if not applies(item, package):
        if not applies(msgspec.structs.replace(item, module="", repository=""), package):
            return Bearing.OTHER_ARCH
        of_module = applies(msgspec.structs.replace(item, repository=""), package)
        return Bearing.OTHER_REPOSITORY if of_module else Bearing.OTHER_MODULE
    bounds = [point(scheme, text) for text in (item.lower, item.upper) if text]
    if not all(ordered(scheme, each) for each in (version, *bounds)):
        return Bearing.UNORDERED
    if item.lower and _compare(scheme, version, bounds[0]) < 0:
        return Bearing.BELOW
    return Bearing.FIXED if item.fixed else Bearing.ABOVE


def applies(item: AffectedRange, package: Installed) -> bool:
    """Whether a range speaks of the package's architecture, module stream and repository.

    A range's module is a prefix of the package's label at a colon (``nodejs:18`` of
    ``nodejs:18:8070020…``); ``"*"`` is any modular package, ``"-"`` only those outside modules. Of a range's
    repositories the package must be, or may be, of one; an empty one is that of packages that say none.
    """
    if item.arch and package.arch not in _ANY_ARCH:
        wanted = item.arch.split("|")
        if package.arch not in wanted and _ANY_ARCH.isdisjoint(wanted):
            return False
    if item.repository and not _from(item.repository, package.repositories):
        return False
    match item.module:
        case "":
            return True
        case "*":
            return bool(package.module)
        case "-":
            return not package.module
    return f"{package.module}:".startswith(f"{item.module}:")


def _from(wanted: str, repositories: tuple[str, ...]) -> bool:
    """Whether a package that is of one of ``repositories`` may be of one that is ``wanted``. Any may be of a product."""
    if wanted.startswith("cpe:"):
        return True
    return not set(wanted.split("|")).isdisjoint(repositories or ("",))


def smallest_fix(records: Sequence[Ranges], package: Installed) -> Point | None:
    """The smallest version that repairs a flaw, going by every record of it.

    ``records`` are all ranges of each record. A record's fixes
    are the fixed ends of its ranges, as far as none of its own ranges holds them (one may begin where
    another ends). The smallest fix that no record (of those that name a fix) calls affected is taken: if
    one source believes 1.4 is repaired and another says 1.5, it is 1.5. Where they contradict each
    other without end, it is the smallest.
    """
    if len(records) == 1 and len(records[0]) == 1:
        only = records[0][0]
        if not only.flags & _FIXED:
            return None
        plain = not only.flags & (_INEXACT | _INCLUSIVE) and package.version.exact
        if plain and only.status not in _HARMLESS:
            return end(only)  # nine in ten: it holds the version, so its end is above it
    candidates: list[Point] = []
    judges: list[Ranges] = []
    for ranges in records:
        fixes = list(_repairs(ranges, package))
        if fixes:
            candidates += fixes
            judges.append(ranges)
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    candidates = _ascending(package.scheme, candidates)
    for candidate in candidates:
        if not any(_harm(ranges, package, candidate) for ranges in judges):
            return candidate
    return candidates[0]


def settle(start: Point, records: Sequence[Ranges], package: Installed) -> Point | None:
    """The smallest known version from ``start`` upwards that none of ``records`` calls affected.

    None where there is none: a record is affected from there on without an end or a known fix.
    """
    current = start
    seen = {start.text}  # Maven's order has circles
    moved = True
    while moved:
        moved = False
        for ranges in records:
            found = _harm(ranges, package, current)
            if found:
                higher = _above(current, found, records, package)
                if higher is None or higher.text in seen:
                    return None
                seen.add(higher.text)
                current, moved = higher, True
    return current


def has_fix(ranges: Ranges, package: Installed) -> bool:
    """Whether a record names any version above the installed one that is repaired."""
    return any(True for _ in _repairs(ranges, package))


def reaches(ranges: Ranges, version: Point, package: Installed) -> bool:
    """Whether any range may call ``version`` or a higher one affected."""
    key = version.key
    for item in ranges:
        if item.status in _HARMLESS:
            continue
        if version.exact and not item.flags & _INEXACT:
            upper = item.upper_key
            if not upper or upper > key or (upper == key and item.flags & _INCLUSIVE):
                return True
        elif not item.upper or _compare(package.scheme, end(item), version) >= 0:
            return True
    return False


def reach(ranges: Ranges) -> bytes:
    """A key from which upwards the ranges call no version affected: ``reaches`` is false from there on."""
    end = b""
    for item in ranges:
        if item.status in _HARMLESS:
            continue
        if not item.upper_key or item.flags & _INEXACT:
            return INEXACT  # above every key that is exact
        upper = item.upper_key + b"\0" if item.flags & _INCLUSIVE else item.upper_key
        end = max(end, upper)
    return end


def largest(scheme: str, points: Iterable[Point]) -> Point:
    """The highest of some versions. ``points`` must not be empty."""
    points = list(points)
    if len(points) == 1:
        return points[0]
    if all(map(_exact, points)):
        return max(points, key=_key_and_text)
    return _ascending(scheme, points)[-1]


def _harm(ranges: Ranges, package: Installed, version: Point) -> list[AffectedRange]:
    return [item for item in hits(ranges, package, version) or () if item.status not in _HARMLESS]


def _above(
    current: Point, found: list[AffectedRange], records: Sequence[Ranges], package: Installed
) -> Point | None:
    """A known version above all of ``found``, which hold ``current``."""
    scheme = package.scheme
    uppers = []
    for item in found:
        if not item.upper:
            return None
        uppers.append(end(item))
    top = largest(scheme, uppers)
    fixed = {item.upper for item in found if item.flags & _FIXED and not item.flags & _INCLUSIVE}
    if top.text in fixed and _compare(scheme, top, current) > 0:
        return top
    known = {
        fix.text: fix
        for ranges in records
        for fix in _fixes(ranges, package)
        if _compare(scheme, fix, top) > 0
    }
    return _ascending(scheme, known.values())[0] if known else None


def _fixes(ranges: Iterable[AffectedRange], package: Installed) -> Iterator[Point]:
    """The fixed upper bounds that are above the installed version."""
    installed = package.version
    for item in ranges:
        if not item.flags & _FIXED or not item.upper or item.status in _HARMLESS:
            continue
        if not applies(item, package):
            continue
        fix = end(item)
        if _compare(package.scheme, fix, installed) > 0:
            yield fix


def _repairs(ranges: Ranges, package: Installed) -> Iterator[Point]:
    """The fixes of a record that the record itself does not call affected."""
    for fix in _fixes(ranges, package):
        if len(ranges) == 1 or not _harm(ranges, package, fix):
            yield fix


def end(item: AffectedRange) -> Point:
    """The upper end of a range that has one."""
    return Point(item.upper, item.upper_key, versions.is_exact(item.upper_key))


def _ascending(scheme: str, points: Iterable[Point]) -> list[Point]:
    # By text first, so that versions that are equal but written differently come out the same every time.
    points = sorted(points, key=lambda item: item.text)
    if all(item.exact for item in points):
        points.sort(key=lambda item: item.key)
    else:

        def order(a: Point, b: Point) -> int:
            return _compare(scheme, a, b)

        points.sort(key=cmp_to_key(order))
    return points


def _compare(scheme: str, a: Point, b: Point) -> int:
    """-1, 0 or 1. Text outside the scheme's grammar stands, in a fixed order, above everything else."""
    if not (a.exact and b.exact):
        with contextlib.suppress(versions.InvalidVersion):
            return versions.compare(scheme, a.text, b.text)
    return (a.key > b.key) - (a.key < b.key)


def _within_exactly(item: AffectedRange, scheme: str, version: Point) -> bool:
    return version_ranges.within(scheme, version.text, version.key, *item.bounds)
