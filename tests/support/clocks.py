"""Clocks that are wrong, for programs that a test starts: the time of day is asked of ``clock.c``, by LD_PRELOAD.

Debian's ``faketime`` does not do: under it Python's ``time.sleep`` fails (0.9.10), and clocks that measure are wrong with the others.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("clock.c")
needs_clang = pytest.mark.skipif(not shutil.which("clang"), reason="needs Debian's clang")


@cache
def _built(folder: Path) -> Path:
    made = folder / "clock.so"
    subprocess.run(
        ["clang", "-O1", "-shared", "-fPIC", "-o", made, SOURCE], check=True, timeout=60, capture_output=True
    )
    return made


class Clock:
    """One that several processes may have; ``folder`` is for its files. It is right until it is ``put``."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / f"{name}.clock"
        self.put(0)
        #: For the process that is to have it.
        self.environment = {"LD_PRELOAD": str(_built(folder)), "CLOCK_OFFSET": str(self._file)}

    def put(self, seconds: int) -> None:
        """It is ahead by that from now on, also for what runs already; negative: behind."""
        if not self._file.exists():
            self._file.write_bytes(bytes(8))
        with self._file.open("r+b") as file:  # the same file: it is mapped
            file.write(struct.pack("q", seconds))
