"""Bodies of uploads: what is right becomes files, and whatever is not says so before anything counts."""

from __future__ import annotations

import hashlib
import random
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import pytest

from redoubt.central.probes import manifest, names
from redoubt.central.probes.body import Arrived, Body
from redoubt.central.refusals import InvalidArgument
from redoubt.cli.roxctl import probes as roxctl

A, B, C = (
    "2.9.0/collector-5.4.0-1.ko.gz",
    "2.9.0-rc3/collector-ebpf-6.1.0-3.o.gz",
    f"{'0a' * 32}/collector-ebpf-5.10.0-7+deb~1.o.gz",
)
FILES = {A: b"module " * 100, B: b"", C: b"ebpf " * 30_000}


def entries(files: dict[str, bytes]) -> list[tuple[str, int, int]]:
    return [(name, len(data), zlib.crc32(data)) for name, data in files.items()]


def take(folder: Path, head: bytes, contents: bytes, piece: int = 1000, **given: int) -> list[Arrived]:
    folder.mkdir(exist_ok=True)
    whole = head + contents
    body = Body(folder, given.get("manifest_length", len(head)), given.get("length", len(whole)))
    try:
        for at in range(0, len(whole), piece):
            body.feed(whole[at : at + piece])
        return body.finish()
    finally:
        body.close()


@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
def test_files_arrive_however_the_body_is_cut(tmp_path: Path, piece: int) -> None:
    files = FILES if piece > 1 else {A: b"abc", B: b"", C: b"d"}
    arrived = take(tmp_path, roxctl.manifest(entries(files)), b"".join(files.values()), piece)
    assert {one.name: one.path.read_bytes() for one in arrived} == files
    for one in arrived:
        data = files[one.name]
        assert (one.size, one.crc32) == (len(data), zlib.crc32(data))
        assert one.sha256 == hashlib.sha256(data).hexdigest()


def test_what_roxctl_takes_for_a_probe_is_one_here_and_nothing_else_is(tmp_path: Path) -> None:
    probes = [A, B, C, "1.2.3/collector-ebpf-5.4.0 beta.o.gz", "1.2.3/collector-0.x..ko.gz"]
    others = [
        "",
        "/",
        A.replace("2.9.0", ".."),
        A.replace("2.9.0", "../2.9.0"),
        A.replace("2.9.0", "2.9"),
        A.replace("2.9.0", "2.9.0/.."),
        A.replace("2.9.0", "0A" * 32),
        A.replace("2.9.0", "٢.٩.٠"),
        A.replace("-1", "/../../../etc/x"),
        A.removesuffix(".gz"),
        "2.9.0/collector-ebpf-6.o.gz",
        "/" + A,
        A + "\n",
    ]
    for name in probes + others:
        assert names.is_probe(name) is (name in probes) is bool(roxctl._PROBE.fullmatch(name)), name
    # roxctl would send these; no kernel is called like this.
    for odd in ("\0", "\n", "\\", "ä", "\x7f", "x" * 256):
        assert not names.is_probe(A.replace("-1", odd))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([("../../etc/passwd", 0, 0)], "is no probe"),
        ([("2.9.0/../../collector-5.4.ko.gz", 0, 0)], "is no probe"),
        ([("/abs/collector-5.4.ko.gz", 0, 0)], "is no probe"),
        ([("", 0, 0)], "is no probe"),
        ([(A.replace("-1", "\x1b[2J"), 0, 0)], "is no probe"),
        ([(A, 0, 0), (A, 0, 0)], "twice"),
        ([(A, -1, 0)], "size of -1"),
        ([(A, 1 << 62, 0)], "stands for"),
        ([(A, 5, 0)], "stands for"),
        ([(A, 3, 0)], "stands for"),
        ([(A, 4, 1)], "CRC-32"),
        ([(A, 2, zlib.crc32(b"ab")), (C, 2, 0)], "CRC-32"),
    ],
)
def test_manifests_that_lie_are_refused(
    tmp_path: Path, files: list[tuple[str, int, int]], words: str
) -> None:
    with pytest.raises(InvalidArgument, match=words) as refused:
        take(tmp_path / "in", roxctl.manifest(files), b"abcd")
    assert str(refused.value).isprintable()
    assert [path for path in tmp_path.rglob("*") if path.parent not in (tmp_path, tmp_path / "in")] == []


def test_swapped_contents_are_found_out(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="CRC-32"):
        take(tmp_path, roxctl.manifest(entries({A: b"one", C: b"two"})), b"twoone")


@pytest.mark.parametrize("length", [-1, 0, manifest.LARGEST + 1, 1 << 62])
def test_lengths_of_manifests_that_cannot_be_are_refused_at_once(tmp_path: Path, length: int) -> None:
    with pytest.raises(InvalidArgument, match="manifestLen"):
        Body(tmp_path, length, 1 << 63)


def test_manifest_longer_than_the_body_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="fewer than its manifest"):
        Body(tmp_path, 101, 100)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    files = {A: b"abc", C: b"defg"}
    head, contents = roxctl.manifest(entries(files)), b"abcdefg"
    whole = len(head) + len(contents)
    for number, end in enumerate(range(whole)):
        with pytest.raises(InvalidArgument):
            take(tmp_path / f"{number}", head[:end], contents[: max(0, end - len(head))], length=whole,
                 manifest_length=len(head))  # fmt: skip
    for wrong in range(1, whole + 1):
        if wrong != len(head):
            with pytest.raises(InvalidArgument):
                take(tmp_path / f"w{wrong}", head, contents, manifest_length=wrong)


def test_more_than_was_announced_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="longer"):
        take(tmp_path, head := roxctl.manifest(entries({A: b"abc"})), b"abcd", length=len(head) + 3)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0b",  # groups are no part of this
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x08\x01",  # field 1, but a number
        b"\x02\x00",  # field 0
        b"\x0a\x02\x0a\xff",
        b"\x0a\x04\x0a\x02\xff\xfe",  # not UTF-8
        b"\x0a\x80\x10" + b"\x00" * 2048,
        b"\x12\x7f",
        b"\x11\x00",
    ],
)
def test_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        manifest.read(data)


def test_fields_of_other_versions_are_passed_over() -> None:
    more = b"\x10\x05" + b"\x1a\x03abc" + b"\x21" + b"\0" * 8 + b"\x2d" + b"\0" * 4
    assert manifest.read(more + roxctl.manifest([(A, 1, 2)]) + more) == (manifest.Entry(A, 1, 2),)


def test_a_manifest_without_files_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="names no files"):
        manifest.read(b"\x10\x05")


def test_random_bytes_are_a_manifest_or_refused() -> None:
    chance = random.Random(4)
    good = bytearray(roxctl.manifest([(A, 1, 2), (C, 3, 4)]))
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with suppress(InvalidArgument):
            manifest.read(bytes(data))


def test_millions_of_empty_entries_cost_nothing() -> None:
    data = b"\x0a\x00" * (manifest.LARGEST // 2)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgument):
            manifest.read(data)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MOST", 3)
    names_of = [f"1.2.3/collector-5.{number}.ko.gz" for number in range(4)]
    assert len(manifest.read(roxctl.manifest([(name, 0, 0) for name in names_of[:3]]))) == 3
    with pytest.raises(InvalidArgument, match="more than 3"):
        manifest.read(roxctl.manifest([(name, 0, 0) for name in names_of]))
