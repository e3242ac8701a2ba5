"""Images in files and folders: docker archives, OCI layouts, and hostile ones of both."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import ociwriter
from ociwriter import Entry, ImageWriter, hardlink, symlink
from redoubt.errors import AccessDenied, LimitExceeded, RedoubtError, UnreadableInput, UsageError
from redoubt.indexer.sources import ResolvedImage, open_source, slices, tarindex
from redoubt.indexer.sources.slices import open_archive
from redoubt.indexer.sources.tarindex import TarIndex
from redoubt.model import Platform


def image(text: bytes = b"") -> ImageWriter:
    return (
        ImageWriter().add([Entry("etc/os-release", b"ID=debian\n")]).add([Entry("data", b"d" * 2000 + text)])
    )


def docker(path: Path, writer: ImageWriter | None = None, **more: Any) -> Path:
    return (writer or image()).write_docker_archive(path / "docker.tar", **more)


def opened(target: str | Path, platform: Platform | None = None) -> tuple[ResolvedImage, list[bytes]]:
    with open_source(str(target)) as source:
        resolved = source.resolve(platform)
        bodies = []
        for layer in resolved.layers:
            with source.open_layer(layer) as stream:
                bodies.append(stream.read(-1))
    return resolved, bodies


def tar(path: Path, *members: Entry, tar_format: int = tarfile.GNU_FORMAT) -> Path:
    path.write_bytes(ociwriter.layer_tar(members, tar_format=tar_format))
    return path


def members_of(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as file:
        return {m.name: file.extractfile(m).read() for m in file if m.isfile()}  # type: ignore[union-attr]


# Docker archives


def test_docker_archive_gives_layers_in_order(tmp_path: Path) -> None:
    writer = image()
    resolved, bodies = opened(docker(tmp_path))
    assert bodies == writer.tars
    assert [layer.diff_id for layer in resolved.layers] == [ociwriter.sha256(t) for t in writer.tars]
    assert [(layer.digest, layer.size) for layer in resolved.layers] == [("", len(t)) for t in writer.tars]
    assert [layer.created_by for layer in resolved.layers] == ["layer 0", "layer 1"]
    assert resolved.image.kind == "docker-archive"
    assert resolved.image.config_digest == ociwriter.sha256(writer.config())
    assert resolved.image.platform == Platform("linux", "amd64")
    assert not resolved.immutable


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_tar_dialect_is_read_long_names_too(tmp_path: Path, tar_format: int) -> None:
    layer = image().tars[0]
    name = (
        "d" * 90 + "/" + ("e" * 60 if tar_format == tarfile.USTAR_FORMAT else "\u00e9" * 200) + "/layer.tar"
    )
    config = ociwriter.ImageWriter(tars=[layer]).config()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": None, "Layers": [name]}]).encode()
    path = tar(
        tmp_path / "i.tar",
        Entry(name, layer),
        Entry("config.json", config),
        Entry("./manifest.json", manifest),
        tar_format=tar_format,
    )
    assert opened(path)[1] == [layer]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_packed_archive_is_unpacked_to_temporary_space(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = docker(tmp_path)
    path.write_bytes(pack(path.read_bytes()))
    assert opened(path)[1] == image().tars
    assert opened(f"docker-archive:{path}")[1] == image().tars


def test_linked_layers_are_followed(tmp_path: Path) -> None:
    layer = image().tars[0]
    config = ociwriter.ImageWriter(tars=[layer] * 3).config()
    names = ["a/layer.tar", "b/layer.tar", "c/layer.tar"]
    path = tar(
        tmp_path / "i.tar",
        Entry("a/layer.tar", layer),
        symlink("b/layer.tar", "../a/layer.tar"),
        hardlink("c/layer.tar", "b/layer.tar"),
        Entry("config.json", config),
        Entry("manifest.json", json.dumps([{"Config": "config.json", "Layers": names}]).encode()),
    )
    assert opened(path)[1] == [layer] * 3


def two_images(path: Path) -> Path:
    one, two = image(b"1"), image(b"2")
    members, listed = [], []
    for number, writer in enumerate((one, two)):
        members.append(Entry(f"{number}.json", writer.config()))
        names = [f"{number}/{place}/layer.tar" for place in range(2)]
        members += [Entry(name, t) for name, t in zip(names, writer.tars, strict=True)]
        listed.append({"Config": f"{number}.json", "RepoTags": [f"team/app:{number}"], "Layers": names})
    return tar(path, *members, Entry("manifest.json", json.dumps(listed).encode()))


@pytest.mark.parametrize("name", ["team/app:1", "docker.io/team/app:1"])
def test_one_of_several_images_is_named(tmp_path: Path, name: str) -> None:
    path = two_images(tmp_path / "two.tar")
    assert opened(f"docker-archive:{path}:{name}")[1] == image(b"2").tars
    assert opened(f"{path}:{name}")[1] == image(b"2").tars


def test_several_images_and_no_name_lists_the_names(tmp_path: Path) -> None:
    path = two_images(tmp_path / "two.tar")
    with pytest.raises(UsageError, match="holds 2 images; add ':' and one of: team/app:0, team/app:1"):
        opened(path)
    with pytest.raises(UsageError, match="no image 'other:1' in it; there are: team/app:0"):
        opened(f"docker-archive:{path}:other:1")


def test_path_with_a_colon_is_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "with:colon"
    folder.mkdir()
    path = docker(folder)
    assert opened(f"docker-archive:{path}")[1] == image().tars
    assert opened(f"docker-archive:{path}:demo:latest")[1] == image().tars


def test_archive_for_another_platform_is_said(tmp_path: Path) -> None:
    path = docker(tmp_path)
    assert opened(path, Platform("linux", "amd64"))[0].image.platform == Platform("linux", "amd64")
    with pytest.raises(UsageError, match="no image for linux/arm64; there is linux/amd64"):
        opened(path, Platform("linux", "arm64"))


def test_archive_of_newer_docker_with_both_forms(tmp_path: Path) -> None:
    writer = image()
    blobs, descriptor = writer.blobs("gzip")
    layers = json.loads(blobs[str(descriptor["digest"])])["layers"]
    name = lambda digest: "blobs/" + digest.replace(":", "/")  # noqa: E731
    manifest = [
        {"Config": name(ociwriter.sha256(writer.config())), "Layers": [name(x["digest"]) for x in layers]}
    ]
    path = writer.write_oci_archive(tmp_path / "both.tar")
    files = members_of(path) | {"manifest.json": json.dumps(manifest).encode()}
    tar(path, *(Entry(n, data) for n, data in files.items()))
    resolved, bodies = opened(path)
    assert resolved.image.kind == "docker-archive"
    assert [layer.digest for layer in resolved.layers] == [x["digest"] for x in layers]
    assert [ociwriter.sha256(body) for body in bodies] == [x["digest"] for x in layers]
    as_oci, _ = opened(f"oci-archive:{path}")
    assert as_oci.image.digest == descriptor["digest"]
    assert as_oci.image.config_digest == resolved.image.config_digest


def test_layers_are_read_in_parallel(tmp_path: Path) -> None:
    writer = ImageWriter()
    for n in range(8):
        writer.add([Entry(f"f{n}", bytes([n]) * 100_000)])
    with open_source(str(docker(tmp_path, writer))) as source:
        layers = source.resolve(None).layers

        def read(place: int) -> bytes:
            with source.open_layer(layers[place]) as stream:
                return b"".join(iter(lambda: stream.read(1000), b""))

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(read, range(8))) == writer.tars


# OCI layouts


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("form", ["oci-dir", "oci-archive"])
def test_layout_gives_layers_with_their_digests(tmp_path: Path, form: str, compression: str) -> None:
    writer, path = image(), tmp_path / "image"
    (writer.write_oci_dir if form == "oci-dir" else writer.write_oci_archive)(path, compression=compression)
    resolved, bodies = opened(path)
    assert resolved == opened(f"{form}:{path}")[0].__class__(
        image=resolved.image, layers=resolved.layers, immutable=False
    )
    assert resolved.image.kind == form
    assert [ociwriter.sha256(body) for body in bodies] == [layer.digest for layer in resolved.layers]
    assert [layer.diff_id for layer in resolved.layers] == [ociwriter.sha256(t) for t in writer.tars]


def test_layout_image_is_chosen_by_name_or_digest(tmp_path: Path) -> None:
    layout = image(b"1").write_oci_dir(tmp_path / "layout", name="one")
    other = image(b"2").write_oci_dir(tmp_path / "other", name="two")
    entries = [json.loads((p / "index.json").read_bytes())["manifests"][0] for p in (layout, other)]
    for entry in entries:
        entry.pop("platform", None)
    for blob in (other / "blobs/sha256").iterdir():
        (layout / "blobs/sha256" / blob.name).write_bytes(blob.read_bytes())
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    with pytest.raises(UsageError, match="holds several images; add ':' and one of: one, two"):
        opened(layout)
    with pytest.raises(UsageError, match="no image 'three' in it; there are: one, two"):
        opened(f"oci-dir:{layout}:three")
    assert opened(f"oci-dir:{layout}:two")[0].image.digest == entries[1]["digest"]
    assert opened(f"{layout}:one")[0].image.digest == entries[0]["digest"]
    assert opened(f"oci-dir:{layout}:{entries[1]['digest']}")[0].image.digest == entries[1]["digest"]


def test_platform_is_chosen_in_a_layout(tmp_path: Path) -> None:
    arm = ImageWriter("arm64").add([Entry("arm", b"arm")])
    layout = ociwriter.write_layout(tmp_path / "layout", [image(), arm])
    assert opened(layout, Platform("linux", "arm64"))[0].layers[0].diff_id == ociwriter.sha256(arm.tars[0])


# What is at a path


def test_missing_path_is_said(tmp_path: Path) -> None:
    for target in (
        tmp_path / "nothing",
        "./nothing",
        "image.tar",
        "docker-archive:nothing",
        "oci-dir:nothing",
    ):
        with pytest.raises(UnreadableInput, match=r"no such (file|folder)"):
            opened(target)
    with pytest.raises(UnreadableInput, match="no such folder"):
        opened("dir:nothing")


def test_folder_is_a_root_filesystem_if_it_looks_like_one_or_is_written_as_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redoubt.indexer.sources.directory import DirectorySource
    from redoubt.indexer.sources.registry import RegistrySource

    (tmp_path / "rootfs/etc").mkdir(parents=True)
    (tmp_path / "rootfs/etc/os-release").write_text("ID=debian\n")
    (tmp_path / "alpine").mkdir()
    monkeypatch.chdir(tmp_path)
    for target in ("rootfs", "./rootfs", str(tmp_path / "rootfs"), "dir:rootfs"):
        with open_source(target) as source:
            assert isinstance(source, DirectorySource)
            assert source.root == tmp_path / "rootfs"
            found = source.resolve(None)
            assert (found.image.kind, found.image.reference, found.layers) == ("dir", target, ())
    assert isinstance(open_source("./alpine"), DirectorySource)
    assert isinstance(open_source("alpine"), RegistrySource)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("alpine", "docker.io/library/alpine:latest"),
        ("registry:alpine:3", "docker.io/library/alpine:3"),
        ("docker://example.org/app", "example.org/app:latest"),
        ("registry:2", "docker.io/library/registry:2"),
        ("registry:latest", "docker.io/library/registry:latest"),
        ("registry:5000/app", "registry:5000/app:latest"),
        ("registry:example.org:5000/app", "example.org:5000/app:latest"),
        ("docker://registry:2", "docker.io/library/registry:2"),
        ("docker:24", "docker.io/library/docker:24"),
    ],
)
def test_registry_names_are_recognised(target: str, name: str) -> None:
    from redoubt.indexer.sources.registry import RegistrySource

    source = open_source(target)
    assert isinstance(source, RegistrySource)
    assert str(source._reference) == name


@pytest.mark.parametrize("target", ["", "registry:", "docker://", "Upper", "a b", "\0", "-x", "dir:\0"])
def test_nonsense_is_an_error_of_ours(target: str) -> None:
    with pytest.raises((UsageError, UnreadableInput)):
        opened(target)


def test_archive_of_something_else_is_said(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", Entry("hello", b"world"))
    with pytest.raises(UnreadableInput, match=r"neither manifest\.json nor oci-layout"):
        opened(path)
    with pytest.raises(UnreadableInput, match="not an archive written by 'docker save'"):
        opened(f"docker-archive:{path}")
    with pytest.raises(UnreadableInput, match="not an OCI layout"):
        opened(f"oci-archive:{path}")
    with pytest.raises(UnreadableInput, match="not an OCI layout"):
        opened(f"oci-dir:{tmp_path}")


@pytest.mark.parametrize("start", [b"BZh9", b"\xfd7zXZ\0", b"PK\x03\x04"])
def test_other_packings_are_named(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(start + bytes(2000))
    with pytest.raises(UnreadableInput, match="which is not read; unpack it first"):
        opened(tmp_path / "x.tar")


def test_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tar")
    with pytest.raises(UnreadableInput, match="not a regular file"):
        opened(tmp_path / "pipe.tar")
    with pytest.raises(UnreadableInput, match="not a regular file"):
        opened("docker-archive:/dev/zero")


def test_file_that_may_not_be_read_is_access_denied(tmp_path: Path) -> None:
    path = docker(tmp_path)
    path.chmod(0)
    root = os.geteuid() == 0  # may read everything, so it becomes nobody for a moment
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(AccessDenied):
            opened(path)
    finally:
        if root:
            os.seteuid(0)


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
