"""An unpacked root file system, shown to the same visitor as a tar is. Links are never followed.

It must not know what is wanted.
"""

# Paths are bytes here, as file systems have them; pathlib has only text.
# ruff: noqa: PTH123
from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path

from redoubt.errors import AccessDenied, UnreadableInput
from redoubt.indexer.limits import Limits, over_limit
from redoubt.indexer.sinks import text
from redoubt.indexer.tar import Sink, Visitor
from redoubt.model import Problem, ProblemKind

_CHUNK = 256 << 10
_MACHINE_OWN = frozenset((b"proc", b"sys", b"dev"))  # not files, where they are mounted
_TOLD = 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def walk_directory(
    root: Path, visitor: Visitor, limits: Limits, problems: list[Problem], skip: Collection[bytes] = ()
) -> None:
    """Show everything below ``root``, in sorted order, but what is in the folders ``skip``. What can't be read goes into ``problems``.

    Raises ``UnreadableInput`` or ``AccessDenied`` where ``root`` itself can't be listed.
    """
    with _Root(root) as top:
        waiting = [b""]
        count = 0
        while waiting:
            folder = waiting.pop()
            folders = []
            with top.folder(folder, problems) as place:
                for name, entry in _sorted_entries(place, folder, problems):
                    count += 1
                    if count > limits.members:
                        raise over_limit(f"more than {limits.members:,} files")
                    path = folder + name
                    if len(path) > limits.path_length:
                        visitor.refuse(ProblemKind.LIMIT, path[:100], "a path that is too long")
                    elif entry.is_dir(follow_symlinks=False) and path in skip:
                        continue
                    elif entry.is_dir(follow_symlinks=False):
                        visitor.directory(path)
                        if path not in _MACHINE_OWN or entry.stat(follow_symlinks=False).st_dev == top.device:
                            folders.append(path + b"/")
                    else:
                        _show(place, path, visitor, problems)
            waiting += folders[::-1]


def look_at(root: Path, paths: Iterable[bytes], visitor: Visitor) -> None:
    """Show single paths, as far as they exist and no folder above them is a link."""
    with _Root(root) as top:
        for path in paths:
            with top.folder(path[: path.rfind(b"/") + 1], []) as place:
                _show(place, path, visitor, [])


class _Root:
    """The root, held open: what somebody puts in the place of a folder meanwhile leads nowhere else."""

    def __init__(self, root: Path) -> None:
        try:
            self._handle = os.open(root, _FOLDER)
        except PermissionError:
            raise AccessDenied(f"{root}: may not be read; run as a user who may") from None
        except OSError as error:
            raise UnreadableInput(f"{root}: {error.strerror}") from None
        self.device = os.fstat(self._handle).st_dev

    def __enter__(self) -> _Root:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._handle)

    @contextmanager
    def folder(self, path: bytes, problems: list[Problem]) -> Iterator[int]:
        """A handle on a folder, opened part by part and through no link; -1, and told, where that fails."""
        handle = os.dup(self._handle)
        try:
            for part in path.split(b"/")[:-1]:
                inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
                os.close(handle)
                handle = inner
        except OSError as error:
            os.close(handle)
            handle = -1
            _tell(problems, path.rstrip(b"/"), error)
        try:
            yield handle
        finally:
            if handle >= 0:
                os.close(handle)


def _sorted_entries(
    place: int, folder: bytes, problems: list[Problem]
) -> list[tuple[bytes, os.DirEntry[str]]]:
    if place < 0:
        return []
    try:
        with os.scandir(place) as entries:
            return sorted(((os.fsencode(entry.name), entry) for entry in entries), key=itemgetter(0))
    except OSError as error:
        _tell(problems, folder.rstrip(b"/"), error)
        return []


def _show(place: int, path: bytes, visitor: Visitor, problems: list[Problem]) -> None:
    """One entry of the folder ``place`` that is not a directory."""
    if place < 0:
        return
    name = path[path.rfind(b"/") + 1 :]
    try:
        status = os.lstat(name, dir_fd=place)
        if stat.S_ISLNK(status.st_mode):
            visitor.symlink(path, os.readlink(name, dir_fd=place))
        elif stat.S_ISREG(status.st_mode):
            sink = visitor.regular(path, status.st_size, status.st_mode & 0o111 != 0)
            if sink is not None:
                _pour(place, name, status.st_size, sink)
        elif not stat.S_ISDIR(status.st_mode):
            visitor.special(path)
    except OSError as error:
        _tell(problems, path, error)


def _pour(place: int, name: bytes, size: int, sink: Sink) -> None:
    """The file's bytes into ``sink``: as many as it had when it was looked at."""
    try:
        # Neither a link nor a pipe that has taken the file's place meanwhile may be opened or wait.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = os.open(name, flags, dir_fd=place)
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
