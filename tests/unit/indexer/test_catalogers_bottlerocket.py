from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.indexer.catalogers.bottlerocket import BottlerocketCataloger
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.model import Package

PLACE = "x86_64-bottlerocket-linux-gnu/sys-root/usr/share/bottlerocket/application-inventory.json"
ENTRY = {
    "Name": "fixture",
    "Publisher": "Bottlerocket",
    "Version": "2.43",
    "Release": "1.4079663821.aaaaaaaa.br1",
    "Epoch": "1",
    "InstalledTime": "2099-01-01T00:00:00Z",
    "ApplicationType": "Unspecified",
    "Architecture": "x86_64",
    "Url": "https://example.org/",
    "Summary": "Made up for a test",
}


def read(document: object) -> Catalog:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return BottlerocketCataloger().catalog(PLACE, MemoryContent(data))


@pytest.mark.parametrize(
    ("entry", "version"),
    [
        (ENTRY, "1:2.43-1.4079663821.aaaaaaaa.br1"),
        ({**ENTRY, "Epoch": "0"}, "2.43-1.4079663821.aaaaaaaa.br1"),
        ({**ENTRY, "Epoch": 2}, "2:2.43-1.4079663821.aaaaaaaa.br1"),
        ({**ENTRY, "Epoch": "", "Release": ""}, "2.43"),
        ({"Name": "fixture", "Version": "2.43", "Publisher": "Bottlerocket", "Architecture": "x86_64"}, "2.43"),
    ],
)  # fmt: skip
def test_entries_become_rpm_packages(entry: dict[str, object], version: str) -> None:
    package = Package(type="rpm", name="fixture", version=version, arch="x86_64", vendor="Bottlerocket")
    assert read({"Content": [entry]}) == Catalog((package,))


@pytest.mark.parametrize(
    "entry",
    [7, None, [], {"Name": 7}, {**ENTRY, "Name": ""}, {**ENTRY, "Version": ""}, {**ENTRY, "Epoch": []}],
)
def test_a_broken_entry_costs_only_itself(entry: object) -> None:
    catalog = read({"Content": [entry, ENTRY]})
    assert [package.name for package in catalog.packages] == ["fixture"]
    assert len(catalog.problems) == 1


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{}", {"Content": {}}, {"Content": None}, b"[" * 300_000, b"\xff\xfe", b'{"Content": ['],
)
def test_a_file_that_is_no_inventory_is_a_problem(document: object) -> None:
    catalog = read(document)
    assert catalog.packages == ()
    assert len(catalog.problems) == 1


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (PLACE.encode(), True),
        (b"usr/share/bottlerocket/application-inventory.json", True),
        (b"share/bottlerocket/application-inventory.json", False),
        (b"xusr/share/bottlerocket/application-inventory.json", False),
    ],
)
def test_accepts_only_the_inventory(path: bytes, wanted: bool) -> None:
    assert BottlerocketCataloger().accepts(path) is wanted


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.binary(max_size=8))
def test_mutated_inventory_never_raises(place: int, noise: bytes) -> None:
    whole = json.dumps({"Content": [ENTRY]}).encode()
    for package in read(whole[:place] + noise + whole[place + len(noise) :]).packages:
        assert package.name.isprintable()
