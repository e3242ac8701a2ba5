"""What definitions are made of and carried in: every source's files, the stream, deltas, the bundle, and versions."""

from __future__ import annotations

import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path

import zstandard

from redoubt import versions
from redoubt.definitions import bundle, delta, records, stream
from redoubt.definitions.carrier import open_carrier
from redoubt.definitions.feeds import unpack
from redoubt.definitions.feeds.files import Files, Limits
from redoubt.definitions.feeds.interface import Notes
from redoubt.definitions.mirror import Mirror
from redoubt.definitions.sources import SOURCES, Source
from redoubt.errors import RedoubtError
from redoubt.model import Advisory, Affected, namespaces
from redoubt.versions import expressions
from support.definitions_bundles import Site, grouped, sample_records
from support.feeds import fixture_mirror
from targets.files import zipped
from targets.interface import Target, require_clean

_SHM = "/dev/shm" if Path("/dev/shm").is_dir() else None
_LIMITS = Limits(content=64 << 20, plain=64 << 20, member=16 << 20)
_BETWEEN = b"\n\0\n"
_SEED = 16_000


def _feed(source: Source, usual: str, data: bytes) -> int:
    """A source's files, as they lie in a mirror: each a line with its path, then its content.

    A path may go on into an archive (``ruby/ruby-advisory-db.zip!gems/a.yml``), which is made in good order.
    What begins with another line is the content of one file, ``usual``.
    """
    files = _files_of(source, data) or {usual: data}
    made = 0
    with tempfile.TemporaryDirectory(dir=_SHM) as folder:
        paths = []
        for number, (path, content) in enumerate(files.items()):
            place = Path(folder, str(number))
            place.write_bytes(content)
            paths.append((path, place))
        with suppress(RedoubtError):
            for item in source.feed.read(Files(paths, _LIMITS), source.name, Notes(), facts_only=False):
                _encode(item)
                made += 1
    return made


def _files_of(source: Source, data: bytes) -> dict[str, bytes]:
    plain: dict[str, bytes] = {}
    packed: dict[str, dict[str, bytes]] = {}
    patterns = [pattern.replace("**/", "*") for group in source.patterns for pattern in group]
    for each in data.split(_BETWEEN)[:20]:
        path, _, content = each.partition(b"\n")
        name, inside, member = path[:400].decode("utf-8", "replace").partition("!")
        if not any(fnmatchcase(name, pattern) for pattern in patterns):
            return {}
        if inside:
            packed.setdefault(name, {})[member.replace("\0", "") or "a"] = content
        else:
            plain[name] = content
    return {**plain, **{name: _packed(name, members) for name, members in packed.items()}}


def _packed(name: str, members: dict[str, bytes]) -> bytes:
    if name.endswith(".zip"):
        return zipped(members)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:") as archive:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _source_seeds(source: Source) -> list[bytes]:
    """All of a source's fixtures, as many files in one seed as are small."""
    seeds, waiting = [], b""
    for each in sorted(_each(source), key=len):
        if waiting and len(waiting) + len(each) > _SEED:
            seeds.append(waiting)
            waiting = b""
        waiting += (_BETWEEN if waiting else b"") + each
    return [*seeds, waiting]


def _each(source: Source) -> Iterator[bytes]:
    for path, data in _files(source):
        if ".zip" in path:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                inside = {name: archive.read(name) for name in archive.namelist()}
        elif ".tar" in path:
            plain = b"".join(unpack.chunks(path, io.BytesIO(data)))
            with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
                inside = {one.name: (tar.extractfile(one) or io.BytesIO()).read() for one in tar}
        else:
            yield path.encode() + b"\n" + data
            continue
        for name, content in inside.items():
            yield f"{path}!{name}".encode() + b"\n" + content


def _raw(name: str) -> Target:
    """A source whose only file is an archive, and the archive itself is fuzzed."""
    source = next(source for source in SOURCES if source.name == name)
    return Target(
        partial(_feed, source, _usual(source)), lambda: [next(data for path, data in _files(source))]
    )


def _encode(item: tuple[object, object]) -> None:
    """What a feed yields can be written, is read as it was, may be shown, and its keys are of its versions."""
    first, second = item
    if isinstance(first, Advisory):
        require_clean((first, second))
        assert records.decode_advisory(first.ref, records.advisory(first)[1]) == first
        assert isinstance(second, tuple)
        for one in second:
            assert isinstance(one, Affected)
            _ranges(one, first.ref)


def _ranges(one: Affected, ref: str) -> None:
    with suppress(RedoubtError):
        assert records.decode_affected(
            records.affected(one.namespace, one.name, ref, one.ranges)[1]
        ) == tuple(one.ranges)
    scheme = namespaces.scheme(one.namespace)
    for each in one.ranges:
        for key, text in ((each.lower_key, each.lower), (each.upper_key, each.upper)):
            assert key == (versions.lenient_key(scheme, text) if text else b""), (scheme, text)


def _usual(source: Source) -> str:
    return next(path for path, _ in _files(source))


def _files(source: Source) -> Iterator[tuple[str, bytes]]:
    with tempfile.TemporaryDirectory(dir=_SHM) as folder:
        for path, file in Mirror(fixture_mirror(Path(folder), [source.name])).files(source):
            yield path, file.read_bytes()


def _stream(data: bytes) -> int:
    read = 0
    with suppress(RedoubtError):
        for batch in stream.StreamReader(io.BytesIO(data), stream.Limits(size=64 << 20)):
            for key, value in batch:
                _decode(key, value)
                read += 1
    return read


def _decode(key: bytes, value: bytes) -> None:
    decoders: dict[bytes, Callable[[bytes], object]] = {
        records.AFFECTED: records.decode_affected,
        records.CVE: records.decode_cve,
        records.EPSS: records.decode_epss,
        records.ADVISORY: partial(records.decode_advisory, "a/b"),
    }
    with suppress(RedoubtError):
        decoders.get(key[:1], len)(value)


def _frames(data: bytes) -> int:
    return _stream(zstandard.compress(data, 1))


def _delta(data: bytes) -> int:
    read = 0
    with suppress(RedoubtError):
        reader = delta.DeltaReader(
            grouped(sample_records()),
            io.BytesIO(zstandard.compress(data, 1)),
            size=64 << 20,
            limits=stream.Limits(),
        )
        for _ in reader:
            read += 1
    return read


@cache
def _site() -> tuple[bytes, bytes]:
    """A root that is trusted here, and a bundle that it vouches for."""
    with tempfile.TemporaryDirectory(dir=_SHM) as folder:
        site = Site(Path(folder))
        return site.root.read_bytes(), site.bundle(1).read_bytes()


def _bundle(data: bytes) -> int:
    with tempfile.TemporaryDirectory(dir=_SHM) as folder, suppress(RedoubtError):
        place, work = Path(folder, "bundle.zip"), Path(folder, "work")
        place.write_bytes(data)
        work.mkdir()
        with open_carrier(place) as carrier:
            bundle.verify_bundle(carrier, lambda _: [_site()[0]], work)
            return 1
    return 0


def _framed() -> list[bytes]:
    head = stream.HEAD
    return [b"".join(head.pack(len(k), len(v)) + k + v for k, v in sample_records())]


def _changed() -> list[bytes]:
    head, out = stream.HEAD, io.BytesIO()
    delta.write(sample_records(), sample_records("2.0"), out)
    del head
    return [zstandard.ZstdDecompressor().decompress(out.getvalue(), max_output_size=1 << 20)]


def _version(data: bytes) -> int:
    scheme, _, rest = data.decode("utf-8", "replace").partition("\n")
    one, _, other = rest.partition("\n")
    if scheme not in versions.SCHEMES:
        scheme = sorted(versions.SCHEMES)[len(data) % len(versions.SCHEMES)]
    a, b = versions.lenient_key(scheme, one), versions.lenient_key(scheme, other)
    if versions.is_exact(a) and versions.is_exact(b):
        assert (a > b) - (a < b) == versions.compare(scheme, one, other)
        return 1
    return 0


def _expression(data: bytes) -> int:
    scheme, _, text = data.decode("utf-8", "replace").partition("\n")
    if scheme in expressions.SCHEMES:
        with suppress(expressions.InvalidRange):
            expressions.parse(scheme, text)
            return 1
    return 0


TARGETS: dict[str, Target] = {
    **{
        f"feed:{source.name}": Target(partial(_feed, source, _usual(source)), partial(_source_seeds, source))
        for source in SOURCES
    },
    "feed-zip": _raw("osv-npm"),
    "feed-tar": _raw("ubuntu"),
    "stream": Target(_stream, lambda: [zstandard.compress(data) for data in _framed()]),
    "records": Target(_frames, _framed),
    "delta": Target(_delta, _changed),
    "bundle": Target(_bundle, lambda: [_site()[1]]),
    "versions": Target(
        _version,
        lambda: [
            f"{scheme}\n1.0.0{end}\n1.10.0{end}".encode()
            for scheme in sorted(versions.SCHEMES)
            for end in ["-1" if scheme == "pacman" else ""]
        ],
    ),
    "expressions": Target(
        _expression,
        lambda: [b"npm\n^1.2 || >=2 <3", b"maven\n[1,2),(3,]", b"gem\n~> 1.2, >= 3", b"composer\n^1.0 | 2.*"],
    ),
}
