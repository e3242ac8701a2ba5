"""Manifests and indexes: what is read, which image is chosen, and what is refused."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.errors import LimitExceeded, RedoubtError, UnreadableInput, UsageError
from redoubt.indexer.sources import manifests
from redoubt.indexer.sources.manifests import Descriptor, choose, read_manifest, sha256
from redoubt.model import Configuration, HistoryLine, Platform

CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "c" * 64, "size": 2}
LAYER = {
    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
    "digest": "sha256:" + "d" * 64,
    "size": 3,
}


class Store:
    """Documents by digest."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.fetched: list[str] = []

    def put(self, value: object, media_type: str = manifests.OCI_MANIFEST, **more: Any) -> dict[str, Any]:
        data = json.dumps(value).encode()
        self.documents[sha256(data)] = data
        return {"mediaType": media_type, "digest": sha256(data), "size": len(data), **more}

    def image(self, number: int = 0, platform: str = "", **more: Any) -> dict[str, Any]:
        layer = LAYER | {"size": number}
        if platform:
            os, architecture, *variant = platform.split("/")
            more["platform"] = {"os": os, "architecture": architecture, "variant": "".join(variant)}
        return self.put({"schemaVersion": 2, "config": CONFIG, "layers": [layer]}, **more)

    def index(self, *listed: dict[str, Any]) -> dict[str, Any]:
        return self.put({"schemaVersion": 2, "manifests": list(listed)}, manifests.OCI_INDEX)

    def fetch(self, descriptor: Descriptor) -> bytes:
        self.fetched.append(descriptor.digest)
        return manifests.verified(self.documents[descriptor.digest], descriptor, "store")

    def choose(self, *roots: dict[str, Any], wanted: str = "") -> int:
        """The number of the image that is chosen."""
        parts = [*wanted.split("/"), ""]
        platform = Platform(parts[0], parts[1], parts[2]) if wanted else None
        listed = json.dumps({"schemaVersion": 2, "manifests": list(roots)}).encode()
        found = choose(manifests.read_index(listed, "index"), platform, self.fetch, "image")
        return found.layers[0].size


@pytest.mark.parametrize(
    ("offered", "wanted", "chosen"),
    [
        (["linux/amd64", "linux/arm64"], "linux/arm64", 1),
        (["linux/amd64", "linux/arm64/v8"], "linux/arm64", 1),
        (["linux/amd64", "linux/arm64"], "linux/arm64/v8", 1),
        (["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], "linux/arm/v7", 2),
        (["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", 1),
        (["linux/arm/v7", "linux/arm/v6"], "linux/arm/v6", 1),
        (["linux/amd64/v3", "linux/amd64"], "linux/amd64", 1),
        (["linux/amd64/v3", "linux/amd64/v2"], "linux/amd64", 1),
        (["windows/amd64", "linux/amd64"], "linux/amd64", 1),
        (["linux/amd64", "linux/amd64"], "linux/amd64", 0),
    ],
)
def test_nearest_platform_is_chosen(offered: list[str], wanted: str, chosen: int) -> None:
    store = Store()
    listed = [store.image(number, platform) for number, platform in enumerate(offered)]
    assert store.choose(store.index(*listed), wanted=wanted) == chosen
    assert store.choose(*listed, wanted=wanted) == chosen


@pytest.mark.parametrize("wanted", ["linux/arm/v6", "linux/s390x", "windows/amd64", "linux/amd64/odd"])
def test_platform_that_is_not_there_names_those_that_are(wanted: str) -> None:
    store = Store()
    index = store.index(store.image(0, "linux/amd64"), store.image(1, "linux/arm/v7"))
    with pytest.raises(UsageError, match=rf"no image for {wanted}; there are linux/amd64, linux/arm/v7"):
        store.choose(index, wanted=wanted)


def test_this_machine_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    index = store.index(store.image(0, "linux/amd64"), store.image(1, "linux/arm64"))
    for name, number in (("x86_64", 0), ("aarch64", 1)):
        monkeypatch.setattr("platform.machine", lambda name=name: name)
        assert store.choose(index) == number
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(UsageError, match="no image for linux/riscv64"):
        store.choose(index)


def test_only_image_is_taken_whatever_it_runs_on() -> None:
    store = Store()
    attestation = store.image(
        9, "unknown/unknown", annotations={"vnd.docker.reference.type": "attestation-manifest"}
    )
    assert store.choose(store.index(attestation, store.image(1, "linux/s390x"))) == 1


def test_attestations_and_artifacts_are_no_images() -> None:
    store = Store()
    with pytest.raises(UnreadableInput, match="holds no image"):
        store.choose(store.index(store.image(0, "unknown/unknown"), store.image(1, artifactType="text/spdx")))


def test_indexes_may_nest_but_not_for_ever() -> None:
    store = Store()
    nested = store.image(5, "linux/amd64")
    for _ in range(manifests.MAX_NESTING):
        nested = store.index(nested)
    assert store.choose(nested, wanted="linux/amd64") == 5
    with pytest.raises(LimitExceeded, match="nested deeper"):
        store.choose(store.index(nested), wanted="linux/amd64")


def test_same_index_listed_often_is_fetched_once() -> None:
    store = Store()
    inner = store.index(store.image(1, "linux/amd64"))
    assert store.choose(store.index(*[inner] * 500), wanted="linux/amd64") == 1
    assert store.fetched.count(inner["digest"]) == 1


def test_index_of_thousands_is_refused() -> None:
    store = Store()
    with pytest.raises(LimitExceeded, match="more than 1024 manifests"):
        store.choose(store.index(*[store.image(0, "linux/amd64")] * 2000))


def test_digest_that_is_none_never_reaches_the_store() -> None:
    store = Store()
    for digest in ("sha256:../../etc/passwd", "../x", "sha256:" + "A" * 64, "", "sha512:" + "0" * 128):
        with pytest.raises(UnreadableInput, match="not a SHA-256 digest"):
            store.choose(
                store.image() | {"digest": digest, "platform": {"os": "linux", "architecture": "amd64"}}
            )
        with pytest.raises(UnreadableInput, match="not a SHA-256 digest"):
            store.choose(store.index() | {"digest": digest})
    assert store.fetched == []


def test_altered_document_is_refused() -> None:
    store = Store()
    root = store.image(0, "linux/amd64")
    store.documents[root["digest"]] = store.documents[root["digest"]].replace(b"2", b"3", 1)
    with pytest.raises(UnreadableInput, match="damaged or altered"):
        store.choose(root, wanted="linux/amd64")
    with pytest.raises(UnreadableInput, match=r"has \d+ bytes, not 7"):
        store.choose(root | {"size": 7}, wanted="linux/amd64")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"schemaVersion": 1, "fsLayers": []}, "schema 1 manifest"),
        ({"schemaVersion": 3}, "schema 3"),
        ({}, "not as it should be"),
        ([], "not as it should be"),
        ({"schemaVersion": 2}, "something else is there"),
        ({"schemaVersion": 2, "manifests": []}, "something else is there"),
        (
            {"schemaVersion": 2, "config": CONFIG, "layers": [], "manifests": []},
            "an index and an image at once",
        ),
        ({"schemaVersion": 2, "config": CONFIG, "layers": "none"}, "not as it should be"),
        ({"schemaVersion": 2, "config": CONFIG, "layers": [LAYER | {"size": -1}]}, "not as it should be"),
        ({"schemaVersion": 2, "config": CONFIG, "layers": [LAYER | {"size": 1e300}]}, "not as it should be"),
        ({"schemaVersion": 2, "config": CONFIG, "layers": [LAYER | {"size": 10**30}]}, "not as it should be"),
        ({"schemaVersion": 2, "config": CONFIG, "layers": [LAYER] * 2000}, "more than 1024 layers"),
        ({"schemaVersion": 2, "config": CONFIG, "layers": [LAYER | {"digest": "x"}]}, "not a SHA-256 digest"),
        (
            {
                "schemaVersion": 2,
                "config": CONFIG | {"mediaType": "application/vnd.cncf.helm.config"},
                "layers": [],
            },
            "not a container image but an artifact",
        ),
    ],
)
def test_manifest_that_is_none_is_refused(document: object, message: str) -> None:
    with pytest.raises(UnreadableInput, match=message):
        read_manifest(json.dumps(document).encode(), "", "image")


@pytest.mark.parametrize("data", [b"", b"\0", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"null"])
def test_bytes_that_are_no_json_are_refused(data: bytes) -> None:
    with pytest.raises(UnreadableInput, match="not as it should be"):
        read_manifest(data, "", "image")


def resolved(config: object, layers: int = 1, wanted: Platform | None = None) -> Any:
    listed = [LAYER | {"digest": f"sha256:{n:064x}"} for n in range(layers)]
    data = json.dumps({"schemaVersion": 2, "config": CONFIG, "layers": listed}).encode()
    manifest = read_manifest(data, "", "image")
    return manifests.resolved(
        manifest, json.dumps(config).encode(), wanted, reference="image", kind="oci-dir"
    )


def test_history_gives_each_layer_its_line() -> None:
    history = [{"created_by": "ADD"}, {"created_by": "ENV", "empty_layer": True}, {"created_by": None}]
    config = {"os": "linux", "architecture": "arm", "variant": "v7", "history": history}
    config |= {"rootfs": {"diff_ids": ["sha256:" + "a" * 64, "sha256:" + "b" * 64]}}
    found = resolved(config, 2)
    assert [layer.created_by for layer in found.layers] == ["ADD", ""]
    assert found.image.platform == Platform("linux", "arm", "v7")
    config["history"] = history[:1]
    assert [layer.created_by for layer in resolved(config, 2).layers] == ["", ""]


@pytest.mark.parametrize(
    "rootfs",
    [{}, {"diff_ids": None}, {"diff_ids": []}, {"diff_ids": ["x"]}, {"diff_ids": ["sha256:" + "a" * 64] * 2}],
)
def test_diff_ids_must_fit_the_layers(rootfs: object) -> None:
    with pytest.raises(UnreadableInput, match=r"its configuration speaks of|is not a SHA-256 digest"):
        resolved({"rootfs": rootfs})


def test_configuration_for_another_platform_is_said() -> None:
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": ["sha256:" + "a" * 64]}}
    assert resolved(config).image.platform == Platform("linux", "amd64")
    with pytest.raises(UsageError, match="no image for linux/arm64; there is linux/amd64"):
        resolved(config, wanted=Platform("linux", "arm64"))


def test_foreign_layer_keeps_its_addresses_and_is_named() -> None:
    layer = LAYER | {
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "urls": ["https://x/"],
    }
    data = json.dumps({"schemaVersion": 2, "config": CONFIG, "layers": [layer]}).encode()
    config = json.dumps({"rootfs": {"diff_ids": ["sha256:" + "a" * 64]}}).encode()
    found = manifests.resolved(
        read_manifest(data, "", "i"), config, None, reference="i", kind="oci-dir"
    ).layers[0]
    assert found.foreign_urls == ("https://x/",)
    assert "foreign, kept by its maker" in str(manifests.missing_layer(found, "here"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
_FIELDS = st.sampled_from(
    [
        "schemaVersion",
        "mediaType",
        "config",
        "layers",
        "manifests",
        "digest",
        "size",
        "platform",
        "annotations",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(_FIELDS, _JSON | st.just(2) | st.just([LAYER]) | st.just(CONFIG)))
def test_mistyped_documents_are_errors_of_ours(document: dict[str, object]) -> None:
    data = json.dumps(document).encode()
    calls: list[Callable[[], object]] = [
        lambda: read_manifest(data, "", "image"),
        lambda: manifests.read_index(data, "image"),
        lambda: manifests.is_index(data, "image"),
    ]
    for call in calls:
        with contextlib.suppress(RedoubtError):
            call()


def _configured(document: dict[str, object]) -> Configuration:
    return manifests.configuration_of(manifests.decode(msgspec.json.encode(document), manifests.Config, "x"))


def test_a_configuration_says_how_the_image_was_made_and_is_run() -> None:
    found = _configured(
        {
            "created": "2099-01-02T03:04:05.123456Z",
            "config": {"User": "1000:1000", "Labels": {"team": "blue"}, "Env": ["A=b"]},
            "history": [{"created_by": "ADD x /"}, {"created_by": "USER 1000", "empty_layer": True}, {}],
        }
    )
    assert found == Configuration(
        created="2099-01-02T03:04:05.123456+00:00",
        user="1000:1000",
        labels={"team": "blue"},
        history=(
            HistoryLine(created_by="ADD x /"),
            HistoryLine(created_by="USER 1000", empty=True),
            HistoryLine(),
        ),
    )


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"created": None, "config": None, "history": None},
        {"created": "yesterday", "config": []},
        {"created": 12, "config": {"User": 5, "Labels": {"a": 1}}},
        {"config": {"User": None, "Labels": None}},
    ],
)
def test_what_is_not_as_it_should_be_is_left_out_and_refuses_no_image(document: dict[str, object]) -> None:
    assert _configured(document) == Configuration()


def test_an_endless_history_is_cut() -> None:
    assert len(_configured({"history": [{}] * 10_000}).history) == manifests.MAX_HISTORY
