"""Names are looked up in one form, and namespaces are what the documents say."""

from __future__ import annotations

import pytest

from redoubt.model import Distribution, Package, namespaces
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


@pytest.mark.parametrize(
    ("system", "namespace"),
    [
        ("sles:15.5", "sles:15.5"),
        ("sles:15", "sles:15"),
        ("sled:15.5", "sles:15.5"),
        ("sles_sap:12.5", "sles:12.5"),
        ("sle_hpc:15.5", "sles:15.5"),
        ("sles:", "sles:unknown"),
        ("sle-micro:5.5", "sle-micro:5.5"),
        ("sl-micro:6.0", "sle-micro:6.0"),
        ("sle-micro-rancher:5.4", "sle-micro:5.4"),
        ("opensuse-leap:15.6", "opensuse-leap:15.6"),
        ("opensuse:42.3", "opensuse-leap:42.3"),
        ("opensuse-tumbleweed:20990101", "opensuse-tumbleweed"),
        ("opensuse-microos:20990101", "opensuse-tumbleweed"),
        ("ol:8.9", "oracle:8"),
        ("azurelinux:3.0", "azurelinux:3.0"),
        ("azurelinux:3.0.20990101", "azurelinux:3.0"),
        ("mariner:2.0.20990101", "mariner:2.0"),
        ("photon:5.0", "photon:5.0"),
        ("photon:", "photon:unknown"),
        ("slem:1", None),
    ],
)
def test_the_namespace_of_a_distribution(system: str, namespace: str | None) -> None:
    identifier, _, version = system.partition(":")
    assert namespaces.of_distribution(Distribution(id=identifier, version_id=version)) == namespace


@pytest.mark.parametrize(
    ("namespace", "version", "name"),
    [
        ("oracle:8", "2:1.1.1g-15.ksplice1.el8_3", "openssl:ksplice"),
        ("oracle:8", "2:1.1.1g-15.KSPLICE2.el8", "openssl:ksplice"),
        ("oracle:8", "2:1.1.1g-ksplice1.el8", "openssl:ksplice"),
        ("oracle:9", "10:3.6.16-4.0.1.el8_fips", "openssl:fips"),
        ("oracle:8", "10:3.6.16-4.el8_fips.1", "openssl:fips"),
        ("oracle:8", "2:1.1.1g-15.el8_3", "openssl"),
        ("oracle:8", "1.0.ksplice1-2.el8", "openssl"),
        ("oracle:8", "1.0-2.notksplice.el8", "openssl"),
        ("oracle:8", "1.0-2.el8_fipsy", "openssl"),
        ("oracle:8", "", "openssl"),
        ("almalinux:8", "2:1.1.1g-15.ksplice1.el8_3", "openssl"),
    ],
)
def test_oracles_flavours_have_names_of_their_own(namespace: str, version: str, name: str) -> None:
    assert namespaces.flavoured(namespace, "openssl", version) == name


@pytest.mark.parametrize(
    ("namespace", "name", "version", "expected"),
    [
        ("oracle:8", "kernel-uek", "5.15.0-200.131.27.el8uek", "kernel-uek:5.15"),
        ("oracle:8", "kernel-uek-core", "0:5.4.17-2136.300.7.el8uek", "kernel-uek-core:5.4"),
        ("oracle:8", "kernel-uek", "odd", "kernel-uek"),
        ("oracle:8", "kernel", "4.18.0-553.el8_10", "kernel"),
        ("redhat:8", "kernel-uek", "5.15.0-200.el8uek", "kernel-uek"),
    ],
)
def test_each_line_of_oracles_kernel_is_compared_with_itself(
    namespace: str, name: str, version: str, expected: str
) -> None:
    assert namespaces.flavoured(namespace, name, version) == expected


@pytest.mark.parametrize(
    ("namespace", "subject"),
    [
        ("debian:12", ("src", "1:1-1")),
        ("alpine:v3.20", ("src", "1:1-1")),
        ("azurelinux:3.0", ("src", "1-1")),
        ("photon:5.0", ("src", "1-1")),
        ("sles:15.5", ("bin", "1:2-2")),
        ("oracle:8", ("bin", "1:2-2")),
        ("almalinux:9", ("bin", "1:2-2")),
    ],
)
def test_what_definitions_of_a_namespace_speak_of(namespace: str, subject: tuple[str, str]) -> None:
    package = Package(type="any", name="bin", version="1:2-2", source_name="src", source_version="1:1-1")
    assert namespaces.subject(namespace, package) == subject
    alone = Package(type="any", name="bin", version="1:2-2")
    without_epoch = namespace.startswith(("azurelinux", "photon"))
    assert namespaces.subject(namespace, alone) == ("bin", "2-2" if without_epoch else "1:2-2")
