"""Records, keys and signed bundles for tests of definitions, made from nothing."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import msgspec

from redoubt.definitions import bundle, delta, grouping, keys, records, stream
from redoubt.definitions.library import Library
from redoubt.definitions.records import Record
from redoubt.definitions.trust import TrustStore
from redoubt.model import (
    Advisory,
    AffectedRange,
    CveRecord,
    Cvss,
    Epss,
    KnownExploited,
    RangeFlag,
    Severity,
    SourceInfo,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def span(upper: str) -> AffectedRange:
    """Every version before ``upper``, which fixes."""
    return AffectedRange(b"", upper.encode(), RangeFlag.FIXED, "", upper)


def sample_records(
    marker: str = "1.0", *, schema: str = records.SCHEMA, extra: Iterable[Record] = ()
) -> list[Record]:
    """A small snapshot's records, in order; another ``marker`` gives another digest."""
    made = [
        records.affected("debian:12", "openssl", "debian/CVE-2024-0001", [span(marker)]),
        records.affected("debian:12", "openssl", "debian/CVE-2024-0002", [span("3.0.11-1")]),
        records.affected("debian:12", "zlib", "debian/CVE-2024-0002", [span("1.3")]),
        records.affected("pypi", "shop", "osv/PYSEC-1", [span("2.0"), span("3.0")]),
        records.cve("CVE-2024-0001", CveRecord(kev=KnownExploited("2024-02-01", "2024-03-01", True))),
        records.epss("CVE-2024-0001", Epss(0.97321, 0.99876, "2026-11-21")),
        records.advisory(
            Advisory(
                id="CVE-2024-0001",
                source="debian",
                severity=Severity.HIGH,
                cvss=(Cvss("nvd", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),),
                aliases=("GHSA-aaaa-bbbb-cccc",),
                published="2024-01-05T00:00:00Z",
            )
        ),
        records.advisory(Advisory(id="CVE-2024-0002", source="debian")),
        records.advisory(Advisory(id="PYSEC-1", source="osv", title="A flaw")),
        *records.describe(
            [
                SourceInfo(name="debian", newest="2026-11-20T00:00:00Z", records=2),
                SourceInfo(name="osv", records=1),
            ],
            {"debian:12": 3, "pypi": 1},
        ),
        *extra,
    ]
    replaced = [records.meta("schema", schema) if key == b"mschema" else (key, value) for key, value in made]
    return sorted(replaced)


class Site:
    """A place where bundles are built: keys, a root, and a folder for what it makes."""

    def __init__(self, folder: Path, channel: str = "site") -> None:
        self.folder = folder
        self.channel = channel
        self.root = keys.keygen(folder / "keys", NOW)
        self.key = keys.load_key(folder / "keys")

    def bundle(
        self,
        version: int = 1,
        contents: Iterable[Record] | None = None,
        *,
        name: str = "",
        channel: str = "",
        schema: str = records.SCHEMA,
        created: str = "2026-11-22T00:00:00Z",
        digest: str = "",
        size: int = 0,
        compressed: Callable[[bytes], bytes] | None = None,
    ) -> Path:
        """Build and sign a bundle. What is given beyond the contents is signed as it is, true or not."""
        ordered = list(contents) if contents is not None else sample_records(str(version))
        out = io.BytesIO()
        facts = stream.write(ordered, out)
        data = out.getvalue()
        path = self.folder / (name or f"{channel or self.channel}-{version}.zip")
        source = self.folder / f"{path.name}.zst"
        source.write_bytes(compressed(data) if compressed else data)
        manifest = bundle.Manifest(
            channel=channel or self.channel,
            version=version,
            created=created,
            digest=digest or facts.digest,
            schema=schema,
            size=size or facts.size,
            counts=facts.counts,
            tool="test",
            sources=(bundle.BundleSource(name="debian", state="fresh"),),
        )
        bundle.write_bundle(path, source, manifest, [self.key])
        return path

    def library(self, name: str = "data", *, trusted: bool = True, keep: int = 3) -> Library:
        """A shelf that trusts this site for its channel, and ships no starter root."""
        data = self.folder / name
        library = Library(
            data, keep=keep, trust=TrustStore(data / "trust", starter=self.folder / "no-starter.json")
        )
        if trusted:
            library.trust.add(self.root, self.channel, now=NOW)
        return library


def delta_bundle(
    site: Site,
    old: int,
    new: int,
    *,
    contents: Callable[[int], list[Record]] = lambda version: sample_records(str(version)),
    steps_from: Iterable[Record] | None = None,
    **signed: object,
) -> Path:
    """Build and sign the delta between two of ``site``'s versions.

    ``signed`` replaces what the manifest, and so the signature, says; true or not.
    """
    base, target = contents(old), contents(new)
    path = site.folder / f"{site.channel}-{old}-{new}.zip"
    source = site.folder / f"{path.name}.zst"
    with source.open("wb") as out:
        steps = delta.write(base if steps_from is None else steps_from, target, out)
    whole = stream.write(target, io.BytesIO())
    manifest = bundle.Manifest(
        format=bundle.DELTA_FORMAT,
        channel=site.channel,
        version=new,
        created="2026-11-22T00:00:00Z",
        digest=whole.digest,
        schema=records.SCHEMA,
        size=whole.size,
        counts=whole.counts,
        base=stream.digest(base),
        delta_size=steps.size,
    )
    bundle.write_bundle(path, source, msgspec.structs.replace(manifest, **signed), [site.key])
    return path


def members(path: Path) -> dict[str, bytes]:
    """A zip's members in order."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rezip(path: Path, contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip of ``contents``."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def grouped(base: Iterable[Record]) -> Iterator[Record]:
    """Records, in order, as they would lie in a snapshot's file."""
    for entry, members in groupby(base, lambda record: grouping.entry_of(record[0])):
        together = list(members)
        if entry == together[0][0]:
            yield from together
        else:
            refs = [(key[len(entry) + 1 :].decode(), msgspec.Raw(value)) for key, value in together]
            yield entry, msgspec.msgpack.encode(refs)
