"""SBOMs in the shapes that Syft, Trivy, cdxgen, GitHub and hand-made ones have. All content is invented."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.errors import UnreadableInput
from redoubt.indexer import sbom
from redoubt.model import Distribution, Location, Package, ProblemKind
from redoubt.model.sbom import FIELDS
from support.sboms import check_nothing_is_lost

LAYER = "sha256:" + "5" * 64
DIGEST = "sha256:" + "7" * 64


def cyclonedx(*components: Any, **more: Any) -> bytes:
    return json.dumps(
        {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components, **more}
    ).encode()


def library(purl: str, properties: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    name = purl.partition("@")[0].rpartition("/")[2]
    pairs = [{"name": key, "value": value} for key, value in (properties or {}).items()]
    return {"type": "library", "name": name, "purl": purl, "properties": pairs, **more}


def spdx(*packages: Any, **more: Any) -> bytes:
    return json.dumps(
        {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "packages": packages, **more}
    ).encode()


def spdx_package(name: str, purl: str = "", **more: Any) -> dict[str, Any]:
    reference = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}
    return {"SPDXID": f"SPDXRef-{name}", "name": name, "externalRefs": [reference] if purl else [], **more}


def packages(data: bytes) -> list[Package]:
    read = sbom.read(data)
    assert read.problems == ()
    return list(read.report.packages)


def one(data: bytes) -> Package:
    (package,) = packages(data)
    return package


# --- Syft


def test_syfts_rpm_has_epoch_source_module_maker_place_and_layer() -> None:
    data = cyclonedx(
        library(
            "pkg:rpm/rhel/nodex@1.2-3.el8?arch=x86_64&distro=rhel-8.9&epoch=1&upstream=nodey-1.2-3.el8.src.rpm",
            {
                "syft:location:0:path": "/var/lib/rpm/Packages",
                "syft:location:0:layerID": LAYER,
                "syft:metadata:modularityLabel": "nodex:20:8090020990101:abc",
            },
            version="1:1.2-3.el8",
            publisher="Red Hat, Inc.",
        ),
        {"type": "operating-system", "name": "rhel", "version": "8.9", "properties": [{"name": "syft:distro:id", "value": "rhel"}]},
    )  # fmt: skip
    assert one(data) == Package(
        type="rpm",
        name="nodex",
        version="1:1.2-3.el8",
        arch="x86_64",
        source_name="nodey",
        module="nodex:20",
        vendor="Red Hat, Inc.",
        locations=(Location("var/lib/rpm/Packages", LAYER),),
    )
    assert sbom.read(data).report.distribution == Distribution(id="rhel", version_id="8.9")


def test_syfts_deb_has_its_source_and_its_version() -> None:
    package = one(
        cyclonedx(
            library(
                "pkg:deb/debian/libx1@1:2.0-1?arch=amd64&distro=debian-12&upstream=x-src%402.0-1",
                publisher="A Maintainer <a@lists.debian.example>",
            )
        )
    )
    assert (package.name, package.version) == ("libx1", "1:2.0-1")
    assert (package.source_name, package.source_version) == ("x-src", "")
    assert package.vendor == "A Maintainer <a@lists.debian.example>"


def test_syfts_spdx_has_places_in_words_and_makers_in_spdx_form() -> None:
    data = spdx(
        spdx_package("shop:1", primaryPackagePurpose="CONTAINER", versionInfo=DIGEST),
        spdx_package(
            "libx1",
            "pkg:deb/debian/libx1@2.0-1?arch=amd64&distro=debian-12&upstream=x",
            versionInfo="2.0-1",
            sourceInfo="acquired package info from DPKG DB: /var/lib/dpkg/status, /usr/share/doc/libx1/copyright",
            originator="Person: Some Body (some@body.example)",
        ),
        relationships=[
            {"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": "SPDXRef-shop:1", "relationshipType": "DESCRIBES"}
        ],
    )  # fmt: skip
    package = one(data)
    assert package.locations == (Location("usr/share/doc/libx1/copyright"), Location("var/lib/dpkg/status"))
    assert (package.source_name, package.vendor) == ("x", "Some Body <some@body.example>")
    read = sbom.read(data)
    assert (read.subject, read.report.image.digest) == ("shop:1", DIGEST)
    assert read.report.distribution == Distribution(id="debian", version_id="12")


@pytest.mark.parametrize("version", ["go1.22.1", "v1.22.1", "1.22.1"])
def test_gos_standard_library_has_the_version_that_catalogers_write(version: str) -> None:
    assert one(cyclonedx(library(f"pkg:golang/stdlib@{version}"))).version == "1.22.1"


@pytest.mark.parametrize(
    ("version", "properties", "kept"),
    [
        ("v0.0.0-20990101000000-0123456789ab", {"syft:metadata:mainModule": "example.org/a"}, ""),
        ("v0.0.0-20990101000000-0123456789ab", {"syft:metadata:mainModule": "example.org/b"}, "v0.0.0-20990101000000-0123456789ab"),
        ("v1.0.0", {"syft:metadata:mainModule": "example.org/a"}, "v1.0.0"),
        ("UNKNOWN", {}, ""),
        ("(devel)", {}, ""),
    ],
)  # fmt: skip
def test_a_program_of_no_release_has_no_version(version: str, properties: dict[str, str], kept: str) -> None:
    assert one(cyclonedx(library(f"pkg:golang/example.org/a@{version}", properties))).version == kept


# --- Trivy


def test_trivys_packages_have_source_epoch_module_and_content_sets() -> None:
    prefix = "aquasecurity:trivy:"
    component = library(
        "pkg:rpm/redhat/x-libs@2.0-1.el9?arch=aarch64&distro=redhat-9.4&modularitylabel=x%3A1%3A900%3Aff&epoch=2",
        {
            f"{prefix}SrcName": "x",
            f"{prefix}SrcVersion": "2.1",
            f"{prefix}SrcRelease": "4.el9",
            f"{prefix}SrcEpoch": "2",
            f"{prefix}LayerDiffID": LAYER,
            f"{prefix}PkgType": "redhat",
        },
    )
    component["properties"] += [
        {"name": f"{prefix}ContentSet", "value": name} for name in ("b-rpms", "a-rpms", "b-rpms")
    ]
    system = {
        "type": "operating-system", "name": "redhat", "version": "9.4", "properties": [{"name": f"{prefix}Type", "value": "redhat"}]
    }  # fmt: skip
    data = cyclonedx(component, system)
    package = one(data)
    assert package.version == "2:2.0-1.el9"
    assert (package.source_name, package.source_version) == ("x", "2.1-4.el9")
    assert package.module == "x:1"
    assert package.repositories == ("a-rpms", "b-rpms")
    assert sbom.read(data).report.distribution == Distribution(id="rhel", version_id="9.4")


def test_trivys_spdx_has_the_source_in_words() -> None:
    data = spdx(
        spdx_package("alpine", primaryPackagePurpose="OPERATING-SYSTEM", versionInfo="3.19.1"),
        spdx_package(
            "libx",
            "pkg:apk/alpine/libx@1.0-r0?arch=x86_64&distro=3.19.1",
            primaryPackagePurpose="LIBRARY",
            sourceInfo="built package from: x 1.0-r0",
            annotations=[
                {"annotator": "Tool: trivy-0.99", "comment": f"LayerDiffID: {LAYER}"},
                {"annotator": "Tool: trivy-0.99", "comment": "FilePath: lib/apk/db/installed"},
            ],
        ),
        spdx_package("app/package-lock.json", primaryPackagePurpose="APPLICATION"),
    )
    package = one(data)
    assert (package.source_name, package.source_version) == ("x", "")
    assert package.locations == (Location("lib/apk/db/installed", LAYER),)
    assert sbom.read(data).report.distribution == Distribution(id="alpine", version_id="3.19.1")


def test_a_name_that_a_purl_has_in_lower_case_is_kept_as_it_is_called() -> None:
    data = cyclonedx(
        library("pkg:golang/example.org/burntfile/toml@v1.0.0", name="Example.org/BurntFile/toml"),
        library("pkg:pypi/zope-interface-x@1", name="Zope.Interface_x"),
        library("pkg:npm/%40scope/thing@1", group="@scope", name="Thing"),
        library("pkg:maven/org.x/core@1", group="org.x", name="Core"),
        library("pkg:npm/left@1", name="right"),
    )
    assert sorted(package.name for package in packages(data)) == [
        "@scope/Thing",
        "Example.org/BurntFile/toml",
        "Zope.Interface_x",
        "left",
        "org.x:Core",
    ]


# --- systems


@pytest.mark.parametrize(
    ("purl", "system"),
    [
        ("pkg:deb/debian/a@1?distro=debian-12.4", ("debian", "12.4", "")),
        ("pkg:deb/debian/a@1?distro=bookworm", ("debian", "", "bookworm")),
        ("pkg:deb/debian/a@1?distro=debian-trixie", ("debian", "", "trixie")),
        ("pkg:apk/alpine/a@1?distro=alpine-3.20.0_alpha20991231", ("alpine", "3.20.0_alpha20991231", "")),
        ("pkg:apk/alpine/a@1?distro=edge", ("alpine", "edge", "")),
        ("pkg:apk/alpine/a@1?distro=alpine-edge", ("alpine", "edge", "")),
        ("pkg:apk/wolfi/a@1?distro=wolfi-20230201", ("wolfi", "20230201", "")),
        ("pkg:rpm/opensuse/a@1?distro=opensuse-leap-15.5", ("opensuse-leap", "15.5", "")),
        ("pkg:rpm/opensuse/a@1?distro=opensuse.leap-15.5", ("opensuse-leap", "15.5", "")),
        ("pkg:rpm/amazon/a@1?distro=amazon-2023.4", ("amzn", "2023.4", "")),
        ("pkg:rpm/ol/a@1?distro=ol-9.1", ("ol", "9.1", "")),
        ("pkg:alpm/arch/a@1?distro=arch", ("arch", "", "")),
        ("pkg:deb/ubuntu/a@1", ("ubuntu", "", "")),
    ],
)
def test_the_system_is_what_the_packages_say(purl: str, system: tuple[str, str, str]) -> None:
    found = sbom.read(cyclonedx(library(purl))).report.distribution
    assert found is not None
    assert (found.id, found.version_id, found.codename) == system


def test_packages_of_another_system_are_left_out_and_counted() -> None:
    data = cyclonedx(
        *(library(f"pkg:deb/debian/a{number}@1?distro=debian-12") for number in range(3)),
        *(library(f"pkg:deb/debian/b{number}@1?distro=debian-11") for number in range(2)),
        library("pkg:rpm/fedora/c@1"),
        library("pkg:deb/debian/d@1"),
        library("pkg:npm/e@1"),
    )
    read = sbom.read(data)
    assert [package.name for package in read.report.packages] == ["a0", "a1", "a2", "d", "e"]
    assert [problem.message for problem in read.problems] == [
        "2 components of the SBOM left out, because each is of debian 11 and not of the SBOM's system: b0, b1",
        "1 component of the SBOM left out, because it is of fedora and not of the SBOM's system: c",
    ]


# --- what cannot be told


def test_what_names_no_package_is_counted_with_examples_and_things_that_are_none_are_not() -> None:
    data = cyclonedx(
        {"type": "library", "name": "a"},
        {"type": "framework", "name": "b", "cpe": "cpe:2.3:a:b:b:1:*:*:*:*:*:*:*"},
        {"type": "library", "name": "c\n"},
        {"type": "library", "name": "d"},
        {"type": "library", "name": "e", "purl": "no purl"},
        {"type": "file", "name": "/etc/passwd"},
        {"type": "container", "name": "other", "purl": "pkg:oci/other@sha256:1"},
        {"type": "application", "name": "app/lock.json", "properties": [{"name": "aquasecurity:trivy:Type", "value": "npm"}]},
        "not a component",
        {"type": "library", "name": "f", "components": 3},
    )  # fmt: skip
    read = sbom.read(data)
    assert read.report.packages == ()
    assert [problem.kind for problem in read.problems] == [ProblemKind.UNSUPPORTED] * 3
    assert [problem.message for problem in read.problems] == [
        "4 components of the SBOM left out, because each has no package URL: a, b, c, …",
        "1 component of the SBOM left out, because it has a package URL that is none: e",
        "2 components of the SBOM left out, because each is not what a component should be",
    ]


def test_a_package_without_a_version_is_listed() -> None:
    assert one(cyclonedx(library("pkg:npm/a"))) == Package(type="npm", name="a", version="")


def test_leaves_of_the_wrong_type_are_taken_for_absent() -> None:
    broken = {
        "type": 1,
        "name": ["x"],
        "version": {},
        "purl": "pkg:npm/a@1",
        "evidence": [],
        "properties": {"a": 1},
    }
    assert one(cyclonedx(broken)) == Package(type="npm", name="a", version="1")


def test_nested_components_count_wherever_they_lie_and_the_subject_does_not() -> None:
    inner = library("pkg:npm/c@1", components=[library("pkg:npm/d@1")])
    data = cyclonedx(
        library("pkg:npm/b@1", components=[inner]),
        metadata={
            "component": {
                **library("pkg:npm/app@1", components=[library("pkg:npm/a@1")]),
                "type": "application",
            }
        },
    )
    assert [package.name for package in packages(data)] == ["a", "b", "c", "d"]


def test_the_same_package_twice_is_one_with_both_places() -> None:
    places = [{"occurrences": [{"location": path, "additionalContext": "somewhere"}]} for path in ("b", "a")]
    data = cyclonedx(*(library("pkg:npm/a@1", evidence=place, **{"bom-ref": "same"}) for place in places))
    assert one(data).locations == (Location("a"), Location("b"))


def test_graphs_that_turn_in_circles_are_not_walked() -> None:
    data = spdx(
        spdx_package("a", "pkg:npm/a@1"),
        spdx_package("b", "pkg:npm/b@1"),
        relationships=[
            {
                "spdxElementId": f"SPDXRef-{here}",
                "relatedSpdxElement": f"SPDXRef-{there}",
                "relationshipType": "CONTAINS",
            }
            for here, there in ("ab", "ba", "aa")
        ],
    )
    assert len(packages(data)) == 2


def test_a_version_of_the_format_that_is_not_known_is_read_and_said() -> None:
    data = cyclonedx(library("pkg:npm/a@1"), specVersion="9.9")
    read = sbom.read(data)
    assert len(read.report.packages) == 1
    assert read.problems[0].message == "CycloneDX 9.9 is read as 1.6; what is new or other in it is not seen"


# --- wrappings and other forms


def test_signed_and_wrapped_documents_are_unwrapped() -> None:
    document = json.loads(cyclonedx(library("pkg:npm/a@1")))
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "https://cyclonedx.org/bom",
        "predicate": document,
    }
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    envelope = {"payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": []}
    github = {"sbom": json.loads(spdx(spdx_package("a", "pkg:npm/a@1")))}
    for wrapped in (statement, envelope, github, {**statement, "predicate": {"Data": document}}):
        assert one(json.dumps(wrapped).encode()).name == "a"
    assert one(b"\xef\xbb\xbf" + cyclonedx(library("pkg:npm/a@1"))).name == "a"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'<?xml version="1.0"?><bom xmlns="http://cyclonedx.org/schema/bom/1.5"/>', "XML is not read"),
        (
            b'{"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": []}',
            "SPDX 3 is not read",
        ),
        (b'{"schema": "1.0", "image": {}}', "redoubt match"),
        (b'{"a": 1}', "neither CycloneDX in JSON nor SPDX"),
        (b'{"payload": "%%%"}', "not base64"),
        (b'{"payload": "e30="}', "neither CycloneDX in JSON nor SPDX"),
        (b'{"bomFormat": "CycloneDX", "components": {}}', "not readable as an SBOM"),
        (b'{"bomFormat": "CycloneDX", "components": [', "not readable as an SBOM"),
        (b'{"spdxVersion": "SPDX-2.3", "packages": "x"}', "not readable as an SBOM"),
        (b'{"bomFormat": "CycloneDX", "specVersion": "\xff"}', "not readable as an SBOM"),
        (b'{"x":' * 50_000, "nested too deeply"),
        (b'{"bomFormat": "CycloneDX", "components": [' + b'{"components": [' * 50_000, "nested too deeply"),
        (b"", "neither CycloneDX in JSON nor SPDX"),
    ],
)
def test_what_is_no_sbom_is_refused_with_what_it_is(data: bytes, message: str) -> None:
    with pytest.raises(UnreadableInput, match=message):
        sbom.read(data, "x.json")


def test_wrappings_within_wrappings_end() -> None:
    data = b'{"a": 1}'
    for _ in range(8):
        data = json.dumps({"payload": base64.b64encode(data).decode()}).encode()
    with pytest.raises(UnreadableInput, match="neither CycloneDX in JSON nor SPDX"):
        sbom.read(data)


TAGS = """\
\ufeffSPDXVersion: SPDX-2.3
SPDXID: SPDXRef-DOCUMENT
DocumentComment: <text>Several
PackageName: no package
lines</text>

PackageName: shop
SPDXID: SPDXRef-shop
PrimaryPackagePurpose: CONTAINER

PackageName: libx1
SPDXID: SPDXRef-libx1
PackageVersion: 2.0-1
PackageOriginator: Person: Some Body (some@body.example)
PackageSourceInfo: <text>built package from: x 2.0-2</text>
ExternalRef: SECURITY cpe23Type cpe:2.3:a:x:x:2.0:*:*:*:*:*:*:*
ExternalRef: PACKAGE-MANAGER purl pkg:deb/debian/libx1@2.0-1?arch=amd64&distro=debian-12

FileName: ./a
SPDXID: SPDXRef-file
ExternalRef: PACKAGE-MANAGER purl pkg:npm/of-a-file@1

PackageName: debian
SPDXID: SPDXRef-system
PackageVersion: 12
PrimaryPackagePurpose: OPERATING-SYSTEM

PackageName: nameless
SPDXID: SPDXRef-nameless

Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-shop
"""


def test_spdx_as_tags_and_values_says_the_same_as_in_json() -> None:
    read = sbom.read(TAGS.encode())
    assert sbom.recognise(TAGS.encode()) == "spdx"
    assert (read.form, read.subject) == ("SPDX 2.3", "shop")
    assert read.report.distribution == Distribution(id="debian", version_id="12")
    (package,) = read.report.packages
    assert (package.name, package.version, package.arch) == ("libx1", "2.0-1", "amd64")
    assert (package.source_name, package.source_version) == ("x", "2.0-2")
    assert package.vendor == "Some Body <some@body.example>"
    assert [problem.message for problem in read.problems] == [
        "1 component of the SBOM left out, because it has no package URL: nameless"
    ]


_KEYS = (
    *(
        "bomFormat",
        "specVersion",
        "metadata",
        "component",
        "components",
        "type",
        "name",
        "group",
        "version",
        "purl",
    ),
    *(
        "properties",
        "value",
        "evidence",
        "occurrences",
        "location",
        "additionalContext",
        "publisher",
        "supplier",
    ),
    *("spdxVersion", "packages", "relationships", "documentDescribes", "SPDXID", "versionInfo", "sourceInfo"),
    *(
        "externalRefs",
        "referenceType",
        "referenceLocator",
        "annotations",
        "comment",
        "annotator",
        "originator",
    ),
    *("creationInfo", "creators", "primaryPackagePurpose", "relatedSpdxElement", "relationshipType"),
)
_VALUES = st.sampled_from(
    [
        *(
            "",
            "a",
            "CycloneDX",
            "1.6",
            "SPDX-2.3",
            "purl",
            "CONTAINER",
            "operating-system",
            "library",
            "debian",
            "12",
        ),
        *(
            "pkg:deb/debian/a@1?distro=debian-12",
            "pkg:deb/debian/b@1?distro=debian-11",
            "pkg:pypi/a_b@1",
            "pkg:oci/a",
        ),
        *(
            "pkg:rpm/a@1?epoch=x&rpmmod=::&upstream=-.src.rpm",
            "redoubt:schema",
            "redoubt:layer",
            "redoubt:repository",
        ),
        *(
            "redoubt:version-id",
            "redoubt:{}",
            'redoubt:{"locations":[["a"]]}',
            "Tool: redoubt-1",
            "built package from: a",
        ),
        *(
            "DESCRIBES",
            "SPDXRef-a",
            "\x1b[2J\u202e",
            "syft:location:0:path",
            "aquasecurity:trivy:SrcName",
            "Person: (a@b)",
        ),
    ]
)
_ANY = st.recursive(
    _VALUES | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=6),
    max_leaves=30,
)
_OBJECT = st.dictionaries(st.sampled_from(_KEYS), _ANY | _VALUES, max_size=8)


@settings(max_examples=200)
@given(
    st.sampled_from(
        [
            {"bomFormat": "CycloneDX"},
            {"spdxVersion": "SPDX-2.3"},
            {"creationInfo": {"creators": ["Tool: redoubt-"]}},
        ]
    ),
    _OBJECT,
    st.lists(_OBJECT | _ANY, max_size=4),
)
def test_documents_of_any_shape_are_read_or_refused_and_what_is_read_is_clean(
    begun: dict[str, Any], more: dict[str, Any], parts: list[Any]
) -> None:
    document = {**more, "components": parts, "packages": parts, "spdxVersion": "SPDX-2.3", **begun}
    try:
        read = sbom.read(json.dumps(document).encode())
    except UnreadableInput:
        return
    for package in read.report.packages:
        assert package.name
        assert all(getattr(package, field).isprintable() for field in FIELDS)
    check_nothing_is_lost(read.report)
