from __future__ import annotations

import io
import zipfile

import pytest

from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.indexer.catalogers.python_egg import EggCataloger

PATH = "usr/lib/python3/site-packages/Anvil-4.4-py3.11.egg"


def egg(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("anvil/__init__.py"), b"x = 1\n" * 100, zipfile.ZIP_DEFLATED)
        for name, data in members.items():
            archive.writestr(
                zipfile.ZipInfo(f"EGG-INFO/{name.replace('_', '-')}"), data, zipfile.ZIP_DEFLATED
            )
    return file.getvalue()


def read(data: bytes, path: str = PATH) -> Catalog:
    return EggCataloger().catalog(path, MemoryContent(data))


def found(catalog: Catalog) -> list[tuple[str, str, str]]:
    return [(package.type, package.name, package.version) for package in catalog.packages]


def test_zipped_egg_is_the_distribution_that_its_headers_name() -> None:
    catalog = read(egg(PKG_INFO=b"Metadata-Version: 2.1\nName: Anvil\nVersion: 4.4\n\nProse\n"))
    assert found(catalog) == [("pypi", "Anvil", "4.4")]
    assert catalog.problems == ()


def test_without_headers_the_name_of_the_file_is_believed_and_a_problem_says_so() -> None:
    catalog = read(egg(PKG_INFO=b"Summary: none\n"))
    assert found(catalog) == [("pypi", "Anvil", "4.4")]
    assert len(catalog.problems) == 1


@pytest.mark.parametrize("data", [b"", b"/src/anvil\n.", b"\x7fELF"])
def test_link_to_a_working_tree_is_no_egg(data: bytes) -> None:
    assert read(data) == Catalog()


@pytest.mark.parametrize(
    "data",
    [
        b"PK",
        egg(top_level=b"anvil"),
        egg(PKG_INFO=b"Name: Anvil\n" * 50)[:-30],
        egg(PKG_INFO=b"Name: a")[:60],
    ],
)
def test_damaged_egg_is_a_problem(data: bytes) -> None:
    catalog = read(data)
    assert catalog.packages == ()
    assert len(catalog.problems) == 1


def test_headers_that_never_end_are_read_up_to_a_limit() -> None:
    catalog = read(egg(PKG_INFO=b"Name: Anvil\nVersion: 4.4\n" + b"X: y\n" * 4_000_000))
    assert found(catalog) == [("pypi", "Anvil", "4.4")]
