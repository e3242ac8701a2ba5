"""`redoubt scan`, as its users type it, over every form of an image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

from ociwriter import Entry, ImageWriter, whiteout, write_layout
from support import elfwriter
from support.cli import Cli, coverage, findings
from support.roots import apk_root, dpkg_root, rpm_root

DJANGO = Entry(
    "usr/lib/python3/dist-packages/Django-2.2.dist-info/METADATA",
    b"Metadata-Version: 2.1\nName: Django\nVersion: 2.2\n\n",
)
LODASH = Entry("srv/node_modules/lodash/package.json", b'{"name":"lodash","version":"4.17.15"}')


@pytest.fixture
def image() -> ImageWriter:
    return ImageWriter().add(dpkg_root([("zlib1g", "1:1.2.11.dfsg-2", "zlib")])).add([DJANGO]).add([LODASH])


def test_every_form_of_one_image_gives_the_same_findings(
    redoubt: Cli, image: ImageWriter, tmp_path: Path
) -> None:
    forms = {
        "docker-archive": image.write_docker_archive(tmp_path / "docker.tar"),
        "oci-archive": image.write_oci_archive(tmp_path / "oci.tar"),
        "oci-dir": image.write_oci_dir(tmp_path / "oci", compression="zstd"),
    }
    results = {}
    for kind, path in forms.items():
        report = redoubt.json("scan", path)
        assert report["image"]["kind"] == kind
        results[kind] = findings(report)
        assert findings(redoubt.json("scan", f"{kind}:{path}")) == results[kind]
    root = tmp_path / "root"
    for tar in image.tars:
        root.mkdir(exist_ok=True)
        subprocess.run(["tar", "-x", "-C", str(root)], input=tar, check=True)
    report = redoubt.json("scan", f"dir:{root}")
    assert report["image"]["kind"] == "dir"
    results["dir"] = findings(report)
    expected = results["docker-archive"]
    assert all(result == expected for result in results.values()), results
    assert {
        ("npm", "lodash", "4.17.15", "CVE-2020-8203"),
        ("deb", "zlib1g", "1:1.2.11.dfsg-2", "CVE-2018-25032"),
    } <= expected
    assert any(package == "Django" for _, package, _, _ in expected)


def test_crates_of_a_lock_file_and_of_a_program_are_judged(redoubt: Cli, tmp_path: Path) -> None:
    index = "registry+https://github.com/rust-lang/crates.io-index"
    lock = "version = 4\n" + "".join(
        f'\n[[package]]\nname = "{name}"\nversion = "0.1.40"\nsource = "{index}"\n'
        for name in ("time", "fixture-one", "fixture-two")  # most of it is not installed: it counts
    )
    crates = b'{"packages":[{"name":"time","version":"0.1.41","source":"crates.io"}],"format":1}'
    program = elfwriter.audited(zlib.compress(crates), symbols=200 << 10)
    gem = b"# -*- encoding: utf-8 -*-\n# stub: rake 12.0.0 ruby lib\n"
    image = ImageWriter().add(
        [
            Entry("app/Cargo.lock", lock.encode()),
            Entry("app/bin/shop", program, mode=0o755),
            Entry("usr/local/bundle/specifications/rake-12.0.0.gemspec", gem),
        ]
    )
    report = redoubt.json("scan", image.write_oci_dir(tmp_path / "image"))
    assert findings(report) == {
        ("cargo", "time", "0.1.40", "CVE-2020-26235"),
        ("cargo", "time", "0.1.41", "CVE-2020-26235"),
    }
    assert coverage(report) == {"crates.io": "matched", "rubygems": "no_data"}


def test_alpine_packages_are_judged_by_their_origin(redoubt: Cli, tmp_path: Path) -> None:
    image = ImageWriter().add(
        apk_root([("apache2-utils", "2.4.25-r0", "apache2"), ("musl", "1.1.24-r2", "musl")])
    )
    report = redoubt.json("scan", image.write_oci_dir(tmp_path / "image"))
    assert coverage(report) == {"alpine:v3.11": "matched"}
    assert ("apk", "apache2-utils", "2.4.25-r0", "CVE-2017-3167") in findings(report)


def test_rpm_packages_of_almalinux_are_judged_with_their_epoch(redoubt: Cli, tmp_path: Path) -> None:
    packages = [("openssl-libs", "3.0.1", "18.el9_0", 1), ("zlib", "1.2.11", "41.el9", 0)]
    image = ImageWriter().add(rpm_root(tmp_path / "rpm", packages))
    report = redoubt.json("scan", image.write_docker_archive(tmp_path / "image.tar"))
    assert coverage(report) == {"almalinux:9": "matched"}
    found = findings(report)
    assert ("rpm", "openssl-libs", "1:3.0.1-18.el9_0", "CVE-2022-3602") in found
    errata = {finding["fixing_advisory"] for package in report["packages"] for finding in package["findings"]}
    assert all(name.startswith("ALSA-") for name in errata)


def test_what_a_later_layer_removed_is_not_found(redoubt: Cli, image: ImageWriter, tmp_path: Path) -> None:
    image.add([whiteout("srv/node_modules/lodash")])
    report = redoubt.json("scan", image.write_oci_dir(tmp_path / "image"))
    assert not any(name == "lodash" for _, name, _, _ in findings(report))


def test_a_threshold_decides_the_exit_code_and_nothing_else(
    redoubt: Cli, image: ImageWriter, tmp_path: Path
) -> None:
    target = image.write_docker_archive(tmp_path / "image.tar")
    plain = redoubt("scan", target, "-o", "json").stdout
    assert redoubt("scan", target, "-o", "json", "--fail-on", "high", code=1).stdout == plain
    milder = ImageWriter().add([LODASH]).write_docker_archive(tmp_path / "milder.tar")
    redoubt("scan", milder, "--fail-on", "high", code=1)
    redoubt("scan", milder, "--fail-on", "critical", code=0)
    clean = ImageWriter().add(
        [Entry("srv/node_modules/none/package.json", b'{"name":"none","version":"1.0.0"}')]
    )
    harmless = clean.write_docker_archive(tmp_path / "clean.tar")
    redoubt("scan", harmless, "--fail-on", "negligible", code=0)


def test_a_bare_home_says_how_to_get_definitions(empty: Cli, image: ImageWriter, tmp_path: Path) -> None:
    done = empty("scan", image.write_docker_archive(tmp_path / "image.tar"), code=4)
    assert done.stdout == ""
    assert "redoubt definitions import" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_unknown_system_is_said_and_can_fail_a_pipeline(redoubt: Cli, tmp_path: Path) -> None:
    release = 'ID=plan9\nVERSION_ID="4"\n'
    image = ImageWriter().add(dpkg_root([("rc", "1.0-1", "")], release))
    target = image.write_docker_archive(tmp_path / "image.tar")
    report = redoubt.json("scan", target)
    assert set(coverage(report).values()) == {"unsupported_distribution"}
    assert "plan9" in redoubt("scan", target).stdout
    redoubt("scan", target, "--fail-on-incomplete", code=3)


def test_a_damaged_database_is_named_and_the_rest_is_found(redoubt: Cli, tmp_path: Path) -> None:
    broken = Entry("var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\x00 and then nothing of the kind")
    image = ImageWriter().add([broken, LODASH])
    report = redoubt.json("scan", image.write_docker_archive(tmp_path / "image.tar"))
    assert [(problem["kind"], problem["path"]) for problem in report["problems"]] == [
        ("damaged", "var/lib/rpm/rpmdb.sqlite")
    ]
    assert ("npm", "lodash", "4.17.15", "CVE-2020-8203") in findings(report)


def test_a_layer_that_cannot_be_read_is_never_a_success(
    redoubt: Cli, image: ImageWriter, tmp_path: Path
) -> None:
    target = image.write_oci_dir(tmp_path / "image")
    blobs = sorted((target / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    layer = next(path for path in blobs if path.read_bytes()[:2] == b"\x1f\x8b")
    data = bytearray(layer.read_bytes())
    data[-9] ^= 1
    layer.write_bytes(data)
    report = json.loads(redoubt("scan", target, "-o", "json", code=3).stdout)
    assert [problem["kind"] for problem in report["problems"]] == ["damaged"]
    redoubt("index", target, code=3)


def test_index_then_match_equals_scan(redoubt: Cli, image: ImageWriter, tmp_path: Path) -> None:
    target = image.write_docker_archive(tmp_path / "image.tar")
    index = tmp_path / "index.json"
    redoubt("index", target, "--output-file", index)
    assert redoubt("match", index, "-o", "json").stdout == redoubt("scan", target, "-o", "json").stdout


def test_the_same_scan_gives_the_same_bytes(redoubt: Cli, image: ImageWriter, tmp_path: Path) -> None:
    target = image.write_oci_archive(tmp_path / "image.tar")
    for form in ("json", "cyclonedx", "html"):
        first = redoubt("scan", target, "-o", form, "--no-cache").stdout
        assert redoubt("scan", target, "-o", form).stdout == first
        assert redoubt("scan", target, "-o", form).stdout == first, "from the cache"


def test_the_platform_asked_for_is_the_one_scanned(redoubt: Cli, image: ImageWriter, tmp_path: Path) -> None:
    arm = ImageWriter(architecture="arm64").add([LODASH])
    target = write_layout(tmp_path / "image", [image, arm])
    report = redoubt.json("scan", target, "--platform", "linux/arm64")
    assert report["image"]["platform"]["architecture"] == "arm64"
    assert report["package_count"] == 1
    done = redoubt("scan", target, "--platform", "linux/s390x", code=2)
    assert "linux/arm64" in done.stderr


def test_a_report_file_is_written_whole_in_the_form_its_name_says(
    redoubt: Cli, image: ImageWriter, tmp_path: Path
) -> None:
    target = image.write_docker_archive(tmp_path / "image.tar")
    page = tmp_path / "report.html"
    assert redoubt("scan", target, "--output-file", page).stdout == ""
    assert page.read_text().startswith("<!doctype html>") or page.read_text().startswith("<!DOCTYPE html>")
    bom = tmp_path / "bom.cdx.json"
    redoubt("index", target, "--output-file", bom)
    components = json.loads(bom.read_text())["components"]
    assert components
    assert all(
        component["purl"].startswith("pkg:") for component in components if component["type"] == "library"
    )
    redoubt("scan", target, "--output-file", tmp_path / "no" / "such" / "folder.json", code=2)


@pytest.mark.parametrize(
    ("content", "code"), [(b"", 3), (b"\x1f\x8b", 3), (b"not an image", 3), (b"\0" * 10240, 3)]
)
def test_what_is_no_image_is_one_line_and_exit_code_three(
    redoubt: Cli, tmp_path: Path, content: bytes, code: int
) -> None:
    target = tmp_path / "thing.tar"
    target.write_bytes(content)
    done = redoubt("scan", target, code=code)
    assert len(done.stderr.strip().splitlines()) == 1
    assert "thing.tar" in done.stderr


def test_scanning_needs_no_network_at_all(redoubt: Cli, image: ImageWriter, tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("taking the network away needs root and unshare (package util-linux)")
    target = image.write_docker_archive(tmp_path / "image.tar")
    unplugged = Cli(redoubt.home, redoubt.environment, prefix=("unshare", "--net", "--"))
    assert findings(unplugged.json("scan", target)) == findings(redoubt.json("scan", target))
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    Cli(fresh, prefix=("unshare", "--net", "--"))("definitions", "import", "--starter")
    done = unplugged("scan", "registry.invalid/shop:1", code=6)
    assert "registry.invalid" in done.stderr
