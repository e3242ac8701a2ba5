"""Homes with the starter definitions imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.cli import Cli


@pytest.fixture(scope="session")
def starter_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose active definitions are the starter's. Tests share it and must not change it."""
    home = tmp_path_factory.mktemp("home")
    Cli(home)("definitions", "import", "--starter")
    return home


@pytest.fixture
def redoubt(starter_home: Path, tmp_path: Path) -> Cli:
    """Commands over the starter definitions, with an empty cache of their own."""
    return Cli(starter_home, {"REDOUBT_CACHE_DIR": str(tmp_path / "cache")})


@pytest.fixture
def empty(tmp_path: Path) -> Cli:
    """Commands in a home where nothing was ever done."""
    home = tmp_path / "empty-home"
    home.mkdir()
    return Cli(home)
