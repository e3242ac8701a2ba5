"""What a StackRox bundle says of packages as images have them: by binary, source, product and flavour."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from redoubt.definitions.library import Library
from redoubt.definitions.search import search
from redoubt.matcher.explain import explain
from redoubt.matcher.match import match
from redoubt.model import Distribution, Image, IndexReport, Judged, Location, Package
from support import stackrox

REPOSITORY = "shop-1-for-x86_64-rpms"


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stackrox")
    library = Library(folder / "data")
    library.trust.allow_unsigned("stackrox")
    library.import_bundle(stackrox.write(folder), now=datetime(2099, 3, 2, tzinfo=UTC))
    with library.open_active() as snapshot:
        yield snapshot


def report(distribution, *packages):
    return IndexReport(image=Image(reference="x", kind="dir"), distribution=distribution, packages=packages)


def installed(kind, name, version, **more):
    return Package(type=kind, name=name, version=version, locations=(Location("db"),), **more)


def found(snapshot, distribution, *packages):
    """Flaw and fix, by package."""
    made = match(report(distribution, *packages), snapshot)
    assert {row.judged for row in made.coverage} == {Judged.MATCHED}
    return {
        (package.name, item.id, item.fixed_version) for package in made.packages for item in package.findings
    }


UBUNTU = Distribution(id="ubuntu", version_id="92.04")
SLES = Distribution(id="sles", version_id="15.7")
RHEL = Distribution(id="rhel", version_id="9.4")


def test_ubuntu_is_judged_by_binary_packages_at_their_own_version(snapshot):
    library = installed(
        "deb", "libpaint7", "1:2.4-3", source_name="paint", source_version="9.9", arch="amd64"
    )
    assert found(snapshot, UBUNTU, library) == {
        ("libpaint7", "CVE-2099-0001", "1:2.4-3ubuntu0.1"),
        ("libpaint7", "CVE-2099-0002", ""),
    }
    repaired = installed("deb", "libpaint7", "1:2.4-3ubuntu0.1", source_name="paint", source_version="0.1")
    assert found(snapshot, UBUNTU, repaired) == {("libpaint7", "CVE-2099-0002", "")}
    tools = installed("deb", "painter-tools", "7", source_name="paint")
    assert found(snapshot, UBUNTU, tools) == {("painter-tools", "CVE-2099-0003", "")}, "0: affected, no fix"
    assert [known.advisory.id for known in search(snapshot, "libpaint7").known] == [
        "CVE-2099-0001",
        "CVE-2099-0002",
    ]
    (case,) = explain(report(UBUNTU, library), snapshot, "CVE-2099-0001").cases
    assert (case.name, case.version) == ("libpaint7:binary", "1:2.4-3")


def test_zero_is_not_affected_for_debian_and_alpine(snapshot):
    debian = Distribution(id="debian", version_id="12")
    painter = installed("deb", "painter", "1:2.4-4")
    assert found(snapshot, debian, painter) == {("painter", "CVE-2099-0002", "")}
    alpine = Distribution(id="alpine", version_id="3.77.1")
    painter = installed("apk", "painter-libs", "2.4-r1", source_name="painter")
    assert found(snapshot, alpine, painter) == {("painter-libs", "CVE-2099-0002", "2.4-r2")}


def test_service_packs_are_one_release(snapshot):
    painter = installed("rpm", "painter", "2.4-150000.1.1", arch="x86_64", vendor="SUSE LLC")
    assert found(snapshot, SLES, painter) == {("painter", "CVE-2099-0001", "0:2.4-150000.3.1")}
    other = installed("rpm", "painter", "2.4-150000.1.1", arch="riscv64", vendor="SUSE LLC")
    assert found(snapshot, SLES, other) == set()


def test_flavours_and_modules_of_oracle_are_told_apart(snapshot):
    oracle = Distribution(id="ol", version_id="9.4")

    def painted(name, version, **more):
        return found(snapshot, oracle, installed("rpm", name, version, vendor="Oracle America", **more))

    assert painted("painter-libs", "1:2.4-3.el9", arch="x86_64") == set()
    assert painted("painter-libs", "2:2.4-2.ksplice1.el9", arch="x86_64") == {
        ("painter-libs", "CVE-2099-0001", "2:2.4-3.ksplice1.el9")
    }
    assert painted("painter", "2.4-1.el9", arch="aarch64", module="painter:2.4")
    assert not painted("painter", "2.4-1.el9", arch="aarch64")
    assert not painted("painter", "2.4-1.el9", arch="x86_64", module="painter:2.4")


def test_photon_is_judged_by_binary_packages(snapshot):
    photon = Distribution(id="photon", version_id="5.0")
    painter = installed("rpm", "painter", "2.4-1.ph5", source_name="paint", source_version="3")
    assert found(snapshot, photon, painter) == {("painter", "CVE-2099-0001", "0:2.4-3.ph5")}


def test_red_hat_is_judged_by_product(snapshot):
    def painted(name, version, repositories=(REPOSITORY,), **more):
        package = installed(
            "rpm", name, version, arch="x86_64", vendor="Red Hat, Inc.", repositories=repositories, **more
        )
        return found(snapshot, RHEL, package)

    assert painted("painter", "2.4-1.el9") == {("painter", "CVE-2099-0001", "2.4-3.el9_4")}
    assert painted("painter", "2.4-3.el9_4") == set()
    assert painted("brush-libs", "1-1.el9", source_name="brush", source_version="1-1.el9") == {
        ("brush-libs", "CVE-2099-0001", "")
    }
    made = match(
        report(
            RHEL,
            installed(
                "rpm",
                "painter",
                "2.4-1.el9",
                arch="x86_64",
                vendor="Red Hat, Inc.",
                repositories=(REPOSITORY,),
            ),
        ),
        snapshot,
    )
    assert made.packages[0].findings[0].fixing_advisory == "RHSA-2099:0001"
