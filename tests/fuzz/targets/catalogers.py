"""The catalogers: one file's bytes become packages and problems, whatever they are.

An input may begin with a line that says where the file lies: if the cataloger wants a file of that path, what
follows is its content. Otherwise all of it is the content of the first file that the cataloger is known to want.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable
from functools import partial

import zstandard

from ociwriter import Entry, layer_tar
from redoubt.errors import UnreadableInput
from redoubt.indexer.catalogers import ALL, rpm_header
from redoubt.indexer.catalogers.applications import ApplicationCataloger
from redoubt.indexer.catalogers.cargo_binary import CargoBinaryCataloger
from redoubt.indexer.catalogers.golang import GoCataloger
from redoubt.indexer.catalogers.interface import Cataloger, MemoryContent, StreamCataloger
from redoubt.indexer.catalogers.package_files import PackageFileCataloger
from redoubt.indexer.catalogers.rpm import RpmCataloger
from redoubt.indexer.dispatch import Tables
from redoubt.indexer.sinks import text
from support import elfwriter, pewriter, rpmolddb, rpmwriter
from targets.files import FILES, zipped
from targets.interface import Target, check

_CRATES = b'{"packages":[{"name":"a","version":"1.0.0","source":"crates.io","root":true}]}'
_POM = b"version=1\ngroupId=g\nartifactId=a\n"
_PATH_LIMIT = 4096


def _rpm_header(data: bytes) -> int:
    try:
        header = rpm_header.read(data)
        paths = rpm_header.files(header)
    except UnreadableInput:
        return 0
    assert not any(b"\0" in text for text in (header.name, header.version, *paths))
    return 1


_DATABASE, _LOG = rpmwriter.logged(
    [rpmwriter.header(name=name, version="1", release="1", vendor="v" * 300) for name in "ab"],
    [rpmwriter.header(name="c", version="1", release="1", vendor="v" * 900), 1],
    [rpmwriter.header(name="d", version="1", release="1")],
)


def _rpm_log(data: bytes) -> int:
    """A log that is right as far as it can be, beside a database: what is changed in another is not read."""
    log = MemoryContent(rpmwriter.sealed(data))
    return check(RpmCataloger().catalog_pair("var/lib/rpm/rpmdb.sqlite", MemoryContent(_DATABASE), log))


def _rpm_database(data: bytes) -> int:
    return check(RpmCataloger().catalog("var/lib/rpm/rpmdb.sqlite", MemoryContent(data)))


def _program(cataloger: StreamCataloger, data: bytes, path: str = "a") -> int:
    """A program, read as it streams by and by place."""
    reader = cataloger.reader(path, len(data))
    step = max(1 + len(data) % 4096, len(data) >> 10)
    for at in range(0, len(data), step):
        if not reader.feed(data[at : at + step]):
            break
    streamed, placed = reader.finish(), cataloger.catalog(path, MemoryContent(data))
    return max(check(placed), 0 if streamed is None else check(streamed))


def _wanted(cataloger: Cataloger) -> Callable[[bytes], bool]:
    tables = Tables((cataloger,))

    def wanted(path: bytes) -> bool:
        if path.endswith(b"/"):
            return path.rpartition(b"/")[0].rpartition(b"/")[0] in tables.trees and cataloger.accepts(
                path[:-1]
            )
        return bool(tables.by_name(path))

    return wanted


def _file(cataloger: Cataloger, usual: str, data: bytes, wanted: Callable[[bytes], bool]) -> int:
    path, _, content = data.partition(b"\n")
    if len(path) <= _PATH_LIMIT and wanted(path):
        return check(cataloger.catalog(text(path), MemoryContent(content)))
    return check(cataloger.catalog(usual, MemoryContent(data)))


def _placed(name: str) -> list[bytes]:
    return [path.encode() + b"\n" + content for path, content in FILES[name]()]


def _of(cataloger: Cataloger) -> Target:
    usual = FILES[cataloger.name]()[0][0]
    return Target(partial(_run, cataloger, usual, _wanted(cataloger)), partial(_placed, cataloger.name))


def _run(cataloger: Cataloger, usual: str, wanted: Callable[[bytes], bool], data: bytes) -> int:
    return _file(cataloger, usual, data, wanted)


def _jar(packed: int) -> bytes:
    inner = zipped(
        {"META-INF/MANIFEST.MF": b"Implementation-Version: 1\n", "META-INF/maven/g/a/pom.properties": _POM}
    )
    out = io.BytesIO(inner)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("lib/in-1.jar", inner, packed)
        archive.writestr("lib/in-2.jar", inner, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _jar_of(data: bytes) -> int:
    """What is said inside of an archive that is in order: a manifest, and properties after a NUL."""
    manifest, _, properties = data.partition(b"\0")
    archive = zipped({"META-INF/MANIFEST.MF": manifest, "META-INF/maven/g/a/pom.properties": properties})
    return _file(_NAMED["java"], "opt/a-1.jar", archive, lambda path: False)


def _packed(name: str, path: str, pack: Callable[[bytes], bytes], data: bytes) -> int:
    """What is packed in a file, in a wrapping that is in order."""
    return check(_NAMED[name].catalog(path, MemoryContent(pack(data))))


def _section(data: bytes) -> int:
    return _program(CargoBinaryCataloger(), elfwriter.audited(zlib.compress(data)))


def _modules(data: bytes) -> int:
    """What the Go linker says of modules, in a program that is in order."""
    said = elfwriter.inline("go1.21", data.decode("utf-8", "replace")[:10_000])
    return _program(GoCataloger(), elfwriter.elf(said, text=16, section=True))


_NAMED = {cataloger.name: cataloger for cataloger in ALL}


def _seeds(target: str) -> list[bytes]:
    header = rpmwriter.header(name="a", epoch=1, version="1", release="1", source_rpm="a-1-1.src.rpm")
    files = rpmwriter.header_with_files(("/usr/bin/a", "/usr/share/b.jar"), flags=(0x40, 0), states=(0, 0))
    large = rpmwriter.header(name="b", version="1", release="1", vendor="v" * 2000)
    return {
        "rpm-header": [files],
        "rpm-bdb": [
            rpmolddb.berkeley([header, large, header]),
            rpmolddb.berkeley([large, header], big=True, kind=rpmolddb.UNSORTED),
            rpmolddb.berkeley([large, header], 1024, checksum=True),
        ],
        "rpm-log": [_LOG],
        "rpm-ndb": [rpmolddb.ndb([header, large]), rpmolddb.ndb([header], slot_pages=2)],
        "java": [_jar(zipfile.ZIP_STORED)],
        "golang": [
            elfwriter.elf(elfwriter.inline("go1.21", "mod\ta\tv1\n"), text=16, section=True),
            elfwriter.elf(elfwriter.pointed("go1.17", "mod\ta\tv1\n", 0x500000), text=16),
            elfwriter.elf(elfwriter.inline("go1.21", ""), text=16, wide=False, big=True),
            pewriter.pe(elfwriter.inline("go1.21", "mod\ta\tv1\n")),
            pewriter.macho(elfwriter.pointed("go1.17", "mod\ta\tv1\n", 0x500000)),
            pewriter.fat(pewriter.macho(elfwriter.inline("go1.21", "mod\ta\tv1\n"))),
        ],
        "cargo-auditable": [
            elfwriter.audited(zlib.compress(_CRATES)),
            elfwriter.audited(zlib.compress(_CRATES), wide=False, big=True, loaded=True),
            pewriter.pe(zlib.compress(_CRATES), name=b".dep-v0"),
            pewriter.fat(pewriter.macho(zlib.compress(_CRATES), section=b".dep-v0")),
        ],
    }[target]


def _package_file(data: bytes) -> int:
    path = "a.apk" if data.startswith(b"\x1f\x8b") else "a.deb"
    return check(PackageFileCataloger().catalog(path, MemoryContent(data)))


def _package_files() -> list[bytes]:
    """An rpm, a deb whose description is not packed, and an apk."""
    header = rpmwriter.header(name="a", version="1", release="1", source_rpm="a-1-1.src.rpm")
    begun = b"\x8e\xad\xe8\x01\0\0\0\0"
    rpm = b"\xed\xab\xee\xdb".ljust(96, b"\0") + begun + b"\0" * 8 + begun + header
    control = layer_tar(
        [Entry("./control", b"Package: a\nVersion: 1-1\nArchitecture: all\nDescription: b\n")]
    )
    size = str(len(control)).encode().ljust(10)
    deb = b"!<arch>\ndebian-binary   0           0     0     100644  4         `\n2.0\n"
    deb += b"control.tar     0           0     0     100644  " + size + b"`\n" + control
    told = layer_tar([Entry(".PKGINFO", b"pkgname = a\npkgver = 1-r0\narch = x86_64\norigin = b\n")])
    return [rpm, deb, gzip.compress(told, mtime=0)]


_WALL = zstandard.ZstdDecompressor().decompress(FILES["chisel"]()[0][1])
#: Catalogers of files that are no text, each by the target that knows how to bring one.
_BINARIES: dict[str, Callable[[bytes], int]] = {
    "java": partial(_run, _NAMED["java"], "opt/a-1.jar", _wanted(_NAMED["java"])),
    "golang": partial(_program, GoCataloger()),
    "cargo-auditable": partial(_program, CargoBinaryCataloger()),
}


def _called(data: bytes) -> int:
    """A program whose file is called as the first line says."""
    name, _, content = data.partition(b"\n")
    return _program(ApplicationCataloger(), content, text(name[:200]))


TARGETS: dict[str, Target] = {
    **{
        name: Target(run, partial(_seeds, name))
        for name, run in {
            "rpm-header": _rpm_header,
            "rpm-bdb": _rpm_database,
            "rpm-ndb": _rpm_database,
            "rpm-log": _rpm_log,
        }.items()
    },
    **{f"catalog:{name}": Target(run, partial(_seeds, name)) for name, run in _BINARIES.items()},
    **{f"catalog:{cataloger.name}": _of(cataloger) for cataloger in ALL if cataloger.name in FILES},
    "catalog:applications": Target(
        _called,
        lambda: [
            b"usr/bin/node\n\x7fELF\0node.js/v20.1.0\0",
            b"usr/lib/libpython3.11.so.1.0\n\x7fELF\x003.11.4\x003.11.4+\0",
            b"usr/bin/ruby\n\x7fELF\0ruby 3.2.1 (2099-01-01 revision 0) [x]\0",
        ],
    ),
    "package-files": Target(_package_file, _package_files),
    "in-jar": Target(
        _jar_of,
        lambda: [
            b"Implementation-Title: a\nBundle-SymbolicName: g.a;x=1\nImplementation-Version: 1\n\0" + _POM
        ],
    ),
    "in-chisel": Target(
        partial(_packed, "chisel", "var/lib/chisel/manifest.wall", lambda data: zstandard.compress(data, 1)),
        lambda: [_WALL],
    ),
    "in-cargo-auditable": Target(_section, lambda: [_CRATES]),
    "in-golang": Target(
        _modules,
        lambda: [
            b"path\ta\nmod\ta\tv1\th1:x=\ndep\tb\tv0.0.0-20990101000000-000000000000\n=>\tc\tv2+incompatible\nbuild\t-a=1\n"
        ],
    ),
}
