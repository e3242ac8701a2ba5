"""Red Hat: which products an image's packages belong to, and which ranges speak of them.

Pure. Red Hat says of each product (a CPE) apart whether a package of it has a flaw. An image only names
repositories; which products these mean is in the definitions. What is asked of other
distributions' data by a package's name alone is chosen here by product, name and source; versions are
compared by ``judge`` as ever. The rules are told in ``docs/matching.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import TypeAlias

import msgspec

from redoubt.matcher import judge, lines
from redoubt.matcher.interface import Snapshot
from redoubt.matcher.judge import Installed, Ranges
from redoubt.model import AffectedRange, Distribution, Package, redhat
from redoubt.model.redhat import Near

#: What Red Hat's build system puts behind a repository's name without meaning another.
_NUMBERED = re.compile(r"__\d+$")

#: A global, since an enumeration's members are slow to look up.
_MAIN_STREAM = Near.MAIN_STREAM

#: What tells ranges apart that speak of the same package.
_but_channel = attrgetter("lower_key", "upper_key", "flags", "lower", "upper", "status", "severity", "notice")

#: ``arch`` of a range that speaks of a source package, and so of all that is built from it.
_SOURCE = "src"


class Unplaced(msgspec.Struct):
    """Packages whose product is not known, and that were judged as the system's main stream.

    ``silent`` counts those that name no repository; ``unmapped`` those whose repositories (``names``) the
    definitions have no product for.
    """

    silent: int = 0
    unmapped: int = 0
    names: set[str] = msgspec.field(default_factory=set)


#: What records say of one name, by ref.
_Records: TypeAlias = Sequence[tuple[str, Ranges]]


class _Said(msgspec.Struct, gc=False):
    """The ranges of one record: those that name the package itself, and those that name what it was built from."""

    named: Ranges = ()
    sourced: Ranges = ()


class _Nears(dict[str, Near | None]):
    """The product of an advisory → how near the nearest of a package's is. Asked for every range."""

    def __init__(self, products: tuple[str, ...]) -> None:
        super().__init__()
        self._products = products

    def __missing__(self, advisory: str) -> Near | None:
        known = self[advisory] = _near(advisory, self._products)
        return known


class Products:
    """Places packages in products and gives the ranges about them. One for a run: it counts and remembers."""

    def __init__(self, snapshot: Snapshot, distribution: Distribution | None) -> None:
        self._snapshot = snapshot
        self._distribution = distribution
        self._meanings: dict[str, tuple[str, ...]] = {}
        self._repositories: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._entries: dict[tuple[object, ...], list[tuple[str, Ranges]]] = {}
        self._sourced: dict[tuple[str, str], _Records] = {}
        self._nears: dict[tuple[str, ...], _Nears] = {}
        #: Package type → those that are in no product.
        self.unplaced: dict[str, Unplaced] = {}

    def place(self, package: Package, installed: Installed, *, counted: bool) -> Installed:
        """The package with its products. One that is ``counted`` is, where they are not known."""
        if package.repositories not in self._repositories:
            meant = (self._means(name) for name in package.repositories)
            self._repositories[package.repositories] = tuple(sorted({cpe for cpes in meant for cpe in cpes}))
        products = self._repositories[package.repositories]
        if not products and installed.namespace != redhat.CONTAINERS:
            products = (f"cpe:/o:redhat:enterprise_linux:{installed.namespace.partition(':')[2]}",)
            if counted:
                self._count(package)
        return msgspec.structs.replace(
            installed, repositories=(), products=products, source=package.source_name
        )

    def entries(self, package: Installed) -> list[tuple[str, Ranges]]:
        """What each record says of a package: the ranges that speak of it and its product, by ref."""
        line = lines.minor(package.version.text)
        key = (
            package.namespace,
            package.name,
            package.source,
            package.arch,
            package.module,
            package.products,
            line,
        )
        if (known := self._entries.get(key)) is None:  # whatever its version is within its line
            nears = self._nears_of(package)
            known = self._entries[key] = []
            for ref, said in self._said(package):
                ranges = _chosen(said, package, nears)
                if len(ranges) > 1:
                    ranges = lines.of_minor(line, _once(ranges))
                if ranges:
                    known.append((ref, ranges))
        return known

    def explained(self, package: Installed) -> list[tuple[str, Ranges, Ranges]]:
        """The same with all ranges of each record before those that speak of the package."""
        nears, line = self._nears_of(package), lines.minor(package.version.text)
        return [
            (
                ref,
                (*said.named, *_of_any_arch(said.sourced)),
                lines.of_minor(line, _chosen(said, package, nears)),
            )
            for ref, said in self._said(package)
        ]

    def _nears_of(self, package: Installed) -> _Nears:
        products = package.products or ()
        if (known := self._nears.get(products)) is None:
            known = self._nears[products] = _Nears(products)
        return known

    def _count(self, package: Package) -> None:
        if self._distribution is not None and self._distribution.id == "centos":
            return  # its repositories never were Red Hat's: the main stream is what it is judged by
        count = self.unplaced.setdefault(package.type, Unplaced())
        if package.repositories:
            count.unmapped += 1
            count.names.update(package.repositories)
        else:
            count.silent += 1

    def _means(self, repository: str) -> tuple[str, ...]:
        """The products of a repository; of a CPE, which some images name themselves, that one."""
        if (known := self._meanings.get(repository)) is None:
            if redhat.cpe(repository):
                known = (repository,)
            else:
                first, second = names_of(repository)
                known = self._snapshot.mapped("product", first) or self._snapshot.mapped("product", second)
            self._meanings[repository] = known
        return known

    def _said(self, package: Installed) -> list[tuple[str, _Said]]:
        """What each record says of a package or its source, by ref."""
        if package.namespace == redhat.CONTAINERS:
            names = self._snapshot.mapped("container", package.name) or (package.name,)
            return _merged([self._snapshot.affected(package.namespace, name) for name in names], [])
        source = package.source or package.name
        of_itself: list[_Records] = []
        of_source: list[_Records] = []
        for namespace in (package.namespace, redhat.LAYERED):
            if own := self._snapshot.affected(namespace, package.name):
                of_itself.append(own)
            if others := self._of_source(namespace, source):
                of_source.append(others)
        return _merged(of_itself, of_source)

    def _of_source(self, namespace: str, source: str) -> _Records:
        """What records say of a source package. Asked for each package that was built from it."""
        key = namespace, source
        if (known := self._sourced.get(key)) is None:
            every = self._snapshot.affected(namespace, source)
            chosen = [(ref, _of_source(ranges)) for ref, ranges in every]
            known = self._sourced[key] = [item for item in chosen if item[1]]
        return known


def names_of(repository: str) -> tuple[str, str]:
    """The names under which the product of a repository is looked up, the first one first."""
    return repository, _NUMBERED.sub("", repository)


def _merged(named: list[_Records], sourced: list[_Records]) -> list[tuple[str, _Said]]:
    """Records about a package and about its source as one list, by ref."""
    if not sourced and len(named) < 2:  # nearly always
        return [(ref, _Said(_not_of_source(ranges))) for records in named for ref, ranges in records]
    said: dict[str, _Said] = {}
    for records in named:
        for ref, ranges in records:
            said.setdefault(ref, _Said()).named += _not_of_source(ranges)
    for records in sourced:
        for ref, ranges in records:
            said.setdefault(ref, _Said()).sourced += ranges
    return sorted(said.items(), key=_ref)


def _ref(item: tuple[str, _Said]) -> str:
    return item[0]


def _of_source(ranges: Ranges) -> Ranges:
    return tuple([item for item in ranges if item.arch == _SOURCE])


def _not_of_source(ranges: Ranges) -> Ranges:
    for item in ranges:
        if item.arch == _SOURCE:
            return tuple([item for item in ranges if item.arch != _SOURCE])
    return ranges  # nearly always


def _chosen(said: _Said, package: Installed, nears: _Nears) -> Ranges:
    """The ranges of one record that decide: of the package's own stream before those of the main stream,
    and then those that name it before those that name its source.
    """
    if len(said.named) == 1 and not said.sourced:  # two in three
        item = said.named[0]
        if nears[item.repository] is None or (
            (item.arch or item.module) and not judge.applies(item, package)
        ):
            return ()
        return said.named
    own: list[AffectedRange] = []
    main: list[AffectedRange] = []
    for item in said.named:
        near = nears[item.repository]
        if near is not None and (not (item.arch or item.module) or judge.applies(item, package)):
            (main if near is _MAIN_STREAM else own).append(item)
    if own or not said.sourced:
        return tuple(own or main)
    own_of_source: list[AffectedRange] = []
    main_of_source: list[AffectedRange] = []
    for item in _of_any_arch(said.sourced):
        near = nears[item.repository]
        if near is not None and judge.applies(item, package):
            (main_of_source if near is _MAIN_STREAM else own_of_source).append(item)
    return tuple(own_of_source or main or main_of_source)


def _of_any_arch(sourced: Ranges) -> Iterator[AffectedRange]:
    """Ranges of a source as one of the packages that were built from it would have them."""
    return (msgspec.structs.replace(item, arch="") for item in sourced)


def _once(ranges: Ranges) -> Ranges:
    """Without those that only differ in the channel: all of them speak of the package."""
    kept: dict[object, AffectedRange] = {}
    for item in ranges:
        kept.setdefault(_but_channel(item), item)
    return tuple(kept.values())


def _near(advisory: str, products: tuple[str, ...]) -> Near | None:
    """How near the nearest of a package's products is. A container that names none is held by its name."""
    if not advisory or not products:
        return Near.SAME
    return min((near for product in products if (near := redhat.near(advisory, product))), default=None)
