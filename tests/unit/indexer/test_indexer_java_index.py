from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from indexing import Memory

from redoubt.errors import UnreadableInput
from redoubt.indexer.cache import LayerCache, fingerprint
from redoubt.indexer.catalogers import ALL, chosen
from redoubt.indexer.catalogers.interface import Content, MemoryContent
from redoubt.indexer.catalogers.java import JavaCataloger
from redoubt.indexer.index import index_image
from redoubt.indexer.java_index import Artifact, JavaIndex, Listing


def jar(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


BARE = jar({"a/B.class": b"\xca\xfe"})
NAMED = jar({"META-INF/MANIFEST.MF": b"Implementation-Version: 9\n"})
POM = jar({"META-INF/maven/org.a/core/pom.properties": b"groupId=org.a\nartifactId=core\nversion=1.0\n"})


def sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def index_of(folder: Path, *entries: tuple[bytes, str, str, str]) -> JavaIndex:
    listing = Listing()
    for data, *words in entries:
        listing.add(sha1(data), *words)
    listing.write(folder / "java.idx")
    return JavaIndex(folder / "java.idx")


def found(index: JavaIndex, data: bytes, path: str) -> list[tuple[str, str]]:
    catalog = JavaCataloger(index).catalog(path, MemoryContent(data))
    assert catalog.problems == ()
    return [(package.name, package.version) for package in catalog.packages]


def test_every_archive_that_was_listed_is_found_and_no_other(tmp_path: Path) -> None:
    listing = Listing()
    for number in range(300):
        listing.add(sha1(b"%d" % number), f"org.g{number % 7}", f"a{number}", f"1.{number % 5}")
    digest = listing.write(tmp_path / "java.idx")
    index = JavaIndex(tmp_path / "java.idx")
    assert index.count == 300
    assert index.digest == digest
    index.verify()
    for number in range(300):
        expected = Artifact(f"org.g{number % 7}:a{number}", f"1.{number % 5}")
        assert index.find(sha1(b"%d" % number)) == expected
    for other in (bytes(20), b"\xff" * 20, sha1(b"other")):
        assert index.find(other) is None


def test_the_same_lists_give_the_same_bytes(tmp_path: Path) -> None:
    lines = [f"{sha1(b'%d' % number).hex()} org.a:core:{number}" for number in range(50)]
    digests = []
    for name in ("a", "b"):
        listing = Listing()
        listing.read_lines(lines)
        digests.append(listing.write(tmp_path / name))
    assert digests[0] == digests[1]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "line",
    [
        "{},org.a,core,1.0",
        "{}\torg.a\tcore\t1.0\tjar",
        "{}  org.a:core:1.0",
        '"{}","org.a","core","1.0"\r',
        "  {}|org.a|core|1.0",
    ],
)
def test_lists_may_be_written_in_several_ways(tmp_path: Path, line: str) -> None:
    listing = Listing()
    listing.read_lines(
        ["# a remark", "", "sha1,group,artifact,version", line.format(sha1(BARE).hex().upper())]
    )
    assert (len(listing), listing.refused) == (1, 1)
    listing.write(tmp_path / "java.idx")
    assert JavaIndex(tmp_path / "java.idx").find(sha1(BARE)) == Artifact("org.a:core", "1.0")


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        f"{'0' * 38} org.a:core:1.0",
        f"{'0' * 40} org.a:core",
        f"{'0' * 40} org.a:../etc:1.0",
        f"{'0' * 40} org.a:co\x1bre:1.0",
        "x" * 1_000_000,
    ],
)
def test_lines_that_give_no_coordinates_are_counted(line: str) -> None:
    listing = Listing()
    listing.read_lines([line])
    assert (len(listing), listing.refused) == (0, 1)


def test_of_two_artifacts_with_one_sum_the_first_stays(tmp_path: Path) -> None:
    index = index_of(tmp_path, (BARE, "org.a", "core", "1.0"), (BARE, "org.b", "copy", "2.0"))
    assert index.find(sha1(BARE)) == Artifact("org.a:core", "1.0")


def test_a_maven_repository_is_hashed_and_links_in_it_are_not_followed(tmp_path: Path) -> None:
    place = tmp_path / "repository" / "org" / "a" / "core" / "1.0"
    place.mkdir(parents=True)
    (place / "core-1.0.jar").write_bytes(BARE)
    (place / "core-1.0.pom").write_bytes(b"<project/>")
    (place / "stray.jar").write_bytes(NAMED)
    (place / "core-1.0-link.jar").symlink_to("/etc/passwd")
    (tmp_path / "repository" / "top.jar").write_bytes(POM)
    listing = Listing()
    listing.read_repository(tmp_path / "repository")
    assert (len(listing), listing.refused) == (1, 1)
    listing.write(tmp_path / "java.idx")
    assert JavaIndex(tmp_path / "java.idx").find(sha1(BARE)) == Artifact("org.a:core", "1.0")


def test_an_archive_that_nothing_names_is_named_by_the_index(tmp_path: Path) -> None:
    index = index_of(tmp_path, (BARE, "org.a", "core", "1.0"))
    assert found(index, BARE, "opt/lib.jar") == [("org.a:core", "1.0")]
    assert JavaCataloger().catalog("opt/lib.jar", MemoryContent(BARE)).packages == ()


def test_a_name_guessed_from_the_file_gives_way_to_the_index(tmp_path: Path) -> None:
    index = index_of(tmp_path, (NAMED, "org.a", "core", "1.0"))
    assert found(index, NAMED, "opt/shop-2.jar") == [("org.a:core", "1.0")]
    assert found(index, jar({"META-INF/MANIFEST.MF": b""}), "opt/shop-2.jar") == [("shop", "2")]


def test_a_nested_archive_is_named_by_the_index(tmp_path: Path) -> None:
    index = index_of(tmp_path, (BARE, "org.a", "core", "1.0"))
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        outer = jar({"BOOT-INF/lib/renamed.jar": BARE}, method)
        package = JavaCataloger(index).catalog("app.jar", MemoryContent(outer)).packages[0]
        assert (package.name, package.locations[0].path) == (
            "org.a:core",
            "app.jar!/BOOT-INF/lib/renamed.jar",
        )


@pytest.mark.parametrize(
    ("data", "path"), [(POM, "opt/core.jar"), (NAMED, "root/repository/org/a/core/1.0/core-1.0.jar")]
)
def test_what_says_its_name_is_not_hashed(tmp_path: Path, data: bytes, path: str) -> None:
    index = index_of(tmp_path, (data, "org.wrong", "wrong", "6"))
    assert found(index, data, path) == [("org.a:core", "1.0")]


def test_without_an_index_no_archive_is_read_whole() -> None:
    read: list[int] = []

    class Counting(MemoryContent):
        def read(self, offset: int, length: int) -> bytes:
            data = super().read(offset, length)
            read.append(len(data))
            return data

    content: Content = Counting(jar({"big.bin": bytes(range(256)) * 4000}, zipfile.ZIP_STORED))
    JavaCataloger().catalog("shop-1.jar", content)
    assert sum(read) < 200_000


def test_the_report_names_the_index_and_layers_are_cached_for_it_alone(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("opt/lib.jar")
        member.size = len(BARE)
        archive.addfile(member, io.BytesIO(BARE))
    index = index_of(tmp_path, (BARE, "org.a", "core", "1.0"))
    cache = LayerCache(tmp_path / "cache")

    def packages(catalogers: object) -> tuple[list[str], dict[str, str]]:
        source = Memory([out.getvalue()], [out.getvalue()], immutable=True)
        report = index_image(source, source.resolve(None), catalogers=catalogers, cache=cache)  # type: ignore[arg-type]
        return [package.name for package in report.packages], report.lookups

    for _ in range(2):
        assert packages(ALL) == ([], {})
        assert packages(chosen(index)) == (["org.a:core"], {"java": index.digest})
    assert fingerprint(ALL) != fingerprint(chosen(index))


def test_what_is_no_index_or_cut_off_is_refused(tmp_path: Path) -> None:
    index_of(tmp_path, (BARE, "org.a", "core", "1.0"))
    whole = (tmp_path / "java.idx").read_bytes()
    bad = tmp_path / "bad.idx"
    for data in (
        b"",
        whole[:40],
        whole[:-1],
        whole + b"x",
        b"x" + whole[1:],
        whole[:48] + b"\xff" * 16 + whole[64:],
    ):
        bad.write_bytes(data)
        with pytest.raises(UnreadableInput, match=r"bad\.idx"):
            JavaIndex(bad)
    for missing in (tmp_path / "none.idx", tmp_path):
        with pytest.raises(UnreadableInput):
            JavaIndex(missing)


def test_damage_is_found_by_verifying_and_harmless_before(tmp_path: Path) -> None:
    entries = [(b"%d" % number, "org.a", "core", f"1.{number}") for number in range(9)]
    index_of(tmp_path, *entries)
    whole = (tmp_path / "java.idx").read_bytes()
    for at in range(64, len(whole), 5):
        (tmp_path / "bad.idx").write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        index = JavaIndex(tmp_path / "bad.idx")
        for data, *_ in entries:
            index.find(sha1(data))
        with pytest.raises(UnreadableInput, match="build it anew"):
            index.verify()
        index.close()


def test_writing_that_fails_leaves_the_old_index(tmp_path: Path) -> None:
    index_of(tmp_path, (BARE, "org.a", "core", "1.0"))
    before = (tmp_path / "java.idx").read_bytes()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        Listing().write(tmp_path / "folder")
    assert (tmp_path / "java.idx").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "java.idx"]
