"""Images become index reports: each digest once at a time, and once only until something new looks at it.

Who asks names the registry's credentials and every host that may be contacted. Knows no wire.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

import msgspec

from redoubt import egress
from redoubt.indexer.cache import LayerReports, fingerprint
from redoubt.indexer.catalogers import chosen
from redoubt.indexer.index import index_image
from redoubt.indexer.sources import SourceOptions, parse_reference
from redoubt.indexer.sources.interface import ImageSource, ResolvedImage
from redoubt.indexer.sources.registry import RegistrySource
from redoubt.model import IndexReport, Platform, ProblemKind
from redoubt.scanner.store import IndexStore

#: How a registry is asked here. Who asked for the image has more patience, and shows it to people.
_RETRY = egress.Retry(attempts=3, first=0.25, longest=1.0, patience=1.0)

#: Is told a layer's number, and how many of its stored bytes are read; from threads.
Progress = Callable[[int, int, int], None]


#: Lets these hosts (None: all) be contacted while it is entered; see ``egress.guard``.
Permit = Callable[[frozenset[str] | None], AbstractContextManager[object]]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An image, and how its registry is reached.

    ``hosts`` are the only ones that may be contacted where ``offline``: the registry's own, its realm's, those of its
    blobs. ``ca`` is PEM. ``force`` looks again though a report is there.
    """

    reference: str
    username: str = ""
    password: str = ""
    ca: str = ""
    insecure: bool = False
    platform: Platform | None = None
    offline: bool = False
    hosts: frozenset[str] = frozenset()
    force: bool = False

    def __repr__(self) -> str:
        return f"Asked({self.reference!r})"


class Indexing:
    """Makes index reports. ``simultaneous`` images are read at a time, ``workers`` layers of each.

    ``permit`` lets the hosts of a request be contacted while it is worked on.
    """

    def __init__(
        self,
        store: IndexStore,
        layers: LayerReports,
        *,
        simultaneous: int = 2,
        workers: int = 2,
        permit: Permit = nullcontext,
    ) -> None:
        self._permit = permit
        self._store = store
        self._layers = layers
        self._workers = workers
        self._catalogers = chosen()
        self.mark = fingerprint(self._catalogers)
        self._threads = ThreadPoolExecutor(simultaneous, thread_name_prefix="redoubt-index")
        self._resolving = ThreadPoolExecutor(simultaneous * 4, thread_name_prefix="redoubt-resolve")
        self._jobs: dict[str, _Job] = {}

    async def get(self, digest: str) -> IndexReport | None:
        """What is known of an image, without looking at it."""
        return await self._store.get(digest, self.mark)

    async def has(self, digest: str) -> bool:
        """Whether ``get`` gives something."""
        return await self._store.has(digest, self.mark)

    async def create(self, asked: Asked, progress: Progress | None = None) -> IndexReport:
        """The report of an image: the kept one, or a new one.

        Raises ``UsageError`` for a name that is none, ``NetworkError``, ``AccessDenied``, ``UnreadableInput``.
        """
        with ExitStack() as stack:
            stack.enter_context(self._permit(asked.hosts if asked.offline else None))
            source = _source(asked, stack)
            loop = asyncio.get_running_loop()
            resolved = await loop.run_in_executor(self._resolving, source.resolve, asked.platform)
            digest = resolved.image.digest
            if not asked.force and (kept := await self._store.get(digest, self.mark)) is not None:
                return _named(kept, asked.reference)
            job = self._jobs.get(digest)
            if job is None:
                # The work may outlive who asked first, and keeps what it reads from.
                work = self._index(stack.pop_all(), source, resolved, progress)
                job = self._jobs[digest] = _Job(asyncio.create_task(work))
                job.task.add_done_callback(lambda _: self._jobs.pop(digest, None))
        job.waiting += 1
        try:
            return _named(await asyncio.shield(job.task), asked.reference)
        finally:
            job.waiting -= 1
            if not job.waiting:
                job.task.cancel()

    @property
    def underway(self) -> int:
        """How many images are being read or wait for it."""
        return len(self._jobs)

    async def _index(
        self, stack: ExitStack, source: ImageSource, resolved: ResolvedImage, progress: Progress | None
    ) -> IndexReport:
        stopped = False

        def tell(layer: int, done: int, total: int) -> None:
            if stopped:
                raise _GaveUp
            if progress is not None:
                progress(layer, done, total)

        def work() -> IndexReport:
            return index_image(
                source,
                resolved,
                catalogers=self._catalogers,
                cache=self._layers,
                progress=tell,
                workers=self._workers,
                promised=True,
            )

        loop = asyncio.get_running_loop()
        with stack:
            try:
                report = await loop.run_in_executor(self._threads, work)
            finally:
                stopped = True
        if not any(problem.kind is ProblemKind.LIMIT and not problem.path for problem in report.problems):
            # What was too much was not read to its end: nobody knows that it was what the digest names.
            await self._store.put(resolved.image.digest, self.mark, report)
        return report

    def close(self) -> None:
        """End the threads; what they do ends first."""
        self._threads.shutdown(cancel_futures=True)
        self._resolving.shutdown(cancel_futures=True)


@dataclass
class _Job:
    """An image that is being read, and how many wait for that. Nobody waiting ends it."""

    task: asyncio.Task[IndexReport]
    waiting: int = 0


class _GaveUp(Exception):
    """Nobody waits for this image any more."""


def _source(asked: Asked, stack: ExitStack) -> RegistrySource:
    reference = parse_reference(asked.reference)
    ca: Path | None = None
    if asked.ca:
        file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".pem"))  # noqa: SIM115
        file.write(asked.ca)
        file.flush()
        ca = Path(file.name)
    options = SourceOptions(
        username=asked.username,
        password=asked.password,
        ca_file=ca,
        insecure=asked.insecure,
        policy=egress.Policy(asked.offline, asked.hosts, own=True),
        on_behalf=True,
        retry=_RETRY,
    )
    return stack.enter_context(RegistrySource(asked.reference, reference, options))


def _named(report: IndexReport, reference: str) -> IndexReport:
    """The report under the name that it was asked for by: an image has many."""
    image = msgspec.structs.replace(report.image, reference=reference)
    return msgspec.structs.replace(report, image=image)
