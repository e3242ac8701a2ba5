"""VEX at work: which statements are about a finding, and which of them counts."""

from __future__ import annotations

from typing import Any

import pytest

from redoubt.assessments.documents import read
from redoubt.matcher.vex import ImageNames, Vex
from redoubt.model import (
    Distribution,
    Finding,
    Image,
    Package,
    PackageFindings,
    Platform,
    Severity,
    Status,
    Suppression,
    purl,
)
from support.vex import openvex, statement

DEBIAN = Distribution(id="debian", version_id="12", codename="bookworm")
MANIFEST, CONFIG, INDEX = ("sha256:" + digit * 64 for digit in "123")
IMAGE = Image(
    reference=f"registry.example/team/shop:1.4@{INDEX}",
    kind="registry",
    digest=MANIFEST,
    config_digest=CONFIG,
    platform=Platform("linux", "amd64"),
)
FLAW = Finding(
    id="CVE-2099-0001", aliases=("GHSA-aaaa-bbbb-cccc",), status=Status.AFFECTED, severity=Severity.HIGH
)
SSL = PackageFindings(
    type="deb",
    name="libssl3",
    version="3.0.11-1",
    purl=purl.of_package(
        Package(type="deb", name="libssl3", version="3.0.11-1", arch="amd64", source_name="openssl", source_version="3.0.11-1"),
        DEBIAN,
    ),
)  # fmt: skip
CART = PackageFindings(type="npm", name="@shop/cart", version="1.4.0", purl="pkg:npm/%40shop/cart@1.4.0")


def said(
    *documents: bytes, package: PackageFindings = SSL, flaw: Finding = FLAW, image: Image = IMAGE
) -> Suppression | None:
    read_ = [read(data, f"{number}.json") for number, data in enumerate(documents)]
    return Vex(read_, image, DEBIAN).rule(package, flaw)


def silenced(
    product: Any, flaw: str = FLAW.id, *, image: Image = IMAGE, package: PackageFindings = SSL
) -> bool:
    return said(openvex(statement(flaw, product)), image=image, package=package) is not None


SUBCOMPONENT = [{"@id": "pkg:deb/debian/libssl3@3.0.11-1"}]


@pytest.mark.parametrize(
    ("product", "about"),
    [
        ("pkg:deb/debian/libssl3", True),
        ("pkg:deb/debian/libssl3@3.0.11-1", True),
        ("pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12", True),
        ("pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=bookworm", True),
        ("pkg:deb/debian/libssl3@3.0.11-1?arch=arm64", False),
        ("pkg:deb/debian/libssl3@3.0.11-1?distro=trixie", False),
        ("pkg:deb/debian/libssl3@3.0.11-2", False),
        ("pkg:deb/debian/openssl@3.0.11-1?arch=source", True),
        ("pkg:deb/debian/openssl@3.0.11-2?arch=source", False),
        ("pkg:deb/debian/openssl", False),
        ("pkg:deb/debian/libssl*", False),
        ("pkg:deb/libssl3", False),
        ("pkg:deb/debian/libssl3#sub/path", False),
        ("libssl3", False),
        ({"@id": "https://vex.example/ssl", "identifiers": {"purl": "pkg:deb/debian/libssl3"}}, True),
        ({"@id": "pkg:deb/debian/libssl3", "subcomponents": [{"@id": "pkg:deb/debian/zlib1g"}]}, True),
        (f"pkg:oci/shop@{MANIFEST}", True),
        (f"pkg:oci/shop@{MANIFEST.replace(':', '%3A')}?repository_url=elsewhere.example/shop", True),
        (f"pkg:oci/shop@{INDEX}", True),
        (f"pkg:oci/shop@{CONFIG}", True),
        ("pkg:oci/shop@sha256:" + "9" * 64, False),
        ("pkg:oci/shop", True),
        ("pkg:oci/store", False),
        ("pkg:oci/shop?repository_url=registry.example/team/shop", True),
        ("pkg:oci/shop?repository_url=registry.example/team", True),
        ("pkg:oci/shop?repository_url=registry.example/other/shop", False),
        ("pkg:oci/shop?tag=1.4", True),
        ("pkg:oci/shop?tag=1.5", False),
        ("pkg:oci/shop?arch=amd64&os=linux", True),
        ("pkg:oci/shop?arch=arm64", False),
        ("pkg:docker/team/shop@1.4?repository_url=registry.example", True),
        ("pkg:docker/team/shop@1.4", False),
        ("registry.example/team/shop:1.4@" + INDEX, True),
        ({"hashes": {"sha-256": MANIFEST[7:]}}, True),
        ({"hashes": {"sha-256": "9" * 64}}, False),
        ({"@id": f"pkg:oci/shop@{MANIFEST}", "subcomponents": SUBCOMPONENT}, True),
        ({"@id": f"pkg:oci/shop@{MANIFEST}", "subcomponents": [{"@id": "pkg:deb/debian/zlib1g"}]}, False),
        ({"@id": "pkg:oci/store", "subcomponents": SUBCOMPONENT}, False),
        ({"@id": "pkg:generic/shop@1", "subcomponents": SUBCOMPONENT}, False),
    ],
)  # fmt: skip
def test_a_product_is_the_image_a_package_or_a_part_of_the_image(product: Any, about: bool) -> None:
    assert silenced(product) is about


def test_an_archives_image_goes_by_its_id_and_a_folder_by_its_place() -> None:
    archive = Image(reference="shop.tar", kind="docker-archive", config_digest=CONFIG)
    assert silenced(CONFIG, image=archive)
    assert silenced(f"pkg:oci/shop@{CONFIG}", image=archive)
    assert not silenced("pkg:oci/shop", image=archive)
    folder = Image(reference="dir:/mnt/a root", kind="dir")
    assert silenced("dir:/mnt/a%20root", image=folder)
    assert not silenced("dir:/mnt", image=folder)
    bom = Image(reference="shop.cdx.json", kind="sbom", subject="registry.example/shop:1.4")
    assert silenced("registry.example/shop:1.4", image=bom)


def test_docker_hubs_names_are_one() -> None:
    names = ImageNames(Image(reference="nginx", kind="registry"))
    for text in (
        "pkg:oci/nginx?repository_url=docker.io/library/nginx",
        "pkg:oci/nginx?repository_url=index.docker.io/library",
        "pkg:docker/nginx@latest",
        "pkg:docker/library/nginx",
    ):
        assert names.named(text), text
    assert not names.named("pkg:docker/other/nginx")


@pytest.mark.parametrize("name", ["CVE-2099-0001", "cve-2099-0001", "GHSA-AAAA-bbbb-cccc"])
def test_the_flaw_goes_by_any_of_its_names(name: str) -> None:
    assert silenced("pkg:deb/debian/libssl3", name)


def test_a_statements_own_aliases_are_names_too() -> None:
    item = statement("EX-1", "pkg:npm/%40shop/cart")
    item["vulnerability"]["aliases"] = ["CVE-2099-0001"]
    assert said(openvex(item), package=CART)
    assert not silenced("pkg:npm/%40shop/cart", "CVE-2099-0002", package=CART)


def test_the_word_is_kept() -> None:
    item = statement(
        "CVE-2099-0001",
        "pkg:npm/%40shop/cart",
        justification="component_not_present",
        impact_statement="Gone.",
    )
    assert said(openvex(item), package=CART) == Suppression(
        kind="vex",
        source="0.json (https://vex.example/shop-1)",
        reason="Gone.",
        justification="component_not_present",
        status="not_affected",
    )


def states(*pairs: tuple[str, str]) -> bytes:
    return openvex(
        *(
            statement(FLAW.id, "pkg:deb/debian/libssl3", status=state, timestamp=time)
            for state, time in pairs
        ),
        **{"@id": None},
    )


OLD, NEW = "2098-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("documents", "silent"),
    [
        ([states(("not_affected", OLD), ("affected", NEW))], False),
        ([states(("affected", NEW), ("not_affected", OLD))], False),
        ([states(("affected", OLD), ("not_affected", NEW))], True),
        ([states(("affected", OLD), ("fixed", NEW))], True),
        ([states(("not_affected", OLD), ("under_investigation", NEW))], False),
        ([states(("affected", NEW), ("not_affected", NEW))], True),
        ([states(("not_affected", NEW), ("affected", NEW))], False),
        ([states(("not_affected", NEW)), states(("affected", OLD))], True),
        ([states(("not_affected", OLD)), states(("affected", NEW))], False),
        ([states(("not_affected", NEW)), states(("affected", NEW))], False),
        ([states(("affected", NEW)), states(("not_affected", NEW))], False),
    ],
)
def test_the_newest_word_counts_and_of_two_documents_equally_old_the_cautious_one(
    documents: list[bytes], silent: bool
) -> None:
    assert (said(*documents) is not None) is silent


def test_a_word_about_the_image_and_one_about_a_part_of_it_are_compared_by_age() -> None:
    whole = statement(FLAW.id, f"pkg:oci/shop@{MANIFEST}", timestamp=OLD)
    part = statement(FLAW.id, "pkg:deb/debian/libssl3", status="affected", timestamp=NEW)
    document = openvex(whole, part)
    assert said(document) is None
    assert said(document, package=CART) is not None


def test_documents_about_nothing_here_are_known() -> None:
    other = read(openvex(statement("CVE-2099-0009", "pkg:npm/x")), "other.json")
    open_ = read(openvex(statement(FLAW.id, "pkg:deb/debian/libssl3", status="affected")), "open.json")
    vex = Vex([other, open_], IMAGE, DEBIAN)
    assert vex.rule(SSL, FLAW) is None
    assert vex.idle() == [other]


def test_only_the_flaws_that_are_asked_for_are_kept() -> None:
    document = read(openvex(statement(FLAW.id, "pkg:deb/debian/libssl3")), "a.json")
    assert Vex([document], IMAGE, DEBIAN, {"cve-2099-0001"}).rule(SSL, FLAW)
    assert Vex([document], IMAGE, DEBIAN, {"cve-2099-0002"}).rule(SSL, FLAW) is None
