"""Small reports of our own that the formats' tests write."""

from __future__ import annotations

from redoubt.model import (
    AdvisoryReference,
    Coverage,
    Cvss,
    DefinitionsInfo,
    Distribution,
    Epss,
    Finding,
    Image,
    IndexReport,
    Judged,
    KnownExploited,
    Layer,
    Location,
    Package,
    PackageFindings,
    Platform,
    Problem,
    ProblemKind,
    Severity,
    SourceInfo,
    Status,
    VulnerabilityReport,
)

BASE = "sha256:" + "b" * 64
APP = "sha256:" + "a" * 64

IMAGE = Image(
    reference="registry.example/shop:1.4",
    kind="registry",
    digest="sha256:" + "1" * 64,
    config_digest="sha256:" + "2" * 64,
    platform=Platform(os="linux", architecture="amd64"),
)
SYSTEM = Distribution(
    id="debian", version_id="11", codename="bullseye", name="Debian GNU/Linux 11 (bullseye)"
)
LAYERS = (
    Layer(diff_id=BASE, digest="sha256:" + "c" * 64, size=31_400_000, created_by="ADD rootfs.tar /"),
    Layer(diff_id=APP, digest="sha256:" + "d" * 64, size=8_100_000, created_by="COPY shop /srv/shop"),
)
SHELL = Finding(
    id="CVE-2021-44228",
    status=Status.AFFECTED,
    severity=Severity.CRITICAL,
    severity_source="cvss:ghsa",
    title="Lookups in log messages run code from elsewhere",
    fixed_version="2.15.0",
    aliases=("GHSA-jfh8-c2jp-5v3q",),
    cvss=(Cvss("ghsa", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0),),
    cwes=("CWE-502",),
    kev=KnownExploited("2021-12-10", "2021-12-24", True),
    epss=Epss(0.94358, 0.99965, "2026-11-20"),
    url="https://osv.example/GHSA-jfh8-c2jp-5v3q",
    published="2021-12-10T00:40:56Z",
    references=("https://logging.example/security",),
    namespace="maven",
    advisories=(
        AdvisoryReference(
            ref="osv/GHSA-jfh8-c2jp-5v3q",
            url="https://osv.example/GHSA-jfh8-c2jp-5v3q",
            range=">= 2.13.0, < 2.15.0",
            fixed="2.15.0",
        ),
    ),
)
STUCK = Finding(
    id="GHSA-aaaa-bbbb-cccc",
    status=Status.WILL_NOT_FIX,
    severity=Severity.LOW,
    severity_source="ghsa",
    namespace="maven",
    advisories=(
        AdvisoryReference(ref="osv/GHSA-aaaa-bbbb-cccc", range="any version", status=Status.WILL_NOT_FIX),
    ),
)
TLS = Finding(
    id="CVE-2023-0286",
    status=Status.AFFECTED,
    severity=Severity.HIGH,
    severity_source="debian",
    fixed_version="1.1.1n-0+deb11u4",
    fixing_advisory="DSA-5343-1",
    epss=Epss(0.0004, 0.1, "2026-11-20"),
    url="https://tracker.example/CVE-2023-0286",
    namespace="debian:11",
    advisories=(
        AdvisoryReference(ref="debian/CVE-2023-0286", range="< 1.1.1n-0+deb11u4", fixed="1.1.1n-0+deb11u4"),
    ),
)
OPEN = Finding(
    id="CVE-2024-1234", status=Status.UNDER_INVESTIGATION, severity=Severity.UNKNOWN, namespace="debian:11"
)


def _openssl(name: str) -> PackageFindings:
    return PackageFindings(
        type="deb",
        name=name,
        version="1.1.1n-0+deb11u3",
        purl=f"pkg:deb/debian/{name}@1.1.1n-0%2Bdeb11u3?arch=amd64&distro=debian-11&upstream=openssl",
        arch="amd64",
        source_name="openssl",
        upgrade="1.1.1n-0+deb11u4",
        locations=(Location("var/lib/dpkg/status", BASE),),
        findings=(TLS, OPEN),
    )


DEFINITIONS = DefinitionsInfo(
    digest="sha256:" + "9" * 64,
    schema="1.0",
    channel="starter",
    version=20261122,
    created="2026-11-22T10:00:00Z",
    sources=(
        SourceInfo(
            name="debian", title="Debian security tracker", newest="2023-04-02T00:00:00Z", records=9000
        ),
        SourceInfo(name="kev", title="CISA KEV", newest="2025-08-01", records=1404),
        SourceInfo(name="osv-maven", title="OSV Maven", records=15),
    ),
    namespaces={"debian:11": 9000, "maven": 15},
)

REPORT = VulnerabilityReport(
    image=IMAGE,
    distribution=SYSTEM,
    layers=LAYERS,
    package_count=813,
    definitions=DEFINITIONS,
    coverage=(
        Coverage(type="deb", namespace="debian:11", judged=Judged.MATCHED, packages=430),
        Coverage(
            type="maven",
            namespace="maven",
            judged=Judged.MATCHED,
            packages=83,
            unidentified=2,
            detail="2 maven packages without a group could not be judged",
        ),
        Coverage(
            type="npm",
            namespace="npm",
            judged=Judged.NO_DATA,
            packages=300,
            detail="300 npm packages were not judged: these definitions hold nothing for npm",
        ),
    ),
    packages=(
        PackageFindings(
            type="maven",
            name="org.apache.logging.log4j:log4j-core",
            version="2.14.1",
            purl="pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1",
            upgrade="2.17.1",
            unfixed=1,
            locations=(Location("srv/shop/shop.jar!/BOOT-INF/lib/log4j-core-2.14.1.jar", APP),),
            findings=(SHELL, STUCK),
        ),
        _openssl("libssl1.1"),
        _openssl("openssl"),
    ),
    problems=(
        Problem(
            kind=ProblemKind.DAMAGED,
            message="not a zip file; what it holds is unknown",
            path="srv/shop/broken.jar",
            layer=APP,
            cataloger="java",
        ),
    ),
)

INDEX = IndexReport(
    image=IMAGE,
    distribution=SYSTEM,
    layers=LAYERS,
    packages=(
        Package(
            type="deb",
            name="libssl1.1",
            version="1.1.1n-0+deb11u3",
            arch="amd64",
            source_name="openssl",
            locations=(Location("var/lib/dpkg/status", BASE),),
        ),
        Package(
            type="maven",
            name="org.apache.logging.log4j:log4j-core",
            version="2.14.1",
            locations=(Location("srv/shop/shop.jar!/BOOT-INF/lib/log4j-core-2.14.1.jar", APP),),
        ),
        Package(
            type="npm",
            name="@shop/cart",
            version="",
            locations=(
                Location("srv/shop/a/node_modules/@shop/cart/package.json", APP),
                Location("srv/shop/b/node_modules/@shop/cart/package.json", APP),
            ),
        ),
    ),
    problems=REPORT.problems,
    catalogers={"dpkg": 1, "java": 1, "npm": 1},
)
