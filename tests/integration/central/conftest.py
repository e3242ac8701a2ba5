"""What tests of Central that scan images have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from redoubt.central.auth import hashing
from support.registry import Registry, start_registry
from support.scanners import AFFECTED, Shelf


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost little, for tests that do not ask what they are worth."""
    real = hashing.hashed
    monkeypatch.setattr(hashing, "hashed", lambda password, cost=10: real(password, cost))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with start_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path)
    shelf.publish(bookworm=AFFECTED)
    return shelf
