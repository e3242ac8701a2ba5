from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.indexer.catalogers.apk import ApkCataloger
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.model import Package

MUSL = b"""C:Q1abc=
P:musl
V:1.2.5-r0
A:x86_64
S:1
T:the c library
o:musl
F:lib
R:ld-musl-x86_64.so.1
P:not-a-field
"""
SSL = b"P:libssl3\nV:3.3.2-r1\nA:x86_64\no:openssl\nF:usr\n"


def read(data: bytes) -> Catalog:
    return ApkCataloger().catalog("lib/apk/db/installed", MemoryContent(data))


def test_records_become_packages_with_their_origin() -> None:
    assert read(MUSL + b"\n" + SSL + b"\n") == Catalog(
        (
            Package(type="apk", name="musl", version="1.2.5-r0", arch="x86_64"),
            Package(type="apk", name="libssl3", version="3.3.2-r1", arch="x86_64", source_name="openssl"),
        )
    )


def test_record_without_a_version_is_a_problem_and_the_next_is_read() -> None:
    catalog = read(b"P:broken\nA:x\n\nV:1\n\n" + SSL)
    assert [package.name for package in catalog.packages] == ["libssl3"]
    assert [problem.message for problem in catalog.problems] == [
        "record 1 (broken) has no version (V:)",
        "record 2 (no name) has no name (P:)",
    ]


def test_empty_database_is_empty() -> None:
    assert read(b"") == Catalog()
    assert read(b"\n\n\n") == Catalog()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (b"lib/apk/db/installed", True),
        (b"usr/lib/apk/db/installed", True),
        (b"chroot/lib/apk/db/installed", True),
        (b"xlib/apk/db/installed", False),
        (b"lib/apk/db/installed/x", False),
    ],
)
def test_accepts_only_apks_database(path: bytes, wanted: bool) -> None:
    assert ApkCataloger().accepts(path) is wanted


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(MUSL + SSL)), st.binary(max_size=8))
def test_mutated_database_never_raises(place: int, noise: bytes) -> None:
    whole = MUSL + b"\n" + SSL
    for package in read(whole[:place] + noise + whole[place + len(noise) :]).packages:
        assert package.name.isprintable()


def test_file_of_nothing_but_damage_is_given_up() -> None:
    catalog = ApkCataloger().catalog("lib/apk/db/installed", MemoryContent(b"a\n\n" * 100_000))
    assert len(catalog.problems) == 21
    assert catalog.problems[-1].message == "1,000 further problems; the rest was given up"
