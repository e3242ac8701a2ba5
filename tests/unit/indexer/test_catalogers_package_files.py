from __future__ import annotations

import gzip
import io
import lzma
import random
import struct
import tarfile
from functools import partial

import pytest
import zstandard
from indexing import Memory

from redoubt.indexer.catalogers import ALL, chosen
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.indexer.catalogers.package_files import PackageFileCataloger
from redoubt.indexer.index import index_image
from redoubt.model import ProblemKind
from support import rpmwriter

packed = partial(gzip.compress, mtime=0)  # the same with every run: a test's name may hold it
CONTROL = b"Package: tool\nVersion: 1:2.0-1\nArchitecture: amd64\nSource: tools (2.0-1)\n"
PKGINFO = (
    b"# made by abuild\npkgname = tool\npkgver = 2.0-r1\narch = x86_64\norigin = tools\ndepend = so:libc\n"
)


def tar(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def ar(*members: tuple[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return out


def deb(control: bytes, name: str) -> bytes:
    return ar(("debian-binary", b"2.0\n"), (name, control), ("data.tar.xz", b"whatever"))


def rpm(**fields: str | int) -> bytes:
    magic = b"\x8e\xad\xe8\x01\0\0\0\0"
    signature = magic + rpmwriter.raw_header([(1000, 6, 0, 1)], b"odd\0")
    lead = b"\xed\xab\xee\xdb".ljust(96, b"\0")
    return (
        (lead + signature).ljust((96 + len(signature) + 7) & ~7, b"\0")
        + magic
        + rpmwriter.header(**fields)
        + b"x"
    )


RPM = rpm(
    name="tool", epoch=1, version="2.0", release="1.el9", arch="x86_64", source_rpm="tools-2.0-1.el9.src.rpm"
)
CONTROL_TAR = tar("./control", CONTROL)
DEB = deb(packed(CONTROL_TAR), "control.tar.gz")
APK = packed(tar(".SIGN.RSA.x", b"s")[:1024]) + packed(tar(".PKGINFO", PKGINFO)) + packed(b"data")


def read(data: bytes, path: str) -> Catalog:
    return PackageFileCataloger().catalog(path, MemoryContent(data))


def found(catalog: Catalog) -> list[tuple[str, str, str, str, str]]:
    return [(p.type, p.name, p.version, p.arch, p.source_name) for p in catalog.packages]


def kinds(catalog: Catalog) -> list[ProblemKind]:
    return [problem.kind for problem in catalog.problems]


def test_an_rpm_files_header_says_what_it_would_install() -> None:
    assert found(read(RPM, "root/tool.rpm")) == [("rpm", "tool", "1:2.0-1.el9", "x86_64", "tools")]


def test_a_source_rpm_installs_nothing() -> None:
    assert read(rpm(name="tool", version="2.0", release="1", arch="x86_64"), "tool.src.rpm") == Catalog()


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("control.tar", CONTROL_TAR),
        ("control.tar.gz/", packed(CONTROL_TAR)),
        ("control.tar.xz", lzma.compress(CONTROL_TAR)),
        ("control.tar.zst", zstandard.compress(CONTROL_TAR)),
    ],
)
def test_a_deb_files_control_says_what_it_would_install(name: str, part: bytes) -> None:
    assert found(read(deb(part, name), "tool.deb")) == [("deb", "tool", "1:2.0-1", "amd64", "tools")]


def test_an_apk_files_description_says_what_it_would_install() -> None:
    assert found(read(APK, "tool.apk")) == [("apk", "tool", "2.0-r1", "x86_64", "tools")]


def test_other_files_with_these_endings_are_none_or_said() -> None:
    assert read(b"PK\3\4 of Android", "app.apk") == Catalog()
    assert kinds(read(b"ADB.x", "tool.apk")) == [ProblemKind.UNSUPPORTED]
    assert kinds(read(b"nonsense", "a.rpm")) == [ProblemKind.DAMAGED]


@pytest.mark.parametrize(
    "data",
    [
        deb(b"x", "control.tar.gz"),
        deb(b"x", "control.tar.xz"),
        deb(b"x", "control.tar.zst"),
        deb(b"x", "control.tar.lzma"),
        deb(packed(tar("other", b"x")), "control.tar.gz"),
        ar(("debian-binary", b"2.0\n")),
        b"!<arch>\n" + b"x" * 60,
        RPM[:200],
        RPM[:96] + b"x" * 40,
        packed(b"x" * 100),
    ],
)
def test_damaged_package_files_are_problems(data: bytes) -> None:
    assert kinds(read(data, "tool.apk")) == [ProblemKind.DAMAGED]


def test_lying_sizes_and_bombs_end_at_a_limit() -> None:
    lead = b"\xed\xab\xee\xdb".ljust(96, b"\0")
    huge = lead + b"\x8e\xad\xe8\x01\0\0\0\0" + struct.pack(">2I", 0xFFFF, 0x0FFFFFFF)
    assert kinds(read(huge, "a.rpm")) == [ProblemKind.LIMIT]
    bomb = deb(zstandard.compress(bytes(80 << 20)), "control.tar.zst")
    assert kinds(read(bomb, "a.deb")) == [ProblemKind.DAMAGED]


@pytest.mark.parametrize(("whole", "path"), [(RPM, "a.rpm"), (DEB, "a.deb"), (APK, "a.apk")])
def test_truncation_and_mutation_never_raise(whole: bytes, path: str) -> None:
    chance = random.Random(1)
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 5)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        read(bytes(data[: chance.randrange(len(data))] if chance.random() < 0.3 else data), path)


def test_they_are_listed_only_where_that_is_asked_for() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("root/tool.rpm")
        member.size = len(RPM)
        archive.addfile(member, io.BytesIO(RPM))

    def names(catalogers: object) -> list[tuple[str, str]]:
        source = Memory([out.getvalue()], [out.getvalue()])
        report = index_image(source, source.resolve(None), catalogers=catalogers)  # type: ignore[arg-type]
        return [(package.name, package.locations[0].path) for package in report.packages]

    assert names(ALL) == names(chosen()) == []
    assert names(chosen(package_files=True)) == [("tool", "root/tool.rpm")]
