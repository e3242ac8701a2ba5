"""Red Hat: which products an image's packages belong to, and which ranges speak of them.

Pure. Red Hat says of each product (a CPE) apart whether a package of it has a flaw. An image only names
repositories; which products these mean is in the definitions. What is asked of other
distributions' data by a package's name alone is chosen here by product, name and source; versions are
compared by ``judge`` as ever. The rules are told in ``docs/matching.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import filterfalse
from operator import attrgetter, eq
from typing import TypeAlias

import msgspec

from redoubt.matcher import judge, lines
from redoubt.matcher.interface import Snapshot
from redoubt.matcher.judge import Installed, Ranges
from redoubt.matcher.outcomes import Record
from redoubt.model import AffectedRange, Distribution, Package, redhat
from redoubt.model.redhat import Near

#: What Red Hat's build system puts behind a repository's name without meaning another.
_NUMBERED = re.compile(r"__\d+$")

#: A global, since an enumeration's members are slow to look up.
_MAIN_STREAM = Near.MAIN_STREAM

#: What tells ranges apart that speak of the same package.
_but_channel = attrgetter("lower_key", "upper_key", "flags", "lower", "upper", "status", "severity", "notice")

#: What ranges say of a package that they speak of.
_said = attrgetter(
    *["lower_key", "upper_key", "flags", "lower", "upper", "status", "severity", "notice", "channel"]
)

_ranges = attrgetter("ranges")

#: Ranges at most of which is remembered what they come to for one kind of packages.
_REMEMBERED = 1 << 14

#: ``arch`` of a range that speaks of a source package, and so of all that is built from it.
_SOURCE = "src"
_SOURCE_TEXT = _SOURCE.encode()


class Unplaced(msgspec.Struct):
    """Packages whose product is not known, and that were judged as the system's main stream.

    ``silent`` counts those that name no repository; ``unmapped`` those whose repositories (``names``) the
    definitions have no product for.
    """

    silent: int = 0
    unmapped: int = 0
    names: set[str] = msgspec.field(default_factory=set)


#: What names the words of one record on a package and its source: what is stored of them, once or of several names;
#: the ref where it only speaks of the source.
_Key: TypeAlias = bytes | tuple[bytes, ...] | str


class _Nears(dict[str, Near | None]):
    """The product of an advisory → how near the nearest of a package's is. Asked for every range."""

    def __init__(self, products: tuple[str, ...]) -> None:
        super().__init__()
        self._products = products
        self.of = self.__getitem__  # brackets look this up, in a subclass, each time

    def __missing__(self, advisory: str) -> Near | None:
        known = self[advisory] = _near(advisory, self._products)
        return known


class _Choices(dict[bytes, Ranges]):
    """Ranges as they are kept → those that decide about a package of one product, architecture, module and minor release.

    Most records say the same few things: ``not_affected`` in one product, say. For those that say nothing of sources.
    """

    def __init__(self, package: Installed, snapshot: Snapshot) -> None:
        super().__init__()
        self._package = package
        self._snapshot = snapshot
        self.nears = _Nears(package.products or ())
        self.line = lines.minor(package.version.text)
        self.of = self.__getitem__

    def __missing__(self, stored: bytes) -> Ranges:
        if len(self) > _REMEMBERED:
            self.clear()
        ranges = self._snapshot.ranges(stored)
        if stored.find(_SOURCE_TEXT) >= 0:
            ranges = _not_of_source(ranges)
        chosen = self[stored] = self.chosen(ranges, ())
        return chosen

    def chosen(self, named: Ranges, sourced: Ranges) -> Ranges:
        """Of a record's ranges that name the package itself and those that name what it was built from those that decide."""
        ranges = _chosen(named, sourced, self._package, self.nears)
        return lines.of_minor(self.line, _once(ranges)) if len(ranges) > 1 else ranges


class _Alike(dict[_Key, Record]):
    """The records about packages of one source that only differ in their names, each chosen from once."""

    def __init__(
        self, package: Installed, snapshot: Snapshot, choices: _Choices, sourced: dict[str, Ranges]
    ) -> None:
        super().__init__()
        self._package = package
        self._snapshot = snapshot
        self._choices = choices
        #: By ref, the record last chosen from: that of another package often says the same of other products.
        self._refs: dict[str, Record] = {}
        #: By ref, what records say of the source package.
        self.sourced = sourced

    def records(self, stored: Sequence[bytes]) -> list[Record]:
        """What is stored of one package, where no record speaks of its source."""
        unknown = list(filterfalse(self.__contains__, stored))
        if unknown:
            choice, refs = self._choices.of, self._refs
            for key, (ref, said) in zip(unknown, self._snapshot.parted(unknown), strict=True):
                ranges = choice(said)
                known = refs.get(ref)
                if known is None or not (known.ranges is ranges or _same(known.ranges, ranges)):
                    known = refs[ref] = Record(ref, ranges)
                self[key] = known
        return list(filter(_ranges, map(self.__getitem__, stored)))

    def __missing__(self, key: _Key) -> Record:
        ref, named, sourced = self.said(key)
        ranges = self._choices.chosen(named, sourced)
        known = self._refs.get(ref)
        if known is None or not _same(known.ranges, ranges):
            known = self._refs[ref] = Record(ref, ranges)
        self[key] = known
        return known

    def said(self, key: _Key) -> tuple[str, Ranges, Ranges]:
        """A record's ref, its ranges that name the package itself, and those that name what it was built from."""
        if isinstance(key, str):
            return key, (), self.sourced[key]
        records = self._snapshot.decoded((key,) if isinstance(key, bytes) else key)
        ref = records[0][0]
        named = tuple([item for _, ranges in records for item in _not_of_source(ranges)])
        return ref, named, self.sourced.get(ref, ())

    def merged(self, lists: Sequence[Sequence[bytes]]) -> list[_Key]:
        """The key of each record in ``lists`` or about the source, in the order of their refs."""
        keys: dict[str, _Key] = {ref: ref for ref in self.sourced}
        several: dict[str, list[bytes]] = {}
        for records in lists:
            for stored in records:
                ref = self[stored].ref
                several.setdefault(ref, []).append(stored)
        for ref, parts in several.items():
            keys[ref] = parts[0] if len(parts) == 1 else tuple(parts)
        return [keys[ref] for ref in sorted(keys)]

    def explained(self, key: _Key) -> tuple[str, Ranges, Ranges]:
        """A record's ref, all its ranges, and those that speak of the package and its product."""
        ref, named, sourced = self.said(key)
        choices = self._choices
        chosen = _chosen(named, sourced, self._package, choices.nears)
        return ref, (*named, *_of_any_arch(sourced)), lines.of_minor(choices.line, chosen)


class Products:
    """Places packages in products and gives the ranges about them. One for a run: it counts and remembers."""

    def __init__(self, snapshot: Snapshot, distribution: Distribution | None) -> None:
        self._snapshot = snapshot
        self._distribution = distribution
        self._meanings: dict[str, tuple[str, ...]] = {}
        self._repositories: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._has_layered = redhat.LAYERED in snapshot.info.namespaces
        #: What was remembered of packages of one source, and what records say of that: packages come by source.
        self._source: tuple[str, str] | None = None
        self._sourced: dict[str, Ranges] = {}
        #: What is stored under that source's name, which mostly is a package's as well.
        self._own: Sequence[bytes] = ()
        self._alikes: dict[tuple[object, ...], _Alike] = {}
        #: By all of packages that decides which ranges speak of them, but for their names.
        self._choices: dict[tuple[object, ...], _Choices] = {}
        #: Package type → those that are in no product.
        self.unplaced: dict[str, Unplaced] = {}

    def of(self, package: Package, namespace: str, *, counted: bool) -> tuple[str, ...]:
        """The products of a package. One that is ``counted`` is, where they are not known."""
        if (products := self._repositories.get(package.repositories)) is None:
            meant = (self._means(name) for name in package.repositories)
            products = tuple(sorted({cpe for cpes in meant for cpe in cpes}))
            self._repositories[package.repositories] = products
        if not products and namespace != redhat.CONTAINERS:
            products = (f"cpe:/o:redhat:enterprise_linux:{namespace.partition(':')[2]}",)
            if counted:
                self._count(package)
        return products

    def records(self, package: Installed) -> list[Record]:
        """What each record says of a package: the ranges that speak of it and its product, by ref.

        A record that says the same of several packages that only differ in their names is the same object.
        """
        alike, lists = self._stored(package)
        if len(lists) == 1 and not alike.sourced:  # nearly always
            return alike.records(lists[0])
        return [record for record in map(alike.__getitem__, alike.merged(lists)) if record.ranges]

    def explained(self, package: Installed) -> list[tuple[str, Ranges, Ranges]]:
        """The ref of each record about a package or its source, all its ranges, and those that speak of the package."""
        alike, lists = self._stored(package)
        return [alike.explained(key) for key in alike.merged(lists)]

    def _stored(self, package: Installed) -> tuple[_Alike, list[Sequence[bytes]]]:
        """What remembers the words of records about packages like this one, and what is stored under each of its names."""
        stored = self._snapshot.undecoded
        if package.namespace == redhat.CONTAINERS:
            names = self._snapshot.mapped("container", package.name) or (package.name,)
            return self._alike(package, ""), [stored(package.namespace, name) for name in names]
        source = package.source or package.name
        alike = self._alike(package, source)
        lists = [self._own if package.name == source else stored(package.namespace, package.name)]
        if self._has_layered and (layered := stored(redhat.LAYERED, package.name)):
            lists.append(layered)
        return alike, lists

    def _alike(self, package: Installed, source: str) -> _Alike:
        if self._source != (package.namespace, source):
            self._source = package.namespace, source
            self._sourced = self._of_source(package.namespace, source)
            self._alikes = {}
        key = package.version.text, package.arch, package.module, package.products
        if (known := self._alikes.get(key)) is None:
            known = self._alikes[key] = _Alike(
                package, self._snapshot, self._choices_of(package), self._sourced
            )
        return known

    def _choices_of(self, package: Installed) -> _Choices:
        key = package.products, package.arch, package.module, lines.minor(package.version.text)
        if (known := self._choices.get(key)) is None:
            known = self._choices[key] = _Choices(package, self._snapshot)
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

    def _of_source(self, namespace: str, source: str) -> dict[str, Ranges]:
        """What records say of a source package, by ref."""
        if not source:
            return {}
        self._own = self._snapshot.undecoded(namespace, source)
        layered = self._snapshot.undecoded(redhat.LAYERED, source) if self._has_layered else ()
        # Not ``in``, which asks of bytes first whether they are a number.
        speaking = [stored for stored in (*self._own, *layered) if stored.find(_SOURCE_TEXT) >= 0]
        found: dict[str, Ranges] = {}
        for ref, ranges in self._snapshot.decoded(speaking) if speaking else ():
            if chosen := _of_source(ranges):
                found[ref] = found.get(ref, ()) + chosen
        return found


def names_of(repository: str) -> tuple[str, str]:
    """The names under which the product of a repository is looked up, the first one first."""
    return repository, _NUMBERED.sub("", repository)


def _of_source(ranges: Ranges) -> Ranges:
    return tuple([item for item in ranges if item.arch == _SOURCE])


def _not_of_source(ranges: Ranges) -> Ranges:
    for item in ranges:
        if item.arch == _SOURCE:
            return tuple([item for item in ranges if item.arch != _SOURCE])
    return ranges  # nearly always


def _chosen(named: Ranges, sourced: Ranges, package: Installed, nears: _Nears) -> Ranges:
    """The ranges of one record that decide: of the package's own stream before those of the main stream,
    and then those that name it before those that name its source.
    """
    if len(named) == 1 and not sourced:  # two in three
        item = named[0]
        if nears.of(item.repository) is None or (
            (item.arch or item.module) and not judge.applies(item, package)
        ):
            return ()
        return named
    own: list[AffectedRange] = []
    main: list[AffectedRange] = []
    for item in named:
        near = nears.of(item.repository)
        if near is not None and (not (item.arch or item.module) or judge.applies(item, package)):
            (main if near is _MAIN_STREAM else own).append(item)
    if own or not sourced:
        return tuple(own or main)
    own_of_source: list[AffectedRange] = []
    main_of_source: list[AffectedRange] = []
    for item in _of_any_arch(sourced):
        near = nears.of(item.repository)
        if near is not None and judge.applies(item, package):
            (main_of_source if near is _MAIN_STREAM else own_of_source).append(item)
    return tuple(own_of_source or main or main_of_source)


def _of_any_arch(sourced: Ranges) -> Iterator[AffectedRange]:
    """Ranges of a source as one of the packages that were built from it would have them."""
    return (msgspec.structs.replace(item, arch="") for item in sourced)


def _once(ranges: Ranges) -> Ranges:
    """Without those that only differ in the channel: all of them speak of the package."""
    if len(ranges) == 2:  # nearly always
        return ranges[:1] if _but_channel(ranges[0]) == _but_channel(ranges[1]) else ranges
    kept: dict[object, AffectedRange] = {}
    for item in ranges:
        kept.setdefault(_but_channel(item), item)
    return tuple(kept.values())


def _same(some: Ranges, others: Ranges) -> bool:
    """Whether ranges that speak of a package say the same of it: in which of its products does not matter."""
    if len(some) != len(others):
        return False
    if len(some) == 1:  # nearly always
        return _said(some[0]) == _said(others[0])
    return all(map(eq, map(_said, some), map(_said, others)))


def _near(advisory: str, products: tuple[str, ...]) -> Near | None:
    """How near the nearest of a package's products is. A container that names none is held by its name."""
    if not advisory or not products:
        return Near.SAME
    return min((near for product in products if (near := redhat.near(advisory, product))), default=None)
