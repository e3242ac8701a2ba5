"""Homes with the starter definitions imported, and a running ``redoubt up``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli import Cli
from support.postgres import chosen, reachable_folder
from support.up import Up


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


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """A ``redoubt up`` of its own for each file, as the first start leaves it."""
    chosen()
    folder = reachable_folder()
    try:
        with Up(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)
