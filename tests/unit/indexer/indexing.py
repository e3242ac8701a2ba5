"""What the indexer's tests share: a tiny cataloger, visitors that remember, sources made of bytes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import BinaryIO

from redoubt.indexer.catalogers.interface import Catalog, Content, FileReader, Wanted
from redoubt.indexer.sources.interface import LayerBlob, ResolvedImage
from redoubt.model import Distribution, Image, Package, Platform, ProblemKind


class Recorder:
    """A visitor of the walk that keeps everything it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    def regular(self, path: bytes, size: int, executable: bool) -> _Bytes:
        sink = _Bytes(self, path, size, executable)
        self.seen.append(("unfinished", path))
        return sink

    def sparse(self, path: bytes) -> None:
        self.seen.append(("sparse", path))

    def directory(self, path: bytes) -> None:
        self.seen.append(("directory", path))

    def symlink(self, path: bytes, target: bytes) -> None:
        self.seen.append(("symlink", path, target))

    def hardlink(self, path: bytes, target: bytes) -> None:
        self.seen.append(("hardlink", path, target))

    def special(self, path: bytes) -> None:
        self.seen.append(("special", path))

    def whiteout(self, folder: bytes, name: bytes) -> None:
        self.seen.append(("whiteout", folder, name))

    def refuse(self, kind: ProblemKind, path: bytes, message: str) -> None:
        self.seen.append(("refused", kind, path))


class _Bytes:
    def __init__(self, recorder: Recorder, path: bytes, size: int, executable: bool) -> None:
        self.recorder, self.path, self.size, self.executable = recorder, path, size, executable
        self.data = b""

    def feed(self, chunk: bytes | memoryview) -> bool:
        self.data += bytes(chunk)
        return True

    def finish(self) -> None:
        assert len(self.data) == self.size
        assert self.recorder.seen.pop() == ("unfinished", self.path)
        self.recorder.seen.append(("regular", self.path, self.data, self.executable))

    def abandon(self) -> None:
        self.recorder.seen.append(("abandoned", self.path))


def in_chunks(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


class Lines:
    """A cataloger whose database is ``db/list``: a line is ``NAME VERSION``, or ``!`` to fail.

    ``db/id`` names the distribution; a large executable that begins with ``#GO`` is streamed and is one
    package, except that ``#GO again`` and ``#GO keep`` are read by place.
    """

    name = "lines"
    version = 1
    wanted = Wanted(
        names=frozenset((b"list", b"id", b"os-release")),
        extensions=frozenset((b".box",)),
        directories=frozenset((b"list.d",)),
        magic=(b"#GO",),
        programs=frozenset((b".exe",)),
        min_size=8,
        databases=("db/list", "etc/os-release"),
        max_size=4 << 20,
    )

    def accepts(self, path: bytes) -> bool:
        return (
            path.endswith((b".box", b"db/list", b"/os-release"))
            or b"list.d/" in path
            or (b"#" not in path and b"bin/" in path)
        )

    def catalog(self, path: str, content: Content) -> Catalog:
        if path.endswith("os-release"):
            return Catalog(distribution=Distribution(id=content.all().decode().strip()))
        packages = []
        for line in content.all().decode().splitlines():
            if line == "!":
                raise ValueError("a line that fails")
            if line:
                name, _, version = line.removeprefix("#GO again ").removeprefix("#GO keep ").partition(" ")
                packages.append(Package(type="deb", name=name, version=version))
        return Catalog(packages=tuple(packages))

    def reader(self, path: str, size: int) -> FileReader:
        return _Reader()


class _Reader:
    @property
    def keep(self) -> bool:
        return b"#GO keep" in self.data

    def __init__(self) -> None:
        self.data = b""

    def feed(self, chunk: bytes | memoryview) -> bool:
        self.data += bytes(chunk)
        return b"\n" not in self.data

    def finish(self) -> Catalog | None:
        words = self.data.partition(b"\n")[0].decode().split(" ")
        if words[1] in ("again", "keep"):
            return None
        if words[1] == "fail":
            raise RuntimeError("a reader that fails")
        return Catalog(packages=(Package(type="golang", name=words[1], version=words[2]),))


class Memory:
    """An image source over layers in memory."""

    def __init__(
        self, blobs: list[bytes], tars: list[bytes], *, immutable: bool = False, kind: str = "oci-dir"
    ) -> None:
        self.blobs = {digest(blob): blob for blob in blobs}
        self.opened: list[str] = []
        self.resolved = ResolvedImage(
            image=Image(reference="test", kind=kind),
            layers=tuple(
                LayerBlob(diff_id=digest(tar), digest=digest(blob), size=len(blob))
                for blob, tar in zip(blobs, tars, strict=True)
            ),
            immutable=immutable,
        )

    def resolve(self, platform: Platform | None) -> ResolvedImage:
        return self.resolved

    def open_layer(self, layer: LayerBlob) -> BinaryIO:
        self.opened.append(layer.digest)
        return io.BytesIO(self.blobs[layer.digest])

    def close(self) -> None:
        pass

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
