"""Secrets at rest."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from redoubt.central.auth.secrets import Sealer
from redoubt.errors import AccessDenied, UnreadableInput


def test_what_was_sealed_is_opened_where_it_belongs(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "secrets.keys"
    sealed = Sealer.create_or_open(path).seal(b"registry password", "integrations:password:1")
    assert b"registry" not in sealed
    again = Sealer.create_or_open(path)
    assert again.open(sealed, "integrations:password:1") == b"registry password"
    with pytest.raises(UnreadableInput):
        again.open(sealed, "integrations:password:2")
    assert again.seal(b"x", "c") != again.seal(b"x", "c")


def test_the_file_is_central_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets.keys"
    old = os.umask(0)
    try:
        Sealer.create_or_open(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o604)
    with pytest.raises(AccessDenied, match="chmod 600"):
        Sealer(path)
    path.chmod(0o440)
    Sealer(path)


def test_damage_is_noticed(tmp_path: Path) -> None:
    sealer = Sealer.create_or_open(tmp_path / "secrets.keys")
    sealed = sealer.seal(b"secret", "c")
    for position in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[position] ^= 1
        with pytest.raises(UnreadableInput):
            sealer.open(bytes(damaged), "c")
        with pytest.raises(UnreadableInput):
            sealer.open(sealed[:position], "c")


def test_a_new_key_seals_and_the_old_one_still_opens(tmp_path: Path) -> None:
    path = tmp_path / "secrets.keys"
    sealer, other = Sealer.create_or_open(path), Sealer.create_or_open(path)
    old = sealer.seal(b"old", "c")
    sealer.rotate()
    new = sealer.seal(b"new", "c")
    assert sealer.current(new)
    assert not sealer.current(old)
    assert sealer.open(old, "c") == b"old"
    # One that has the file open since before seals with the new one as well.
    assert sealer.current(other.seal(b"new too", "c"))
    assert other.open(new, "c") == b"new"
    sealer.rotate()
    with pytest.raises(UnreadableInput, match="does not have"):
        sealer.open(old, "c")
    assert sealer.open(new, "c") == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text().splitlines()) == 2


def test_a_file_that_cannot_be_written_is_said_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secrets.keys"
    sealer = Sealer.create_or_open(path)
    sealed, text = sealer.seal(b"x", "c"), path.read_text()

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(AccessDenied, match="put a new line first"):
        sealer.rotate()
    assert path.read_text() == text
    assert os.listdir(tmp_path) == ["secrets.keys"]
    assert sealer.current(sealed)


def test_several_that_start_at_once_share_a_key(tmp_path: Path) -> None:
    path = tmp_path / "secrets.keys"
    made: list[Sealer] = []
    threads = [threading.Thread(target=lambda: made.append(Sealer.create_or_open(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sealed = made[0].seal(b"x", "c")
    assert [sealer.open(sealed, "c") for sealer in made] == [b"x"] * 8
    assert os.listdir(tmp_path) == ["secrets.keys"]


@pytest.mark.parametrize(
    "text", ["", "x", "00 x\n", "0011223344556677 AAAA\n", "\xff\xfe" * 10, "a" * 200_000]
)
def test_what_is_no_file_of_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secrets.keys"
    path.write_text(text, "latin-1")
    path.chmod(0o600)
    with pytest.raises(UnreadableInput):
        Sealer.create_or_open(path)
    assert path.read_text("latin-1") == text
