"""The registry source over a network that breaks: layers continue where they broke, requests are repeated."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import ociwriter
from ociwriter import Entry, ImageWriter
from redoubt import egress
from redoubt.errors import NetworkError
from redoubt.indexer.sources import LayerBlob, SourceOptions, open_source
from support.registry import FlakyProxy, Registry, needs_registry, start_registry

pytestmark = needs_registry
QUICK = egress.Retry(attempts=3, first=0.01, longest=0.02)
SIZE = 3_000_000


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    noise = random.Random(1).randbytes(SIZE)
    writer = ImageWriter().add([Entry("noise", noise)])
    with start_registry(tmp_path_factory.mktemp("registry")) as running:
        layout = writer.write_oci_dir(tmp_path_factory.mktemp("image") / "layout")
        running.push(f"oci:{layout}:latest", "app:1")
        yield running


def layer_of(registry: Registry) -> LayerBlob:
    with open_source(f"{registry.host}/app:1", options=SourceOptions(retry=QUICK, timeout=5.0)) as source:
        return source.resolve(None).layers[0]


def pull_layer(proxy: FlakyProxy, layer: LayerBlob) -> str:
    """The layer's digest as it came through the proxy."""
    options = SourceOptions(retry=QUICK, timeout=5.0)
    digest = hashlib.sha256()
    with (
        open_source(f"{proxy.host}/app:1", options=options) as source,
        source.open_layer(layer) as stream,
    ):
        while chunk := stream.read(100_000):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


# The first connection of each test asks in TLS, which this registry does not speak.


def test_broken_layer_continues_where_it_broke(registry: Registry) -> None:
    layer = layer_of(registry)
    with FlakyProxy(registry.host, [10**9, 1_000_000, 700_000]) as proxy:
        assert pull_layer(proxy, layer) == layer.digest
    blobs = [line for line in proxy.asked if "/blobs/" in line]
    assert len(blobs) == 3
    starts = [int(line.rpartition("bytes=")[2].rstrip("-")) for line in blobs[1:]]
    assert 900_000 < starts[0] <= 1_000_000
    assert starts[0] < starts[1] <= 1_700_000


def test_layer_that_never_gets_on_is_given_up(registry: Registry) -> None:
    layer = layer_of(registry)
    with FlakyProxy(registry.host, [10**9] + [2_000] * 50) as proxy:
        with pytest.raises(NetworkError, match=r"broke off; layer sha256:.* stopped at byte \d+ of"):
            pull_layer(proxy, layer)
        assert proxy.connections == 1 + QUICK.attempts


def test_progress_earns_new_attempts(registry: Registry) -> None:
    layer = layer_of(registry)
    with FlakyProxy(registry.host, [10**9, 1_200_000, 900, 1_200_000, 900]) as proxy:
        assert pull_layer(proxy, layer) == layer.digest


def test_broken_manifest_is_asked_for_again(registry: Registry) -> None:
    with (
        FlakyProxy(registry.host, [10**9, 50, 400]) as proxy,
        open_source(f"{proxy.host}/app:1", options=SourceOptions(retry=QUICK, timeout=5.0)) as source,
    ):
        assert source.resolve(None).layers == (layer_of(registry),)
    assert len([line for line in proxy.asked if "/manifests/1" in line]) == 3


def test_silent_server_is_a_timeout_not_a_hang(registry: Registry, tmp_path: Path) -> None:
    import socket

    options = SourceOptions(retry=egress.Retry(attempts=2, first=0.01, longest=0.01), timeout=0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        with (
            open_source(f"{host}/app:1", options=options) as source,
            pytest.raises(NetworkError, match="timed out"),
        ):
            source.resolve(None)


def test_layer_altered_in_the_registry_reaches_the_reader_unhidden(
    registry: Registry, tmp_path: Path
) -> None:
    """The source streams; that the bytes are not what they are called is seen by who hashes them."""
    writer = ImageWriter().add([Entry("other", b"other" * 1000)])
    registry.push(f"oci:{writer.write_oci_dir(tmp_path / 'layout')}:latest", "altered:1")
    with open_source(f"{registry.host}/altered:1", options=SourceOptions(retry=QUICK, timeout=5.0)) as source:
        layer = source.resolve(None).layers[0]
        name = layer.digest.removeprefix("sha256:")
        blob = registry.storage / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"
        blob.write_bytes(blob.read_bytes()[:-4] + b"XXXX")
        with source.open_layer(layer) as stream:
            assert ociwriter.sha256(stream.read(-1)) != layer.digest
