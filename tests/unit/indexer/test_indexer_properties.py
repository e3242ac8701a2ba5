"""Archives and streams of random form, read as the standard library and the reference libraries read them."""

from __future__ import annotations

import gzip
import io
import posixpath
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from indexing import Recorder

from redoubt.definitions.feeds import unpack
from redoubt.definitions.feeds.files import Files
from redoubt.errors import UnreadableInput
from redoubt.indexer import inflate
from redoubt.indexer.catalogers.interface import MemoryContent
from redoubt.indexer.catalogers.ziparchive import ZipArchive
from redoubt.indexer.inflate import inflater
from redoubt.indexer.limits import LayerRefused, Limits
from redoubt.indexer.tar import walk

names = st.text(st.sampled_from("abé/._-\N{SNOWMAN}"), min_size=1, max_size=30).filter(
    lambda s: s.strip("./") == s
)
contents = st.one_of(st.binary(max_size=300), st.integers(0, 70_000).map(lambda size: b"ab" * size))


class _Unseekable(io.BytesIO):
    """What makes ``zipfile`` write sizes after the data, and not before it."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: object) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation


@st.composite
def zips(draw: st.DrawFn) -> tuple[bytes, dict[str, bytes]]:
    """An archive, perhaps behind something else, and what it says last of each name."""
    out = _Unseekable() if (streamed := draw(st.booleans())) else io.BytesIO()
    if not streamed:
        out.write(draw(st.sampled_from([b"", b"#!/bin/sh\nexec java\n", b"PK\3\4", b"x" * 5000])))
    members: dict[str, bytes] = {}
    with zipfile.ZipFile(out, "a" if out.getvalue() else "w") as archive:
        for name, data in draw(
            st.lists(st.tuples(names, contents), max_size=6, unique_by=lambda item: item[0])
        ):
            info = zipfile.ZipInfo(name)
            info.compress_type = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
            info.comment = draw(st.sampled_from([b"", b"c" * 40]))
            info.extra = draw(st.sampled_from([b"", b"\xca\xfe\0\0", b"\x55\x54\5\0\3\0\0\0\0"]))
            with archive.open(info, "w", force_zip64=draw(st.booleans())) as file:
                file.write(data)
            members[name] = data
        archive.comment = draw(st.sampled_from([b"", b"a comment", b"PK\5\6" * 30]))
    return out.getvalue(), members


@settings(max_examples=60, deadline=None)
@given(zips())
def test_random_zips_are_read_as_they_were_written(made: tuple[bytes, dict[str, bytes]]) -> None:
    data, members = made
    archive = ZipArchive(MemoryContent(data))
    read = {}
    for member in archive.members(lambda name: True):
        whole = archive.read(member, 1 << 20)
        with archive.open(member) as content:
            assert content.all() == whole
        assert archive.read(member, 10) == whole[:10]
        read[member.name.decode()] = whole
    assert read == members


@settings(max_examples=60, deadline=None)
@given(zips())
def test_feeds_read_random_zips_too(
    tmp_path_factory: pytest.TempPathFactory, made: tuple[bytes, dict[str, bytes]]
) -> None:
    data, members = made
    place = tmp_path_factory.mktemp("zip") / "all.zip"
    place.write_bytes(data)
    if not data.startswith(b"PK") or data.startswith(b"PK\3\4PK"):
        return  # what upstreams publish has nothing in front of it, and that is refused
    if data.count(b"PK\5\6") > 1:
        return  # nor a comment that looks like the end of a zip
    assert dict(Files([("all.zip", place)]).members("")) == members


class _Slow(io.BytesIO):
    """A file that gives little at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


@st.composite
def gzip_members(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A stream of members with any of RFC 1952's fields, and what it unpacks to."""
    stored, plain = b"", b""
    for data in draw(st.lists(contents, min_size=1, max_size=5)):
        deflate = zlib.compressobj(draw(st.integers(0, 9)), zlib.DEFLATED, -15)
        flags, fields = 0, b""
        if draw(st.booleans()):
            extra = draw(st.binary(max_size=300))
            flags, fields = flags | 4, fields + struct.pack("<H", len(extra)) + extra
        for flag in (8, 16):
            if draw(st.booleans()):
                flags, fields = (
                    flags | flag,
                    fields + draw(st.binary(max_size=40)).replace(b"\0", b"") + b"\0",
                )
        head = b"\x1f\x8b\x08" + bytes((flags,)) + b"\0\0\0\0\0\xff" + fields
        if draw(st.booleans()):
            head = b"\x1f\x8b\x08" + bytes((flags | 2,)) + b"\0\0\0\0\0\xff" + fields
            head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
        stored += head + deflate.compress(data) + deflate.flush()
        stored += struct.pack("<2I", zlib.crc32(data), len(data))
        plain += data
    return stored, plain


@st.composite
def zstd_frames(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Frames with and without size and checksum, skippable ones between them, and what they unpack to."""
    stored, plain = b"", b""
    for data in draw(st.lists(contents, min_size=1, max_size=5)):
        compressor = zstandard.ZstdCompressor(
            level=draw(st.sampled_from([-5, 1, 3, 19])),
            write_checksum=draw(st.booleans()),
            write_content_size=draw(st.booleans()),
        )
        if draw(st.booleans()):
            skipped = draw(st.binary(max_size=50))
            stored += (
                bytes((0x50 + draw(st.integers(0, 15)),)) + b"\x2a\x4d\x18" + struct.pack("<I", len(skipped))
            )
            stored += skipped
        stored += compressor.compress(data)
        plain += data
    return stored, plain


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def unpacked(stored: bytes, size: int) -> bytes:
    inflate_all = inflater(stored[:512])
    assert inflate_all is not None
    return b"".join(inflate_all(chunks(stored, size)))


@settings(max_examples=60, deadline=None)
@given(gzip_members(), st.integers(1, 3000), st.booleans())
def test_random_gzip_streams_unpack_as_gzip_unpacks_them(
    made: tuple[bytes, bytes], size: int, isal: bool
) -> None:
    stored, plain = made
    assert gzip.decompress(stored) == plain
    with pytest.MonkeyPatch.context() as patch:
        if not isal:
            patch.setattr(inflate, "igzip_lib", None)
        assert unpacked(stored, max(size, len(stored) // 500)) == plain
    assert b"".join(unpack.chunks("x", _Slow(stored, max(size, 8, len(stored) // 500)))) == plain


@settings(max_examples=40, deadline=None)
@given(zstd_frames(), st.integers(1, 3000))
def test_random_zstd_streams_unpack_frame_by_frame(made: tuple[bytes, bytes], size: int) -> None:
    stored, plain = made
    assert unpacked(stored, max(size, len(stored) // 500)) == plain


@settings(max_examples=60, deadline=None)
@given(st.one_of(gzip_members(), zstd_frames()), st.data())
def test_a_stream_that_is_cut_gives_a_beginning_or_is_refused(
    made: tuple[bytes, bytes], data: st.DataObject
) -> None:
    stored, plain = made
    cut = stored[: data.draw(st.integers(4, len(stored)))]
    got = b""
    try:
        inflate_all = inflater(cut[:512])
        assert inflate_all is not None
        for piece in inflate_all(chunks(cut, 1000)):
            got += piece
    except LayerRefused:
        pass
    assert plain.startswith(got)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            names,
            st.binary(max_size=600),
            st.dictionaries(st.sampled_from(["path", "comment", "SCHILY.xattr.a"]), names),
        ),
        max_size=5,
    ),
    st.dictionaries(st.sampled_from(["comment", "mtime"]), st.sampled_from(["1", "22.5"])),
    st.integers(1, 2000),
)
def test_pax_records_say_what_they_say_to_the_standard_library(
    members: list[tuple[str, bytes, dict[str, str]]], everywhere: dict[str, str], size: int
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.PAX_FORMAT, pax_headers=everywhere) as tar:
        for name, data, headers in members:
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(data), dict(headers)
            tar.addfile(info, io.BytesIO(data))
    if not members:
        return  # the standard library reads no archive of global records alone
    recorder = Recorder()
    walk(chunks(out.getvalue(), size), recorder, Limits())
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        expected = [(one.name, (tar.extractfile(one) or io.BytesIO()).read()) for one in tar]
    assert [(row[1].decode(), row[2]) for row in recorder.seen if row[0] == "regular"] == [
        (posixpath.normpath(f"/{name}").lstrip("/"), data) for name, data in expected
    ]


@settings(max_examples=50, deadline=None)
@given(zips(), st.data())
def test_a_zip_that_is_altered_is_read_or_damaged(
    made: tuple[bytes, dict[str, bytes]], data: st.DataObject
) -> None:
    altered = bytearray(made[0])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(max(0, len(altered) - 400), len(altered) - 1))
        altered[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    try:
        archive = ZipArchive(MemoryContent(bytes(altered)))
        for member in archive.members(lambda name: True):
            assert len(archive.read(member, 1 << 20)) <= 1 << 20
    except UnreadableInput:
        pass
