"""What is said beside the output: notices, warnings, progress. All of it on standard error.

rich is imported only when a bar is really drawn, so short commands and pipelines do not pay for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

#: ``advance(task, done, total)``: ``done`` and ``total`` in bytes or records; total 0 where unknown.
Advance = Callable[[str, int, int], None]


class Console:
    """Standard error of one command. ``quiet`` leaves only errors and warnings."""

    def __init__(self, *, quiet: bool = False, progress: bool | None = None) -> None:
        self._quiet = quiet
        terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._progress = (terminal if progress is None else progress) and not quiet

    def notice(self, message: str) -> None:
        """Something worth knowing."""
        if not self._quiet:
            self._say(click.style("note:", fg="cyan"), message)

    def warn(self, message: str) -> None:
        """Something that makes the result worth less."""
        self._say(click.style("warning:", fg="yellow", bold=True), message)

    def done(self, message: str) -> None:
        """What a command did, in one line."""
        if not self._quiet:
            self._echo(clean(message))

    @contextmanager
    def bars(self, title: str, unit: str = "bytes") -> Iterator[Advance]:
        """Draw a bar per task while the body runs, if this is a terminal. ``unit``: ``bytes`` or a noun."""
        if not self._progress:
            yield lambda task, done, total: None
            return
        from rich.console import Console as RichConsole
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TaskID,
            TextColumn,
            TimeElapsedColumn,
        )

        amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
        columns = (TextColumn("{task.description}", markup=False), BarColumn(24), amount, TimeElapsedColumn())
        tasks: dict[str, TaskID] = {}
        with Progress(*columns, console=RichConsole(stderr=True), transient=True) as progress:

            def advance(task: str, done: int, total: int) -> None:
                if task not in tasks:
                    tasks[task] = progress.add_task(f"{title} {clean(task)}", total=total or None)
                progress.update(tasks[task], completed=done, total=total or None)

            yield advance

    def _say(self, label: str, message: str) -> None:
        self._echo(f"{label} {clean(message)}")

    def _echo(self, line: str) -> None:
        click.echo(line, err=True, color=False if os.environ.get("NO_COLOR") else None)


def clean(text: str) -> str:
    """One printable line: names out of images and files must not steer a terminal."""
    return "".join(c if c.isprintable() else "�" for c in " ".join(text.split()))
