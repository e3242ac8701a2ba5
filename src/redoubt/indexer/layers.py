"""One layer, one pass: read, hash as stored, inflate, hash as a tar, walk. A layer report comes out.

Reading, inflating and walking share a thread; each of the two digests has its own beside it, a few
chunks behind, so that two processors are busy with one layer. Compression is told from the bytes, never
from the media type. It must not know about other layers, nor what a cataloger does with a file.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from queue import SimpleQueue
from types import TracebackType
from typing import BinaryIO, Protocol

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.indexer.again import Again, Demand
from redoubt.indexer.dispatch import Dispatch, Tables
from redoubt.indexer.inflate import TAR_CHUNK, inflater
from redoubt.indexer.limits import LayerRefused, Limits, NotAsPromised, damaged, over_limit
from redoubt.indexer.report import LayerReport
from redoubt.indexer.sources.interface import LayerBlob
from redoubt.indexer.tar import Visitor, walk
from redoubt.model import Problem, ProblemKind

STORED_CHUNK = 256 << 10
_AHEAD = 4  # chunks that may wait for a hash thread


class Cancelled(Exception):
    """Another layer failed for good, or the user gave up."""


class LayerBytes(Protocol):
    """What a pass needs of the world: the stored bytes, and whether to go on."""

    def open(self) -> BinaryIO:
        """The stored bytes from the beginning."""

    def advance(self, length: int) -> None:
        """``length`` stored bytes were read. Raises ``Cancelled`` where nobody waits for the rest."""


class _Hash:
    """SHA-256 on a thread of its own, in order, at most ``_AHEAD`` chunks behind."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()
        self._chunks: SimpleQueue[bytes | None] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(_AHEAD):
            self._room.put(None)
        self._thread = threading.Thread(target=self._run, name="redoubt-sha256", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (chunk := self._chunks.get()) is not None:
            self._sum.update(chunk)
            del chunk  # not held while waiting for the next
            self._room.put(None)

    def update(self, chunk: bytes) -> None:
        """The next bytes; waits while too many are ahead."""
        self._room.get()
        self._chunks.put(chunk)

    def digest(self) -> str:
        """``sha256:…`` of everything; the thread ends."""
        self.__exit__(None, None, None)
        return "sha256:" + self._sum.hexdigest()

    def __enter__(self) -> _Hash:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._chunks.put(None)
        self._thread.join()


class _Pass:
    """What a pass over a layer established."""

    def __init__(self) -> None:
        self.digest = self.diff_id = ""
        self.size = self.unpacked = 0
        self.problems: list[Problem] = []


def index_layer(
    source: LayerBytes, blob: LayerBlob, tables: Tables, limits: Limits, *, promised: bool = False
) -> LayerReport:
    """Everything an index can depend on in one layer, its digests verified.

    Damage inside the tar is a problem in the report, and what was read before it stands. A layer whose
    bytes are not what was promised, or that goes over a limit, gives a report with nothing but the
    problem; with ``promised`` the former raises ``NotAsPromised``. Errors of the source (network, permission) are raised.
    """
    dispatch = Dispatch(tables, limits)

    def work() -> LayerReport:
        done = _read(source, blob, dispatch, limits, dispatch.names.flush)
        demands, pairs = dispatch.demands(), dispatch.pairs()
        if demands or pairs:
            with closing(Again(demands, pairs=pairs, kept=limits.kept)) as again:
                more = _read(source, blob, again, limits)
                done.problems += [problem for problem in more.problems if problem not in done.problems]
                dispatch.take_up(again)
        return dispatch.report(done.diff_id, done.digest, done.size, done.unpacked, done.problems)

    report = _or_refused(blob, work, promised=promised)
    if promised and _unverified(report, blob) and (found := stored_digest(source)) != blob.digest:
        raise NotAsPromised(f"the stored bytes are {found}, not {blob.digest} as promised")
    return report


def _unverified(report: LayerReport, blob: LayerBlob) -> bool:
    """Whether damage ended the reading before there was a digest to compare."""
    refused = [problem for problem in report.problems if problem.kind is ProblemKind.DAMAGED]
    return bool(refused and blob.digest and not report.names)


def collect(
    source: LayerBytes,
    blob: LayerBlob,
    demands: Mapping[bytes, Sequence[Demand]],
    link_paths: frozenset[bytes],
    limits: Limits,
) -> LayerReport:
    """A further pass over a layer that was read before: only files and links that are named."""
    again = Again(demands, link_paths, kept=limits.kept)

    def work() -> LayerReport:
        done = _read(source, blob, again, limits)
        return again.report(blob.diff_id, done.problems)

    return _or_refused(blob, work)


def _or_refused(blob: LayerBlob, work: Callable[[], LayerReport], *, promised: bool = False) -> LayerReport:
    try:
        return work()
    except NotAsPromised as lie:
        if promised:
            raise
        return failed(blob, ProblemKind.DAMAGED, str(lie))
    except LayerRefused as refused:
        return failed(blob, refused.kind, str(refused))
    except UnreadableInput as error:
        kind = ProblemKind.LIMIT if isinstance(error, LimitExceeded) else ProblemKind.DAMAGED
        return failed(blob, kind, str(error))
    except OSError as error:
        return failed(blob, ProblemKind.DAMAGED, f"the layer could not be read: {error.strerror or error}")


def failed(blob: LayerBlob, kind: ProblemKind, message: str) -> LayerReport:
    """The report of a layer that cannot be used."""
    return LayerReport(
        diff_id=blob.diff_id,
        digest=blob.digest,
        size=max(blob.size, 0),
        unpacked_size=0,
        entries=0,
        problems=(Problem(kind=kind, message=message, layer=blob.diff_id),),
    )


def stored_digest(source: LayerBytes) -> str:
    """``sha256:…`` of the stored bytes, without inflating them."""
    digest = hashlib.sha256()
    with closing(source.open()) as stream:
        while chunk := stream.read(1 << 20):
            source.advance(len(chunk))
            digest.update(chunk)
    return "sha256:" + digest.hexdigest()


def _read(
    source: LayerBytes,
    blob: LayerBlob,
    visitor: Visitor,
    limits: Limits,
    between: Callable[[], None] = lambda: None,
) -> _Pass:
    """One pass. Raises ``LayerRefused`` where the bytes are not what ``blob`` promises."""
    done = _Pass()
    with closing(source.open()) as stream, _Hash() as stored_hash:
        head = _fill(stream, 512)
        packed = inflater(head)

        def stored() -> Iterator[bytes]:
            chunk = head
            while chunk:
                done.size += len(chunk)
                if done.size > limits.unpacked_size:
                    raise over_limit(f"more than {limits.unpacked_size:,} bytes")
                source.advance(len(chunk))
                stored_hash.update(chunk)
                yield chunk
                chunk = stream.read(STORED_CHUNK if packed else TAR_CHUNK)

        left = stored()
        if packed is None:
            _walk_all(left, visitor, limits, done, between)
            done.digest = done.diff_id = stored_hash.digest()
        else:
            with _Hash() as tar_hash:
                _walk_all(_hashed(packed(left), tar_hash, done, limits), visitor, limits, done, between)
                for _ in left:  # what follows the compressed stream
                    pass
                done.diff_id = tar_hash.digest()
            done.digest = stored_hash.digest()
    done.unpacked = done.unpacked or done.size
    if blob.digest and done.digest != blob.digest:
        raise NotAsPromised(f"the stored bytes are {done.digest}, not {blob.digest} as promised")
    if done.diff_id != blob.diff_id:
        raise damaged(f"the layer is {done.diff_id}, not {blob.diff_id} as its configuration says")
    return done


def _walk_all(
    chunks: Iterator[bytes], visitor: Visitor, limits: Limits, done: _Pass, between: Callable[[], None]
) -> None:
    """Walk, then read on to the end: digests are of all the bytes."""

    broken = False

    def flushed() -> Iterator[bytes]:
        nonlocal broken
        broken = True  # unless a chunk comes, or the regular end
        for chunk in chunks:
            broken = False
            between()
            yield chunk
            broken = True
        broken = False

    try:
        walk(flushed(), visitor, limits)
    except LayerRefused as refused:
        if broken:  # not the tar: what carries it
            raise
        done.problems.append(Problem(kind=refused.kind, message=str(refused)))
    for _ in chunks:
        pass


def _hashed(chunks: Iterator[bytes], tar_hash: _Hash, done: _Pass, limits: Limits) -> Iterator[bytes]:
    """Pass chunks on, hashed and counted; ends the work where they are too many."""
    for chunk in chunks:
        done.unpacked += len(chunk)
        if done.unpacked > limits.unpacked_size:
            raise over_limit(f"more than {limits.unpacked_size:,} bytes unpacked")
        if done.unpacked > limits.ratio_from and done.unpacked > limits.ratio * done.size:
            raise over_limit(f"unpacks to more than {limits.ratio} times its size")
        tar_hash.update(chunk)
        yield chunk


def _fill(stream: BinaryIO, length: int) -> bytes:
    """The first ``length`` bytes; fewer only at the end."""
    head = b""
    while len(head) < length and (more := stream.read(length - len(head))):
        head += more
    return head
