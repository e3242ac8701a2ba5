"""Debian's Python packages and pip's on one real root: each is judged once, by those who speak of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ociwriter import Entry, ImageWriter
from support.cli import Cli, findings

PACKAGES = ("python3-urllib3", "python3-setuptools", "python3-sqlparse")
RELEASE = "bullseye"


@pytest.fixture(scope="session")
def python_tar(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A root with Python packages of Debian's, as a tar."""
    if not shutil.which("mmdebstrap") or os.geteuid() != 0:
        pytest.skip("needs Debian's package mmdebstrap, and root")
    target = tmp_path_factory.mktemp("python") / "root.tar"
    command = ["mmdebstrap", "--variant=essential", "--quiet", f"--include={','.join(PACKAGES)}"]
    done = subprocess.run(
        [*command, RELEASE, str(target)], capture_output=True, text=True, timeout=540, check=False
    )
    if done.returncode:
        pytest.skip(f"mmdebstrap cannot make a {RELEASE} root here: {done.stderr.strip().splitlines()[-1:]}")
    return target.read_bytes()


def of_type(report: Any, kind: str) -> set[tuple[str, str]]:
    """``(package, flaw)`` of a report's findings of one type."""
    return {(name, flaw) for found, name, _, flaw in findings(report) if found == kind}


def test_the_distribution_judges_its_own_python_packages(
    redoubt: Cli, python_tar: bytes, tmp_path: Path
) -> None:
    target = ImageWriter().add_tar(python_tar).write_oci_dir(tmp_path / "image")
    index = redoubt.json("index", target)
    installed = {
        package["name"]: package["locations"] for package in index["packages"] if package["type"] == "pypi"
    }
    assert {"urllib3", "setuptools"} <= set(installed)
    for package, locations in installed.items():
        for path, _, owner in locations:
            assert owner == dpkg_owner(python_tar, path), package
    precise = redoubt.json("scan", target)
    both = redoubt.json("scan", target, "--detection", "comprehensive")
    upstream = of_type(both, "pypi")
    assert {name for name, _ in upstream} >= {"urllib3", "setuptools"}
    # Its maintainer has a private address, and the tracker as of 2023 has no record of it: in doubt both judge.
    assert {name for name, _ in of_type(precise, "pypi")} <= {"sqlparse"}
    suppressed = of_type({"packages": precise["suppressed"]}, "pypi")
    assert suppressed | of_type(precise, "pypi") == upstream
    assert {name for name, _ in suppressed} >= {"urllib3", "setuptools"}
    assert of_type(precise, "deb") == of_type(both, "deb")


def test_what_pip_installed_above_is_judged_upstream(redoubt: Cli, python_tar: bytes, tmp_path: Path) -> None:
    own = "usr/local/lib/python3.9/dist-packages/urllib3-1.26.4.dist-info/METADATA"
    writer = ImageWriter().add_tar(python_tar).add([Entry(own, b"Name: urllib3\nVersion: 1.26.4\n")])
    target = writer.write_docker_archive(tmp_path / "image.tar")
    report = redoubt.json("scan", target)
    found = [package for package in report["packages"] if package["name"] == "urllib3"]
    assert [path for package in found for path, *_ in package["locations"]] == [own]
    flaws = [
        finding["id"]
        for package in report["suppressed"]
        if package["name"] == "urllib3"
        for finding in package["findings"]
    ]
    told = redoubt("explain", flaws[0], target).stdout
    assert re.search(r"suppressed owned by deb/python3-urllib3 \S+; the distribution judges it", told)
    assert "pypi urllib3 1.26.4: a finding\n" in told


def dpkg_owner(tar: bytes, path: str) -> str:
    """The package whose list names a path, as ``dpkg -S`` would find it."""
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if name.startswith("var/lib/dpkg/info/") and name.endswith(".list"):
                file = archive.extractfile(member)
                assert file is not None
                if f"\n/{path}\n".encode() in b"\n" + file.read():
                    return "deb/" + name.rpartition("/")[2].removesuffix(".list").partition(":")[0]
    return ""
