"""What the fixture of endoflife.date's feed does not show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from redoubt.definitions.build import merge
from redoubt.definitions.feeds.endoflife import EndOfLifeFeed
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes
from redoubt.definitions.records import decode_end_of_life, end_of_life
from redoubt.errors import UnreadableInput
from redoubt.model import EndOfLife


def read(folder: Path, data: object) -> tuple[list[Item], Notes]:
    content = data if isinstance(data, bytes) else json.dumps(data).encode()
    (folder / "products.json").write_bytes(content)
    notes = Notes()
    files = Files([("endoflife/products.json", folder / "products.json")])
    return list(EndOfLifeFeed().read(files, "endoflife", notes, facts_only=True)), notes


GOOD = {"name": "debian", "releases": [{"name": "90", "eolFrom": "2094-06-30"}]}


@pytest.mark.parametrize(
    "broken",
    [
        5,
        {"name": 5},
        {"name": "debian", "releases": {}},
        {"name": "debian", "releases": [{"name": 90}]},
        {"name": "debian", "releases": [{"name": "91", "eolFrom": True}]},
        {"name": "debian", "releases": ["91"]},
        {"name": "debian", "releases": [{"name": "9\u0000", "eolFrom": "2094-06-30"}]},
        {"name": "debian", "releases": [{"name": "9" * 5000, "eolFrom": "2094-06-30"}]},
    ],
)
def test_a_broken_release_is_counted_and_the_next_one_is_read(broken: object, tmp_path: Path) -> None:
    items, notes = read(tmp_path, {"result": [broken, GOOD]})
    assert items == [("debian:90", EndOfLife("2094-06-30"))]
    assert (notes.read, notes.spoilt) == (2, 1)


@pytest.mark.parametrize("day", [None, "", "soon", "2094-13-01", "2094"])
def test_what_is_no_day_is_no_end(day: str | None, tmp_path: Path) -> None:
    items, notes = read(
        tmp_path, {"result": [{"name": "debian", "releases": [{"name": "90", "eolFrom": day}]}]}
    )
    assert (items, notes.dropped) == ([], {"no day is named": 1})


@pytest.mark.parametrize("data", [b" ", b"[]", b"{", b"[" * 100_000, {"result": {}}, {"products": []}])
def test_what_is_not_the_file_is_refused(data: object, tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"not endoflife.date's JSON"):
        read(tmp_path, data)


def test_of_two_days_the_later_one_stands() -> None:
    key, old = end_of_life("debian:90", "2094-06-30")
    _, new = end_of_life("debian:90", "2095-06-30")
    assert decode_end_of_life(merge(key, [old, new])) == "2095-06-30"
