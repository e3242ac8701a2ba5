"""What is said beside the output: notices, warnings, progress. All of it on standard error.

rich is imported only when a bar is really drawn, so short commands and pipelines do not pay for it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_MANY = 20  # warnings that a person reads
_PATIENCE = 0.5  # seconds before a bar is worth drawing

#: ``advance(task, done, total)``: ``done`` and ``total`` in bytes or records; total 0 where unknown.
Advance = Callable[[str, int, int], None]


class Console:
    """Standard error of one command. ``quiet`` leaves only errors and warnings."""

    def __init__(self, *, quiet: bool = False, progress: bool | None = None) -> None:
        self._quiet = quiet
        terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._progress = (terminal if progress is None else progress) and not quiet

    @property
    def drawing(self) -> bool:
        """Whether bars are drawn."""
        return self._progress

    def notice(self, message: str) -> None:
        """Something worth knowing."""
        if not self._quiet:
            self._say(click.style("note:", fg="cyan"), message)

    def warn(self, message: str) -> None:
        """Something that makes the result worth less."""
        self._say(click.style("warning:", fg="yellow", bold=True), message)

    def warn_all(self, messages: Sequence[str]) -> None:
        """The first of many warnings, and how many more there are: all of them are in the report."""
        for message in messages[:_MANY]:
            self.warn(message)
        if (more := len(messages) - _MANY) > 0:
            self.warn(f"and {more:,} more of the kind, all in the report")

    def done(self, message: str) -> None:
        """What a command did, in one line."""
        if not self._quiet:
            self._echo(clean(message))

    @contextmanager
    def bars(self, title: str, unit: str = "bytes", *, passing: bool = False) -> Iterator[Advance]:
        """Draw a bar per task while the body runs, if this is a terminal and it takes long enough to matter.

        ``unit``: ``bytes``, or the noun of what is counted. ``passing``: there are many tasks, and one that is done
        is no longer shown. May be advanced from several threads.
        """
        if not self._progress:
            yield lambda task, done, total: None
            return
        bars = _Bars(title, unit, passing)
        try:
            yield bars.advance
        finally:
            bars.close()

    def _say(self, label: str, message: str) -> None:
        self._echo(f"{label} {clean(message)}")

    def _echo(self, line: str) -> None:
        # A report is worth as much where nobody hears what is said beside it.
        with suppress(OSError):
            click.echo(line, err=True, color=colored())


class _Bars:
    """Bars that appear once the work has taken a moment; until then not even rich is imported."""

    def __init__(self, title: str, unit: str, passing: bool) -> None:
        self._title = title
        self._passing = passing
        self._unit = unit
        self._due = time.monotonic() + _PATIENCE
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._closed = False

    def advance(self, task: str, done: int, total: int) -> None:
        """Move one bar."""
        with self._lock:
            if self._closed or (self._progress is None and time.monotonic() < self._due):
                return
            if self._progress is None:
                self._progress = self._begin()
            if task not in self._tasks:
                self._tasks[task] = self._progress.add_task(
                    f"{self._title} {clean(task)}", total=total or None
                )
            seen = not (self._passing and 0 < total <= done)
            self._progress.update(self._tasks[task], completed=done, total=total or None, visible=seen)

    def close(self) -> None:
        """Leave the terminal as it was."""
        with self._lock:
            self._closed = True
            if self._progress is not None:
                self._progress.stop()

    def _begin(self) -> Progress:
        from rich.console import Console as RichConsole
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        amount = DownloadColumn() if self._unit == "bytes" else MofNCompleteColumn()
        progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(24),
            amount,
            TimeElapsedColumn(),
            console=RichConsole(stderr=True),
            transient=True,
        )
        progress.start()
        return progress


def colored() -> bool | None:
    """For click: no colours where somebody asked for none, else (None) wherever there is a terminal."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def clean(text: str) -> str:
    """One printable line: names out of images and files must not steer a terminal."""
    return "".join(
        c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def size(number: int) -> str:
    """Bytes for people: ``14 KB``, ``7.2 MB``."""
    return f"{number / 1e6:.1f} MB" if number >= 1e6 else f"{max(1, round(number / 1e3))} KB"
