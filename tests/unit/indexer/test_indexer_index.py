"""A whole image: order, cache, failures of one layer among others, progress, threads."""

from __future__ import annotations

import gzip
import io
import sys
import threading
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest
from indexing import Lines, Memory, digest

from ociwriter import Entry, ImageWriter, hardlink, layer_tar, symlink, whiteout
from redoubt.errors import AccessDenied, LimitExceeded, NetworkError, UnreadableInput
from redoubt.indexer.cache import LayerCache
from redoubt.indexer.index import index_image
from redoubt.indexer.limits import Limits
from redoubt.indexer.sources import open_source
from redoubt.indexer.sources.interface import LayerBlob
from redoubt.model import IndexReport, ProblemKind

CATALOGERS = [Lines()]
TARS = [
    layer_tar([Entry("etc/os-release", b"demo"), Entry("db/list", b"a 1\nb 1")]),
    layer_tar([Entry("x/db/list", b"c 1"), Entry("bin/prog", b"#GO g 1\n", 0o755)]),
    layer_tar([Entry("db/list", b"a 1\nb 2"), whiteout("x/db")]),
]


def gzipped(tars: list[bytes] = TARS, *, immutable: bool = False) -> Memory:
    return Memory([gzip.compress(tar, mtime=0) for tar in tars], tars, immutable=immutable)


def index(source: Memory, **options: object) -> IndexReport:
    return index_image(source, source.resolve(None), catalogers=CATALOGERS, **options)  # type: ignore[arg-type]


def encoded(report: IndexReport) -> bytes:
    return msgspec.json.encode(report)


def names(report: IndexReport) -> list[str]:
    return [f"{package.name} {package.version}" for package in report.packages]


def test_the_report_has_the_same_bytes_whatever_the_workers_and_the_time() -> None:
    expected = encoded(index(gzipped(), workers=1))
    assert all(encoded(index(gzipped(), workers=workers)) == expected for workers in (1, 2, 2, 3, 8, 0))


def test_the_report_tells_image_layers_packages_and_catalogers() -> None:
    report = index(gzipped())
    assert names(report) == ["a 1", "b 2", "g 1"]
    assert report.distribution is not None
    assert report.distribution.id == "demo"
    assert [layer.diff_id for layer in report.layers] == [digest(tar) for tar in TARS]
    assert [layer.digest for layer in report.layers] == list(gzipped().blobs)
    assert report.catalogers == {"lines": 1}
    assert report.problems == ()


def test_every_form_of_an_image_gives_the_same_packages(tmp_path: Path) -> None:
    image = ImageWriter()
    for tar in TARS:
        image.add_tar(tar)
    targets = [
        f"oci-dir:{image.write_oci_dir(tmp_path / 'a')}",
        f"oci-dir:{image.write_oci_dir(tmp_path / 'b', compression='zstd')}",
        f"oci-archive:{image.write_oci_archive(tmp_path / 'c.tar')}",
        f"docker-archive:{image.write_docker_archive(tmp_path / 'd.tar')}",
    ]
    packages = []
    for target in targets:
        with open_source(target) as source:
            packages.append(index_image(source, source.resolve(None), catalogers=CATALOGERS).packages)
    assert packages[0]
    assert all(some == packages[0] for some in packages)


def test_an_image_without_layers_is_empty() -> None:
    assert index(Memory([], [])).packages == ()


# --- one bad layer


def test_a_layer_that_is_not_what_was_promised_is_told_and_the_others_are_used() -> None:
    source = gzipped()
    layer = source.resolved.layers[2]
    source.blobs[layer.digest] = gzip.compress(layer_tar([whiteout("db")]))
    report = index(source)
    assert names(report) == ["a 1", "b 1", "c 1", "g 1"]
    assert [(p.kind, p.layer) for p in report.problems] == [(ProblemKind.DAMAGED, layer.diff_id)]


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        (gzip.compress(TARS[2])[:-9], ProblemKind.DAMAGED),
        (b"BZh9" + bytes(600), ProblemKind.UNSUPPORTED),
        (gzip.compress(bytes(9 << 20)), ProblemKind.LIMIT),
    ],
)
def test_a_bad_layer_is_one_problem_and_the_rest_is_indexed(stored: bytes, kind: ProblemKind) -> None:
    source = Memory([gzip.compress(TARS[0]), stored], [TARS[0], b"whatever"])
    report = index(source, limits=Limits(ratio_from=1 << 20))
    assert names(report) == ["a 1", "b 1"]
    assert [problem.kind for problem in report.problems] == [kind]


class Failing(Memory):
    """Fails when the layer on top is opened or read."""

    def __init__(self, error: Exception, *, at_open: bool) -> None:
        super().__init__(TARS, TARS)
        self.error, self.at_open = error, at_open

    def open_layer(self, layer: LayerBlob) -> BinaryIO:
        if layer != self.resolved.layers[-1]:
            return super().open_layer(layer)
        if self.at_open:
            raise self.error
        stream = io.BytesIO()
        stream.read = self._fail  # type: ignore[method-assign,assignment]
        return stream

    def _fail(self, size: int = -1) -> bytes:
        raise self.error


@pytest.mark.parametrize("at_open", [True, False])
@pytest.mark.parametrize("error", [NetworkError("gone"), AccessDenied("no")])
def test_what_the_network_refuses_ends_the_index(error: Exception, at_open: bool) -> None:
    with pytest.raises(type(error), match=str(error)):
        index(Failing(error, at_open=at_open))


@pytest.mark.parametrize("at_open", [True, False])
@pytest.mark.parametrize("error", [UnreadableInput("the archive lacks it"), OSError(5, "Input/output error")])
def test_what_an_archive_lacks_is_a_problem_of_its_layer(error: Exception, at_open: bool) -> None:
    report = index(Failing(error, at_open=at_open))
    assert names(report) == ["a 1", "b 1", "c 1", "g 1"]
    assert [problem.kind for problem in report.problems] == [ProblemKind.DAMAGED]


def test_layers_that_together_would_fill_the_memory_are_refused() -> None:
    tars = [
        layer_tar([Entry("db/list", b"".join(b"p%d %d\n" % (n, layer) for n in range(100)))])
        for layer in range(9)
    ]
    with pytest.raises(LimitExceeded, match="layers hold too much"):
        index(gzipped(tars), limits=Limits(kept_of_image=100_000))
    assert index(gzipped(tars)).problems == ()


def test_a_foreign_layer_is_said_and_not_fetched() -> None:
    source = gzipped()
    layers = list(source.resolved.layers)
    layers[1] = msgspec.structs.replace(layers[1], foreign_urls=("elsewhere",))
    source.resolved = msgspec.structs.replace(source.resolved, layers=tuple(layers))
    report = index(source)
    assert [problem.kind for problem in report.problems] == [ProblemKind.UNSUPPORTED]
    assert layers[1].digest not in source.opened


# --- threads


class Interrupted(Exception):
    pass


def test_an_error_anywhere_leaves_no_thread_and_the_switch_interval_as_it_was() -> None:
    before, interval = set(threading.enumerate()), sys.getswitchinterval()

    def progress(layer: int, done: int, total: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        index(gzipped(), progress=progress)
    with pytest.raises(NetworkError):
        index(Failing(NetworkError("gone"), at_open=False))
    assert set(threading.enumerate()) - before == set()
    assert sys.getswitchinterval() == interval


def test_progress_ends_at_the_whole_of_each_layer() -> None:
    told: dict[int, list[tuple[int, int]]] = {}

    def progress(layer: int, done: int, total: int) -> None:
        told.setdefault(layer, []).append((done, total))

    source = gzipped()
    index(source, progress=progress)
    for number, layer in enumerate(source.resolved.layers):
        assert told[number][-1] == (layer.size, layer.size)
        assert sorted(told[number]) == told[number]


# --- the cache


def test_a_registry_image_is_known_again_without_reading_it(tmp_path: Path) -> None:
    first = encoded(index(gzipped(immutable=True), cache=LayerCache(tmp_path)))
    source = gzipped(immutable=True)
    assert encoded(index(source, cache=LayerCache(tmp_path))) == first
    assert source.opened == []


def test_an_archives_layers_are_hashed_again_before_a_hit_counts(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path)
    index(gzipped(), cache=cache)
    source = gzipped()
    assert names(index(source, cache=cache)) == ["a 1", "b 2", "g 1"]
    assert sorted(source.opened) == sorted(source.blobs)
    top = source.resolved.layers[2]
    source.blobs[top.digest] = gzip.compress(layer_tar([Entry("db/list", b"evil 1")]))
    report = index(source, cache=cache)
    assert names(report) == ["a 1", "b 1", "c 1", "g 1"]
    assert [problem.layer for problem in report.problems] == [top.diff_id]


def test_a_layer_known_by_its_digest_is_not_taken_for_another_diff_id(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path)
    index(gzipped(immutable=True), cache=cache)
    source = gzipped(immutable=True)
    layers = list(source.resolved.layers)
    layers[0] = msgspec.structs.replace(layers[0], diff_id=digest(b"claimed"))
    source.resolved = msgspec.structs.replace(source.resolved, layers=tuple(layers))
    report = index(source, cache=cache)
    assert [problem.layer for problem in report.problems] == [digest(b"claimed")]


def test_a_layer_without_a_stored_digest_is_known_by_its_diff_id(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path)

    def plain() -> Memory:
        source = Memory(TARS, TARS)
        layers = tuple(msgspec.structs.replace(layer, digest="") for layer in source.resolved.layers)
        source.resolved = msgspec.structs.replace(source.resolved, layers=layers)
        source.blobs[""] = b""
        by_diff_id = {layer.diff_id: source.blobs[layer.diff_id] for layer in layers}
        source.open_layer = lambda layer: io.BytesIO(by_diff_id[layer.diff_id])  # type: ignore[method-assign]
        return source

    first, again = index(plain(), cache=cache), index(plain(), cache=cache)
    assert encoded(first) == encoded(again)
    assert [layer.digest for layer in first.layers] == [digest(tar) for tar in TARS]
    changed = plain()
    changed.open_layer = lambda layer: io.BytesIO(TARS[0])  # type: ignore[method-assign]
    assert len(index(changed, cache=cache).problems) == 2


def test_bytes_that_were_not_the_promised_ones_are_never_cached(tmp_path: Path) -> None:
    source = gzipped(immutable=True)
    top = source.resolved.layers[2]
    right = source.blobs[top.digest]
    source.blobs[top.digest] = gzip.compress(TARS[0])
    assert index(source, cache=LayerCache(tmp_path)).problems
    source.blobs[top.digest] = right
    assert index(source, cache=LayerCache(tmp_path)).problems == ()


def test_a_newer_cataloger_looks_again(tmp_path: Path) -> None:
    class Newer(Lines):
        version = 2

    cache = LayerCache(tmp_path)
    index(gzipped(immutable=True), cache=cache)
    source = gzipped(immutable=True)
    index_image(source, source.resolve(None), catalogers=[Newer()], cache=cache)
    assert sorted(source.opened) == sorted(source.blobs)


LINKED = [
    layer_tar([Entry("data/store", b"a 1"), Entry("data/other", b"b 1")]),
    layer_tar([symlink("db", "/data"), hardlink("data/list", "data/other"), Entry("data/list", b"c 1")]),
]


def test_what_links_led_to_is_cached_apart_from_the_layer(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path)
    expected = encoded(index(gzipped(LINKED, immutable=True)))
    for reads in (3, 0):
        source = gzipped(LINKED, immutable=True)
        report = index(source, cache=cache)
        assert (encoded(report), names(report)) == (expected, ["c 1"])
        assert len(source.opened) == reads
    alone = gzipped(LINKED[1:], immutable=True)
    unlinked = Memory([LINKED[0]], [LINKED[0]])
    assert names(index(alone, cache=cache)) == ["c 1"]
    assert names(index(unlinked, cache=cache)) == []


def test_the_layer_on_top_decides_though_a_lower_one_is_larger() -> None:
    big = layer_tar([Entry("db/list", b"a 1"), Entry("filler", bytes(3 << 20))])
    small = layer_tar([Entry("db/list", b"b 1")])
    assert names(index(Memory([big, small], [big, small]))) == ["b 1"]
    assert names(index(Memory([small, big], [small, big]))) == ["a 1"]
