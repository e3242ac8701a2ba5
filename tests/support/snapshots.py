"""Definitions made of sources' fixtures, in memory: what a feed says, asked as the matcher asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Notes
from redoubt.definitions.mirror import Mirror
from redoubt.matcher import match
from redoubt.model import (
    Advisory,
    AffectedRange,
    CveRecord,
    DefinitionsInfo,
    Distribution,
    Epss,
    Finding,
    Image,
    IndexReport,
    Judged,
    Package,
)
from support.feeds import fixture_mirror, source_named


class FeedSnapshot:
    """The questions of ``matcher.Snapshot``, answered from what feeds say of a mirror folder."""

    def __init__(self, mirror: Path, names: Iterable[str]) -> None:
        self._affected: dict[tuple[str, str], list[tuple[str, tuple[AffectedRange, ...]]]] = {}
        self._advisories: dict[str, Advisory] = {}
        counts: Counter[str] = Counter()
        for name in names:
            source = source_named(name)
            files = Files(Mirror(mirror).files(source))
            for first, second in source.feed.read(files, name, Notes(), facts_only=False):
                assert isinstance(first, Advisory)
                assert isinstance(second, tuple)
                self._advisories[first.ref] = first
                for one in second:
                    counts[one.namespace] += 1
                    self._affected.setdefault((one.namespace, one.name), []).append((first.ref, one.ranges))
        self.info = DefinitionsInfo(digest="sha256:" + "0" * 64, schema="1.0", namespaces=dict(counts))

    def affected(self, namespace: str, name: str) -> list[tuple[str, tuple[AffectedRange, ...]]]:
        return self._affected.get((namespace, name), [])

    def advisory(self, ref: str) -> Advisory | None:
        return self._advisories.get(ref)

    def cve(self, identifier: str) -> CveRecord | None:
        return None

    def epss(self, identifier: str) -> Epss | None:
        return None

    def end_of_life(self, release: str) -> str:
        return ""

    def mapped(self, kind: str, name: str) -> tuple[str, ...]:
        return ()


def scanned(
    folder: Path, source: str, package: Package, system: Distribution
) -> tuple[dict[str, Finding], Judged]:
    """The findings by id of one package with a source's fixture as definitions, and whether it was judged."""
    snapshot = FeedSnapshot(fixture_mirror(folder, [source]), [source])
    image = Image(reference="example", kind="dir")
    report = match(IndexReport(image=image, distribution=system, packages=(package,)), snapshot)
    found = {item.id: item for each in report.packages for item in each.findings}
    return found, report.coverage[0].judged
