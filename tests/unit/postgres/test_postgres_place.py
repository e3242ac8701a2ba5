"""Whose a cluster is and where it lies: found without opening anybody's folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from redoubt.errors import DatabaseError
from redoubt.postgres import binaries, cluster, place

STRANGER = place.Owner("stranger", 64123, 64123, change=True)


def test_a_folder_that_the_user_cannot_enter_is_left_as_it_is_and_another_taken(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    open_ = Path(os.path.realpath("/tmp")) / f"redoubt-elsewhere-{os.getpid()}"
    try:
        found = place.folder(closed / "pg", STRANGER, elsewhere=open_)
        assert found.parent == open_
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        assert (closed / "pg" / "where").read_text().strip() == str(found)
        assert place.folder(closed / "pg", STRANGER, elsewhere=open_) == found
        assert place.folder(closed / "pg2", STRANGER, elsewhere=open_) != found
    finally:
        for each in sorted(open_.rglob("*"), reverse=True):
            each.rmdir()
        open_.rmdir()


def test_no_place_that_the_user_can_enter_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(DatabaseError, match=r"stranger.*may enter neither"):
        place.folder(tmp_path / "pg", STRANGER, elsewhere=tmp_path / "other")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match="cannot make the database's folder"):
        place.folder(tmp_path / "file" / "pg", STRANGER)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_root_becomes_somebody_who_exists_and_is_not_root(tmp_path: Path) -> None:
    assert place.owner(None, tmp_path / "data").uid != 0
    assert place.owner("nobody", tmp_path).name == "nobody"
    with pytest.raises(DatabaseError, match="no user nosuchuser"):
        place.owner("nosuchuser", tmp_path)
    with pytest.raises(DatabaseError, match="no user root"):
        place.owner("root", tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_an_existing_cluster_keeps_its_user(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 65534, 65534)
    assert place.owner(None, data).name == "nobody"


def _programs(folder: Path, says: str) -> Path:
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_the_systems_newest_programs_come_first_and_broken_ones_are_left_out(tmp_path: Path) -> None:
    _programs(tmp_path / "usr/lib/postgresql/15/bin", "postgres (PostgreSQL) 15.18 (Debian 15.18-0)")
    _programs(tmp_path / "usr/lib/postgresql/17/bin", "postgres (PostgreSQL) 17.1")
    _programs(tmp_path / "usr/lib/postgresql/99/bin", "cannot execute")
    (tmp_path / "usr/lib/postgresql/98/bin").mkdir(parents=True)
    assert [each.major for each in binaries.find(tmp_path)][:2] == [17, 15]


def test_data_of_another_major_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    only = binaries.Binaries(tmp_path, 15)
    (tmp_path / "PG_VERSION").write_text("16\n")
    with pytest.raises(DatabaseError, match=r"is PostgreSQL 16's.*installed here is: 15.*pg_dump"):
        cluster.programs(tmp_path, only)


@pytest.mark.parametrize("content", [b"", b"sixteen", b"\xff\xfe", b"9.6\n"])
def test_a_spoilt_version_file_is_told_and_never_a_new_cluster(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "PG_VERSION").write_bytes(content)
    with pytest.raises(DatabaseError, match="no database that can be read"):
        cluster.version(tmp_path)
