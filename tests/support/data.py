"""Where the whole advisory data is, for tests that want more than fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def shared_data() -> Path:
    """The mirror folder; skips the test where it is not there."""
    folder = Path(os.environ.get("REDOUBT_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the advisory data that REDOUBT_SHARED names ({folder} is not there)")
    return folder
