"""The processes that there are: what runs in each, so that a new one's ancestors can be named.

Read from /proc once, then kept by what the kernel tells. Never says more than a process's own container holds.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from redoubt.collector import containers
from redoubt.collector.containers import Container
from redoubt.model.noderecords import Ancestor

#: Processes that are remembered at most: a kernel's own limit is 4,194,304, its default 32,768.
_MOST = 1 << 18
#: Bytes of arguments that are read, as the probe does.
_ARGUMENTS = 4095


class Known(NamedTuple):
    """A process."""

    path: str
    uid: int
    container: Container | None
    parent: int


class Found(NamedTuple):
    """A process that was found in /proc."""

    pid: int
    known: Known
    gid: int
    name: str
    login: int | None
    arguments: tuple[bytes, ...]
    mounts: int
    #: Seconds since the machine started.
    started: float


class Processes:
    """By pid, as the machine counts them."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def began(self, pid: int, known: Known) -> None:
        """A program was started in ``pid``."""
        self._known.pop(pid, None)
        while len(self._known) >= _MOST:  # ends were lost
            self._known.popitem(last=False)
        self._known[pid] = known

    def forked(self, parent: int, child: int) -> None:
        """``child`` runs what ``parent`` does."""
        if (known := self._known.get(parent)) is not None:
            self.began(child, known._replace(parent=parent))

    def ended(self, pid: int) -> None:
        """It is gone."""
        self._known.pop(pid, None)

    def parent(self, pid: int) -> int:
        """The process above, 0 where nobody knows."""
        known = self._known.get(pid)
        return known.parent if known else 0

    def ancestors(self, pids: Iterable[int], container: Container | None) -> tuple[Ancestor, ...]:
        """Those of ``pids``, nearest first, that are of ``container``, up to the first that is not or is unknown."""
        above = []
        for pid in pids:
            known = self._known.get(pid)
            if known is None or known.container != container:
                break
            above.append(Ancestor(known.path, known.uid))
        return tuple(above)


def scrape() -> Iterator[Found]:
    """Every process of the machine that is no thread of the kernel's. Whoever ends meanwhile is left out."""
    for entry in os.listdir("/proc"):  # noqa: PTH208  # names are enough
        if entry.isdecimal() and (found := look(int(entry))) is not None:
            yield found


def look(pid: int) -> Found | None:
    """One process, from /proc; None where it is gone, a zombie or the kernel's own."""
    folder = Path("/proc") / str(pid)
    try:
        arguments = _head(folder / "cmdline", _ARGUMENTS)
        if not arguments:
            return None
        name = (folder / "comm").read_bytes().removesuffix(b"\n")
        # A process's name is in its status too, with whatever it has in it: only what follows is ours to believe.
        lines = _text(folder / "status").split("\n")[1:]
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        started = int(_text(folder / "stat").rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    login, mounts, path = None, 0, ""
    with suppress(OSError, ValueError):
        login = int(_text(folder / "loginuid"))
    with suppress(OSError):
        mounts = (folder / "ns" / "mnt").stat().st_ino
    with suppress(OSError):  # another user's is not shown without CAP_SYS_PTRACE
        path = text(os.readlink(os.fsencode(folder / "exe"))).removesuffix(" (deleted)")  # noqa: PTH115  # bytes
    parts = tuple(arguments.removesuffix(b"\0").split(b"\0"))
    try:
        return Found(
            pid,
            Known(
                path or text(parts[0]),
                int(status["Uid"].split()[1]),
                containers.of_process(pid),
                int(status["PPid"]),
            ),
            int(status["Gid"].split()[1]),
            text(name),
            None if login in (None, 0xFFFFFFFF) else login,
            parts,
            mounts,
            started,
        )
    except (KeyError, ValueError, IndexError):
        return None


def text(data: bytes) -> str:
    """A stranger's bytes as text that can be stored and sent: what is no UTF-8 becomes ``\\xNN``."""
    return data.decode("utf-8", "backslashreplace")


def _head(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace")
