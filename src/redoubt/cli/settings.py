"""Where state lives. The only reader of ``REDOUBT_DATA_DIR`` and ``REDOUBT_CACHE_DIR``."""

from __future__ import annotations

import os
from pathlib import Path

from redoubt.errors import UsageError


def data_dir() -> Path:
    """Definitions and trusted roots: ``REDOUBT_DATA_DIR``, else XDG's data folder. May not exist yet."""
    return _folder("REDOUBT_DATA_DIR", "XDG_DATA_HOME", "~/.local/share")


def cache_dir() -> Path:
    """Layer reports and what else can be made again: ``REDOUBT_CACHE_DIR``, else XDG's cache folder."""
    return _folder("REDOUBT_CACHE_DIR", "XDG_CACHE_HOME", "~/.cache")


def _folder(own: str, xdg: str, default: str) -> Path:
    if given := os.environ.get(own):
        return Path(given)
    if not (base := os.environ.get(xdg)):
        try:
            base = str(Path(default).expanduser())
        except RuntimeError:
            raise UsageError(f"this user has no home folder; set {own}") from None
    return Path(base) / "redoubt"
