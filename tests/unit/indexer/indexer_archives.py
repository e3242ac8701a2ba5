"""Small images in files, and what is read of them, for the tests of archives and layouts."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import ociwriter
from ociwriter import Entry, ImageWriter
from redoubt.indexer.sources import ResolvedImage, open_source
from redoubt.model import Platform


def image(text: bytes = b"") -> ImageWriter:
    return (
        ImageWriter().add([Entry("etc/os-release", b"ID=debian\n")]).add([Entry("data", b"d" * 2000 + text)])
    )


def docker(path: Path, writer: ImageWriter | None = None, **more: Any) -> Path:
    return (writer or image()).write_docker_archive(path / "docker.tar", **more)


def opened(target: str | Path, platform: Platform | None = None) -> tuple[ResolvedImage, list[bytes]]:
    with open_source(str(target)) as source:
        resolved = source.resolve(platform)
        bodies = []
        for layer in resolved.layers:
            with source.open_layer(layer) as stream:
                bodies.append(stream.read(-1))
    return resolved, bodies


def tar(path: Path, *members: Entry, tar_format: int = tarfile.GNU_FORMAT) -> Path:
    path.write_bytes(ociwriter.layer_tar(members, tar_format=tar_format))
    return path


def members_of(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as file:
        return {m.name: file.extractfile(m).read() for m in file if m.isfile()}  # type: ignore[union-attr]
