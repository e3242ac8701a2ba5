"""Our own SBOMs: an index report, written and read back, is the same report. See ``conftest`` for real images'."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ociwriter import ImageWriter
from redoubt import formats
from redoubt.errors import UnreadableInput
from redoubt.indexer import sbom
from redoubt.indexer.catalogers.fields import clean
from redoubt.indexer.index import index_image
from redoubt.indexer.sources import open_source
from redoubt.model import (
    DefinitionsInfo,
    Distribution,
    Image,
    IndexReport,
    Layer,
    Location,
    Package,
    Platform,
    Problem,
    ProblemKind,
    VulnerabilityReport,
)
from support.roots import dpkg_root
from support.sboms import FORMS, check_nothing_is_lost

_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8).map(clean)
_WORD = st.one_of(
    _TEXT, st.sampled_from(["", "a/b", "@a/b", "g:a", "1:2-3", "0:1", "a@b", "/", "a%2Fb", "A_b", ".."])
)
_NAME = _WORD.filter(bool)
_DIGEST = st.sampled_from(["", "sha256:" + "a" * 64, "sha256:" + "b" * 64])
_TYPE = st.sampled_from(
    ["deb", "rpm", "apk", "alpm", "pypi", "npm", "maven", "golang", "composer", "swift", "oci", "generic", "cocoapods",
     "snap", "opkg", "portage", "bitnami", "x y", "PYPI"]
)  # fmt: skip
_PATH = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
_OWNER = st.one_of(st.just(""), st.builds("{}/{}".format, st.sampled_from(["deb", "rpm"]), _NAME))
_LOCATION = st.builds(Location, _PATH, _DIGEST, _OWNER)
_PACKAGE = st.builds(
    Package,
    type=_TYPE,
    name=_NAME,
    version=_WORD,
    arch=_WORD,
    source_name=_WORD,
    source_version=_WORD,
    module=_WORD,
    vendor=_WORD,
    repositories=st.lists(_WORD, max_size=2).map(tuple),
    locations=st.sets(_LOCATION, max_size=3).map(lambda found: tuple(sorted(found))),
)
_SYSTEM = st.builds(
    Distribution,
    id=_NAME,
    version_id=_WORD,
    codename=_WORD,
    name=_WORD,
    id_like=st.lists(_WORD, max_size=2).map(tuple),
)
_PROBLEM = st.builds(
    Problem, kind=st.sampled_from(ProblemKind), message=_TEXT, path=_PATH, layer=_DIGEST, cataloger=_WORD
)
_REPORT = st.builds(
    IndexReport,
    image=st.builds(
        Image,
        reference=_NAME,
        kind=st.sampled_from(["registry", "dir", "oci-dir"]),
        digest=_DIGEST,
        config_digest=_DIGEST,
        platform=st.sampled_from([None, Platform("linux", "amd64"), Platform("linux", "arm", "v7")]),
    ),
    distribution=st.none() | _SYSTEM,
    layers=st.lists(
        st.builds(Layer, diff_id=_DIGEST, size=st.integers(0, 9), created_by=_PATH), max_size=2
    ).map(tuple),
    packages=st.lists(_PACKAGE, max_size=4, unique_by=lambda item: item.identity).map(
        lambda found: tuple(sorted(found, key=lambda item: item.identity))
    ),
    problems=st.sets(_PROBLEM, max_size=2).map(lambda found: tuple(sorted(found))),
    catalogers=st.dictionaries(_WORD, st.integers(0, 9), max_size=2),
    lookups=st.dictionaries(_WORD, _DIGEST, max_size=2),
)


@settings(max_examples=40)
@given(_REPORT)
def test_any_index_report_survives_both_forms(report: IndexReport) -> None:
    check_nothing_is_lost(report)


def test_images_that_tests_index_are_among_those_checked(indexed: list[IndexReport], tmp_path: Path) -> None:
    path = ImageWriter().add(dpkg_root([("a", "1", "")])).write_docker_archive(tmp_path / "a.tar")
    with open_source(str(path)) as source:
        index_image(source, source.resolve(None))
    assert [package.name for report in indexed for package in report.packages] == ["a"]


def test_an_sbom_of_an_sbom_is_of_the_same_image(tmp_path: Path) -> None:
    path = tmp_path / "a.cdx.json"
    image = Image(reference="registry.example/shop:1", kind="registry", digest="sha256:" + "1" * 64)
    path.write_bytes(formats.render(IndexReport(image=image), "cyclonedx"))
    for form in FORMS:
        source = open_source(str(path))
        report = source.index()  # type: ignore[attr-defined]  # an SBOM's
        assert (report.image.subject, report.image.digest) == (image.reference, image.digest)
        path = tmp_path / f"again.{form}.json"
        path.write_bytes(formats.render(report, form))


@pytest.mark.parametrize("form", FORMS)
def test_what_a_scan_wrote_is_no_list_of_what_there_is(form: str) -> None:
    report = VulnerabilityReport(
        image=Image(reference="a", kind="dir"), definitions=DefinitionsInfo(digest="sha256:1", schema="1.0")
    )
    with pytest.raises(UnreadableInput, match="only packages with findings"):
        sbom.read(formats.render(report, form))


@pytest.mark.parametrize("form", FORMS)
def test_ours_with_a_spoilt_part_says_so(form: str) -> None:
    package = Package(type="pypi", name="A_b", version="1", locations=(Location("x"),))
    layer = Layer(diff_id="sha256:" + "a" * 64)
    report = IndexReport(image=Image(reference="a", kind="dir"), packages=(package,), layers=(layer,))
    text = formats.render(report, form).decode()
    spoilt = text.replace("diff_id", "diff")
    assert spoilt != text
    read = sbom.read(spoilt.encode())
    assert [problem.kind for problem in read.problems][:1] == [ProblemKind.DAMAGED]


def test_what_is_visible_in_an_sbom_of_ours_counts_and_not_a_copy_of_it() -> None:
    """Somebody who raises a version in an SBOM by hand gets what they wrote."""
    report = IndexReport(
        image=Image(reference="a", kind="dir"), packages=(Package(type="npm", name="a", version="1.0"),)
    )
    for form in FORMS:
        text = formats.render(report, form).decode().replace("a@1.0", "a@2.0")
        (package,) = sbom.read(text.encode()).report.packages
        assert package.version == "2.0"


def test_ownership_layers_and_repositories_are_in_the_document_where_people_find_them() -> None:
    location = Location("usr/lib/a.jar", "sha256:" + "a" * 64, "deb/liba-java")
    package = Package(type="rpm", name="a", version="1", repositories=("baseos",), locations=(location,))
    report = IndexReport(image=Image(reference="a", kind="dir"), packages=(package,))
    (component,) = json.loads(formats.render(report, "cyclonedx"))["components"]
    assert component["evidence"]["occurrences"] == [
        {"location": "usr/lib/a.jar", "additionalContext": f"sha256:{'a' * 64} of deb/liba-java"}
    ]
    assert {"name": "redoubt:repository", "value": "baseos"} in component["properties"]
