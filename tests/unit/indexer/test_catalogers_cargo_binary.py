from __future__ import annotations

import io
import json
import random
import tarfile
import zlib
from pathlib import Path

import pytest
from indexing import Memory

from redoubt.indexer.catalogers.cargo_binary import CargoBinaryCataloger
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.indexer.index import index_image
from redoubt.model import ProblemKind
from support import elfwriter, pewriter

CRATES = [
    {"name": "shop", "version": "0.1.0", "source": "local", "root": True, "dependencies": [1]},
    {"name": "own", "version": "0.1.0", "source": "local"},
    {"name": "time", "version": "0.1.40", "source": "crates.io"},
    {"name": "cc", "version": "1.0.0", "source": "crates.io", "kind": "build"},
    {"name": "forked", "version": "1.0.0", "source": "git"},
    {"name": "private", "version": "2.0.0", "source": "registry", "kind": "runtime"},
]
EXPECTED = [("shop", ""), ("time", "0.1.40"), ("forked", ""), ("private", "")]
GO = elfwriter.inline("go1.21.3", "")


def packed(crates: object = CRATES) -> bytes:
    return zlib.compress(json.dumps({"packages": crates, "format": 1}).encode())


def found(catalog: Catalog | None) -> list[tuple[str, str]]:
    assert catalog is not None
    assert {package.type for package in catalog.packages} <= {"cargo"}
    return [(package.name, package.version) for package in catalog.packages]


def stream(data: bytes, piece: int = 4096) -> Catalog | None:
    reader = CargoBinaryCataloger().reader("bin/shop", len(data))
    for at in range(0, len(data), piece):
        if not reader.feed(memoryview(data)[at : at + piece]):
            break
    assert not reader.keep
    return reader.finish()


def by_place(data: bytes) -> Catalog:
    return CargoBinaryCataloger().catalog("bin/shop", MemoryContent(data))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("wide", [False, True])
def test_crates_are_read_while_streaming(wide: bool, big: bool) -> None:
    data = elfwriter.audited(packed(), wide=wide, big=big)
    assert found(stream(data)) == EXPECTED
    assert found(by_place(data)) == EXPECTED


@pytest.mark.parametrize("piece", [1, 7, 4095, 1 << 20])
def test_pieces_of_any_size_give_the_same(piece: int) -> None:
    assert found(stream(elfwriter.audited(packed()), piece)) == EXPECTED


def test_segment_that_was_added_behind_the_sections_changes_nothing() -> None:
    assert found(stream(elfwriter.audited(packed(), appended=9000))) == EXPECTED


@pytest.mark.parametrize("changes", [{"loaded": True}, {"symbols": 9 << 20}])
def test_section_that_was_not_kept_is_read_by_place(changes: dict[str, int]) -> None:
    data = elfwriter.audited(packed(), **changes)  # type: ignore[arg-type]
    assert stream(data, 1 << 18) is None
    assert found(by_place(data)) == EXPECTED


def test_symbols_that_fit_cost_no_second_pass() -> None:
    assert found(stream(elfwriter.audited(packed(), symbols=1 << 20), 1 << 18)) == EXPECTED


def test_program_without_the_section_is_no_package_and_costs_no_second_pass() -> None:
    data = elfwriter.audited(packed(), symbols=9 << 20).replace(b".dep-v0", b".others")
    assert stream(data, 1 << 18) == Catalog()
    assert by_place(data) == Catalog()


@pytest.mark.parametrize(
    "data",
    [
        elfwriter.audited(packed(), note=True),
        elfwriter.elf(elfwriter.inline("go1.21.3", "")),
        b"\x7fELF" + bytes(8192),
        b"\x7fELF",
    ],
)
def test_programs_of_go_and_without_sections_are_done_with_at_once(data: bytes) -> None:
    reader = CargoBinaryCataloger().reader("bin/shop", len(data))
    assert not reader.feed(data[:4096])
    assert reader.finish() == Catalog()


@pytest.mark.parametrize(
    "section",
    [
        b"",
        b"no zlib",
        packed()[:-20],
        zlib.compress(b""),
        zlib.compress(b"[]"),
        zlib.compress(b"\xff"),
        zlib.compress(b"[" * 1_000_000),
        zlib.compress(b'{"packages":' + b"[" * 100_000),
        packed([{"name": "a", "version": 1, "source": "crates.io"}]),
        packed([{"name": "\0", "version": "1", "source": "crates.io"}]),
        packed([{"name": "a" * 1025, "version": "1", "source": "crates.io"}]),
        packed({"name": "a"}),
    ],
)
def test_damaged_list_is_one_problem(section: bytes) -> None:
    catalog = stream(elfwriter.audited(section))
    assert catalog is not None
    assert catalog.packages == ()
    assert [problem.kind for problem in catalog.problems] == [ProblemKind.DAMAGED]


def test_list_that_inflates_without_end_is_refused() -> None:
    catalog = stream(elfwriter.audited(zlib.compress(bytes(64 << 20))))
    assert catalog is not None
    assert [problem.kind for problem in catalog.problems] == [ProblemKind.LIMIT]


def test_absurdly_long_section_is_refused() -> None:
    assert [problem.kind for problem in by_place(elfwriter.audited(bytes(5 << 20))).problems] == [
        ProblemKind.LIMIT
    ]


@pytest.mark.parametrize(
    "program",
    [
        pewriter.pe(packed(), name=b".dep-v0"),
        pewriter.pe(packed(), name=b".dep-v0", wide=False, stub=5000),
        pewriter.macho(packed(), section=b".dep-v0"),
        pewriter.macho(packed(), section=b".dep-v0", wide=False, big=True),
        pewriter.fat(pewriter.macho(b"\1" * 99), pewriter.macho(packed(), section=b".dep-v0")),
    ],
    ids=["pe32+", "pe32", "macho64", "macho32-big", "fat"],
)
def test_crates_of_windows_and_macos_programs_are_read_by_place(program: bytes) -> None:
    assert stream(program) is None
    assert found(by_place(program)) == EXPECTED


def test_windows_and_macos_programs_without_crates_cost_no_second_look() -> None:
    for program in (pewriter.pe(packed()), pewriter.macho(packed())):
        assert stream(program) == by_place(program) == Catalog()


@pytest.mark.parametrize("section", [zlib.compress(b"{"), b"nothing", bytes(5 << 20)])
def test_section_of_a_windows_program_that_says_nothing_is_a_problem(section: bytes) -> None:
    assert len(by_place(pewriter.pe(section, name=b".dep-v0")).problems) == 1


@pytest.mark.parametrize("wide", [False, True])
def test_truncation_and_mutation_never_raise(wide: bool) -> None:
    whole = elfwriter.audited(packed(), wide=wide)
    chance = random.Random(1)
    tail = len(whole) - 1000
    for number in range(600):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(200) if chance.random() < 0.5 else chance.randrange(tail, len(data))
            data[at] = chance.randrange(256)
        if number % 3 == 0:
            del data[chance.randrange(len(data)) :]
        for catalog in (stream(bytes(data)), by_place(bytes(data))):
            for package in catalog.packages if catalog else ():
                assert package.name
                assert (package.name + package.version).isprintable()


def test_real_program_lists_what_was_linked() -> None:
    program = Path(__file__).parents[3] / ".venv" / "bin" / "uv"
    if not program.is_file() or b".dep-v0\0" not in (data := program.read_bytes())[-65536:]:
        pytest.skip("needs the Python package uv, of a release that says its crates")
    catalog = stream(data, 1 << 18)
    crates = found(catalog)
    assert ("uv", "") in crates
    assert len([version for name, version in crates if version]) > 100
    assert catalog == by_place(data)


@pytest.mark.parametrize("changes", [{"symbols": 200 << 10}, {"symbols": 200 << 10, "loaded": True}])
def test_program_in_a_layer_is_found_beside_the_other_readers_of_executables(changes: dict[str, int]) -> None:
    program = elfwriter.audited(packed(), **changes)  # type: ignore[arg-type]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("bin/shop", program), ("bin/go", elfwriter.elf(GO, text=200 << 10))):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            archive.addfile(member, io.BytesIO(data))
    source = Memory([out.getvalue()], [out.getvalue()])
    report = index_image(source, source.resolve(None))
    assert report.problems == ()
    assert [(item.type, item.name, item.version) for item in report.packages] == sorted(
        [*(("cargo", name, version) for name, version in EXPECTED), ("golang", "stdlib", "1.21.3")]
    )
