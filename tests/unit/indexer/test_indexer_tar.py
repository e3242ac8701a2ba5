"""The walker against the standard library's tarfile, and against archives that lie."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indexing import Recorder, in_chunks

from redoubt.indexer.limits import LayerRefused, Limits
from redoubt.indexer.tar import clean, number, walk
from redoubt.model import ProblemKind

FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)


def seen(data: bytes, size: int = 1 << 20, limits: Limits | None = None) -> list[tuple[object, ...]]:
    recorder = Recorder()
    walk(in_chunks(data, size), recorder, limits or Limits())
    return recorder.seen


def archive(*members: tuple[tarfile.TarInfo, bytes], tar_format: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def header(name: bytes = b"file", size: bytes = b"%011o\0" % 0, kind: bytes = b"0", **at: bytes) -> bytes:
    """A header with a right checksum; ``at`` places bytes, as ``at_257=b"ustar"``."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124:136] = size
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    for place, value in at.items():
        start = int(place.removeprefix("at_"))
        block[start : start + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


END = bytes(1024)
pieces = st.text(st.sampled_from("abcdé.-_ "), min_size=1, max_size=60).filter(lambda s: s.strip(". ") == s)
paths = st.lists(pieces, min_size=1, max_size=6).map("/".join)


@st.composite
def random_members(draw: st.DrawFn) -> tuple[tarfile.TarInfo, bytes]:
    kind = draw(
        st.sampled_from(
            [tarfile.REGTYPE] * 4 + [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
        )
    )
    info = tarfile.TarInfo(draw(st.sampled_from(["", "./", "/"])) + draw(paths))
    info.type = kind
    info.mode = draw(st.sampled_from([0o644, 0o755, 0o4711, 0o600]))
    if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        info.linkname = draw(paths)
    data = draw(st.binary(max_size=1500)) if kind == tarfile.REGTYPE else b""
    info.size = len(data)
    return info, data


def as_stdlib_reads(data: bytes) -> list[tuple[object, ...]]:
    """The same list as ``Recorder`` makes, from the standard library's reading."""
    rows: list[tuple[object, ...]] = []
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as tar:
        for info in tar:
            path = clean(info.name.encode("utf-8", "surrogateescape"))
            if info.isreg():
                file = tar.extractfile(info)
                assert file is not None
                rows.append(("regular", path, file.read(), bool(info.mode & 0o111)))
            elif info.isdir():
                rows.append(("directory", path))
            elif info.issym():
                rows.append(("symlink", path, info.linkname.encode()))
            elif info.islnk():
                rows.append(("hardlink", path, clean(info.linkname.encode())))
            else:
                rows.append(("special", path))
    return rows


@settings(max_examples=150, deadline=None)
@given(st.lists(random_members(), max_size=8), st.sampled_from(FORMATS), st.integers(1, 2000))
def test_random_archives_read_as_the_standard_library_reads_them(
    members: list[tuple[tarfile.TarInfo, bytes]], tar_format: int, size: int
) -> None:
    try:
        data = archive(*members, tar_format=tar_format)
    except ValueError:  # ustar can't hold every name
        data = archive(*members, tar_format=tarfile.GNU_FORMAT)
    assert seen(data, size) == as_stdlib_reads(data)


def test_a_byte_at_a_time_gives_what_the_whole_gives() -> None:
    data = archive(
        member("a/" * 80 + "long", b"x" * 700, mode=0o755),
        member("link", type=tarfile.SYMTYPE, linkname="t" * 200),
        member("last", b"y"),
    )
    assert seen(data, 1) == seen(data) == as_stdlib_reads(data)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_mutated_archive_is_read_or_refused_and_never_anything_else(data: st.DataObject) -> None:
    tar = bytearray(
        archive(
            member("d", type=tarfile.DIRTYPE),
            member("d/" + "n" * 150, b"x" * 600),
            member("é" * 70, b"y" * 10),
            tar_format=data.draw(st.sampled_from(FORMATS[1:])),
        )
    )
    for _ in range(data.draw(st.integers(1, 6))):
        tar[data.draw(st.integers(0, len(tar) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(tar)))
    outcomes = []
    for size in (len(tar), 7):
        recorder = Recorder()
        try:
            walk(in_chunks(bytes(tar[:cut]), size), recorder, Limits())
            outcomes.append((recorder.seen, None))
        except LayerRefused as refused:
            outcomes.append((recorder.seen, str(refused)))
    assert outcomes[0] == outcomes[1]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=512), st.binary(max_size=1100))
def test_a_header_of_random_bytes_with_a_right_checksum_is_read_or_refused(noise: bytes, body: bytes) -> None:
    block = header(at_0=noise[:148], at_156=noise[156:])[:512]
    kind = None
    try:
        seen(block + body)
    except LayerRefused as refused:
        kind = refused.kind
    assert kind in (None, ProblemKind.DAMAGED, ProblemKind.LIMIT)


@pytest.mark.parametrize(
    ("path", "result"),
    [
        (b"./a", b"a"),
        (b"/a//b/", b"a/b"),
        (b"a/./b", b"a/b"),
        (b"a/../b", b"b"),
        (b"./", b""),
        (b"a/b/../..", b""),
    ],
)
def test_paths_are_normalised(path: bytes, result: bytes) -> None:
    assert clean(path) == result


@pytest.mark.parametrize("path", [b"../x", b"a/../../x", b"/..", b"./../x"])
def test_a_path_out_of_the_root_is_refused_and_the_rest_is_read(path: bytes) -> None:
    data = header(path) + header(b"after") + END
    assert seen(data) == [("refused", ProblemKind.HOSTILE, path), ("regular", b"after", b"", False)]


def test_a_hard_link_out_of_the_root_is_refused() -> None:
    assert seen(header(b"h", kind=b"1", at_157=b"../../etc/shadow") + END) == [
        ("refused", ProblemKind.HOSTILE, b"h")
    ]


def test_a_file_in_place_of_the_root_is_refused() -> None:
    assert seen(header(b"./") + END) == [("refused", ProblemKind.HOSTILE, b"./")]


def test_a_path_over_the_limit_is_refused_and_its_bytes_passed_over() -> None:
    data = archive(member("a/" * 3000 + "f", b"x" * 999), member("after"))
    rows = seen(data)
    assert rows[0][:2] == ("refused", ProblemKind.LIMIT)
    assert rows[1] == ("regular", b"after", b"", False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b"   644 \0", 0o644),
        (b"100755 \0", 0o100755),
        (b"\0" * 8, 0),
        (b"77777777", 0o77777777),
        (b"\x80\0\0\0\0\0\x01\0", 256),
    ],
)
def test_numbers_are_octal_or_base_256(field: bytes, value: int) -> None:
    assert number(field) == value


@pytest.mark.parametrize(
    "field", [b"-0000001", b"0000008\0", b"0o17\0\0\0\0", b"1_0\0\0\0\0\0", b"\xff" * 8, b"\xc0" + b"\0" * 7]
)
def test_impossible_numbers_are_damage(field: bytes) -> None:
    with pytest.raises(LayerRefused):
        number(field)


def test_a_size_in_base_256_is_read() -> None:
    data = header(size=b"\x80" + (700).to_bytes(11, "big")) + padded(b"x" * 700) + header(b"after") + END
    assert seen(data) == [("regular", b"file", b"x" * 700, False), ("regular", b"after", b"", False)]


def test_a_size_of_twelve_digits_is_read() -> None:
    data = header(size=b"%012o" % 5) + padded(b"hello") + END
    assert seen(data) == [("regular", b"file", b"hello", False)]


@pytest.mark.parametrize("size", [b"7" * 11 + b"\0", b"\xbf" + b"\xff" * 11, b"\x80" + b"\x0f" * 11])
def test_a_size_far_beyond_the_archive_is_damage(size: bytes) -> None:
    with pytest.raises(LayerRefused) as refused:
        seen(header(size=size) + b"x" * 100)
    assert refused.value.kind == ProblemKind.DAMAGED


def test_a_wrong_checksum_is_damage() -> None:
    block = bytearray(header())
    block[0] ^= 1
    with pytest.raises(LayerRefused, match="checksum"):
        seen(bytes(block) + END)


def test_a_signed_checksum_of_old_tars_is_taken() -> None:
    block = bytearray(header("é".encode()))
    rest = bytes(block[:148]) + b" " * 8 + bytes(block[156:])
    block[148:156] = b"%06o\0 " % sum(byte - 256 if byte > 127 else byte for byte in rest)
    assert seen(bytes(block) + END) == [("regular", "é".encode(), b"", False)]


def test_a_checksum_written_in_other_styles_is_taken() -> None:
    for style in (b"%07o\0", b"%6o\0 ", b"%06o \0"):
        block = bytearray(header())
        rest = bytes(block[:148]) + b" " * 8 + bytes(block[156:])
        block[148:156] = style % sum(rest)
        assert seen(bytes(block) + END) == [("regular", b"file", b"", False)]


def test_ustar_prefix_is_joined_and_gnu_times_in_its_place_are_not() -> None:
    ustar = header(b"name", at_345=b"some/folder")
    gnu = header(b"name", at_257=b"ustar  \0", at_345=b"14000000000\0")
    star = header(b"name", at_345=b"p" * 131 + b"1" * 11, at_508=b"tar\0")
    names = [row[1] for row in seen(ustar + gnu + star + END)]
    assert names == [b"some/folder/name", b"name", b"p" * 131 + b"/name"]


def test_the_archive_ends_at_two_zero_blocks_or_where_its_bytes_end() -> None:
    assert seen(header() + END + b"anything") == seen(header()) == seen(header() + bytes(512))


def test_a_lone_zero_block_is_damage() -> None:
    with pytest.raises(LayerRefused, match="lone"):
        seen(header() + bytes(512) + header(b"hidden") + END)


@pytest.mark.parametrize("cut", [100, 511, 513, 1200])
def test_an_archive_cut_short_is_damage(cut: int) -> None:
    data = archive(member("big", b"x" * 900))
    with pytest.raises(LayerRefused, match="ends inside"):
        seen(data[:cut])


def test_an_empty_archive_has_nothing() -> None:
    assert seen(b"") == seen(END) == []


def test_a_pax_path_link_and_size_hold_for_one_member() -> None:
    def record(key: bytes, value: bytes) -> bytes:
        body = b" " + key + b"=" + value + b"\n"
        length = len(body) + 2
        return b"%d" % length + body

    body = record(b"path", b"wanted/name") + record(b"size", b"5") + record(b"mtime", b"1.5")
    data = header(b"pax", size=b"%011o\0" % len(body), kind=b"x") + padded(body)
    data += header(b"short", size=b"%011o\0" % 0) + padded(b"hello") + header(b"after") + END
    assert seen(data) == [("regular", b"wanted/name", b"hello", False), ("regular", b"after", b"", False)]


def test_a_global_pax_header_holds_until_taken_back() -> None:
    def global_(body: bytes) -> bytes:
        return header(b"g", size=b"%011o\0" % len(body), kind=b"g") + padded(body)

    data = (
        global_(b"14 path=every\n") + header(b"a") + header(b"b") + global_(b"8 path=\n") + header(b"c") + END
    )
    assert [row[1] for row in seen(data)] == [b"every", b"every", b"c"]


@pytest.mark.parametrize(
    "body",
    [
        b"no records",
        b"5 path=x\n",
        b"99 path=x\n",
        b"-9 path=x\n",
        b"11 path=x\n",
        b"9 pathxx\n",
        b"10 path=\0\n\n",
        b"0 \n",
        b"9 size=x\n",
    ],
)
def test_a_pax_header_that_lies_is_damage(body: bytes) -> None:
    with pytest.raises(LayerRefused):
        seen(header(b"pax", size=b"%011o\0" % len(body), kind=b"x") + padded(body) + header() + END)


def test_an_extension_header_over_the_limit_is_not_read() -> None:
    for kind in (b"x", b"g", b"L", b"K"):
        with pytest.raises(LayerRefused) as refused:
            seen(header(size=b"%011o\0" % (2 << 20), kind=kind) + bytes(2 << 20) + END)
        assert refused.value.kind == ProblemKind.LIMIT


def test_members_over_the_limit_end_the_walk() -> None:
    data = header() * 11 + END
    assert len(seen(data, limits=Limits(members=12))) == 11
    with pytest.raises(LayerRefused) as refused:
        seen(data, limits=Limits(members=11))
    assert refused.value.kind == ProblemKind.LIMIT


def test_sparse_members_of_every_kind_are_passed_over() -> None:
    old = header(b"old", kind=b"S", size=b"%011o\0" % 600, at_482=b"\1")
    old += bytes(504) + b"\1" + bytes(7) + bytes(512) + padded(b"x" * 600)
    pax = b""
    for version in (
        b"30 GNU.sparse.name=sparse/real\n",
        b"22 GNU.sparse.size=10\n" + b"30 GNU.sparse.name=sparse/real\n",
    ):
        fixed = version.replace(b"30 GNU.sparse.name", b"31 GNU.sparse.name")
        pax += header(b"p", size=b"%011o\0" % len(fixed), kind=b"x") + padded(fixed)
        pax += header(b"GNUSparseFile.0/real", size=b"%011o\0" % 600) + padded(b"y" * 600)
    assert seen(old + pax + header(b"after") + END) == [
        ("sparse", b"old"),
        ("sparse", b"sparse/real"),
        ("sparse", b"sparse/real"),
        ("regular", b"after", b"", False),
    ]


def test_whiteouts_are_shown_as_folder_and_name() -> None:
    rows = seen(header(b"a/b/.wh.gone") + header(b".wh.top") + header(b"a/.wh..wh..opq") + END)
    assert rows == [("whiteout", b"a/b", b"gone"), ("whiteout", b"", b"top"), ("whiteout", b"a", b".wh..opq")]


def test_links_and_folders_with_a_size_have_no_data() -> None:
    for kind, row in ((b"5", "directory"), (b"2", "symlink"), (b"1", "hardlink"), (b"6", "special")):
        rows = seen(header(b"m", size=b"%011o\0" % 512, kind=kind) + header(b"after") + END)
        assert [rows[0][0], rows[1][1]] == [row, b"after"]


def test_an_old_archive_marks_a_folder_by_its_slash() -> None:
    assert seen(header(b"folder/", kind=b"\0", at_257=bytes(8)) + END) == [("directory", b"folder")]
