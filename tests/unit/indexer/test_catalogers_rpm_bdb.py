from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.indexer.catalogers import rpm_bdb
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.indexer.catalogers.rpm import RpmCataloger
from redoubt.model import ProblemKind
from support import rpmolddb, rpmwriter
from support.rpmolddb import Berkeley


def package(number: int, size: int = 0) -> bytes:
    return rpmwriter.header(
        name=f"p{number}", version="1", release="2", source_rpm="p-1-2.src.rpm", vendor="v" * size
    )


HEADERS = [package(number, size) for number, size in enumerate([0, 40, 600, 5000, 0, 20_000, 900])]
NAMES = [f"p{number}" for number in range(len(HEADERS))]


def read(data: bytes) -> Catalog:
    return RpmCataloger().catalog("var/lib/rpm/Packages", MemoryContent(data))


def names(catalog: Catalog) -> list[str]:
    return [package.name for package in catalog.packages]


def kinds(catalog: Catalog) -> list[ProblemKind]:
    return [problem.kind for problem in catalog.problems]


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("page_size", [512, 1024, 4096, 16384, 65536])
def test_headers_are_read_whatever_the_page_size_and_the_byte_order(page_size: int, big: bool) -> None:
    catalog = read(rpmolddb.berkeley(HEADERS, page_size, big=big))
    assert names(catalog) == NAMES
    assert catalog.problems == ()


@pytest.mark.parametrize("version", [8, 9, 10])
def test_pages_written_before_they_were_sorted_are_read(version: int) -> None:
    database = Berkeley()
    database.put(HEADERS, rpmolddb.UNSORTED)
    catalog = read(database.data(database.metadata(version=version)))
    assert (names(catalog), catalog.problems) == (NAMES, ())


def test_pages_with_checksums_are_read() -> None:
    catalog = read(rpmolddb.berkeley(HEADERS, checksum=True))
    assert (names(catalog), catalog.problems) == (NAMES, ())


def test_database_without_packages_is_empty() -> None:
    assert read(rpmolddb.berkeley([])) == Catalog()


def test_keys_are_no_packages() -> None:
    key = rpmwriter.header(name="gpg-pubkey", version="b86b3716", release="61e69f29")
    assert read(rpmolddb.berkeley([key])) == Catalog()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"magic": 0x053162}, ProblemKind.UNSUPPORTED),
        ({"encrypted": 1}, ProblemKind.UNSUPPORTED),
        ({"version": 7}, ProblemKind.UNSUPPORTED),
        ({"version": 11}, ProblemKind.UNSUPPORTED),
        ({"page_size": 256}, ProblemKind.DAMAGED),
        ({"page_size": 513}, ProblemKind.DAMAGED),
        ({"page_size": 1 << 17}, ProblemKind.DAMAGED),
        ({"magic": 0x061562}, ProblemKind.DAMAGED),
    ],
)
@pytest.mark.parametrize("big", [False, True])
def test_what_is_not_rpms_hash_is_said(change: dict[str, int], kind: ProblemKind, big: bool) -> None:
    database = Berkeley(big=big)
    database.put(HEADERS)
    catalog = read(database.data(database.metadata(**change)))
    assert catalog.packages == ()
    assert kinds(catalog) == [kind]


def test_truncated_anywhere_keeps_what_came_before_and_says_so() -> None:
    whole = rpmolddb.berkeley([package(number, 400 * number) for number in range(20)], 1024)
    catalogs = [read(whole[:length]) for length in range(0, len(whole), 1024)]
    assert all(ProblemKind.DAMAGED in kinds(catalog) for catalog in catalogs)
    found = list(map(names, catalogs))
    assert found == sorted(found, key=len)
    assert (found[0], found[-1]) == ([], [f"p{number}" for number in range(19)])


def broken(break_page: Callable[[Berkeley], None]) -> Catalog:
    """Three packages, the second with three overflow pages, of which something is then broken."""
    database = Berkeley()
    database.put([package(0, 150), package(1, 1200), package(2, 150)])
    break_page(database)
    return read(database.data())


def test_chain_is_laid_out_as_the_following_tests_think() -> None:
    catalog = broken(lambda database: None)
    assert (names(catalog), catalog.problems) == (["p0", "p1", "p2"], ())
    database = Berkeley()
    database.put([package(0, 150), package(1, 1200), package(2, 150)])
    assert [page[25] for page in database.pages[1:]] == [13, 13, 7, 7, 7, 7, 7]


@pytest.mark.parametrize("following", [0, 1, 2, 3, 4, 5, 99, 0xFFFFFFFF])
def test_chain_that_leads_astray_costs_its_header_only(following: int) -> None:
    def lead_astray(database: Berkeley) -> None:
        page = bytearray(database.pages[5])
        page[16:20] = struct.pack("<I", following)
        database.pages[5] = bytes(page)

    catalog = broken(lead_astray)
    assert "p0" in names(catalog)
    assert "p1" not in names(catalog)
    assert ProblemKind.DAMAGED in kinds(catalog)


@pytest.mark.parametrize(("place", "value"), [(8, 77), (22, 0), (22, 0xFFFF), (25, 13), (25, 0)])
def test_overflow_page_that_lies_costs_its_header_only(place: int, value: int) -> None:
    def lie(database: Berkeley) -> None:
        page = bytearray(database.pages[5])
        page[place : place + 2] = struct.pack("<H", value) if place != 25 else bytes([value, page[26]])
        database.pages[5] = bytes(page)

    catalog = broken(lie)
    assert names(catalog) == ["p0", "p2"]
    assert set(kinds(catalog)) == {ProblemKind.DAMAGED}


def test_two_headers_cannot_share_a_chain() -> None:
    database = Berkeley()
    item = database.value(package(1, 1200))
    database.pages[1] = database.hash_page(1, [database.key(1), item, database.key(2), item])
    database.pages[2] = database.hash_page(2, [])
    catalog = read(database.data())
    assert names(catalog) == ["p1"]
    assert kinds(catalog) == [ProblemKind.DAMAGED]


@pytest.mark.parametrize("length", [0, 1, 100_000_000, 0xFFFFFFFF])
def test_length_that_lies_is_not_believed(length: int) -> None:
    database = Berkeley()
    database.value(package(1, 1200))
    items = [database.key(1), database.off_page(3, length), database.key(2), b"\1" + package(2)]
    database.pages[1:3] = [database.hash_page(1, items), database.hash_page(2, [])]
    catalog = read(database.data())
    assert names(catalog) == ["p2"]
    assert kinds(catalog) == [ProblemKind.DAMAGED]


@pytest.mark.parametrize("item", [b"\2" + bytes(11), b"\4" + bytes(7), b"\3", b"\0", b"\xff" * 12])
def test_item_of_another_kind_is_damage(item: bytes) -> None:
    database = Berkeley()
    items = [database.key(1), item, database.key(2), b"\1" + package(2)]
    database.pages[1:3] = [database.hash_page(1, items), database.hash_page(2, [])]
    catalog = read(database.data())
    assert names(catalog) == ["p2"]
    assert kinds(catalog) == [ProblemKind.DAMAGED]


@pytest.mark.parametrize(
    ("count", "offsets"),
    [
        (4, [506, 400, 400, 300]),
        (4, [506, 400, 450, 300]),
        (4, [506, 400, 30, 10]),
        (4, [506, 400, 395, 0]),
        (4, [0xFFFF, 400, 395, 300]),
        (3, [506, 400, 300, 0]),
        (0xFFFF, [506, 400]),
        (244, [506, 400]),
    ],
)
def test_index_of_a_page_that_lies_is_damage(count: int, offsets: list[int]) -> None:
    database = Berkeley()
    index = struct.pack(f"<{len(offsets)}H", *offsets)
    database.pages[1] = database.page(1, 0, count, 0, rpmolddb.SORTED, index)
    database.pages[2] = database.hash_page(2, [database.key(2), b"\1" + package(2)])
    catalog = read(database.data())
    assert names(catalog) == ["p2"]
    assert set(kinds(catalog)) == {ProblemKind.DAMAGED}


@pytest.mark.parametrize("kind", [0, 1, 5, 7, 8, 12, 255])
def test_page_of_the_hash_that_is_gone_is_missed(kind: int) -> None:
    database = Berkeley()
    database.put([package(number, 60) for number in range(40)])
    page = bytearray(database.pages[1])
    page[25] = kind
    database.pages[1] = bytes(page)
    catalog = read(database.data())
    assert names(catalog)[-1] == "p39"
    assert "p0" not in names(catalog)
    assert "1 of 2 parts of the rpm database are missing" in [item.message for item in catalog.problems]


@pytest.mark.parametrize("top", [3, 1000, 0xFFFFFFFF])
def test_more_buckets_than_there_are_is_damage(top: int) -> None:
    database = Berkeley()
    database.put(HEADERS)
    meta = bytearray(database.metadata())
    meta[72:76] = struct.pack("<I", top)
    catalog = read(database.data(bytes(meta)))
    assert names(catalog) == NAMES
    assert kinds(catalog) == [ProblemKind.DAMAGED]


def test_number_of_headers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpm_bdb, "MAX_PACKAGES", 4)
    catalog = read(rpmolddb.berkeley(HEADERS))
    assert names(catalog) == NAMES[:3]
    assert kinds(catalog) == [ProblemKind.LIMIT]


@pytest.mark.parametrize("items", [[], [b"\1", b"\2"] * 60])
def test_file_of_nothing_but_damage_is_given_up(items: list[bytes]) -> None:
    database = Berkeley()
    for number in range(1, 1500):
        page = database.hash_page(number, items) if items else database.page(number, 0, 3, 0, 13, b"")
        database.pages[number:] = [page, b""]
    last = len(database.pages) - 1
    database.pages[last] = database.hash_page(last, [database.key(2), b"\1" + package(2)])
    catalog = read(database.data())
    assert catalog.packages == ()
    assert "given up" in catalog.problems[-1].message


def test_header_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpm_bdb, "MAX_BLOB", 4096)
    catalog = read(rpmolddb.berkeley(HEADERS))
    assert names(catalog) == ["p0", "p1", "p2", "p4", "p6"]
    assert kinds(catalog) == [ProblemKind.DAMAGED] * 2


def test_one_header_and_one_piece_at_a_time_are_asked_for() -> None:
    class Counting(MemoryContent):
        longest = 0

        def read(self, offset: int, length: int) -> bytes:
            Counting.longest = max(Counting.longest, length)
            return super().read(offset, length)

        def all(self) -> bytes:
            raise AssertionError("the whole file was asked for")

    content = Counting(rpmolddb.berkeley([package(number, 100_000) for number in range(30)]))
    assert len(RpmCataloger().catalog("var/lib/rpm/Packages", content).packages) == 30
    assert Counting.longest <= 1 << 20 < content.size


SMALL = rpmolddb.berkeley([package(number, 300 * number) for number in range(6)])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_database_never_raises(data: st.DataObject) -> None:
    whole = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 10))):
        page = data.draw(st.integers(0, len(whole) // 512 - 1)) * 512
        place = page + data.draw(st.one_of(st.integers(0, 40), st.integers(0, 511)))
        noise = data.draw(st.one_of(st.binary(max_size=6), st.sampled_from([b"\xff" * 4, b"\0" * 4])))
        whole[place : place + len(noise)] = noise
    for package in read(bytes(whole)).packages:
        assert package.name.isprintable()
