"""The probe's object is what its sources say."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import make_probe

needs_clang = pytest.mark.skipif(not shutil.which("clang"), reason="needs Debian's clang and libbpf-dev")


@needs_clang
def test_the_object_that_is_used_is_made_of_these_sources_and_names_no_folder(tmp_path: Path) -> None:
    if not make_probe.OBJECT.exists():
        pytest.skip("the probe is not built (make probe)")
    make_probe.build(tmp_path / "again.o")
    again = (tmp_path / "again.o").read_bytes()
    assert make_probe.OBJECT.read_bytes() == again
    assert str(make_probe.FOLDER).encode() not in again


@pytest.mark.parametrize(("arguments", "code"), [(["--if-possible"], 0), ([], 1)])
def test_without_clang_one_line_says_what_is_missing(arguments: list[str], code: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, make_probe.__file__, *arguments, str(tmp_path / "probe.o")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code
    assert (
        done.stderr
        == "The collector's probe is not built: clang is not installed (Debian: clang, libbpf-dev)\n"
    )
    assert list(tmp_path.iterdir()) == []
