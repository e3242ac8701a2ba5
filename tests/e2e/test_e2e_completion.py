"""Completion in the shells themselves: what people get when they press Tab."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAMS = Path(sys.executable).parent


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROX_", "REDOUBT_"))}
    return {**kept, "PATH": f"{PROGRAMS}:{kept['PATH']}", "HOME": str(home), "TERM": "dumb", "PS1": "> "}


def typed(shell: list[str], setup: str, line: str, wanted: str, home: Path) -> str:
    """What is on the terminal of an interactive ``shell`` after ``line`` and a Tab, once ``wanted`` is there."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(shell[0], shell, environment(home))
    shown = b""
    try:
        os.write(terminal, f"{setup}; echo rea''dy\n".encode())
        until, sent = time.monotonic() + 60, False
        while True:
            assert time.monotonic() < until, f"no {wanted!r} in {shown!r}"
            if select.select([terminal], [], [], 0.1)[0]:
                shown += os.read(terminal, 65536)
            if not sent and b"ready" in shown:
                shown, sent = b"", True
                os.write(terminal, f"{line}\t".encode())
            if sent and wanted.encode() in shown:
                return shown.decode(errors="replace")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("roxctl scanner upl", "upload-db "),
        ("roxctl -e localhost:1 collector support-packages upload --over", "--overwrite"),
        ("roxctl image scan -o sar", "sarif"),
        ("roxctl image scan -i registry.local:5000/shop:1.4 --output=sar", "sarif"),
        ("roxctl scanner upload-db --scanner-db-file tod", "today.zip"),
        ("roxctl scanner upload-db -e central:443 --scanner-db-file=tod", "today.zip"),
        ("redoubt definitions rollb", "rollback"),
    ],
)
def test_bash(tmp_path: Path, line: str, wanted: str) -> None:
    (tmp_path / "today.zip").touch()
    setup = f"cd {tmp_path}; source <(roxctl completion bash); source <(redoubt completion bash)"
    typed(["bash", "--norc", "--noprofile", "-i"], setup, line, wanted, tmp_path)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs Debian's zsh")
@pytest.mark.parametrize(
    ("line", "wanted"), [("roxctl scanner upl", "upload-db"), ("redoubt definitions rollb", "rollback")]
)
def test_zsh(tmp_path: Path, line: str, wanted: str) -> None:
    setup = "autoload -Uz compinit && compinit -u; source <(roxctl completion zsh); source <(redoubt completion zsh)"
    typed(["zsh", "-f", "-i"], setup, line, wanted, tmp_path)


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs Debian's fish")
@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("roxctl scanner upl", "upload-db"),
        ("roxctl image scan -o sar", "sarif"),
        ("redoubt definitions rollb", "rollback"),
    ],
)
def test_fish(tmp_path: Path, line: str, wanted: str) -> None:
    script = f"roxctl completion fish | source; redoubt completion fish | source; complete -C '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert wanted in [answer.split("\t")[0] for answer in done.stdout.splitlines()], done
