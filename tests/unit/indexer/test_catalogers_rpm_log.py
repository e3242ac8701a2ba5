"""Changes to an rpm database that lie in its write-ahead log, against SQLite's own reading of the same two files."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indexing import Memory

from ociwriter import Entry, hardlink, layer_tar, symlink, whiteout
from redoubt.errors import UnreadableInput
from redoubt.indexer.catalogers import sqlite_log
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.indexer.catalogers.rpm import RpmCataloger
from redoubt.indexer.index import index_directory, index_image
from redoubt.model import IndexReport, ProblemKind
from support import rpmwriter

PLACE = "var/lib/rpm/rpmdb.sqlite"
BESIDE = PLACE + "-wal"


def header(name: str, vendor: str = "") -> bytes:
    return rpmwriter.header(name=name, version="1", release="1", vendor=vendor or "v")


#: Larger than a page: its end lies on pages of its own.
A, B, C = header("a"), header("b", "v" * 1500), header("c")
DATABASE, LOG = rpmwriter.logged([A, B], [C, 1], [header("d")])


def read(database: bytes, log: bytes) -> Catalog:
    return RpmCataloger().catalog_pair(PLACE, MemoryContent(database), MemoryContent(log))


def names(catalog: Catalog | IndexReport) -> list[str]:
    return [package.name for package in catalog.packages]


def kinds(catalog: Catalog | IndexReport) -> list[ProblemKind]:
    return [problem.kind for problem in catalog.problems]


def applied(database: bytes, log: bytes) -> bytes:
    changed = bytearray(database)
    sqlite_log.apply(changed, MemoryContent(log))
    return bytes(changed)


def by_sqlite(folder: Path, database: bytes, log: bytes) -> bytes:
    """The database with all that SQLite takes from the log."""
    file = folder / "db"
    file.write_bytes(database)
    Path(f"{file}-wal").write_bytes(log)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("SELECT count(*) FROM Packages").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file.read_bytes()


def test_installed_and_removed_since_is_read_from_the_log() -> None:
    assert names(RpmCataloger().catalog(PLACE, MemoryContent(DATABASE))) == ["a", "b"]
    assert read(DATABASE, LOG) == Catalog(read(DATABASE, LOG).packages)
    assert names(read(DATABASE, LOG)) == ["b", "c", "d"]


def test_a_database_of_which_nothing_was_ever_merged_is_read() -> None:
    assert names(read(*rpmwriter.logged([], [A, B, C]))) == ["a", "b", "c"]


@pytest.mark.parametrize("page", [512, 4096, 65536])
def test_pages_of_every_size(page: int, tmp_path: Path) -> None:
    database, log = rpmwriter.logged([A, B], [C, 2], page=page)
    assert applied(database, log) == by_sqlite(tmp_path, database, log)
    assert names(read(database, log)) == ["a", "c"]


def test_sums_of_either_order_of_bytes(tmp_path: Path) -> None:
    other = bytearray(LOG)
    other[3] ^= 1
    log = rpmwriter.sealed(bytes(other))
    assert names(read(DATABASE, log)) == ["b", "c", "d"]
    assert applied(DATABASE, log) == by_sqlite(tmp_path, DATABASE, log)


def test_a_log_that_ends_anywhere_gives_whole_transactions(tmp_path: Path) -> None:
    for length in range(32, len(LOG), 268):
        assert applied(DATABASE, LOG[:length]) == by_sqlite(tmp_path, DATABASE, LOG[:length])
    assert names(read(DATABASE, LOG[:-1])) == ["b", "c"]


def test_what_is_left_of_an_older_log_is_not_read(tmp_path: Path) -> None:
    newer = rpmwriter.logged([A, B], [1])[1]
    log = rpmwriter.sealed(newer, b"other123") + LOG[len(newer) :]
    assert names(read(DATABASE, log)) == ["b"]
    assert applied(DATABASE, log) == by_sqlite(tmp_path, DATABASE, log)


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(32, len(LOG) - 1), st.integers(0, 255)), max_size=3),
    whole=st.booleans(),
)
def test_a_damaged_log_gives_what_sqlite_takes_from_it(
    places: list[tuple[int, int]], whole: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = bytearray(LOG)
    for at, value in places:
        damaged[at] = value
    if not whole:
        assert applied(DATABASE, bytes(damaged)) == by_sqlite(
            tmp_path_factory.mktemp("a"), DATABASE, bytes(damaged)
        )
    read(DATABASE, rpmwriter.sealed(bytes(damaged)) if whole else bytes(damaged))


def frame(log: bytes, number: int, **fields: int) -> bytes:
    """The log with the number or the count of pages in one of its frames changed."""
    changed = bytearray(log)
    at = 32 + number * (512 + 24)
    for offset, value in fields.items():
        where = at + {"page": 0, "count": 4}[offset]
        changed[where : where + 4] = struct.pack(">I", value)
    return rpmwriter.sealed(bytes(changed))


LAST = (len(LOG) - 32) // 536 - 1


@pytest.mark.parametrize(
    "log",
    [
        b"",
        b"short",
        b"\x37\x7f\x06\x82",
        bytes(600),
        LOG[:3] + b"\x84" + LOG[4:],
        LOG[:12] + b"\xff" + LOG[13:],
        LOG[:8] + struct.pack(">I", 0) + LOG[12:],
        rpmwriter.sealed(LOG[:4] + struct.pack(">I", 3007001) + LOG[8:]),
        rpmwriter.sealed(LOG[:8] + struct.pack(">I", 256) + LOG[12:]),
        rpmwriter.sealed(LOG[:8] + struct.pack(">I", 1024) + LOG[12:] + b"\0\0\0\1\0\0\0\1" + bytes(1024)),
        frame(LOG, LAST, count=1 << 31),
        frame(LOG, LAST, count=200),
    ],
)
def test_a_log_that_is_none_is_said_and_the_database_is_read_without(log: bytes) -> None:
    catalog = read(DATABASE, log)
    assert names(catalog) == ["a", "b"]
    assert [kind for kind in kinds(catalog) if kind is not ProblemKind.DAMAGED] == []
    assert kinds(catalog) or len(log) > 1000


def test_pages_beyond_what_was_committed_take_no_memory() -> None:
    with pytest.raises(UnreadableInput):
        applied(DATABASE, frame(LOG, LAST, count=0xFFFFFFFF))
    assert len(applied(DATABASE, frame(LOG, 0, page=0xFFFFFFFF))) < 2 * len(DATABASE) + len(LOG)


def test_a_log_over_the_limit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_log, "MAX_SIZE", len(LOG) - 1)
    catalog = read(DATABASE, LOG)
    assert (names(catalog), kinds(catalog)) == (["a", "b"], [ProblemKind.LIMIT])


# --- in an image

PAIR = [Entry(PLACE, DATABASE), Entry(BESIDE, LOG)]


def indexed(*layers: bytes) -> IndexReport:
    source = Memory(list(layers), list(layers))
    return index_image(source, source.resolve(None), catalogers=[RpmCataloger()])


@pytest.mark.parametrize(
    "entries",
    [
        PAIR,
        PAIR[::-1],
        [Entry(BESIDE, b"other"), *PAIR],
        [Entry(PLACE, b"other"), *PAIR],
        [*PAIR, Entry("other", b"x"), hardlink("var/lib/rpm/also", PLACE)],
    ],
)
def test_a_database_and_its_log_in_one_layer_are_read_together(entries: list[Entry]) -> None:
    report = indexed(layer_tar(entries))
    assert (names(report), kinds(report)) == (["b", "c", "d"], [])
    assert {place.path for package in report.packages for place in package.locations} == {PLACE}


def test_packages_of_lower_layers_keep_their_layer() -> None:
    report = indexed(layer_tar([Entry(PLACE, DATABASE)]), layer_tar(PAIR))
    layers = {package.name: package.locations[0].layer for package in report.packages}
    assert names(report) == ["b", "c", "d"]
    assert layers["b"] == report.layers[0].diff_id
    assert layers["c"] == report.layers[1].diff_id


def test_a_log_in_another_layer_than_its_database_is_said() -> None:
    report = indexed(layer_tar([Entry(PLACE, DATABASE)]), layer_tar([Entry(BESIDE, LOG)]))
    assert (names(report), kinds(report)) == (["a", "b"], [ProblemKind.UNSUPPORTED])


@pytest.mark.parametrize("gone", [Entry(BESIDE, b""), whiteout(BESIDE)])
def test_a_log_that_was_merged_later_is_not_missed(gone: Entry) -> None:
    report = indexed(layer_tar(PAIR), layer_tar([Entry(PLACE, applied(DATABASE, LOG)), gone]))
    assert (names(report), kinds(report)) == (["b", "c", "d"], [])


def test_a_log_that_is_replaced_in_its_own_layer_is_not_read() -> None:
    report = indexed(layer_tar([*PAIR, Entry(BESIDE, b"")]))
    assert (names(report), kinds(report)) == (["a", "b"], [])


def test_a_log_without_a_database_is_said() -> None:
    assert kinds(indexed(layer_tar([Entry(BESIDE, LOG)]))) == [ProblemKind.UNSUPPORTED]


def test_a_layer_that_breaks_off_in_the_database_says_both() -> None:
    whole = layer_tar(PAIR[::-1])
    report = indexed(whole[: 512 + (len(LOG) + 511) // 512 * 512 + 512 + 700])
    assert names(report) == []
    assert set(kinds(report)) == {ProblemKind.DAMAGED, ProblemKind.UNSUPPORTED}


def test_a_log_beside_a_database_that_a_link_leads_to_is_said() -> None:
    report = indexed(
        layer_tar(
            [
                Entry("data/rpmdb.sqlite", DATABASE),
                Entry("data/rpmdb.sqlite-wal", LOG),
                symlink("var/lib/rpm", "/data"),
            ]
        )
    )
    assert (names(report), kinds(report)) == (["a", "b"], [ProblemKind.UNSUPPORTED])


def test_an_unpacked_root_says_the_same(tmp_path: Path) -> None:
    (tmp_path / PLACE).parent.mkdir(parents=True)
    (tmp_path / PLACE).write_bytes(DATABASE)
    (tmp_path / BESIDE).write_bytes(LOG)
    report = index_directory(tmp_path, "a", catalogers=[RpmCataloger()])
    assert (names(report), kinds(report)) == (["b", "c", "d"], [])
