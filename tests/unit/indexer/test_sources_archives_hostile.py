"""Archives and layouts that are damaged, lie or lead elsewhere: errors of ours, and nothing read beyond them."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from indexer_archives import docker, image, members_of, opened, tar

import ociwriter
from ociwriter import Entry, hardlink, symlink
from redoubt.errors import LimitExceeded, RedoubtError, UnreadableInput
from redoubt.indexer.sources import slices, tarindex
from redoubt.indexer.sources.slices import open_archive
from redoubt.indexer.sources.tarindex import TarIndex

# Hostile archives


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_cut_archive_is_an_error_at_any_length(tmp_path: Path, form: str) -> None:
    writer, path = image(), tmp_path / "whole.tar"
    (writer.write_docker_archive if form == "docker-archive" else writer.write_oci_archive)(path)
    whole, cut = path.read_bytes(), tmp_path / "cut.tar"
    end = len(whole.rstrip(b"\0"))
    for length in range(0, end, 500):
        cut.write_bytes(whole[:length])
        with pytest.raises(UnreadableInput):
            opened(f"{form}:{cut}")


def test_cut_packed_archive_is_an_error(tmp_path: Path) -> None:
    whole = gzip.compress(docker(tmp_path).read_bytes())
    for length in range(10, len(whole), 40):
        (tmp_path / "cut.tar").write_bytes(whole[:length])
        with pytest.raises(UnreadableInput, match="damaged or cut off"):
            opened(f"docker-archive:{tmp_path / 'cut.tar'}")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_altered_archives_are_errors_of_ours(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("altered") / "i.tar"
    form = data.draw(st.sampled_from(["docker-archive", "oci-archive"]))
    (image().write_docker_archive if form == "docker-archive" else image().write_oci_archive)(path)
    content = bytearray(path.read_bytes())
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=6)
    ):
        content[place] = value
    path.write_bytes(content)
    with contextlib.suppress(RedoubtError):
        opened(f"{form}:{path}")


def test_lying_size_in_a_header_is_refused(tmp_path: Path) -> None:
    for size in (
        b"77777777777\0",
        b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xff" * 12,
        b"not octal...",
    ):
        content = bytearray(docker(tmp_path).read_bytes())
        content[124:136] = size
        content[148:156] = b"        "
        content[148:156] = b"%06o\0 " % sum(content[:512])
        (tmp_path / "lie.tar").write_bytes(content)
        with pytest.raises(UnreadableInput, match=r"cut off|a size that is none"):
            opened(f"docker-archive:{tmp_path / 'lie.tar'}")


def test_lying_size_in_a_pax_header_is_refused(tmp_path: Path) -> None:
    for size in ("-1", "99999999999999", "9" * 400, "1e3", ""):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as file:
            info = tarfile.TarInfo("manifest.json")
            info.size, info.pax_headers = 2, {"size": size}
            file.addfile(info, io.BytesIO(b"[]"))
        (tmp_path / "lie.tar").write_bytes(out.getvalue())
        with pytest.raises(UnreadableInput):
            opened(f"docker-archive:{tmp_path / 'lie.tar'}")


def test_huge_extended_header_is_refused(tmp_path: Path) -> None:
    path = tar(tmp_path / "i.tar", Entry("n" * (tarindex.MAX_EXTENDED + 1)))
    with pytest.raises(LimitExceeded, match="a name of"):
        opened(f"docker-archive:{path}")
    path = tar(tmp_path / "i.tar", Entry("n" * (tarindex.MAX_NAME + 1)))
    with pytest.raises(LimitExceeded, match="a name of"):
        opened(f"docker-archive:{path}")


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarindex, "MAX_MEMBERS", 10)
    path = tar(tmp_path / "i.tar", *(Entry(f"n{n}") for n in range(11)))
    with pytest.raises(LimitExceeded, match="more than 10 members"):
        opened(f"docker-archive:{path}")


@pytest.mark.parametrize("packed", [b"\0" * 20_000_000])
def test_archive_that_grows_beyond_the_ratio_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bytes
) -> None:
    monkeypatch.setattr(slices, "_RATIO_FREE", 1 << 20)
    for pack in (gzip.compress, zstandard.ZstdCompressor().compress):
        (tmp_path / "bomb.tar").write_bytes(pack(packed))  # type: ignore[operator]
        with pytest.raises(LimitExceeded, match="grows beyond"):
            opened(f"docker-archive:{tmp_path / 'bomb.tar'}")


def test_full_temporary_space_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_KEEP_FREE", 1 << 62)
    path = docker(tmp_path)
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(LimitExceeded, match=r"no room to unpack it .* set TMPDIR"):
        opened(path)


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ([symlink("l", "l")], "links in circles"),
        ([symlink("l", "m"), symlink("m", "l")], "links in circles"),
        ([hardlink("l", "m"), symlink("m", "l")], "links in circles"),
        ([symlink("l", "../../etc/passwd")], "is not in the archive"),
        ([symlink("l", "/etc/passwd")], "is not in the archive"),
        ([hardlink("l", "../l")], "is not in the archive"),
        ([symlink("l", "nothing")], "is not in the archive"),
        ([ociwriter.directory("l")], "is not in the archive"),
        ([Entry("l", kind=tarfile.CHRTYPE)], "is not in the archive"),
        ([Entry("../l", b"x")], "is not in the archive"),
    ],
)
def test_layers_that_lead_nowhere_are_refused(tmp_path: Path, links: list[Entry], message: str) -> None:
    config = ociwriter.ImageWriter(tars=[b""]).config()
    manifest = json.dumps([{"Config": "c", "Layers": ["l"]}]).encode()
    path = tar(tmp_path / "i.tar", *links, Entry("c", config), Entry("manifest.json", manifest))
    with pytest.raises(UnreadableInput, match=message):
        opened(path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "", ".", "..", "a\0b", "x" * 5000])
def test_names_in_the_manifest_never_leave_the_archive(tmp_path: Path, name: str) -> None:
    for entry in ({"Config": name, "Layers": []}, {"Config": "c", "Layers": [name]}):
        config = ociwriter.ImageWriter(tars=[b""]).config()
        path = tar(
            tmp_path / "i.tar", Entry("c", config), Entry("manifest.json", json.dumps([entry]).encode())
        )
        with pytest.raises(UnreadableInput, match="is not in the archive"):
            opened(path)


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        b"[1]",
        b"[{}]",
        b'[{"Config":1}]',
        b'[{"Config":"c","Layers":"l"}]',
        b"[" * 99_999,
    ],
)
def test_mistyped_manifest_is_refused(tmp_path: Path, manifest: bytes) -> None:
    path = tar(tmp_path / "i.tar", Entry("manifest.json", manifest))
    with pytest.raises(UnreadableInput, match=r"not as it should be|holds no image"):
        opened(path)


def test_manifest_that_came_twice_is_refused(tmp_path: Path) -> None:
    members = members_of(docker(tmp_path))
    twice = [Entry(name, data) for name, data in members.items()] + [Entry("./manifest.json", b"[]")]
    with pytest.raises(UnreadableInput, match=r"two members are named manifest\.json"):
        opened(tar(tmp_path / "twice.tar", *twice))
    members = members_of(image().write_oci_archive(tmp_path / "o.tar"))
    twice = [Entry(name, data) for name, data in members.items()] + [Entry("index.json", b"{}")]
    with pytest.raises(UnreadableInput, match=r"two members are named index\.json"):
        opened(tar(tmp_path / "twice.tar", *twice))


def test_layer_that_came_twice_is_read_as_it_came_last(tmp_path: Path) -> None:
    path = docker(tmp_path)
    name = next(name for name in members_of(path) if name.endswith("layer.tar"))
    members = [Entry(n, data) for n, data in members_of(path).items()]
    tar(path, Entry(name, b"an earlier one"), *members)
    assert opened(path)[1] == image().tars


def test_configuration_that_is_not_its_name_is_refused(tmp_path: Path) -> None:
    members = members_of(docker(tmp_path))
    config = next(n for n in members if n.endswith(".json") and n != "manifest.json")
    members[config] = members[config].replace(b"amd64", b"arm64")
    with pytest.raises(UnreadableInput, match="not what its name says"):
        opened(tar(tmp_path / "i.tar", *(Entry(n, data) for n, data in members.items())))


def test_huge_configuration_is_refused(tmp_path: Path) -> None:
    path = tar(
        tmp_path / "i.tar",
        Entry("c", b" " * ((16 << 20) + 1)),
        Entry("manifest.json", json.dumps([{"Config": "c"}]).encode()),
    )
    with pytest.raises(LimitExceeded, match="more than the limit"):
        opened(path)


# Hostile layouts


def blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def documents(layout: Path) -> tuple[str, str, str]:
    """The digests of manifest, configuration and first layer."""
    manifest = json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"]
    content = json.loads(blob(layout, manifest).read_bytes())
    return manifest, content["config"]["digest"], content["layers"][0]["digest"]


def test_altered_documents_of_a_layout_are_refused(tmp_path: Path) -> None:
    for place in (0, 1):
        layout = image().write_oci_dir(tmp_path / f"layout{place}")
        path = blob(layout, documents(layout)[place])
        path.write_bytes(path.read_bytes().replace(b"sha256", b"sha257", 1))
        with pytest.raises(UnreadableInput, match="damaged or altered"):
            opened(layout)


def test_missing_documents_of_a_layout_are_named(tmp_path: Path) -> None:
    for place in (0, 1):
        layout = image().write_oci_dir(tmp_path / f"layout{place}")
        digest = documents(layout)[place]
        blob(layout, digest).unlink()
        with pytest.raises(UnreadableInput, match=f"{digest} is not in it; the layout is not whole"):
            opened(layout)


def test_missing_or_resized_layer_is_named(tmp_path: Path) -> None:
    layout = image().write_oci_dir(tmp_path / "layout")
    path = blob(layout, documents(layout)[2])
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(UnreadableInput, match=r"layer sha256:.*: has \d+ bytes in"):
        opened(layout)
    path.unlink()
    with pytest.raises(UnreadableInput, match=r"layer sha256:.*: not in"):
        opened(layout)
    path.mkdir()
    with pytest.raises(UnreadableInput, match="not a regular file"):
        opened(layout)


def test_symlinks_may_not_lead_out_of_a_layout(tmp_path: Path) -> None:
    layout = image().write_oci_dir(tmp_path / "layout")
    for path in (layout / "index.json", blob(layout, documents(layout)[2])):
        outside = tmp_path / "outside"
        outside.write_bytes(path.read_bytes())
        path.unlink()
        path.symlink_to(outside)
        with pytest.raises(UnreadableInput, match="leads out of the layout; refused"):
            opened(layout)
        path.unlink()
        path.write_bytes(outside.read_bytes())
    assert len(opened(layout)[1]) == 2


def test_symlinks_within_a_layout_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    layout = image().write_oci_dir(tmp_path / "layout")
    path = blob(layout, documents(layout)[2])
    path.rename(layout / "elsewhere")
    path.symlink_to("../../elsewhere")
    assert len(opened(layout)[1]) == 2
    path.unlink()
    path.symlink_to(path.name)
    with pytest.raises(UnreadableInput):
        opened(layout)


def test_index_that_reads_as_nothing_is_refused(tmp_path: Path) -> None:
    layout = image().write_oci_dir(tmp_path / "layout")
    for content in (
        b"",
        b"[]",
        b'{"schemaVersion":2}',
        b'{"schemaVersion":2,"manifests":[]}',
        b'{"manifests":7}',
    ):
        (layout / "index.json").write_bytes(content)
        with pytest.raises(UnreadableInput):
            opened(layout)


# The tar index


def test_index_agrees_with_the_standard_library(tmp_path: Path) -> None:
    entries = [Entry("a"), Entry("./b/../c", b"c" * 700), Entry("d/" + "e" * 200, b"e"), symlink("s", "c")]
    for tar_format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tar(tmp_path / "x.tar", *entries, tar_format=tar_format)
        archive = open_archive(path)
        index = TarIndex(archive)
        for name, data in members_of(path).items():
            assert index.read(name, 10_000) == data
        assert index.read("s", 10_000) == b"c" * 700
        assert index.read("nothing", 10) is None
        archive.close()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=3000))
def test_any_bytes_are_an_index_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "x.tar"
    path.write_bytes(data)
    try:
        archive = open_archive(path)
        TarIndex(archive)
    except UnreadableInput:
        pass
