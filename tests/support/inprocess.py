"""Runs a command line inside of the test's process: as quick as a call, with the same exit codes and messages."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import click

from redoubt.cli import entry

_OURS = ("ROX_", "ROXCTL_", "REDOUBT_", "XDG_", "HTTP", "http", "NO_", "no_proxy", "ALL_PROXY", "all_proxy")
NOWHERE = "/nonexistent"


@dataclass
class Outcome:
    """What a command printed."""

    stdout: str
    stderr: str


def invoke(
    command: click.Command,
    *words: str | Path,
    code: int = 0,
    environment: dict[str, str] | None = None,
    stdin: str = "",
) -> Outcome:
    """Run ``roxctl`` with these words and demand the exit code; the failure shows what was printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    kept |= {"HOME": NOWHERE, "TERM": "dumb"} | {k: v for k, v in (environment or {}).items() if v}
    out, err = _Text(), _Text()
    argv = ["roxctl", *map(str, words)]
    leaving = 0
    with (
        mock.patch.dict(os.environ, kept, clear=True),
        mock.patch.object(sys, "argv", argv),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()))),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            entry.run(command, "roxctl")
        except SystemExit as left:
            leaving = int(left.code or 0)
    assert leaving == code, f"exit code {leaving}, not {code}\n{out.text()}\n{err.text()}"
    return Outcome(out.text(), err.text())


class _Text(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined]
