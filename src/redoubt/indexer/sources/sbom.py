"""An SBOM in place of an image: what it says is in the image becomes the index report, and nothing is looked at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from redoubt.errors import AccessDenied, LimitExceeded, UnreadableInput
from redoubt.indexer.sources.interface import LayerBlob, ResolvedImage
from redoubt.model import IndexReport, Platform

KIND = "sbom"
#: Largest SBOM that is read, in bytes: that of an image with a million packages.
MAX_SIZE = 512 << 20


class SbomSource:
    """``path`` is a file; ``-`` is standard input, read once."""

    def __init__(self, reference: str, path: Path) -> None:
        self._reference = reference
        self._path = path

    def index(self) -> IndexReport:
        """The index report that the SBOM amounts to. Raises ``UnreadableInput``, ``AccessDenied``."""
        return index_sbom(_contents(self._path), self._reference, str(self._path))

    def resolve(self, platform: Platform | None) -> ResolvedImage:
        """An image without layers: they are told of in the SBOM, and not here to be read."""
        return ResolvedImage(image=self.index().image, layers=())

    def open_layer(self, layer: LayerBlob) -> BinaryIO:
        """An SBOM has no layers."""
        raise UnreadableInput(f"{self._path}: an SBOM holds no layer {layer.diff_id}")

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> SbomSource:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def index_sbom(data: bytes, reference: str, name: str) -> IndexReport:
    """The index report that an SBOM amounts to. ``reference`` is what the user typed, ``name`` what messages say.

    What could not be read of it is among the report's problems, with ``name`` as their path. Raises
    ``UnreadableInput``.
    """
    from redoubt.indexer import sbom

    told = sbom.read(data, name)
    problems = [msgspec.structs.replace(problem, path=name) for problem in told.problems]
    return msgspec.structs.replace(
        told.report,
        image=msgspec.structs.replace(told.report.image, reference=reference),
        problems=tuple(sorted({*told.report.problems, *problems})),
    )


def _contents(path: Path) -> bytes:
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(MAX_SIZE + 1)
        else:
            with path.open("rb") as file:
                data = file.read(MAX_SIZE + 1)
    except PermissionError:
        raise AccessDenied(f"{path}: permission denied") from None
    except OSError as error:
        raise UnreadableInput(f"{path}: {error.strerror}") from None
    if len(data) > MAX_SIZE:
        raise LimitExceeded(f"{path}: larger than {MAX_SIZE >> 20} MiB; no SBOM of that size is read")
    return data


def may_be_sbom(path: Path) -> bool:
    """Whether a regular file begins as an SBOM does, or as another JSON object: no image's archive begins so."""
    from redoubt.indexer import sbom

    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return sbom.may_begin(file.read(64))
    except (OSError, ValueError):
        return False
