"""Names are looked up in one form, and namespaces are what the documents say."""

from __future__ import annotations

import pytest

from redoubt.model import namespaces
from support.data import ROOT

DISTRIBUTIONS = {
    name for name, scheme in namespaces.SCHEMES.items() if scheme in namespaces.OPERATING_SYSTEM_TYPES
}


def test_comprehensive_namespaces_are_distributions_releases_included() -> None:
    assert namespaces.COMPREHENSIVE < DISTRIBUTIONS
    assert namespaces.is_comprehensive("debian:12")
    assert not namespaces.is_comprehensive("amazon:2")
    assert not namespaces.is_comprehensive("wolfi")
    assert not namespaces.is_comprehensive("pypi")


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_the_documents_say_whether_a_distribution_names_what_has_no_fix(name: str) -> None:
    table = (ROOT / "docs" / "sources.md").read_text().partition("## Which distributions also name")[2]
    [row] = [line for line in table.partition("\n## ")[0].splitlines() if f"`{name}`" in line]
    assert row.split("|")[2].strip() == ("named" if namespaces.is_comprehensive(name) else "not named")
