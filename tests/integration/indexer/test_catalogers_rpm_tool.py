from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from redoubt.indexer.catalogers.interface import FileContent, MemoryContent
from redoubt.indexer.catalogers.rpm import RpmCataloger
from redoubt.model import Package, Problem

pytestmark = [
    pytest.mark.skipif(
        shutil.which("rpm") is None or shutil.which("rpmbuild") is None, reason="needs the Debian package rpm"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="rpm --root needs root"),
]

SPEC = """
Name: tiny
Epoch: 2
Version: 1.0
Release: 3.el9
Summary: A package for tests
License: MIT
Vendor: Example
BuildArch: noarch
{label}

%description
Nothing.

%package libs
Summary: Its libraries
Version: 4.5

%description libs
Nothing.

%install
for file in /usr/bin/tiny /opt/tiny/node_modules/tiny/package.json /usr/share/doc/tiny/README; do
    mkdir -p $RPM_BUILD_ROOT$(dirname $file)
    touch $RPM_BUILD_ROOT$file
done

%files
/usr/bin/tiny
/opt/tiny/node_modules/tiny/package.json
%doc /usr/share/doc/tiny/README
%ghost /var/lib/tiny/ghost.jar
%files libs
"""


def install(root: Path, label: str) -> None:
    (root / "tiny.spec").write_text(SPEC.format(label=label))
    build = ["rpmbuild", "-bb", "--define", f"_topdir {root}/top", str(root / "tiny.spec")]
    subprocess.run(build, check=True, capture_output=True)
    files = [str(path) for path in sorted((root / "top/RPMS").rglob("*.rpm"))]
    rpm(root, "-i", "--nodeps", *files)


def rpm(root: Path, *command: str) -> None:
    define = ["--define", "_db_backend sqlite", "--define", "_dbpath /var/lib/rpm"]
    subprocess.run(["rpm", "--root", str(root / "root"), *define, *command], check=True, capture_output=True)


def read(file: Path) -> tuple[tuple[Package, ...], tuple[Problem, ...]]:
    with file.open("rb") as opened:
        content = FileContent(opened, file.stat().st_size)
        catalog = RpmCataloger().catalog("var/lib/rpm/rpmdb.sqlite", content)
    return catalog.packages, catalog.problems


def test_files_of_a_real_package_are_claimed(tmp_path: Path) -> None:
    install(tmp_path, "")
    file = tmp_path / "root/var/lib/rpm/rpmdb.sqlite"
    with file.open("rb") as opened:
        catalog = RpmCataloger().catalog("var/lib/rpm/rpmdb.sqlite", FileContent(opened, file.stat().st_size))
    assert [(claim.owner, claim.version, claim.paths.decode().split("\n")) for claim in catalog.claims] == [
        ("rpm/tiny", "2:1.0-3.el9", ["opt/tiny/node_modules/tiny/package.json", "usr/bin/tiny"])
    ]


def test_database_of_the_real_tool_is_read(tmp_path: Path) -> None:
    install(tmp_path, "ModularityLabel: tiny:1:20260101:abcdef")
    packages, problems = read(tmp_path / "root/var/lib/rpm/rpmdb.sqlite")
    assert problems == ()
    assert sorted(packages, key=lambda package: package.name) == [
        Package(
            type="rpm", name="tiny", version="2:1.0-3.el9", arch="noarch", module="tiny:1", vendor="Example"
        ),
        Package(
            type="rpm",
            name="tiny-libs",
            version="2:4.5-3.el9",
            arch="noarch",
            source_name="tiny",
            source_version="1.0-3.el9",
            module="tiny:1",
            vendor="Example",
        ),
    ]


def test_a_log_that_the_real_tool_could_not_merge_is_read(tmp_path: Path) -> None:
    install(tmp_path, "")
    file = tmp_path / "root/var/lib/rpm/rpmdb.sqlite"
    beside = file.with_name("rpmdb.sqlite-wal")
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")  # while somebody reads what is there, nothing is merged over it
        reader.execute("SELECT count(*) FROM Packages").fetchone()
        rpm(tmp_path, "-e", "--nodeps", "tiny")
        database, log = file.read_bytes(), beside.read_bytes()
    assert sorted(package.name for package in cataloged(database)) == ["tiny", "tiny-libs"]
    catalog = RpmCataloger().catalog_pair(
        "var/lib/rpm/rpmdb.sqlite", MemoryContent(database), MemoryContent(log)
    )
    assert [package.name for package in catalog.packages] == ["tiny-libs"]
    assert catalog.problems == ()


def cataloged(database: bytes) -> tuple[Package, ...]:
    return RpmCataloger().catalog("var/lib/rpm/rpmdb.sqlite", MemoryContent(database)).packages
