"""The list of packages that distroless images of Mariner have in place of an rpm database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.indexer.catalogers.fields import MAX_PACKAGES
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.indexer.catalogers.rpm_manifest import RpmManifestCataloger
from redoubt.model import Package, ProblemKind

PATH = "var/lib/rpmmanifest/container-manifest-2"
RELEASE = b"fixture-release\t2.0-12.cm2\t4000000001\t4000000000\tNobody\t(none)\t580\tnoarch\t0\tfixture-release-2.0-12.cm2.src.rpm\n"
LIBS = b"fixture-libs\t1.4.2-15.cm2\t4000000001\t4000000000\tNobody\t2\t4365\tx86_64\t2\tfixture-1.4.2-15.cm2.src.rpm\n"
OTHER = b"fixture-perl\t7.0-1.cm2\t4000000001\t4000000000\t(none)\t(none)\t4365\tx86_64\t0\tfixture-1.4.2-15.cm2.src.rpm\n"


def read(data: bytes) -> Catalog:
    return RpmManifestCataloger().catalog(PATH, MemoryContent(data))


def test_each_line_is_a_package_with_its_source_and_epoch() -> None:
    assert read(RELEASE + LIBS + b"\n" + OTHER.rstrip(b"\n")) == Catalog(
        (
            Package(type="rpm", name="fixture-release", version="2.0-12.cm2", arch="noarch", vendor="Nobody"),
            Package(
                type="rpm",
                name="fixture-libs",
                version="2:1.4.2-15.cm2",
                arch="x86_64",
                source_name="fixture",
                vendor="Nobody",
            ),
            Package(
                type="rpm",
                name="fixture-perl",
                version="7.0-1.cm2",
                arch="x86_64",
                source_name="fixture",
                source_version="1.4.2-15.cm2",
            ),
        )
    )


@pytest.mark.parametrize(
    ("path", "accepted"),
    [
        (PATH, True),
        (f"mnt/root/{PATH}", True),
        ("var/lib/rpmmanifest/container-manifest-1", False),
        ("lib/rpmmanifest/container-manifest-2", False),
        (f"x{PATH}", False),
        ("container-manifest-2", False),
    ],
)
def test_only_its_place_is_looked_at(path: str, accepted: bool) -> None:
    assert RpmManifestCataloger().accepts(path.encode()) is accepted


def test_keys_are_no_packages() -> None:
    assert read(LIBS.replace(b"fixture-libs", b"gpg-pubkey")) == Catalog()


@pytest.mark.parametrize(
    "line",
    [
        b"fixture-libs",
        b"fixture-libs 1.4.2-15.cm2",
        LIBS.replace(b"\tx86_64", b""),
        LIBS.replace(b"\n", b"\tmore\n"),
        LIBS.replace(b"fixture-libs", b"(none)"),
        LIBS.replace(b"fixture-libs", b"\x01"),
        LIBS.replace(b"1.4.2-15.cm2", b"1.4.2"),
        LIBS.replace(b"1.4.2-15.cm2\t", b"-15\t"),
        LIBS.replace(b"\t2\t", b"\t-2\t"),
        LIBS.replace(b"\t2\t", "\t²\t".encode()),
        b"\xff\xfe" * 40,
        b"\t" * 9,
    ],
)
def test_a_line_that_is_no_package_is_reported_and_the_next_is_read(line: bytes) -> None:
    catalog = read(line.rstrip(b"\n") + b"\n" + RELEASE)
    assert [package.name for package in catalog.packages] == ["fixture-release"]
    assert [problem.kind for problem in catalog.problems] == [ProblemKind.DAMAGED]
    assert catalog.problems[0].message.startswith("line 1 ")


@pytest.mark.parametrize("data", [b"", b"\n\n", b" \r\n"])
def test_an_empty_list_is_not_taken_for_an_image_without_packages(data: bytes) -> None:
    assert [problem.kind for problem in read(data).problems] == [ProblemKind.DAMAGED]


def test_fields_of_absurd_length_are_refused_and_said() -> None:
    catalog = read(
        LIBS.replace(b"fixture-libs", b"x" * 100_000) + LIBS.replace(b"\t2\t", b"\t" + b"9" * 9000 + b"\t")
    )
    assert catalog.packages == ()
    assert len(catalog.problems) == 2


def test_endless_packages_and_endless_damage_come_to_an_end() -> None:
    many = read(b"".join(LIBS.replace(b"libs", b"%d" % number) for number in range(MAX_PACKAGES + 10)))
    assert (len(many.packages), [problem.kind for problem in many.problems]) == (
        MAX_PACKAGES,
        [ProblemKind.LIMIT],
    )
    assert len(read(b"x\n" * 500_000).problems) < 50


@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([b"a", b"\t", b"1-1", b"\n", b"(none)", b"0"])).map(b"".join)
)
def test_any_bytes_become_packages_or_problems(data: bytes) -> None:
    catalog = read(data)
    assert all(package.name and package.version for package in catalog.packages)
    assert catalog.packages or catalog.problems
