"""What is done with definitions in a child process (``redoubt.children``): import, compare, export.

Each function takes a struct that names files, and gives a struct that Central can answer with. Knows
neither HTTP nor the database.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from redoubt.definitions import stream
from redoubt.definitions.bundle import MANIFEST, BundleSource
from redoubt.definitions.carrier import open_carrier, read_member
from redoubt.definitions.diff import Counts, compare
from redoubt.definitions.library import Library
from redoubt.definitions.proposing import ProposingLibrary
from redoubt.definitions.shelf import Entry, State
from redoubt.errors import DefinitionsMissing
from redoubt.model import Severity

#: This module, as ``children.run`` names its functions.
WORK = "redoubt.central.definitions.work"
#: Below the data folder: streams for Matchers. See ``beside.py``.
STREAMS = "streams"
#: A stream that is made for Matchers nearby is compressed little: time counts, not size.
_LEVEL = 3
_MANIFEST_LIMIT = 4 << 20


class ToImport(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle's file, and the data folder on whose shelf it goes.

    ``only_newer``: leave it alone unless it was made after what is active, whatever channel that is of.
    """

    data: str
    file: str
    allow_older: bool = False
    only_newer: bool = False


class Became(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an upload or rollback made active. ``previous`` is the digest that was so before, or empty."""

    digest: str
    channel: str
    version: int
    created: str
    unsigned: bool = False
    already_active: bool = False
    older: bool = False
    previous: str = ""
    delta: bool = False
    stackrox: bool = False
    records: int = 0
    sources: tuple[BundleSource, ...] = ()
    passed_over: tuple[str, ...] = ()


class ToCompare(msgspec.Struct, frozen=True, kw_only=True):
    """Two digests on one shelf."""

    data: str
    old: str
    new: str


class GroupCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a source's advisories of one severity appeared, changed and vanished."""

    source: str
    severity: Severity
    appeared: int
    changed: int
    vanished: int


class Differs(msgspec.Struct, frozen=True, kw_only=True):
    """What lies between two snapshots, in numbers. ``packages`` counts names in a namespace."""

    old: str
    new: str
    advisories: Counts
    cves: Counts
    scores: Counts
    packages: int
    groups: tuple[GroupCounts, ...]


class ToExport(msgspec.Struct, frozen=True, kw_only=True):
    """A digest on the shelf, and the file that its stream shall be in."""

    data: str
    digest: str
    out: str


class Exported(msgspec.Struct, frozen=True):
    """How many bytes the file has."""

    size: int


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle would make active, and what the shelf would be then; None: it stays what it is."""

    became: Became
    state: State | None


class ToAdopt(msgspec.Struct, frozen=True):
    """See ``ProposingLibrary.adopt``; ``streams`` is digest → file."""

    data: str
    state: State
    streams: dict[str, str]


class Adopted(msgspec.Struct, frozen=True):
    """What is active now."""

    digest: str


def take(asked: ToImport) -> Became:
    """Verify the bundle, put it on the shelf, make it active. Raises what ``Library.import_bundle`` raises."""
    data = Path(asked.data)
    return _taken(Library(data, streams=data / STREAMS), asked)


def propose(asked: ToImport) -> Proposal:
    """As ``take``, but what is active stays so; raises the same."""
    data = Path(asked.data)
    library = ProposingLibrary(data, streams=data / STREAMS)
    return Proposal(became=_taken(library, asked), state=library.proposed)


def adopt(asked: ToAdopt) -> Adopted:
    """Have the shelf be what was decided. Raises what ``ProposingLibrary.adopt`` raises."""
    streams = {digest: Path(file) for digest, file in asked.streams.items()}
    ProposingLibrary(Path(asked.data)).adopt(asked.state, streams)
    return Adopted(asked.state.active)


def _taken(library: Library, asked: ToImport) -> Became:
    if asked.only_newer and (active := _not_older(library, Path(asked.file))) is not None:
        return became(active, previous=active.digest, already_active=True)
    done = library.import_bundle(Path(asked.file), allow_older=asked.allow_older)
    return became(
        done.entry,
        previous=done.previous,
        already_active=done.already_active,
        older=done.older,
        passed_over=done.passed_over,
    )


def _not_older(library: Library, file: Path) -> Entry | None:
    """What is active, where the bundle says of itself that it was not made after that.

    Nothing has vouched for what it says; but all that follows from a lie is that it is verified, or left alone.
    """
    with suppress(DefinitionsMissing):
        active = library.info().entry
        with open_carrier(file) as carrier, suppress(KeyError, msgspec.MsgspecError, UnicodeDecodeError):
            said = msgspec.json.decode(read_member(carrier, MANIFEST, _MANIFEST_LIMIT), type=_Said)
            if said.created <= active.manifest.created:
                return active
    return None


class _Said(msgspec.Struct):
    created: str


def became(
    entry: Entry,
    *,
    previous: str = "",
    already_active: bool = False,
    older: bool = False,
    passed_over: tuple[str, ...] = (),
) -> Became:
    """The answer about an entry of the shelf."""
    manifest = entry.manifest
    return Became(
        digest=entry.digest,
        channel=manifest.channel,
        version=manifest.version,
        created=manifest.created,
        unsigned=entry.unsigned,
        already_active=already_active,
        older=older,
        previous=previous,
        delta=manifest.base is not msgspec.UNSET and bool(manifest.base),
        stackrox=bool(entry.read_from),
        records=sum(manifest.counts.values()),
        sources=manifest.sources,
        passed_over=passed_over,
    )


def differ(asked: ToCompare) -> Differs:
    """Count what differs. Memory grows with what differs, not with what is there."""
    library = Library(Path(asked.data))
    with library.open(asked.old) as old, library.open(asked.new) as new:
        difference = compare(old, new)
    return Differs(
        old=difference.old,
        new=difference.new,
        advisories=difference.counts,
        cves=difference.cves.counts,
        scores=difference.scores,
        packages=difference.packages,
        groups=tuple(
            GroupCounts(
                source=group.source,
                severity=group.severity,
                appeared=group.counts.appeared,
                changed=group.counts.changed,
                vanished=group.counts.vanished,
            )
            for group in difference.advisories
        ),
    )


def export(asked: ToExport) -> Exported:
    """Write the stream of a snapshot, compressed, to a file that appears whole or not at all."""
    out = Path(asked.out)
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with Library(Path(asked.data)).open(asked.digest) as snapshot, draft.open("xb") as file:
            stream.write(snapshot.records(), file, level=_LEVEL)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
    return Exported(out.stat().st_size)
