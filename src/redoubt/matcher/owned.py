"""Language packages that a package of the system installed: judged by the distribution where it can, else upstream.

A distribution repairs flaws in its packages without a change of the upstream version, so upstream's ranges
mislead there. Where the distribution's data also names the flaws that it has not repaired, it alone judges what its own
packages brought; where its data lists only repairs, silence means nothing, and upstream's data judges. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from redoubt.matcher.coverage import Place, unversioned
from redoubt.matcher.vendors import Origin, origin
from redoubt.model import AffectedRange, Location, Package, PackageFindings, Suppression, namespaces

KIND = "owned"
#: Type of a program that was found by what it says of itself.
PROGRAM = "generic"


class Records(Protocol):
    """As much of a ``Snapshot`` as says whether there are records of a package."""

    def affected(self, namespace: str, name: str) -> Sequence[tuple[str, tuple[AffectedRange, ...]]]:
        """As ``Snapshot.affected``."""


class Owners:
    """The packages of the system that are the distribution's own and really judged by its data.

    ``packages`` are all of the image; ``places`` says of each type whether definitions judge it; ``strange``
    are the versions, as ``type/version``, that cannot be compared. Of a deb whose maintainer tells nothing,
    any record in ``snapshot`` says that it is the distribution's.
    """

    def __init__(
        self,
        packages: Sequence[Package],
        places: Mapping[str, Place],
        strange: frozenset[str],
        snapshot: Records,
    ) -> None:
        self._versions: dict[str, str] = {}
        self._namespaces = {kind: place.namespace for kind, place in places.items()}
        named = {place.owner for package in packages for place in package.locations if place.owner}
        refused: set[str] = set()
        for package in packages if named else ():
            place = places[package.type]
            name = f"{package.type}/{package.name}"
            if name not in named or not place.scheme:
                continue
            if unversioned(package) or f"{package.type}/{package.version}" in strange:
                refused.add(name)
            elif _own(package, place.namespace, snapshot):
                self._versions.setdefault(name, package.version)
            else:
                refused.add(name)
        for name in refused:  # one of two with the same name is not judged: then nobody can tell which it was
            self._versions.pop(name, None)

    def left(self, kind: str, locations: tuple[Location, ...]) -> tuple[Location, ...]:
        """The places of a package of type ``kind`` that upstream's data has to judge; all where that is none."""
        if not self._versions:  # nearly always
            return locations
        return tuple(place for place in locations if not self._judge(kind, place.owner)) or locations

    def owns(self, kind: str, locations: tuple[Location, ...]) -> bool:
        """Whether every place of a package of type ``kind`` belongs to one that the distribution judges."""
        if not self._versions or not locations:  # nearly always
            return False
        return all(self._judge(kind, place.owner) for place in locations)

    def rule(self, package: PackageFindings) -> Suppression | None:
        """Why findings do not count: every place of their package is owned. A ``suppress.PackageRule``."""
        if not self.owns(package.type, package.locations):
            return None
        owners = dict.fromkeys(place.owner for place in package.locations)
        names = [f"{owner} {self._versions[owner]}" for owner in owners]
        told = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        return Suppression(
            kind=KIND,
            source=", ".join(owners),
            reason=f"owned by {told}; the distribution judges {'it' if len(names) == 1 else 'them'}",
        )

    def _judge(self, kind: str, owner: str) -> bool:
        """Whether the distribution's word on ``owner`` is one on a package of type ``kind`` in it."""
        if owner not in self._versions:
            return False
        if kind == PROGRAM:  # it is what the package is of, and not a thing of its own beside it
            return True
        namespace = self._namespaces[owner.partition("/")[0]]
        return namespaces.is_comprehensive(namespace) and namespaces.speaks_of(namespace, kind)


def _own(package: Package, namespace: str, snapshot: Records) -> bool:
    match origin(package, namespace):
        case Origin.OWN:
            return True
        case Origin.THIRD_PARTY:
            return False
    if package.type != "deb":  # all of a distribution's own rpm packages name their vendor
        return False
    return bool(snapshot.affected(namespace, package.source_name or package.name))
