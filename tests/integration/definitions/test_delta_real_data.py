"""A day's delta over the whole advisory data, where it is there: exact, and as small as it is meant to be."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from redoubt.definitions import delta, records, stream
from redoubt.definitions.build import build
from redoubt.definitions.diff import compare
from redoubt.definitions.mirror import Mirror
from redoubt.definitions.records import Record
from redoubt.definitions.snapshot import Snapshot
from redoubt.model import Epss
from support.data import shared_data
from support.definitions_bundles import NOW, Site, delta_bundle

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def day() -> Callable[[int], list[Record]]:
    """The data on a day: on the second, one advisory in a hundred is modified and wider, and one is gone."""
    with build(Mirror(shared_data())) as whole:
        first = list(whole.records())
    gone = next(key for key, _ in first if key[:1] == records.ADVISORY)

    def changed(key: bytes, value: bytes) -> bytes:
        ref = key[1:] if key[:1] == records.ADVISORY else key.rpartition(b"\0")[2]
        if key[:1] not in (records.ADVISORY, records.AFFECTED) or zlib.crc32(ref) % 100:
            return value
        if key[:1] == records.AFFECTED:
            ranges = records.decode_affected(value)
            wider = msgspec.structs.replace(ranges[0], upper=ranges[0].upper + ".1")
            namespace, name, ref_text = key[1:].decode().split("\0")
            return records.affected(namespace, name, ref_text, (wider, *ranges[1:]))[1]
        said = records.decode_advisory(ref.decode(), value)
        return records.advisory(msgspec.structs.replace(said, modified="2026-11-23T04:05:06Z"))[1]

    second = [(key, changed(key, value)) for key, value in first if key != gone]
    return lambda number: first if number == 1 else second


def test_delta_of_a_day_gives_the_next_days_digest(
    day: Callable[[int], list[Record]], tmp_path: Path
) -> None:
    site = Site(tmp_path)
    whole = site.bundle(1, day(1))
    step = delta_bundle(site, 1, 2, contents=day)
    library = site.library()
    library.import_bundle(whole, now=NOW)
    done = library.import_bundle(step, now=NOW)
    assert done.entry.digest == stream.digest(day(2)) != stream.digest(day(1))
    library.verify()
    assert step.stat().st_size < 0.02 * whole.stat().st_size
    found = [item.path for item in library.list()]
    with Snapshot.open(found[1]) as old, Snapshot.open(found[0]) as new:
        difference = compare(old, new)
    advisories = sum(key[:1] == records.ADVISORY for key, _ in day(1))
    assert 0.005 * advisories < difference.counts.changed < 0.015 * advisories
    assert (difference.counts.appeared, difference.counts.vanished) == (0, 1)


def test_every_score_changed_stays_small(day: Callable[[int], list[Record]]) -> None:
    def scored(number: int) -> list[Record]:
        """Scores of as many CVEs as is usual beside so much data; all percentiles differ from day to day."""
        made = []
        for n in range(12_000):
            name = f"CVE-2024-{n:06}"
            seed = zlib.crc32(name.encode())
            percentile = (seed % 90_000 + zlib.crc32(name.encode(), number) % 1000) / 100_000
            made.append(records.epss(name, Epss(seed % 3000 / 100_000, percentile, f"2026-11-2{number}")))
        return sorted([*day(number), *made])

    whole, step = io.BytesIO(), io.BytesIO()
    stream.write(scored(2), whole)
    facts = delta.write(scored(1), scored(2), step)
    assert facts.counts["e"] > 11_900
    assert len(step.getvalue()) < 0.06 * len(whole.getvalue())
