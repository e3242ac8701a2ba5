"""Which member goes to which cataloger, and what a layer is remembered by.

A visitor of the walk over one layer. What most members need is decided by a few dictionary look-ups on
the base name; only a wanted file's bytes are kept, in memory while it is small and in an unlinked
temporary file where it is not. It must not know how bytes reach it, nor about other layers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from io import FileIO
from typing import NamedTuple, cast

import msgspec
import zstandard

from redoubt.indexer.catalogers.interface import (
    Catalog,
    Cataloger,
    Content,
    FileContent,
    FileReader,
    MemoryContent,
    StreamCataloger,
)
from redoubt.indexer.limits import LayerRefused, Limits, over_limit
from redoubt.indexer.report import FileReport, LayerReport
from redoubt.indexer.tar import Sink
from redoubt.model import Location, Problem, ProblemKind

IN_MEMORY = 1 << 20  # a wanted file larger than this goes to a temporary file
_NAMES_AT_ONCE = 4096
_REFUSALS_TOLD = 20
_OPAQUE = b".wh..opq"  # after the first ``.wh.``
_RECORD = 256  # what keeping one path costs beyond its bytes, roughly


def text(path: bytes) -> str:
    """A path as the reports have it: UTF-8, with bytes that are not and line ends written as escapes."""
    return path.decode("utf-8", "backslashreplace").replace("\n", "\\n")


def ancestors(path: str) -> Iterator[str]:
    """The path itself, then every folder above it, without the root."""
    while path:
        yield path
        path = path.rpartition("/")[0]


class Demand(NamedTuple):
    """A file to be collected in a second pass: for whom, shown as which path, kept under which."""

    cataloger: Cataloger
    shown: bytes
    kept: bytes


class Tables:
    """What the catalogers want, arranged for looking up. Made once, read by every layer's thread."""

    def __init__(self, catalogers: Sequence[Cataloger]) -> None:
        self.catalogers = tuple(catalogers)
        self.names: dict[bytes, list[Cataloger]] = {}
        self.extensions: dict[bytes, list[Cataloger]] = {}
        self.directories: dict[bytes, list[Cataloger]] = {}
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
            self.magic += [(magic, cast("StreamCataloger", cataloger)) for magic in wanted.magic]
            for database in wanted.databases:
                self.databases.setdefault(database, []).append(cataloger)
        self.folders = tuple(self.directories)
        self.magic_length = max((len(magic) for magic, _ in self.magic), default=0)
        smallest = [cataloger.wanted.min_size for _, cataloger in self.magic]
        self.min_size = max(min(smallest, default=1 << 62), self.magic_length, 1)
        self.link_paths = frozenset(part.encode() for path in self.databases for part in ancestors(path))

    def by_name(self, path: bytes) -> list[Cataloger]:
        """The catalogers that want a regular file of this name at this path."""
        folder, _, base = path.rpartition(b"/")
        found = list(self.names.get(base, ()))
        found += self.extensions.get(base[base.rfind(b".") :].lower(), ())
        found += self.directories.get(folder.rpartition(b"/")[2], ())
        return [cataloger for cataloger in dict.fromkeys(found) if cataloger.accepts(path)]


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
        self.problems: list[Problem] = []
        self._note = self.names.waiting.append
        self._by_base, self._by_extension = tables.names, tables.extensions
        self._folders, self._min_size = tables.folders, tables.min_size

    def regular(self, path: bytes, size: int, executable: bool) -> Sink | None:
        """See ``tar.Visitor``: a sink where a cataloger wants the file."""
        self._note(path)
        if path in self._touched:
            self._replaced(path)
        folder, _, base = path.rpartition(b"/")
        if (
            base in self._by_base
            or base[base.rfind(b".") :].lower() in self._by_extension
            or folder.endswith(self._folders)
        ):
            catalogers = self._tables.by_name(path)
            if catalogers:
                return self._collect(path, size, catalogers)
        if executable and size >= self._min_size:
            return _Sniff(self, path, size, self._tables)
        return None

    def sparse(self, path: bytes) -> None:
        """A file with holes: said if it was wanted."""
        self._other(path)
        for cataloger in self._tables.by_name(path):
            self.store(path, _sparse(cataloger, path))

    def directory(self, path: bytes) -> None:
        """A directory: takes the place of a file, here and in lower layers."""
        self._note(path + b"/")
        if path in self._touched:
            self._forget(path)

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
            # A program is one under any name; a database only under its own.
            if wanting.pop(report.cataloger, None) or report.cataloger not in for_its_name:
                self.store(path, _renamed(report, path))
        for cataloger in wanting.values():
            self.want_again(path, cataloger, target)

    def whiteout(self, folder: bytes, name: bytes) -> None:
        """A path, or (opaque) what lower layers have in a folder, is gone."""
        if name == _OPAQUE:
            self._spend(folder)
            self.opaques.append(folder)
        elif name in (b"", b".", b".."):
            self.refuse(ProblemKind.HOSTILE, folder + b"/.wh." + name, "a whiteout of no name")
        elif not name.startswith(b".wh."):  # aufs keeps its own books under .wh..wh.
            self._spend(folder)
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
        self._touch(path)
        self.files.setdefault(path, []).append(report)

    def catalog(self, path: bytes, content: Content, catalogers: Iterable[Cataloger]) -> None:
        """Ask each cataloger what a collected file says, and keep it."""
        for cataloger in catalogers:
            self.store(path, ask(cataloger, path, partial(cataloger.catalog, text(path), content)))

    def want_again(self, path: bytes, cataloger: Cataloger, target: bytes) -> None:
        """What ``target`` holds is to be collected in a second pass, and kept as ``path``."""
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

    def _collect(self, path: bytes, size: int, catalogers: list[Cataloger]) -> Sink | None:
        fitting = []
        for cataloger in catalogers:
            if size <= cataloger.wanted.max_size:
                fitting.append(cataloger)
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
        self._kept -= 64 * (len(self.files) + len(self.links) + len(self._again))
        self._spend(path)

    def _forget(self, path: bytes) -> bool:
        was = self.files.pop(path, None), self.links.pop(path, None), self._again.pop(path, None)
        return was != (None, None, None)

    def _keep_link(self, path: bytes, target: bytes) -> None:
        if len(target) <= self._limits.path_length:
            self._touch(path)
            self.links[path] = target

    def _touch(self, path: bytes) -> None:
        self._spend(path)
        touched = self._touched
        while path and path not in touched:
            touched.add(path)
            path = path.rpartition(b"/")[0]

    def _spend(self, path: bytes) -> None:
        self._kept -= len(path) + _RECORD
        if self._kept < 0:
            raise over_limit("wanted files and whiteouts that take too much memory")


class Again:
    """The visitor of a second pass: named members are collected, named links noted, nothing else."""

    def __init__(
        self, demands: Mapping[bytes, Sequence[Demand]], link_paths: frozenset[bytes] = frozenset()
    ) -> None:
        self._demands = demands
        self._link_paths = link_paths
        self.files: dict[bytes, list[FileReport]] = {}  # by member
        self.links: dict[bytes, bytes] = {}

    def regular(self, path: bytes, size: int, executable: bool) -> Sink | None:
        """A sink where the file was named."""
        self._gone(path)
        fitting = []
        for demand in self._demands.get(path, ()):
            if size <= demand.cataloger.wanted.max_size:
                fitting.append(demand)
            else:
                self._store(path, too_large(demand.cataloger, demand.kept, size))
        if not fitting:
            return None

        def catalog(content: Content) -> None:
            for demand in fitting:
                question = partial(demand.cataloger.catalog, text(demand.shown), content)
                self._store(path, ask(demand.cataloger, demand.kept, question))

        return Collector(size, catalog)

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
            self._store(path, _sparse(demand.cataloger, demand.kept))

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

    def report(self, diff_id: str) -> LayerReport:
        """What was found, to be laid over the layer's first report."""
        return LayerReport(
            diff_id=diff_id,
            digest="",
            size=0,
            unpacked_size=0,
            entries=0,
            files=tuple(report for reports in self.files.values() for report in reports),
            links={text(path): text(target) for path, target in self.links.items()},
        )

    def _gone(self, path: bytes) -> None:
        self.files.pop(path, None)
        self.links.pop(path, None)

    def _store(self, path: bytes, report: FileReport) -> None:
        self.files.setdefault(path, []).append(report)


class Collector:
    """A sink that gathers a whole file and then hands it on."""

    def __init__(self, size: int, done: Callable[[Content], None]) -> None:
        self._size = size
        self._done = done
        self._pieces: list[bytes] = []
        self._file: FileIO | None = None
        if size > IN_MEMORY:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed by finish or abandon

    def feed(self, chunk: bytes | memoryview) -> bool:
        """More of the file."""
        if self._file is None:
            self._pieces.append(bytes(chunk))
        else:
            while chunk:
                chunk = memoryview(chunk)[self._file.write(chunk) :]
        return True

    def finish(self) -> None:
        """The file is whole."""
        if self._file is None:
            self._done(MemoryContent(b"".join(self._pieces)))
            return
        with self._file:
            self._done(FileContent(self._file, self._size))

    def abandon(self) -> None:
        """The archive broke off."""
        if self._file is not None:
            self._file.close()


class _Sniff:
    """A sink for an executable: looks at its first bytes, then feeds the readers of its format."""

    def __init__(self, dispatch: Dispatch, path: bytes, size: int, tables: Tables) -> None:
        self._dispatch = dispatch
        self._path = path
        self._size = size
        self._tables = tables
        self._head = b""
        self._readers: dict[StreamCataloger, FileReader | FileReport] | None = None

    def feed(self, chunk: bytes | memoryview) -> bool:
        """The next bytes; False as soon as no reader wants more."""
        if self._readers is None:
            missing = self._tables.magic_length - len(self._head)
            if len(chunk) < missing:
                self._head += bytes(chunk)
                return True
            head = self._head + bytes(chunk[:missing])
            self._readers = {
                cataloger: self._open(cataloger)
                for magic, cataloger in self._tables.magic
                if head.startswith(magic)
                and self._size >= cataloger.wanted.min_size
                and cataloger.accepts(self._path)
            }
            if not self._readers:
                return False
            if self._head:
                self._feed(self._head)
        return self._feed(chunk)

    def _open(self, cataloger: StreamCataloger) -> FileReader | FileReport:
        if self._size > cataloger.wanted.max_size:
            return too_large(cataloger, self._path, self._size)
        try:
            return cataloger.reader(text(self._path), self._size)
        except Exception as error:  # noqa: BLE001 - see ``ask``
            return _failed(cataloger, self._path, error)

    def _feed(self, chunk: bytes | memoryview) -> bool:
        more = False
        assert self._readers is not None
        for cataloger, reader in self._readers.items():
            if isinstance(reader, FileReport):
                continue
            try:
                more |= reader.feed(chunk)
            except Exception as error:  # noqa: BLE001 - see ``ask``
                self._readers[cataloger] = _failed(cataloger, self._path, error)
        return more

    def finish(self) -> None:
        """Keep what the readers found; a file that said nothing is not kept: its name is enough."""
        for cataloger, reader in (self._readers or {}).items():
            if isinstance(reader, FileReport):
                self._dispatch.store(self._path, reader)
                continue
            again = False

            def finished(reader: FileReader = reader) -> Catalog:
                nonlocal again
                catalog = reader.finish()
                again = catalog is None
                return catalog or Catalog()

            report = ask(cataloger, self._path, finished)
            if again:
                self._dispatch.want_again(self._path, cataloger, self._path)
            elif report.packages or report.problems:
                self._dispatch.store(self._path, report)

    def abandon(self) -> None:
        """The archive broke off: nothing to release."""


def ask(cataloger: Cataloger, path: bytes, question: Callable[[], Catalog]) -> FileReport:
    """What a cataloger says of a file. The one place where any exception is caught.

    Catalogers read hostile bytes. One that fails despite its contract costs its file, with a problem
    that says so, and never the image.
    """
    try:
        catalog = question()
    except LayerRefused:
        raise
    except Exception as error:  # noqa: BLE001 - the reason is above
        return _failed(cataloger, path, error)
    problems = tuple(
        msgspec.structs.replace(problem, path=problem.path or text(path), cataloger=cataloger.name)
        for problem in catalog.problems
    )
    return FileReport(text(path), cataloger.name, catalog.packages, problems, catalog.distribution)


def too_large(cataloger: Cataloger, path: bytes, size: int) -> FileReport:
    """The report of a file over its cataloger's limit."""
    limit = cataloger.wanted.max_size
    return _problem(cataloger, path, ProblemKind.LIMIT, f"{size:,} bytes; the limit is {limit:,}")


def _sparse(cataloger: Cataloger, path: bytes) -> FileReport:
    return _problem(cataloger, path, ProblemKind.UNSUPPORTED, "a sparse file is not read")


def _failed(cataloger: Cataloger, path: bytes, error: Exception) -> FileReport:
    message = f"could not be read: {type(error).__name__}: {error}"[:300]
    return _problem(cataloger, path, ProblemKind.DAMAGED, message)


def _problem(cataloger: Cataloger, path: bytes, kind: ProblemKind, message: str) -> FileReport:
    problem = Problem(kind=kind, message=message, path=text(path), cataloger=cataloger.name)
    return FileReport(text(path), cataloger.name, problems=(problem,))


def _renamed(report: FileReport, path: bytes) -> FileReport:
    """The same file under another name."""
    old, new = report.path, text(path)

    def moved(place: str) -> str:
        return new + place[len(old) :] if place.startswith(old) else place

    packages = tuple(
        msgspec.structs.replace(
            package, locations=tuple(Location(moved(place.path), place.layer) for place in package.locations)
        )
        for package in report.packages
    )
    problems = tuple(
        msgspec.structs.replace(problem, path=moved(problem.path)) for problem in report.problems
    )
    return FileReport(new, report.cataloger, packages, problems, report.distribution)
