"""An unpacked root: the same packages as its image, and never a step outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from indexing import Lines, Memory

from ociwriter import layer_tar, tree
from redoubt.errors import AccessDenied, UnreadableInput
from redoubt.indexer.dispatch import Dispatch
from redoubt.indexer.index import index_directory, index_image
from redoubt.indexer.limits import Limits
from redoubt.model import IndexReport, ProblemKind
from support.nobody import unprivileged


def index(root: Path, limits: Limits | None = None) -> IndexReport:
    return index_directory(root, f"dir:{root.name}", catalogers=[Lines()], limits=limits)


def found(report: IndexReport) -> dict[str, list[str]]:
    return {package.name: [place.path for place in package.locations] for package in report.packages}


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_a_folder_gives_what_its_image_gives(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"etc/os-release": "demo", "db/list": "a 1\nb 2", "x/y.box": "c 1", "bin/prog": "#GO again g 1\n"},
    )
    (tmp_path / "bin/prog").chmod(0o755)
    (tmp_path / "db/link").symlink_to("list")
    report = index(tmp_path)
    tar = layer_tar(tree(tmp_path))
    source = Memory([tar], [tar])
    image = index_image(source, source.resolve(None), catalogers=[Lines()])
    assert (
        found(report)
        == found(image)
        == {"a": ["db/list"], "b": ["db/list"], "c": ["x/y.box"], "g": ["bin/prog"]}
    )
    assert report.distribution == image.distribution
    assert report.image.kind == "dir"
    assert report.layers == ()
    assert all(place.layer == "" for package in report.packages for place in package.locations)


@pytest.mark.parametrize("target", ["data/store", "/data/store", "../../../data/store", "via/store"])
def test_a_linked_database_is_followed_inside_the_root(tmp_path: Path, target: str) -> None:
    write(tmp_path / "root", {"data/store": "a 1", "db/x": ""})
    (tmp_path / "root/db/list").symlink_to(f"../{target}" if target[0] not in "./" else target)
    (tmp_path / "root/via").symlink_to("/data")
    assert found(index(tmp_path / "root")) == {"a": ["data/store"]}


def test_links_to_the_outside_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, {"outside/list": "secret 1", "root/x": ""})
    root = tmp_path / "root"
    (root / "db").symlink_to(tmp_path / "outside")
    (root / "etc").symlink_to("../outside")
    (root / "loop").symlink_to(".")
    assert found(index(root)) == {}


def test_a_folder_that_is_exchanged_for_a_link_meanwhile_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"outside/y/db/list": "secret 1", "root/db/list": "a 1", "root/x/y/db/list": "b 1"})
    root = tmp_path / "root"
    directory = Dispatch.directory

    def exchanged(self: Dispatch, path: bytes) -> None:
        directory(self, path)
        if path == b"x/y/db":  # the last that is seen before anything in it is
            (root / "x").rename(tmp_path / "old")
            (root / "x").symlink_to(tmp_path / "outside")

    monkeypatch.setattr(Dispatch, "directory", exchanged)
    report = index(root)
    assert found(report) == {"a": ["db/list"]}
    assert [problem.path for problem in report.problems] == ["x/y/db"]


def test_a_file_whose_folder_is_exchanged_for_a_link_meanwhile_is_the_one_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"outside/list": "secret 1", "root/db/list": "a 1"})
    root = tmp_path / "root"
    regular = Dispatch.regular

    def exchanged(self: Dispatch, path: bytes, size: int, executable: bool) -> object:
        (root / "db").rename(tmp_path / "old")
        (root / "db").symlink_to(tmp_path / "outside")
        return regular(self, path, size, executable)

    monkeypatch.setattr(Dispatch, "regular", exchanged)
    assert found(index(root)) == {"a": ["db/list"]}


def test_whiteout_names_are_ordinary_names_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path, {"db/list": "a 1", "db/.wh.list": "", "db/.wh..wh..opq": ""})
    assert found(index(tmp_path)) == {"a": ["db/list"]}


def test_pipes_and_sockets_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    os.mkfifo(tmp_path / "db/list")
    assert found(index(tmp_path)) == {}


def test_names_that_are_not_utf8_are_told_with_escapes(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/\xff/db"
    os.makedirs(folder)
    with open(folder + b"/list", "wb") as file:
        file.write(b"a 1")
    assert found(index(tmp_path)) == {"a": ["\\xff/db/list"]}


def test_a_failing_cataloger_costs_one_file(tmp_path: Path) -> None:
    write(tmp_path, {"db/list": "!", "x/db/list": "a 1"})
    report = index(tmp_path)
    assert found(report) == {"a": ["x/db/list"]}
    assert [(p.kind, p.path) for p in report.problems] == [(ProblemKind.DAMAGED, "db/list")]


def test_too_many_files_are_said(tmp_path: Path) -> None:
    write(tmp_path, {f"{n}.box": f"p{n} 1" for n in range(9)})
    report = index(tmp_path, Limits(members=5))
    assert [problem.kind for problem in report.problems] == [ProblemKind.LIMIT]
    assert len(report.packages) == 5


def test_a_file_that_may_not_be_read_is_said() -> None:
    with unprivileged() as root:
        write(root, {"db/list": "a 1"})
        (root / "db/list").chmod(0)
        assert [problem.path for problem in index(root).problems] == ["db/list"]
        (root / "db").chmod(0)
        assert [problem.path for problem in index(root).problems] == ["db"]
        (root / "db").chmod(0o755)
        root.chmod(0)
        with pytest.raises(AccessDenied):
            index(root)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"file": ""})
    for path in (tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(UnreadableInput):
            index(path)
