"""One snapshot on disk: a file that this program wrote itself (``packed``), and the stamp beside it.

A snapshot is a directory with ``snapshot.kv`` and ``snapshot.json`` (``Stamp``). It is written once, in
order, by ``SnapshotWriter`` and never changed after. Neighbouring ``a`` records of one package become one
value (``[[ref, ranges], …]``), so that a lookup is one read; everything else is stored as in the stream,
unknown prefixes too, so that the stream, and with it the digest, can be had back from the file.

The file is mapped: one cut short would kill the process that reads beyond its end, so its size is compared with
the stamp when it is opened. Knows nothing of signatures, bundles or which snapshot is
active.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import msgspec

from redoubt.definitions import durable, grouping, records, stream
from redoubt.definitions.packed import Layout, PackedFile, PackedWriter, damaged, missing
from redoubt.definitions.records import Ranges, Record
from redoubt.errors import AccessDenied, DefinitionsError, DefinitionsRefused
from redoubt.model import Advisory, CveRecord, DefinitionsInfo, Epss

DATA = "snapshot.kv"
STAMP = "snapshot.json"

#: What all records of one package may take together, in bytes.
_LONGEST_GROUP = 256 << 20
_BATCH = 8192

_Group: TypeAlias = list[tuple[str, Ranges]]
_decode_group = msgspec.msgpack.Decoder(_Group).decode
_decode_ranges = msgspec.msgpack.Decoder(Ranges).decode
_decode_apart = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """What was true of the file when it was written: the stream's digest, the file's size, SHA-256 and layout."""

    digest: str
    schema: str
    size: int
    sha256: str
    layout: Layout


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a snapshot came from, as its bundle's signature says. Not part of the snapshot itself."""

    channel: str = ""
    version: int = 0
    created: str = ""
    unsigned: bool = False


class SnapshotWriter:
    """Write a snapshot into an existing, empty directory from batches of records in the stream's order.

    ``add`` the batches, then ``finish`` with the digest that they proved to have: only that writes the
    stamp, without which nobody opens the file. The caller renames the directory. Every record is decoded
    once on the way, so that definitions that could be imported can be read later.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / DATA
        self._schema = ""
        #: ``a`` namespace NUL name NUL of the group that is being collected; empty: none is.
        self._package = b""
        #: Head, ref and value of each of its records.
        self._members: list[bytes] = []
        self._group_size = 0
        self._pending: list[Record] = []
        with durable.writing(self._directory):
            self._file = PackedWriter(self._path)

    def __enter__(self) -> SnapshotWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, batch: Sequence[Record]) -> None:
        """Append records; their order is the reader's to have checked.

        Raises ``DefinitionsRefused`` where a record is damaged, ``AccessDenied`` where the disk is full.
        """
        try:
            self._take(batch)
        except records.DAMAGE as error:
            raise records.damaged(error) from None
        self._flush()

    def _take(self, batch: Sequence[Record]) -> None:
        package, size, members = self._package, self._group_size, self._members
        pair_head, checks, put = grouping.pair_head, records.DECODERS, self._pending.append
        for key, value in batch:
            if not (package and key.startswith(package)):
                if package:
                    self._end_group()
                    package, size = b"", 0
                prefix = key[0]
                if prefix != 0x61:  # a
                    if check := checks.get(prefix):
                        check(value)
                    elif prefix == 0x6D:  # m
                        self._check(key, value)
                    put((key, value))
                    continue
                package, members = grouping.package_of(key), []
                if not package:
                    raise _damaged_key(key)
                self._package, self._members = package, members
            ref = key[len(package) :]
            if not ref or b"\0" in ref:
                raise _damaged_key(key)
            members += (pair_head(len(ref)), ref, value)
            size += len(value)
        self._group_size = size
        if size > _LONGEST_GROUP:
            raise DefinitionsRefused("definitions hold one package with too many records; refused")

    def keep(self, entries: Sequence[Record]) -> None:
        """Append entries of another snapshot's file, as they lie there: they were checked when that was written."""
        self._end_group()
        self._flush()
        for key, value in entries:
            if key[0] == 0x6D:  # m
                self._check(key, value)
        with durable.writing(self._directory):
            self._file.put(entries)

    def finish(self, digest: str) -> Stamp:
        """See that the file is on the disk, and stamp it as holding the stream of ``digest``."""
        self._end_group()
        records.require_readable(self._schema)
        self._flush()
        with durable.writing(self._directory):
            layout = self._file.finish()
            stamp = Stamp(
                digest=digest,
                schema=self._schema,
                size=self._file.size,
                sha256=self._file.sha256,
                layout=layout,
            )
            with (self._directory / STAMP).open("xb") as file:
                file.write(msgspec.json.encode(stamp))
                file.flush()
                os.fsync(file.fileno())
        return stamp

    def _end_group(self) -> None:
        if not self._package:
            return
        key, value = grouping.grouped(self._package, self._members)
        try:
            _decode_group(value)
        except records.DAMAGE as error:
            raise records.damaged(error) from None
        self._pending.append((key, value))
        self._package, self._members, self._group_size = b"", [], 0

    def _check(self, key: bytes, value: bytes) -> None:
        """Look at a fact of the whole."""
        if key == b"mschema":
            self._schema = records.decode_schema(value)
            records.require_readable(self._schema)
        elif key == b"msources":
            records.decode_sources(value)
        elif key == b"mnamespaces":
            records.decode_namespaces(value)

    def _flush(self) -> None:
        with durable.writing(self._directory):
            self._file.put(self._pending)
        self._pending.clear()


def create(directory: Path, contents: Iterable[Record]) -> Stamp:
    """Write a whole snapshot of ``contents``, in any order, into a new directory."""
    ordered = sorted(contents)
    directory.mkdir(parents=True)
    with SnapshotWriter(directory) as writer:
        for start in range(0, len(ordered), _BATCH):
            writer.add(ordered[start : start + _BATCH])
        return writer.finish(stream.digest(ordered))


class Snapshot:
    """An open snapshot: lock-free reads of an immutable file. Use as a context manager, or ``close``.

    It stays readable after its directory was pruned. Several may be open on one file; one may be shared
    by threads.
    """

    def __init__(self, store: PackedFile, stamp: Stamp, origin: Origin) -> None:
        self._store: PackedFile | None = store
        self._stamp = stamp
        self._read = store.read
        sources = self._get("msources")
        namespaces = self._get("mnamespaces")
        self.info = DefinitionsInfo(
            digest=stamp.digest,
            schema=stamp.schema,
            channel=origin.channel,
            version=origin.version,
            created=origin.created,
            unsigned=origin.unsigned,
            sources=records.decode_sources(sources) if sources is not None else (),
            namespaces=records.decode_namespaces(namespaces) if namespaces is not None else {},
        )

    @classmethod
    def open(cls, directory: Path, origin: Origin | None = None) -> Snapshot:
        """Open the snapshot in ``directory``.

        Raises ``DefinitionsMissing`` where there is none, ``DefinitionsError`` where it is not as it was
        written, ``DefinitionsRefused`` where its schema is too new, ``AccessDenied``.
        """
        stamp = check(directory)
        return cls(PackedFile(directory / DATA, stamp.layout, stamp.size), stamp, origin or Origin())

    def affected(self, namespace: str, name: str) -> list[tuple[str, Ranges]]:
        """Every advisory's ranges for a package, by ``ref`` ascending; ``name`` normalised."""
        try:
            value = self._read(f"a{namespace}\0{name}".encode())
            return _decode_group(value) if value is not None else []
        except UnicodeEncodeError:
            return []  # no key is so
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise damaged(self._stamp.digest) from None

    def undecoded(self, namespace: str, name: str) -> list[bytes]:
        """The same, each record as it lies in the file (texts as UTF-8). ``decoded`` decodes them."""
        value = self._get(f"a{namespace}\0{name}")
        if value is None:
            return []
        try:
            return list(map(bytes, _decode_apart(value)))
        except msgspec.MsgspecError:
            raise damaged(self._stamp.digest) from None

    def decoded(self, stored: Sequence[bytes]) -> list[tuple[str, Ranges]]:
        """The refs and the ranges of some records that ``undecoded`` gave."""
        try:
            return _decode_group(grouping.together(stored))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise damaged(self._stamp.digest) from None

    def parted(self, stored: Sequence[bytes]) -> list[tuple[str, bytes]]:
        """The ref of each of some records that ``undecoded`` gave, and its ranges as they lie in the file (``ranges``)."""
        try:
            return grouping.parted(stored)
        except (IndexError, UnicodeDecodeError):
            raise damaged(self._stamp.digest) from None

    def ranges(self, stored: bytes) -> Ranges:
        """The ranges of a record, out of what ``parted`` gave of them."""
        try:
            return _decode_ranges(stored)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise damaged(self._stamp.digest) from None

    def advisory(self, ref: str) -> Advisory | None:
        """The advisory that ``ref`` (``source/id``) names."""
        value = self._get("v" + ref)
        return records.decode_advisory(ref, value) if value is not None else None

    def cve(self, identifier: str) -> CveRecord | None:
        """What is known of a CVE: NVD's scores, KEV."""
        value = self._get("c" + identifier)
        return records.decode_cve(value) if value is not None else None

    def epss(self, identifier: str) -> Epss | None:
        """A CVE's EPSS score."""
        value = self._get("e" + identifier)
        return records.decode_epss(value) if value is not None else None

    def end_of_life(self, release: str) -> str:
        """From when a release (``namespaces.lifecycle``) is no longer looked after; empty if not known."""
        value = self._get("d" + release)
        return records.decode_end_of_life(value) if value is not None else ""

    def mapped(self, kind: str, name: str) -> tuple[str, ...]:
        """What a repository (``product``) or container name (``container``) stands for; nothing if unknown."""
        value = self._get(f"r{kind}\0{name}")
        return records.decode_mapped(value) if value is not None else ()

    def stored(self, key: bytes) -> bytes | None:
        """An entry's value as it lies in the file, for who compares and does not read."""
        return self._read(key)

    def mentions(self, prefix: bytes, words: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
        """Keys (without ``prefix``, ``a`` or ``v``) and values, as stored, in which any of ``words`` stands.

        Reads everything below ``prefix`` but decodes nothing: who asks looks closer. In no certain order.
        """
        if self._store is None:
            raise _closed()
        for key, value in self._store.entries(prefix.decode()):
            for word in words:  # without ``any``: millions of records, and nearly always one word
                if value.find(word) >= 0 or key.find(word) >= 0:  # ``in`` asks first whether it is a number
                    yield key[len(prefix) :].decode(errors="replace"), value
                    break

    def records(self) -> Iterator[Record]:
        """The stream that this snapshot was written from, record by record."""
        return grouping.ungrouped(self.entries())

    def entries(self) -> Iterator[Record]:
        """The same as it lies in the file (``grouping``), in order."""
        if self._store is None:
            raise _closed()
        return self._store.entries()

    def close(self) -> None:
        """Let go of the file. Twice is harmless."""
        self._store, self._read = None, _refuse

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, name: str) -> bytes | None:
        try:
            return self._read(name.encode())
        except UnicodeEncodeError:
            return None  # no key is so


def check(directory: Path, *, contents: bool = False) -> Stamp:
    """Compare a snapshot's file with its stamp: its size, and its SHA-256 where ``contents``.

    Raises as ``Snapshot.open``.
    """
    path = directory / DATA
    try:
        stamp = msgspec.json.decode((directory / STAMP).read_bytes(), type=Stamp)
        size = path.stat().st_size
        sha256 = file_sha256(path) if contents and size == stamp.size else stamp.sha256
    except FileNotFoundError:
        raise missing(directory) from None
    except OSError as error:
        raise AccessDenied(f"cannot read definitions in {directory}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise damaged(directory) from None
    if size != stamp.size or sha256 != stamp.sha256:
        raise damaged(directory)
    records.require_readable(stamp.schema)
    return stamp


def verify(directory: Path) -> Stamp:
    """Read the whole snapshot and prove that it still holds the stream of its digest.

    The file's own SHA-256 comes first, because walking damaged pages could kill the process.
    """
    stamp = check(directory, contents=True)
    with Snapshot.open(directory) as snapshot:
        if stream.digest(snapshot.records()) != stamp.digest:
            raise damaged(directory)
    return stamp


def file_sha256(path: Path) -> str:
    """A file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged_key(key: bytes) -> DefinitionsRefused:
    return DefinitionsRefused(f"definitions hold a damaged key ({key[:80]!r}); build them again")


def _refuse(_: bytes, /) -> bytes | None:
    raise _closed()


def _closed() -> DefinitionsError:
    return DefinitionsError("these definitions were closed")
