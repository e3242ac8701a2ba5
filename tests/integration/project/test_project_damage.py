"""Whole images that are damaged or made to exhaust: a report that says so, within time and memory, and never less.

Every scan here runs in a process of its own with a limit on its memory (``RLIMIT_AS`` counts address space, so
it is generous; a bomb that is inflated would take far more) and on its time.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import resource
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from ociwriter import Entry, ImageWriter, directory, layer_tar, symlink
from redoubt.indexer.catalogers import ALL
from redoubt.indexer.catalogers.interface import MemoryContent
from redoubt.model import Package, ProblemKind
from support import rpmolddb, rpmwriter

MEMORY = 3 << 30
SECONDS = 100
MANY = [(f"package-{number:03d}", f"1.{number}-1") for number in range(150)]


def index(target: str | Path, *options: str, code: int = 0) -> Any:
    """``redoubt index`` of a target, within bounds; its JSON."""

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    command = [
        str(Path(sys.executable).with_name("redoubt")),
        "index",
        str(target),
        "--no-cache",
        "-q",
        "-o",
        "json",
    ]
    done = subprocess.run(
        [*command, *options], capture_output=True, timeout=SECONDS, preexec_fn=bounded, check=False
    )
    assert done.returncode == code, done.stderr[-2000:]
    return json.loads(done.stdout)


def kinds(report: Any) -> set[str]:
    return {problem["kind"] for problem in report["problems"]}


def packed_image(folder: Path, layer: bytes, diff_id: str) -> Path:
    """An OCI layout with one layer as it is stored, whatever it unpacks to."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": "application/octet-stream", "digest": f"sha256:{digest}", "size": len(data)}

    config = put(
        json.dumps(
            {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
        ).encode()
    )
    manifest = put(json.dumps({"schemaVersion": 2, "config": config, "layers": [put(layer)]}).encode())
    manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return folder


# --- databases cut at every kilobyte


def _status() -> bytes:
    record = (
        "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}\nDescription: {}\n\n"
    )
    return "".join(record.format(name, version, "words " * 20) for name, version in MANY).encode()


def _installed() -> bytes:
    return "".join(
        f"P:{name}\nV:{version}\nA:x86_64\nT:{'words ' * 20}\n\n" for name, version in MANY
    ).encode()


def _headers() -> list[bytes]:
    return [
        rpmwriter.header(name=name, version=version.partition("-")[0], release="1", vendor="v" * 300)
        for name, version in MANY
    ]


def _jar() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, version in MANY:
            archive.writestr(
                f"META-INF/maven/g/{name}/pom.properties",
                f"groupId=g\nartifactId={name}\nversion={version}\n",
            )
    return out.getvalue()


DATABASES: dict[str, tuple[str, Callable[[], bytes], bool]] = {
    # path, content, and whether every cut has to be noticed: text that ends after a record cannot show its cut
    "dpkg": ("var/lib/dpkg/status", _status, False),
    "apk": ("lib/apk/db/installed", _installed, False),
    "rpm-sqlite": ("var/lib/rpm/rpmdb.sqlite", lambda: rpmwriter.database(_headers()), True),
    "rpm-berkeley": ("var/lib/rpm/Packages", lambda: rpmolddb.berkeley(_headers()), True),
    "rpm-ndb": ("var/lib/rpm/Packages.db", lambda: rpmolddb.ndb(_headers()), True),
    "jar": ("opt/shop-1.0.jar", _jar, True),
}


@pytest.mark.parametrize("name", DATABASES)
def test_a_database_cut_at_every_kilobyte_says_so_or_keeps_what_came_before(name: str) -> None:
    path, make, noticed = DATABASES[name]
    (cataloger,) = [
        each
        for each in ALL
        if each.accepts(path.encode()) and Path(path).name.encode() in _wanted(each, path)
    ]
    whole = make()
    expected = cataloger.catalog(path, MemoryContent(whole))
    assert len(expected.packages) >= len(MANY)
    assert not expected.problems
    for size in range(0, len(whole), 1024):
        catalog = cataloger.catalog(path, MemoryContent(whole[:size]))
        said = {problem.kind for problem in catalog.problems}
        if noticed:
            assert said & {ProblemKind.DAMAGED, ProblemKind.UNSUPPORTED}, size
        _no_more_than(catalog.packages, expected.packages, cut=not said)


def _wanted(cataloger: Any, path: str) -> Iterable[bytes]:
    base = Path(path).name.encode()
    if base in cataloger.wanted.names or Path(path).suffix.encode() in cataloger.wanted.extensions:
        return [base]
    return []


def _no_more_than(found: tuple[Package, ...], expected: tuple[Package, ...], *, cut: bool) -> None:
    if cut:  # nothing was said: all before the cut is there, but for the record that was cut in two
        assert found[:-1] == expected[: max(len(found) - 1, 0)]
    else:
        assert {package.name for package in found[:-1]} <= {package.name for package in expected}


# --- what is made to exhaust


def test_a_layer_of_fifty_gigabytes_of_zeros_is_refused(tmp_path: Path) -> None:
    piece = gzip.compress(bytes(64 << 20), 9, mtime=0)
    header = tarfile.TarInfo("zeros")
    header.size = 50 << 30
    layer = gzip.compress(header.tobuf(tarfile.GNU_FORMAT), mtime=0) + piece * 800
    report = index(packed_image(tmp_path / "gzip", layer, "sha256:" + "0" * 64), code=3)
    assert kinds(report) == {"limit"}
    frame = zstandard.compress(bytes(64 << 20))
    layer = zstandard.compress(header.tobuf(tarfile.GNU_FORMAT)) + frame * 800
    assert kinds(index(packed_image(tmp_path / "zstd", layer, "sha256:" + "0" * 64), code=3)) == {"limit"}


def test_a_wanted_file_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with (root / "zeros.jar").open("wb") as file:  # a hole: no disk is taken
        file.truncate(6 << 30)
    report = index(f"dir:{root}")
    assert kinds(report) == {"limit"}


def test_a_million_tiny_files_are_walked(tmp_path: Path) -> None:
    """Half a gigabyte of headers: unwanted ones are passed, and wanted ones end at a limit that is said."""
    path = tmp_path / "layer.tar"
    template = tarfile.TarInfo("d/000000000").tobuf(tarfile.USTAR_FORMAT)
    with path.open("wb") as out:
        for start in range(0, 1_000_000, 10_000):
            out.write(b"".join(_numbered(template, number) for number in range(start, start + 10_000)))
        out.write(_member("usr/lib/os-release", b"ID=debian\nVERSION_ID=12\n") + bytes(1024))
    report = index(_plain_image(tmp_path / "image", path))
    assert report["distribution"]["id"] == "debian"
    assert "problems" not in report or not report["problems"]


def test_a_hundred_thousand_wanted_files_are_all_listed(tmp_path: Path) -> None:
    root = tmp_path / "layer.tar"
    with root.open("wb") as out:
        for number in range(100_000):
            out.write(
                _member(
                    f"app/node_modules/p{number}/package.json", b'{"name":"p%d","version":"1.0.0"}' % number
                )
            )
        out.write(bytes(1024))
    report = index(_plain_image(tmp_path / "image", root))
    assert len(report["packages"]) == 100_000


def _numbered(template: bytes, number: int) -> bytes:
    header = bytearray(template)
    header[0:11] = b"d/%09d" % number
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def _member(name: str, data: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def _plain_image(folder: Path, layer: Path) -> Path:
    with layer.open("rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    return packed_image(folder, layer.read_bytes(), digest)


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "deflated"])
def test_archives_nested_a_hundred_deep_end_at_a_limit_that_is_said(tmp_path: Path, stored: bool) -> None:
    method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    inner = b""
    for depth in range(100):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            archive.writestr(
                f"META-INF/maven/g/a{depth}/pom.properties", f"groupId=g\nartifactId=a{depth}\nversion=1\n"
            )
            if inner:
                archive.writestr(f"lib/a{depth - 1}-1.jar", inner)
        inner = out.getvalue()
    archive_path = (
        ImageWriter().add([Entry("opt/a99-1.jar", inner)]).write_docker_archive(tmp_path / "image.tar")
    )
    report = index(archive_path)
    assert kinds(report) == {"limit"}
    assert {package["name"] for package in report["packages"]} >= {"g:a99", "g:a98"}


def test_links_in_circles_through_layers_and_folders_end(tmp_path: Path) -> None:
    image = ImageWriter()
    image.add(
        [
            symlink("var", "usr"),
            symlink("usr", "var"),
            symlink("lib", "lib"),
            Entry("etc/os-release", b"ID=debian\nVERSION_ID=12\n"),
        ]
    )
    image.add(
        [
            symlink("etc/a", "../etc/b"),
            symlink("etc/b", "/etc/a"),
            Entry("opt/x/var/lib/dpkg/status", _status()),
        ]
    )
    image.add([directory("opt/x/var/lib"), symlink("opt/x/var/lib/dpkg/info", "../../../../..")])
    report = index(image.write_docker_archive(tmp_path / "image.tar"))
    assert len(report["packages"]) == len(MANY)
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "os-release").write_text("ID=debian\n")
    (root / "again").symlink_to(".")
    (root / "up").symlink_to("..")
    (root / "var").symlink_to("var")
    assert index(f"dir:{root}")["distribution"]["id"] == "debian"


def test_texts_of_every_kind_go_through_every_format(tmp_path: Path) -> None:
    """Names in every form of Unicode, versions of 100 KB, control characters: said or cleaned, never passed on raw."""
    names = [
        "e\u0301",
        "\u00e9",
        "\u212b",
        "\ufb01",
        "\u202etxt",
        "a\u0000b",
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        "\x1b[31mred",
        "x" * 3000,
        "\u200b",
        "A\u0338",
    ]
    records = [
        f"Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: {number}.0\n\n"
        for number, name in enumerate(names)
    ]
    records.append(
        f"Package: long\nStatus: install ok installed\nArchitecture: all\nVersion: {'1.' * 50_000}\n\n"
    )
    status = "".join(records).encode()
    root = [
        Entry("etc/os-release", b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="\x1b]0;owned\x07D"\n'),
        Entry("var/lib/dpkg/status", status),
    ]
    archive = ImageWriter().add(root).write_docker_archive(tmp_path / "image.tar")
    home = {"REDOUBT_DATA_DIR": str(tmp_path / "data"), "REDOUBT_CACHE_DIR": str(tmp_path / "cache")}
    for form in ("table", "json", "csv", "cyclonedx", "spdx"):
        command = [str(Path(sys.executable).with_name("redoubt")), "index", str(archive), "-q", "-o", form]
        done = subprocess.run(command, capture_output=True, env=home, timeout=SECONDS, check=False)
        assert done.returncode in (0, 3), done.stderr
        out = done.stdout.decode()  # always UTF-8
        assert not set(out) & {"\x1b", "\x07", "\x00", "\u202e"}, form
        assert "1." * 2000 not in out


def test_a_layer_that_lies_about_numbers_is_damage_and_no_more(tmp_path: Path) -> None:
    lies = []
    for field, value in (
        ((124, 136), b"77777777777\0"),
        ((124, 136), b"\x80" + b"\xff" * 11),
        ((148, 156), b"0000000\0"),
    ):
        tar = bytearray(layer_tar([Entry("var/lib/dpkg/status", _status())]))
        tar[slice(*field)] = value
        if field != (148, 156):
            tar[148:156] = b" " * 8
            tar[148:156] = b"%06o\0 " % sum(tar[:512])
        lies.append(bytes(tar))
    for number, tar in enumerate(lies):
        report = index(ImageWriter().add_tar(tar).write_docker_archive(tmp_path / f"{number}.tar"), code=3)
        assert kinds(report) <= {"damaged", "limit", "hostile"}
        assert report["problems"]
