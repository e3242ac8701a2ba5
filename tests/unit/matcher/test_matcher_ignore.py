"""Ignore rules at work: a rule silences what it says and no more, and one that silences nothing is known."""

from __future__ import annotations

import pytest

from redoubt.assessments.ignorefile import IgnoreRule
from redoubt.matcher.ignore import Ignoring
from redoubt.model import Distribution, Finding, Location, Package, PackageFindings, Severity, Status, purl

DEBIAN = Distribution(id="debian", version_id="12", codename="bookworm")
FLAW = Finding(
    id="CVE-2099-0001", aliases=("GHSA-aaaa-bbbb-cccc",), status=Status.AFFECTED, severity=Severity.HIGH
)
REFUSED = Finding(id="CVE-2099-0002", status=Status.WILL_NOT_FIX, severity=Severity.LOW)


def package(kind: str, name: str, version: str, *paths: str, source: str = "") -> PackageFindings:
    of = Package(
        type=kind, name=name, version=version, arch="amd64" if kind == "deb" else "", source_name=source
    )
    return PackageFindings(
        type=kind,
        name=name,
        version=version,
        purl=purl.of_package(of, DEBIAN if kind == "deb" else None),
        locations=tuple(Location(path) for path in paths),
    )


SSL = package("deb", "libssl3", "3.0.11-1", "var/lib/dpkg/status", source="openssl")
CART = package("npm", "@shop/cart", "1.4.0", "srv/a/package.json", "srv/b/package.json")
CORE = package("maven", "org.example:core", "2.0", "app/shop.jar!/lib/core.jar")
FLASK = package("pypi", "Flask_Login", "0.5", "usr/lib/flask")


def rule(number: int = 1, **fields: str) -> IgnoreRule:
    return IgnoreRule(file="rules.toml", number=number, reason="judged", **fields)


def silenced(item: PackageFindings, finding: Finding, *rules: IgnoreRule) -> bool:
    return Ignoring(rules, DEBIAN).rule(item, finding) is not None


@pytest.mark.parametrize("name", ["CVE-2099-0001", "cve-2099-0001", "GHSA-AAAA-BBBB-CCCC"])
def test_any_name_of_the_flaw_in_any_case_is_its_name(name: str) -> None:
    assert silenced(SSL, FLAW, rule(id=name))
    assert not silenced(SSL, REFUSED, rule(id=name))


def test_a_piece_of_an_id_is_none() -> None:
    assert not silenced(SSL, FLAW, rule(id="CVE-2099-000"))
    assert not silenced(SSL, FLAW, rule(id="CVE-2099-*"))


@pytest.mark.parametrize(
    ("pattern", "item", "matches"),
    [
        ("libssl3", SSL, True),
        ("openssl", SSL, False),
        ("libssl*", SSL, True),
        ("pkg:deb/debian/libssl3", SSL, True),
        ("pkg:deb/debian/libssl*", SSL, True),
        ("pkg:deb/debian/libssl3@3.0.11-1", SSL, True),
        ("pkg:deb/debian/libssl3@3.0.11-2", SSL, False),
        ("pkg:deb/debian/libssl3?arch=amd64", SSL, True),
        ("pkg:deb/debian/libssl3?arch=arm64", SSL, False),
        ("pkg:deb/debian/libssl3?distro=debian-12", SSL, True),
        ("pkg:deb/debian/libssl3?distro=bookworm", SSL, True),
        ("pkg:deb/debian/libssl3?distro=debian-11", SSL, False),
        ("pkg:deb/debian/openssl?arch=source", SSL, True),
        ("pkg:deb/debian/libssl3?arch=source", SSL, False),
        ("pkg:deb/ubuntu/libssl3", SSL, False),
        ("pkg:rpm/debian/libssl3", SSL, False),
        ("pkg:npm/%40shop/cart", CART, True),
        ("pkg:npm/@shop/cart", CART, True),
        ("pkg:npm/@shop/cart@1.4.0", CART, True),
        ("pkg:npm/cart", CART, False),
        ("@shop/*", CART, True),
        ("cart", CART, False),
        ("core", CORE, False),
        ("*:core", CORE, True),
        ("pkg:maven/org.example/core@2.0?type=jar", CORE, True),
        ("pkg:maven/org.example/core@2.0?type=war", CORE, False),
        ("flask.login", FLASK, True),
        ("pkg:pypi/Flask_login", FLASK, True),
    ],
)
def test_a_package_goes_by_its_name_or_purl(pattern: str, item: PackageFindings, matches: bool) -> None:
    assert silenced(item, FLAW, rule(package=pattern)) is matches


def test_version_and_status_narrow_a_rule() -> None:
    assert silenced(SSL, FLAW, rule(package="libssl3", version="3.0.11-1"))
    assert not silenced(SSL, FLAW, rule(package="libssl3", version="3.0.11"))
    assert silenced(SSL, REFUSED, rule(package="libssl3", status="will_not_fix"))
    assert not silenced(SSL, FLAW, rule(package="libssl3", status="will_not_fix"))


def test_a_place_that_no_rule_names_keeps_the_finding() -> None:
    ignoring = Ignoring((rule(id=FLAW.id, path="srv/a/*"), rule(2, id="CVE-2099-0009")), DEBIAN)
    assert ignoring.rule(CART, FLAW) is None
    assert [(item.number, place) for item, place in ignoring.idle()] == [(1, "srv/b/package.json"), (2, "")]
    both = Ignoring((rule(id=FLAW.id, path="srv/a/*"), rule(2, package="@shop/cart", path="srv/b/*")), DEBIAN)
    assert both.rule(CART, FLAW) is not None
    assert both.idle() == []
    assert silenced(CART, FLAW, rule(id=FLAW.id, path="srv/**"))


def test_a_rule_about_a_path_says_nothing_of_a_package_without_one() -> None:
    assert not silenced(package("npm", "a", "1"), FLAW, rule(id=FLAW.id, path="**"))


def test_the_suppression_says_who_why_and_until_when() -> None:
    told = Ignoring((rule(3, id=FLAW.id, expires="2099-01-31", justification="component_not_present"),)).rule(
        SSL, FLAW
    )
    assert told is not None
    assert (told.kind, told.source, told.reason) == ("ignore-rule", "rules.toml, rule 3", "judged")
    assert (told.justification, told.expires) == ("component_not_present", "2099-01-31")


def test_a_rule_that_silenced_something_once_is_not_idle() -> None:
    ignoring = Ignoring((rule(id=FLAW.id, path="srv/a/*"),), DEBIAN)
    assert ignoring.rule(package("npm", "b", "1", "srv/a/package.json"), FLAW)
    assert ignoring.rule(CART, FLAW) is None
    assert ignoring.idle() == []
