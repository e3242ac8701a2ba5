"""What scanners are known to get wrong, one named test each: from upstream's files and an image's layers to findings.

The numbers are those of a list of false and missed findings that other scanners were reported for.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from ociwriter import Entry, whiteout
from redoubt import formats
from redoubt.indexer import sbom
from redoubt.model import Coverage, Detection, IndexReport, Judged, ProblemKind, VulnerabilityReport
from support import elfwriter, rpmolddb, rpmwriter
from support.csaf import vex
from support.pipeline import (
    Pipeline,
    dpkg,
    dpkg_status,
    hidden,
    os_release,
    osv_record,
    rpm,
    rpm_database,
    told,
)

DEBIAN = os_release(ID="debian", VERSION_ID="12", VERSION_CODENAME="bookworm")
ALPINE = os_release(ID="alpine", VERSION_ID="3.20.1")
RHEL = os_release(ID="rhel", VERSION_ID="9.2")
ROCKY = os_release(ID="rocky", VERSION_ID="9.4")
OPEN = {"status": "open", "urgency": "medium"}
PYTHON = "usr/lib/python3/dist-packages/fixture-1.0.dist-info/METADATA"

MAIN, EUS = "cpe:/o:redhat:enterprise_linux:9::baseos", "cpe:/o:redhat:rhel_eus:9.2::baseos"
PRODUCTS = {"MAIN": MAIN, "EUS": EUS, "rhel_9": "cpe:/o:redhat:enterprise_linux:9"}
REPOSITORIES = {"rhel-9-baseos-rpms": MAIN, "rhel-9-baseos-eus-rpms": EUS}


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


def fixed(version: str) -> dict[str, str]:
    return {"status": "resolved", "urgency": "medium", "fixed_version": version}


def below(version: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"introduced": "0"}, {"fixed": version}


def metadata(name: str, version: str, path: str = PYTHON) -> Entry:
    return Entry(path, f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode())


def apk(name: str, version: str, origin: str) -> Entry:
    return Entry("lib/apk/db/installed", f"P:{name}\nV:{version}\nA:x86_64\no:{origin}\n\n".encode())


def secdb(secfixes: Mapping[str, list[str]]) -> dict[str, object]:
    return {
        "distroversion": "v3.20",
        "reponame": "main",
        "packages": [{"pkg": {"name": "fixture", "secfixes": secfixes}}],
    }


def content_sets(*names: str) -> Entry:
    manifest = {"metadata": {"icm_version": 1}, "content_sets": names}
    return Entry("root/buildinfo/content_manifests/fixture.json", msgspec.json.encode(manifest))


def build_of(name: str, build: str, arch: str = "x86_64") -> str:
    return f"pkg:rpm/redhat/{name}@{build}?arch={arch}"


def erratum(name: str, version: str, release: str, arch: str = "x86_64", epoch: str = "0") -> str:
    """An ``updateinfo.xml`` of one update that repairs CVE-2099-0001 in one build."""
    package = f'name="{name}" version="{version}" release="{release}" epoch="{epoch}" arch="{arch}"'
    return (
        '<updates><update status="final" type="security"><id>RLSA-2099:1</id><severity>Important</severity>'
        '<issued date="2099-01-01 00:00:00"/><references><reference type="cve" id="CVE-2099-0001"/></references>'
        f"<pkglist><collection><package {package}><filename>{name}-{version}-{release}.{arch}.rpm</filename>"
        "</package></collection></pkglist></update></updates>"
    )


def row(report: VulnerabilityReport, kind: str) -> Coverage:
    return next(row for row in report.coverage if row.type == kind)


def program(go: str, modules: str = "", path: str = "usr/bin/shop") -> Entry:
    return Entry(path, elfwriter.elf(elfwriter.inline(go, modules), text=128 << 10), 0o755)


def jar(name: str, members: Mapping[str, str]) -> Entry:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for member, text in members.items():
            archive.writestr(zipfile.ZipInfo(member), text)
    return Entry(name, out.getvalue())


def test_01_what_a_deb_brought_is_not_judged_by_upstreams_advisory(pipeline: Pipeline) -> None:
    pipeline.debian(bookworm=fixed("1.0-1+deb12u1"))
    pipeline.osv(
        "PyPI", osv_record("PYSEC-2099-1", "PyPI", "fixture", *below("1.1"), aliases=["CVE-2099-0001"])
    )
    listed = Entry("var/lib/dpkg/info/python3-fixture.list", f"/.\n/{PYTHON}\n".encode())
    deb = dpkg_status(dpkg("python3-fixture", "1.0-1+deb12u1", Source="fixture"))
    report = pipeline.index([DEBIAN, deb, listed, metadata("fixture", "1.0")])
    precise = pipeline.match(report)
    assert (told(precise), hidden(precise)) == ([], ["fixture CVE-2099-0001 owned"])
    both = pipeline.match(report, detection=Detection.COMPREHENSIVE)
    assert told(both) == ["fixture CVE-2099-0001 affected 1.1"]


def test_02_ownership_hides_nothing_where_the_distribution_lists_only_its_repairs(pipeline: Pipeline) -> None:
    pipeline.write("amazon/2023/core/updateinfo.xml", erratum("other", "1", "1.amzn2023"))
    pipeline.osv("PyPI", osv_record("PYSEC-2099-1", "PyPI", "fixture", *below("1.1")))
    tool = rpmwriter.header_with_files([f"/{PYTHON}"])
    system = os_release(ID="amzn", VERSION_ID="2023")
    report = pipeline.scan([system, rpm_database(tool), metadata("fixture", "1.0")])
    assert told(report) == ["fixture PYSEC-2099-1 affected 1.1"]
    [location] = report.packages[0].locations
    assert location.owner == "rpm/tool"


def test_03_zero_means_what_its_source_means(pipeline: Pipeline) -> None:
    pipeline.debian(bookworm=fixed("0"), bullseye=OPEN)
    pipeline.write("alpine/v3.20/main.json", secdb({"0": ["CVE-2099-0002"], "1.5-r0": ["CVE-2099-0003"]}))
    from_zero = osv_record("PYSEC-2099-4", "PyPI", "fixture", {"introduced": "0"})
    pipeline.osv("PyPI", from_zero)
    deb = dpkg_status(dpkg("fixture", "1.0-1"))
    assert told(pipeline.scan([DEBIAN, deb])) == []
    older = os_release(ID="debian", VERSION_ID="11")
    assert told(pipeline.scan([older, deb])) == ["fixture CVE-2099-0001 affected"]
    assert told(pipeline.scan([ALPINE, apk("fixture-libs", "1.0-r0", "fixture")])) == [
        "fixture-libs CVE-2099-0003 affected 1.5-r0"
    ]
    assert told(pipeline.scan([metadata("fixture", "0.1")])) == ["fixture PYSEC-2099-4 affected"]


@pytest.mark.parametrize(
    ("installed", "epoch", "advisory", "expected"),
    [
        ("1.0-1.el9", None, "0", []),
        ("0.9-1.el9", None, "0", ["fixture CVE-2099-0001 affected 1.0-1.el9"]),
        ("0.9-1.el9", 0, "", ["fixture CVE-2099-0001 affected 1.0-1.el9"]),
        ("0.9-1.el9", 1, "0", []),
        ("9.9-1.el9", None, "1", ["fixture CVE-2099-0001 affected 1:1.0-1.el9"]),
    ],
)
def test_04_no_epoch_is_epoch_zero_for_rpm(
    pipeline: Pipeline, installed: str, epoch: int | None, advisory: str, expected: list[str]
) -> None:
    pipeline.write(
        "rocky/9.4/BaseOS/x86_64/updateinfo.xml", erratum("fixture", "1.0", "1.el9", epoch=advisory)
    )
    more: dict[str, str | int] = {"vendor": "Rocky Enterprise Software Foundation"}
    if epoch is not None:
        more["epoch"] = epoch
    assert told(pipeline.scan([ROCKY, rpm_database(rpm("fixture", installed, **more))])) == expected


def test_04_no_epoch_is_epoch_zero_for_deb_and_the_sources_counts(pipeline: Pipeline) -> None:
    pipeline.debian(bookworm=fixed("0:1.2-3"))
    assert told(pipeline.scan([DEBIAN, dpkg_status(dpkg("fixture", "1.2-3"))])) == []
    assert told(pipeline.scan([DEBIAN, dpkg_status(dpkg("fixture", "1.2-2"))])) == [
        "fixture CVE-2099-0001 affected 0:1.2-3"
    ]
    binary = dpkg("libfixture", "4:9.0-1", Source="fixture (1.2-2)")
    assert told(pipeline.scan([DEBIAN, dpkg_status(binary)])) == ["libfixture CVE-2099-0001 affected 0:1.2-3"]


def test_05_what_is_under_investigation_is_no_verdict(pipeline: Pipeline) -> None:
    pipeline.debian(bookworm={"status": "undetermined", "urgency": "high"})
    source = {"a": "pkg:rpm/redhat/fixture?arch=src"}
    document = vex("CVE-2099-0001", source, products=PRODUCTS, under_investigation=[("rhel_9", "a")])
    pipeline.redhat([document], REPOSITORIES)
    for image in (
        [DEBIAN, dpkg_status(dpkg("fixture", "1.0-1"))],
        [RHEL, rpm_database(rpm("fixture", "1.0-1.el9"))],
    ):
        report = pipeline.scan(image)
        assert told(report) == ["fixture CVE-2099-0001 under_investigation"]
        assert report.packages[0].unfixed == 0


def test_06_a_repository_that_was_unknown_when_indexing_is_placed_by_newer_definitions(
    pipeline: Pipeline,
) -> None:
    builds = {"main": build_of("fixture", "3.0-1.el9_4"), "eus": build_of("fixture", "1.0-9.el9_2")}
    document = vex("CVE-2099-0001", builds, products=PRODUCTS, fixed=[("MAIN", "main"), ("EUS", "eus")])
    pipeline.redhat([document], {})
    installed = rpm_database(rpm("fixture", "1.0-9.el9_2"))
    report = pipeline.index([RHEL, installed, content_sets("rhel-9-baseos-eus-rpms")])
    before = pipeline.match(report)
    assert told(before) == ["fixture CVE-2099-0001 affected 3.0-1.el9_4"]
    assert row(before, "rpm").unmapped == 1
    after = pipeline.redhat([document], REPOSITORIES).match(report, again=True)
    assert (told(after), row(after, "rpm").unmapped) == ([], 0)


def test_07_a_fix_of_an_extended_stream_repairs_that_stream_only(pipeline: Pipeline) -> None:
    builds = {"main": build_of("fixture", "3.0-1.el9_4"), "eus": build_of("fixture", "1.0-9.el9_2")}
    document = vex("CVE-2099-0001", builds, products=PRODUCTS, fixed=[("MAIN", "main"), ("EUS", "eus")])
    pipeline.redhat([document], REPOSITORIES)
    installed = rpm_database(rpm("fixture", "1.0-9.el9_2"))
    assert told(pipeline.scan([RHEL, installed, content_sets("rhel-9-baseos-eus-rpms")])) == []
    assert told(pipeline.scan([RHEL, installed, content_sets("rhel-9-baseos-rpms")])) == [
        "fixture CVE-2099-0001 affected 3.0-1.el9_4"
    ]


def test_08_a_fix_for_subscribers_is_no_plain_fix_and_no_missing_one(pipeline: Pipeline) -> None:
    free = {"ecosystem": "Ubuntu:22.04:LTS", "name": "fixture"}
    pro = {"ecosystem": "Ubuntu:Pro:22.04:LTS", "name": "fixture"}
    affected = [
        {"package": free, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]},
        {"package": pro, "ranges": [{"type": "ECOSYSTEM", "events": list(below("1.0-1ubuntu0.1~esm1"))}]},
    ]
    record = {"id": "UBUNTU-CVE-2099-0001", "upstream": ["CVE-2099-0001"], "modified": "2099-01-01T00:00:00Z"}
    pipeline.ubuntu({**record, "affected": affected})
    system = os_release(ID="ubuntu", VERSION_ID="22.04")
    report = pipeline.scan([system, dpkg_status(dpkg("fixture", "1.0-1"))])
    assert told(report) == ["fixture CVE-2099-0001 affected 1.0-1ubuntu0.1~esm1"]
    finding = report.packages[0].findings[0]
    assert (finding.fix_channel, finding.fixable, report.packages[0].upgrade) == ("esm", False, "")
    assert told(pipeline.scan([system, dpkg_status(dpkg("fixture", "1.0-1ubuntu0.1~esm1"))])) == []


def test_09_withdrawn_advisories_match_nothing(pipeline: Pipeline) -> None:
    gone = osv_record(
        "PYSEC-2099-1",
        "PyPI",
        "fixture",
        *below("9"),
        withdrawn="2099-01-02T00:00:00Z",
        aliases=["CVE-2099-0001"],
    )
    pipeline.osv("PyPI", gone, osv_record("PYSEC-2099-2", "PyPI", "other", *below("9")))
    source = {"a": "pkg:rpm/redhat/fixture?arch=src"}
    deleted = vex(
        "CVE-2099-0002", source, products=PRODUCTS, status="deleted", known_affected=[("rhel_9", "a")]
    )
    kept = vex("CVE-2099-0003", source, products=PRODUCTS, known_affected=[("rhel_9", "a")])
    pipeline.redhat([deleted, kept], REPOSITORIES)
    assert told(pipeline.scan([metadata("fixture", "1.0")])) == []
    assert told(pipeline.scan([RHEL, rpm_database(rpm("fixture", "1.0-1.el9"))])) == [
        "fixture CVE-2099-0003 affected"
    ]


def test_10_a_go_main_module_without_a_version_is_said_and_not_guessed(pipeline: Pipeline) -> None:
    pseudo = "v0.0.0-20990301000000-aaaaaaaaaaaa"
    records = [
        osv_record("GO-2099-1", "Go", "example.org/shop", *below("1.4.0"), kind="SEMVER"),
        osv_record("GO-2099-2", "Go", "example.org/lib", *below(pseudo.removeprefix("v")), kind="SEMVER"),
    ]
    pipeline.osv("Go", *records)
    for version in ("(devel)", "v0.0.0-20980101000000-bbbbbbbbbbbb"):
        modules = f"path\texample.org/shop\nmod\texample.org/shop\t{version}\t\n"
        report = pipeline.scan([program("go1.21.3", modules)])
        assert (told(report), row(report, "golang").unversioned) == ([], 1), version
    for version, expected in ((pseudo, 0), ("v0.0.0-20990228235959-cccccccccccc", 1)):
        modules = (
            f"path\texample.org/tool\nmod\texample.org/tool\tv1.0.0\t\ndep\texample.org/lib\t{version}\t\n"
        )
        assert len(told(pipeline.scan([program("go1.21.3", modules)]))) == expected, version


def test_11_the_toolchain_that_built_a_program_counts_and_not_what_go_mod_asks_for(
    pipeline: Pipeline,
) -> None:
    pipeline.osv("Go", osv_record("GO-2099-1", "Go", "stdlib", *below("1.21.8"), kind="SEMVER"))
    asked = Entry("src/go.mod", b"module example.org/shop\n\ngo 1.21.0\n\ntoolchain go1.21.0\n")
    assert told(pipeline.scan([program("go1.21.8"), asked])) == []
    asked = Entry("src/go.mod", b"module example.org/shop\n\ngo 1.22\n\ntoolchain go1.22.9\n")
    assert told(pipeline.scan([program("go1.21.7"), asked])) == ["stdlib GO-2099-1 affected 1.21.8"]


def test_12_neither_an_index_report_nor_an_sbom_loses_what_matching_needs(pipeline: Pipeline) -> None:
    builds = {"main": build_of("fixture", "3.0-1.el9_4"), "eus": build_of("fixture", "1.0-9.el9_2")}
    document = vex("CVE-2099-0001", builds, products=PRODUCTS, fixed=[("MAIN", "main"), ("EUS", "eus")])
    pipeline.redhat([document], REPOSITORIES)
    pipeline.write("alpine/edge/main.json", secdb({"1.5-r0": ["CVE-2099-0003"]}) | {"distroversion": "edge"})
    pipeline.debian(bookworm=fixed("1:1.2-3"))
    edge = os_release(ID="alpine", VERSION_ID="3.21_alpha20990101")
    images = [
        [RHEL, rpm_database(rpm("fixture", "1.0-8.el9_2")), content_sets("rhel-9-baseos-eus-rpms")],
        [edge, apk("fixture-libs", "1.0-r0", "fixture")],
        [DEBIAN, dpkg_status(dpkg("libfixture", "9.0-1+b1", Source="fixture (1:1.2-2)"))],
    ]
    for image in images:
        report = pipeline.index(image)
        found = pipeline.match(report)
        assert len(told(found)) == 1
        assert pipeline.match(msgspec.json.decode(msgspec.json.encode(report), type=IndexReport)) == found
        for form in ("cyclonedx", "spdx"):
            again = pipeline.match(sbom.read(formats.render(report, form), "the SBOM").report)
            assert (again.packages, again.coverage) == (found.packages, found.coverage)


def test_13_another_makers_package_is_not_judged_by_the_distributions_data(pipeline: Pipeline) -> None:
    pipeline.debian(bookworm=OPEN)
    source = {"a": "pkg:rpm/redhat/fixture?arch=src"}
    pipeline.redhat(
        [vex("CVE-2099-0001", source, products=PRODUCTS, known_affected=[("rhel_9", "a")])], REPOSITORIES
    )
    own, epel, nvidia = rpm("fixture", "1-1.el9"), "Fedora Project", "NVIDIA Corporation"
    images = {
        "rpm": [
            RHEL,
            rpm_database(own, *(rpm("fixture", "2-1.el9", vendor=name) for name in (epel, nvidia))),
        ],
        "deb": [
            DEBIAN,
            dpkg_status(
                dpkg("fixture", "1.0-1"),
                dpkg("fixture-cuda", "1.0-1", Source="fixture", Maintainer="cuda <cuda@nvidia.com>"),
                dpkg("fixture-pg", "1.0-1.pgdg120+1", Source="fixture"),
            ),
        ],
    }
    for kind, image in images.items():
        report = pipeline.scan(image)
        assert told(report) == ["fixture CVE-2099-0001 affected"]
        assert row(report, kind).third_party == 2
        assert "judged by its data" in row(report, kind).detail


def test_14_kernel_headers_are_no_kernel(pipeline: Pipeline) -> None:
    source = {"a": "pkg:rpm/redhat/kernel?arch=src"}
    pipeline.redhat(
        [vex("CVE-2099-0001", source, products=PRODUCTS, known_affected=[("rhel_9", "a")])], REPOSITORIES
    )
    named = {"source_rpm": "kernel-5.14.0-1.el9.src.rpm"}
    headers = [rpm(name, "5.14.0-1.el9", **named) for name in ("kernel-headers", "kernel-core", "perf")]
    assert told(pipeline.scan([RHEL, rpm_database(*headers)])) == ["kernel-core CVE-2099-0001 affected"]
    tracker = {"linux": {"CVE-2099-0001": {"releases": {"bookworm": OPEN}}}}
    pipeline.write("debian/tracker.json", tracker)
    pipeline.write("rocky/9.4/BaseOS/x86_64/updateinfo.xml", erratum("kernel-headers", "5.14.1", "1.el9"))
    debs = [dpkg(name, "6.1-1", Source="linux") for name in ("linux-libc-dev", "linux-image-6.1-amd64")]
    report = pipeline.match(pipeline.index([DEBIAN, dpkg_status(*debs)]), again=True)
    assert told(report) == ["linux-image-6.1-amd64 CVE-2099-0001 affected"]
    assert hidden(report) == ["linux-libc-dev CVE-2099-0001 kernel"]
    rocky = rpm("kernel-headers", "5.14.0-1.el9", vendor="Rocky", **named)
    report = pipeline.match(pipeline.index([ROCKY, rpm_database(rocky)]), again=True)
    assert (told(report), hidden(report)) == ([], ["kernel-headers CVE-2099-0001 kernel"])


def test_15_builds_of_another_flavour_are_compared_with_their_own_fixes(pipeline: Pipeline) -> None:
    pipeline.fixtures("oracle")
    system = os_release(ID="ol", VERSION_ID="8.9")
    for build, epoch, expected in (
        ("1.4.2-3.el8", 1, 0),
        ("1.4.2-2.el8", 1, 1),
        ("1.4.2-3.ksplice1.el8", 2, 0),
        ("1.4.1-9.ksplice1.el8", 2, 1),
        ("1.4.2-3.el8_fips", 10, 0),
        ("1.4.2-1.el8_fips", 10, 1),
    ):
        header = rpm("fixture-libs", build, epoch=epoch, vendor="Oracle America")
        found = [
            line for line in told(pipeline.scan([system, rpm_database(header)])) if "CVE-2099-0721" in line
        ]
        assert len(found) == expected, build


def test_16_no_findings_are_never_the_answer_to_an_unknown_or_ended_system(pipeline: Pipeline) -> None:
    pipeline.debian(bookworm=OPEN)
    product = {
        "name": "debian",
        "releases": [{"name": "12", "eolFrom": "2026-06-10", "eoesFrom": "2028-06-30"}],
    }
    pipeline.write("endoflife/products.json", {"result": [product]})
    deb = dpkg_status(dpkg("fixture", "1.0-1"))
    testing = os_release(ID="debian", PRETTY_NAME="Debian GNU/Linux trixie/sid")
    for release, judged in (
        ([DEBIAN], Judged.MATCHED),
        ([], Judged.UNKNOWN_DISTRIBUTION),
        ([os_release(ID="fixtureos", VERSION_ID="1")], Judged.UNSUPPORTED_DISTRIBUTION),
        ([os_release(ID="debian", VERSION_ID="99")], Judged.NO_DATA),
        ([testing], Judged.NO_DATA),
    ):
        report = pipeline.scan([*release, deb])
        assert row(report, "deb").judged is judged
        assert bool(row(report, "deb").detail) is (judged is not Judged.MATCHED)
        assert report.end_of_life == ("2028-06-30" if judged is Judged.MATCHED else "")


def test_17_a_fix_for_another_architecture_says_nothing(pipeline: Pipeline) -> None:
    pipeline.write(
        "rocky/9.4/BaseOS/aarch64/updateinfo.xml", erratum("fixture", "1.0", "1.el9", arch="aarch64")
    )
    maker = "Rocky Enterprise Software Foundation"
    for arch, expected in (("x86_64", 0), ("aarch64", 1)):
        header = rpm("fixture", "0.9-1.el9", arch=arch, vendor=maker)
        assert len(told(pipeline.scan([ROCKY, rpm_database(header)]))) == expected


def test_18_databases_that_upper_layers_removed_or_replaced_are_gone(pipeline: Pipeline) -> None:
    pipeline.debian(bookworm=fixed("1.2-3"))
    base = [DEBIAN, dpkg_status(dpkg("fixture", "1.0-1"))]
    assert len(told(pipeline.scan(base))) == 1
    assert told(pipeline.scan(base, [dpkg_status(dpkg("fixture", "1.2-3"))])) == []
    assert told(pipeline.scan(base, [whiteout("var/lib/dpkg/status")])) == []
    assert told(pipeline.scan(base, [whiteout("var/lib/dpkg")])) == []
    pipeline.write("rocky/9.4/BaseOS/x86_64/updateinfo.xml", erratum("fixture", "1.0", "1.el9"))
    old = Entry("var/lib/rpm/Packages", rpmolddb.berkeley([rpm("fixture", "0.9-1.el9", vendor="Rocky")]))
    new = rpm_database(rpm("fixture", "1.0-1.el9", vendor="Rocky"))
    report = pipeline.index([ROCKY, old], [whiteout("var/lib/rpm/Packages"), new])
    assert [package.version for package in report.packages] == ["1.0-1.el9"]


def test_19_a_stray_file_that_resembles_a_database_is_none(pipeline: Pipeline) -> None:
    record = dpkg("fixture", "1.0-1").encode()
    header = rpm("fixture", "0.9-1.el9")
    strays = [
        Entry("srv/mirror/dists/bookworm/main/binary-amd64/Packages", record),
        Entry("opt/vcpkg/installed/status", record),
        Entry("usr/share/doc/fixture/status", record),
        Entry("srv/repo/installed", b"P:fixture\nV:1.0-r0\n\n"),
        Entry("home/user/rpmdb.sqlite", rpmwriter.database([header])),
        Entry("srv/backup/Packages.db", rpmolddb.ndb([header])),
        Entry("opt/shop/package.json", b'{"name": "fixture", "version": "1.0.0"}'),
        Entry("usr/share/doc/fixture/METADATA", b"Name: fixture\nVersion: 1.0\n"),
    ]
    report = pipeline.index([DEBIAN, *strays])
    assert (report.packages, report.problems) == ((), ())
    in_its_place = pipeline.index([ROCKY, Entry("var/lib/rpm/Packages", b"Packages, a list of things\n")])
    assert in_its_place.packages == ()
    assert [problem.kind for problem in in_its_place.problems] == [ProblemKind.DAMAGED]


def test_20_a_jar_that_does_not_say_what_it_is_is_never_matched_by_guess(pipeline: Pipeline) -> None:
    pipeline.osv("Maven", osv_record("GHSA-fix1-ture-2001", "Maven", "org.fixture:core", *below("2.0")))
    bare = jar("opt/shop/core-1.0.jar", {"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n"})
    report = pipeline.scan([bare])
    assert (told(report), row(report, "maven").unidentified) == ([], 1)
    seen = [pipeline.index([bare], [Entry("etc/other", b"x")]).packages for _ in range(3)]
    assert [(package.name, package.version) for package in seen[0]] == [("core", "1.0")]
    assert seen[0] == seen[1] == seen[2]
    said = {
        "META-INF/maven/org.fixture/core/pom.properties": "groupId=org.fixture\nartifactId=core\nversion=1.0\n"
    }
    assert told(pipeline.scan([jar("opt/shop/app.jar", said)])) == [
        "org.fixture:core GHSA-fix1-ture-2001 affected 2.0"
    ]


def test_21_names_are_compared_with_or_without_case_as_their_ecosystem_does(pipeline: Pipeline) -> None:
    pipeline.osv("PyPI", osv_record("PYSEC-2099-1", "PyPI", "Fixture_Pkg", *below("2")))
    pipeline.osv("NuGet", osv_record("GHSA-fix1-ture-2101", "NuGet", "Fixture.Net", *below("2.0.0")))
    pipeline.osv("Go", osv_record("GO-2099-1", "Go", "example.org/Fixture", *below("2.0.0"), kind="SEMVER"))
    modules = (
        "path\tx\nmod\tx\tv9.0.0\t\ndep\texample.org/Fixture\tv1.0.0\t\ndep\texample.org/fixture\tv1.0.0\t\n"
    )
    packages = b'<packages><package id="FIXTURE.net" version="1.0.0" /></packages>'
    report = pipeline.scan(
        [
            metadata("fixture.PKG", "1", "usr/lib/python3/site-packages/fixture_PKG-1.dist-info/METADATA"),
            Entry("app/packages.config", packages),
            program("go1.21.3", modules),
        ]
    )
    assert told(report) == [
        "FIXTURE.net GHSA-fix1-ture-2101 affected 2.0.0",
        "example.org/Fixture GO-2099-1 affected 2.0.0",
        "fixture.PKG PYSEC-2099-1 affected 2",
    ]


def test_22_a_deb_that_two_databases_list_counts_once(pipeline: Pipeline) -> None:
    pipeline.debian(bookworm=OPEN)
    record = dpkg("fixture", "1.0-1")
    layers = [
        [DEBIAN, dpkg_status(record), dpkg_status(record, path="var/lib/dpkg/status.d/fixture")],
        [dpkg_status(record, path="usr/lib/dpkg/status")],
    ]
    report = pipeline.scan(*layers)
    assert told(report) == ["fixture CVE-2099-0001 affected"]
    assert (report.package_count, len(report.packages[0].locations)) == (1, 3)
