from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[2] / "fuzz" / "fuzz_catalogers.py"


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs the Python package atheris")
@pytest.mark.parametrize(
    "target", ["rpm-header", "rpm-database", "rpm-bdb", "rpm-ndb", "java", "golang", "cargo"]
)
def test_a_short_guided_run_finds_nothing(target: str, tmp_path: Path) -> None:
    command = [sys.executable, str(HARNESS), target, "-runs=1500", "-seed=1", f"-artifact_prefix={tmp_path}/"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "Done 1500 runs" in result.stderr
