"""Images in files and folders: docker archives and OCI layouts."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard
from indexer_archives import docker, image, members_of, opened, tar

import ociwriter
from ociwriter import Entry, ImageWriter, hardlink, symlink
from redoubt.errors import AccessDenied, UnreadableInput, UsageError
from redoubt.indexer.sources import open_source
from redoubt.model import Platform

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
        image=resolved.image,
        layers=resolved.layers,
        configuration=resolved.configuration,
        immutable=False,
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
