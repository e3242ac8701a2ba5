"""Index an image or a folder: layers read in parallel, laid over each other, told in one report.

The order of work never shows in the report: the same image and catalogers give the same bytes.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.indexer import layers
from redoubt.indexer.again import Again, Demand
from redoubt.indexer.cache import LayerReports, fingerprint
from redoubt.indexer.catalogers.interface import Cataloger, lookups
from redoubt.indexer.directory import look_at, walk_directory
from redoubt.indexer.dispatch import Dispatch, Tables, ancestors
from redoubt.indexer.limits import LayerRefused, Limits
from redoubt.indexer.merge import Merged, Missing, lay_over, named
from redoubt.indexer.report import LayerReport, layer_weight
from redoubt.indexer.sources.interface import ImageSource, LayerBlob, ResolvedImage
from redoubt.model import Image, IndexReport, Layer, Problem, ProblemKind

_SWITCH = 0.0005  # seconds a thread may keep the interpreter while others wait for it
#: Freeing a block of this size once makes glibc keep freed memory of up to twice as much for itself: chunks
#: are then reused and not mapped anew from the kernel each time, a seventh of all processor time (mallopt(3)).
_WARM = 8 << 20
_TELL = 0.1  # seconds between two words about one layer
_ROUNDS = 8  # of following links into layers


_Key = tuple[str, str]  # a layer's stored digest and diff-id


class Progress(Protocol):
    """Is told how far a layer is, from several threads, at most about ten times a second and at its end."""

    def __call__(self, layer: int, done: int, total: int) -> None:
        """Layer number ``layer`` (0 is the bottom): ``done`` of ``total`` stored bytes; -1: unknown."""


def index_image(
    source: ImageSource,
    resolved: ResolvedImage,
    *,
    catalogers: Sequence[Cataloger] | None = None,
    cache: LayerReports | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
    workers: int = 2,
    promised: bool = False,
) -> IndexReport:
    """What is in an image. ``workers`` layers are read at a time.

    Damage is told in the report's problems; ``NetworkError`` and ``AccessDenied`` of the source are raised. With
    ``promised`` so is ``NotAsPromised``, where a layer is not the one that its digest names: for reports that are kept by digest.
    """
    looking = _all_catalogers() if catalogers is None else catalogers
    job = _ImageJob(source, resolved, Tables(looking), cache, progress, limits or Limits(), workers, promised)
    return job.run()


def index_directory(
    root: Path,
    reference: str,
    *,
    catalogers: Sequence[Cataloger] | None = None,
    limits: Limits | None = None,
    skip: Collection[bytes] = (),
) -> IndexReport:
    """What is in an unpacked root file system. Never leaves ``root``, nor goes into folders of ``skip``. Raises ``UnreadableInput``."""
    tables = Tables(_all_catalogers() if catalogers is None else catalogers)
    limits = limits or Limits()
    dispatch = Dispatch(tables, limits)
    problems: list[Problem] = []
    try:
        walk_directory(root, dispatch, limits, problems, skip)
        demands, pairs = dispatch.demands(), dispatch.pairs()
        if demands or pairs:
            with closing(Again(demands, pairs=pairs, kept=limits.kept)) as again:
                look_at(
                    root, [*demands, *(path for pair in pairs for path in (pair.path, pair.beside))], again
                )
                dispatch.take_up(again)
    except LayerRefused as refused:
        problems.append(Problem(kind=refused.kind, message=str(refused)))
    reports = [dispatch.report("", "", 0, 0, problems)]

    def follow(missing: Sequence[Missing]) -> None:
        again = Again(_demands(missing, tables), _on_the_way(missing))
        look_at(root, sorted(_on_the_way(missing)), again)
        reports.append(again.report(""))

    merged = _settled(lambda: [("", reports)], tables, follow)
    return _told(Image(reference=reference, kind="dir"), (), merged, tables)


class _ImageJob:
    """One image being indexed."""

    def __init__(
        self,
        source: ImageSource,
        resolved: ResolvedImage,
        tables: Tables,
        cache: LayerReports | None,
        progress: Progress | None,
        limits: Limits,
        workers: int,
        promised: bool,
    ) -> None:
        self._source = source
        self._resolved = resolved
        self._tables = tables
        self._cache = cache
        self._progress = progress
        self._limits = limits
        self._workers = workers
        self._promised = promised
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._left = limits.kept_of_image
        self._mark = fingerprint(tables.catalogers)
        # A layer may be in an image twice: it is read once.
        self._blobs: dict[_Key, tuple[int, LayerBlob]] = {}
        for number, blob in enumerate(resolved.layers):
            self._blobs.setdefault((blob.digest, blob.diff_id), (number, blob))
        self._reports: dict[_Key, list[LayerReport]] = {}
        self._stored = False

    def run(self) -> IndexReport:
        """Read every layer, follow links, merge."""
        with _quick_switching():
            for key, report in self._in_parallel(list(self._blobs), self._layer).items():
                self._reports[key] = [report]
            merged = _settled(self._layers, self._tables, self._follow)
        if self._cache is not None and self._stored:
            self._cache.prune()
        told = tuple(self._told_layer(blob) for blob in self._resolved.layers)
        whole = _told(self._resolved.image, told, merged, self._tables)
        return msgspec.structs.replace(whole, configuration=self._resolved.configuration)

    def _in_parallel(
        self, keys: list[_Key], work: Callable[[int, LayerBlob], LayerReport]
    ) -> dict[_Key, LayerReport]:
        """Do ``work`` for each layer, largest first; the first error ends all of it."""
        keys.sort(key=lambda key: -self._blobs[key][1].size)
        with ThreadPoolExecutor(max(self._workers, 1), thread_name_prefix="redoubt-layer") as pool:
            futures: dict[_Key, Future[LayerReport]] = {}
            try:
                for key in keys:
                    futures[key] = pool.submit(work, *self._blobs[key])
                wait(futures.values(), return_when=FIRST_EXCEPTION)
                for future in futures.values():
                    if future.done() and (error := future.exception()) is not None:
                        raise error
                return {key: future.result() for key, future in futures.items()}
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    # --- one layer

    def _layer(self, number: int, blob: LayerBlob) -> LayerReport:
        """A layer's report, counted. Raises ``LimitExceeded`` where all of them take too much memory."""
        report = self._looked_at(number, blob)
        size = layer_weight(report)
        with self._lock:
            self._left -= size
            if self._left < 0:
                # Of the image and not of one layer: which one comes last is chance.
                raise LimitExceeded(f"{self._resolved.image.reference}: its layers hold too much to remember")
        return report

    def _looked_at(self, number: int, blob: LayerBlob) -> LayerReport:
        """From the cache where its bytes are known to be the same, else read."""
        if blob.foreign_urls:
            return layers.failed(blob, ProblemKind.UNSUPPORTED, "the layer is kept elsewhere and not fetched")
        kept = self._kept(number, blob)
        if kept is not None:
            return kept
        report = layers.index_layer(
            _Stored(self, number, blob), blob, self._tables, self._limits, promised=self._promised
        )
        if self._cache is not None and report.names:
            self._cache.put(blob.digest or blob.diff_id, self._mark, report)
            self._stored = True
        return report

    def _kept(self, number: int, blob: LayerBlob) -> LayerReport | None:
        if self._cache is None:
            return None
        report = self._cache.get(blob.digest or blob.diff_id, self._mark)
        if report is None or report.diff_id != blob.diff_id or blob.digest not in ("", report.digest):
            return None
        if not self._resolved.immutable:
            try:
                if layers.stored_digest(_Stored(self, number, blob)) != report.digest:
                    return None
            except UnreadableInput:
                return None  # reading it will say why
        return report

    # --- links into layers

    def _layers(self) -> list[tuple[str, Sequence[LayerReport]]]:
        return [(blob.diff_id, self._reports[blob.digest, blob.diff_id]) for blob in self._resolved.layers]

    def _follow(self, missing: Sequence[Missing]) -> None:
        """Look again into each layer that has something on the way to a missing database."""
        paths = _on_the_way(missing)
        keys = [
            key
            for key, reports in self._reports.items()
            if any(not paths.isdisjoint(lines) for lines in named(reports[0]))
        ]
        demands = _demands(missing, self._tables)
        request = repr(sorted(missing))

        def look(number: int, blob: LayerBlob) -> LayerReport:
            digest = blob.digest or blob.diff_id
            if self._cache is not None and (kept := self._cache.get(digest, self._mark, request)) is not None:
                return kept
            report = layers.collect(_Stored(self, number, blob), blob, demands, paths, self._limits)
            if self._cache is not None and not report.problems:
                self._cache.put(digest, self._mark, report, request)
                self._stored = True
            return report

        for key, report in self._in_parallel(keys, look).items():
            self._reports[key].append(report)

    def _told_layer(self, blob: LayerBlob) -> Layer:
        report = self._reports[blob.digest, blob.diff_id][0]
        return Layer(
            diff_id=blob.diff_id,
            digest=blob.digest or report.digest,
            size=report.size,
            media_type=blob.media_type,
            created_by=blob.created_by,
        )


class _Stored:
    """A layer's stored bytes, read under the job's eyes."""

    def __init__(self, job: _ImageJob, number: int, blob: LayerBlob) -> None:
        self._job = job
        self._number = number
        self._blob = blob
        self._done = 0
        self._told = 0.0

    def open(self) -> BinaryIO:
        """See ``layers.LayerBytes``."""
        self._done = 0
        return self._job._source.open_layer(self._blob)

    def advance(self, length: int) -> None:
        """See ``layers.LayerBytes``."""
        if self._job._stop.is_set():
            raise layers.Cancelled
        if self._job._progress is None:
            return
        self._done += length
        now = time.monotonic()
        if now - self._told >= _TELL or self._done == self._blob.size:
            self._told = now
            self._job._progress(self._number, self._done, self._blob.size)


def _settled(
    get_layers: Callable[[], Sequence[tuple[str, Sequence[LayerReport]]]],
    tables: Tables,
    follow: Callable[[Sequence[Missing]], None],
) -> Merged:
    """Merge, and look again for databases that links lead to, until none is left to look for."""
    databases = {path: [c.name for c in wanting] for path, wanting in tables.databases.items()}
    merged = lay_over(get_layers(), databases, tables.declaring)
    asked: set[Missing] = set()
    for _ in range(_ROUNDS):
        missing = [one for one in merged.missing if one not in asked]
        if not missing:
            break
        asked.update(missing)
        follow(missing)
        merged = lay_over(get_layers(), databases, tables.declaring)
    return merged


def _demands(missing: Sequence[Missing], tables: Tables) -> dict[bytes, list[Demand]]:
    demands: dict[bytes, list[Demand]] = {}
    for real, database, name in missing:
        for cataloger in tables.databases[database]:
            if cataloger.name == name:
                path = real.encode()
                demands.setdefault(path, []).append(Demand(cataloger, database.encode(), path))
                if beside := cataloger.wanted.beside:  # said where it has something to say
                    more = Demand(cataloger, database.encode() + beside, path + beside)
                    demands.setdefault(path + beside, []).append(more)
    return demands


def _on_the_way(missing: Sequence[Missing]) -> frozenset[bytes]:
    return frozenset(part.encode() for one in missing for part in ancestors(one.real))


def _told(image: Image, told: tuple[Layer, ...], merged: Merged, tables: Tables) -> IndexReport:
    return IndexReport(
        image=image,
        distribution=merged.distribution,
        layers=told,
        packages=merged.packages,
        problems=merged.problems,
        catalogers=dict(sorted((c.name, c.version) for c in tables.catalogers)),
        lookups=lookups(tables.catalogers),
    )


def _all_catalogers() -> Sequence[Cataloger]:
    from redoubt.indexer.catalogers import ALL

    return ALL


_switching_lock = threading.Lock()
_switching = 0
_switching_before = 0.0


@contextmanager
def _quick_switching() -> Iterator[None]:
    """Let a thread that comes back from hashing or inflating have the interpreter soon (5 ms is the rule)."""
    global _switching, _switching_before
    bytes(_WARM)
    with _switching_lock:
        if not _switching:
            _switching_before = sys.getswitchinterval()
            sys.setswitchinterval(_SWITCH)
        _switching += 1
    try:
        yield
    finally:
        with _switching_lock:
            _switching -= 1
            if not _switching:
                sys.setswitchinterval(_switching_before)
