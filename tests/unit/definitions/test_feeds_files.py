"""A source's files are read within limits, and nothing in them is trusted."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import random
import struct
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.definitions.feeds import unpack
from redoubt.definitions.feeds.files import Files, Limits
from redoubt.errors import LimitExceeded, UnreadableInput
from support.feeds import write_zip

MEMBERS = {"a.json": b'{"a": 1}', "b/c.json": b"[]" * 500, "readme.txt": b"not read", "d.json": b""}


def members(path: Path, limits: Limits | None = None) -> dict[str, bytes]:
    return dict(Files([(path.name, path)], limits).members())


def content(path: Path, limits: Limits | None = None) -> bytes:
    [(_, data)] = Files([(path.name, path)], limits).contents()
    return data


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_a_zip_are_read_by_their_suffix(tmp_path: Path, compression: int) -> None:
    path = write_zip(tmp_path / "all.zip", MEMBERS, compression=compression)
    assert members(path) == {name: data for name, data in MEMBERS.items() if name.endswith(".json")}


def test_zip64_and_streamed_zips_are_read(tmp_path: Path) -> None:
    class OneWay(io.RawIOBase):
        """A file that cannot seek makes zipfile write sizes behind the data."""

        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, piece: object) -> int:
            self.data += bytes(piece)  # type: ignore[call-overload]
            return len(bytes(piece))  # type: ignore[call-overload]

    out = OneWay()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a.json", "w", force_zip64=True) as member:
            member.write(b"[1]")
        archive.comment = b"a comment behind the directory"
    path = tmp_path / "all.zip"
    path.write_bytes(out.data)
    assert members(path) == {"a.json": b"[1]"}


def test_more_members_than_a_plain_zip_can_count_are_read(tmp_path: Path) -> None:
    data = write_zip(tmp_path / "all.zip", {"a.json": b"[]"}).read_bytes()
    at, end, count = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06"), 66_000
    directory = data[at:end] * count
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), at)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at + len(directory), 1)
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (tmp_path / "all.zip").write_bytes(data[:at] + directory + end64 + locator + tail)
    files = Files([("all.zip", tmp_path / "all.zip")])
    assert sum(1 for _ in files.members()) == count


def test_digest_is_of_the_content_and_not_of_the_packing(tmp_path: Path) -> None:
    digests = set()
    for number, compression in enumerate((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)):
        for order in (MEMBERS, dict(reversed(MEMBERS.items()))):
            path = write_zip(tmp_path / f"{number}{next(iter(order))}.zip", order, compression=compression)
            files = Files([("all.zip", path)])
            assert sum(1 for _ in files.members()) == 3
            digests.add(files.digest)
    plain, packed = tmp_path / "x", tmp_path / "x.gz"
    plain.write_bytes(b"same")
    packed.write_bytes(gzip.compress(b"same"))
    for path in (plain, packed):
        files = Files([("x", path)])
        assert [data for _, data in files.contents()] == [b"same"]
        digests.add(files.digest)
    assert len(digests) == 2
    assert all(digest.startswith("sha256:") for digest in digests)


def test_gzip_is_recognised_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "tracker.json"
    path.write_bytes(gzip.compress(b"{}" * 100_000))
    assert content(path) == b"{}" * 100_000


def test_bombs_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bomb.zip", {f"{n}.json": bytes(4 << 20) for n in range(4)})
    with pytest.raises(LimitExceeded, match="expands more than 100 times"):
        members(path, Limits(ratio_from=1 << 20))
    with pytest.raises(LimitExceeded, match="unpacks to more than"):
        members(path, Limits(content=5 << 20))
    with pytest.raises(LimitExceeded, match="a member of more than"):
        members(path, Limits(member=1 << 20))
    with pytest.raises(LimitExceeded, match="more than 3 members"):
        members(path, Limits(members=3))
    with pytest.raises(LimitExceeded, match="larger than 100 bytes"):
        members(path, Limits(file=100))
    packed = tmp_path / "bomb.gz"
    packed.write_bytes(gzip.compress(bytes(8 << 20)))
    with pytest.raises(LimitExceeded, match="inflates to over"):
        content(packed, Limits(plain=1 << 20))
    with pytest.raises(LimitExceeded, match="expands more than"):
        content(packed, Limits(ratio_from=1 << 20))


def test_a_member_that_is_larger_than_it_says_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "all.zip", {"a.json": bytes(1000)})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<L", 10)
    path.write_bytes(data)
    with pytest.raises(UnreadableInput, match="does not match"):
        members(path)


def test_overlapping_members_count_in_full(tmp_path: Path) -> None:
    """Many directory entries that share one member's bytes: small on disk, large when read."""
    path = write_zip(tmp_path / "all.zip", {"a.json": random.Random(1).randbytes(1 << 16)})
    data = path.read_bytes()
    at, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry, count = data[at:end], 3000
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(entry) * count, at, 0)
    path.write_bytes(data[:at] + entry * count + tail)
    with pytest.raises(LimitExceeded, match="unpacks to more than"):
        members(path, Limits(content=16 << 20))


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"not a zip", b"PK\x05\x06" + bytes(18), b"\x1f\x8b", b"\x1f\x8b\x08" + bytes(40)]
)
def test_what_is_no_archive_is_an_error_or_empty(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "all.zip"
    path.write_bytes(data)
    if data.startswith(b"PK\x05\x06"):
        assert members(path) == {}  # an archive of nothing
    else:
        with pytest.raises(UnreadableInput):
            members(path)
    if not data or data[:2] == b"\x1f\x8b":
        with pytest.raises(UnreadableInput):
            content(path)


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "all.zip", {"a.json": b"[]"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(UnreadableInput, match="encrypted"):
        members(path)


def test_something_behind_a_gzip_stream_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"x") + b"hidden")
    with pytest.raises(UnreadableInput, match="behind"):
        content(path)


def test_a_file_that_is_cut_short_meanwhile_does_not_kill_the_build(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "all.zip", {f"{n}.json": bytes(50_000) for n in range(4)}, compression=0)
    reading = Files([("all.zip", path)]).members()
    assert next(reading)[0] == "0.json"
    path.write_bytes(b"")
    assert [name for name, _ in reading] == ["1.json", "2.json", "3.json"]


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"gone\.zip cannot be read"):
        members(tmp_path / "gone.zip")


ZIP = io.BytesIO()
with zipfile.ZipFile(ZIP, "w", zipfile.ZIP_DEFLATED) as _archive:
    for _name, _data in MEMBERS.items():
        _archive.writestr(_name, _data)


@settings(max_examples=150, deadline=None)
@given(
    cut=st.integers(min_value=0, max_value=len(ZIP.getvalue())),
    flips=st.lists(st.tuples(st.integers(min_value=0), st.integers(min_value=0, max_value=255)), max_size=3),
)
def test_damage_gives_the_right_bytes_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(ZIP.getvalue()[: cut or None])
    for at, value in flips:
        data[at % len(data)] = value
    path = tmp_path_factory.mktemp("damage") / "all.zip"
    path.write_bytes(data)
    try:
        found = members(path)
    except UnreadableInput:
        return
    assert set(found.values()) <= set(MEMBERS.values())


PACKED = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}


def streamed(path: Path, limits: Limits | None = None) -> bytes:
    return b"".join(chunk for _, chunks in Files([(path.name, path)], limits).pieces() for chunk in chunks)


@pytest.mark.parametrize("kind", PACKED)
def test_a_stream_is_unpacked_by_its_first_bytes_and_hashed_as_it_is(tmp_path: Path, kind: str) -> None:
    data = random.Random(1).randbytes(700_000) + b"<a/>" * 100_000
    path = tmp_path / "x.xml"
    path.write_bytes(PACKED[kind](data))
    files = Files([("x.xml", path)])
    [(_, chunks)] = [(name, list(chunks)) for name, chunks in files.pieces()]
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) <= unpack.CHUNK
    (tmp_path / "plain").write_bytes(data)
    plain = Files([("x.xml", tmp_path / "plain")])
    assert [whole for _, whole in plain.contents()] == [data]
    assert files.digest == plain.digest


@pytest.mark.parametrize("kind", ["bzip2", "xz", "gzip", "zstd"])
def test_streams_behind_each_other_are_one(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.xml"
    path.write_bytes(PACKED[kind](b"one ") + PACKED[kind](b"and two"))
    assert streamed(path) == b"one and two"


def test_a_stream_that_is_not_taken_counts_in_the_digest_all_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bz2.compress(name.encode() * 100_000))
    files = [Files([(name, tmp_path / name) for name in ("a", "b")]) for _ in range(2)]
    assert [name for name, _ in files[0].pieces()] == ["a", "b"]
    assert [sum(map(len, chunks)) for _, chunks in files[1].pieces()] == [100_000, 100_000]
    assert files[0].digest == files[1].digest


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_a_stream_that_is_cut_or_damaged_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.xml"
    whole = PACKED[kind](random.Random(2).randbytes(100_000))
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    for data in (whole[: len(whole) // 2], whole[:-1], bytes(damaged)):
        path.write_bytes(data)
        with pytest.raises(UnreadableInput, match=r"x\.xml is damaged"):
            streamed(path)


@pytest.mark.parametrize("kind", PACKED)
def test_a_stream_that_grows_without_end_is_refused_where_its_limit_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.xml"
    path.write_bytes(PACKED[kind](bytes(8 << 20)))
    with pytest.raises(LimitExceeded, match="unpacks to over 1048576 bytes"):
        streamed(path, Limits(streamed=1 << 20))
    assert len(streamed(path)) == 8 << 20


@settings(max_examples=100)
@given(st.sampled_from(sorted(PACKED)), st.binary(max_size=40), st.binary(max_size=20))
def test_any_bytes_are_unpacked_or_refused(kind: str, data: bytes, tail: bytes) -> None:
    with contextlib.suppress(UnreadableInput):
        b"".join(unpack.chunks("x", io.BytesIO(PACKED[kind](data)[:-2] + tail)))
