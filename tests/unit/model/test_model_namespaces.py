"""Names are looked up in one form, and namespaces are what the documents say."""

from __future__ import annotations

import pytest

from redoubt.model import namespaces
from support.data import ROOT

DISTRIBUTIONS = {
    name
    for name, scheme in namespaces.SCHEMES.items()
    if scheme in namespaces.OPERATING_SYSTEM_TYPES.values()
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


@pytest.mark.parametrize(
    ("namespace", "name", "looked_up"),
    [
        ("pypi", "Foo._-Bar", "foo-bar"),
        ("nuget", "Newtonsoft.Json", "newtonsoft.json"),
        ("packagist", "Vendor/Package", "vendor/package"),
        ("hex", "Phoenix_HTML", "phoenix_html"),
        ("pub", "Http", "http"),
        ("rubygems", "RedCloth", "RedCloth"),
        ("maven", "Group:Artifact", "Group:Artifact"),
        ("swift", "https://GitHub.com/Apple/swift-nio.git", "github.com/apple/swift-nio"),
        ("swift", "github.com/apple/swift-nio/", "github.com/apple/swift-nio"),
        ("swift", "git@github.com:apple/swift-nio.git", "github.com/apple/swift-nio"),
        ("swift", "ssh://git@host.example:2222/a/b", "host.example:2222/a/b"),
        ("swift", "https://host.example/a@b/c", "host.example/a@b/c"),
        ("swift", "", ""),
    ],
)
def test_a_name_has_one_form_in_which_it_is_looked_up(namespace: str, name: str, looked_up: str) -> None:
    assert namespaces.normalize(namespace, name) == looked_up
    assert namespaces.normalize(namespace, looked_up) == looked_up
