"""What packages come in: layers and their compression, zip archives, image archives, manifests."""

from __future__ import annotations

import gzip
import hashlib
import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import zstandard

from ociwriter import Entry, ImageWriter, layer_tar
from redoubt.errors import RedoubtError
from redoubt.formats.json import read_index
from redoubt.indexer.catalogers import ALL
from redoubt.indexer.catalogers.interface import MemoryContent
from redoubt.indexer.catalogers.ziparchive import ZipArchive
from redoubt.indexer.dispatch import Tables
from redoubt.indexer.index import index_image
from redoubt.indexer.inflate import inflater
from redoubt.indexer.layers import index_layer
from redoubt.indexer.limits import LayerRefused, Limits
from redoubt.indexer.sources import open_source
from redoubt.indexer.sources.interface import LayerBlob
from redoubt.indexer.sources.reference import parse_reference
from targets.interface import Target

_TABLES = Tables(ALL)
#: Small, so that a bomb is one within the size of an input.
_LIMITS = Limits(unpacked_size=64 << 20, ratio_from=4 << 20)
_SHM = "/dev/shm" if Path("/dev/shm").is_dir() else None


class _Bytes:
    """A layer's bytes for one pass."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self) -> io.BytesIO:
        return io.BytesIO(self._data)

    def advance(self, length: int) -> None:
        pass


def _layer(data: bytes) -> int:
    """A layer whose digest is right as far as it can be: what is read of another is not kept."""
    inside = hashlib.sha256()
    with suppress(LayerRefused):
        inflate = inflater(data[:512])
        total = 0
        for chunk in [data] if inflate is None else inflate(_chunks(data, 65536)):
            inside.update(chunk)
            total += len(chunk)
            if total > _LIMITS.unpacked_size:
                break
    return _indexed(data, inside.hexdigest())


def _indexed(data: bytes, diff_id: str) -> int:
    report = index_layer(_Bytes(data), LayerBlob(diff_id=f"sha256:{diff_id}"), _TABLES, _LIMITS)
    assert all(problem.message for problem in report.problems)
    return report.entries


def _unpack(packed: Callable[[bytes], bytes]) -> Callable[[bytes], int]:
    """The walk over a tar in a well-formed wrapping: its digest is right, so that the report is kept."""

    def run(data: bytes) -> int:
        return _indexed(packed(data), hashlib.sha256(data).hexdigest())

    return run


def _inflate(data: bytes) -> int:
    total = 0
    with suppress(LayerRefused):
        inflate = inflater(data[:512])
        if inflate is not None:
            for chunk in inflate(_chunks(data, max(1 + len(data) % 700, len(data) >> 10))):
                assert chunk
                total += len(chunk)
                if total > 64 << 20:
                    break
    return total


def _chunks(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def _zip(data: bytes) -> int:
    read = 0
    with suppress(RedoubtError):
        archive = ZipArchive(MemoryContent(data))
        for member in archive.members(lambda name: True):
            with suppress(RedoubtError):
                archive.read(member, 1 << 20)
                read += 1
    return read


def _image(data: bytes) -> int:
    with tempfile.NamedTemporaryFile(dir=_SHM, suffix=".tar") as file, suppress(RedoubtError):
        file.write(data)
        file.flush()
        with open_source(file.name) as source:
            return len(index_image(source, source.resolve(None), limits=_LIMITS).layers)
    return 0


def _reference(data: bytes) -> int:
    with suppress(RedoubtError):
        return len(str(parse_reference(data.decode("utf-8", "replace"))))
    return 0


def _index(data: bytes) -> int:
    with suppress(RedoubtError):
        read_index(data)
        return 1
    return 0


def _tar() -> bytes:
    return layer_tar(
        [
            Entry("etc/os-release", b"ID=debian\nVERSION_ID=12\n"),
            Entry(
                "var/lib/dpkg/status",
                b"Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n",
            ),
            Entry("a" * 150, b"x"),
        ]
    )


def _zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", "text" * 10)
        archive.writestr("b/c", "")
    return out.getvalue()


def _images() -> list[bytes]:
    image = ImageWriter().add_tar(layer_tar([Entry("etc/os-release", b"ID=debian\n")]))
    with tempfile.TemporaryDirectory(dir=_SHM) as folder:
        archive, layout = Path(folder, "a.tar"), Path(folder, "b.tar")
        return [
            image.write_docker_archive(archive).read_bytes(),
            image.write_oci_archive(layout, compression="none").read_bytes(),
        ]


TARGETS: dict[str, Target] = {
    "layer": Target(_layer, lambda: [_tar(), gzip.compress(_tar(), mtime=0), zstandard.compress(_tar())]),
    "tar-in-gzip": Target(_unpack(lambda data: gzip.compress(data, 1, mtime=0)), lambda: [_tar()]),
    "tar-in-zstd": Target(_unpack(lambda data: zstandard.compress(data, 1)), lambda: [_tar()]),
    "inflate": Target(
        _inflate, lambda: [gzip.compress(b"a" * 99, mtime=0) * 2, zstandard.compress(b"a" * 99) * 2]
    ),
    "zip": Target(_zip, lambda: [_zipped()]),
    "image-archive": Target(_image, _images),
    "reference": Target(_reference, lambda: [b"registry.local:5000/a/b:1@sha256:" + b"0" * 64]),
    "index-report": Target(
        _index, lambda: [b'{"schema":"1.0","image":{"reference":"a","kind":"dir"},"packages":[]}']
    ),
}
