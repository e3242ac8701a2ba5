"""Sources → one sorted sequence of records: what a snapshot is made of.

Every source is read for itself: one that cannot be read falls back to the copy kept from its last good
day (``mirror``), is named *stale*, and stops nobody. The records depend on nothing but the content of the
files: not on the machine, the time, an archive's packing or the order of its members.

What shares a key is merged so: of an advisory the newest ``modified`` wins (then the greater bytes); the
ranges of an advisory in a package are united; of a CVE's facts each source's stay. An EPSS score keeps the
later date, then the higher score; what a name stands for is united. Where an advisory names a flaw by its CVE and by a
shared name, that is kept by the latter, since others know only that one. The CVSS of an advisory about one CVE is also kept with that CVE, under the
name of its source, so that records which rate nothing (Go's, most of Python's) are not left unrated.

This module knows nothing of upstream shapes, compression, signatures or databases.
"""

from __future__ import annotations

import gc
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import msgspec

from redoubt.definitions import durable, records
from redoubt.definitions.bundle import BundleSource
from redoubt.definitions.feeds.files import Files, Limits
from redoubt.definitions.feeds.interface import Item, Notes
from redoubt.definitions.mirror import Mirror
from redoubt.definitions.sorting import Sorted, Sorter, merged
from redoubt.definitions.sources import Source, select
from redoubt.errors import DefinitionsError, NetworkError, RedoubtError, UnreadableInput
from redoubt.model import Advisory, CveRecord, EndOfLife, Epss, Mapped, SourceInfo, flawnames

#: Name of the source, how many sources are done, and how many there are.
Progress: TypeAlias = Callable[[str, int, int], None]

#: A source of which more than one in so many records is spoilt is not that source any more.
_SPOILT_SHARE = 10

_ABSENT = "not in the mirror folder"

#: Bytes of records held in memory before sorted runs go to temporary files.
_BUDGET = 512 << 20


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How reading one source went, for people: counts, and the first few reasons for spoilt records."""

    name: str
    read: int = 0
    spoilt: int = 0
    dropped: dict[str, int] = {}
    examples: tuple[str, ...] = ()


class Built:
    """The result: ``records()`` for the stream, and what is to be said about it. Close it after use.

    ``sources`` says of every source asked for what it holds and in which state it is (``fresh``,
    ``unchanged``, ``stale``, ``missing``); those without data are in it, but not in the records.
    ``namespaces`` is namespace → number of (package, advisory) records.
    """

    def __init__(
        self, parts: list[Sorted], sources: tuple[BundleSource, ...], readings: tuple[Reading, ...]
    ) -> None:
        self._parts = parts
        self.sources = sources
        self.readings = readings
        groups = sum((part.groups for part in parts), Counter[bytes]())
        self.namespaces = {
            group[1:].decode(): count
            for group, count in sorted(groups.items())
            if group[:1] == records.AFFECTED
        }

    @property
    def infos(self) -> tuple[SourceInfo, ...]:
        """The part of ``sources`` that belongs into the snapshot: the same on every machine, at any time."""
        names = SourceInfo.__struct_fields__
        return tuple(
            SourceInfo(**{name: getattr(source, name) for name in names})
            for source in self.sources
            if source.state != "missing"
        )

    def records(self) -> Iterator[records.Record]:
        """All records in ascending order of keys, each key once. May be asked for again."""
        described = records.describe(self.infos, self.namespaces)
        return merged([*(part.records() for part in self._parts), iter(described)], merge)

    def close(self) -> None:
        """Let go of temporary files."""
        for part in self._parts:
            part.close()

    def __enter__(self) -> Built:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def build(
    mirror: Mirror,
    sources: Iterable[str] | None = None,
    *,
    facts_only: bool = False,
    progress: Progress | None = None,
    limits: Limits | None = None,
    budget: int = _BUDGET,
    temporary: Path | None = None,
    registry: Iterable[Source] | None = None,
) -> Built:
    """Read the sources named (all by default) out of ``mirror``; or those of ``registry``, where given.

    ``facts_only`` leaves out titles. ``budget`` bounds the bytes of records in memory; what is beyond goes
    to files in ``temporary``. Raises ``UnreadableInput`` where a source that was named is absent or the
    folder holds none at all, ``DefinitionsError`` where none of those that are there could be read
    (``NetworkError`` where none could be fetched),
    ``UsageError`` for unknown names, and ``AccessDenied`` where temporary files or copies cannot be written.
    """
    chosen = tuple(registry) if registry is not None else select(sources)
    if sources is not None:
        for source in chosen:
            if not (mirror.files(source) or mirror.kept(source) or source.name in mirror.fetches):
                raise UnreadableInput(
                    f"{mirror.folder} holds no files of {source.name}; expected {source.patterns[0][0]}"
                )
    parts: list[Sorted] = []
    states: list[BundleSource] = []
    readings: list[Reading] = []
    try:
        with _collector_paused():
            for number, source in enumerate(chosen):
                if progress:
                    progress(source.name, number, len(chosen))
                left = budget // 2 - sum(part.held for part in parts)
                attempt = _Attempt(source, mirror, facts_only, limits, (budget // 2, left), temporary)
                state, reading, part = attempt.run()
                states.append(state)
                readings.append(reading)
                if part is not None:
                    parts.append(part)
        if progress:
            progress("", len(chosen), len(chosen))
        if not parts:
            raise _nothing(mirror, states)
        return Built(parts, tuple(states), tuple(readings))
    except BaseException:
        for part in parts:
            part.close()
        raise


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Records are many, small and without cycles: looking for cycles would take a third of the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


class _Attempt:
    """One source: its files, else the copies kept of them, else nothing, with the reason."""

    def __init__(
        self,
        source: Source,
        mirror: Mirror,
        facts_only: bool,
        limits: Limits | None,
        budget: tuple[int, int],
        temporary: Path | None,
    ) -> None:
        self._source = source
        self._mirror = mirror
        self._facts_only = facts_only
        self._limits = limits or source.limits
        self._budget = budget
        self._temporary = temporary

    def run(self) -> tuple[BundleSource, Reading, Sorted | None]:
        source, mirror = self._source, self._mirror
        fetch = mirror.fetches.get(source.name)
        detail = fetch.detail if fetch else ""
        if files := mirror.files(source):
            try:
                info, reading, part = self._read(files)
            except UnreadableInput as error:
                detail = str(error)
            else:
                mirror.keep(source, files)
                fresh = "unchanged" if fetch and not fetch.changed else "fresh"
                return self._state(info, "stale" if detail else fresh, detail), reading, part
        elif not detail:
            detail = _ABSENT
        if kept := mirror.kept(source):
            try:
                info, reading, part = self._read(kept)
            except UnreadableInput as error:
                detail += f"; nor can what was kept be read: {error}"
            else:
                return self._state(info, "stale", f"{detail}; used what was kept"), reading, part
        return self._state(_info(source), "missing", detail), Reading(name=source.name), None

    def _state(self, info: SourceInfo, state: str, detail: str) -> BundleSource:
        facts = {name: getattr(info, name) for name in SourceInfo.__struct_fields__}
        fetched, etag = self._mirror.fetched(self._source)
        return BundleSource(**facts, state=state, detail=detail, fetched=fetched, etag=etag)

    def _read(self, paths: list[tuple[str, Path]]) -> tuple[SourceInfo, Reading, Sorted]:
        source = self._source
        files, notes = Files(paths, self._limits), Notes()
        place = self._temporary or Path(tempfile.gettempdir())
        with durable.writing(place), Sorter(merge, budget=self._budget[0], temporary=place) as sorter:
            for item in source.feed.read(files, source.name, notes, facts_only=self._facts_only):
                try:
                    encoded = encode(item)
                except UnreadableInput as error:
                    notes.spoil(str(item[0])[:100], error)
                    continue
                for key, value in encoded:
                    sorter.add(key, value)
            _require_sound(source, notes)
            part = sorter.finish(keep=self._budget[1])
        # Advisories add to what is known of their CVE and of its names; they are one record all the same.
        of_advisories = (records.AFFECTED, records.ADVISORY)
        others = sum(count for group, count in part.groups.items() if group[:1] not in of_advisories)
        advisories = part.groups[records.ADVISORY]
        reading = Reading(
            name=source.name,
            read=notes.read,
            spoilt=notes.spoilt,
            dropped=dict(sorted(notes.dropped.items())),
            examples=tuple(notes.examples),
        )
        info = _info(
            source,
            sha256=files.digest,
            newest=notes.newest,
            records=advisories or others,
            scores_only=not advisories,
        )
        return info, reading, part


def merge(key: bytes, values: list[bytes]) -> bytes:
    """One value for a key that several records share: the rules of this module's first lines.

    ``values`` are encoded records, different and in ascending order, so the outcome does not depend on the
    order in which they were read.
    """
    kind = key[:1]
    if kind == records.AFFECTED:
        namespace, name, ref = key[1:].decode().split("\0")
        united = {item for value in values for item in records.decode_affected(value)}
        return records.affected(namespace, name, ref, sorted(united))[1]
    rest = key[1:].decode()
    if kind == records.ADVISORY:
        return max(values, key=lambda value: (records.decode_advisory(rest, value).modified, value))
    if kind == records.CVE:
        return records.cve(rest, _united_cve([records.decode_cve(value) for value in values]))[1]
    if kind == records.EPSS:
        scores = [(records.decode_epss(value), value) for value in values]
        return max(scores, key=lambda pair: (pair[0].date, pair[0].probability, pair[1]))[1]
    if kind == records.END_OF_LIFE:
        return max(values)
    if kind == records.MAPPED:
        mapping, _, name = rest.partition("\0")
        together = {item for value in values for item in records.decode_mapped(value)}
        return records.mapped(name, Mapped(mapping, tuple(sorted(together))))[1]
    raise AssertionError(f"no rule for two records under {key!r}")


def _united_cve(facts: list[CveRecord]) -> CveRecord:
    exploited = [fact.kev for fact in facts if fact.kev is not None]
    return CveRecord(
        kev=max(exploited, key=lambda kev: (kev.added, kev.due, kev.ransomware), default=None),
        cvss=tuple(sorted({score for fact in facts for score in fact.cvss})),
        severity=max((fact.severity for fact in facts), key=lambda severity: severity.rank),
    )


def encode(item: Item) -> list[records.Record]:
    """What a feed yields as records of the stream. Raises ``UnreadableInput`` where a name cannot be a key's."""
    first, second = item
    if isinstance(first, Advisory):
        assert isinstance(second, tuple)
        encoded = [records.advisory(first)]
        encoded += (records.affected(one.namespace, one.name, first.ref, one.ranges) for one in second)
        if first.cvss and (cve := _only_cve(first)):
            encoded.append(records.cve(cve, CveRecord(cvss=first.cvss)))
        encoded += (records.mapped(name, alias) for name, alias in _names(first))
        return encoded
    if isinstance(second, CveRecord):
        return [records.cve(first, second)]
    if isinstance(second, EndOfLife):
        return [records.end_of_life(first, second.day)]
    if isinstance(second, Mapped):
        return [records.mapped(first, second)]
    assert isinstance(second, Epss)
    return [records.epss(first, second)]


def _only_cve(advisory: Advisory) -> str:
    """The one CVE that an advisory is about, so that its score is that CVE's; empty for several or none."""
    names = {name for name in (advisory.id, *advisory.aliases) if name.startswith("CVE-")}
    return names.pop() if len(names) == 1 and not advisory.cves else ""


def _names(advisory: Advisory) -> Iterator[tuple[str, Mapped]]:
    """Which CVEs an advisory calls a flaw that it knows by a shared name as well; its own id is found without that."""
    if advisory.aliases and not (advisory.cves or advisory.withdrawn):
        for name, cves in flawnames.shared((advisory.id, *advisory.aliases)).items():
            if name != advisory.id:
                yield name, Mapped(flawnames.ALIAS, cves)


def _require_sound(source: Source, notes: Notes) -> None:
    if not notes.read:
        raise UnreadableInput(f"{source.name} holds no records at all; fetch it again")
    if notes.spoilt * _SPOILT_SHARE > notes.read:
        raise UnreadableInput(
            f"{source.name}: {notes.spoilt} of {notes.read} records cannot be used "
            f"({notes.examples[0]}); fetch it again, or see whether upstream changed its shape"
        )


def _info(
    source: Source, *, sha256: str = "", newest: str = "", records: int = 0, scores_only: bool = False
) -> SourceInfo:
    return SourceInfo(
        name=source.name,
        title=source.title,
        url=source.home,
        licence=source.licence,
        sha256=sha256,
        newest=newest,
        records=records,
        scores_only=scores_only,
    )


def _nothing(mirror: Mirror, states: list[BundleSource]) -> RedoubtError:
    failed = [state for state in states if state.detail != _ABSENT]
    if not failed:
        return UnreadableInput(
            f"{mirror.folder} holds the files of no source; see docs/sources.md for how a mirror is laid out"
        )
    if mirror.fetches and all(state.name in mirror.fetches for state in failed):
        return NetworkError(f"no source could be fetched: {failed[0].name}: {failed[0].detail}")
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return DefinitionsError(f"no source could be read: {failed[0].name}: {failed[0].detail}{more}")
