"""An unpacked root file system, shown to the same visitor as a tar is. Links are never followed.

It must not know what is wanted.
"""

# Paths are bytes here, as file systems have them; pathlib has only text.
# ruff: noqa: PTH114, PTH115, PTH116, PTH118, PTH123
from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from redoubt.errors import AccessDenied, UnreadableInput
from redoubt.indexer.limits import Limits, over_limit
from redoubt.indexer.sinks import text
from redoubt.indexer.tar import Sink, Visitor
from redoubt.model import Problem, ProblemKind

_CHUNK = 256 << 10
_MACHINE_OWN = frozenset((b"proc", b"sys", b"dev"))  # not files, where they are mounted
_TOLD = 20


def walk_directory(root: Path, visitor: Visitor, limits: Limits, problems: list[Problem]) -> None:
    """Show everything below ``root``, in sorted order. What can't be read goes into ``problems``.

    Raises ``UnreadableInput`` or ``AccessDenied`` where ``root`` itself can't be listed.
    """
    top = os.fsencode(root)
    try:
        device = os.stat(top).st_dev
        os.scandir(top).close()
    except PermissionError:
        raise AccessDenied(f"{root}: may not be read; run as a user who may") from None
    except OSError as error:
        raise UnreadableInput(f"{root}: {error.strerror}") from None
    waiting = [b""]
    count = 0
    while waiting:
        folder = waiting.pop()
        folders = []
        for entry in _sorted_entries(top, folder, problems):
            count += 1
            if count > limits.members:
                raise over_limit(f"more than {limits.members:,} files")
            path = folder + entry.name
            if len(path) > limits.path_length:
                visitor.refuse(ProblemKind.LIMIT, path[:100], "a path that is too long")
            elif entry.is_dir(follow_symlinks=False):
                visitor.directory(path)
                if path not in _MACHINE_OWN or entry.stat(follow_symlinks=False).st_dev == device:
                    folders.append(path + b"/")
            else:
                _show(top, path, visitor, problems)
        waiting += folders[::-1]


def look_at(root: Path, paths: Iterable[bytes], visitor: Visitor) -> None:
    """Show single paths, as far as they exist and no folder above them is a link."""
    top = os.fsencode(root)
    for path in paths:
        parts = path.split(b"/")
        above = (b"/".join(parts[:length]) for length in range(1, len(parts)))
        if not any(os.path.islink(os.path.join(top, folder)) for folder in above):
            _show(top, path, visitor, [])


def _sorted_entries(top: bytes, folder: bytes, problems: list[Problem]) -> list[os.DirEntry[bytes]]:
    try:
        with os.scandir(os.path.join(top, folder)) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        _tell(problems, folder.rstrip(b"/"), error)
        return []


def _show(top: bytes, path: bytes, visitor: Visitor, problems: list[Problem]) -> None:
    """One entry that is not a directory."""
    place = os.path.join(top, path)
    try:
        status = os.lstat(place)
        if stat.S_ISLNK(status.st_mode):
            visitor.symlink(path, os.readlink(place))
        elif stat.S_ISREG(status.st_mode):
            sink = visitor.regular(path, status.st_size, status.st_mode & 0o111 != 0)
            if sink is not None:
                _pour(place, status.st_size, sink)
        elif not stat.S_ISDIR(status.st_mode):
            visitor.special(path)
    except OSError as error:
        _tell(problems, path, error)


def _pour(place: bytes, size: int, sink: Sink) -> None:
    """The file's bytes into ``sink``: as many as it had when it was looked at."""
    try:
        # Neither a link nor a pipe that has taken the file's place meanwhile may be opened or wait.
        handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb", buffering=0) as file:
            left = size
            while left:
                chunk = file.read(min(left, _CHUNK))
                if not chunk:
                    raise OSError(0, "it became shorter while it was read")
                left -= len(chunk)
                if not sink.feed(chunk):
                    break
    except BaseException:
        sink.abandon()
        raise
    sink.finish()


def _tell(problems: list[Problem], path: bytes, error: OSError) -> None:
    if len(problems) < _TOLD:
        message = f"could not be read: {error.strerror or error}"
        problems.append(Problem(kind=ProblemKind.DAMAGED, message=message, path=text(path)))
