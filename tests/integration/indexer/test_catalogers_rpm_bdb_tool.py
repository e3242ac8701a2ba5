"""Berkeley DB's own tools write the databases, with headers that rpm wrote."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from redoubt.indexer.catalogers.interface import Catalog, FileContent
from redoubt.indexer.catalogers.rpm import RpmCataloger
from redoubt.model import Package, ProblemKind

pytestmark = [
    pytest.mark.skipif(shutil.which("rpmbuild") is None, reason="needs the Debian package rpm"),
    pytest.mark.skipif(shutil.which("db5.3_load") is None, reason="needs the Debian package db5.3-util"),
    pytest.mark.skipif(os.geteuid() != 0, reason="rpm --root needs root"),
]

SIZES = [0, 1, 5, 20, 60, 200, 700]  # files of each package: headers of 1 to 70 KB
Rows = Sequence[tuple[int, bytes]]


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of rpm itself with a package of each size."""
    folder = tmp_path_factory.mktemp("rpm")
    parts = [
        f"%package p{size}\nSummary: x\n%description p{size}\nx\n%files p{size}\n/p{size}\n" for size in SIZES
    ]
    make = [
        f"mkdir %{{buildroot}}/p{size}; cd %{{buildroot}}/p{size}; touch $(seq {size}) x" for size in SIZES
    ]
    (folder / "s.spec").write_text(
        "Name: s\nVersion: 1\nRelease: 2.el8\nEpoch: 3\nSummary: x\nLicense: x\nBuildArch: noarch\n"
        "%description\nx\n%install\nmkdir -p %{buildroot}\n" + "\n".join(make) + "\n" + "".join(parts)
    )
    build = ["rpmbuild", "-bb", "--define", f"_topdir {folder}/top", str(folder / "s.spec")]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    files = sorted(map(str, (folder / "top/RPMS").rglob("*.rpm")))
    define = ["--define", "_db_backend sqlite", "--define", "_dbpath /var/lib/rpm"]
    command = ["rpm", "--root", str(folder / "root"), *define, "-i", "--nodeps", "--justdb", *files]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder / "root/var/lib/rpm/rpmdb.sqlite"


@pytest.fixture(scope="module")
def rows(sqlite: Path) -> Rows:
    connection = sqlite3.connect(f"file:{sqlite}?mode=ro", uri=True)
    found = connection.execute("SELECT hnum, blob FROM Packages").fetchall()
    connection.close()
    assert len(found) == len(SIZES)
    return found


@pytest.fixture(scope="module")
def expected(sqlite: Path) -> set[Package]:
    packages = set(read(sqlite).packages)
    assert {package.name for package in packages} == {f"s-p{size}" for size in SIZES}
    return packages


def load(file: Path, rows: Rows, *settings: str, kind: str = "hash", options: Sequence[str] = ()) -> Path:
    """Put rpm's counter and these rows into a database, made if it is not there."""
    order = ">" if "db_lorder=4321" in settings else "<"
    lines = ["VERSION=3", "format=bytevalue", f"type={kind}", *settings, "HEADER=END"]
    for key, value in [(0, struct.pack(f"{order}I", len(rows))), *rows]:
        lines += [f" {struct.pack(f'{order}I', key).hex()}", f" {value.hex()}"]
    command = ["db5.3_load", *options, str(file)]
    text = "\n".join([*lines, "DATA=END", ""])
    subprocess.run(command, input=text, text=True, check=True, capture_output=True, timeout=120)
    return file


def read(file: Path, size: int | None = None) -> Catalog:
    with file.open("rb", buffering=0) as opened:
        content = FileContent(opened, file.stat().st_size if size is None else size)
        return RpmCataloger().catalog(f"var/lib/rpm/{file.name}", content)


@pytest.mark.parametrize("order", [1234, 4321])
@pytest.mark.parametrize("page_size", [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536])
def test_every_page_size_and_byte_order_is_read(
    page_size: int, order: int, rows: Rows, expected: set[Package], tmp_path: Path
) -> None:
    file = load(tmp_path / "Packages", rows, f"db_pagesize={page_size}", f"db_lorder={order}")
    catalog = read(file)
    assert set(catalog.packages) == expected
    assert catalog.problems == ()


@pytest.mark.parametrize("setting", ["chksum=1", "h_nelem=5000", "h_ffactor=1"])
def test_other_settings_make_no_difference(
    setting: str, rows: Rows, expected: set[Package], tmp_path: Path
) -> None:
    catalog = read(load(tmp_path / "Packages", rows, "db_pagesize=4096", setting))
    assert (set(catalog.packages), catalog.problems) == (expected, ())


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_headers_that_were_replaced_are_not_seen(
    page_size: int, rows: Rows, expected: set[Package], tmp_path: Path
) -> None:
    def swapped(value: bytes) -> bytes:
        return value.replace(b"s-p", b"old")

    file = tmp_path / "Packages"
    many = [(key + 100 * step, swapped(value)) for step in range(10) for key, value in rows]
    load(file, many, f"db_pagesize={page_size}")
    assert len(read(file).packages) == len(SIZES)
    load(file, [(key, rows[-1][1]) for key, _ in many])  # longer or shorter: pages are freed and used again
    load(file, [(key, dict(rows)[1 + (key - 1) % len(rows)]) for key, _ in many])
    catalog = read(file)
    assert (set(catalog.packages), catalog.problems) == (expected, ())


def test_tree_and_encrypted_databases_are_unsupported(rows: Rows, tmp_path: Path) -> None:
    tree = load(tmp_path / "tree", rows, kind="btree")
    secret = load(tmp_path / "secret", rows, options=["-P", "secret"])
    for file in (tree, secret):
        catalog = read(file)
        assert catalog.packages == ()
        assert [problem.kind for problem in catalog.problems] == [ProblemKind.UNSUPPORTED]


def test_truncated_at_every_kilobyte_is_said(rows: Rows, expected: set[Package], tmp_path: Path) -> None:
    file = load(tmp_path / "Packages", rows, "db_pagesize=4096")
    most: set[Package] = set()
    for size in range(0, file.stat().st_size, 1024):
        catalog = read(file, size)
        assert ProblemKind.DAMAGED in {problem.kind for problem in catalog.problems}, size
        assert set(catalog.packages) <= expected
        most |= set(catalog.packages)
    assert most
