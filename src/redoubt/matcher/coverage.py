"""What could be judged and what could not, said for every group of packages.

Pure. No findings for a package means "nothing known" only where its group is ``MATCHED``; this module
finds the words for every other case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from redoubt.matcher.redhat import Unplaced
from redoubt.matcher.vendors import Origin, maker, origin
from redoubt.model import Coverage, DefinitionsInfo, Distribution, Judged, Package, namespaces

#: What Go's tools write where a main module has no version of its own.
_NO_VERSION = frozenset({"", "(devel)"})

#: Makers of third-party packages that are named.
_MAKERS = 4
_NOT_OWN = {
    False: "are not the distribution's and were not judged by its data",
    True: "is not the distribution's and was not judged by its data",
}


#: Repositories that a line names at most.
_NAMES = 3
_NONE: Mapping[str, Unplaced] = MappingProxyType({})


class Place(msgspec.Struct, frozen=True):
    """Where the packages of one type belong. ``scheme`` is empty unless they are ``MATCHED``."""

    namespace: str
    judged: Judged
    scheme: str = ""


def place(package_type: str, distribution: Distribution | None, info: DefinitionsInfo) -> Place:
    """The namespace of a type of package on a system, and whether these definitions can judge it."""
    if scheme := namespaces.OPERATING_SYSTEM_TYPES.get(package_type):
        if distribution is None:
            return Place("", Judged.UNKNOWN_DISTRIBUTION)
        namespace = namespaces.of_distribution(distribution)
        if namespace is None or namespaces.scheme(namespace) != scheme:
            parts = (distribution.id, distribution.version_id or distribution.codename)
            return Place(":".join(part for part in parts if part), Judged.UNSUPPORTED_DISTRIBUTION)
    else:
        namespace = namespaces.LANGUAGES.get(package_type)
        if namespace is None:
            return Place("", Judged.UNSUPPORTED_ECOSYSTEM)
    if not info.namespaces.get(namespace):
        flattened = namespaces.any_service_pack(namespace)
        if info.namespaces.get(flattened):
            return Place(flattened, Judged.MATCHED, namespaces.scheme(flattened))
        return Place(namespace, Judged.NO_DATA)
    return Place(namespace, Judged.MATCHED, namespaces.scheme(namespace))


def unversioned(package: Package) -> bool:
    """Whether a package does not say which version it is."""
    return package.version in _NO_VERSION


def unidentified(package: Package) -> bool:
    """Whether a package's full name is not known: a Maven artifact without its group.

    It is not matched by guess: the same artifact name is used by many groups.
    """
    return package.type == "maven" and ":" not in package.name


def coverage(
    packages: Iterable[Package],
    places: dict[str, Place],
    distribution: Distribution | None,
    strange: frozenset[str] = frozenset(),
    unplaced: Mapping[str, Unplaced] = _NONE,
) -> tuple[Coverage, ...]:
    """One row for each type and namespace, sorted. ``places`` is package type → place.

    ``strange`` are the versions, as ``type/version``, that their scheme cannot order; ``unplaced`` is
    package type → packages of Red Hat's whose product is not known.
    """
    counts: dict[str, list[int]] = {kind: [0, 0, 0] for kind in places}
    makers: dict[str, list[str]] = {kind: [] for kind in places}
    for package in packages:
        count = counts[package.type]
        count[0] += 1
        where = places[package.type]
        if where.scheme and origin(package, where.namespace) is Origin.THIRD_PARTY:
            makers[package.type].append(maker(package))
        elif unidentified(package):
            count[2] += 1
        elif unversioned(package) or (strange and f"{package.type}/{package.version}" in strange):
            count[1] += 1
    return tuple(
        Coverage(
            type=kind,
            namespace=places[kind].namespace,
            judged=places[kind].judged,
            packages=total,
            unversioned=nameless_version,
            unidentified=nameless,
            third_party=len(makers[kind]),
            unmapped=unplaced[kind].unmapped if kind in unplaced else 0,
            detail="; ".join(
                part
                for part in (
                    _detail(
                        kind,
                        places[kind],
                        distribution,
                        total,
                        nameless_version,
                        nameless,
                        makers[kind],
                    ),
                    _unplaced(kind, places[kind], unplaced.get(kind)),
                )
                if part
            ),
        )
        for kind, (total, nameless_version, nameless) in sorted(counts.items())
    )


def _detail(
    kind: str,
    where: Place,
    distribution: Distribution | None,
    total: int,
    unversioned: int,
    unidentified: int,
    makers: list[str],
) -> str:
    were = f"{_count(total, f'{kind} package')} {'was' if total == 1 else 'were'} not judged"
    match where.judged:
        case Judged.UNKNOWN_DISTRIBUTION:
            return f"{were}: nothing in the image says which system they belong to (no usable os-release)"
        case Judged.UNSUPPORTED_DISTRIBUTION:
            system = (distribution.name if distribution else "") or where.namespace
            return f"{were}: {kind} packages of {system} are not supported"
        case Judged.UNSUPPORTED_ECOSYSTEM:
            return f"{were}: this kind of package is not supported"
        case Judged.NO_DATA:
            return f"{were}: these definitions hold nothing for {where.namespace}"
        case Judged.MATCHED:
            parts = []
            if unversioned:
                parts.append(f"{_count(unversioned, f'{kind} package')} without a usable version")
            if unidentified:
                parts.append(f"{_count(unidentified, f'{kind} package')} without a group")
            both = " and ".join(parts)
            lines = [f"{both} could not be judged"] if both else []
            if makers:
                lines.append(
                    f"{_count(len(makers), f'{kind} package')} of {_some(makers)} {_NOT_OWN[len(makers) == 1]}"
                )
            return "; ".join(lines)


def _some(makers: list[str]) -> str:
    names = sorted(dict.fromkeys(makers), key=str.lower)
    more = len(names) - _MAKERS
    return ", ".join(names[:_MAKERS]) + (f" and {_count(more, 'other maker')}" if more > 0 else "")


def _unplaced(kind: str, where: Place, unplaced: Unplaced | None) -> str:
    """That packages were judged as the main stream, and why."""
    if unplaced is None:
        return ""
    parts = []
    if unplaced.unmapped:
        names = sorted(unplaced.names)
        shown = ", ".join(names[:_NAMES]) + (
            f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
        )
        parts.append(
            f"{_count(unplaced.unmapped, f'{kind} package')} of repositories that these definitions know no "
            f"product of ({shown})"
        )
    if unplaced.silent:
        parts.append(f"{_count(unplaced.silent, f'{kind} package')} of no named repository")
    one = unplaced.unmapped + unplaced.silent == 1
    release = where.namespace.partition(":")[2]
    return f"{' and '.join(parts)} {'was' if one else 'were'} judged as Red Hat Enterprise Linux {release}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
