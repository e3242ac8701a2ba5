"""The documents say what the code is."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import module_index
from redoubt.definitions import records
from redoubt.model import AffectedRange

ROOT = Path(module_index.__file__).resolve().parent.parent


def test_every_module_is_listed_with_its_purpose() -> None:
    assert module_index.PAGE.read_text("utf-8") == module_index.page(), "run `make modules`"


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_links_to_headings_find_them() -> None:
    broken = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text("utf-8")):
            if "://" not in target and anchor not in anchors(page.parent / target if target else page):
                broken.append(f"{page.relative_to(ROOT)}: {target}#{anchor}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_document_says_a_line_twice() -> None:
    twice = []
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        lines = Counter(line for line in page.read_text("utf-8").splitlines() if len(line) > 60)
        twice += [f"{page.relative_to(ROOT)}: {line}" for line, count in lines.items() if count > 1]
    assert twice == []


def test_the_streams_format_is_told_whole() -> None:
    page = (ROOT / "docs" / "definitions.md").read_text("utf-8")
    told = page[page.index("## The stream's format") : page.index("## The delta's format")]
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \| (?:binary|integer|text) \|", told, re.M)]
    assert numbers == list(range(len(AffectedRange.__struct_fields__)))
    prefixes = {value for name, value in vars(records).items() if name.isupper() and isinstance(value, bytes)}
    assert {prefix.encode() for prefix in re.findall(r"^\| `([a-z])` ", told, re.M)} == prefixes


def test_no_two_files_of_tests_have_one_name() -> None:
    """pytest imports them by name: of two, the second to be collected is an error."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, number in names.items() if number > 1] == []


def test_no_file_grows_past_five_hundred_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in (ROOT / "src").rglob("*.py")
        if (count := len(path.read_text("utf-8").splitlines())) > 500
    }
    assert long == {}
