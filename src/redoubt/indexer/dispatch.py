"""Which member goes to which cataloger, and what a layer is remembered by.

A visitor of the walk over one layer. What most members need is decided by a few dictionary look-ups on
the base name; only a wanted file is given a sink. It must not know how bytes reach it, nor about other layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import zstandard

from redoubt.indexer.again import Again, Demand, Pair
from redoubt.indexer.catalogers.interface import (
    Cataloger,
    Content,
    MemoryContent,
    PairCataloger,
    StreamCataloger,
)
from redoubt.indexer.limits import Limits, over_limit
from redoubt.indexer.report import RECORD, FileReport, LayerReport, weight
from redoubt.indexer.sinks import Collector, Stream, catalog, renamed, sparse, text, too_large
from redoubt.indexer.tar import Sink
from redoubt.model import Problem, ProblemKind

_NAMES_AT_ONCE = 4096
_REFUSALS_TOLD = 20
_OPAQUE = b".wh..opq"  # after the first ``.wh.``
#: Links of systems that keep these folders below usr (or lib64 as lib): databases of packages name either path.
_MERGED = (b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32", b"usr/sbin", b"usr/lib64")
_FOLDER = 64  # what knowing one folder costs beyond its path, roughly


def ancestors(path: str) -> Iterator[str]:
    """The path itself, then every folder above it, without the root."""
    while path:
        yield path
        path = path.rpartition("/")[0]


class Tables:
    """What the catalogers want, arranged for looking up. Made once, read by every layer's thread."""

    def __init__(self, catalogers: Sequence[Cataloger]) -> None:
        self.catalogers = tuple(catalogers)
        self.names: dict[bytes, list[Cataloger]] = {}
        self.extensions: dict[bytes, list[Cataloger]] = {}
        self.directories: dict[bytes, list[Cataloger]] = {}
        self._affixes: list[tuple[bytes, bytes, Cataloger]] = []
        self.magic: list[tuple[bytes, StreamCataloger]] = []
        self.databases: dict[str, list[Cataloger]] = {}
        for cataloger in self.catalogers:
            wanted = cataloger.wanted
            for table, keys in (
                (self.names, wanted.names),
                (self.extensions, wanted.extensions),
                (self.directories, wanted.directories),
            ):
                for key in keys:
                    table.setdefault(key, []).append(cataloger)
            self._affixes += [(start, end, cataloger) for start, end in sorted(wanted.affixes)]
            self.magic += [(magic, cast("StreamCataloger", cataloger)) for magic in wanted.magic]
            for database in wanted.databases:
                self.databases.setdefault(database, []).append(cataloger)
        self.trees: dict[bytes, list[Cataloger]] = {}
        for cataloger in self.catalogers:
            for tree in cataloger.wanted.trees:
                self.trees.setdefault(tree, []).append(cataloger)
        self.programs = frozenset[bytes]().union(*(c.wanted.programs for c in self.catalogers))
        self.folders = tuple(self.directories)
        #: Extensions of files whose whole names have to be looked at.
        self.looked_at = frozenset(end[end.rfind(b".") :].lower() for _, end, _ in self._affixes)
        self.declaring = frozenset(c.name for c in self.catalogers if c.wanted.declared)
        smallest = [max(cataloger.wanted.min_size, len(magic)) for magic, cataloger in self.magic]
        self.min_size = min(smallest, default=1 << 62)
        self.link_paths = frozenset(
            (*_MERGED, *(part.encode() for path in self.databases for part in ancestors(path)))
        )

    def by_name(self, path: bytes) -> list[Cataloger]:
        """The catalogers that want a regular file of this name at this path."""
        folder, _, base = path.rpartition(b"/")
        found = list(self.names.get(base, ()))
        found += self.extensions.get(base[base.rfind(b".") :].lower(), ())
        found += self.directories.get(folder.rpartition(b"/")[2], ())
        found += self._by_affixes(base)
        return [cataloger for cataloger in dict.fromkeys(found) if cataloger.accepts(path)]

    def affixed(self, base: bytes) -> bool:
        """Whether a base name with an extension that is ``looked_at`` begins and ends as some cataloger wants."""
        return bool(self._by_affixes(base))

    def _by_affixes(self, base: bytes) -> list[Cataloger]:
        return [one for start, end, one in self._affixes if base.endswith(end) and base.startswith(start)]


class Names:
    """Every path of a layer as zstd of lines, made piece by piece; a directory's ends with a slash."""

    def __init__(self, limit: int) -> None:
        self._compressor = zstandard.ZstdCompressor(level=1).compressobj()
        self._pieces: list[bytes] = []
        self._limit = limit
        self.waiting: list[bytes] = []
        self.count = 0

    def flush(self) -> None:
        """Compress what waits. Called between chunks of the tar, so that little waits at a time."""
        if len(self.waiting) >= _NAMES_AT_ONCE:
            self._compress()

    def _compress(self) -> None:
        joined = b"\n".join(self.waiting)
        if not joined.isascii() or joined.count(b"\n") >= len(self.waiting):
            joined = "\n".join(map(text, self.waiting)).encode()
        self.count += len(self.waiting)
        self.waiting.clear()
        piece = self._compressor.compress(joined + b"\n")
        self._limit -= len(piece)
        if self._limit < 0:
            raise over_limit("names that take too much memory")
        self._pieces.append(piece)

    def finish(self) -> bytes:
        """All of it, as one zstd frame."""
        if self.waiting:
            self._compress()
        self._pieces.append(self._compressor.flush())
        return b"".join(self._pieces)


class Dispatch:
    """The visitor of a layer's first pass."""

    def __init__(self, tables: Tables, limits: Limits) -> None:
        self._tables = tables
        self._limits = limits
        self._kept = limits.kept
        self._touched: set[bytes] = set()  # wanted files and links, and every folder above them
        self._refused = 0
        self.names = Names(limits.kept)
        self.files: dict[bytes, list[FileReport]] = {}
        self.links: dict[bytes, bytes] = {}
        self.whiteouts: list[bytes] = []
        self.opaques: list[bytes] = []
        self._again: dict[bytes, list[tuple[bytes, Cataloger]]] = {}  # kept path: members to collect for it
        self._beside: dict[bytes, PairCataloger] = {}  # what holds the latest changes of another file
        self.problems: list[Problem] = []
        self._note = self.names.waiting.append
        self._by_base, self._by_extension = tables.names, tables.extensions
        self._trees = tables.trees
        self._folders, self._programs, self._min_size = tables.folders, tables.programs, tables.min_size
        self._looked_at, self._affixed = tables.looked_at, tables.affixed

    def regular(self, path: bytes, size: int, executable: bool) -> Sink | None:
        """See ``tar.Visitor``: a sink where a cataloger wants the file."""
        self._note(path)
        if path in self._touched:
            self._replaced(path)
        folder, _, base = path.rpartition(b"/")
        extension = base[base.rfind(b".") :].lower()
        if (
            base in self._by_base
            or extension in self._by_extension
            or (extension in self._looked_at and self._affixed(base))
            or folder.endswith(self._folders)
        ):
            catalogers = self._tables.by_name(path)
            if catalogers:
                return self._collect(path, size, catalogers)
        if size >= self._min_size and (executable or extension in self._programs):
            return Stream(self, path, size, self._tables.magic)
        return None

    def sparse(self, path: bytes) -> None:
        """A file with holes: said if it was wanted."""
        self._other(path)
        for cataloger in self._tables.by_name(path):
            self.store(path, sparse(cataloger, path))

    def directory(self, path: bytes) -> None:
        """A directory: takes the place of a file, here and in lower layers."""
        self._note(path + b"/")
        if path in self._touched:
            self._forget(path)
        for cataloger in self._trees.get(path.rpartition(b"/")[0], ()):
            # Kept with the slash, beside what is wanted inside of the folder.
            if path + b"/" not in self.files and cataloger.accepts(path):
                self.catalog(path + b"/", MemoryContent(b""), (cataloger,))

    def special(self, path: bytes) -> None:
        """A device or a pipe: covers what was there."""
        self._other(path)

    def symlink(self, path: bytes, target: bytes) -> None:
        """A link: remembered on the way to a database."""
        self._other(path)
        if path in self._tables.link_paths:
            self._keep_link(path, target)

    def hardlink(self, path: bytes, target: bytes) -> None:
        """A further name: what the target said is said of this name too, where it would be wanted."""
        self._other(path)
        if target in self.links:
            self._keep_link(path, self.links[target])
            return
        wanting = {cataloger.name: cataloger for cataloger in self._tables.by_name(path)}
        reports = self.files.get(target, ())
        for_its_name = {cataloger.name for cataloger in self._tables.by_name(target)} if reports else ()
        for report in reports:
            if report.origins:
                continue  # its path says whom it is about
            # A program is one under any name; a database only under its own.
            if wanting.pop(report.cataloger, None) or report.cataloger not in for_its_name:
                self.store(path, renamed(report, path))
        for member, cataloger in self._again.get(target, ()):
            if cataloger.name not in wanting:
                self.want_again(path, cataloger, member)
        for cataloger in wanting.values():
            self.want_again(path, cataloger, target)

    def whiteout(self, folder: bytes, name: bytes) -> None:
        """A path, or (opaque) what lower layers have in a folder, is gone."""
        if name == _OPAQUE:
            self._spend(len(folder) + RECORD)
            self.opaques.append(folder)
        elif name in (b"", b".", b".."):
            self.refuse(ProblemKind.HOSTILE, folder + b"/.wh." + name, "a whiteout of no name")
        elif not name.startswith(b".wh."):  # aufs keeps its own books under .wh..wh.
            self._spend(len(folder) + RECORD)
            self.whiteouts.append(folder + b"/" + name if folder else name)

    def refuse(self, kind: ProblemKind, path: bytes, message: str) -> None:
        """A member that is skipped: the first few are told, then the rest counted."""
        self._refused += 1
        if self._refused <= _REFUSALS_TOLD:
            self.problems.append(Problem(kind=kind, message=message, path=text(path)))
        elif self._refused == _REFUSALS_TOLD + 1:
            self.problems.append(Problem(kind=kind, message="more members like these are not listed"))

    def store(self, path: bytes, report: FileReport) -> None:
        """Keep what a file said."""
        self._spend(weight(report))
        self._touch(path)
        self.files.setdefault(path, []).append(report)

    def catalog(self, path: bytes, content: Content, catalogers: Iterable[Cataloger]) -> None:
        """Ask each cataloger what a collected file says, and keep it."""
        for cataloger in catalogers:
            self.store(path, catalog(cataloger, path, path, content))

    def want_again(self, path: bytes, cataloger: Cataloger, target: bytes) -> None:
        """What ``target`` holds is to be collected in a second pass, and kept as ``path``."""
        self._spend(len(target) + RECORD)
        self._touch(path)
        self._again.setdefault(path, []).append((target, cataloger))

    def take_up(self, again: Again) -> None:
        """Keep what a second pass collected for ``demands``."""
        for target, wanted in self.demands().items():
            for report in again.files.get(target, ()):
                self.store(report.path.encode(), report)
            if target not in again.files:
                for demand in wanted:
                    if demand.kept in self._tables.link_paths:  # a hard link to a lower layer's file
                        self._keep_link(demand.kept, b"/" + target)
        for pair, report in again.paired():
            self._instead(pair.path, report)
            self._instead(pair.beside, FileReport(text(pair.beside), report.cataloger))

    def _instead(self, path: bytes, report: FileReport) -> None:
        others = [other for other in self.files.get(path, ()) if other.cataloger != report.cataloger]
        self.files[path] = others
        self.store(path, report)

    def report(
        self, diff_id: str, digest: str, size: int, unpacked: int, problems: Iterable[Problem]
    ) -> LayerReport:
        """Everything that the layer is remembered by."""
        names = self.names.finish()
        return LayerReport(
            diff_id=diff_id,
            digest=digest,
            size=size,
            unpacked_size=unpacked,
            entries=self.names.count,
            files=tuple(report for reports in self.files.values() for report in reports),
            whiteouts=tuple(map(text, self.whiteouts)),
            opaques=tuple(map(text, self.opaques)),
            links={text(path): text(target) for path, target in self.links.items()},
            names=names,
            problems=(*self.problems, *problems),
        )

    def demands(self) -> dict[bytes, list[Demand]]:
        """What a second pass has to collect, by member."""
        demands: dict[bytes, list[Demand]] = {}
        for path, wanted in self._again.items():
            for target, cataloger in wanted:
                demands.setdefault(target, []).append(Demand(cataloger, path, path))
        return demands

    def pairs(self) -> list[Pair]:
        """What a second pass has to read together: files of which the latest changes lie beside them, in this layer."""
        pairs = []
        for beside, cataloger in self._beside.items():
            path = beside.removesuffix(cataloger.wanted.beside)
            if any(report.cataloger == cataloger.name for report in self.files.get(path, ())):
                pairs.append(Pair(cataloger, path, beside))
        return pairs

    def _collect(self, path: bytes, size: int, catalogers: list[Cataloger]) -> Sink | None:
        fitting = []
        for cataloger in catalogers:
            if size <= cataloger.wanted.max_size:
                fitting.append(cataloger)
                if size and cataloger.wanted.beside and path.endswith(cataloger.wanted.beside):
                    self._beside[path] = cast("PairCataloger", cataloger)
            else:
                self.store(path, too_large(cataloger, path, size))
        if not fitting:
            return None
        return Collector(size, lambda content: self.catalog(path, content, fitting))

    def _other(self, path: bytes) -> None:
        self._note(path)
        if path in self._touched:
            self._replaced(path)

    def _replaced(self, path: bytes) -> None:
        """The archive names a path again, and not as a directory: the last one counts."""
        if self._forget(path):
            return
        below = path + b"/"  # a folder, with what was in it
        inside = [p for table in (self.files, self.links, self._again) for p in table if p.startswith(below)]
        for inner in inside:
            self._forget(inner)
        self._spend(len(path) + 64 * (len(self.files) + len(self.links) + len(self._again)))

    def _forget(self, path: bytes) -> bool:
        self._beside.pop(path, None)
        was = self.files.pop(path, None), self.links.pop(path, None), self._again.pop(path, None)
        return was != (None, None, None)

    def _keep_link(self, path: bytes, target: bytes) -> None:
        if len(target) <= self._limits.path_length:
            self._spend(len(target) + RECORD)
            self._touch(path)
            self.links[path] = target

    def _touch(self, path: bytes) -> None:
        touched = self._touched
        while path and path not in touched:
            self._spend(len(path) + _FOLDER)  # a path of thousands of folders is kept thousands of times
            touched.add(path)
            path = path.rpartition(b"/")[0]

    def _spend(self, size: int) -> None:
        self._kept -= size
        if self._kept < 0:
            raise over_limit("packages, wanted files and whiteouts that take too much memory")
