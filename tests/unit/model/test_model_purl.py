"""Package URLs: the specification's library agrees, part by part."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packageurl import PackageURL

from redoubt.model import Distribution, Package, purl

DEBIAN = Distribution(id="debian", version_id="11")
ALMA = Distribution(id="almalinux", version_id="9.3")


@pytest.mark.parametrize(
    ("package", "system", "expected"),
    [
        (
            Package(type="deb", name="libssl1.1", version="1:1.1.1n-0+deb11u3", arch="amd64", source_name="openssl"),
            DEBIAN,
            "pkg:deb/debian/libssl1.1@1:1.1.1n-0%2Bdeb11u3?arch=amd64&distro=debian-11&upstream=openssl",
        ),
        (
            Package(type="deb", name="g++", version="4:10", source_name="gcc-defaults", source_version="1.190"),
            None,
            "pkg:deb/g%2B%2B@4:10?upstream=gcc-defaults%401.190",
        ),
        (
            Package(type="rpm", name="vim", version="2:8.2-1.el9~x^y", arch="x86_64"),
            ALMA,
            "pkg:rpm/almalinux/vim@8.2-1.el9~x%5Ey?arch=x86_64&distro=almalinux-9.3&epoch=2",
        ),
        (Package(type="rpm", name="sed", version="0:4-1"), None, "pkg:rpm/sed@4-1"),
        (Package(type="npm", name="@angular/core", version="17.0.0"), None, "pkg:npm/%40angular/core@17.0.0"),
        (Package(type="npm", name="lodash", version=""), None, "pkg:npm/lodash"),
        (Package(type="maven", name="org.x:core", version="1"), None, "pkg:maven/org.x/core@1"),
        (Package(type="maven", name="core", version="1"), None, "pkg:maven/core@1"),
        (Package(type="golang", name="stdlib", version="1.21.3"), None, "pkg:golang/stdlib@1.21.3"),
        (Package(type="composer", name="a/b", version="v1.0"), None, "pkg:composer/a/b@v1.0"),
        (
            Package(type="swift", name="https://example.org/a/b.git", version="1.0.0"),
            None,
            "pkg:swift/example.org/a/b@1.0.0",
        ),
        (
            Package(type="golang", name="example.org/a/B", version="v1.0.0+incompatible"),
            None,
            "pkg:golang/example.org/a/B@v1.0.0%2Bincompatible",
        ),
        (Package(type="pypi", name="Zope.Interface_x", version="1!2"), None, "pkg:pypi/zope-interface-x@1%212"),
        (
            Package(type="apk", name="busybox", version="1.36-r0"),
            Distribution(id="alpine", version_id="3.18.4"),
            "pkg:apk/alpine/busybox@1.36-r0?distro=alpine-3.18.4",
        ),
        (
            Package(type="alpm", name="lib32-glibc", version="2.40+r1-3", arch="x86_64", source_name="glibc"),
            Distribution(id="arch"),
            "pkg:alpm/arch/lib32-glibc@2.40%2Br1-3?arch=x86_64&distro=arch&upstream=glibc",
        ),
    ],
)  # fmt: skip
def test_purls(package: Package, system: Distribution | None, expected: str) -> None:
    assert purl.of_package(package, system) == expected


_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zs", "Zl", "Zp")), min_size=1, max_size=12
)


@given(_TEXT, _TEXT, _TEXT, _TEXT)
def test_any_text_is_quoted_as_the_library_does(name: str, version: str, arch: str, source: str) -> None:
    name = name.replace("/", "") or "x"
    package = Package(type="deb", name=name, version=version, arch=arch, source_name=source)
    made = purl.of_package(package, DEBIAN)
    parsed = PackageURL.from_string(made)
    assert (parsed.namespace, parsed.name.lower()) == ("debian", name.lower())
    assert parsed.version == version
    assert parsed.qualifiers == {"arch": arch, "distro": "debian-11", "upstream": source}


def test_what_is_not_text_is_still_a_purl() -> None:
    assert purl.of_package(Package(type="npm", name="a\ud800", version="1")) == "pkg:npm/a%3F@1"


_PART = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=10)
_QUALIFIERS = st.dictionaries(
    st.sampled_from(["arch", "distro", "epoch", "vcs_url"]), _PART.filter(str.strip), max_size=3
)


@given(
    st.sampled_from(["deb", "rpm", "npm", "maven", "golang", "generic", "cargo", "gem", "conan", "hex"]),
    _PART,
    _PART.filter(lambda text: text.strip("/ ")),
    _PART.filter(lambda text: not text.endswith("/")),  # a slash at the end of it all is taken away first
    _QUALIFIERS,
    _PART,
)
def test_what_the_library_writes_has_the_parts_that_the_library_reads(
    kind: str, namespace: str, name: str, version: str, qualifiers: dict[str, str], subpath: str
) -> None:
    try:
        text = PackageURL(kind, namespace, name, version, qualifiers, subpath).to_string()
        theirs = PackageURL.from_string(text)
    except ValueError:  # what is none to the library
        return
    ours = purl.take_apart(text)
    assert ours is not None
    assert (ours.type, ours.namespace, ours.name) == (theirs.type, theirs.namespace or "", theirs.name)
    assert (ours.version, ours.subpath) == (theirs.version or "", theirs.subpath or "")
    assert ours.qualifiers == theirs.qualifiers


@given(st.text(max_size=40).map("pkg:{}".format) | st.text(max_size=20))
def test_any_text_is_a_purl_or_none(text: str) -> None:
    found = purl.take_apart(text)
    assert found is None or (found.name and found.type)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("pkg:npm/@scope/name", ("npm", "@scope", "name", "")),
        ("pkg:npm/@scope/name@1", ("npm", "@scope", "name", "1")),
        ("pkg:npm/%40scope/name@1", ("npm", "@scope", "name", "1")),
        ("PKG:NPM/a@1", ("npm", "", "a", "1")),
        ("pkg://deb/debian//a@1%3A2", ("deb", "debian", "a", "1:2")),
        ("pkg:docker/a@sha256:12", ("docker", "", "a", "sha256:12")),
        ("pkg:npm/a@1?=x&b&c=#..//d", ("npm", "", "a", "1")),
        ("pkg:npm", None),
        ("pkg:npm/", None),
        ("pkg:npm/@1", ("npm", "", "@1", "")),
        ("pkg:1x/a", None),
        ("http:npm/a", None),
        ("", None),
    ],
)
def test_purls_are_taken_apart(text: str, parts: tuple[str, ...] | None) -> None:
    found = purl.take_apart(text)
    assert (found and (found.type, found.namespace, found.name, found.version)) == parts


@pytest.mark.parametrize(
    "package",
    [
        Package(
            type="deb", name="g++", version="4:10", arch="amd64", source_name="gcc", source_version="1.190"
        ),
        Package(type="rpm", name="vim", version="2:8.2-1.el9~x^y", arch="x86_64"),
        Package(type="npm", name="@angular/core", version="17.0.0"),
        Package(type="maven", name="org.x:core", version="1"),
        Package(type="maven", name="core", version="1"),
        Package(type="golang", name="example.org/a/B", version="v1.0.0+incompatible"),
        Package(type="composer", name="a/b", version="v1.0"),
        Package(type="hex", name="a", version=""),
        Package(type="oci", name="ubi9/nginx", version="1-7", arch="amd64"),
        Package(type="alpm", name="lib32-glibc", version="1:2.40+r1-3", arch="x86_64", source_name="glibc"),
        Package(type="portage", name="dev-libs/a", version="1-r1"),
    ],
)
def test_a_purl_gives_the_package_back(package: Package) -> None:
    parts = purl.take_apart(purl.of_package(package, DEBIAN))
    assert parts is not None
    assert purl.to_package(parts) == package


def test_a_spelling_counts_only_where_it_is_the_same_name() -> None:
    parts = purl.take_apart("pkg:pypi/zope-interface-x@1")
    assert parts is not None
    assert purl.to_package(parts, ("other", "Zope.Interface_x")).name == "Zope.Interface_x"
    assert purl.to_package(parts, ("other",)).name == "zope-interface-x"
