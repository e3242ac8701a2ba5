"""A short run of the real fuzzer over the parsers of binary forms: that the harness works, and finds nothing at once."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from support.data import ROOT

_HARNESS = ROOT / "tests" / "fuzz" / "run.py"
_BINARY = [
    "rpm-header",
    "catalog:rpm",
    "rpm-bdb",
    "rpm-ndb",
    "catalog:java",
    "catalog:golang",
    "catalog:cargo-auditable",
    "layer",
]


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs the Python package atheris")
@pytest.mark.parametrize("name", _BINARY)
def test_a_short_guided_run_finds_nothing(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(_HARNESS), name, "-runs=1500", "-seed=1", f"-artifact_prefix={tmp_path}/"]
    # The highest memory of a process begins with that of the one that started it (getrusage(2) after exec), and this one
    # may be large: a shell between them is small.
    command = ["sh", "-c", '"$@"; exit $?', "sh", *command]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "Done 1500 runs" in result.stderr
