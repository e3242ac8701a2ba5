"""Whose package one of the system is: by vendor, maintainer and the marks in versions."""

from __future__ import annotations

import pytest

from redoubt.matcher.vendors import Origin, maker, origin
from redoubt.model import Package

OWN, THIRD, UNKNOWN = Origin.OWN, Origin.THIRD_PARTY, Origin.UNKNOWN


def deb(maintainer: str, version: str = "1.2-3") -> Package:
    return Package(type="deb", name="a", version=version, vendor=maintainer)


def rpm(vendor: str, version: str = "1.2-3.el9") -> Package:
    return Package(type="rpm", name="a", version=version, vendor=vendor)


@pytest.mark.parametrize(
    ("namespace", "vendor", "expected"),
    [
        ("redhat:9", "Red Hat, Inc.", OWN),
        ("redhat:8", "CentOS", OWN),
        ("redhat:9", "Fedora Project", THIRD),  # EPEL
        ("redhat:9", "Remi's RPM repository <https://rpms.example/>", THIRD),
        ("redhat:9", "Oracle America", THIRD),
        ("redhat:9", "", UNKNOWN),
        ("almalinux:9", "AlmaLinux", OWN),
        ("almalinux:8", "CloudLinux Packaging Team", OWN),
        ("almalinux:9", "Red Hat, Inc.", OWN),  # converted from it
        ("almalinux:9", "Fedora Project", THIRD),
        ("rocky:9", "Rocky Enterprise Software Foundation", OWN),
        ("oracle:9", "Oracle America", OWN),  # UEK too
        ("amazon:2023", "Amazon Linux", OWN),
        ("amazon:2", "Amazon.com, Inc.", OWN),
        ("fedora:41", "Fedora Project", OWN),
        ("fedora:41", "RPM Fusion", THIRD),
        ("sles:15.6", "SUSE LLC <https://www.suse.com/>", OWN),
        ("opensuse-leap:15.6", "openSUSE", OWN),
        ("opensuse-leap:15.6", "SUSE LLC <https://www.suse.com/>", OWN),
        ("opensuse-leap:15.6", "obs://build.example/home:somebody", THIRD),
        ("photon:5.0", "VMware, Inc.", OWN),
        ("azurelinux:3.0", "Microsoft Corporation", OWN),
        ("mariner:2.0", "Docker", THIRD),
        ("bottlerocket", "anybody", UNKNOWN),
    ],
)
def test_rpms_vendor_says_whose_it_is(namespace: str, vendor: str, expected: Origin) -> None:
    assert origin(rpm(vendor), namespace) is expected


def test_amazons_own_without_a_vendor_are_known_by_their_release() -> None:
    assert origin(rpm("", "1.2-3.amzn2"), "amazon:2") is OWN
    assert origin(rpm("", "1.2-3"), "amazon:2") is UNKNOWN


@pytest.mark.parametrize("namespace", ["debian:12", "ubuntu:24.04"])
@pytest.mark.parametrize(
    ("maintainer", "expected"),
    [
        ("Some Team <team+some@tracker.debian.org>", OWN),
        ("Some Body <body@debian.org>", OWN),
        ("Some Team <pkg-some@lists.alioth.debian.org>", OWN),
        ("Some Team <pkg-some@alioth-lists.debian.net>", OWN),
        ("Some Developers <devel@lists.ubuntu.com>", OWN),
        ("Some Body <body@CANONICAL.com>", OWN),
        ("Some Body <body@mail.example>", UNKNOWN),
        ("Some Body <body@notdebian.org>", UNKNOWN),
        ("Some Body <body@debian.org.example>", UNKNOWN),
        ("body@debian.org and others", UNKNOWN),
        ("", UNKNOWN),
        ("Docker <support@docker.com>", THIRD),
        ("NodeSource Support <support@nodesource.com>", THIRD),
        ("MySQL Release Engineering <mysql-build@oss.oracle.com>", THIRD),
        ("Google Cloud CLI Authors <https://code.example/>", THIRD),
        ("GitHub", THIRD),
        ("GitHubber <x@debian.org>", OWN),
    ],
)
def test_dpkgs_maintainer_says_whose_it_is(namespace: str, maintainer: str, expected: Origin) -> None:
    assert origin(deb(maintainer), namespace) is expected


@pytest.mark.parametrize(
    ("version", "who"),
    [
        ("15.4-1.pgdg120+1", "PostgreSQL"),
        ("15.4-1~pgdg22.04+1", "PostgreSQL"),
        ("8.2.1+0~20990101.1+debian12~1.gbp1~sury1", "Ondřej Surý"),
        ("18.1.0-1nodesource1", "NodeSource"),
        ("1.2-3+deb11u7.root.io.2", "Root"),
        ("1.2-3~ppa1", "a personal archive"),
    ],
)
def test_a_repositorys_mark_outdoes_the_maintainer(version: str, who: str) -> None:
    package = deb("Some Team <team@tracker.debian.org>", version)
    assert origin(package, "debian:12") is THIRD
    assert maker(package) == who


@pytest.mark.parametrize("version", ["1.2-3+deb12u1", "1.2+dfsg-1~bpo12+1", "1.2-3ubuntu1.4", "1.2-3+b1"])
def test_debians_own_marks_are_no_others(version: str) -> None:
    assert origin(deb("Some Team <team@tracker.debian.org>", version), "debian:12") is OWN


def test_apk_names_no_maker_and_is_taken_for_the_distributions() -> None:
    assert origin(Package(type="apk", name="a", version="1-r0"), "alpine:v3.20") is OWN
    assert origin(Package(type="pypi", name="a", version="1"), "pypi") is UNKNOWN


def test_makers_are_named_without_their_addresses() -> None:
    assert maker(deb("Docker <support@docker.com>")) == "Docker"
    assert maker(deb("<only@an.example>")) == "only@an.example"
    assert maker(rpm("Remi's RPM repository <https://rpms.example/>")) == "Remi's RPM repository"
