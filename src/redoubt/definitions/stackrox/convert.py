"""A bundle's streams → one sorted sequence of our records, in bounded memory.

Operations and records may come in any order, and one updater may have several operations: of those the one
with the latest ``Date`` counts, all others are left out. Which that is, is known at the end; until then every
record carries the number of its operation.

Records of several packages repeat the same advisory with other links and scores: these are united. What else
shares a key is merged as ``build`` does it. Where a package is said to be affected and not affected by the
same flaw, it is affected, as ClairCore has it.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from redoubt.definitions import build, durable, records
from redoubt.definitions.bundle import BundleSource
from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.interface import Notes, SpoiltRecord
from redoubt.definitions.feeds.redhat import mapped
from redoubt.definitions.sorting import Record, Sorted, Sorter
from redoubt.definitions.stackrox.archive import NAMES_TO_REPOSITORIES, REPOSITORIES_TO_CPES, Contents
from redoubt.definitions.stackrox.blob import ENRICHMENT, VULNERABILITY, Head, Limits, Line, lines
from redoubt.definitions.stackrox.interface import Kind, Said
from redoubt.definitions.stackrox.kinds import MAPS, of_updater
from redoubt.errors import DefinitionsRefused, UnreadableInput
from redoubt.model import Advisory, SourceInfo, Status

#: Bytes of records held in memory before sorted runs go to temporary files.
_BUDGET = 32 << 20
#: More than there are updaters in the world, and few enough that each can be named.
_OPERATIONS = 5000
#: An updater of which more than one in so many records is spoilt is not that updater any more.
_SPOILT_SHARE = 10
_SPOILT_LEAST = 100
#: Advisories that were written lately, so that each package's record doesn't repeat them.
_REMEMBERED = 1 << 13
_MANY = 0xFFFF

_AFFECTED, _ADVISORY = records.AFFECTED, records.ADVISORY


class Operation(msgspec.Struct):
    """One update operation: whose, when, and what was made of it."""

    updater: str
    kind: Kind | None
    date: datetime
    notes: Notes
    superseded: bool = False


class Converted:
    """The result: ``records()`` for the stream, and what is to be said about it. Close it after use.

    ``created`` is when the bundle was made. ``sources`` say in ``detail`` what was left out and why; an
    updater that is not known is a ``missing`` source under its own name. ``namespaces`` is namespace → number
    of (package, advisory) records.
    """

    def __init__(self, found: Sorted, operations: list[Operation], created: datetime | None) -> None:
        self._sorted = found
        self._lost = frozenset(number for number, item in enumerate(operations) if item.superseded)
        self.created = created or max(item.date for item in operations)
        advisories, self.namespaces = self._count()
        self.sources = tuple(_sources(operations, advisories))

    def records(self) -> Iterator[Record]:
        """All records in ascending order of keys, each key once. May be asked for again."""
        names = SourceInfo.__struct_fields__
        infos = [
            SourceInfo(**{name: getattr(source, name) for name in names})
            for source in self.sources
            if source.state != "missing"
        ]
        described = records.describe(infos, self.namespaces)
        written = False
        for key, value in self._records():
            if not written and key > records.META:
                yield from described
                written = True
            yield key, value
        if not written:
            yield from described

    def close(self) -> None:
        """Let go of temporary files."""
        self._sorted.close()

    def _records(self) -> Iterator[Record]:
        lost = self._lost
        if not lost:
            for key, value in self._sorted.records():
                yield key, value[2:]
            return
        for key, value in self._sorted.records():
            if int.from_bytes(value[:2], "big") not in lost:
                yield key, value[2:]

    def _count(self) -> tuple[Counter[str], dict[str, int]]:
        """Advisories (or scores) by source, and pairs of package and advisory by namespace."""
        advisories: Counter[str] = Counter()
        namespaces: Counter[str] = Counter()
        for key, _ in self._records():
            kind = key[:1]
            if kind == _AFFECTED:
                namespaces[key[1 : key.index(b"\0")].decode()] += 1
            elif kind == _ADVISORY:
                advisories[key[1 : key.index(b"/")].decode()] += 1
        return advisories, dict(sorted(namespaces.items()))


def convert(
    contents: Contents, temporary: Path, *, budget: int = _BUDGET, limits: Limits | None = None
) -> Converted:
    """Read everything in ``contents``.

    ``budget`` bounds the bytes of records in memory; what is beyond goes to files in ``temporary``. Raises
    ``DefinitionsRefused`` where a stream is damaged or holds mostly what cannot be used, ``AccessDenied``.
    """
    reader = _Reader()
    collecting = gc.isenabled()
    gc.disable()  # Records are many, small and without cycles.
    try:
        with durable.writing(temporary), Sorter(reader.merge, budget=budget, temporary=temporary) as sorter:
            for name in contents.names:
                with contents.stream(name) as member:
                    for line in lines(member, name, limits):
                        reader.take(line, sorter)
            reader.take_maps(contents, sorter)
            reader.finish()
            return Converted(sorter.finish(keep=budget), reader.operations, contents.created)
    finally:
        if collecting:
            gc.enable()


class _Reader:
    """Turns lines into records for a sorter."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._written: set[object] = set()
        self._maps: int | None = None

    def take(self, line: Line | tuple[Head, str], sorter: Sorter) -> None:
        """Put into ``sorter`` what a line says."""
        head, wrong = line if isinstance(line, tuple) else (line, "")
        number = self._operation(head)
        operation = self.operations[number]
        kind, notes = operation.kind, operation.notes
        notes.read += 1
        if kind is None:
            return
        try:
            if wrong:
                raise SpoiltRecord(wrong)
            assert isinstance(line, Line)
            if line.vuln is not None and line.kind == VULNERABILITY and kind.vulnerabilities:
                for said in kind.vulnerabilities.read(line.vuln, kind.source, notes):
                    self._write(said, number, sorter)
            elif line.enrichment is not None and line.kind == ENRICHMENT and kind.enrichments:
                tag = number.to_bytes(2, "big")
                for item in kind.enrichments.read(line.enrichment, kind.source, notes):
                    for key, value in build.encode(item):
                        sorter.add(key, tag + value)
            else:
                raise SpoiltRecord(f"holds nothing of the kind {line.kind[:40]!r}")
        except (SpoiltRecord, UnreadableInput) as error:
            notes.spoil(head.updater[:80], error)
            if notes.spoilt % 1000 == 0:
                _require_sound(operation)

    def take_maps(self, contents: Contents, sorter: Sorter) -> None:
        """Put into ``sorter`` what Red Hat's repositories and containers stand for."""
        for name, kind in ((REPOSITORIES_TO_CPES, "product"), (NAMES_TO_REPOSITORIES, "container")):
            if not (data := contents.map(name)):
                continue
            if self._maps is None:
                self._maps = self._operation(Head(updater=MAPS, date="1970-01-01", kind="", ref=""))
            tag = self._maps.to_bytes(2, "big")
            try:
                for item in mapped(name, data, kind, self.operations[self._maps].notes):
                    for key, value in build.encode(item):
                        sorter.add(key, tag + value)
            except UnreadableInput as error:
                raise DefinitionsRefused(f"the StackRox bundle is damaged: {error}") from None

    def _write(self, said: Said, number: int, sorter: Sorter) -> None:
        advisory, namespace, name, found = said
        tag = number.to_bytes(2, "big")
        key, value = records.affected(namespace, name, advisory.ref, (found,))
        sorter.add(key, tag + value)
        operation = self.operations[number]
        operation.notes.dated(advisory.published)
        again = (number, advisory)
        if again in self._written:
            return
        if len(self._written) >= _REMEMBERED:
            self._written.clear()
        self._written.add(again)
        for key, value in build.encode((advisory, ())):
            sorter.add(key, tag + value)

    def _operation(self, head: Line | Head) -> int:
        """The number of the operation that a line belongs to."""
        key = (head.ref, head.updater, head.date)
        number = self._numbers.get(key)
        if number is not None:
            return number
        if len(self.operations) >= _OPERATIONS:
            raise DefinitionsRefused(f"the StackRox bundle has more than {_OPERATIONS} operations; refused")
        number = self._numbers[key] = len(self.operations)
        kind = of_updater(head.updater)
        self.operations.append(Operation(head.updater, kind, _instant(head), Notes()))
        return number

    def finish(self) -> None:
        """Decide which operations count. Raises ``DefinitionsRefused`` where there is nothing to go by."""
        latest: dict[str, Operation] = {}
        for operation in self.operations:
            known = latest.get(operation.updater)
            if known is not None:
                older = min(known, operation, key=lambda item: item.date)
                older.superseded = True
            if known is None or known.superseded:
                latest[operation.updater] = operation
        for operation in self.operations:
            _require_sound(operation)
        if not any(item.kind and item.updater != MAPS for item in self.operations):
            raise DefinitionsRefused("the StackRox bundle holds no records that this Redoubt knows; refused")

    def merge(self, key: bytes, values: list[bytes]) -> bytes:
        """One value for a key that several records share; those of operations that don't count lose."""
        live = [value for value in values if not self._is_lost(value)]
        if not live:
            return values[0]
        tags = {value[:2] for value in live}
        tag = tags.pop() if len(tags) == 1 else _MANY.to_bytes(2, "big")
        different = sorted({value[2:] for value in live})
        return tag + (different[0] if len(different) == 1 else _merged(key, different))

    def _is_lost(self, value: bytes) -> bool:
        number = int.from_bytes(value[:2], "big")
        return number != _MANY and self.operations[number].superseded


def _merged(key: bytes, values: list[bytes]) -> bytes:
    kind = key[:1]
    if kind == _ADVISORY:
        ref = key[1:].decode()
        return records.advisory(_united([records.decode_advisory(ref, value) for value in values]))[1]
    if kind != _AFFECTED:
        return build.merge(key, values)
    namespace, name, ref = key[1:].decode().split("\0")
    ranges = {item for value in values for item in records.decode_affected(value)}
    affecting = {(item.repository, item.module) for item in ranges if item.status is not Status.NOT_AFFECTED}
    ranges -= {
        item
        for item in ranges
        if item.status is Status.NOT_AFFECTED and (item.repository, item.module) in affecting
    }
    return records.affected(namespace, name, ref, sorted(ranges))[1]


def _united(said: list[Advisory]) -> Advisory:
    """What the records of several packages say of one advisory."""
    first = said[0]
    references = fields.links(sorted({link for item in said for link in item.references}))
    return Advisory(
        id=first.id,
        source=first.source,
        title=max((item.title for item in said), key=lambda title: (bool(title), -len(title), title)),
        severity=max((item.severity for item in said), key=lambda severity: severity.rank),
        cvss=tuple(sorted({score for item in said for score in item.cvss})),
        cwes=tuple(sorted({cwe for item in said for cwe in item.cwes})),
        aliases=tuple(sorted({alias for item in said for alias in item.aliases}))[: fields.MAX_NAMES],
        cves=tuple(sorted({cve for item in said for cve in item.cves})),
        references=references,
        url=min((item.url for item in said if item.url), default=""),
        published=min((item.published for item in said if item.published), default=""),
        modified=max(item.modified for item in said),
    )


def _instant(head: Line | Head) -> datetime:
    try:
        instant = datetime.fromisoformat(head.date[:40])
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise DefinitionsRefused(
            f"the updater {head.updater[:80]!r} does not say when it ran ({head.date[:40]!r}); "
            "carry the bundle again"
        ) from None


def _require_sound(operation: Operation) -> None:
    notes = operation.notes
    if notes.spoilt > _SPOILT_LEAST and notes.spoilt * _SPOILT_SHARE > notes.read:
        raise DefinitionsRefused(
            f"{notes.spoilt} of {notes.read} records of the updater {operation.updater[:80]} cannot be used "
            f"({notes.examples[0]}); install a newer Redoubt, or carry the bundle again"
        )


def _sources(operations: list[Operation], advisories: Counter[str]) -> Iterator[BundleSource]:
    """What is to be said of each source: what it gave, and what of it was left out for which reason."""
    members: dict[str, list[Operation]] = {}
    for operation in operations:
        name = operation.kind.source if operation.kind else operation.updater[:80]
        members.setdefault(name, []).append(operation)
    for name, own in sorted(members.items()):
        live = [item for item in own if not item.superseded]
        kind = live[0].kind
        read = sum(item.notes.read for item in live)
        if kind is None:
            detail = f"{read:,} records of an updater that is not known"
            yield BundleSource(name=name, state="missing", detail=detail)
            continue
        lacking: Counter[str] = Counter()
        for item in live:
            lacking.update(item.notes.dropped)
            if item.notes.spoilt:
                lacking[f"cannot be used ({item.notes.examples[0]})"] += item.notes.spoilt
        if older := sum(item.notes.read for item in own if item.superseded):
            lacking["of an older run of the same updater"] = older
        yield BundleSource(
            name=name,
            title=kind.title,
            url=kind.home,
            licence=kind.licence,
            newest=max(item.notes.newest for item in live),
            records=advisories[name] or read - sum(lacking.values()),
            detail="; ".join(f"{count:,} left out: {reason}" for reason, count in sorted(lacking.items())),
            fetched=""
            if live[0].updater == MAPS
            else f"{max(item.date for item in live):%Y-%m-%dT%H:%M:%SZ}",
        )
