"""Package managers beside those of the large distributions: what they leave is listed, and mostly not judged."""

from __future__ import annotations

import io
import json
import random
import tarfile
from pathlib import Path

import pytest
import zstandard
from indexing import Memory

from redoubt.indexer.catalogers import chisel
from redoubt.indexer.catalogers.chisel import ChiselCataloger
from redoubt.indexer.catalogers.homebrew import HomebrewCataloger
from redoubt.indexer.catalogers.interface import Catalog, Cataloger, MemoryContent
from redoubt.indexer.catalogers.nix import NixCataloger
from redoubt.indexer.catalogers.opkg import OpkgCataloger
from redoubt.indexer.catalogers.portage import PortageCataloger
from redoubt.indexer.catalogers.snap import SnapCataloger
from redoubt.indexer.index import index_directory, index_image
from redoubt.model import ProblemKind

HASH = "0123456789abcdfghijklmnpqrsvwxyz"


def read(cataloger: Cataloger, data: bytes, path: str) -> Catalog:
    assert cataloger.accepts(path.rstrip("/").encode())
    return cataloger.catalog(path, MemoryContent(data))


def found(catalog: Catalog) -> list[tuple[str, str, str, str]]:
    return [(package.type, package.name, package.version, package.arch) for package in catalog.packages]


def kinds(catalog: Catalog) -> list[ProblemKind]:
    return [problem.kind for problem in catalog.problems]


# --- opkg

STATUS = b"""Package: busybox
Version: 1.36.1-r1
Depends: libc
Status: install user installed
Architecture: x86_64

Package: gone
Version: 1
Status: deinstall user not-installed
Architecture: all

Package: libc
Version: 1.2.4-r4
Status: install hold installed
Architecture: x86_64
Source: toolchain
"""


@pytest.mark.parametrize("place", ["usr/lib/opkg/status", "rom/usr/lib/opkg/status", "var/lib/opkg/status"])
def test_opkg_lists_what_is_installed_whoever_wished_it(place: str) -> None:
    catalog = read(OpkgCataloger(), STATUS, place)
    assert found(catalog) == [
        ("opkg", "busybox", "1.36.1-r1", "x86_64"),
        ("opkg", "libc", "1.2.4-r4", "x86_64"),
    ]
    assert catalog.packages[1].source_name == "toolchain"
    assert catalog.problems == ()


def test_opkg_record_without_a_version_is_a_problem_and_the_rest_is_read() -> None:
    catalog = read(
        OpkgCataloger(), b"Package: a\nStatus: install ok installed\n\n" + STATUS, "usr/lib/opkg/status"
    )
    assert len(catalog.packages) == 2
    assert kinds(catalog) == [ProblemKind.DAMAGED]


@pytest.mark.parametrize("path", [b"lib/opkg/status", b"myusr/lib/opkg/status", b"var/lib/dpkg/status"])
def test_opkg_reads_no_other_status(path: bytes) -> None:
    assert not OpkgCataloger().accepts(path)


# --- Homebrew, portage, snap

CELLAR = "home/linuxbrew/.linuxbrew/Cellar/"


@pytest.mark.parametrize(
    ("path", "name", "version"),
    [
        (f"{CELLAR}openssl@3/3.2.1_2/INSTALL_RECEIPT.json", "openssl@3", "3.2.1_2"),
        (f"{CELLAR}x\x1bz/1/INSTALL_RECEIPT.json", "xz", "1"),
        ("Cellar/jq/HEAD-0123abc/INSTALL_RECEIPT.json", "jq", "HEAD-0123abc"),
    ],
)
def test_homebrews_folders_say_name_and_version_whatever_the_receipt_holds(
    path: str, name: str, version: str
) -> None:
    for data in (b'{"homebrew_version":"4.2"}', b"", b"\xff" * 99):
        assert found(read(HomebrewCataloger(), data, path)) == [("brew", name, version, "")]


def test_a_receipt_elsewhere_is_none_of_homebrews() -> None:
    assert not HomebrewCataloger().accepts(b"srv/INSTALL_RECEIPT.json")
    assert not HomebrewCataloger().accepts(b"srv/Cellar/a/INSTALL_RECEIPT.json")


@pytest.mark.parametrize(
    ("folder", "name", "version"),
    [
        ("sys-libs/glibc-2.38-r10", "sys-libs/glibc", "2.38-r10"),
        ("dev-libs/openssl-3.0.12b_p1", "dev-libs/openssl", "3.0.12b_p1"),
        ("app-misc/foo-2-bar-1.0_rc1_p2-r3", "app-misc/foo-2-bar", "1.0_rc1_p2-r3"),
        ("x11-libs/gtk+-3.24.39", "x11-libs/gtk+", "3.24.39"),
    ],
)
def test_portages_folders_say_category_name_and_version(folder: str, name: str, version: str) -> None:
    catalog = read(PortageCataloger(), b"", f"var/db/pkg/{folder}/PF")
    assert found(catalog) == [("portage", name, version, "")]


@pytest.mark.parametrize("folder", ["a/-MERGING-glibc", "a/glibc", "a/" + "1-" * 5000, "a/b-1_" + "p" * 5000])
def test_portages_folder_of_another_form_is_a_problem(folder: str) -> None:
    catalog = read(PortageCataloger(), b"", f"var/db/pkg/{folder}/PF")
    assert catalog.packages == ()
    assert kinds(catalog) == [ProblemKind.DAMAGED]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            b"name: core22\nversion: '20240111'\narchitectures:\n- amd64\ntype: base\n",
            ("core22", "20240111", "amd64"),
        ),
        (b'version: "1.2"  # of ours\nname: shop\narchitectures: [ arm64 ]\n', ("shop", "1.2", "arm64")),
        (b"name: shop\napps:\n  a:\n    version: 9\n", ("shop", "", "")),
        (b"name: shop\nversion: 1\narchitectures:\n  - amd64\n  - i386\n", ("shop", "1", "")),
    ],
)
def test_a_snaps_own_texts_are_read(text: bytes, expected: tuple[str, str, str]) -> None:
    assert found(read(SnapCataloger(), text, "snap/shop/x1/meta/snap.yaml")) == [("snap", *expected)]


@pytest.mark.parametrize("text", [b"", b"name:\n", b"\xff\xfe" * 99, b"architectures:" + b"\n" * 100_000])
def test_a_snap_without_a_name_is_a_problem(text: bytes) -> None:
    assert kinds(read(SnapCataloger(), text, "meta/snap.yaml")) == [ProblemKind.DAMAGED]


# --- chisel

WALL = [
    {"jsonwall": "1.0", "schema": "1.0", "count": 4},
    {"kind": "content", "slice": "libc6_libs", "path": "/usr/lib/package"},
    {"kind": "package", "name": "base-files", "version": "13ubuntu10", "sha256": "00", "arch": "amd64"},
    {"kind": "package", "name": "libc6", "version": "2.39-0ubuntu8", "sha256": "00", "arch": "amd64"},
    {"kind": "slice", "name": "libc6_libs"},
]
CUT = [("deb", "base-files", "13ubuntu10", "amd64"), ("deb", "libc6", "2.39-0ubuntu8", "amd64")]


def wall(*lines: object) -> bytes:
    return zstandard.compress(
        b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    )


def chiselled(data: bytes) -> Catalog:
    return read(ChiselCataloger(), data, "var/lib/chisel/manifest.wall")


def test_chisels_packages_are_listed_and_their_missing_sources_said() -> None:
    catalog = chiselled(wall(*WALL))
    assert found(catalog) == CUT
    assert kinds(catalog) == [ProblemKind.UNSUPPORTED]
    assert "source packages these 2 packages" in catalog.problems[0].message


def test_chisels_manifest_of_another_schema_is_unsupported() -> None:
    assert kinds(chiselled(wall({"jsonwall": "1.0", "schema": "2.0"}, *WALL[1:]))) == [
        ProblemKind.UNSUPPORTED
    ]
    assert chiselled(wall({"jsonwall": "1.0", "schema": "2.0"}, *WALL[1:])).packages == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not zstd",
        wall(*WALL)[:-3],
        wall(WALL[0], {"kind": "package", "name": ["x"]}),
        wall(WALL[0], {"kind": "package", "name": "x"}),
        zstandard.compress(b'{"schema":"1.0"}\n{"kind":"package"' + b"[" * 100_000),
    ],
)
def test_chisels_damaged_manifest_is_a_problem(data: bytes) -> None:
    assert ProblemKind.DAMAGED in kinds(chiselled(data))


def test_chisels_manifest_that_inflates_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kinds(chiselled(zstandard.compress(b"x" * (2 << 20)))) == [ProblemKind.LIMIT]
    monkeypatch.setattr(chisel, "_MAX_UNPACKED", 1 << 20)
    long = wall(*WALL, *({"kind": "slice", "name": "a" * 1000} for _ in range(3000)))
    assert ProblemKind.LIMIT in kinds(chiselled(long))


def test_chisels_mutated_manifest_never_raises() -> None:
    whole, chance = wall(*WALL), random.Random(1)
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        chiselled(bytes(data[: chance.randrange(len(data))] if chance.random() < 0.3 else data))


# --- Nix


@pytest.mark.parametrize(
    ("folder", "name", "version"),
    [
        ("openssl-3.0.13", "openssl", "3.0.13"),
        ("openssl-3.0.13-bin", "openssl", "3.0.13"),
        ("python3.11-requests-2.31.0", "python3.11-requests", "2.31.0"),
        ("glibc-2.38-44", "glibc", "2.38-44"),
        ("bash-5.2-p26", "bash", "5.2-p26"),
    ],
)
def test_nixs_folders_say_name_and_version(folder: str, name: str, version: str) -> None:
    assert found(read(NixCataloger(), b"", f"nix/store/{HASH}-{folder}/")) == [("nix", name, version, "")]


@pytest.mark.parametrize(
    "folder", [f"{HASH}-source", f"{HASH}-builder.sh", "short-1.0", f"{'e' * 32}-a-1.0", ".links"]
)
def test_nixs_folders_without_a_version_are_none(folder: str) -> None:
    assert not NixCataloger().accepts(f"nix/store/{folder}".encode())


@pytest.mark.parametrize("folder", [f"{HASH}-a-1.0.drv", f"{HASH}-fix-1.patch", f"{HASH}-a-1.0.tar.gz"])
def test_nixs_recipes_and_sources_are_none(folder: str) -> None:
    assert read(NixCataloger(), b"", f"nix/store/{folder}/") == Catalog()


def tar(*names: str, files: dict[str, bytes] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE
            archive.addfile(member)
        for name, data in (files or {}).items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def listed(*layers: bytes) -> list[tuple[str, str, list[str], int]]:
    source = Memory(list(layers), list(layers))
    report = index_image(source, source.resolve(None))
    order = [layer.diff_id for layer in report.layers]
    return [
        (package.type, package.name, [place.path for place in package.locations], order.index(place.layer))
        for package in report.packages
        for place in package.locations[:1]
    ]


SHELF = f"nix/store/{HASH}-openssl-3.0.13"
METADATA = {f"{SHELF}/lib/a-1.dist-info/METADATA": b"Metadata-Version: 2.1\nName: a\nVersion: 1\n"}


def test_nixs_folder_in_a_layer_is_listed_beside_what_lies_in_it() -> None:
    both = [
        ("nix", "openssl", [f"{SHELF}/"], 0),
        ("pypi", "a", [f"{SHELF}/lib/a-1.dist-info/METADATA"], 0),
    ]
    below = tar("nix/", "nix/store/", f"{SHELF}/", f"{SHELF}/", files=METADATA)
    assert listed(below) == both
    assert listed(below, tar("nix/store/", f"{SHELF}/")) == both
    assert listed(below, tar(files={f"{SHELF}/lib/other": b"x"})) == both


def test_nixs_folder_that_an_upper_layer_removes_is_gone() -> None:
    below = tar("nix/store/", f"{SHELF}/", files=METADATA)
    assert listed(below, tar(files={f"nix/store/.wh.{HASH}-openssl-3.0.13": b""})) == []
    assert listed(below, tar(files={"nix/store/.wh..wh..opq": b""})) == []
    assert listed(below, tar(files={SHELF: b"a file"})) == []


def test_nixs_folder_on_disk_is_listed(tmp_path: Path) -> None:
    (tmp_path / SHELF / "bin").mkdir(parents=True)
    report = index_directory(tmp_path, "dir")
    assert [(package.name, package.locations[0].path) for package in report.packages] == [
        ("openssl", f"{SHELF}/")
    ]
