"""One layer in one pass: compression, digests, limits, and bytes that are not what they claim."""

from __future__ import annotations

import gzip
import io
import threading
import time
import zlib
from typing import BinaryIO

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from indexing import Lines, digest

from ociwriter import Entry, hardlink, layer_tar, symlink
from redoubt.errors import NetworkError
from redoubt.indexer import inflate
from redoubt.indexer.dispatch import Tables
from redoubt.indexer.layers import Cancelled, index_layer, stored_digest
from redoubt.indexer.limits import Limits
from redoubt.indexer.report import LayerReport
from redoubt.indexer.sinks import IN_MEMORY
from redoubt.indexer.sources.interface import LayerBlob
from redoubt.model import ProblemKind


class Bytes:
    """Stored bytes in memory, handed out at most ``step`` at a time."""

    def __init__(self, data: bytes, step: int = 1 << 30) -> None:
        self.data, self.step, self.read, self.opened = data, step, 0, 0

    def open(self) -> BinaryIO:
        self.opened += 1
        stream = io.BytesIO(self.data)
        whole = stream.read
        stream.read = lambda size=-1: whole(min(size, self.step) if size >= 0 else self.step)  # type: ignore[method-assign]
        return stream

    def advance(self, length: int) -> None:
        self.read += length


def indexed(
    stored: bytes, tar: bytes | None = None, *, limits: Limits | None = None, step: int = 1 << 30
) -> LayerReport:
    blob = LayerBlob(
        diff_id=digest(tar if tar is not None else stored), digest=digest(stored), size=len(stored)
    )
    return index_layer(Bytes(stored, step), blob, Tables([Lines()]), limits or Limits())


def names(report: LayerReport) -> list[str]:
    return [package.name for file in report.files for package in file.packages]


def kinds(report: LayerReport) -> list[ProblemKind]:
    return [problem.kind for problem in report.problems]


TAR = layer_tar([Entry("db/list", b"a 1\nb 2"), Entry("big.box", b"c 1\n" + b"\n" * (2 << 20))])


def in_members(data: bytes, size: int) -> bytes:
    return b"".join(gzip.compress(data[at : at + size], mtime=0) for at in range(0, len(data), size))


COMPRESSED = {
    "plain": TAR,
    "gzip": gzip.compress(TAR, mtime=0),
    "gzip in members": in_members(TAR, 300_000),
    "gzip in tiny members": in_members(TAR[:40_960], 100) + gzip.compress(TAR[40_960:]),
    "gzip, then an empty member": gzip.compress(TAR) + gzip.compress(b""),
    "gzip, then zeros": gzip.compress(TAR) + bytes(5000),
    "gzip, then noise": gzip.compress(TAR) + b"\x1fnoise" * 100_000,
    "gzip stored": gzip.compress(TAR, 0),
    "zstd": zstandard.compress(TAR),
    "zstd in frames": zstandard.compress(TAR[:99_999]) + zstandard.compress(TAR[99_999:]),
    "zstd after a skippable frame": b"\x50\x2a\x4d\x18\x04\0\0\0skip" + zstandard.compress(TAR),
}


@pytest.mark.parametrize("step", [1 << 30, 1000])
@pytest.mark.parametrize("form", COMPRESSED)
def test_every_compression_gives_the_same_packages_and_whole_digests(form: str, step: int) -> None:
    stored = COMPRESSED[form]
    report = indexed(stored, TAR, step=step)
    assert names(report) == ["a", "b", "c"]
    assert report.problems == ()
    assert (report.digest, report.diff_id) == (digest(stored), digest(TAR))
    assert (report.size, report.unpacked_size, report.entries) == (len(stored), len(TAR), 2)


def test_the_standard_library_does_where_isal_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "igzip_lib", None)
    for form, stored in COMPRESSED.items():
        assert names(indexed(stored, TAR)) == ["a", "b", "c"], form
    assert kinds(indexed(COMPRESSED["gzip"][:-20], TAR)) == [ProblemKind.DAMAGED]


def test_one_byte_at_a_time_is_enough() -> None:
    tar = layer_tar([Entry("db/list", b"a 1")])
    for stored in (tar, gzip.compress(tar), in_members(tar, 5000), zstandard.compress(tar)):
        assert names(indexed(stored, tar, step=1)) == ["a"]


@pytest.mark.parametrize("magic", [b"BZh91AY&SY", b"\xfd7zXZ\0\0\4"])
def test_other_compressions_are_said_to_be_unsupported(magic: bytes) -> None:
    report = indexed(magic + bytes(600))
    assert kinds(report) == [ProblemKind.UNSUPPORTED]


def test_an_empty_layer_is_empty() -> None:
    for stored, tar in ((b"", b""), (gzip.compress(b""), b""), (layer_tar([]), layer_tar([]))):
        assert indexed(stored, tar).problems == ()


def test_bytes_that_are_not_the_promised_ones_are_not_used() -> None:
    stored = gzip.compress(TAR)
    for blob in (
        LayerBlob(diff_id=digest(TAR), digest=digest(b"other")),
        LayerBlob(diff_id=digest(b"other"), digest=digest(stored)),
        LayerBlob(diff_id=digest(b"other")),
        LayerBlob(diff_id="sha512:00", digest=digest(stored)),
        LayerBlob(diff_id=""),
    ):
        report = index_layer(Bytes(stored), blob, Tables([Lines()]), Limits())
        assert (report.files, report.names, kinds(report)) == ((), b"", [ProblemKind.DAMAGED])
        assert report.diff_id == blob.diff_id


def test_a_layer_without_a_stored_digest_is_held_to_its_diff_id() -> None:
    report = index_layer(Bytes(TAR), LayerBlob(diff_id=digest(TAR)), Tables([Lines()]), Limits())
    assert (report.digest, report.problems) == (digest(TAR), ())


@pytest.mark.parametrize("form", ["gzip", "zstd"])
@pytest.mark.parametrize("keep", [1, 3, 20, 100, -1])
def test_a_compressed_stream_cut_short_is_damage(form: str, keep: int) -> None:
    stored = COMPRESSED[form][:keep]
    report = indexed(stored, TAR)
    assert (kinds(report), report.files) == ([ProblemKind.DAMAGED], ())


def test_damage_inside_the_tar_keeps_what_was_read_before() -> None:
    broken = TAR[:1024] + b"\xff" * 512 + TAR[1024:]
    report = indexed(gzip.compress(broken), broken)
    assert names(report) == ["a", "b"]
    assert kinds(report) == [ProblemKind.DAMAGED]
    assert report.diff_id == digest(broken)


def test_a_file_that_a_cut_tar_breaks_off_in_is_not_cataloged() -> None:
    cut = TAR[: 512 * 5 + 100]
    report = indexed(cut)
    assert names(report) == ["a", "b"]
    assert kinds(report) == [ProblemKind.DAMAGED]


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_mutated_layers_are_read_or_refused_and_never_anything_else(data: st.DataObject) -> None:
    small = layer_tar([Entry("db/list", b"a 1"), Entry("x.box", b"b 1"), symlink("etc/os-release", "x")])
    stored = bytearray(
        data.draw(st.sampled_from([small, gzip.compress(small, mtime=0), zstandard.compress(small)]))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        stored[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
    report = indexed(bytes(stored), small)
    changed = bytes(stored) not in (small,) and report.problems == ()
    assert not changed or names(report) == ["a", "b"]


# --- bombs


def test_a_gzip_bomb_is_stopped_at_its_ratio() -> None:
    squeeze = zlib.compressobj(9, wbits=31)
    bomb = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(120)) + squeeze.flush()
    limits = Limits(ratio_from=4 << 20)
    source = Bytes(bomb, 4096)
    report = index_layer(source, LayerBlob(diff_id=digest(b"")), Tables([Lines()]), limits)
    assert kinds(report) == [ProblemKind.LIMIT]
    assert source.read < len(bomb)


def test_a_zstd_bomb_is_stopped_at_its_ratio() -> None:
    bomb = zstandard.compress(bytes(64 << 20))
    assert len(bomb) < 10_000
    assert kinds(indexed(bomb, b"", limits=Limits(ratio_from=4 << 20))) == [ProblemKind.LIMIT]


def test_a_zstd_window_over_the_limit_is_damage_and_takes_no_memory() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, compression_level=1)
    squeeze = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    stored = squeeze.compress(TAR) + squeeze.flush()
    assert kinds(indexed(stored, TAR)) == [ProblemKind.DAMAGED]


def test_an_unpacked_size_over_the_limit_is_stopped() -> None:
    for stored in (gzip.compress(TAR), zstandard.compress(TAR), TAR):
        report = indexed(stored, TAR, limits=Limits(unpacked_size=1 << 20))
        assert (kinds(report), report.files) == ([ProblemKind.LIMIT], ())


def test_too_many_members_are_said_and_the_digests_still_verified() -> None:
    tar = layer_tar(Entry(f"d{n}/db/list", b"a 1") for n in range(20))
    report = indexed(gzip.compress(tar), tar, limits=Limits(members=10))
    assert kinds(report) == [ProblemKind.LIMIT]
    assert len(report.files) == 10


def test_names_that_would_fill_the_memory_are_stopped() -> None:
    tar = layer_tar(Entry(f"d{n}/db/list", b"a 1") for n in range(200))
    report = indexed(tar, limits=Limits(kept=20_000))
    assert kinds(report) == [ProblemKind.LIMIT]


def test_a_path_of_very_many_folders_counts_as_all_of_them() -> None:
    """Every folder above a wanted file is known by its path: 2,000 of them are megabytes, not bytes."""
    tar = layer_tar(Entry(f"d{n}/{'a/' * 1500}db/list", b"a 1") for n in range(3))
    assert kinds(indexed(tar, limits=Limits(kept=4 << 20))) == [ProblemKind.LIMIT]
    assert kinds(indexed(tar, limits=Limits(kept=8 << 20))) == []


def test_packages_that_would_fill_the_memory_are_stopped() -> None:
    lines = "".join(f"{'n' * 100}{n} 1\n" for n in range(200)).encode()
    tar = layer_tar(
        [Entry("db/list", lines), *(hardlink(f"x{n}/db/list", "db/list") for n in range(20))]  # a copy each
    )
    assert kinds(indexed(tar, limits=Limits(kept=400_000))) == [ProblemKind.LIMIT]
    assert kinds(indexed(tar)) == []


def test_packages_of_a_second_pass_that_would_fill_the_memory_are_stopped() -> None:
    lines = "".join(f"{'n' * 100}{n} 1\n" for n in range(200)).encode()
    tar = layer_tar(
        entry
        for n in range(20)
        for entry in (Entry(f"store/{n}", lines), hardlink(f"x{n}/db/list", f"store/{n}"))
    )
    assert kinds(indexed(tar, limits=Limits(kept=400_000))) == [ProblemKind.LIMIT]
    assert len(names(indexed(tar))) == 4_000


def test_many_refused_members_are_counted_not_listed() -> None:
    tar = layer_tar(Entry(f"../x{n}", b"") for n in range(500))
    report = indexed(tar)
    assert set(kinds(report)) == {ProblemKind.HOSTILE}
    assert len(report.problems) == 21


# --- catalogers


def test_a_cataloger_that_fails_costs_its_file_and_no_other() -> None:
    tar = layer_tar(
        [Entry("a/db/list", b"!"), Entry("db/list", b"b 2"), Entry("bin/x", b"#GO fail 1\n", 0o755)]
    )
    report = indexed(tar)
    assert names(report) == ["b"]
    problems = [problem for file in report.files for problem in file.problems]
    assert [(p.kind, p.path, p.cataloger) for p in problems] == [
        (ProblemKind.DAMAGED, "a/db/list", "lines"),
        (ProblemKind.DAMAGED, "bin/x", "lines"),
    ]


def test_a_file_over_its_catalogers_limit_is_said_and_not_read() -> None:
    tar = layer_tar([Entry("db/list", b"x" * ((4 << 20) + 1)), Entry("a.box", b"a 1")])
    report = indexed(tar)
    assert names(report) == ["a"]
    assert [p.kind for file in report.files for p in file.problems] == [ProblemKind.LIMIT]


@pytest.mark.parametrize("size", [0, 1, IN_MEMORY, IN_MEMORY + 1])
def test_files_in_memory_and_spooled_read_the_same(size: int) -> None:
    tar = layer_tar([Entry("db/list", b"\n" * size + b"a 1")])
    assert names(indexed(gzip.compress(tar), tar, step=4096)) == ["a"]


def test_a_sparse_database_is_said_to_be_unsupported() -> None:
    tar = bytearray(layer_tar([Entry("db/list", b"a 1")]))
    tar[156:157] = b"S"
    tar[148:156] = b" " * 8
    tar[148:156] = b"%06o\0 " % sum(tar[:512])
    report = indexed(bytes(tar))
    assert [p.kind for file in report.files for p in file.problems] == [ProblemKind.UNSUPPORTED]


def test_programs_are_streamed_if_executable_large_enough_and_of_the_magic() -> None:
    tar = layer_tar(
        [
            Entry("bin/yes", b"#GO yes 1\n", 0o755),
            Entry("bin/plain", b"#GO plain 1\n", 0o644),
            Entry("bin/named.EXE", b"#GO named 1\n", 0o644),
            Entry("bin/other", b"#SH other 1\n", 0o755),
            Entry("bin/short", b"#GO s\n", 0o755),
        ]
    )
    for step in (1 << 30, 1):
        assert names(indexed(gzip.compress(tar), tar, step=step)) == ["yes", "named"]


@pytest.mark.parametrize(("word", "passes"), [("again", 2), ("keep", 1)])
def test_a_program_to_be_read_by_place_was_kept_or_is_collected_in_a_second_pass(
    word: str, passes: int
) -> None:
    name = "n" * 9000  # more than a reader is shown at first
    program = f"#GO {word} {name} 1\n".encode()
    tar = layer_tar(
        [Entry("bin/old", program, 0o755), hardlink("bin/new", "bin/old"), Entry("db/list", b"a 1")]
    )
    source = Bytes(tar, 600)
    report = index_layer(source, LayerBlob(diff_id=digest(tar)), Tables([Lines()]), Limits())
    assert sorted((file.path, package.name) for file in report.files for package in file.packages) == [
        ("bin/new", name),
        ("bin/old", name),
        ("db/list", "a"),
    ]
    assert source.opened == passes


def test_names_that_are_not_utf8_are_told_with_escapes() -> None:
    tar = layer_tar([Entry("d\udcff/db/list", b"a 1")])
    assert [file.path for file in indexed(tar).files] == ["d\\xff/db/list"]


# --- threads


class Failing(Bytes):
    def __init__(self, data: bytes, error: BaseException) -> None:
        super().__init__(data, 1000)
        self.error = error

    def advance(self, length: int) -> None:
        super().advance(length)
        if self.read > 3000:
            raise self.error


@pytest.mark.parametrize("error", [NetworkError("gone"), Cancelled(), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("form", ["plain", "gzip", "zstd"])
def test_whatever_ends_a_pass_ends_its_threads(form: str, error: BaseException) -> None:
    before = set(threading.enumerate())
    stored = (
        COMPRESSED[form]
        if form == "plain"
        else in_members(TAR, 2000)
        if form == "gzip"
        else b"".join(zstandard.compress(TAR[at : at + 2000]) for at in range(0, len(TAR), 2000))
    )
    with pytest.raises(type(error)):
        index_layer(Failing(stored, error), LayerBlob(diff_id=digest(TAR)), Tables([Lines()]), Limits())
    deadline = time.monotonic() + 30
    while not set(threading.enumerate()) <= before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before


def test_the_stored_digest_needs_no_inflating() -> None:
    assert stored_digest(Bytes(b"anything")) == digest(b"anything")
