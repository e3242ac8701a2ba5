"""StackRox's bundle: its zips, its streams of JSON, and what is made of each updater's records."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import zstandard

from redoubt.definitions import ceremony, records
from redoubt.definitions.carrier import Member, open_carrier
from redoubt.definitions.stackrox.archive import REPOSITORIES_TO_CPES, Contents, is_stackrox
from redoubt.definitions.stackrox.blob import Limits
from redoubt.definitions.stackrox.bundle import read_unsigned
from redoubt.definitions.stackrox.convert import convert
from redoubt.errors import RedoubtError
from support import stackrox
from support.definitions_bundles import Site
from targets.interface import Target, require_clean

_SHM = "/dev/shm" if Path("/dev/shm").is_dir() else None
_LIMITS = Limits(size=64 << 20, line=1 << 20)
_NOW = datetime(2099, 3, 2, tzinfo=UTC)


class _Members:
    """One stream, and one map beside it, both the fuzzer's."""

    def __init__(self, data: bytes) -> None:
        lines, _, mapped = data.partition(b"\0")
        self._members = {"x.json.zst": zstandard.compress(lines, 1)}
        if mapped:
            self._members[REPOSITORIES_TO_CPES] = mapped

    def names(self) -> tuple[str, ...]:
        return tuple(self._members)

    @contextmanager
    def open(self, name: str) -> Iterator[Member]:
        yield io.BytesIO(self._members[name])

    def close(self) -> None:
        pass


def _lines(data: bytes) -> int:
    with tempfile.TemporaryDirectory(dir=_SHM) as folder, suppress(RedoubtError):
        members = _Members(data)
        converted = convert(Contents(members, members), Path(folder), budget=1 << 14, limits=_LIMITS)
        try:
            made = list(converted.records())
            keys = [key for key, _ in made]
            assert keys == sorted(set(keys))
            for key, value in made:
                if key[:1] == records.ADVISORY:
                    require_clean(records.decode_advisory(key[1:].decode(), value))
                elif key[:1] == records.AFFECTED:
                    require_clean((key[1:].decode().split("\0"), records.decode_affected(value)))
            msgspec.json.encode(converted.sources)
            return len(keys)
        finally:
            converted.close()
    return 0


def _zip(data: bytes) -> int:
    with tempfile.TemporaryDirectory(dir=_SHM) as folder, suppress(RedoubtError):
        place, work = Path(folder, "bundle.zip"), Path(folder, "work")
        place.write_bytes(data)
        work.mkdir()
        with open_carrier(place) as carrier:
            if is_stackrox(carrier.names()):
                read_unsigned(carrier, work, _NOW)
                return 1
    return 0


def _root(data: bytes) -> int:
    with tempfile.TemporaryDirectory(dir=_SHM) as folder, suppress(RedoubtError):
        place = Path(folder, "root.json")
        place.write_bytes(data)
        ceremony.standing(place)
        return 1
    return 0


def _seeds() -> list[bytes]:
    """Each group of updaters, a line at a time."""
    encode = msgspec.json.encode
    groups = stackrox.sample().values()
    maps = b'\0{"data": {"shop-1": {"cpes": ["cpe:/o:redhat:enterprise_linux:9"]}}}'
    return [b"".join(encode(line) + b"\n" for line in lines) + maps for lines in groups]


def _bundles() -> list[bytes]:
    with tempfile.TemporaryDirectory(dir=_SHM) as folder:
        place = Path(folder)
        small = {"debian": stackrox.sample()["debian"]}
        return [stackrox.write(place, small).read_bytes(), stackrox.inner(small, "4.4")]


def _roots() -> list[bytes]:
    with tempfile.TemporaryDirectory(dir=_SHM) as folder:
        return [Site(Path(folder)).root.read_bytes()]


TARGETS: dict[str, Target] = {
    "stackrox-lines": Target(_lines, _seeds),
    "stackrox-zip": Target(_zip, _bundles),
    "root": Target(_root, _roots),
}
