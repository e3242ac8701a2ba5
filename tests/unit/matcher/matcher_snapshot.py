"""Definitions in memory, and short ways to write ranges and packages, for the matcher's tests."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from redoubt import versions
from redoubt.model import (
    Advisory,
    AffectedRange,
    CveRecord,
    DefinitionsInfo,
    Distribution,
    Epss,
    Image,
    IndexReport,
    Package,
    RangeFlag,
    Severity,
    SourceInfo,
    Status,
    namespaces,
)

DEBIAN = Distribution(
    id="debian", version_id="11", codename="bullseye", name="Debian GNU/Linux 11 (bullseye)"
)
ALMA = Distribution(id="almalinux", version_id="9.3", name="AlmaLinux 9.3")


class MemorySnapshot:
    """The questions of ``matcher.Snapshot``, answered from dictionaries."""

    def __init__(self) -> None:
        self._affected: dict[tuple[str, str], list[tuple[str, tuple[AffectedRange, ...]]]] = {}
        self.advisories: dict[str, Advisory] = {}
        self.cves: dict[str, CveRecord] = {}
        self.scores: dict[str, Epss] = {}
        self.mappings: dict[tuple[str, str], tuple[str, ...]] = {}
        self.ends: dict[str, str] = {}
        self.asked: list[str] = []

    def add(self, advisory: Advisory, namespace: str, name: str, *ranges: AffectedRange) -> MemorySnapshot:
        self.advisories[advisory.ref] = advisory
        self._affected.setdefault((namespace, name), []).append((advisory.ref, ranges))
        return self

    @property
    def info(self) -> DefinitionsInfo:
        counts: dict[str, int] = {}
        for namespace, _ in self._affected:
            counts[namespace] = counts.get(namespace, 0) + 1
        names = sorted({advisory.source for advisory in self.advisories.values()})
        sources = tuple(SourceInfo(name=name) for name in names)
        return DefinitionsInfo(digest="sha256:" + "0" * 64, schema="1.0", sources=sources, namespaces=counts)

    def affected(self, namespace: str, name: str) -> list[tuple[str, tuple[AffectedRange, ...]]]:
        self.asked.append(f"{namespace}/{name}")
        return self._affected.get((namespace, name), [])

    def undecoded(self, namespace: str, name: str) -> list[bytes]:
        return [msgspec.msgpack.encode(record) for record in self.affected(namespace, name)]

    def decoded(self, stored: Iterable[bytes]) -> list[tuple[str, tuple[AffectedRange, ...]]]:
        return [msgspec.msgpack.decode(one, type=tuple[str, tuple[AffectedRange, ...]]) for one in stored]

    def parted(self, stored: Iterable[bytes]) -> list[tuple[str, bytes]]:
        return [(ref, msgspec.msgpack.encode(ranges)) for ref, ranges in self.decoded(stored)]

    def ranges(self, stored: bytes) -> tuple[AffectedRange, ...]:
        return msgspec.msgpack.decode(stored, type=tuple[AffectedRange, ...])

    def advisory(self, ref: str) -> Advisory | None:
        return self.advisories.get(ref)

    def cve(self, identifier: str) -> CveRecord | None:
        return self.cves.get(identifier)

    def epss(self, identifier: str) -> Epss | None:
        return self.scores.get(identifier)

    def end_of_life(self, release: str) -> str:
        return self.ends.get(release, "")

    def mapped(self, kind: str, name: str) -> tuple[str, ...]:
        return self.mappings.get((kind, name), ())


def affected(
    namespace: str,
    lower: str = "",
    *,
    fixed: str = "",
    last: str = "",
    limit: str = "",
    status: Status = Status.AFFECTED,
    arch: str = "",
    module: str = "",
    severity: Severity = Severity.UNKNOWN,
    repository: str = "",
    notice: str = "",
    channel: str = "",
) -> AffectedRange:
    """A range with its keys: ``fixed`` and ``limit`` exclude their version, ``last`` includes it."""
    scheme = namespaces.scheme(namespace)
    upper = fixed or last or limit
    lower_key = versions.lenient_key(scheme, lower) if lower else b""
    upper_key = versions.lenient_key(scheme, upper) if upper else b""
    flags = (RangeFlag.FIXED if fixed else 0) | (RangeFlag.INCLUSIVE if last else 0)
    if not (versions.is_exact(lower_key) and versions.is_exact(upper_key)):
        flags |= RangeFlag.INEXACT
    return AffectedRange(
        lower_key,
        upper_key,
        int(flags),
        lower,
        upper,
        status,
        arch,
        module,
        severity,
        repository,
        channel=channel,
        notice=notice,
    )


def index(packages: Iterable[Package], distribution: Distribution | None = None) -> IndexReport:
    """An index report of packages."""
    image = Image(reference="example", kind="dir")
    return IndexReport(image=image, distribution=distribution, packages=tuple(packages))
