"""What is said beside the output."""

from __future__ import annotations

import pytest

from redoubt.cli.console import Console, clean


def test_many_warnings_end_in_how_many_more_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    Console(quiet=True).warn_all([f"number {n}" for n in range(1, 124)])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "warning: number 1"
    assert lines[-1] == "warning: and 103 more of the kind, all in the report"
    assert len(lines) == 21


def test_few_warnings_are_all_said(capsys: pytest.CaptureFixture[str]) -> None:
    Console().warn_all(["one", "two"])
    assert capsys.readouterr().err == "warning: one\nwarning: two\n"


def test_quiet_keeps_warnings_and_leaves_out_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=True)
    console.notice("a note")
    console.done("done")
    console.warn("a warning")
    assert capsys.readouterr().err == "warning: a warning\n"


def test_what_steers_a_terminal_is_shown_and_not_obeyed() -> None:
    assert clean("a\x1b[31mb\u202ec\nd") == "a�[31mb�c d"
