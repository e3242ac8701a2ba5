"""Layers laid over each other, bottom first: what is left in sight, and where it came from.

Follows OCI image-spec ``layer.md`` ("Applying Changesets", "Whiteouts"): an entry replaces what is at its
path unless both are directories; a whiteout removes a lower path and all below it; an opaque marker
hides what lower layers have in a directory. Neither touches what its own layer brings. Parents that are
symlinks are followed, as a runtime does when it unpacks, and never out of the root.

It must not know how layers are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import zstandard

from redoubt.indexer.dispatch import ancestors
from redoubt.indexer.evidence import Evidence
from redoubt.indexer.ownership import Claim, owners
from redoubt.indexer.report import FileReport, LayerReport
from redoubt.indexer.repositories import CONTAINER, RepositoryLists
from redoubt.model import Distribution, Location, Package, Problem
from redoubt.model.namespaces import OPERATING_SYSTEM_TYPES

_HOPS = 40  # as many symlinks as Linux follows
_STEPS = 512  # path components looked at while following them
_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")

_Identity = tuple[str | tuple[str, ...], ...]
#: Identity and place inside the file; or a claim.
_Sighting = tuple[_Identity, tuple[Location, ...]] | Claim


class _File(NamedTuple):
    """A wanted file in sight: what each cataloger said, and which layer first brought each package and claim.

    Layers are numbers here, 0 the bottom: the same one may lie in an image twice.
    """

    reports: tuple[FileReport, ...]
    introduced: dict[_Sighting, int]
    layer: int


class _Link(NamedTuple):
    target: str


_Node = "dict[str, _Node] | _File | _Link"


class Missing(NamedTuple):
    """A database that a link leads to, and that no cataloger was shown: ``cataloger`` wants ``real``."""

    real: str
    database: str
    cataloger: str


class Merged(NamedTuple):
    """What is in sight in the whole image."""

    packages: tuple[Package, ...]
    problems: tuple[Problem, ...]
    distribution: Distribution | None
    missing: tuple[Missing, ...]


def lay_over(
    layers: Sequence[tuple[str, Sequence[LayerReport]]],
    databases: Mapping[str, Iterable[str]],
    declaring: frozenset[str] = frozenset(),
) -> Merged:
    """Merge ``layers``: for each, bottom first, its diff-id and what its passes reported.

    ``databases`` is the well-known path of each package database → the names of its catalogers; ``declaring``
    are the names of the catalogers of files that only ask for packages.
    """
    view = _View()
    for number, (_, reports) in enumerate(layers):
        view.apply(number, reports)
    problems = [
        msgspec.structs.replace(problem, layer=diff_id)
        for diff_id, reports in layers
        for report in reports
        for problem in report.problems
    ]
    packages, more = _collected(view, layers, declaring)
    return Merged(
        packages=packages,
        problems=tuple(sorted({*problems, *more})),  # what a layer's second pass says again is said once
        distribution=view.distribution(),
        missing=tuple(view.missing(databases)),
    )


def named(report: LayerReport) -> Iterator[list[bytes]]:
    """The paths of a layer's entries, some at a time; a directory's ends with a slash."""
    carry = b""
    if not report.names:
        return
    reader = zstandard.ZstdDecompressor().stream_reader(report.names)
    while chunk := reader.read(1 << 18):
        lines = (carry + chunk).split(b"\n")
        carry = lines.pop()
        yield lines


class _View:
    """The image's files as a tree, of which only what matters is kept."""

    def __init__(self) -> None:
        self._root: dict[str, object] = {}
        self.links: set[str] = set()  # some of them may be gone again
        self._real_folders: dict[str, str | None] = {}  # what ``real`` said, while links stay as they are
        self._interesting: set[bytes] = set()  # paths in the tree and above; a leaf's also with a slash

    # --- applying a layer

    def apply(self, layer: int, reports: Sequence[LayerReport]) -> None:
        """Lay one layer over what is there."""
        files: dict[str, list[FileReport]] = {}
        for report in reports:
            for file in report.files:
                files.setdefault(self.real_parent(file.path), []).append(file)
        before = {path: node for path in files if isinstance(node := self._at(path), _File)}
        for report in reports:
            self._remove(report)
        self._real_folders.clear()
        for report in reports:
            for path, target in report.links.items():
                self._put(self.real_parent(path), _Link(target))
                self.links.add(self.real_parent(path))
                self._real_folders.clear()
        if self.links:
            files = {self.real_parent(path): said for path, said in files.items()}
        for path, said in files.items():
            was = before[path].introduced if path in before else {}
            introduced: dict[_Sighting, int] = {}
            for file in said:
                for package in file.packages:
                    sighting = (package.identity, package.locations)
                    introduced[sighting] = was.get(sighting, layer)
                for claim in file.claims:
                    introduced[claim] = was.get(claim, layer) if claim.version else layer
            self._put(path, _File(tuple(said), introduced, layer))

    def _remove(self, report: LayerReport) -> None:
        if not self._interesting:
            return
        for path in report.whiteouts:
            self._delete(self.real_parent(path))
        for path in report.opaques:
            real = self.real(path)
            node = None if real is None else self._at(real)
            if isinstance(node, dict):
                node.clear()
        for lines in named(report):
            for covered in self._interesting.intersection(lines):
                path = covered.decode()
                if not path.endswith("/"):
                    self._delete(path)
                elif not isinstance(self._at(path[:-1]), dict):
                    self._delete(path[:-1])

    # --- the tree

    def _at(self, path: str) -> object:
        node: object = self._root
        for part in path.split("/") if path else ():
            if not isinstance(node, dict):
                return None
            node = node.get(part)
        return node

    def _delete(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        node = self._at(folder)
        if isinstance(node, dict):
            node.pop(name, None)

    def _put(self, path: str, leaf: _File | _Link) -> None:
        *folders, name = path.split("/")
        node = self._root
        for part in folders:
            inner = node.get(part)
            if not isinstance(inner, dict):
                inner = node[part] = {}
            node = inner
        node[name] = leaf
        self._interesting.add(f"{path}/".encode())
        for part in ancestors(path):
            key = part.encode()
            if key in self._interesting:
                break
            self._interesting.add(key)

    def files(self) -> Iterator[tuple[str, _File]]:
        """Every wanted file in sight, with its path."""
        waiting: list[tuple[str, dict[str, object]]] = [("", self._root)]
        while waiting:
            folder, nodes = waiting.pop()
            for name, node in nodes.items():
                if isinstance(node, dict):
                    waiting.append((f"{folder}{name}/", node))
                elif isinstance(node, _File):
                    yield folder + name, node

    # --- links

    def real(self, path: str) -> str | None:
        """Where a path leads to, every link followed, as inside a chroot; None where links go in circles."""
        done: list[str] = []
        nodes: list[object] = [self._root]
        waiting = path.split("/")[::-1]
        hops = steps = 0
        while waiting:
            part = waiting.pop()
            steps += 1
            if steps > _STEPS:
                return None
            if part in ("", "."):
                continue
            if part == "..":
                if done:
                    done.pop()
                    nodes.pop()
                continue
            parent = nodes[-1]
            node = parent.get(part) if isinstance(parent, dict) else None
            if node is None and ".." not in waiting:  # nothing is known from here on: no link can follow
                done.append(part)
                done.extend(part for part in reversed(waiting) if part not in ("", "."))
                break
            if not isinstance(node, _Link):
                done.append(part)
                nodes.append(node)
                continue
            hops += 1
            if hops > _HOPS:
                return None
            if node.target.startswith("/"):
                done.clear()
                del nodes[1:]
            waiting.extend(node.target.split("/")[::-1])
        return "/".join(done)

    def real_parent(self, path: str) -> str:
        """The path with links followed in all but its last component."""
        if not self.links:
            return path
        folder, _, name = path.rpartition("/")
        if folder not in self._real_folders:
            self._real_folders[folder] = self.real(folder)
        real = self._real_folders[folder]
        if real is None:
            return path
        return f"{real}/{name}" if real else name

    # --- what is to be said of the whole

    def distribution(self) -> Distribution | None:
        """From ``etc/os-release``, else ``usr/lib/os-release``, else the first file that names one."""
        first = [self._at(real) for path in _OS_RELEASE if (real := self.real(path))]
        others = [file for _, file in sorted(self.files(), key=lambda item: item[0])]
        for file in (*first, *others):
            if isinstance(file, _File):
                for report in file.reports:
                    if report.distribution is not None:
                        return report.distribution
        return None

    def missing(self, databases: Mapping[str, Iterable[str]]) -> Iterator[Missing]:
        """Databases that are reached by a link and were not cataloged where they are."""
        for path, catalogers in databases.items():
            real = self.real(path)
            if not real or real == path:
                continue
            node = self._at(real)
            known = {report.cataloger for report in node.reports} if isinstance(node, _File) else set()
            for cataloger in catalogers:
                if cataloger not in known:
                    yield Missing(real, path, cataloger)


def _collected(
    view: _View, layers: Sequence[tuple[str, Sequence[LayerReport]]], declaring: frozenset[str]
) -> tuple[tuple[Package, ...], list[Problem]]:
    files = list(view.files())
    evidence = Evidence(((path, report) for path, file in files for report in file.reports), declaring)
    owned = _owners(view, files, layers)
    lists = RepositoryLists(layers)
    container = _top_container(files)
    found: dict[_Identity, tuple[Package, set[Location]]] = {}
    problems: list[Problem] = []
    for path, file in files:
        owner = owned.get(path, "")
        for report in file.reports:
            diff_id = layers[file.layer][0]
            problems += [msgspec.structs.replace(p, layer=diff_id) for p in report.problems]
            for package, original in evidence.packages(path, report):
                number = file.introduced[original.identity, original.locations]
                if package.type == CONTAINER and number < container:
                    continue  # a base image, of which this one is no longer
                if lists.known:
                    package = lists.told(package, number)
                layer = layers[number][0]
                whose = "" if package.type in OPERATING_SYSTEM_TYPES else owner
                places = original.locations or (Location(path),)
                _, locations = found.setdefault(package.identity, (package, set()))
                locations.update(Location(place.path, layer, whose) for place in places)
    packages = tuple(
        msgspec.structs.replace(package, locations=tuple(sorted(locations)))
        for _, (package, locations) in sorted(found.items(), key=lambda item: item[0])
    )
    return packages, problems


def _top_container(files: Iterable[tuple[str, _File]]) -> int:
    """The highest layer that says which container the image is; -1 if none does."""
    return max(
        (
            file.introduced[package.identity, package.locations]
            for _, file in files
            for report in file.reports
            for package in report.packages
            if package.type == CONTAINER
        ),
        default=-1,
    )


def _owners(
    view: _View, files: Sequence[tuple[str, _File]], layers: Sequence[tuple[str, Sequence[LayerReport]]]
) -> dict[str, str]:
    """Path → owner, of the files with packages that an operating system's package installed."""
    claims = [
        (claim, file.introduced[claim]) for _, file in files for said in file.reports for claim in said.claims
    ]
    if not claims:
        return {}
    # A file with several packages is as new as the newest of them: it was written then.
    holding = {
        path: max(since)
        for path, file in files
        if (since := [layer for what, layer in file.introduced.items() if not isinstance(what, Claim)])
    }

    def existed(paths: set[str]) -> dict[str, int]:
        wanted = {path.encode() for path in paths}
        first: dict[str, int] = {}
        for number, (_, reports) in enumerate(layers):
            for report in reports:
                for lines in named(report):
                    for path in wanted.intersection(lines):
                        first.setdefault(path.decode(), number)
        return first

    return owners(claims, holding, view.links, view.real_parent, existed)
