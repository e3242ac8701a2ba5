"""The shelf: which snapshots are here, which one is active, and how another takes its place.

Everything is below one data folder:

* ``definitions/state.json``: what is active, where each snapshot came from, what was accepted of each
  channel, and the history. It is replaced in one atomic step, and only that step changes what is active.
* ``definitions/snapshots/<digest in hexadecimal>/``: one snapshot each, complete from its first moment.
* ``definitions/tmp/``: work in progress, of whoever holds the lock. What is found there by the next is
  left from one that died, and removed.
* ``definitions/lock``: held (``flock``) by whoever writes. Readers take no lock.
* ``trust/``: see ``trust.py``.

A snapshot that was opened stays readable whatever happens here. Being killed at any point leaves the old
state or the new one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import redoubt
from redoubt.definitions import bundle, durable, snapshot
from redoubt.definitions.bundle import Facts, Verified
from redoubt.definitions.carrier import open_carrier
from redoubt.definitions.delta import DeltaReader, Kept
from redoubt.definitions.shelf import Entry, Event, State, is_older, looks_like_digest, timestamp
from redoubt.definitions.snapshot import Origin, Snapshot, SnapshotWriter
from redoubt.definitions.stackrox.archive import is_stackrox
from redoubt.definitions.stream import Limits, StreamReader
from redoubt.definitions.trust import UNSIGNED_CHANNEL, TrustStore
from redoubt.errors import (
    AccessDenied,
    DefinitionsError,
    DefinitionsMissing,
    DefinitionsRefused,
    UsageError,
)

#: How many activated snapshots stay on the shelf, the active one included.
KEEP = 3


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did. ``already_active``: nothing new. ``older``: an override was used and recorded.

    ``passed_over`` are the parts of the bundle that were left alone, each with the reason.
    """

    entry: Entry
    previous: str
    already_active: bool
    older: bool
    passed_over: tuple[str, ...] = ()


class Shelved(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot on the shelf, as ``list`` shows it."""

    entry: Entry
    active: bool
    path: Path


def _step(_name: str) -> None:
    """Mark a step of writing. Tests put a function here that kills the process at a named step."""


class Library:
    """The shelf below the folder ``data``, which is made when first written to.

    Every method that writes raises ``AccessDenied`` where the disk is full or may not be written, and
    leaves what was active active. ``streams``, a folder: an imported bundle's compressed stream is left there as
    ``<digest in hexadecimal>.kv.zst``, where the bundle has all of it.
    """

    def __init__(
        self,
        data: Path,
        *,
        keep: int = KEEP,
        trust: TrustStore | None = None,
        streams: Path | None = None,
    ) -> None:
        self._root = data / "definitions"
        self._snapshots = self._root / "snapshots"
        self._temporary = self._root / "tmp"
        self._keep = keep
        self._streams = streams
        self.trust = trust or TrustStore(data / "trust")

    # Reading

    def open_active(self) -> Snapshot:
        """The active snapshot. Raises ``DefinitionsMissing`` where none was ever imported."""
        return self._open(State.require_active)

    def open(self, what: str, *, allow_older: bool = False, now: datetime | None = None) -> Snapshot:
        """The snapshot that ``what`` names: a bundle's file or folder, or a digest or the start of one.

        A file or folder is verified as ``import_bundle`` does; see ``open_bundle``.
        """
        path = Path(what)
        if not path.exists() and looks_like_digest(what):
            return self._open(lambda state: state.find(what))
        return self.open_bundle(path, allow_older=allow_older, now=now)

    def list(self) -> tuple[Shelved, ...]:
        """What is on the shelf, newest import first."""
        state = self._read()
        entries = sorted(state.entries.values(), key=lambda entry: -entry.order)
        return tuple(self._shelved(state, entry) for entry in entries)

    def info(self, digest: str = "") -> Shelved:
        """The active snapshot on the shelf, or the one that ``digest`` (or its start) names."""
        state = self._read()
        return self._shelved(state, state.find(digest) if digest else state.require_active())

    def state(self) -> State:
        """All that is known of the shelf."""
        return self._read()

    def history(self) -> tuple[Event, ...]:
        """Every change of what is active, oldest first."""
        return self._read().history

    def verify(self, digest: str = "") -> Shelved:
        """Read a snapshot whole (the active one by default) and prove that it has its digest.

        Raises ``DefinitionsError`` where it has not.
        """
        shelved = self.info(digest)
        if snapshot.verify(shelved.path).digest != shelved.entry.digest:
            raise DefinitionsError(
                f"the definitions in {shelved.path} are not those of their name; import their bundle again"
            )
        return shelved

    # Writing

    def import_bundle(
        self, path: Path, *, allow_older: bool = False, now: datetime | None = None
    ) -> Imported:
        """Verify the bundle at ``path``, put its snapshot on the shelf and make it the active one.

        Raises ``DefinitionsRefused`` with the reason; what was active stays so.
        """
        with self._writing() as state:
            known = self._read_before(path, state)
            if known is not None and known.digest == state.active:
                return Imported(entry=known, previous=known.digest, already_active=True, older=False)
            return self._imported(path, state, allow_older, now)

    def _imported(self, path: Path, state: State, allow_older: bool, now: datetime | None) -> Imported:
        with self._verified(path, now) as verified:
            _step("verified")
            digest = verified.facts.digest
            present = state.entries.get(digest)
            if present is not None and state.active == digest and present.came_from(verified):
                self._shelve(verified)
                return Imported(
                    entry=present,
                    previous=digest,
                    already_active=True,
                    older=False,
                    passed_over=verified.passed_over,
                )
            older = is_older(state, verified, allow_older=allow_older)
            self._shelve(verified)
            self._leave_stream(verified)
            changed = state.with_import(verified, timestamp(now), older=older)
            self._change(changed.without_surplus(self._keep))
            return Imported(
                entry=changed.entries[digest],
                previous=state.active,
                already_active=False,
                older=older,
                passed_over=verified.passed_over,
            )

    def open_bundle(self, path: Path, *, allow_older: bool = False, now: datetime | None = None) -> Snapshot:
        """Verify the bundle at ``path`` and open its snapshot, without making it active.

        It is put on the shelf by its digest, so that the next time costs the verification only.
        """
        with self._writing() as state:
            known = self._read_before(path, state)
            if known is not None:
                return Snapshot.open(self._place(known.digest), known.origin)
            return self._opened(path, state, allow_older, now)

    def _opened(self, path: Path, state: State, allow_older: bool, now: datetime | None) -> Snapshot:
        with self._verified(path, now) as verified:
            _step("verified")
            present = state.entries.get(verified.facts.digest)
            if present is None or not present.came_from(verified):
                is_older(state, verified, allow_older=allow_older)
            self._shelve(verified)
            if present is None:
                changed = state.with_stored(verified, timestamp(now))
                self._change(changed.without_surplus(self._keep))
            origin = Origin(
                channel=verified.facts.channel,
                version=verified.version,
                created=verified.facts.created,
                unsigned=verified.unsigned,
            )
            return Snapshot.open(self._place(verified.facts.digest), origin)

    def follow(self, entry: Entry, stream: Path, *, now: datetime | None = None) -> Entry:
        """Make the snapshot of ``entry`` active, whose compressed stream is in the file ``stream``.

        For a machine that follows another one, on whose shelf ``entry`` is: who vouches for it was judged
        there, that this is it is proven here. ``stream`` is not read where the snapshot is here already.
        Raises ``DefinitionsRefused``, ``AccessDenied``.
        """
        verified = followed(entry, stream)
        with self._writing() as state:
            self._shelve(verified)
            changed = state.with_followed(entry, timestamp(now))
            self._change(changed.without_surplus(self._keep))
            return changed.entries[entry.digest]

    def rollback(self, to: str = "", *, now: datetime | None = None) -> Entry:
        """Make the snapshot active that was so before, or the one that the digest ``to`` names.

        What was accepted of the channel stays, so that rolling back lets nothing older in later. Raises
        ``DefinitionsMissing`` where there is none.
        """
        with self._writing() as state:
            entry = state.find(to) if to else state.before_active()
            snapshot.check(self._place(entry.digest))
            self._change(state.with_rollback(entry, timestamp(now)))
            return entry

    def prune(self, keep: int | None = None) -> tuple[Entry, ...]:
        """Remove all but the newest ``keep`` snapshots and the active one; say which went."""
        keep = self._keep if keep is None else keep
        if keep < 1:
            raise UsageError("at least one snapshot has to be kept")
        with self._writing() as state:
            left = state.without_surplus(keep)
            if left.entries != state.entries:
                self._change(left)
            return tuple(entry for digest, entry in state.entries.items() if digest not in left.entries)

    # Inside

    def _open(self, which: Callable[[State], Entry]) -> Snapshot:
        # Between reading the state and opening the file another process may prune: look again.
        for _ in range(10):
            entry = which(self._read())
            with suppress(DefinitionsMissing):
                return Snapshot.open(self._place(entry.digest), entry.origin)
        return Snapshot.open(self._place(entry.digest), entry.origin)

    def _shelved(self, state: State, entry: Entry) -> Shelved:
        return Shelved(entry=entry, active=entry.digest == state.active, path=self._place(entry.digest))

    def _read(self) -> State:
        path = self._root / "state.json"
        try:
            state = msgspec.json.decode(path.read_bytes(), type=State)
        except FileNotFoundError:
            return State()
        except OSError as error:
            raise AccessDenied(f"cannot read {path}: {error.strerror}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise DefinitionsError(
                f"{path} is damaged; remove it and run `redoubt definitions import BUNDLE`"
            ) from None
        if state.format != 1:
            raise DefinitionsError(f"{path} was written by a newer Redoubt; use that one")
        return state

    def _change(self, state: State) -> None:
        """Replace the state in one step, then remove what it no longer names."""
        _step("state-before")
        with durable.writing(self._root):
            durable.replace(
                self._root / "state.json",
                msgspec.json.format(msgspec.json.encode(state), indent=1),
                temporary=self._temporary,
            )
        _step("state-after")
        self._sweep(state)

    @contextmanager
    def _writing(self) -> Iterator[State]:
        """Hold the lock, with the leftovers of the dead removed; gives the state as it is then."""
        with durable.writing(self._root):
            self._snapshots.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with durable.writing(self._root):
                fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                with durable.writing(self._root):
                    shutil.rmtree(self._temporary, ignore_errors=True)
                    self._temporary.mkdir(exist_ok=True)
                state = self._read()
                self._sweep(state)
                _step("locked")
                yield state
            finally:
                # Only here: whoever gives up waiting must leave the work of the one at work alone.
                shutil.rmtree(self._temporary, ignore_errors=True)
        finally:
            os.close(lock)

    def _read_before(self, path: Path, state: State) -> Entry | None:
        """What is on the shelf of the unsigned bundle at ``path``, undamaged: it need not be read again."""
        if not any(entry.read_from for entry in state.entries.values()):
            return None
        with open_carrier(path) as carrier:
            if not is_stackrox(carrier.names()):
                return None
        self.trust.require_unsigned(UNSIGNED_CHANNEL, "a StackRox bundle")
        known = state.read_from(_sha256(path), f"redoubt {redoubt.__version__}")
        with suppress(DefinitionsError):
            if known is not None:
                snapshot.check(self._place(known.digest), contents=True)
                return known
        return None

    @contextmanager
    def _verified(self, path: Path, now: datetime | None) -> Iterator[Verified]:
        """The verified bundle at ``path``, or an unsigned one where those are allowed.

        Its stream is in the temporary folder.
        """
        work = self._temporary / "bundle"
        with durable.writing(work):
            work.mkdir()
        with open_carrier(path) as carrier:
            if is_stackrox(carrier.names()):
                self.trust.require_unsigned(UNSIGNED_CHANNEL, "a StackRox bundle")
                from redoubt.definitions.stackrox.bundle import read_unsigned

                verified = read_unsigned(carrier, work, now or datetime.now(UTC))
                yield msgspec.structs.replace(verified, read_from=_sha256(path))
                return
            verified = bundle.verify_bundle(carrier, self.trust.roots, work)
        # Before anything else, as TUF says: a key that was replaced must not sign another bundle here.
        self.trust.advance(verified.facts.channel, verified.anchor, verified.root)
        yield verified

    def _shelve(self, verified: Verified) -> None:
        """See to it that the bundle's snapshot is on the shelf, undamaged."""
        place = self._place(verified.facts.digest)
        with suppress(DefinitionsError):
            snapshot.check(place, contents=True)
            return
        draft = self._temporary / "snapshot"
        with durable.writing(draft):
            draft.mkdir()
        if verified.facts.base:
            with self._base(verified.facts.base) as base:
                self._store(verified, draft, base)
        else:
            self._store(verified, draft)
        with durable.writing(place):
            durable.sync_directory(draft)
            _step("snapshot-before")
            if place.exists():  # damaged: an undamaged one would have been left alone
                place.rename(self._temporary / "damaged")
            draft.rename(place)
            durable.sync_directory(self._snapshots)
        _step("snapshot-after")

    def _leave_stream(self, verified: Verified) -> None:
        if self._streams is None or verified.facts.base:
            return
        out = self._streams / f"{self._place(verified.facts.digest).name}.kv.zst"
        with durable.writing(out):
            with verified.stream.open("rb") as file:
                os.fsync(file.fileno())
            verified.stream.replace(out)

    def _base(self, digest: str) -> Snapshot:
        """What a delta applies to, undamaged. Whoever signed it, the signed digest proves what comes out."""
        place = self._place(digest)
        try:
            snapshot.check(place, contents=True)
        except DefinitionsMissing:
            raise DefinitionsRefused(
                f"the delta applies to the definitions {digest}, which are not on the shelf; import their "
                "bundle first, or a whole bundle instead of the delta"
            ) from None
        return Snapshot.open(place)

    def _store(self, verified: Verified, draft: Path, base: Snapshot | None = None) -> None:
        facts = verified.facts
        with verified.stream.open("rb") as file, SnapshotWriter(draft) as writer:
            reader: StreamReader | DeltaReader
            if base is not None:
                limits = Limits(size=facts.delta_size or 0)
                reader = DeltaReader(base.entries(), file, size=facts.size, limits=limits)
            else:
                reader = StreamReader(file, Limits(size=facts.size))
            for batch in reader:
                if isinstance(batch, Kept):
                    writer.keep(batch.entries)
                else:
                    writer.add(batch)
                _step("batch")
            if reader.digest != facts.digest or reader.size != facts.size:
                raise DefinitionsRefused(
                    "the bundle's stream is not the one that is signed for; build the bundle again"
                )
            stamp = writer.finish(reader.digest)
        if stamp.schema != facts.schema:
            raise DefinitionsRefused("the bundle's schema is not the one that is signed for; build it again")

    def _sweep(self, state: State) -> None:
        """Remove the snapshots that the state doesn't name. Only under the lock."""
        named = {self._place(digest).name for digest in state.entries}
        with durable.writing(self._snapshots):
            for place in self._snapshots.iterdir():
                if place.name not in named:
                    # Out of sight in one step, then piece by piece.
                    doomed = self._temporary / f"pruned-{place.name}"
                    place.rename(doomed)
                    _step("removing")
                    shutil.rmtree(doomed, ignore_errors=True)

    def _place(self, digest: str) -> Path:
        return self._snapshots / digest.removeprefix("sha256:")


def followed(entry: Entry, stream: Path) -> Verified:
    """What is known of another machine's ``entry``, whose compressed stream is in the file ``stream``.

    Who vouches for it was judged there; that the stream is the digest's is proven where it is read.
    """
    manifest = entry.manifest
    return Verified(
        facts=Facts(
            channel=manifest.channel,
            digest=manifest.digest,
            schema=manifest.schema,
            created=manifest.created,
            size=manifest.size,
            manifest="",
        ),
        version=manifest.version,
        manifest=manifest,
        stream=stream,
        stream_size=stream.stat().st_size if stream.exists() else 0,
        anchor=b"",
        root=b"",
        unsigned=entry.unsigned,
    )


def _sha256(path: Path) -> str:
    try:
        return snapshot.file_sha256(path)
    except OSError as error:
        raise AccessDenied(f"cannot read {path}: {error.strerror}") from None
