"""The documents say what the code is."""

from __future__ import annotations

import re
from pathlib import Path

import module_index

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


def test_no_file_grows_past_five_hundred_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in (ROOT / "src").rglob("*.py")
        if (count := len(path.read_text("utf-8").splitlines())) > 500
    }
    assert long == {}
