"""Layer reports on disk: found again, never trusted blindly, never needed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from indexing import Lines

from redoubt.indexer.cache import LayerCache, fingerprint
from redoubt.indexer.report import FileReport, LayerReport
from redoubt.model import Distribution, Location, Package, Problem, ProblemKind

MARK = fingerprint([Lines()])


def report(diff_id: str = "sha256:d", names: bytes = b"names") -> LayerReport:
    package = Package(type="deb", name="a", version="1", locations=(Location("x!/y"),))
    problem = Problem(kind=ProblemKind.DAMAGED, message="m", path="p")
    file = FileReport("p", "lines", (package,), (problem,), Distribution(id="debian"))
    return LayerReport(
        diff_id=diff_id,
        digest="sha256:s",
        size=1,
        unpacked_size=2,
        entries=3,
        files=(file,),
        whiteouts=("w",),
        opaques=("",),
        links={"a": "b"},
        names=names,
        problems=(problem,),
    )


def only_entry(folder: Path) -> Path:
    (entry,) = folder.iterdir()
    return entry


def test_a_report_comes_back_as_it_was(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path / "cache")
    assert cache.get("sha256:s", MARK) is None
    cache.put("sha256:s", MARK, report())
    assert cache.get("sha256:s", MARK) == report()


def test_other_digests_catalogers_and_requests_are_other_entries(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path)
    cache.put("sha256:s", MARK, report())
    cache.put("sha256:s", MARK, report("sha256:r"), "request")
    assert cache.get("sha256:t", MARK) is None
    assert cache.get("sha256:s", "other") is None
    assert cache.get("sha256:s", MARK, "another") is None
    assert cache.get("sha256:s", MARK, "request") == report("sha256:r")


def test_the_fingerprint_depends_on_names_and_versions_and_not_on_their_order() -> None:
    class Other(Lines):
        name = "other"

    class Newer(Lines):
        version = 2

    assert fingerprint([Lines(), Other()]) == fingerprint([Other(), Lines()])
    marks = {fingerprint(some) for some in ([Lines()], [Other()], [Newer()], [Lines(), Other()], [])}
    assert len(marks) == 5


@pytest.mark.parametrize("cut", [0, 10, 31, 32, 40, -1])
def test_a_truncated_entry_is_a_miss(tmp_path: Path, cut: int) -> None:
    cache = LayerCache(tmp_path)
    cache.put("sha256:s", MARK, report())
    entry = only_entry(tmp_path)
    entry.write_bytes(entry.read_bytes()[:cut])
    assert cache.get("sha256:s", MARK) is None
    cache.put("sha256:s", MARK, report())
    assert cache.get("sha256:s", MARK) == report()


def test_a_changed_byte_is_a_miss(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path)
    cache.put("sha256:s", MARK, report())
    entry = only_entry(tmp_path)
    whole = entry.read_bytes()
    for at in range(len(whole)):
        entry.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert cache.get("sha256:s", MARK) is None


def test_a_sound_entry_of_another_shape_is_a_miss(tmp_path: Path) -> None:
    import hashlib

    cache = LayerCache(tmp_path)
    cache.put("sha256:s", MARK, report())
    body = b"\x93\x01\x02\x03"
    only_entry(tmp_path).write_bytes(hashlib.sha256(body).digest() + body)
    assert cache.get("sha256:s", MARK) is None


def test_a_folder_that_cannot_be_made_is_an_empty_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = LayerCache(tmp_path / "file" / "cache")
    cache.put("sha256:s", MARK, report())
    assert cache.get("sha256:s", MARK) is None
    cache.prune()
    assert (tmp_path / "file").read_text() == ""


def test_pruning_drops_what_was_not_used_for_longest(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path, size=3500)
    for number in range(4):
        cache.put(f"sha256:{number}", MARK, report(names=bytes(1000)))
        (newest,) = [e for e in tmp_path.iterdir() if e.stat().st_mtime_ns > 1_000_000_000_000]
        os.utime(newest, (number, number))
    assert cache.get("sha256:0", MARK) is not None  # used: now the newest
    cache.prune()
    held = [number for number in range(4) if cache.get(f"sha256:{number}", MARK)]
    assert held == [0, 3]
    assert sum(entry.stat().st_size for entry in tmp_path.iterdir()) <= 3500


def test_nothing_half_written_stays_beside_the_entries(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path)
    for _ in range(3):
        cache.put("sha256:s", MARK, report())
    assert len(list(tmp_path.iterdir())) == 1
