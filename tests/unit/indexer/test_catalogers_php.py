from __future__ import annotations

import json
import random

import pytest

from redoubt.indexer.catalogers.composer import ComposerCataloger, ComposerLockCataloger
from redoubt.indexer.catalogers.interface import Catalog, Cataloger, MemoryContent
from redoubt.indexer.catalogers.pear import PearCataloger

PACKAGES: list[object] = [
    {"name": "Maker/Forge", "version": "v4.4.0", "version_normalized": "4.4.0.0", "dist": {"type": "zip"}},
    {"name": "maker/next", "version": "dev-main", "source": {"type": "git"}},
    {"name": "shop/own", "version": "1.0.0", "dist": {"type": "path", "url": "lib/own"}},
]
DEVELOPMENT = {"name": "maker/checker", "version": "8.0.0"}
FOUND = [("composer", "maker/forge", "v4.4.0"), ("composer", "maker/next", "dev-main")]

REG = (
    b'a:3:{s:7:"attribs";a:1:{s:7:"version";s:3:"2.0";}s:4:"name";s:10:"Old_Anvil";s:4:"lead";'
    b'a:1:{s:4:"name";s:5:"Smith";}s:7:"version";a:2:{s:7:"release";s:5:"1.4.9";s:3:"api";s:5:"1.4.0";}}'
)


def read(cataloger: Cataloger, document: object) -> Catalog:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return cataloger.catalog("app/vendor/composer/installed.json", MemoryContent(data))


def found(catalog: Catalog) -> list[tuple[str, str, str]]:
    return [(package.type, package.name, package.version) for package in catalog.packages]


@pytest.mark.parametrize(
    "document", [PACKAGES, {"packages": PACKAGES, "dev": True, "dev-package-names": ["maker/forge"]}]
)
def test_what_composer_installed_is_listed_in_lower_case(document: object) -> None:
    catalog = read(ComposerCataloger(), document)
    assert found(catalog) == FOUND
    assert catalog.problems == ()


def test_packages_for_development_are_left_out_of_a_lock_file() -> None:
    lock = {"content-hash": "00", "packages": PACKAGES, "packages-dev": [DEVELOPMENT]}
    catalog = read(ComposerLockCataloger(), lock)
    assert found(catalog) == FOUND
    assert catalog.problems == ()


@pytest.mark.parametrize("cataloger", [ComposerCataloger(), ComposerLockCataloger()])
@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"7", b"null", b'{"packages":7}', b"[" * 100_000, b'{"packages":[7]}', b'{"packages":[{}]}'],
)
def test_what_is_not_composers_is_damaged(cataloger: Cataloger, data: bytes) -> None:
    catalog = read(cataloger, data)
    assert catalog.packages == ()
    assert len(catalog.problems) == 1


@pytest.mark.parametrize(
    ("cataloger", "path", "wanted"),
    [
        (ComposerCataloger(), b"app/vendor/composer/installed.json", True),
        (ComposerCataloger(), b"app/deps/composer/installed.json", True),
        (ComposerCataloger(), b"app/installed.json", False),
        (ComposerLockCataloger(), b"app/composer.lock", True),
        (ComposerLockCataloger(), b"app/vendor/maker/forge/composer.lock", False),
        (PearCataloger(), b"usr/share/php/.registry/old_anvil.reg", True),
        (PearCataloger(), b"usr/share/php/.registry/.channel.pecl.php.net/x.reg", True),
        (PearCataloger(), b"home/me/settings.reg", False),
    ],
)
def test_accepts_only_what_lies_where_it_should(cataloger: Cataloger, path: bytes, wanted: bool) -> None:
    assert cataloger.accepts(path) is wanted


def test_pears_registry_names_its_packages() -> None:
    assert found(read(PearCataloger(), REG)) == [("pear", "Old_Anvil", "1.4.9")]
    old = b'a:2:{s:4:"name";s:1:"X";s:7:"version";s:3:"1.0";}'
    assert found(read(PearCataloger(), old)) == [("pear", "X", "1.0")]


@pytest.mark.parametrize("data", [b"", b"regf\0\0", REG[:60], b's:4:"name";' * 100_000])
def test_what_is_not_pears_is_damaged(data: bytes) -> None:
    catalog = read(PearCataloger(), data)
    assert catalog.packages == ()
    assert len(catalog.problems) == 1


def test_mutated_files_never_raise_and_stay_clean() -> None:
    chance = random.Random(1)
    seeds = [(ComposerCataloger(), json.dumps(PACKAGES).encode()), (PearCataloger(), REG)]
    for cataloger, seed in seeds * 200:
        data = bytearray(seed)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        for package in read(cataloger, bytes(data)).packages:
            assert package.name
            assert (package.name + package.version).isprintable()
