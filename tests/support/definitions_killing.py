"""Kill an import at every point where it could die, and look at what is left. Run as a program of its own.

Forking has to happen in a process without threads, so a test runs this and reads what it prints: one line
of JSON a kill, with what was active after it and after the same import ran again.

    python definitions_killing.py {steps|calls|limits} DATA BUNDLE WORK
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from redoubt.definitions import library as module
from redoubt.definitions.library import Library
from redoubt.errors import RedoubtError

#: What the operating system is asked for on the way: before each of these the process may die.
_CALLS = frozenset(
    (
        "open",
        "os.mkdir",
        "os.rename",
        "os.remove",
        "os.rmdir",
        "os.truncate",
        "shutil.rmtree",
        "fcntl.flock",
        "os.symlink",
    )
)


def die() -> None:
    """End this process as a power cut would: nothing of ours runs any more."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_step(wanted: int) -> None:
    """Die at the ``wanted``-th marked step of the import."""
    seen = 0

    def step(_name: str) -> None:
        nonlocal seen
        seen += 1
        if seen == wanted:
            die()

    module._step = step


def kill_at_call(wanted: int, data: Path) -> None:
    """Die before the ``wanted``-th call that touches the shelf's files."""
    seen = 0
    home = str(data)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event not in _CALLS or not (event == "fcntl.flock" or home in str(arguments[0])):
            return
        seen += 1
        if seen == wanted:
            die()

    sys.addaudithook(hook)


def limit_files(size: int) -> None:
    """Let every file end at ``size`` bytes, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def attempts(mode: str, data: Path) -> Iterator[Callable[[], None]]:
    """What to do to the process, one import after another."""
    if mode == "limits":
        for size in (0, 100, 1000, 4096, 8192, 20_000, 100_000, 400_000, 1_000_000):
            yield lambda size=size: limit_files(size)
        return
    for number in range(1, 1000):
        if mode == "steps":
            yield lambda number=number: kill_at_step(number)
        else:
            yield lambda number=number: kill_at_call(number, data)


def child(prepare: Callable[[], None], data: Path, bundle: Path) -> str:
    """Import in a process of its own; say how that ended: ``done``, ``killed`` or the error's line."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        said = b""
        try:
            prepare()
            Library(data).import_bundle(bundle)
        except RedoubtError as error:
            said = f"{type(error).__name__}: {error}".encode()
        except BaseException as error:  # noqa: BLE001  # whatever it is, the test shows it
            said = f"leaked {error!r}".encode()
        os.write(writing, said)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(process, 0)
    return "killed" if os.WIFSIGNALED(status) else said or "done"


def state(data: Path) -> dict[str, object]:
    """What a reader and an inspector find."""
    library = Library(data)
    with library.open_active() as definitions:
        version = definitions.info.version
    library.verify()
    home = data / "definitions"
    return {
        "version": version,
        "listed": sorted(item.entry.digest[7:] for item in library.list()),
        "present": sorted(place.name for place in (home / "snapshots").iterdir()),
        "leftovers": sorted(entry.name for entry in (home / "tmp").iterdir())
        if (home / "tmp").exists()
        else [],
    }


def main(mode: str, data: Path, bundle: Path, work: Path) -> None:
    import tuf.ngclient  # noqa: F401  # once here, not in every child

    for prepare in attempts(mode, work / "data"):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(data, work / "data")
        ended = child(prepare, work / "data", bundle)
        after = state(work / "data")
        again = child(lambda: None, work / "data", bundle)
        print(json.dumps({"ended": ended, "after": after, "again": again, "finally": state(work / "data")}))
        if ended == "done":
            return


if __name__ == "__main__":
    main(sys.argv[1], *(Path(argument) for argument in sys.argv[2:]))
