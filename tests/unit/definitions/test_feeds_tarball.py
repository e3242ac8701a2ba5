"""Tars of advisories are streamed within limits, and nothing in them is trusted."""

from __future__ import annotations

import gzip
import io
import lzma
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from redoubt.definitions.feeds.files import Files, Limits
from redoubt.errors import LimitExceeded, UnreadableInput

MEMBERS = {
    "2099/cve-2099-0001.json": b'{"a": 1}',
    "d/" * 90 + "deep.json": b"[]" * 5000,
    "readme.txt": b"not read" * 400,
    "empty.json": b"",
    "bäume.json": b"{}",
}
WANTED = {name: data for name, data in MEMBERS.items() if name.endswith(".json")}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip in two members": lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
    "zstd": zstandard.compress,
    "zstd in two frames": lambda data: zstandard.compress(data[:700]) + zstandard.compress(data[700:]),
    "xz": lzma.compress,
    "xz in two streams": lambda data: lzma.compress(data[:700]) + bytes(8) + lzma.compress(data[700:]),
}


def tar(contents: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def read(path: Path, data: bytes, limits: Limits | None = None) -> dict[str, bytes]:
    path.write_bytes(data)
    return dict(Files([(path.name, path)], limits).tar_members())


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_read_by_their_suffix_however_the_tar_is_packed(
    tmp_path: Path, packing: str, form: int
) -> None:
    assert read(tmp_path / "all.tar", PACKINGS[packing](tar(MEMBERS, form))) == WANTED


def test_digest_is_of_the_content_and_not_of_the_packing(tmp_path: Path) -> None:
    digests = set()
    path = tmp_path / "all.tar"
    for contents in (MEMBERS, dict(reversed(MEMBERS.items()))):
        for packing in PACKINGS.values():
            path.write_bytes(packing(tar(contents)))
            files = Files([("all.tar", path)])
            assert len(list(files.tar_members())) == len(WANTED)
            digests.add(files.digest)
    assert len(digests) == 1
    path.write_bytes(tar({**MEMBERS, "empty.json": b"1"}))
    changed = Files([("all.tar", path)])
    assert list(changed.tar_members())
    assert changed.digest not in digests


def test_only_regular_files_are_members(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind in (
            ("link.json", tarfile.SYMTYPE),
            ("hard.json", tarfile.LNKTYPE),
            ("x.json", tarfile.DIRTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "a.json"
            archive.addfile(member)
        member = tarfile.TarInfo("a.json")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"[]"))
    assert read(tmp_path / "all.tar", out.getvalue()) == {"a.json": b"[]"}


def test_a_size_that_octal_cannot_write_is_read(tmp_path: Path) -> None:
    data = bytearray(tar({"a.json": b"[1]"}, tarfile.GNU_FORMAT))
    data[124:136] = b"\x80" + (3).to_bytes(11, "big")
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    assert read(tmp_path / "all.tar", bytes(data)) == {"a.json": b"[1]"}


@pytest.mark.parametrize("packing", PACKINGS)
def test_what_is_cut_short_is_refused(tmp_path: Path, packing: str) -> None:
    data = tar(MEMBERS)[: 40 << 9].rstrip(b"\0") + bytes(1024)  # no more of its end than it must have
    data = PACKINGS[packing](data)
    for cut in {len(data) // 3, len(data) // 2, len(data) - (1020 if packing == "plain" else 30)}:
        with pytest.raises(UnreadableInput):
            read(tmp_path / "all.tar", data[:cut])


def test_bombs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar"
    data = zstandard.compress(tar({f"{n}.json": bytes(4 << 20) for n in range(4)}))
    for limits, message in (
        (Limits(ratio_from=1 << 20), "expands more than 100 times"),
        (Limits(content=5 << 20), "unpacks to more than"),
        (Limits(member=1 << 20), "a member of more than"),
        (Limits(members=3, ratio=10**6), "more than 3 members"),
        (Limits(file=100), "larger than 100 bytes"),
    ):
        with pytest.raises(LimitExceeded, match=message):
            read(path, data, limits)
    with pytest.raises(LimitExceeded, match="expands more than"):  # skipped is unpacked all the same
        read(path, zstandard.compress(tar({"a.bin": bytes(64 << 20)})))


def test_descriptions_without_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "all.tar"
    header = bytearray(tar({"x" * 200: b""}, tarfile.GNU_FORMAT)[:1024])
    assert header[156:157] == b"L"
    with pytest.raises(LimitExceeded, match="absurd length"):
        read(path, bytes(header) * 100)
    with pytest.raises(LimitExceeded, match="absurd length"):
        read(path, tar({"x" * 70_000: b""}))


def test_hostile_bytes_are_refused_with_our_errors(tmp_path: Path) -> None:
    chance = random.Random(7)
    path = tmp_path / "all.tar"
    refused = 0
    for packing in PACKINGS.values():
        whole = packing(tar(MEMBERS))
        for _ in range(60):
            data = bytearray(whole)
            for _ in range(chance.randrange(1, 6)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            try:
                read(path, bytes(data))
            except (UnreadableInput, LimitExceeded):
                refused += 1
    assert refused > 150


def test_some_of_a_sources_files_can_be_chosen_and_count_for_its_digest(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"1,2")
    (tmp_path / "b.json").write_bytes(b"{}")
    files = Files([("x/a.csv", tmp_path / "a.csv"), ("x/b.json", tmp_path / "b.json")])
    assert files.matching("x/*.csv").names == ("x/a.csv",)
    before = files.digest
    assert dict(files.matching("*.csv").contents()) == {"x/a.csv": b"1,2"}
    assert files.digest != before
