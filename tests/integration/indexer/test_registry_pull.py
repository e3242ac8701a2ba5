"""The registry source against a real registry, pushed to by skopeo: forms, platforms, cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ociwriter
from ociwriter import Entry, ImageWriter
from redoubt import egress
from redoubt.errors import NetworkError, UnreadableInput, UsageError
from redoubt.indexer.sources import ResolvedImage, SourceOptions, open_source
from redoubt.model import Platform
from redoubt.wire import ports
from support.registry import Registry, needs_registry, start_registry

pytestmark = needs_registry
QUICK = egress.Retry(attempts=3, first=0.01, longest=0.02)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with start_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def image(architecture: str = "amd64", text: bytes = b"") -> ImageWriter:
    first = [Entry("etc/os-release", b"ID=debian\nVERSION_ID=11\n")]
    second = [Entry(f"data/{n}", hashlib.sha512(b"%d" % n + text).digest() * 64) for n in range(200)]
    return ImageWriter(architecture).add(first).add(second)


def options(tmp_path: Path, **more: object) -> SourceOptions:
    return SourceOptions(retry=QUICK, timeout=5.0, **more)  # type: ignore[arg-type]


def pulled(
    target: str, options: SourceOptions, platform: Platform | None = None
) -> tuple[ResolvedImage, list[bytes]]:
    """The image and its layers' bytes, each checked against its digest."""
    with open_source(target, options=options) as source:
        resolved = source.resolve(platform)
        bodies = []
        for layer in resolved.layers:
            with source.open_layer(layer) as stream:
                bodies.append(stream.read(-1))
            assert ociwriter.sha256(bodies[-1]) == layer.digest
            assert len(bodies[-1]) == layer.size
    return resolved, bodies


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_oci_image_is_pulled_whatever_its_compression(
    registry: Registry, tmp_path: Path, compression: str
) -> None:
    layout = image().write_oci_dir(tmp_path / "layout", compression=compression)
    reference = registry.push(f"oci:{layout}:latest", f"oci-{compression}:1")
    local, _ = pulled(f"oci-dir:{layout}", options(tmp_path))
    resolved, _ = pulled(f"registry:{reference}", options(tmp_path))
    assert resolved.immutable
    assert not local.immutable
    assert resolved.image.kind == "registry"
    assert resolved.image.config_digest == local.image.config_digest
    assert [layer.diff_id for layer in resolved.layers] == [layer.diff_id for layer in local.layers]
    if compression != "none":  # skopeo compresses plain layers when it pushes
        assert resolved.image.digest == local.image.digest
        assert resolved.layers == local.layers


def test_docker_manifest_is_pulled(registry: Registry, tmp_path: Path) -> None:
    archive = image().write_docker_archive(tmp_path / "image.tar")
    reference = registry.push(f"docker-archive:{archive}", "docker:1", "--format=v2s2")
    resolved, _ = pulled(f"docker://{reference}", options(tmp_path))
    assert resolved.image.media_type == "application/vnd.docker.distribution.manifest.v2+json"
    assert resolved.image.config_digest == ociwriter.sha256(image().config())
    assert {layer.media_type for layer in resolved.layers} == {
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
    }


@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_platform_is_chosen_from_a_list(registry: Registry, tmp_path: Path, form: str) -> None:
    images = [image("amd64", b"a"), image("arm64", b"b"), image("s390x", b"c")]
    layout = ociwriter.write_layout(tmp_path / "layout", images)
    reference = registry.push(f"oci:{layout}:latest", f"many-{form}:1", "--all", f"--format={form}")
    resolved, _ = pulled(reference, options(tmp_path), Platform("linux", "arm64", "v8"))
    assert resolved.image.platform == Platform("linux", "arm64")
    assert resolved.image.config_digest == ociwriter.sha256(images[1].config())
    with pytest.raises(UsageError, match=r"no image for linux/riscv64; there are linux/amd64, linux/arm64"):
        pulled(reference, options(tmp_path), Platform("linux", "riscv64"))


def test_layers_are_pulled_in_parallel(registry: Registry, tmp_path: Path) -> None:
    writer = ImageWriter()
    for n in range(8):
        writer.add([Entry(f"file{n}", bytes([n]) * 300_000)])
    reference = registry.push(f"oci:{writer.write_oci_dir(tmp_path / 'layout')}:latest", "parallel:1")
    with open_source(reference, options=options(tmp_path)) as source:
        layers = source.resolve(None).layers

        def digest(place: int) -> str:
            with source.open_layer(layers[place]) as stream:
                found = hashlib.sha256()
                buffer = bytearray(10_000)
                while count := stream.readinto(buffer):  # type: ignore[attr-defined]
                    found.update(buffer[:count])
            return f"sha256:{found.hexdigest()}"

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(digest, range(8))) == [layer.digest for layer in layers]


def test_second_look_at_a_tag_is_one_request_and_at_a_digest_none(registry: Registry, tmp_path: Path) -> None:
    layout = ociwriter.write_layout(tmp_path / "layout", [image("amd64", b"x"), image("arm64", b"y")])
    reference = registry.push(f"oci:{layout}:latest", "cached:1", "--all")
    chosen = options(tmp_path, blob_cache=tmp_path / "cache")
    amd64 = Platform("linux", "amd64")

    def resolve(name: str) -> ResolvedImage:
        with open_source(name, options=chosen) as source:
            return source.resolve(amd64)

    first = resolve(reference)
    before = len(registry.requests())
    again = resolve(reference)
    assert again == first
    assert [path for path in registry.requests()[before:] if "/v2/cached/" in path] == [
        "/v2/cached/manifests/1"
    ]
    by_digest = f"{registry.host}/cached@{first.image.digest}"
    before = len(registry.requests())
    assert resolve(by_digest).layers == first.layers
    assert registry.requests()[before:] == []


def test_altered_cache_is_fetched_again(registry: Registry, tmp_path: Path) -> None:
    reference = registry.push(f"oci:{image().write_oci_dir(tmp_path / 'layout')}:latest", "altered:1")
    chosen = options(tmp_path, blob_cache=tmp_path / "cache")
    first, _ = pulled(reference, chosen)
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(b"{}")
    assert pulled(reference, chosen)[0] == first


def test_digest_reference_is_pulled(registry: Registry, tmp_path: Path) -> None:
    reference = registry.push(f"oci:{image().write_oci_dir(tmp_path / 'layout')}:latest", "digest:1")
    resolved, _ = pulled(reference, options(tmp_path))
    by_digest, _ = pulled(f"{registry.host}/digest:whatever@{resolved.image.digest}", options(tmp_path))
    assert by_digest.layers == resolved.layers


def test_missing_image_is_named(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"nowhere:1: .* no such image"):
        pulled(f"{registry.host}/nowhere:1", options(tmp_path))


def test_altered_manifest_in_the_registry_is_refused(registry: Registry, tmp_path: Path) -> None:
    reference = registry.push(
        f"oci:{image(text=b'z').write_oci_dir(tmp_path / 'layout')}:latest", "tampered:1"
    )
    resolved, _ = pulled(reference, options(tmp_path))
    hex_digest = resolved.image.digest.removeprefix("sha256:")
    blob = registry.storage / "docker/registry/v2/blobs/sha256" / hex_digest[:2] / hex_digest / "data"
    blob.write_bytes(blob.read_bytes().replace(b"schemaVersion", b"schemaVersioN"))
    with pytest.raises((UnreadableInput, NetworkError)):
        pulled(f"{registry.host}/tampered@{resolved.image.digest}", options(tmp_path))


def test_nobody_listening_is_a_network_error(tmp_path: Path) -> None:

    with pytest.raises(NetworkError, match="cannot connect"):
        pulled(f"127.0.0.1:{ports.free(1)[0]}/app:1", options(tmp_path))
