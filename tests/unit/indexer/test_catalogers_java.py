from __future__ import annotations

import io
import random
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.indexer.catalogers import java_archive, ziparchive
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.indexer.catalogers.java import JavaCataloger
from redoubt.model import ProblemKind

POM = "META-INF/maven/org.a/core/pom.properties"
POM_TEXT = b"groupId=org.a\nartifactId=core\nversion=1.0\n"
MANIFEST = "META-INF/MANIFEST.MF"


def jar(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


CORE = jar({MANIFEST: b"Manifest-Version: 1.0\n", POM: POM_TEXT, "a/B.class": b"\xca\xfe"})


def read(data: bytes, path: str = "opt/core-1.0.jar") -> Catalog:
    return JavaCataloger().catalog(path, MemoryContent(data))


def found(catalog: Catalog) -> list[tuple[str, str, str]]:
    return [
        (package.name, package.version, package.locations[0].path if package.locations else "")
        for package in catalog.packages
    ]


def kinds(catalog: Catalog) -> list[ProblemKind]:
    return [problem.kind for problem in catalog.problems]


def test_pom_properties_name_the_archive_once() -> None:
    assert found(read(CORE)) == [("org.a:core", "1.0", "")]
    assert read(CORE).problems == ()


@pytest.mark.parametrize("path", ["opt/app.jar", "opt/core.jar", "opt/CORE-1.0.JAR", "opt/core-1.0-all.jar"])
def test_renamed_archive_with_one_pom_is_still_one_package(path: str) -> None:
    assert found(read(CORE, path)) == [("org.a:core", "1.0", "")]


def test_shaded_poms_are_listed_beside_the_archive_itself() -> None:
    other = "META-INF/maven/org.b/util/pom.properties"
    data = jar({MANIFEST: b"Implementation-Vendor-Id: org.shop\n", POM: POM_TEXT, other: b"version=2\n"})
    assert found(read(data, "shop-3.jar")) == [
        ("org.a:core", "1.0", ""),
        ("org.b:util", "2", ""),
        ("org.shop:shop", "3", ""),
    ]


def test_without_pom_the_manifest_and_the_file_name_speak() -> None:
    assert found(read(jar({MANIFEST: b"Implementation-Version: 4.2\n"}), "x.war")) == [("x", "4.2", "")]


def test_pom_xml_gives_the_group_of_the_archive_itself() -> None:
    data = jar({MANIFEST: b"", "META-INF/maven/org.a/core/pom.xml": b"<project/>"})
    assert found(read(data)) == [("org.a:core", "1.0", "")]


def test_archive_without_anything_that_names_it_is_no_package() -> None:
    assert read(jar({"readme.txt": b"x"}), "x.jar") == Catalog()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_nested_archives_have_locations_of_their_own(method: int) -> None:
    war = jar({"WEB-INF/lib/core-1.0.jar": CORE, MANIFEST: b""}, method)
    ear = jar({"web.war": war, "notes.txt": b""}, method)
    assert found(read(ear, "opt/shop-9.ear")) == [
        ("shop", "9", ""),
        ("web", "", "opt/shop-9.ear!/web.war"),
        ("org.a:core", "1.0", "opt/shop-9.ear!/web.war!/WEB-INF/lib/core-1.0.jar"),
    ]


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ("opt/app.jar", "BOOT-INF/lib/core-1.0.jar"),
        ("opt/app.war", "WEB-INF/lib/core-1.0.jar"),
        ("opt/plugin.hpi", "WEB-INF/lib/core-1.0.jar"),
        ("opt/plugin.jpi", "WEB-INF/lib/core-1.0.jar"),
        ("opt/features.kar", "repository/org/a/core/1.0/core-1.0.jar"),
        ("opt/portlets.lpkg", "core-1.0.jar"),
        ("opt/flow.nar", "META-INF/bundled-dependencies/core-1.0.jar"),
        ("opt/adapter.rar", "core-1.0.jar"),
        ("opt/scan.far", "lib/core-1.0.jar"),
        ("opt/unit.par", "lib/core-1.0.jar"),
        ("opt/service.sar", "lib/core-1.0.jar"),
    ],
)
def test_archives_are_found_where_each_kind_of_application_keeps_them(outer: str, inner: str) -> None:
    data = jar(
        {"BOOT-INF/classpath.idx": b'- "BOOT-INF/lib/core-1.0.jar"\n', inner: CORE}, zipfile.ZIP_STORED
    )
    assert found(read(data, outer)) == [("org.a:core", "1.0", f"{outer}!/{inner}")]


def test_signatures_and_versions_for_later_releases_change_nothing() -> None:
    signed = jar(
        {
            MANIFEST: b"Manifest-Version: 1.0\nMulti-Release: true\n\nName: a/B.class\nSHA-256-Digest: x=\n",
            "META-INF/A.SF": b"Signature-Version: 1.0\n",
            "META-INF/A.RSA": b"\x30\x82",
            POM: POM_TEXT,
            "META-INF/versions/9/a/B.class": b"\xca\xfe",
            "META-INF/versions/11/META-INF/maven/org.b/util/pom.properties": b"version=2\n",
        }
    )
    assert found(read(signed)) == [("org.a:core", "1.0", ""), ("org.b:util", "2", "")]


def test_large_nested_archive_goes_through_a_temporary_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ziparchive, "MAX_IN_MEMORY", 100)
    assert ("org.a:core", "1.0", "a-1.jar!/core-1.0.jar") in found(
        read(jar({"core-1.0.jar": CORE}), "a-1.jar")
    )


def test_executable_archive_with_a_script_before_it_is_read() -> None:
    assert found(read(b"#!/bin/sh\nexec java -jar $0\n" * 100 + CORE)) == [("org.a:core", "1.0", "")]


def test_zip64_archive_is_read() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open(POM, "w", force_zip64=True) as member:
        member.write(POM_TEXT)
    assert found(read(out.getvalue())) == [("org.a:core", "1.0", "")]


def test_zip64_end_record_is_followed() -> None:
    end = CORE.rindex(b"PK\5\6")
    count, size, offset = struct.unpack_from("<HII", CORE, end + 10)
    wide = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    short = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    data = CORE[:end] + wide + locator + short
    assert found(read(data)) == [("org.a:core", "1.0", "")]
    assert found(read(b"prefix" + data)) == [("org.a:core", "1.0", "")]


def test_archive_with_a_comment_that_looks_like_its_end_is_read() -> None:
    out = io.BytesIO(CORE)
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = b"PK\5\6" + b"\xff" * 40
    assert found(read(out.getvalue())) == [("org.a:core", "1.0", "")]


def test_comment_full_of_false_ends_is_given_up_soon() -> None:
    class Counting(MemoryContent):
        reads = 0

        def read(self, offset: int, length: int) -> bytes:
            self.reads += 1
            return super().read(offset, length)

    content = Counting(b"x" * 100_000 + b"PK\5\6" * 16_000)
    assert kinds(JavaCataloger().catalog("x.jar", content)) == [ProblemKind.DAMAGED]
    assert content.reads < 500


def test_only_a_little_of_a_large_archive_is_read() -> None:
    class Counting(MemoryContent):
        total = 0

        def read(self, offset: int, length: int) -> bytes:
            data = super().read(offset, length)
            self.total += len(data)
            return data

    noise = random.Random(1).randbytes(4 << 20)
    content = Counting(jar({POM: POM_TEXT, "noise.bin": noise}))
    catalog = JavaCataloger().catalog("core-1.0.jar", content)
    assert found(catalog) == [("org.a:core", "1.0", "")]
    assert content.total < 100_000


@pytest.mark.parametrize(
    "data", [b"", b"not a zip", b"PK\3\4", b"PK\5\6", b"\0" * 70_000, b"version https://git-lfs"]
)
def test_what_is_not_a_zip_is_damaged(data: bytes) -> None:
    catalog = read(data)
    assert catalog.packages == ()
    assert kinds(catalog) == [ProblemKind.DAMAGED]


@pytest.mark.parametrize("path", ["x.rar", "x.par", "x.kar", "X.SAR", "x.nar"])
def test_other_formats_with_the_same_endings_are_no_problem(path: str) -> None:
    assert read(b"Rar!\x1a\x07\x00", path) == Catalog()


def test_encrypted_and_strangely_packed_members_are_problems_and_the_rest_is_read() -> None:
    for patch in (struct.pack("<2H", 1, 8), struct.pack("<2H", 0, 99)):
        data = bytearray(jar({POM: POM_TEXT, "META-INF/maven/org.b/b/pom.properties": b"version=2"}))
        place = data.index(b"PK\1\2") + 8
        data[place : place + 4] = patch
        catalog = read(bytes(data))
        assert ("org.b:b", "2", "") in found(catalog)
        assert kinds(catalog) == [ProblemKind.DAMAGED]


def test_overlapping_members_are_hostile_and_not_read() -> None:
    data = bytearray(jar({"a-1.jar": CORE, "b-1.jar": CORE}))
    first = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", first + 4)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    catalog = read(bytes(data), "x-1.jar")
    assert ProblemKind.HOSTILE in kinds(catalog)
    assert len([name for name, _, _ in found(catalog) if name == "org.a:core"]) == 1


@pytest.mark.parametrize("field", [20, 24, 42])  # packed size, size, place
@pytest.mark.parametrize("value", [0, 1, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF])
def test_lying_offsets_and_four_gigabyte_claims_are_problems(field: int, value: int) -> None:
    data = bytearray(jar({"inner-1.jar": CORE}))
    struct.pack_into("<I", data, data.index(b"PK\1\2") + field, value)
    catalog = read(bytes(data), "x-1.jar")
    assert ("x", "1", "") in found(catalog)
    # The place 0 is the true one, and an archive of 0 or 1 bytes holds nothing.
    assert catalog.problems or (field, value) in {(42, 0), (24, 0), (24, 1)}


def test_lying_directory_sizes_are_damage() -> None:
    end = CORE.rindex(b"PK\5\6")
    for field in (12, 16):
        for value in (0xFFFFFFFF, 0x7FFFFFFF, len(CORE)):
            data = bytearray(CORE)
            struct.pack_into("<I", data, end + field, value)
            assert kinds(read(bytes(data))) == [ProblemKind.DAMAGED]


def nested(depth: int, method: int = zipfile.ZIP_STORED) -> bytes:
    data = CORE
    for _ in range(depth):
        data = jar({"in-1.jar": data}, method)
    return data


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_thousand_archives_in_each_other_end_at_a_limit(method: int) -> None:
    catalog = read(nested(1000, method))
    assert len(catalog.packages) == java_archive.MAX_DEPTH
    assert kinds(catalog) == [ProblemKind.LIMIT]


def test_bomb_of_many_small_archives_ends_at_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java_archive, "MAX_ARCHIVES", 200)
    data = CORE
    for _ in range(4):
        data = jar({f"{number}-1.jar": data for number in range(10)})
    catalog = read(data)
    # Each archive read gives at most two packages: itself, and what is shaded into it.
    assert 200 < len(catalog.packages) <= 400
    assert kinds(catalog) == [ProblemKind.LIMIT]


def test_bomb_of_zeros_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java_archive, "MAX_INFLATED", 1 << 20)
    monkeypatch.setattr(java_archive, "MAX_INFLATED_RATIO", 1)
    catalog = read(jar({"zeros-1.jar": b"\0" * (8 << 20)}), "x-1.jar")
    assert kinds(catalog) == [ProblemKind.LIMIT]


def test_member_that_inflates_to_more_than_it_claims_stops_at_its_claim() -> None:
    data = bytearray(jar({"x-1.jar": CORE + b"\0" * (1 << 20)}))
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, len(CORE))
    assert ("org.a:core", "1.0", "a-1.jar!/x-1.jar") in found(read(bytes(data), "a-1.jar"))


def test_control_characters_in_a_members_name_do_not_reach_the_location() -> None:
    catalog = read(jar({"lib/\x1b[2Jcore\n-1.0.jar": CORE}), "a-1.jar")
    assert {path for _, _, path in found(catalog)} == {"", "a-1.jar!/lib/[2Jcore-1.0.jar"}


def test_truncation_at_any_length_never_raises() -> None:
    whole = jar({"in-1.jar": CORE, POM: POM_TEXT}, zipfile.ZIP_STORED)
    for length in range(len(whole)):
        catalog = read(whole[:length])
        assert catalog.problems or catalog.packages


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_archive_never_raises(data: st.DataObject) -> None:
    method = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    whole = bytearray(jar({"in-1.jar": CORE, POM: POM_TEXT, MANIFEST: b"A: b\n"}, method))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(whole) - 1))
        noise = data.draw(st.one_of(st.binary(max_size=4), st.sampled_from([b"\xff" * 4, b"\0" * 4])))
        whole[place : place + len(noise)] = noise
    for name, version, _ in found(read(bytes(whole))):
        assert name.isprintable()
        assert version.isprintable()
