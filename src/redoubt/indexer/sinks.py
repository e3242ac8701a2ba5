"""Where a wanted file's bytes go: gathered for a cataloger, or streamed to a reader; and what comes out.

Small files are gathered in memory, others in an unlinked temporary file. This is the one place where a
cataloger is called. It must not know why a file is wanted, nor what becomes of its report.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from io import FileIO
from typing import Protocol

import msgspec

from redoubt.indexer.catalogers.interface import (
    Catalog,
    Cataloger,
    Content,
    FileContent,
    FileReader,
    MemoryContent,
    PairCataloger,
    StreamCataloger,
)
from redoubt.indexer.report import FileReport
from redoubt.model import Location, Problem, ProblemKind

_HEAD = 4096  # bytes of a program by which a reader knows whether it may need them all
IN_MEMORY = 1 << 20  # a wanted file larger than this goes to a temporary file


def text(path: bytes) -> str:
    """A path as the reports have it: UTF-8, with bytes that are not and line ends written as escapes."""
    return path.decode("utf-8", "backslashreplace").replace("\n", "\\n")


class Collector:
    """A sink that gathers a whole file and then hands it on."""

    def __init__(self, size: int, done: Callable[[Content], None]) -> None:
        self._size = size
        self._done = done
        self.held = False  # whoever was told has a use for the content later, and abandons it
        self._pieces: list[bytes] = []
        self._file: FileIO | None = None
        if size > IN_MEMORY:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed by finish or abandon

    def feed(self, chunk: bytes | memoryview) -> bool:
        """More of the file."""
        if self._file is None:
            self._pieces.append(bytes(chunk))
        else:
            _write(self._file, chunk)
        return True

    def finish(self) -> None:
        """The file is whole."""
        if self._file is None:
            self._done(MemoryContent(b"".join(self._pieces)))
            return
        try:
            self._done(FileContent(self._file, self._size))
        finally:
            if not self.held:
                self._file.close()

    def abandon(self) -> None:
        """The archive broke off, or the content is no longer needed."""
        if self._file is not None:
            self._file.close()


class Keeper(Protocol):
    """Takes what streamed files said."""

    def store(self, path: bytes, report: FileReport) -> None:
        """A file that said something."""

    def want_again(self, path: bytes, cataloger: Cataloger, target: bytes) -> None:
        """What ``target`` holds must be read by place for ``cataloger``, and was not kept."""


class _Streamed:
    """One reader of a file that streams by, until it needs no more."""

    __slots__ = ("cataloger", "needs_all", "reader", "report")

    def __init__(self, cataloger: StreamCataloger, path: bytes, size: int) -> None:
        self.cataloger = cataloger
        self.reader: FileReader | None = None
        self.report: FileReport | None = None
        self.needs_all = False  # the whole file is wanted after all
        if size > cataloger.wanted.max_size:
            self.report = too_large(cataloger, path, size)
            return
        try:
            self.reader = cataloger.reader(text(path), size)
        except Exception as error:  # noqa: BLE001 - see ``ask``
            self.report = _failed(cataloger, path, error)

    @property
    def may_need_all(self) -> bool:
        return self.needs_all or (self.reader is not None and self.reader.keep)

    def feed(self, path: bytes, chunk: bytes | memoryview) -> None:
        if self.reader is None:
            return
        try:
            more = self.reader.feed(chunk)
        except Exception as error:  # noqa: BLE001 - see ``ask``
            self.report, self.reader = _failed(self.cataloger, path, error), None
            return
        if not more:
            self.conclude(path)

    def conclude(self, path: bytes) -> None:
        if self.reader is None:
            return
        reader, self.reader = self.reader, None

        def finished() -> Catalog:
            catalog = reader.finish()
            self.needs_all = catalog is None
            return catalog or Catalog()

        self.report = ask(self.cataloger, path, finished)


class Stream:
    """A sink for an executable: looks at its first bytes, then feeds the readers of its format.

    While a reader says that it may need the whole file (``FileReader.keep``), the bytes are kept as they
    pass; if it does and they were not, a second pass over the layer has to bring them.
    """

    def __init__(
        self, keeper: Keeper, path: bytes, size: int, magic: list[tuple[bytes, StreamCataloger]]
    ) -> None:
        self._keeper = keeper
        self._path = path
        self._size = size
        self._magic = magic
        self._head = b""
        self._streams: list[_Streamed] | None = None
        self._kept: FileIO | None = None

    def feed(self, chunk: bytes | memoryview) -> bool:
        """The next bytes; False as soon as nobody wants more."""
        if self._streams is None:
            if len(self._head) + len(chunk) < min(self._size, _HEAD):
                self._head += bytes(chunk)
                return True
            if self._head:
                chunk = self._head + bytes(chunk)
            self._streams = self._readers(bytes(chunk[:_HEAD]))
            self._pass_on(chunk)
            if any(stream.may_need_all for stream in self._streams):
                self._kept = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed by ``abandon``
        else:
            self._pass_on(chunk)
        if any(stream.reader for stream in self._streams):
            _write(self._kept, chunk)
            return True
        if self._kept is not None and any(stream.needs_all for stream in self._streams):
            _write(self._kept, chunk)
            return True
        return False

    def finish(self) -> None:
        """Keep what was found; a file that said nothing is not kept: its name is enough."""
        for stream in self._streams or ():
            stream.conclude(self._path)
            report = stream.report
            if stream.needs_all:
                if self._kept is None:
                    self._keeper.want_again(self._path, stream.cataloger, self._path)
                    continue
                content = FileContent(self._kept, self._size)
                report = catalog(stream.cataloger, self._path, self._path, content)
            if report is not None and (report.packages or report.problems):
                self._keeper.store(self._path, report)
        self.abandon()

    def abandon(self) -> None:
        """The archive broke off: nothing is kept."""
        if self._kept is not None:
            self._kept.close()

    def _readers(self, head: bytes) -> list[_Streamed]:
        return [
            _Streamed(cataloger, self._path, self._size)
            for magic, cataloger in self._magic
            if head.startswith(magic)
            and self._size >= cataloger.wanted.min_size
            and cataloger.accepts(self._path)
        ]

    def _pass_on(self, chunk: bytes | memoryview) -> None:
        for stream in self._streams or ():
            stream.feed(self._path, chunk)


def _write(file: FileIO | None, chunk: bytes | memoryview) -> None:
    view = memoryview(chunk)
    while file is not None and view:
        view = view[file.write(view) :]


def catalog(cataloger: Cataloger, shown: bytes, kept: bytes, content: Content) -> FileReport:
    """What a cataloger says of a whole file, shown under one path and reported under another."""
    return ask(cataloger, kept, lambda: cataloger.catalog(text(shown), content))


def catalog_pair(cataloger: PairCataloger, path: bytes, content: Content, beside: Content) -> FileReport:
    """What a cataloger says of a file and what lies beside it, together."""
    return ask(cataloger, path, lambda: cataloger.catalog_pair(text(path), content, beside))


def ask(cataloger: Cataloger, path: bytes, question: Callable[[], Catalog]) -> FileReport:
    """What a cataloger says of a file. The one place where any exception is caught.

    Catalogers read hostile bytes. One that fails despite its contract costs its file, with a problem
    that says so, and never the image.
    """
    try:
        catalog = question()
    except Exception as error:  # noqa: BLE001 - the reason is above
        return _failed(cataloger, path, error)
    problems = tuple(
        msgspec.structs.replace(problem, path=problem.path or text(path), cataloger=cataloger.name)
        for problem in catalog.problems
    )
    said = (
        catalog.packages,
        problems,
        catalog.distribution,
        catalog.elsewhere,
        catalog.claims,
        catalog.origins,
        catalog.listed,
    )
    return FileReport(text(path), cataloger.name, *said)


def too_large(cataloger: Cataloger, path: bytes, size: int) -> FileReport:
    """The report of a file over its cataloger's limit."""
    limit = cataloger.wanted.max_size
    return _problem(cataloger, path, ProblemKind.LIMIT, f"{size:,} bytes; the limit is {limit:,}")


def sparse(cataloger: Cataloger, path: bytes) -> FileReport:
    return _problem(cataloger, path, ProblemKind.UNSUPPORTED, "a sparse file is not read")


def _failed(cataloger: Cataloger, path: bytes, error: Exception) -> FileReport:
    message = f"could not be read: {type(error).__name__}: {error}"[:300]
    return _problem(cataloger, path, ProblemKind.DAMAGED, message)


def _problem(cataloger: Cataloger, path: bytes, kind: ProblemKind, message: str) -> FileReport:
    problem = Problem(kind=kind, message=message, path=text(path), cataloger=cataloger.name)
    return FileReport(text(path), cataloger.name, problems=(problem,))


def renamed(report: FileReport, path: bytes) -> FileReport:
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
    said = packages, problems, report.distribution, report.elsewhere, report.claims, report.origins
    return FileReport(new, report.cataloger, *said, report.listed)
