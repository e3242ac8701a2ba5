"""A second pass over a layer: members that are named are collected, links that are named noted.

Needed where the first pass could not know that a member matters: a symlink leads to it, or a hard link
with a wanted name does, or another one beside it holds its latest changes. A visitor of the walk; it must not know why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from redoubt.indexer.catalogers.interface import Cataloger, Content, PairCataloger
from redoubt.indexer.limits import Limits, over_limit
from redoubt.indexer.report import FileReport, LayerReport, weight
from redoubt.indexer.sinks import Collector, catalog, catalog_pair, sparse, text, too_large
from redoubt.indexer.tar import Sink
from redoubt.model import Problem, ProblemKind


class Demand(NamedTuple):
    """A file to be collected in a second pass: for whom, shown as which path, kept under which."""

    cataloger: Cataloger
    shown: bytes
    kept: bytes


class Pair(NamedTuple):
    """Two members of one layer that are read together."""

    cataloger: PairCataloger
    path: bytes
    beside: bytes


class Again:
    """The visitor: ``demands`` by member, ``link_paths`` the links to note, ``kept`` the bytes this may take.

    The members of ``pairs`` are held until ``paired`` or ``close``.
    """

    def __init__(
        self,
        demands: Mapping[bytes, Sequence[Demand]],
        link_paths: frozenset[bytes] = frozenset(),
        *,
        pairs: Sequence[Pair] = (),
        kept: int = Limits().kept,
    ) -> None:
        self._demands = demands
        self._kept = kept
        self._link_paths = link_paths
        self._pairs = pairs
        self._halves = {half: pair.cataloger for pair in pairs for half in (pair.path, pair.beside)}
        self._held: dict[bytes, tuple[Collector, Content]] = {}
        self.files: dict[bytes, list[FileReport]] = {}  # by member
        self.links: dict[bytes, bytes] = {}

    def regular(self, path: bytes, size: int, executable: bool) -> Sink | None:
        """A sink where the file was named."""
        self._gone(path)
        if path in self._halves and size <= self._halves[path].wanted.max_size:
            return self._half(path, size)
        fitting = []
        for demand in self._demands.get(path, ()):
            if size <= demand.cataloger.wanted.max_size:
                fitting.append(demand)
            else:
                self._store(path, too_large(demand.cataloger, demand.kept, size))
        if not fitting:
            return None

        def collected(content: Content) -> None:
            for cataloger, shown, kept in fitting:
                self._store(path, catalog(cataloger, shown, kept, content))

        return Collector(size, collected)

    def _half(self, path: bytes, size: int) -> Sink:
        def collected(content: Content) -> None:
            collector.held = True
            self._held[path] = collector, content

        collector = Collector(size, collected)
        return collector

    def paired(self) -> Iterator[tuple[Pair, FileReport]]:
        """What each pair says whose two members were there."""
        for pair in self._pairs:
            if pair.path in self._held and pair.beside in self._held:
                content, beside = self._held[pair.path][1], self._held[pair.beside][1]
                yield pair, catalog_pair(pair.cataloger, pair.path, content, beside)

    def close(self) -> None:
        """Let go of what is held."""
        while self._held:
            self._held.popitem()[1][0].abandon()

    def symlink(self, path: bytes, target: bytes) -> None:
        """Noted where it was asked for."""
        self._gone(path)
        if path in self._link_paths:
            self.links[path] = target

    def hardlink(self, path: bytes, target: bytes) -> None:
        """Noted like a symlink where it was asked for."""
        self.symlink(path, b"/" + target)

    def sparse(self, path: bytes) -> None:
        """Said where the file was named."""
        self._gone(path)
        for demand in self._demands.get(path, ()):
            self._store(path, sparse(demand.cataloger, demand.kept))

    def special(self, path: bytes) -> None:
        """Nothing to collect."""
        self._gone(path)

    def directory(self, path: bytes) -> None:
        """Nothing to collect."""
        self._gone(path)

    def whiteout(self, folder: bytes, name: bytes) -> None:
        """Was noted in the first pass."""

    def refuse(self, kind: ProblemKind, path: bytes, message: str) -> None:
        """Was told in the first pass."""

    def report(self, diff_id: str, problems: Sequence[Problem] = ()) -> LayerReport:
        """What was found, to be laid over the layer's first report."""
        return LayerReport(
            diff_id=diff_id,
            digest="",
            size=0,
            unpacked_size=0,
            entries=0,
            files=tuple(report for reports in self.files.values() for report in reports),
            links={text(path): text(target) for path, target in self.links.items()},
            problems=tuple(problems),
        )

    def _gone(self, path: bytes) -> None:
        self.files.pop(path, None)
        self.links.pop(path, None)
        if held := self._held.pop(path, None):
            held[0].abandon()

    def _store(self, path: bytes, report: FileReport) -> None:
        self._kept -= weight(report)
        if self._kept < 0:
            raise over_limit("packages that take too much memory")
        self.files.setdefault(path, []).append(report)
