from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.indexer.catalogers.alpm import AlpmCataloger
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.model import Package

DESC = b"""%NAME%
lib32-fixture

%VERSION%
1:2.40+r1-3

%BASE%
fixture

%DESC%
%NAME%
A library that is not there

%ARCH%
x86_64

%DEPENDS%
glibc
sh

"""


def read(data: bytes) -> Catalog:
    return AlpmCataloger().catalog("var/lib/pacman/local/lib32-fixture-1:2.40+r1-3/desc", MemoryContent(data))


def test_a_description_becomes_a_package_with_its_base() -> None:
    expected = Package(
        type="alpm", name="lib32-fixture", version="1:2.40+r1-3", arch="x86_64", source_name="fixture"
    )
    assert read(DESC) == Catalog((expected,))


def test_a_base_that_is_the_package_itself_is_no_source_and_fields_may_be_missing() -> None:
    assert read(b"%NAME%\na\n\n%VERSION%\n1-1\n\n%BASE%\na\n") == Catalog(
        (Package(type="alpm", name="a", version="1-1"),)
    )
    assert read(b"%VERSION%\n1-1\n%NAME%\na").packages[0].name == "a"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the package's description (no name) has no name (%NAME%)"),
        (b"%NAME%\n\n%VERSION%\n1-1\n", "the package's description (no name) has no name (%NAME%)"),
        (DESC[:23], "the package's description (lib32-fixture) has no version (%VERSION%)"),
        (b"%" * 100_000, "the package's description (no name) has no name (%NAME%)"),
    ],
)
def test_a_description_without_name_or_version_is_a_problem(data: bytes, message: str) -> None:
    catalog = read(data)
    assert catalog.packages == ()
    assert [problem.message for problem in catalog.problems] == [message]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (b"var/lib/pacman/local/zlib-1:1.3-1/desc", True),
        (b"srv/root/var/lib/pacman/local/zlib-1:1.3-1/desc", True),
        (b"var/lib/pacman/local/desc", False),
        (b"var/lib/pacman/local/zlib-1:1.3-1/files", True),
        (b"var/lib/pacman/local/zlib-1:1.3-1/mtree", False),
        (b"var/lib/pacman/sync/zlib-1:1.3-1/desc", False),
        (b"var/lib/pacman/local/a/b/desc", False),
        (b"xvar/lib/pacman/local/a/desc", False),
    ],
)
def test_accepts_only_descriptions_of_installed_packages(path: bytes, wanted: bool) -> None:
    assert AlpmCataloger().accepts(path) is wanted


@pytest.mark.parametrize("below", ["", "srv/root/"])
def test_a_list_of_files_claims_those_that_may_hold_a_language_package(below: str) -> None:
    listed = (
        b"%FILES%\nusr/\nusr/bin/\nusr/bin/tool\nusr/lib/node_modules/a/package.json\nusr/share/a.txt\n\n"
    )
    backup = b"%BACKUP%\netc/a.jar\t0123\n\n"
    path = f"{below}var/lib/pacman/local/python-fixture-1:2.0-1/files"
    for data in (listed + backup, listed, backup + listed):
        (claim,) = AlpmCataloger().catalog(path, MemoryContent(data)).claims
        assert claim.owner == "alpm/python-fixture"
        assert claim.paths.decode().split("\n") == [
            f"{below}usr/bin/tool",
            f"{below}usr/lib/node_modules/a/package.json",
        ]


@pytest.mark.parametrize("data", [b"", b"%FILES%", b"%FILES%\n", b"%BACKUP%\netc/a.jar\n", b"\0" * 1000])
def test_a_list_without_files_claims_none(data: bytes) -> None:
    assert AlpmCataloger().catalog("var/lib/pacman/local/a-1-1/files", MemoryContent(data)) == Catalog()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(DESC)), st.binary(max_size=8))
def test_mutated_descriptions_never_raise(place: int, noise: bytes) -> None:
    for package in read(DESC[:place] + noise + DESC[place + len(noise) :]).packages:
        assert package.name.isprintable()
        assert package.version.isprintable()


def test_a_huge_description_is_read_in_one_pass() -> None:
    assert read(b"%A%\n" * 1_000_000 + DESC).packages[0].name == "lib32-fixture"
