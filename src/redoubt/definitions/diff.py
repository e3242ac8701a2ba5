"""What appeared, changed and vanished between two snapshots, counted by source and severity.

An advisory is changed where what it says of itself or of any package is. Its severity is its own, in the
newer snapshot; of one that vanished, in the older. What is known of CVEs is told apart from that, and their
EPSS scores, which differ every day, are only counted.
"""

from __future__ import annotations

import msgspec

from redoubt.definitions import grouping, records
from redoubt.definitions.delta import between
from redoubt.definitions.snapshot import Snapshot
from redoubt.model import Severity


class Counts(msgspec.Struct, frozen=True):
    """How many of something appeared, changed, vanished."""

    appeared: int = 0
    changed: int = 0
    vanished: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.appeared + other.appeared, self.changed + other.changed, self.vanished + other.vanished
        )


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """What appeared, changed, vanished: ids in ascending order."""

    appeared: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()

    @property
    def counts(self) -> Counts:
        """How many they are."""
        return Counts(len(self.appeared), len(self.changed), len(self.vanished))


class Group(Changed, frozen=True, kw_only=True):
    """The advisories of one source that have one severity; without the source's name in their ids."""

    source: str
    severity: Severity


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs from the snapshot ``old`` to ``new``, digests. ``scores`` are those of EPSS.

    ``advisories`` is sorted by source, then the most severe first; groups in which nothing differs are not
    in it. ``packages`` is how many names (in a namespace) are spoken of otherwise.
    """

    old: str
    new: str
    advisories: tuple[Group, ...]
    cves: Changed
    scores: Counts
    packages: int = 0

    @property
    def counts(self) -> Counts:
        """How many advisories appeared, changed, vanished."""
        return sum((group.counts for group in self.advisories), Counts())


def compare(old: Snapshot, new: Snapshot) -> Difference:
    """What differs from ``old`` to ``new``. Memory grows with what differs, not with what is there.

    Raises ``DefinitionsRefused`` where a record is damaged.
    """
    touched: set[str] = set()
    cves: tuple[list[str], list[str], list[str]] = ([], [], [])
    scores = [0, 0, 0]
    packages, package = 0, b""
    for key, before, after in between(old.entries(), new.entries()):
        kind = key[:1]
        if kind == records.AFFECTED:
            touched.add(key.rpartition(b"\0")[2].decode(errors="replace"))
            if not package or not key.startswith(package):
                package = grouping.package_of(key)
                packages += 1
        elif kind == records.ADVISORY:
            touched.add(key[1:].decode(errors="replace"))
        elif kind == records.CVE:
            cves[_which(before, after)].append(key[1:].decode(errors="replace"))
        elif kind == records.EPSS:
            scores[_which(before, after)] += 1
    return Difference(
        old=old.info.digest,
        new=new.info.digest,
        advisories=_grouped(touched, old, new),
        cves=Changed(appeared=tuple(cves[0]), changed=tuple(cves[1]), vanished=tuple(cves[2])),
        scores=Counts(*scores),
        packages=packages,
    )


def _grouped(touched: set[str], old: Snapshot, new: Snapshot) -> tuple[Group, ...]:
    groups: dict[tuple[str, Severity], tuple[list[str], list[str], list[str]]] = {}
    for ref in sorted(touched):
        before, after = old.advisory(ref), new.advisory(ref)
        source, _, identifier = ref.partition("/")
        said = after or before
        severity = said.severity if said is not None else Severity.UNKNOWN
        lists = groups.setdefault((source, severity), ([], [], []))
        # Of an advisory that neither snapshot describes all that is known is that its ranges changed.
        lists[1 if said is None else _which(before, after)].append(identifier)
    return tuple(
        Group(
            source=source,
            severity=severity,
            appeared=tuple(appeared),
            changed=tuple(changed),
            vanished=tuple(vanished),
        )
        for (source, severity), (appeared, changed, vanished) in sorted(
            groups.items(), key=lambda item: (item[0][0], -item[0][1].rank)
        )
    )


def _which(before: object | None, after: object | None) -> int:
    """0 appeared, 1 changed, 2 vanished."""
    return 0 if before is None else 2 if after is None else 1
