"""An image in the shape of Red Hat's, from its layers and Red Hat's documents to findings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from redoubt.definitions import snapshot
from redoubt.definitions.build import build
from redoubt.definitions.mirror import Mirror
from redoubt.indexer.index import index_directory
from redoubt.matcher import match
from redoubt.model import Status, VulnerabilityReport
from support import dnfwriter, rpmwriter
from support.csaf import archive, vex

OS_RELEASE = 'ID="rhel"\nVERSION_ID="9.2"\nNAME="Red Hat Enterprise Linux"\n'
MAIN, APP, CRB = "BaseOS-9.MAIN", "AppStream-9.MAIN", "CRB-9.MAIN"
PRODUCTS = {
    MAIN: "cpe:/o:redhat:enterprise_linux:9::baseos",
    APP: "cpe:/a:redhat:enterprise_linux:9::appstream",
    CRB: "cpe:/a:redhat:enterprise_linux:9::crb",
    "BaseOS-9.2.EUS": "cpe:/o:redhat:rhel_eus:9.2::baseos",
    "rhel_9": "cpe:/o:redhat:enterprise_linux:9",
    "rhel_8": "cpe:/o:redhat:enterprise_linux:8",
    "ship_4.16": "cpe:/a:redhat:openshift:4.16::el9",
    "ship_4": "cpe:/a:redhat:openshift:4",
}
BASEOS, APPSTREAM, EUS = "rhel-9-baseos-rpms", "rhel-9-appstream-rpms", "rhel-9-baseos-eus-rpms__9_DOT_2"
MAP = {BASEOS: PRODUCTS[MAIN], APPSTREAM: PRODUCTS[APP], EUS: PRODUCTS["BaseOS-9.2.EUS"]}


def purl(name: str, build: str, arch: str = "x86_64", **more: str) -> str:
    qualifiers = "&".join(f"{key}={value}" for key, value in {"arch": arch, **more}.items())
    return f"pkg:rpm/redhat/{name}@{build}?{qualifiers}"


def documents() -> list[dict[str, object]]:
    ssl = {
        "main": purl("fixssl-libs", "3.0.7-5.el9_4", epoch="1"),
        "main.src": purl("fixssl", "3.0.7-5.el9_4", "src", epoch="1"),
        "eus": purl("fixssl-libs", "3.0.1-9.el9_2", epoch="1"),
    }
    fixed = [(MAIN, "main"), (CRB, "main"), (MAIN, "main.src"), ("BaseOS-9.2.EUS", "eus")]
    node = {
        "18": purl("fixnode", "18.2-1.el9", rpmmod="fixnode:18:1:a"),
        "plain": purl("fixnode", "20.1-1.el9"),
    }
    odd = {
        "arm": purl("fixarm", "2.0-1.el9", "aarch64"),
        "tar": "pkg:rpm/redhat/fixtar?arch=src",
        "tar-doc": "pkg:rpm/redhat/fixtar-doc",
        "kernel": "pkg:rpm/redhat/kernel?arch=src",
        "perhaps": "pkg:rpm/redhat/fixperhaps",
    }
    image = {
        "bridge": "pkg:oci/bridge-rhel9@sha256:aa?repository_url=registry.redhat.io/ship4/bridge-rhel9&tag=4073000000",
    }
    return [
        vex(
            "CVE-2099-0001",
            ssl,
            products=PRODUCTS,
            severity="Important",
            fixed=fixed,
            notices={"RHSA-2099:0001": fixed[:3], "RHSA-2099:0002": fixed[3:]},
            impacts={"Low": fixed[3:]},
        ),
        vex("CVE-2099-0002", node, products=PRODUCTS, fixed=[(APP, "18"), (APP, "plain")]),
        vex(
            "CVE-2099-0003",
            odd,
            products=PRODUCTS,
            fixed=[(MAIN, "arm")],
            known_affected=[("rhel_9", "tar"), ("rhel_9", "kernel")],
            known_not_affected=[("rhel_9", "tar-doc")],
            under_investigation=[("rhel_9", "perhaps")],
            states={("no_fix_planned", "Will not fix"): [("rhel_9", "tar")]},
        ),
        vex("CVE-2099-0004", image, products=PRODUCTS, fixed=[("ship_4.16", "bridge")]),
        vex("CVE-2099-0005", {"a": "pkg:rpm/redhat/fixssl?arch=src"}, known_affected=[("rhel_8", "a")]),
    ]


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[snapshot.Snapshot]:
    folder = tmp_path_factory.mktemp("redhat")
    archive(folder / "mirror" / "redhat" / "csaf_vex.tar.zst", documents())
    repositories = {"data": {name: {"cpes": [cpe]} for name, cpe in MAP.items()}}
    (folder / "mirror" / "redhat" / "repository-to-cpe.json").write_text(json.dumps(repositories))
    with build(Mirror(folder / "mirror"), ["redhat"]) as built:
        snapshot.create(folder / "snapshot", built.records())
    with snapshot.Snapshot.open(folder / "snapshot") as opened:
        yield opened


def rpm(name: str, build: str, source: str = "", **more: str | int) -> bytes:
    version, _, release = build.partition("-")
    fields: dict[str, str | int] = {
        "name": name,
        "version": version,
        "release": release,
        "arch": "x86_64",
        "vendor": "Red Hat, Inc.",
        "source_rpm": f"{source or name}-{build}.src.rpm",
    }
    return rpmwriter.header(**fields | more)


SSL = rpm("fixssl-libs", "3.0.1-9.el9_2", "fixssl", epoch=1)


class Root:
    """A root file system in the shape of Red Hat's."""

    def __init__(self, folder: Path, *packages: bytes) -> None:
        self._folder = folder
        self.write("etc/os-release", OS_RELEASE.encode())
        self.write("var/lib/rpm/rpmdb.sqlite", rpmwriter.database(packages))

    def write(self, path: str, data: bytes) -> Root:
        (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self._folder / path).write_bytes(data)
        return self

    def sets(self, *names: str) -> Root:
        manifest = {"metadata": {"icm_version": 1}, "content_sets": names}
        return self.write("root/buildinfo/content_manifests/ubi9.json", json.dumps(manifest).encode())

    def scan(self, definitions: snapshot.Snapshot) -> VulnerabilityReport:
        report = index_directory(self._folder, "root")
        assert report.problems == ()
        return match(report, definitions)


def told(report: VulnerabilityReport) -> list[str]:
    return [
        " ".join(
            (package.name, finding.id, finding.status, finding.fixed_version, finding.fixing_advisory)
        ).strip()
        for package in report.packages
        for finding in package.findings
    ]


def test_a_main_stream_image_needs_the_main_streams_fix(
    tmp_path: Path, definitions: snapshot.Snapshot
) -> None:
    report = Root(tmp_path, SSL).sets(BASEOS, APPSTREAM).scan(definitions)
    assert told(report) == ["fixssl-libs CVE-2099-0001 affected 1:3.0.7-5.el9_4 RHSA-2099:0001"]
    assert report.packages[0].findings[0].severity == "HIGH"
    [row] = report.coverage
    assert (row.namespace, row.unmapped, row.detail) == ("redhat:9", 0, "")


def test_an_extended_streams_image_has_its_own_fix(tmp_path: Path, definitions: snapshot.Snapshot) -> None:
    assert told(Root(tmp_path, SSL).sets(EUS).scan(definitions)) == []
    older = Root(tmp_path, rpm("fixssl-libs", "3.0.1-8.el9_2", "fixssl", epoch=1)).sets(EUS).scan(definitions)
    assert told(older) == ["fixssl-libs CVE-2099-0001 affected 1:3.0.1-9.el9_2 RHSA-2099:0002"]
    assert older.packages[0].findings[0].severity == "LOW"


def test_dnfs_word_of_each_package(tmp_path: Path, definitions: snapshot.Snapshot) -> None:
    row: dnfwriter.Row = ("fixssl-libs", "3.0.1", "9.el9_2", "x86_64", EUS, "Install")
    root = Root(tmp_path, SSL).write("var/lib/dnf/history.sqlite", dnfwriter.dnf4([row]))
    assert told(root.scan(definitions)) == []


def test_modules_and_architectures(tmp_path: Path, definitions: snapshot.Snapshot) -> None:
    label = "fixnode:18:9040:aa"
    packages = [
        rpm("fixnode", "18.1-1.el9", modularity_label=label),
        rpm("fixarm", "1.0-1.el9"),
    ]
    report = Root(tmp_path, *packages).sets(BASEOS, APPSTREAM).scan(definitions)
    assert told(report) == ["fixnode CVE-2099-0002 affected 18.2-1.el9"]
    packages = [
        rpm("fixnode", "18.2-1.el9", modularity_label=label),
        rpm("fixarm", "1.0-1.el9", arch="aarch64"),
    ]
    report = Root(tmp_path, *packages).sets(BASEOS, APPSTREAM).scan(definitions)
    assert told(report) == ["fixarm CVE-2099-0003 affected 2.0-1.el9"]


def test_states_sources_and_kernels(tmp_path: Path, definitions: snapshot.Snapshot) -> None:
    packages = [
        rpm("fixtar", "1.0-1.el9"),
        rpm("fixtar-libs", "1.0-1.el9", "fixtar"),
        rpm("fixtar-doc", "1.0-1.el9", "fixtar"),
        rpm("kernel-headers", "5.14-1.el9", "kernel"),
        rpm("kernel-core", "5.14-1.el9", "kernel"),
        rpm("fixperhaps", "1.0-1.el9"),
        rpm("fixtar", "1.0-1.epel", vendor="Somebody Else"),
    ]
    report = Root(tmp_path, *packages).sets(BASEOS).scan(definitions)
    assert sorted(told(report)) == [
        "fixperhaps CVE-2099-0003 under_investigation",
        "fixtar CVE-2099-0003 will_not_fix",
        "fixtar-libs CVE-2099-0003 will_not_fix",
        "kernel-core CVE-2099-0003 affected",
    ]
    assert report.coverage[0].third_party == 1


def test_a_repository_that_no_map_knows_is_said(tmp_path: Path, definitions: snapshot.Snapshot) -> None:
    report = Root(tmp_path, SSL).sets("new-rpms").scan(definitions)
    assert told(report)[0].startswith("fixssl-libs CVE-2099-0001")
    assert report.coverage[0].unmapped == 1
    assert "new-rpms" in report.coverage[0].detail
    silent = Root(tmp_path / "silent", SSL).scan(definitions)
    assert told(silent) == told(report)
    assert silent.coverage[0].detail.startswith("1 rpm package of no named repository")


def test_the_container_itself(tmp_path: Path, definitions: snapshot.Snapshot) -> None:
    labels = {
        "name": "ship4/bridge-rhel9",
        "architecture": "amd64",
        "cpe": "cpe:/a:redhat:openshift:4.16::el9",
        "org.opencontainers.image.created": "2099-01-01T00:00:00Z",
    }
    root = Root(tmp_path, rpm("quiet", "1-1")).sets(BASEOS)
    root.write("root/buildinfo/labels.json", json.dumps(labels).encode())
    root.write("usr/share/buildinfo/labels.json", json.dumps(labels).encode())
    report = root.scan(definitions)
    assert told(report) == ["ship4/bridge-rhel9 CVE-2099-0004 affected 4073000000"]
    assert (
        report.packages[0].purl
        == "pkg:oci/bridge-rhel9?arch=amd64&repository_url=ship4%2Fbridge-rhel9&tag=4070908800"
    )
    assert report.packages[0].findings[0].status is Status.AFFECTED
    labels["cpe"] = "cpe:/a:redhat:openshift:4.17::el9"
    root.write("usr/share/buildinfo/labels.json", json.dumps(labels).encode())
    root.write("root/buildinfo/labels.json", json.dumps(labels).encode())
    assert told(root.scan(definitions)) == []
