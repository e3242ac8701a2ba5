"""PostgreSQL processes that outlived whoever started them: found by the data folder they stand in, and ended.

A postmaster changes into its data folder and so do its backends; nothing else has a reason to stand there. Two
sets of them on one data folder destroy it, so none is started before the last of the old ones is gone.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from redoubt.errors import DatabaseError

_FAST_SECONDS = 30.0
_IMMEDIATE_SECONDS = 10.0


def processes(data: Path) -> list[int]:
    """Pids of the PostgreSQL processes whose working folder is ``data``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # ended meanwhile, or somebody else's
                if (entry / "cwd").readlink() == data and "postgres" in (entry / "comm").read_text():
                    found.append(int(entry.name))
    return found


def end(data: Path) -> int:
    """End what still runs on ``data``, as gently as it goes, and return how many processes that were.

    A postmaster's lock file whose pid belongs to another program by now is removed: PostgreSQL would believe it.
    Raises ``DatabaseError`` where a process does not go.
    """
    found = processes(data)
    if found:
        postmaster = _locked_by(data)
        if postmaster in found:
            _signal([postmaster], signal.SIGINT)
            _gone(data, _FAST_SECONDS)
        for sent in (signal.SIGQUIT, signal.SIGKILL):
            if left := processes(data):
                _signal(left, sent)
                _gone(data, _IMMEDIATE_SECONDS)
    if left := processes(data):
        raise DatabaseError(
            f"processes of an earlier PostgreSQL ({', '.join(map(str, left))}) still use {data} and do not end; "
            "end them and start again"
        )
    with suppress(FileNotFoundError):
        (data / "postmaster.pid").unlink()
    return len(found)


def _locked_by(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _gone(data: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while processes(data) and time.monotonic() < until:
        time.sleep(0.02)
