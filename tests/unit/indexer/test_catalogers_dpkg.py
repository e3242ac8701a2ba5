from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.indexer.catalogers.dpkg import DpkgCataloger
from redoubt.indexer.catalogers.fields import MAX_FIELD
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.model import Package, ProblemKind

STATUS = "var/lib/dpkg/status"
BASH = b"""Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b7
Source: bash (5.2.15-2)
Description: shell
 Package: not-a-field
Conffiles:
 /etc/skel/.bashrc ee35a240758f374832e809ae0ea4883a
"""
LIBC = b"Package: libc6\nStatus: install ok installed\nArchitecture: %s\nSource: glibc\nVersion: 1:2.36-9\n"


def read(data: bytes, path: str = STATUS) -> Catalog:
    return DpkgCataloger().catalog(path, MemoryContent(data))


def names(catalog: Catalog) -> list[str]:
    return [package.name for package in catalog.packages]


def test_record_becomes_a_package_with_its_source() -> None:
    assert read(BASH) == Catalog(
        (Package(type="deb", name="bash", version="5.2.15-2+b7", arch="amd64", source_version="5.2.15-2"),)
    )


def test_source_of_another_name_is_kept_and_epoch_stays_in_the_version() -> None:
    (package,) = read(LIBC % b"amd64").packages
    assert (package.source_name, package.source_version, package.version) == ("glibc", "", "1:2.36-9")


def test_same_package_of_two_architectures_stays_two() -> None:
    assert [package.arch for package in read(LIBC % b"amd64" + b"\n" + LIBC % b"i386").packages] == [
        "amd64",
        "i386",
    ]


@pytest.mark.parametrize(
    "status", [b"deinstall ok config-files", b"install ok half-installed", b"purge ok not-installed"]
)
def test_packages_that_are_not_installed_are_left_out(status: bytes) -> None:
    assert read(BASH.replace(b"install ok installed", status)) == Catalog()


def test_held_package_is_installed() -> None:
    assert names(read(BASH.replace(b"install ok", b"hold ok"))) == ["bash"]


def test_record_without_version_is_a_problem_and_the_next_is_read() -> None:
    catalog = read(b"Package: broken\nStatus: install ok installed\n\n" + BASH)
    assert names(catalog) == ["bash"]
    assert [(p.kind, p.message) for p in catalog.problems] == [
        (ProblemKind.DAMAGED, "record 1 (broken) has no Version")
    ]


def test_record_without_status_is_a_problem_in_status_and_installed_in_status_d() -> None:
    record = BASH.replace(b"Status: install ok installed\n", b"")
    assert read(record).packages == ()
    assert len(read(record).problems) == 1
    assert names(read(record, "var/lib/dpkg/status.d/bash")) == ["bash"]


def test_field_names_may_be_in_any_case() -> None:
    assert names(
        read(BASH.replace(b"Version:", b"VERSION :").replace(b"Package: bash", b"package: bash"))
    ) == ["bash"]


def test_vcpkg_database_is_refused() -> None:
    catalog = read(
        b"Package: zlib\nPort-Version: 1\nArchitecture: x64\nStatus: install ok installed\n\n" + BASH
    )
    assert catalog.packages == ()
    assert "vcpkg" in catalog.problems[0].message


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (b"var/lib/dpkg/status", True),
        (b"lib/dpkg/status", True),
        (b"chroot/var/lib/dpkg/status", True),
        (b"var/lib/dpkg/status.d/base", True),
        (b"var/lib/dpkg/status.d/base.md5sums", False),
        (b"var/xlib/dpkg/status", False),
        (b"opt/installed/vcpkg/status", False),
        (b"etc/status.d/thing", False),
    ],
)
def test_accepts_only_dpkg_places(path: bytes, wanted: bool) -> None:
    assert DpkgCataloger().accepts(path) is wanted


def test_control_characters_leave_the_name() -> None:
    assert names(read(BASH.replace(b"Package: bash", b"Package: ba\x1b[31m\x00sh"))) == ["ba[31msh"]


def test_absurdly_long_name_is_a_problem() -> None:
    catalog = read(BASH.replace(b"Package: bash", b"Package: " + b"a" * (MAX_FIELD + 1)))
    assert catalog.packages == ()
    assert len(catalog.problems) == 1
    assert len(catalog.problems[0].message) < 200


def test_paragraph_of_many_megabytes_is_cut_and_the_next_is_found() -> None:
    class Counting(MemoryContent):
        largest = 0

        def read(self, offset: int, length: int) -> bytes:
            self.largest = max(self.largest, length)
            return super().read(offset, length)

    content = Counting(BASH + b" /file 0123456789abcdef\n" * 300_000 + b"\n" + LIBC % b"amd64")
    catalog = DpkgCataloger().catalog(STATUS, content)
    assert names(catalog) == ["bash", "libc6"]
    assert content.largest <= 1 << 20


def test_many_bad_records_give_few_problems_that_say_how_many() -> None:
    catalog = read(b"Package: x\nStatus: install ok installed\n\n" * 1000)
    assert len(catalog.problems) == 21
    assert catalog.problems[-1].message == "980 further problems"


def test_truncation_at_any_length_keeps_what_came_before() -> None:
    whole = BASH + b"\n" + LIBC % b"amd64"
    for length in range(len(whole)):
        catalog = read(whole[:length])
        if length > len(BASH):
            assert names(catalog)[:1] == ["bash"]


def test_a_version_of_nothing_but_control_characters_is_none() -> None:
    catalog = read(BASH.replace(b"Version: 5.2.15-2+b7", b"Version: \0\x1b") + b"\n" + LIBC % b"amd64")
    assert names(catalog) == ["libc6"]
    assert "has no Version" in catalog.problems[0].message


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_mutated_database_never_raises(data: st.DataObject) -> None:
    whole = bytearray(BASH + b"\n" + LIBC % b"amd64" + b"\n" + BASH)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    for package in read(bytes(whole)).packages:
        assert package.name
        assert package.version


def test_file_of_nothing_but_damage_is_given_up() -> None:
    catalog = DpkgCataloger().catalog("var/lib/dpkg/status", MemoryContent(b"a\n\n" * 100_000))
    assert len(catalog.problems) == 21
    assert catalog.problems[-1].message == "1,000 further problems; the rest was given up"
