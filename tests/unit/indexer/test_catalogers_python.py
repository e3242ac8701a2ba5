from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.indexer.catalogers.python import PythonCataloger

PATH = "usr/lib/python3/dist-packages/Flask_Login-0.6.3.dist-info/METADATA"
METADATA = b"Metadata-Version: 2.1\nName: Flask-Login\nVersion: 0.6.3\nAuthor: A\n\nName: prose\nVersion: 9\n"


def read(data: bytes, path: str = PATH) -> Catalog:
    return PythonCataloger().catalog(path, MemoryContent(data))


def found(catalog: Catalog) -> list[tuple[str, str, str]]:
    return [(package.type, package.name, package.version) for package in catalog.packages]


def test_headers_name_the_distribution_and_prose_does_not() -> None:
    assert found(read(METADATA)) == [("pypi", "Flask-Login", "0.6.3")]
    assert read(METADATA).problems == ()


def test_headers_in_any_case_and_with_windows_line_ends() -> None:
    assert found(read(b"NAME:x\r\nversion : 1.0 \r\n\r\nVersion: 2")) == [("pypi", "x", "1.0")]


def test_continuation_line_is_no_header() -> None:
    assert found(read(b"Summary: a\n Name: evil\n Version: 1\nName: good\nVersion: 2\n")) == [
        ("pypi", "good", "2")
    ]


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"Summary: nothing\n\n"])
def test_without_headers_the_path_is_believed_and_a_problem_says_so(data: bytes) -> None:
    catalog = read(data)
    assert found(catalog) == [("pypi", "Flask_Login", "0.6.3")]
    assert len(catalog.problems) == 1


def test_version_is_taken_from_an_egg_info_files_name() -> None:
    assert found(read(b"Name: old\n", "x/old-1.2-py3.11.egg-info")) == [("pypi", "old", "1.2")]


def test_nothing_at_all_is_a_problem_without_a_package() -> None:
    catalog = read(b"", "x/EGG-INFO/PKG-INFO")
    assert catalog.packages == ()
    assert len(catalog.problems) == 1


def test_headers_longer_than_the_first_read_are_read() -> None:
    assert found(read(b"Requires: x\n" * 10_000 + METADATA)) == [("pypi", "Flask-Login", "0.6.3")]


@pytest.mark.parametrize(
    ("data", "elsewhere"),
    [
        (b'{"url":"git+https://x","vcs_info":{"vcs":"git","commit_id":"0"}}', "git+https://x"),
        (b'{"url":"https://me:secret@example.org/a","vcs_info":{}}', "https://example.org/a"),
        (b'{"url":"file:///src/app","dir_info":{"editable":true}}', "file:///src/app"),
        (b'{"dir_info":{}}', "elsewhere"),
        (b'{"url":7,"dir_info":{}}', "elsewhere"),
        (b'{"url":"file:///wheels/a-1-py3-none-any.whl","archive_info":{}}', ""),
        (b"{}", ""),
    ],
)
def test_direct_url_tells_where_the_distribution_beside_it_came_from(data: bytes, elsewhere: str) -> None:
    assert read(data, "lib/a-1.dist-info/direct_url.json") == Catalog(elsewhere=elsewhere)


@pytest.mark.parametrize("data", [b"", b"[]", b"[" * 100_000, b'{"url"'])
def test_direct_url_that_is_not_one_is_damaged(data: bytes) -> None:
    catalog = read(data, "lib/a-1.dist-info/direct_url.json")
    assert catalog.elsewhere == ""
    assert len(catalog.problems) == 1


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (b"lib/a-1.dist-info/METADATA", True),
        (b"lib/a-1.dist-info/direct_url.json", True),
        (b"lib/a/direct_url.json", False),
        (b"lib/A-1.DIST-INFO/METADATA", True),
        (b"lib/a.egg-info/PKG-INFO", True),
        (b"lib/a-1-py3.egg/EGG-INFO/PKG-INFO", True),
        (b"lib/a-1-py3.11.egg-info", True),
        (b"src/a-1/PKG-INFO", False),
        (b"lib/a-1.dist-info/sub/METADATA", False),
        (b"METADATA", False),
    ],
)
def test_accepts_only_a_distributions_own_folder(path: bytes, wanted: bool) -> None:
    assert PythonCataloger().accepts(path) is wanted


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.text(max_size=60))
def test_noise_never_raises_and_names_no_unprintable_package(data: bytes, path: str) -> None:
    for package in read(b"Name: " + data, path).packages:
        assert package.name.isprintable()
        assert package.version.isprintable()
