"""What definitions are made of and carried in: every source's files, the stream, deltas, the bundle, and versions."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import zstandard

from redoubt import versions
from redoubt.definitions import bundle, delta, records, stream
from redoubt.definitions.carrier import open_carrier
from redoubt.definitions.feeds.files import Files, Limits
from redoubt.definitions.feeds.interface import Notes
from redoubt.definitions.mirror import Mirror
from redoubt.definitions.sources import SOURCES, Source
from redoubt.errors import RedoubtError
from redoubt.model import Advisory, Affected
from redoubt.versions import expressions
from support.definitions_bundles import Site, sample_records
from support.feeds import fixture_mirror
from targets.interface import Target

_SHM = "/dev/shm" if Path("/dev/shm").is_dir() else None
#: What a file's name must say for some sources.
_NAMES = {"azurelinux": "azurelinux-3.0", "photon": "5.0"}
#: And for some all of it.
_PATHS = {"amazon": "amazon/2/core/updateinfo.xml", "rocky": "rocky/9.4/BaseOS/x86_64/updateinfo.xml"}
_LIMITS = Limits(content=64 << 20, plain=64 << 20, member=16 << 20)


def _feed(source: Source, path: str, data: bytes) -> None:
    """One of a source's files, as it lies in a mirror."""
    with tempfile.TemporaryDirectory(dir=_SHM) as folder:
        place = Path(folder, "file")
        place.write_bytes(data)
        notes = Notes()
        with suppress(RedoubtError):
            for item in source.feed.read(
                Files([(path, place)], _LIMITS), source.name, notes, facts_only=False
            ):
                _encode(item)


def _path(source: Source) -> str:
    return source.patterns[0][0].replace("*", _NAMES.get(source.name, "v3.20"))


def _encode(item: tuple[object, object]) -> None:
    """What a feed yields can be written: the builder's part."""
    first, second = item
    if isinstance(first, Advisory):
        records.advisory(first)
        assert isinstance(second, tuple)
        for one in second:
            assert isinstance(one, Affected)
            with suppress(RedoubtError):
                records.affected(one.namespace, one.name, first.ref, one.ranges)


def _files(source: Source) -> Iterator[tuple[str, bytes]]:
    with tempfile.TemporaryDirectory(dir=_SHM) as folder:
        for path, file in Mirror(fixture_mirror(Path(folder), [source.name])).files(source):
            yield path, file.read_bytes()


def _stream(data: bytes) -> None:
    with suppress(RedoubtError):
        for batch in stream.StreamReader(io.BytesIO(data), stream.Limits(size=64 << 20)):
            for key, value in batch:
                _decode(key, value)


def _decode(key: bytes, value: bytes) -> None:
    decoders: dict[bytes, Callable[[bytes], object]] = {
        records.AFFECTED: records.decode_affected,
        records.CVE: records.decode_cve,
        records.EPSS: records.decode_epss,
        records.ADVISORY: partial(records.decode_advisory, "a/b"),
    }
    with suppress(RedoubtError):
        decoders.get(key[:1], len)(value)


def _frames(data: bytes) -> None:
    _stream(zstandard.compress(data, 1))


def _delta(data: bytes) -> None:
    with suppress(RedoubtError):
        reader = delta.DeltaReader(
            sample_records(), io.BytesIO(zstandard.compress(data, 1)), size=64 << 20, limits=stream.Limits()
        )
        for _ in reader:
            pass


def _bundle(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir=_SHM) as folder, suppress(RedoubtError):
        place, work = Path(folder, "bundle.zip"), Path(folder, "work")
        place.write_bytes(data)
        work.mkdir()
        with open_carrier(place) as carrier:
            bundle.verify_bundle(carrier, lambda _: [b"{}"], work)


def _bundles() -> list[bytes]:
    with tempfile.TemporaryDirectory(dir=_SHM) as folder:
        return [Site(Path(folder)).bundle(1).read_bytes()]


def _framed() -> list[bytes]:
    head = stream._HEAD
    return [b"".join(head.pack(len(k), len(v)) + k + v for k, v in sample_records())]


def _changed() -> list[bytes]:
    head, out = stream._HEAD, io.BytesIO()
    delta.write(sample_records(), sample_records("2.0"), out)
    del head
    return [zstandard.ZstdDecompressor().decompress(out.getvalue(), max_output_size=1 << 20)]


def _version(data: bytes) -> None:
    scheme, _, rest = data.decode("utf-8", "replace").partition("\n")
    one, _, other = rest.partition("\n")
    if scheme not in versions.SCHEMES:
        scheme = sorted(versions.SCHEMES)[len(data) % len(versions.SCHEMES)]
    a, b = versions.lenient_key(scheme, one), versions.lenient_key(scheme, other)
    if versions.is_exact(a) and versions.is_exact(b):
        assert (a > b) - (a < b) == versions.compare(scheme, one, other)


def _expression(data: bytes) -> None:
    scheme, _, text = data.decode("utf-8", "replace").partition("\n")
    if scheme in expressions.SCHEMES:
        with suppress(expressions.InvalidRange):
            expressions.parse(scheme, text)


TARGETS: dict[str, Target] = {
    **{
        f"feed:{source.name}": Target(
            partial(_feed, source, _PATHS.get(source.name) or _path(source)),
            lambda source=source: [data for _, data in _files(source)],  # type: ignore[misc]
        )
        for source in SOURCES
    },
    "stream": Target(_stream, lambda: [zstandard.compress(data) for data in _framed()]),
    "records": Target(_frames, _framed),
    "delta": Target(_delta, _changed),
    "bundle": Target(_bundle, _bundles),
    "versions": Target(
        _version, lambda: [f"{scheme}\n1.0-1\n1.0~rc1".encode() for scheme in sorted(versions.SCHEMES)]
    ),
    "expressions": Target(
        _expression,
        lambda: [b"npm\n^1.2 || >=2 <3", b"maven\n[1,2),(3,]", b"gem\n~> 1.2, >= 3", b"composer\n^1.0 | 2.*"],
    ),
}
