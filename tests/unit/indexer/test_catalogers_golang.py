from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.indexer.catalogers.golang import GoCataloger
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.model import ProblemKind
from support import elfwriter

MODULES = (
    "path\texample.org/shop\n"
    "mod\texample.org/shop\t(devel)\t\n"
    "dep\tgithub.com/a/b\tv1.2.3\th1:abc=\n"
    "dep\tgithub.com/c/d\tv0.1.0\n"
    "=>\tgithub.com/fork/d\tv0.1.1\th1:def=\n"
    "dep\tgithub.com/e/f\tv2.0.0\n"
    "=>\t../f\t(devel)\t\n"
    "build\t-ldflags=-s -w\n"
)
EXPECTED = [
    ("stdlib", "1.21.3"),
    ("example.org/shop", ""),
    ("github.com/a/b", "v1.2.3"),
    ("github.com/fork/d", "v0.1.1"),
    ("github.com/e/f", ""),
]
INLINE = elfwriter.inline("go1.21.3", MODULES)


def found(catalog: Catalog | None) -> list[tuple[str, str]]:
    assert catalog is not None
    return [(package.name, package.version) for package in catalog.packages]


def stream(data: bytes, piece: int = 4096) -> Catalog | None:
    reader = GoCataloger().reader("bin/shop", len(data))
    for at in range(0, len(data), piece):
        if not reader.feed(memoryview(data)[at : at + piece]):
            break
    return reader.finish()


def by_place(data: bytes) -> Catalog:
    return GoCataloger().catalog("bin/shop", MemoryContent(data))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("wide", [False, True])
def test_modules_and_standard_library_are_read_while_streaming(wide: bool, big: bool) -> None:
    data = elfwriter.elf(INLINE, wide=wide, big=big)
    assert found(stream(data)) == EXPECTED
    assert found(by_place(data)) == EXPECTED


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("wide", [False, True])
def test_older_format_is_read_by_place(wide: bool, big: bool) -> None:
    info = elfwriter.pointed("go1.17.2", MODULES, 0x500000, wide=wide, big=big)
    data = elfwriter.elf(info, wide=wide, big=big)
    assert stream(data) is None
    assert found(by_place(data)) == [("stdlib", "1.17.2"), *EXPECTED[1:]]


@pytest.mark.parametrize("big", [False, True])
def test_pointers_that_only_relocations_know_are_found_there(big: bool) -> None:
    info, dynamic = elfwriter.relocated("go1.15.9", MODULES, 0x500000, big=big)
    data = elfwriter.elf(info, big=big, dynamic=dynamic)
    assert stream(data) is None
    assert found(by_place(data)) == [("stdlib", "1.15.9"), *EXPECTED[1:]]


def test_pointer_that_needs_another_programs_symbol_is_none() -> None:
    info, dynamic = elfwriter.relocated("go1.15.9", MODULES, 0x500000)
    named = info.replace(struct.pack("<QQ", 0x500010, 1027), struct.pack("<QQ", 0x500010, 7 << 32 | 257))
    assert named != info
    data = elfwriter.elf(named, dynamic=dynamic)
    assert [problem.kind for problem in by_place(data).problems] == [ProblemKind.DAMAGED]


@pytest.mark.parametrize("wide", [False, True])
def test_program_built_without_modules_has_its_standard_library(wide: bool) -> None:
    info = elfwriter.pointed("go1.15.9", "", 0x500000, wide=wide)
    size = 8 if wide else 4
    # As linkers write it: the second string is a variable that was never set, and has no place in the file.
    unset = (0x500000 + len(info)).to_bytes(size, "little")
    info = info[: 16 + size] + unset + info[16 + 2 * size :]
    assert found(by_place(elfwriter.elf(info, wide=wide, room=2 * size))) == [("stdlib", "1.15.9")]
    short = by_place(elfwriter.elf(info, wide=wide, room=2 * size - 1))
    assert [problem.kind for problem in short.problems] == [ProblemKind.DAMAGED]


def test_text_that_is_no_release_is_damaged() -> None:
    catalog = by_place(elfwriter.elf(elfwriter.inline("\x7fELF\x02\x01", MODULES)))
    assert catalog.packages == ()
    assert [problem.kind for problem in catalog.problems] == [ProblemKind.DAMAGED]


@pytest.mark.parametrize("size", [0, 23, 1 << 25, 1 << 62, (1 << 64) - 1])
@pytest.mark.parametrize("at", [0, 0x400000, 0x500000, (1 << 64) - 8])
def test_lying_relocation_table_is_damaged_at_worst(at: int, size: int) -> None:
    info, dynamic = elfwriter.relocated("go1.15.9", MODULES, 0x500000)
    data = elfwriter.elf(info[:dynamic] + struct.pack("<4Q", 7, at, 8, size), dynamic=dynamic, room=1 << 62)
    assert by_place(data).packages == ()


@pytest.mark.parametrize("piece", [1, 7, 16, 4095, 1 << 20])
def test_pieces_of_any_size_give_the_same(piece: int) -> None:
    data = elfwriter.elf(bytes(4096 * 3 + 16) + INLINE + bytes(5000), text=100)
    assert found(stream(data, piece)) == EXPECTED


def test_nothing_is_read_after_what_matters() -> None:
    data = elfwriter.elf(INLINE) + bytes(1 << 20)
    reader = GoCataloger().reader("bin/shop", len(data))
    fed = 0
    while reader.feed(data[fed : fed + 4096]):
        fed += 4096
    assert fed < 40_000
    assert found(reader.finish()) == EXPECTED


def test_a_program_that_is_not_go_is_no_package_and_costs_no_second_pass() -> None:
    assert stream(elfwriter.elf(b"\1" * 9000)) == Catalog()
    assert stream(b"MZ" + bytes(9000)) == Catalog()
    assert by_place(b"\x7fELF") == Catalog()


def test_go_program_whose_information_is_not_writable_is_found_by_its_section() -> None:
    data = elfwriter.elf(INLINE, writable=False, section=True, note=True)
    assert stream(data) is None
    assert found(by_place(data)) == EXPECTED


def test_header_that_is_not_aligned_is_not_one() -> None:
    before = (b"\0\0\0" + INLINE.replace(b"1.21.3", b"6.6.66")).ljust(1024, b"\0")
    assert found(stream(elfwriter.elf(before + INLINE))) == EXPECTED
    assert found(by_place(elfwriter.elf(before + INLINE))) == EXPECTED


@pytest.mark.parametrize(
    ("go", "version"),
    [
        ("go1.21.3", "1.21.3"),
        ("go1.20", "1.20"),
        ("go1.22rc1", "1.22rc1"),
        ("go1.21.3 X:boringcrypto", "1.21.3"),
        ("go1.19.13-fips", "1.19.13"),
        ("devel go1.22-abc123 Mon Jan 1", ""),
        ("devel +abc123", ""),
    ],
)
def test_version_of_the_standard_library(go: str, version: str) -> None:
    assert found(stream(elfwriter.elf(elfwriter.inline(go, ""))))[0] == ("stdlib", version)


def test_main_module_may_lack_a_version_and_empty_lines_are_nothing() -> None:
    data = elfwriter.elf(elfwriter.inline("go1.18", "\n\nmod\texample.org/x\nnonsense\n=>\n"))
    catalog = stream(data)
    assert found(catalog) == [("stdlib", "1.18"), ("example.org/x", "")]
    assert catalog is not None
    assert len(catalog.problems) == 1


def test_packed_program_is_said_to_be_unseen() -> None:
    data = bytearray(elfwriter.elf(b"\1" * 9000))
    data[0xEC:0xF0] = b"UPX!"
    for catalog in (stream(bytes(data)), by_place(bytes(data))):
        assert catalog is not None
        assert [problem.kind for problem in catalog.problems] == [ProblemKind.UNSUPPORTED]


def test_information_that_is_cut_off_is_damaged() -> None:
    data = elfwriter.elf(INLINE)
    for cut in (len(data) - 1, len(data) - 20, len(data) - len(INLINE) + 33):
        assert stream(data[:cut]) is None
        assert [problem.kind for problem in by_place(data[:cut]).problems] == [ProblemKind.DAMAGED]


@pytest.mark.parametrize("length", [1 << 34, 1 << 62, (1 << 64) - 1])
def test_absurd_lengths_are_damaged(length: int) -> None:
    bad = elfwriter.MAGIC + bytes((8, 2)) + bytes(16) + elfwriter.varint(length) + b"go1.21"
    pointers = elfwriter.MAGIC + bytes((8, 0)) + struct.pack("<2Q", 0x500020, 0x500020)
    looped = pointers + struct.pack("<2Q", 0x500020, length)
    for info in (bad, looped):
        data = elfwriter.elf(info + bytes(4096))
        assert stream(data) is None
        assert [problem.kind for problem in by_place(data).problems] == [ProblemKind.DAMAGED]


def test_truncation_at_any_length_never_raises() -> None:
    data = elfwriter.elf(INLINE, text=16, section=True)
    for length in [*range(300), *range(0x1000, len(data))]:
        by_place(data[:length])
        stream(data[:length])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_program_never_raises(data: st.DataObject) -> None:
    old = elfwriter.pointed("go1.17.2", MODULES, 0x500000)
    independent, dynamic = elfwriter.relocated("go1.15.9", MODULES, 0x500000)
    info, dynamic = data.draw(st.sampled_from([(INLINE, -1), (old, -1), (independent, dynamic)]))
    whole = bytearray(elfwriter.elf(info, text=16, section=True, dynamic=dynamic))
    interesting = [*range(200), *range(0x1010, 0x1090), *range(len(whole) - 230, len(whole))]
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.sampled_from(interesting))
        noise = data.draw(st.one_of(st.binary(max_size=8), st.sampled_from([b"\xff" * 8, b"\0" * 8])))
        whole[place : place + len(noise)] = noise
    streamed = stream(bytes(whole), data.draw(st.sampled_from([64, 4096])))
    for catalog in (streamed or Catalog(), by_place(bytes(whole))):
        for name, version in found(catalog):
            assert name.isprintable()
            assert version.isprintable()
