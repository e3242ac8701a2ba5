"""The catalogers: one file's bytes become packages and problems, whatever they are."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from functools import partial

from redoubt.errors import UnreadableInput
from redoubt.indexer.catalogers import ALL, rpm_header
from redoubt.indexer.catalogers.cargo_binary import CargoBinaryCataloger
from redoubt.indexer.catalogers.golang import GoCataloger
from redoubt.indexer.catalogers.interface import Cataloger, MemoryContent, StreamCataloger
from redoubt.indexer.catalogers.java import JavaCataloger
from redoubt.indexer.catalogers.rpm import RpmCataloger
from support import dnfwriter, elfwriter, pewriter, rpmolddb, rpmwriter
from targets.interface import Target, check

_CRATES = b'{"packages":[{"name":"a","version":"1.0.0","source":"crates.io","root":true}]}'


def _rpm_header(data: bytes) -> None:
    try:
        header = rpm_header.read(data)
        paths = rpm_header.files(header)
    except UnreadableInput:
        return
    assert not any(b"\0" in text for text in (header.name, header.version, *paths))


def _rpm_database(data: bytes) -> None:
    check(RpmCataloger().catalog("var/lib/rpm/rpmdb.sqlite", MemoryContent(data)))


def _java(data: bytes) -> None:
    check(JavaCataloger().catalog("a-1.jar", MemoryContent(data)))


def _golang(data: bytes) -> None:
    _program(GoCataloger(), data)


def _cargo(data: bytes) -> None:
    _program(CargoBinaryCataloger(), data)


def _program(cataloger: StreamCataloger, data: bytes) -> None:
    reader = cataloger.reader("a", len(data))
    step = 1 + len(data) % 4096
    for at in range(0, len(data), step):
        if not reader.feed(data[at : at + step]):
            break
    streamed, placed = reader.finish(), cataloger.catalog("a", MemoryContent(data))
    check(placed)
    if streamed is not None:
        check(streamed)


def _jar() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Implementation-Version: 1\n")
        archive.writestr("META-INF/maven/g/a/pom.properties", "version=1\ngroupId=g\nartifactId=a\n")
    inner = out.getvalue()
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("lib/in-1.jar", inner)
        archive.writestr("lib/in-2.jar", inner, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _seeds(target: str) -> list[bytes]:
    header = rpmwriter.header(name="a", epoch=1, version="1", release="1", source_rpm="a-1-1.src.rpm")
    files = rpmwriter.header_with_files(("/usr/bin/a", "/usr/share/b.jar"), flags=(0x40, 0), states=(0, 0))
    large = rpmwriter.header(name="b", version="1", release="1", vendor="v" * 2000)
    return {
        "rpm-header": [header, files],
        "rpm-database": [rpmwriter.database([header, files])],
        "rpm-bdb": [
            rpmolddb.berkeley([header, large, header]),
            rpmolddb.berkeley([large, header], big=True, kind=rpmolddb.UNSORTED),
            rpmolddb.berkeley([large, header], 1024, checksum=True),
        ],
        "rpm-ndb": [rpmolddb.ndb([header, large]), rpmolddb.ndb([header], slot_pages=2)],
        "java": [_jar()],
        "golang": [
            elfwriter.elf(elfwriter.inline("go1.21", "mod\ta\tv1\n"), text=16, section=True),
            elfwriter.elf(elfwriter.pointed("go1.17", "mod\ta\tv1\n", 0x500000), text=16),
            elfwriter.elf(elfwriter.inline("go1.21", ""), text=16, wide=False, big=True),
            pewriter.pe(elfwriter.inline("go1.21", "mod\ta\tv1\n")),
            pewriter.macho(elfwriter.pointed("go1.17", "mod\ta\tv1\n", 0x500000)),
            pewriter.fat(pewriter.macho(elfwriter.inline("go1.21", "mod\ta\tv1\n"))),
        ],
        "cargo-binary": [
            elfwriter.audited(zlib.compress(_CRATES)),
            elfwriter.audited(zlib.compress(_CRATES), wide=False, big=True, loaded=True),
            pewriter.pe(zlib.compress(_CRATES), name=b".dep-v0"),
            pewriter.fat(pewriter.macho(zlib.compress(_CRATES), section=b".dep-v0")),
        ],
    }[target]


#: One path that each cataloger of text accepts, and files in its form.
_TEXTS: dict[str, tuple[str, list[bytes]]] = {
    "apk": (
        "lib/apk/db/installed",
        [b"P:a\nV:1-r0\nA:x86_64\no:b\n\nP:c\nV:2\nF:usr/bin\nR:c\na:0:0:755\nZ:Q1=\n\n"],
    ),
    "cargo": ("Cargo.lock", [b'version = 3\n\n[[package]]\nname = "a"\nversion = "1.0.0"\nsource = "x"\n']),
    "content-sets": (
        "usr/share/buildinfo/content-sets.json",
        [b'{"metadata": {"icm_version": 1}, "from_dnf_hint": true, "content_sets": ["a-rpms", "b-rpms"]}'],
    ),
    "dnf": (
        "var/lib/dnf/history.sqlite",
        [
            write([("a", "1", "1", "noarch", "b-rpms", "Install"), ("a", "1", "1", "noarch", "c", "Remove")])
            for write in (dnfwriter.dnf4, dnfwriter.dnf5)
        ],
    ),
    "dpkg": (
        "var/lib/dpkg/status",
        [b"Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1-1\nSource: b (2)\n\n"],
    ),
    "dpkg-files": (
        "var/lib/dpkg/info/a:amd64.list",
        [b"/.\n/usr\n/usr/bin\n/usr/bin/a\n/usr/share/java/a.jar\n"],
    ),
    "gem": (
        "usr/lib/ruby/specifications/a-1.gemspec",
        [
            b"# -*- encoding: utf-8 -*-\n# stub: a 1.0 ruby lib\nGem::Specification.new do |s|\ns.name = 'a'.freeze\nend\n"
        ],
    ),
    "gemfile": (
        "Gemfile.lock",
        [b"GEM\n  remote: https://x/\n  specs:\n    a (1.0)\n      b (>= 1)\n    b (2)\n"],
    ),
    "npm": ("node_modules/a/package.json", [b'{"name":"a","version":"1.0.0","license":{"a":[1]}}']),
    "os-release": ("etc/os-release", [b'ID=debian\nVERSION_ID="12"\nNAME=\'D\'\nID_LIKE="a b"\n']),
    "rpm-manifest": (
        "var/lib/rpmmanifest/container-manifest-2",
        [b"a-libs\t1.0-1.cm2\t1\t1\tV\t(none)\t5\tx86_64\t0\ta-1.0-1.cm2.src.rpm\n"],
    ),
    "redhat-container": (
        "root/buildinfo/Dockerfile-a-1-2",
        [b'FROM b\nENV N=a\nLABEL name="x/$N" \\\n  architecture=\'y\' com.redhat.component=a\\"c\n'],
    ),
    "python": (
        "site-packages/a-1.dist-info/METADATA",
        [b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\n\ntext"],
    ),
}


def _text(cataloger: Cataloger, path: str) -> Callable[[bytes], None]:
    assert cataloger.accepts(path.encode()), path
    return lambda data: check(cataloger.catalog(path, MemoryContent(data)))


TARGETS: dict[str, Target] = {
    **{
        name: Target(run, partial(_seeds, name))
        for name, run in {
            "rpm-header": _rpm_header,
            "rpm-database": _rpm_database,
            "rpm-bdb": _rpm_database,
            "rpm-ndb": _rpm_database,
            "java": _java,
            "golang": _golang,
            "cargo-binary": _cargo,
        }.items()
    },
    **{
        f"catalog:{cataloger.name}": Target(_text(cataloger, path), lambda seeds=seeds: seeds)
        for cataloger in ALL
        if cataloger.name in _TEXTS
        for path, seeds in [_TEXTS[cataloger.name]]
    },
}
