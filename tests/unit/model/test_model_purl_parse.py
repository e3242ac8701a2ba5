"""Purls taken apart: as packageurl does, and nothing breaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packageurl import PackageURL

from redoubt.model import Package, purl

WORD = st.text("abcXYZ019._-+~:", min_size=1, max_size=6)


@given(
    st.sampled_from(["deb", "rpm", "npm", "maven", "golang", "cargo", "gem", "generic"]),
    st.lists(WORD, max_size=2),
    WORD,
    # A slash at the end belongs to no version: the parser takes it away before it looks.
    st.text(max_size=8).filter(lambda text: text.isprintable() and not text.endswith("/")),
    st.dictionaries(st.sampled_from(["arch", "distro", "epoch"]), WORD, max_size=2),
)
def test_parts_are_those_of_packageurl(
    kind: str, scope: list[str], name: str, version: str, qualifiers: dict[str, str]
) -> None:
    whole = PackageURL(kind, "/".join(scope) or None, name, version or None, qualifiers or None)
    text = whole.to_string()
    expected = PackageURL.from_string(text)
    found = purl.parse(text)
    assert found is not None
    joined = "/".join(part for part in (expected.namespace, expected.name) if part)
    assert (found.type, found.name.lower()) == (kind, joined.lower())
    assert (found.version, found.qualifiers) == (expected.version or "", expected.qualifiers or {})


@pytest.mark.parametrize(
    ("text", "name", "version"),
    [
        ("pkg:npm/%40shop/cart@1.0", "@shop/cart", "1.0"),
        ("pkg:npm/@shop/cart@1.0", "@shop/cart", "1.0"),
        ("pkg:npm/@shop/cart", "@shop/cart", ""),
        ("pkg://npm/cart", "cart", ""),
        ("PKG:NPM/cart", "cart", ""),
        ("pkg:pypi/Flask_Login@1", "flask-login", "1"),
        ("pkg:golang/github.com/Azure/sdk@v1%2B2", "github.com/azure/sdk", "v1+2"),
        ("pkg:oci/shop@sha256:1", "shop", "sha256:1"),
        ("pkg:deb/debian/a@1:2-3~b+c?arch=amd64#sub", "debian/a", "1:2-3~b+c"),
    ],
)
def test_names_come_as_they_are_compared(text: str, name: str, version: str) -> None:
    found = purl.parse(text)
    assert found is not None
    assert (found.name, found.version) == (name, version)


@pytest.mark.parametrize(
    "text", ["", "pkg:", "pkg:npm", "pkg:npm/", "pkg:/a", "npm/a", "pkg:npm/" + "a" * 9000]
)
def test_what_is_no_purl_is_none(text: str) -> None:
    assert purl.parse(text) is None


@given(st.text(max_size=60))
def test_any_text_is_a_purl_or_none(text: str) -> None:
    found = purl.parse(f"pkg:{text}")
    assert found is None or (found.type and found.name)


def test_our_own_purls_are_read_back() -> None:
    package = Package(
        type="deb",
        name="libssl3",
        version="1:3.0+b~1",
        arch="amd64",
        source_name="openssl",
        source_version="3.0",
    )
    found = purl.parse(purl.of_package(package))
    assert found == purl.Purl("deb", "libssl3", "1:3.0+b~1", {"arch": "amd64", "upstream": "openssl@3.0"})
