"""``docs/coverage.md`` and the code name the same catalogers, namespaces and sources."""

from __future__ import annotations

import re

from redoubt.definitions.sources import SOURCES
from redoubt.indexer.catalogers import ALL
from redoubt.model import namespaces
from support.data import ROOT

PAGE = (ROOT / "docs" / "coverage.md").read_text()
CATALOGERS = (ROOT / "docs" / "catalogers.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", PAGE, re.M)]


def names(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def column(number: int) -> set[str]:
    """What the tables name in a column, and the sentences beside them, which name systems' and CVEs' things."""
    beside = "\n".join(line for line in PAGE.splitlines() if not line.startswith("|"))
    return set().union(*(names(row[number]) for row in ROWS)) | names(beside)


def test_every_row_has_every_column_and_what_is_left_out_has_a_reason() -> None:
    for row in ROWS:
        assert len(row) == 5, row[0]
        assert names(row[3]) or row[4], f"{row[0]} is not judged, and nothing says why"
        assert bool(names(row[2])) == bool(names(row[3])), row[0]


def test_the_page_names_every_cataloger_and_no_other() -> None:
    every = {cataloger.name for cataloger in ALL}
    assert every - column(1) == set()
    assert set().union(*(names(row[1]) for row in ROWS)) - every == set()


def test_the_page_names_every_namespace_and_no_other() -> None:
    assert set().union(*(names(row[2]) for row in ROWS)) == set(namespaces.SCHEMES)


def test_the_page_names_every_source_and_no_other() -> None:
    every = {source.name for source in SOURCES}
    assert every - column(3) == set()
    assert set().union(*(names(row[3]) for row in ROWS)) - every == set()


def test_every_cataloger_is_told_about_once() -> None:
    rows = re.findall(r"^\|([^|]*)\|", CATALOGERS, re.M)
    for cataloger in ALL:
        told = [row for row in rows if re.search(rf"\((?:`[^`]+`, )*`{cataloger.name}`(?:, `[^`]+`)*\)", row)]
        assert len(told) == 1, cataloger.name


def test_decisions_have_numbers_of_their_own() -> None:
    pages = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert len({name[:4] for name in pages}) == len(pages), pages
    for name in pages:
        assert (ROOT / "docs" / "decisions" / name).read_text().startswith(f"# {name[:4]}: ")
