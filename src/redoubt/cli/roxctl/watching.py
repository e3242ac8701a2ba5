"""How far Central is with a scan, asked now and then while it is waited for. For a terminal only, and never an error."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from redoubt.cli.console import Advance, Console
from redoubt.cli.roxctl.connection import Central
from redoubt.errors import RedoubtError

_PATH = "/v1/images/scans"
#: Seconds between two questions.
_EVERY = 1.0
_UNDER_WAY = ("QUEUED", "INDEXING", "MATCHING")


class _Progress(msgspec.Struct, frozen=True, rename="camel"):
    layers: int = 0
    layers_done: int = 0


class _Job(msgspec.Struct):
    image: str = ""
    state: str = ""
    progress: _Progress = _Progress()


class _Jobs(msgspec.Struct):
    scans: tuple[_Job, ...] = ()


@contextmanager
def watched(central: Central, image: str, console: Console) -> Iterator[None]:
    """Draw the scan of ``image`` (as Central calls it) while the body runs. A Central that cannot tell is not asked again."""
    if not console.drawing:
        yield
        return
    done = threading.Event()
    with console.bars(image, "layers") as advance:
        asking = threading.Thread(target=_ask, args=(central, image, advance, done), daemon=True)
        asking.start()
        try:
            yield
        finally:
            done.set()
            asking.join(_EVERY)


def _ask(central: Central, image: str, advance: Advance, done: threading.Event) -> None:
    while not done.wait(_EVERY):
        try:
            jobs = central.get(_PATH, _Jobs).scans
        except RedoubtError:
            return
        for job in jobs:
            if job.image == image and job.state in _UNDER_WAY:
                _draw(job, advance)


def _draw(job: _Job, advance: Advance) -> None:
    match job.state:
        case "QUEUED":
            advance("waits its turn", 0, 0)
        case "MATCHING":
            advance("is matched", 0, 0)
        case _:
            advance("layers read", job.progress.layers_done, job.progress.layers)
