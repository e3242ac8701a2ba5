"""Coverage-guided fuzzing of the catalogers that read binary formats. Needs atheris.

    python tests/fuzz/fuzz_catalogers.py TARGET [-max_total_time=60] [CORPUS]

Targets: rpm-header, rpm-database (SQLite), rpm-bdb, rpm-ndb, java, golang, cargo.

What may not happen: an exception that a cataloger does not answer for, a hang, or output that is not clean.
Arguments after the target are libFuzzer's. Without a corpus, well-formed seeds are made first.
"""

from __future__ import annotations

import io
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

with atheris.instrument_imports(include=["redoubt.indexer.catalogers"]):
    from redoubt.errors import UnreadableInput
    from redoubt.indexer.catalogers import rpm_header
    from redoubt.indexer.catalogers.cargo_binary import CargoBinaryCataloger
    from redoubt.indexer.catalogers.golang import GoCataloger
    from redoubt.indexer.catalogers.interface import Catalog, MemoryContent, StreamCataloger
    from redoubt.indexer.catalogers.java import JavaCataloger
    from redoubt.indexer.catalogers.rpm import RpmCataloger

from support import elfwriter, rpmolddb, rpmwriter  # noqa: E402

_CRATES = b'{"packages":[{"name":"a","version":"1.0.0","source":"crates.io","root":true}]}'


def _check(catalog: Catalog) -> None:
    for package in catalog.packages:
        assert package.name
        assert package.name.isprintable()
        assert package.version.isprintable()
    for problem in catalog.problems:
        assert problem.message


def _rpm_header(data: bytes) -> None:
    try:
        header = rpm_header.read(data)
    except UnreadableInput:
        return
    assert b"\0" not in header.name + header.version


def _rpm_database(data: bytes) -> None:
    _check(RpmCataloger().catalog("var/lib/rpm/rpmdb.sqlite", MemoryContent(data)))


def _java(data: bytes) -> None:
    _check(JavaCataloger().catalog("a-1.jar", MemoryContent(data)))


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
    _check(placed)
    if streamed is not None:
        _check(streamed)


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
    large = rpmwriter.header(name="b", version="1", release="1", vendor="v" * 2000)
    return {
        "rpm-header": [header],
        "rpm-database": [rpmwriter.database([header])],
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
        ],
        "cargo": [
            elfwriter.audited(zlib.compress(_CRATES)),
            elfwriter.audited(zlib.compress(_CRATES), wide=False, big=True, loaded=True),
        ],
    }[target]


TARGETS: dict[str, Callable[[bytes], None]] = {
    "rpm-header": _rpm_header,
    "rpm-database": _rpm_database,
    "rpm-bdb": _rpm_database,
    "rpm-ndb": _rpm_database,
    "java": _java,
    "golang": _golang,
    "cargo": _cargo,
}


def main() -> None:
    """Fuzz the target named first on the command line."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(__doc__)
    target = sys.argv.pop(1)
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(_seeds(target)):
            (Path(folder) / str(number)).write_bytes(seed)
        arguments = [
            sys.argv[0],
            "-max_len=20000",
            "-timeout=20",
            "-rss_limit_mb=1024",
            *sys.argv[1:],
            folder,
        ]
        atheris.Setup(arguments, TARGETS[target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
