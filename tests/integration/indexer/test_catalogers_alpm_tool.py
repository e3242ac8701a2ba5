"""pacman itself installs packages into a root, and the index lists them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from redoubt.indexer.index import index_directory
from redoubt.model import Location, Package

pytestmark = [
    pytest.mark.skipif(not shutil.which("pacman"), reason="needs the Debian package pacman-package-manager"),
    pytest.mark.skipif(os.geteuid() != 0, reason="pacman installs for root only"),
]

CONFIG = "[options]\nSigLevel = Never\nLocalFileSigLevel = Never\nArchitecture = x86_64\n"


def package(folder: Path, name: str, version: str, base: str, *files: str) -> Path:
    """A package as makepkg writes it, as far as pacman asks."""
    about = {"pkgname": name, "pkgbase": base, "pkgver": version, "pkgdesc": "made up", "arch": "x86_64"}
    members = {".PKGINFO": "".join(f"{key} = {value}\n" for key, value in about.items())}
    members |= dict.fromkeys(files, '{"name": "fixture", "version": "3.0.0"}\n')
    path = folder / f"{name}-{version}-x86_64.pkg.tar.xz"
    with tarfile.open(path, "w:xz") as archive:
        for place, text in members.items():
            member = tarfile.TarInfo(place)
            member.size = len(text)
            archive.addfile(member, BytesIO(text.encode()))
    return path


def pacman(root: Path, folder: Path, *arguments: str) -> None:
    config = folder / "pacman.conf"
    config.write_text(CONFIG)
    (root / "var/lib/pacman").mkdir(parents=True, exist_ok=True)
    command = ["pacman", "--config", config, "--root", root, "--dbpath", root / "var/lib/pacman"]
    command += ["--logfile", folder / "log", "--noconfirm", *arguments]
    subprocess.run(command, capture_output=True, check=True, timeout=60)


def listed(root: Path) -> dict[str, Package]:
    report = index_directory(root, "example")
    assert report.problems == ()
    return {package.name: package for package in report.packages}


def test_what_pacman_installed_upgraded_and_removed_is_what_is_listed(tmp_path: Path) -> None:
    root, module = tmp_path / "root", "usr/lib/node_modules/fixture/package.json"
    first = package(tmp_path, "lib32-fixture", "1:2.0-1", "fixture", module)
    other = package(tmp_path, "other", "20990101.r3.gabc-1", "other")
    pacman(root, tmp_path, "-U", str(first), str(other))
    found = listed(root)
    assert set(found) == {"lib32-fixture", "other", "fixture"}
    assert found["lib32-fixture"] == Package(
        type="alpm",
        name="lib32-fixture",
        version="1:2.0-1",
        arch="x86_64",
        source_name="fixture",
        locations=(Location("var/lib/pacman/local/lib32-fixture-1:2.0-1/desc"),),
    )
    assert found["fixture"].locations == (Location(module, owner="alpm/lib32-fixture"),)

    pacman(root, tmp_path, "-U", str(package(tmp_path, "lib32-fixture", "1:2.1-1", "fixture", module)))
    pacman(root, tmp_path, "-R", "other")
    assert {name: item.version for name, item in listed(root).items()} == {
        "lib32-fixture": "1:2.1-1",
        "fixture": "3.0.0",
    }
