from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.indexer.catalogers import rpm_ndb
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.indexer.catalogers.rpm import RpmCataloger
from redoubt.model import ProblemKind
from support import rpmolddb, rpmwriter
from support.rpmolddb import ndb_slot


def package(number: int, size: int = 0) -> bytes:
    return rpmwriter.header(
        name=f"p{number}", version="1", release="2", source_rpm="p-1-2.src.rpm", vendor="v" * size
    )


HEADERS = [package(number, size) for number, size in enumerate([0, 1, 2, 3, 40, 600, 20_000])]
NAMES = [f"p{number}" for number in range(len(HEADERS))]
WHOLE = rpmolddb.ndb(HEADERS)
FIRST = 4096  # where the first blob lies
SLOT = 32  # and the first slot


def read(data: bytes) -> Catalog:
    return RpmCataloger().catalog("usr/lib/sysimage/rpm/Packages.db", MemoryContent(data))


def names(catalog: Catalog) -> list[str]:
    return [package.name for package in catalog.packages]


def kinds(catalog: Catalog) -> list[ProblemKind]:
    return [problem.kind for problem in catalog.problems]


def changed(place: int, new: bytes, data: bytes = WHOLE) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def test_headers_are_read_whatever_their_padding() -> None:
    catalog = read(WHOLE)
    assert (names(catalog), catalog.problems) == (NAMES, ())


def test_several_pages_of_slots_are_read() -> None:
    headers = [package(number) for number in range(700)]
    catalog = read(rpmolddb.ndb(headers, slot_pages=3))
    assert len(catalog.packages) == 700
    assert catalog.problems == ()


def test_database_without_packages_is_empty() -> None:
    assert read(rpmolddb.ndb([])) == Catalog()


def test_slot_that_was_given_back_is_no_damage() -> None:
    catalog = read(changed(SLOT, struct.pack("<4sIII", b"Slot", 1, 0, 0)))
    assert (names(catalog), catalog.problems) == (NAMES[1:], ())


def test_other_version_is_unsupported() -> None:
    catalog = read(rpmolddb.ndb(HEADERS, version=1))
    assert (catalog.packages, kinds(catalog)) == ((), [ProblemKind.UNSUPPORTED])


def test_wrong_checksum_is_said_and_the_package_stays_as_it_does_for_rpm() -> None:
    place = WHOLE.index(b"vvvv")
    catalog = read(changed(place, b"w"))
    assert names(catalog) == NAMES
    assert kinds(catalog) == [ProblemKind.DAMAGED]
    assert "checksum" in catalog.problems[0].message


@pytest.mark.parametrize(
    ("place", "new"),
    [
        (FIRST, b"Blob"),
        (FIRST + 4, b"\2"),
        (FIRST + 12, b"\xff\xff\xff\xff"),
        (FIRST + 12, b"\1\0\0\0"),
        (SLOT + 4, bytes(4)),
        (SLOT + 8, b"\1\0\0\0"),
        (SLOT + 8, b"\xff\xff\xff\xff"),
        (SLOT + 12, bytes(4)),
        (SLOT + 12, b"\1\0\0\0"),
        (SLOT + 12, b"\3\0\0\0"),
        (SLOT + 12, b"\xff\xff\xff\xff"),
    ],
)
def test_blob_that_is_not_what_its_slot_says_costs_itself_only(place: int, new: bytes) -> None:
    catalog = read(changed(place, new))
    assert names(catalog) == NAMES[1:]
    assert kinds(catalog) == [ProblemKind.DAMAGED]


def test_length_that_disagrees_with_its_tail_is_damage_even_with_the_right_checksum() -> None:
    (first, count) = struct.unpack_from("<II", WHOLE, SLOT + 8)
    end = (first + count) * 16
    raw = bytearray(WHOLE[FIRST : end - 12])
    raw[12:16] = struct.pack("<I", 5)
    tail = struct.pack("<II4s", zlib.adler32(raw), 5, b"BlbE")
    catalog = read(changed(FIRST, bytes(raw) + tail))
    assert names(catalog) == NAMES[1:]
    assert kinds(catalog) == [ProblemKind.DAMAGED]


def test_page_of_slots_that_is_gone_is_damage_and_the_next_is_read() -> None:
    headers = [package(number) for number in range(300)]
    catalog = read(changed(SLOT + 16 * 4, b"Lost", rpmolddb.ndb(headers, slot_pages=2)))
    assert names(catalog) == [f"p{number}" for number in (*range(4), *range(254, 300))]
    assert kinds(catalog) == [ProblemKind.DAMAGED]


@pytest.mark.parametrize("pages", [0, 2, 1000, 0x1000001, 0xFFFFFFFF])
def test_number_of_slot_pages_that_lies_is_not_believed(pages: int) -> None:
    catalog = read(changed(12, struct.pack("<I", pages)))
    assert catalog.packages == ()
    assert set(kinds(catalog)) == {ProblemKind.DAMAGED}


def test_slots_that_share_a_blob_come_to_an_end() -> None:
    first, count = struct.unpack_from("<II", WHOLE, SLOT + 16 * 6 + 8)
    shared = ndb_slot(7, first, first + count) * 254
    catalog = read(changed(SLOT, shared))
    assert names(catalog) == ["p6"]
    assert kinds(catalog) == [ProblemKind.DAMAGED]


def test_number_of_slots_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpm_ndb, "_MAX_SLOTS", 256)
    catalog = read(rpmolddb.ndb([package(number) for number in range(300)], slot_pages=2))
    assert len(catalog.packages) == 254
    assert kinds(catalog) == [ProblemKind.LIMIT]


def test_file_of_nothing_but_damage_is_given_up() -> None:
    whole = rpmolddb.ndb([b""] * 1500 + HEADERS, slot_pages=6)
    catalog = read(whole)
    assert catalog.packages == ()
    assert "given up" in catalog.problems[-1].message


def test_header_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpm_ndb, "MAX_BLOB", 4096)
    catalog = read(WHOLE)
    assert names(catalog) == NAMES[:-1]
    assert kinds(catalog) == [ProblemKind.DAMAGED]


def test_truncated_anywhere_keeps_what_came_before_and_says_so() -> None:
    whole = rpmolddb.ndb([package(number, 100 * number) for number in range(40)])
    catalogs = [read(whole[:length]) for length in range(0, len(whole), 1024)]
    assert all(ProblemKind.DAMAGED in kinds(catalog) for catalog in catalogs)
    found = list(map(names, catalogs))
    assert found == sorted(found, key=len)
    assert (found[0], found[-1]) == ([], [f"p{number}" for number in range(39)])


def test_odd_bytes_at_the_end_are_damage() -> None:
    catalog = read(WHOLE + b"x")
    assert (names(catalog), kinds(catalog)) == (NAMES, [ProblemKind.DAMAGED])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_database_never_raises(data: st.DataObject) -> None:
    whole = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 10))):
        place = data.draw(st.one_of(st.integers(0, 150), st.integers(FIRST, len(whole) - 1)))
        noise = data.draw(st.one_of(st.binary(max_size=6), st.sampled_from([b"\xff" * 4, b"\0" * 4])))
        whole[place : place + len(noise)] = noise
    for package in read(bytes(whole)).packages:
        assert package.name.isprintable()
