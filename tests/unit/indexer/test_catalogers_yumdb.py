"""Where packages came from, as yum noted it, and how that reaches the packages of rpm's database."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indexing import Memory

from ociwriter import Entry, hardlink, layer_tar, whiteout
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.indexer.catalogers.yumdb import YumdbCataloger
from redoubt.indexer.index import index_image
from redoubt.indexer.origins import Origin, Origins
from redoubt.model import Package
from support import rpmwriter

FOLDER = "var/lib/yum/yumdb/f/{}-fixture-php-{}-x86_64"


def note(version: str = "8.0.30-1.amzn2", identifier: str = "0a" * 20) -> str:
    return f"{FOLDER.format(identifier, version)}/from_repo"


def read(path: str, data: bytes = b"amzn2-core") -> Catalog:
    return YumdbCataloger().catalog(path, MemoryContent(data))


@pytest.mark.parametrize(
    ("path", "origin"),
    [
        (note(), Origin("rpm", "fixture-php", "8.0.30-1.amzn2", "x86_64", "amzn2-core")),
        ("sys/" + note(), Origin("rpm", "fixture-php", "8.0.30-1.amzn2", "x86_64", "amzn2-core")),
        (
            "var/lib/yum/yumdb/a/None-a-1-2-noarch/from_repo",
            Origin("rpm", "a", "1-2", "noarch", "amzn2-core"),
        ),
    ],
)
def test_the_path_names_the_package_and_the_file_its_repository(path: str, origin: Origin) -> None:
    assert YumdbCataloger().accepts(path.encode())
    assert read(path) == Catalog(origins=(origin,))
    assert read(path, b"amzn2-core\n") == Catalog(origins=(origin,))


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"installed", b"anaconda/7.9", b"/fixture-8.0.rpm", b"@commandline", b"\0"]
)
def test_what_is_no_repository_is_not_told(data: bytes) -> None:
    assert read(note(), data) == Catalog()


@pytest.mark.parametrize(
    "path",
    [
        "var/lib/yum/yumdb/from_repo",
        "var/lib/yum/yumdb/a/from_repo",
        "var/lib/yum/yumdb/a/id-a-1-2/from_repo",
        "var/lib/yum/yumdb/a/id-a-1-2-noarch/reason",
        "var/lib/yum/yumdb/a/id-a-1-2-noarch/b/from_repo",
        "xvar/lib/yum/yumdb/a/id-a-1-2-noarch/from_repo",
        "var/lib/yum/yumdb/" + "a-" * 50_000 + "/from_repo",
        "var/lib/yum/yumdb/" * 5_000 + "from_repo",
    ],
)
def test_other_paths_are_not_wanted(path: str) -> None:
    assert not YumdbCataloger().accepts(path.encode())
    assert read(path) == Catalog()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=20))
def test_any_path_and_content_are_told_cleanly_or_not_at_all(folder: bytes, data: bytes) -> None:
    path = (b"var/lib/yum/yumdb/a/" + folder + b"/from_repo").decode("utf-8", "surrogateescape")
    for origin in read(path, data).origins:
        assert origin.repository.isprintable()
        assert origin.name.isprintable()


def rpmdb(*versions: str, epoch: int = 0) -> Entry:
    headers = [
        rpmwriter.header(
            name="fixture-php",
            version=version,
            release="1.amzn2",
            arch="x86_64",
            vendor="Amazon Linux",
            **({"epoch": epoch} if epoch else {}),
        )
        for version in versions
    ]
    return Entry("var/lib/rpm/rpmdb.sqlite", rpmwriter.database(headers))


def repositories(*layers: list[Entry]) -> dict[str, tuple[str, ...]]:
    tars = [layer_tar(entries) for entries in layers]
    source = Memory(tars, tars)
    report = index_image(source, source.resolve(None))
    assert report.problems == ()
    return {package.version: package.repositories for package in report.packages}


def test_packages_of_the_database_are_told_with_their_repository_epoch_or_not() -> None:
    noted = Entry(note(), b"amzn2extra-fixture8.0")
    for epoch in (0, 2):
        version = "2:8.0.30-1.amzn2" if epoch else "8.0.30-1.amzn2"
        assert repositories([rpmdb("8.0.30", epoch=epoch), noted]) == {version: ("amzn2extra-fixture8.0",)}
    assert repositories([rpmdb("8.0.30")], [noted]) == {"8.0.30-1.amzn2": ("amzn2extra-fixture8.0",)}


def test_a_note_about_another_build_or_one_that_was_removed_says_nothing() -> None:
    assert repositories([rpmdb("8.0.29"), Entry(note(), b"amzn2-core")]) == {"8.0.29-1.amzn2": ()}
    gone = whiteout("var/lib/yum/yumdb")
    assert repositories([rpmdb("8.0.30"), Entry(note(), b"amzn2-core")], [gone]) == {"8.0.30-1.amzn2": ()}


def test_notes_that_yum_linked_to_each_other_are_about_their_own_packages() -> None:
    first, second = note("8.0.29-1.amzn2"), note("8.0.30-1.amzn2", "0b" * 20)
    linked = [Entry(first, b"amzn2extra-fixture8.0"), hardlink(second, first)]
    assert repositories([rpmdb("8.0.29", "8.0.30"), *linked]) == {
        "8.0.29-1.amzn2": ("amzn2extra-fixture8.0",),
        "8.0.30-1.amzn2": ("amzn2extra-fixture8.0",),
    }


def test_what_a_package_says_itself_wins_and_several_notes_are_sorted() -> None:
    origins = Origins(Origin("rpm", "a", "1-2", "x86_64", name) for name in ("b", "a", "b"))
    package = Package(type="rpm", name="a", version="3:1-2", arch="x86_64")
    assert origins.told(package).repositories == ("a", "b")
    own = Package(type="rpm", name="a", version="1-2", arch="x86_64", repositories=("own",))
    assert origins.told(own) is own
    for other in ({"arch": "noarch"}, {"type": "deb"}, {"name": "b"}, {"version": "1-3"}):
        changed = Package(**{"type": "rpm", "name": "a", "version": "1-2", "arch": "x86_64", **other})
        assert origins.told(changed) is changed
