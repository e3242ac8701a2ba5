"""Root file systems of each kind, as layers: what a test needs of an operating system, and no more."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ociwriter import Entry, tree

ALPINE_RELEASE = """NAME="Alpine Linux"
ID=alpine
VERSION_ID=3.11.3
PRETTY_NAME="Alpine Linux v3.11"
"""

ALMALINUX_RELEASE = """NAME="AlmaLinux"
VERSION="9.0 (Emerald Puma)"
ID="almalinux"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.0"
PRETTY_NAME="AlmaLinux 9.0 (Emerald Puma)"
"""

DEBIAN_RELEASE = """PRETTY_NAME="Debian GNU/Linux 11 (bullseye)"
NAME="Debian GNU/Linux"
VERSION_ID="11"
VERSION="11 (bullseye)"
VERSION_CODENAME=bullseye
ID=debian
"""


def apk_root(packages: list[tuple[str, str, str]], release: str = ALPINE_RELEASE) -> list[Entry]:
    """An apk-based root. ``packages``: (name, version, origin)."""
    records = [f"P:{name}\nV:{version}\nA:x86_64\no:{origin}\n" for name, version, origin in packages]
    return [
        Entry("etc/os-release", release.encode()),
        Entry("lib/apk/db/installed", "\n".join(records).encode()),
    ]


def dpkg_root(packages: list[tuple[str, str, str]], release: str = DEBIAN_RELEASE) -> list[Entry]:
    """A dpkg-based root. ``packages``: (name, version, source or "")."""
    records = []
    for name, version, source in packages:
        lines = [
            f"Package: {name}",
            "Status: install ok installed",
            "Architecture: amd64",
            f"Version: {version}",
        ]
        records.append("\n".join([*lines, *([f"Source: {source}"] if source else [])]) + "\n")
    return [
        Entry("usr/lib/os-release", release.encode()),
        Entry("var/lib/dpkg/status", "\n".join(records).encode()),
    ]


def rpm_root(
    folder: Path, packages: list[tuple[str, str, str, int]], release: str = ALMALINUX_RELEASE
) -> list[Entry]:
    """An rpm-based root made by rpm itself. ``packages``: (name, version, release, epoch).

    Skips the test where Debian's ``rpm`` package is not installed.
    """
    if not (shutil.which("rpmbuild") and shutil.which("rpm")):
        pytest.skip("needs Debian's package rpm")
    root, top = folder / "root", folder / "rpmbuild"
    root.mkdir(parents=True)
    for name, version, build, epoch in packages:
        spec = folder / f"{name}.spec"
        spec.write_text(
            f"Name: {name}\nVersion: {version}\nRelease: {build}\nEpoch: {epoch}\nSummary: x\nLicense: x\n"
            "BuildArch: noarch\n%description\nx\n%files\n"
        )
        _quiet(["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {top}", str(spec)])
    rpms = sorted(map(str, (top / "RPMS").rglob("*.rpm")))
    command = ["rpm", "--root", str(root), "--define", "_db_backend sqlite", "--dbpath", "/var/lib/rpm"]
    if os.geteuid() != 0:
        pytest.skip("rpm --root needs root")
    _quiet([*command, "--nodeps", "--noscripts", "-i", *rpms])
    entries = list(tree(root))
    return [*entries, Entry("etc/os-release", release.encode())]


def _quiet(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
