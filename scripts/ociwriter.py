"""A small writer of container images, for the demo, the benchmarks and the tests.

Layers are given as lists of entries; images leave as OCI layouts (folder or tar) or docker archives.
The output depends only on the input: fixed times, fixed owners, gzip without a name.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Entry:
    """One tar entry. ``kind`` is a ``tarfile`` type; ``data`` is for regular files, ``target`` for links."""

    path: str
    data: bytes = b""
    mode: int = 0o644
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    source: Path | None = None


def directory(path: str) -> Entry:
    return Entry(path, mode=0o755, kind=tarfile.DIRTYPE)


def symlink(path: str, target: str) -> Entry:
    return Entry(path, mode=0o777, kind=tarfile.SYMTYPE, target=target)


def hardlink(path: str, target: str) -> Entry:
    return Entry(path, kind=tarfile.LNKTYPE, target=target)


def whiteout(path: str) -> Entry:
    folder, _, name = path.rpartition("/")
    return Entry(f"{folder}/.wh.{name}" if folder else f".wh.{name}")


def opaque(path: str) -> Entry:
    return Entry(f"{path}/.wh..wh..opq")


def tree(root: Path, prefix: str = "") -> Iterator[Entry]:
    """Every file, folder and symlink under ``root`` as entries, in sorted order."""
    for path in sorted(root.rglob("*")):
        name = prefix + str(path.relative_to(root))
        if path.is_symlink():
            yield symlink(name, str(path.readlink()))
        elif path.is_dir():
            yield directory(name)
        elif path.is_file():
            yield Entry(name, mode=path.stat().st_mode & 0o777, source=path)


def layer_tar(entries: Iterable[Entry], *, tar_format: int = tarfile.GNU_FORMAT) -> bytes:
    """The entries as one tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.path)
            info.mode, info.type, info.linkname = entry.mode, entry.kind, entry.target
            data = entry.source.read_bytes() if entry.source else entry.data
            info.size = len(data) if entry.kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class ImageWriter:
    """Collects layers and writes them out as an image."""

    architecture: str = "amd64"
    os: str = "linux"
    tars: list[bytes] = field(default_factory=list)
    #: How it is run, as the OCI configuration's ``config``: ``Cmd``, ``User``, ``Env``.
    settings: dict[str, object] = field(default_factory=dict)

    def add(self, entries: Iterable[Entry], *, tar_format: int = tarfile.GNU_FORMAT) -> ImageWriter:
        self.tars.append(layer_tar(entries, tar_format=tar_format))
        return self

    def add_tar(self, tar: bytes) -> ImageWriter:
        self.tars.append(tar)
        return self

    def config(self) -> bytes:
        return _json(
            {
                "architecture": self.architecture,
                "os": self.os,
                "config": self.settings,
                "rootfs": {"type": "layers", "diff_ids": [sha256(tar) for tar in self.tars]},
                "history": [{"created_by": f"layer {n}"} for n in range(len(self.tars))],
            }
        )

    def blobs(self, compression: str = "gzip") -> tuple[dict[str, bytes], dict[str, object]]:
        """Every blob by digest, and the manifest's descriptor (its blob included)."""
        suffix = {"gzip": "+gzip", "zstd": "+zstd", "none": ""}[compression]
        blobs: dict[str, bytes] = {}

        def put(data: bytes, media_type: str) -> dict[str, object]:
            blobs[sha256(data)] = data
            return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}

        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": put(self.config(), _CONFIG),
            "layers": [put(_compress(tar, compression), _LAYER + suffix) for tar in self.tars],
        }
        descriptor = put(_json(manifest), _MANIFEST)
        descriptor["platform"] = {"os": self.os, "architecture": self.architecture}
        return blobs, descriptor

    def write_oci_dir(self, path: Path, *, name: str = "latest", compression: str = "gzip") -> Path:
        """An OCI layout as a folder."""
        return write_layout(path, [self], name=name, compression=compression)

    def write_oci_archive(self, path: Path, *, name: str = "latest", compression: str = "gzip") -> Path:
        """An OCI layout as a tar."""
        blobs, descriptor = self.blobs(compression)
        descriptor["annotations"] = {"org.opencontainers.image.ref.name": name}
        files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": _index([descriptor])}
        files |= {"blobs/" + digest.replace(":", "/"): data for digest, data in blobs.items()}
        path.write_bytes(layer_tar(Entry(name, data) for name, data in files.items()))
        return path

    def write_docker_archive(self, path: Path, *, tag: str = "demo:latest") -> Path:
        """What ``docker save`` writes: manifest.json, a configuration and plain layers."""
        config = self.config()
        config_name = sha256(config)[7:] + ".json"
        names = [sha256(tar)[7:] + "/layer.tar" for tar in self.tars]
        manifest = [{"Config": config_name, "RepoTags": [tag], "Layers": names}]
        entries = [Entry(name, tar) for name, tar in zip(names, self.tars, strict=True)]
        entries += [Entry(config_name, config), Entry("manifest.json", _json(manifest))]
        path.write_bytes(layer_tar({entry.path: entry for entry in entries}.values()))
        return path


def write_layout(
    path: Path, images: list[ImageWriter], *, name: str = "latest", compression: str = "gzip"
) -> Path:
    """An OCI layout folder with one image, or with an index of several platforms."""
    blobs: dict[str, bytes] = {}
    descriptors = []
    for image in images:
        more, descriptor = image.blobs(compression)
        blobs |= more
        descriptors.append(descriptor)
    if len(descriptors) > 1:
        index = _index(descriptors)
        blobs[sha256(index)] = index
        descriptors = [{"mediaType": _INDEX, "digest": sha256(index), "size": len(index)}]
    descriptors[0]["annotations"] = {"org.opencontainers.image.ref.name": name}
    for digest, data in blobs.items():
        target = path / "blobs" / digest.replace(":", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (path / "index.json").write_bytes(_index(descriptors))
    return path


def _index(descriptors: list[dict[str, object]]) -> bytes:
    return _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": descriptors})


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _compress(data: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.compress(data, 6, mtime=0)
    if compression == "zstd":
        return zstandard.ZstdCompressor(level=3).compress(data)
    return data
