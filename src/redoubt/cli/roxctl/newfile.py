"""Files with secrets: new ones, which only their owner reads, and of which nothing is left where what fills them fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redoubt.errors import AccessDenied, UsageError


@contextmanager
def new(place: str) -> Iterator[int | None]:
    """A new file that only its owner reads; it goes where nothing comes of it. None stands for standard output."""
    if place == "-":
        yield None
        return
    try:
        file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{place} is there already; move it away, or name another file") from None
    except OSError as error:
        raise AccessDenied(f"{place} cannot be written: {error.strerror}") from None
    try:
        yield file
    except BaseException:
        Path(place).unlink(missing_ok=True)
        raise
    finally:
        os.close(file)


def write(file: int | None, data: bytes) -> None:
    """All of ``data`` into what ``new`` gave."""
    if file is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
