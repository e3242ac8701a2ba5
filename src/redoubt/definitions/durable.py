"""Files that are either the old or the new one, whatever happens, and are on the disk once we say so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from redoubt.errors import AccessDenied


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn an ``OSError`` into the ``AccessDenied`` that names ``place`` and the reason."""
    try:
        yield
    except OSError as error:
        raise AccessDenied(
            f"cannot write to {place}: {error.strerror or error}; check space and permissions"
        ) from None


def replace(path: Path, data: bytes, *, temporary: Path | None = None, mode: int = 0o644) -> None:
    """Write ``data`` to ``path`` in one atomic, durable step.

    The bytes go to a file in ``temporary`` first (the same file system; beside ``path`` by default).
    Raises ``OSError``.
    """
    draft = (temporary or path.parent) / f".{path.name}.{os.urandom(8).hex()}"
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make renames within ``directory`` survive a power cut. Raises ``OSError``."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
