"""A root filesystem unpacked in a folder: one image without layers. The indexer walks ``root`` itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from redoubt.errors import AccessDenied, UnreadableInput
from redoubt.indexer.sources.interface import LayerBlob, ResolvedImage
from redoubt.model import Image, Platform

KIND = "dir"


class DirectorySource:
    """``root`` is the folder, its own symlinks followed; what lies in it is not looked at here."""

    def __init__(self, reference: str, path: Path) -> None:
        self._reference = reference
        self.root = folder(path)

    def resolve(self, platform: Platform | None) -> ResolvedImage:
        """An image of kind ``dir``."""
        return ResolvedImage(image=Image(reference=self._reference, kind=KIND), layers=())

    def open_layer(self, layer: LayerBlob) -> BinaryIO:
        """A folder has no layers."""
        raise UnreadableInput(f"{self.root}: a folder has no layer {layer.diff_id}")

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> DirectorySource:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def folder(path: Path) -> Path:
    """``path`` resolved, if it is a folder that may be listed."""
    try:
        root = path.resolve(strict=True)
        with os.scandir(root):
            return root
    except FileNotFoundError:
        raise UnreadableInput(f"{path}: no such folder") from None
    except NotADirectoryError:
        raise UnreadableInput(f"{path}: not a folder") from None
    except PermissionError:
        raise AccessDenied(f"{path}: permission denied") from None
    except (OSError, RuntimeError) as error:
        raise UnreadableInput(f"{path}: cannot be opened") from error
