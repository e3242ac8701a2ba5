"""Red Hat: which products an image's packages belong to, and which ranges speak of them.

Pure. Red Hat says of each product (a CPE) apart whether a package of it has a flaw. An image only names
repositories; which products these mean is in the definitions. What is asked of other
distributions' data by a package's name alone is chosen here by product, name and source; versions are
compared by ``judge`` as ever. The rules are told in ``docs/matching.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from redoubt.matcher import judge
from redoubt.matcher.interface import Snapshot
from redoubt.matcher.judge import Installed, Ranges
from redoubt.model import AffectedRange, Distribution, Package, redhat
from redoubt.model.redhat import Near

#: What Red Hat's build system puts behind a repository's name without meaning another.
_NUMBERED = re.compile(r"__\d+$")

#: Which minor release a build was made for: ``5.el9_4.2``, ``1.module+el8.6.0+13392+…``.
_LINE = re.compile(r"\.el(\d+)_(\d+)|\+el(\d+)\.(\d+)\.")

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


class _Said(msgspec.Struct, frozen=True, gc=False):
    """A range of some record. ``own``: it names the package itself, and not what it was built from."""

    item: AffectedRange
    own: bool


class Products:
    """Places packages in products and gives the ranges about them. One for a run: it counts and remembers."""

    def __init__(self, snapshot: Snapshot, distribution: Distribution | None) -> None:
        self._snapshot = snapshot
        self._distribution = distribution
        self._meanings: dict[str, tuple[str, ...]] = {}
        self._repositories: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._entries: dict[tuple[object, ...], list[tuple[str, Ranges]]] = {}
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
        line = _line(package.version.text)
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
            said = sorted(self._said(package).items())
            chosen = ((ref, _of_line(line, _once(_chosen(ranges, package)))) for ref, ranges in said)
            known = self._entries[key] = [(ref, ranges) for ref, ranges in chosen if ranges]
        return known

    def explained(self, package: Installed) -> list[tuple[str, Ranges, Ranges]]:
        """The same with all ranges of each record before those that speak of the package."""
        line = _line(package.version.text)
        return [
            (ref, tuple(_shown(one) for one in said), _of_line(line, _chosen(said, package)))
            for ref, said in sorted(self._said(package).items())
        ]

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
                ask = self._snapshot.mapped
                known = ask("product", repository) or ask("product", _NUMBERED.sub("", repository))
            self._meanings[repository] = known
        return known

    def _said(self, package: Installed) -> dict[str, list[_Said]]:
        said: dict[str, list[_Said]] = {}
        if package.namespace == redhat.CONTAINERS:
            names = self._snapshot.mapped("container", package.name) or (package.name,)
            for name in names:
                self._add(said, package.namespace, name, own=True)
            return said
        source = package.source or package.name
        if redhat.of_kernel_sources(source) and not redhat.is_kernel(package.name):
            return said
        for namespace in (package.namespace, redhat.LAYERED):
            self._add(said, namespace, package.name, own=True, source=source == package.name)
            if source != package.name:
                self._add(said, namespace, source, own=False, source=True)
        return said

    def _add(
        self, said: dict[str, list[_Said]], namespace: str, name: str, *, own: bool, source: bool = False
    ) -> None:
        for ref, ranges in self._snapshot.affected(namespace, name):
            found = [
                _Said(item, item.arch != _SOURCE)
                for item in ranges
                if (source if item.arch == _SOURCE else own)
            ]
            if found:
                said.setdefault(ref, []).extend(found)


def _chosen(said: Iterable[_Said], package: Installed) -> Ranges:
    """The ranges of one record that decide: of the package's own stream before those of the main stream,
    and then those that name it before those that name its source.
    """
    ranks: dict[tuple[bool, bool], list[AffectedRange]] = {}
    for one in said:
        item = _shown(one)
        near = _near(item.repository, package.products or ())
        if near is not None and judge.applies(item, package):
            ranks.setdefault((near is Near.MAIN_STREAM, not one.own), []).append(item)
    return tuple(ranks[min(ranks)]) if ranks else ()


def _once(ranges: Ranges) -> Ranges:
    """Without those that only differ in the channel: all of them speak of the package."""
    if len(ranges) < 2:
        return ranges
    kept: dict[tuple[object, ...], AffectedRange] = {}
    for item in ranges:
        bounds = item.lower_key, item.upper_key, item.flags, item.lower, item.upper
        kept.setdefault((*bounds, item.status, item.severity, item.notice), item)
    return tuple(kept.values())


def _line(version: str) -> str:
    """The minor release that a build names in its release: ``9.4``; empty where it names none."""
    found = _LINE.search(version)
    return f"{found[1] or found[3]}.{found[2] or found[4]}" if found else ""


def _of_line(line: str, ranges: Ranges) -> Ranges:
    """Without fixes for other minor releases than ``line`` where that has one of its own.

    A record lists a fix for each minor release that got one. ``1.2-5.el9_4`` is a fixed build by that record's own word,
    although ``2.0-1.el9`` of a later minor release is fixed as well and is higher.
    """
    if not line or len(ranges) < 2 or all(_line(item.fixed) != line for item in ranges):
        return ranges
    return tuple(item for item in ranges if not item.fixed or _line(item.fixed) == line)


def _shown(one: _Said) -> AffectedRange:
    """The range as one of the packages that it is about would have it: of whatever architecture they are."""
    return one.item if one.own else msgspec.structs.replace(one.item, arch="")


def _near(advisory: str, products: tuple[str, ...]) -> Near | None:
    """How near the nearest of a package's products is. A container that names none is held by its name."""
    if not advisory or not products:
        return Near.SAME
    return min((near for product in products if (near := redhat.near(advisory, product))), default=None)
