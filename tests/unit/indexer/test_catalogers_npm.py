from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.indexer.catalogers.npm import NpmCataloger

PATH = "app/node_modules/left-pad/package.json"


def read(data: bytes) -> Catalog:
    return NpmCataloger().catalog(PATH, MemoryContent(data))


def found(catalog: Catalog) -> list[tuple[str, str, str]]:
    return [(package.type, package.name, package.version) for package in catalog.packages]


def test_manifest_names_the_package() -> None:
    catalog = read(
        b'{"name":"@babel/core","version":"7.1.0","dependencies":{"x":["y",null,1e9]},"private":0}'
    )
    assert found(catalog) == [("npm", "@babel/core", "7.1.0")]


def test_byte_order_mark_is_skipped() -> None:
    assert found(read(b'\xef\xbb\xbf{"name":"a","version":"1.0.0"}')) == [("npm", "a", "1.0.0")]


@pytest.mark.parametrize("data", [b"{}", b'{"name":"a"}', b'{"version":"1"}', b'{"name":"","version":"1"}'])
def test_manifest_without_name_or_version_is_no_package(data: bytes) -> None:
    assert read(data) == Catalog()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"name":"a","version":1}',
        b'{"name":["a"],"version":"1"}',
        b'{"name":{"name":"a"},"version":"1"}',
        b'{"name":"a","version":"1"} trailing',
        b'{"name":"\xff","version":"1"}',
        b'{"name":"a","version":"1","x":' + b"[" * 200_000,
        b'{"name":' + b"[" * 50_000 + b"]" * 50_000 + b',"version":"1"}',
    ],
)
def test_what_is_not_a_manifest_is_one_damaged_problem(data: bytes) -> None:
    catalog = read(data)
    assert catalog.packages == ()
    assert len(catalog.problems) == 1
    assert len(catalog.problems[0].message) < 300


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (b"app/node_modules/a/package.json", True),
        (b"node_modules/a/package.json", True),
        (b"app/node_modules/@s/a/package.json", True),
        (b"app/node_modules/a/node_modules/b/package.json", True),
        (b"app/node_modules/.pnpm/a@1.0.0/node_modules/a/package.json", True),
        (b"usr/share/nodejs/tar/package.json", True),
        (b"usr/share/nodejs/@npmcli/git/package.json", True),
        (b"usr/share/nodejs/a/node_modules/b/package.json", True),
        (b"usr/lib/nodejs/gauge/package.json", True),
        (b"usr/lib/x86_64-linux-gnu/nodejs/iconv/package.json", True),
        (b"chroot/usr/lib/arm-linux-gnueabihf/nodejs/iconv/package.json", True),
        (b"usr/share/nodejs/puka/scripts/expect-arg/package.json", False),
        (b"usr/share/nodejs/package.json", False),
        (b"usr/local/share/nodejs/a/package.json", False),
        (b"usr/lib/other/nodejs/a/package.json", False),
        (b"app/package.json", False),
        (b"app/node_modules/package.json", False),
        (b"app/node_modules/@s/package.json", False),
        (b"app/node_modules/a/dist/esm/package.json", False),
        (b"app/node_modules/@s/a/dist/package.json", False),
        (b"app/node_modules/.cache/package.json", False),
        (b"app/my_node_modules/a/package.json", False),
    ],
)
def test_accepts_only_a_packages_own_manifest(path: bytes, wanted: bool) -> None:
    assert NpmCataloger().accepts(path) is wanted


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 60), st.binary(max_size=4))
def test_mutated_manifest_never_raises(place: int, noise: bytes) -> None:
    data = b'{"name":"left-pad","version":"1.3.0","main":"index.js","x":[1]}'
    for package in read(data[:place] + noise + data[place + len(noise) :]).packages:
        assert package.name.isprintable()
