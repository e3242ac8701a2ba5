"""Go programs for Windows and macOS. The forms of their build information are tested with ELF."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.indexer.catalogers.golang import GoCataloger
from redoubt.indexer.catalogers.golang_info import flagged_version
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.model import ProblemKind
from support import elfwriter, pewriter

MODULES = "path\texample.org/shop\nmod\texample.org/shop\tv1.2.3\t\ndep\tgithub.com/a/b\tv0.4.0\th1:abc=\n"
EXPECTED = [("stdlib", "1.21.3"), ("example.org/shop", "v1.2.3"), ("github.com/a/b", "v0.4.0")]
INLINE = elfwriter.inline("go1.21.3", MODULES)
PROGRAMS = {
    "pe32+": pewriter.pe(INLINE),
    "pe32": pewriter.pe(INLINE, wide=False),
    "macho64": pewriter.macho(INLINE),
    "macho64-big": pewriter.macho(INLINE, big=True),
    "macho32": pewriter.macho(INLINE, wide=False),
    "macho32-big": pewriter.macho(INLINE, wide=False, big=True),
    "macho-without-section": pewriter.macho(bytes(64) + INLINE, section=b"__data"),
}


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


@pytest.mark.parametrize("form", PROGRAMS)
@pytest.mark.parametrize("piece", [1, 1000, 1 << 20])
def test_modules_are_read_while_streaming_and_by_place(form: str, piece: int) -> None:
    assert found(stream(PROGRAMS[form], piece)) == EXPECTED
    assert found(by_place(PROGRAMS[form])) == EXPECTED


@pytest.mark.parametrize("wide", [False, True])
def test_pointers_of_windows_programs_are_those_of_the_image_base(wide: bool) -> None:
    info = elfwriter.pointed("go1.17.2", MODULES, 0x7005000, wide=wide)
    data = pewriter.pe(info, wide=wide, base=0x7000000)
    assert stream(data) is None
    assert found(by_place(data)) == [("stdlib", "1.17.2"), *EXPECTED[1:]]


@pytest.mark.parametrize("big", [False, True])
def test_pointers_of_macos_programs_are_followed(big: bool) -> None:
    data = pewriter.macho(elfwriter.pointed("go1.17.2", MODULES, 0x500000, big=big), big=big)
    assert stream(data) is None
    assert found(by_place(data)) == [("stdlib", "1.17.2"), *EXPECTED[1:]]


@pytest.mark.parametrize("wide", [False, True])
def test_every_program_of_a_universal_file_is_read_once(wide: bool) -> None:
    other = elfwriter.inline("go1.21.3", "mod\texample.org/shop\tv1.2.3\ndep\texample.org/arm\tv1.0.0\n")
    data = pewriter.fat(PROGRAMS["macho64"], pewriter.macho(other), wide=wide)
    assert stream(data) is None
    assert found(by_place(data)) == [*EXPECTED, ("example.org/arm", "v1.0.0")]


def test_a_java_class_is_no_universal_file() -> None:
    assert stream(b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(9000)) == Catalog()


def test_programs_of_a_universal_file_that_lie_in_each_other_are_read_once() -> None:
    data = bytearray(pewriter.fat(*[PROGRAMS["macho64"]] * 3))
    for number in range(3):
        struct.pack_into(">2I", data, 8 + 20 * number + 8, 0x1000, len(data) - 0x1000)
    assert found(by_place(bytes(data))) == EXPECTED


@pytest.mark.parametrize("count", [0, 17, 1 << 31])
def test_universal_file_of_none_or_absurdly_many_is_none(count: int) -> None:
    data = pewriter.fat(PROGRAMS["macho64"], count=count)
    assert stream(data) == Catalog()
    assert by_place(data) == Catalog()


def test_tables_beyond_the_head_are_read_by_place() -> None:
    for data in (pewriter.pe(INLINE, stub=5000), pewriter.macho(INLINE, commands=6000)):
        assert stream(data) is None
        assert found(by_place(data)) == EXPECTED


@pytest.mark.parametrize(
    "data",
    [
        pewriter.pe(INLINE, first=b"UPX0", name=b"UPX1"),
        pewriter.macho(INLINE, packed=True),
        pewriter.fat(pewriter.macho(INLINE, packed=True)),
    ],
    ids=["pe", "macho", "fat"],
)
def test_packed_programs_are_said_to_be_unsupported(data: bytes) -> None:
    for catalog in (stream(data) or by_place(data), by_place(data)):
        assert catalog.packages == ()
        assert [problem.kind for problem in catalog.problems] == [ProblemKind.UNSUPPORTED]


def test_what_is_not_go_is_no_package_and_costs_no_second_pass() -> None:
    assert stream(pewriter.pe(b"\1" * 9000)) == Catalog()
    assert stream(pewriter.macho(b"\1" * 9000, section=b"__data")) == Catalog()
    assert stream(b"MZ" + bytes(9000)) == Catalog()
    assert stream(b"MZ" + bytes(58) + struct.pack("<I", 1 << 30) + bytes(9000)) == Catalog()


def test_nothing_after_the_section_is_read() -> None:
    data = PROGRAMS["pe32+"] + bytes(1 << 20)
    reader = GoCataloger().reader("shop.exe", len(data))
    fed = 0
    while reader.feed(data[fed : fed + 4096]):
        fed += 4096
    assert fed < 40_000
    assert found(reader.finish()) == EXPECTED


@settings(max_examples=150, deadline=None)
@given(
    form=st.sampled_from([*PROGRAMS, "fat"]),
    edits=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, 14_000),
)
def test_damaged_programs_never_raise(form: str, edits: list[tuple[int, int]], cut: int) -> None:
    whole = pewriter.fat(PROGRAMS["macho64"]) if form == "fat" else PROGRAMS[form]
    data = bytearray(whole[: max(cut, 64)])
    for at, value in edits:
        if at < len(data):
            data[at] = value
    stream(bytes(data))
    by_place(bytes(data))


@pytest.mark.parametrize(
    ("version", "flags", "expected"),
    [
        ("(devel)", '"-s -w -X main.version=v1.4.2"', "v1.4.2"),
        ("(devel)", "-X=main.Version=1.4.2", "v1.4.2"),
        ("(devel)", "\"-X 'main.version=1.4.2' -X 'main.date=a b'\"", "v1.4.2"),
        ("(devel)", '"-X \\"main.version=1.4.2-rc.1\\""', "v1.4.2-rc.1"),
        ("(devel)", '"-X example.org/shop/pkg/build.Version=2.0.0+meta"', "v2.0.0+meta"),
        ("(devel)", '"-X github.com/prometheus/common/version.Version=2.45.0"', "v2.45.0"),
        ("(devel)", '"-X main.version=v1.4.2-7-g0123abc -X main.commit=0123abc"', "v1.4.2"),
        ("(devel)", "-X=main.version=v1.4.2-dirty", "v1.4.2"),
        # None of the module's own.
        ("(devel)", '"-X k8s.io/component-base/version.Version=v1.27.0"', ""),
        ("(devel)", '"-X example.org/shop/vendor/other.org/v.Version=v1.27.0"', ""),
        ("(devel)", '"-X example.org/shopping/v.Version=v1.27.0"', ""),
        ("(devel)", '"-X main.goVersion=v1.21.0 -X main.apiVersion=1.2.3"', ""),
        # No release, or not one.
        ("(devel)", '"-X main.version=nightly"', ""),
        ("(devel)", '"-X main.version=1.4"', ""),
        ("(devel)", '"-X main.version=1.2.3 -X main.Version=1.2.4"', ""),
        ("(devel)", '"-X main.version=1.2.3 -X example.org/shop/v.Version=9.9.9"', "v1.2.3"),
        ("(devel)", "", ""),
        # Go's own stamp.
        ("v1.2.3", "-X=main.version=v9.9.9", "v1.2.3"),
        (
            "v1.2.4-0.20240101000000-0123456789ab",
            "-X=main.version=v9.9.9",
            "v1.2.4-0.20240101000000-0123456789ab",
        ),
        ("v0.0.0-20240101000000-0123456789ab", "", ""),
        ("v0.0.0-20240101000000-0123456789ab+dirty", "", ""),
        ("v0.0.0-20240101000000-0123456789ab", "-X=main.version=v1.4.2", "v1.4.2"),
    ],
)
def test_version_of_the_program_itself(version: str, flags: str, expected: str) -> None:
    text = f"mod\texample.org/shop\t{version}\t\ndep\tgithub.com/a/b\tv0.0.0-20240101000000-0123456789ab\n"
    text += f"build\t-ldflags={flags}\n"
    listed = found(by_place(elfwriter.elf(elfwriter.inline("go1.24.1", text))))
    assert listed[1:] == [
        ("example.org/shop", expected),
        ("github.com/a/b", "v0.0.0-20240101000000-0123456789ab"),
    ]


@pytest.mark.parametrize(
    "flags", ["-X " * 20_000, "-X 'a" * 10_000, "-X a=" + "\\" * 60_000, "x" * (1 << 20)]
)
def test_hostile_flags_take_little_time(flags: str) -> None:
    assert flagged_version("example.org/shop", flags) == ""
