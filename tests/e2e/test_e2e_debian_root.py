"""A real Debian root, judged against the tracker's own rule by dpkg itself."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ociwriter import ImageWriter
from support.cli import Cli, coverage, findings
from support.data import shared_data

RELEASE = "bullseye"


@pytest.fixture(scope="session")
def debian_tar(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A minimal root of the release in which the definitions' Debian data ends, as a tar."""
    if not shutil.which("mmdebstrap") or os.geteuid() != 0:
        pytest.skip("needs Debian's package mmdebstrap, and root")
    target = tmp_path_factory.mktemp("debian") / "root.tar"
    command = ["mmdebstrap", "--variant=essential", "--quiet", RELEASE, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=540, check=False)
    if done.returncode:
        pytest.skip(f"mmdebstrap cannot make a {RELEASE} root here: {done.stderr.strip().splitlines()[-1:]}")
    return target.read_bytes()


def test_a_real_debian_root_is_judged_as_dpkg_would(redoubt: Cli, debian_tar: bytes, tmp_path: Path) -> None:
    image = ImageWriter().add_tar(debian_tar)
    target = image.write_oci_dir(tmp_path / "image")
    index = redoubt.json("index", target)
    installed = [package for package in index["packages"] if package["type"] == "deb"]
    assert len(installed) > 50
    tracker = json.loads(gzip.decompress((shared_data() / "debian" / "tracker.json.gz").read_bytes()))
    expected = set()
    for package in installed:
        source = package.get("source_name") or package["name"]
        version = package.get("source_version") or package["version"]
        for flaw, record in tracker.get(source, {}).items():
            entry = record["releases"].get(RELEASE)
            if entry and entry["fixed_version"] != "0" and _older(version, entry["fixed_version"]):
                expected.add(("deb", package["name"], package["version"], flaw))
    report = redoubt.json("scan", target)
    assert coverage(report) == {"debian:11": "matched"}
    assert findings(report) == expected


def test_an_outdated_debian_root_is_judged_as_dpkg_would(
    redoubt: Cli, debian_tar: bytes, tmp_path: Path
) -> None:
    """The same root, its database saying that every package is the first upload of its version."""
    index = redoubt.json("index", ImageWriter().add_tar(debian_tar).write_oci_dir(tmp_path / "image"))
    packages = []
    for package in index["packages"]:
        source = package.get("source_name") or package["name"]
        version = package.get("source_version") or package["version"]
        packages.append((package["name"], version.partition("+deb11")[0], source))
    from support.roots import dpkg_root

    report = redoubt.json("scan", ImageWriter().add(dpkg_root(packages)).write_oci_dir(tmp_path / "old"))
    tracker = json.loads(gzip.decompress((shared_data() / "debian" / "tracker.json.gz").read_bytes()))
    expected = set()
    for name, version, source in packages:
        for flaw, record in tracker.get(source, {}).items():
            entry = record["releases"].get(RELEASE)
            if entry and entry["fixed_version"] != "0" and _older(version, entry["fixed_version"]):
                expected.add(("deb", name, version, flaw))
    assert len(expected) > 10
    assert findings(report) == expected


def _older(left: str, right: str) -> bool:
    return subprocess.run(["dpkg", "--compare-versions", left, "lt", right], check=False).returncode == 0
