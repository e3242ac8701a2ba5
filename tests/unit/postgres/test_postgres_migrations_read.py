"""Migrations as files: named, numbered, and found in a package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from redoubt.postgres import migrations


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "some_migrations"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    sys.modules.pop("some_migrations", None)


def test_files_are_read_in_the_order_of_their_numbers_and_others_left_alone(package: Path) -> None:
    (package / "0010_second.sql").write_text("SELECT 2")
    (package / "0009_first.sql").write_text("SELECT 1")
    (package / "notes.txt").write_text("no")
    (package / "10_no.sql").write_text("no")
    found = migrations.read("some_migrations")
    assert [(each.number, each.name, each.sql) for each in found] == [
        (9, "0009_first.sql", "SELECT 1"),
        (10, "0010_second.sql", "SELECT 2"),
    ]


def test_two_files_of_one_number_are_a_fault(package: Path) -> None:
    (package / "0010_one.sql").write_text("")
    (package / "0010_other.sql").write_text("")
    with pytest.raises(ValueError, match="two migrations are number 10"):
        migrations.read("some_migrations")


@pytest.mark.parametrize("room", ["redoubt.central.migrations", "redoubt.scanner.migrations"])
def test_the_rooms_own_files_are_numbered_once(room: str) -> None:
    numbers = [each.number for each in migrations.read(room)]
    assert numbers == sorted(set(numbers))
