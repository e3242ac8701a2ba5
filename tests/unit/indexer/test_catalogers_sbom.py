"""SBOMs that lie in an image: what counts of them beside what is installed. All content is invented."""

from __future__ import annotations

import json
from typing import Any

import pytest
from indexing import Memory

from ociwriter import Entry, layer_tar
from redoubt.indexer.catalogers.interface import MemoryContent
from redoubt.indexer.catalogers.sbom import SbomCataloger
from redoubt.indexer.index import index_image
from redoubt.model import IndexReport, ProblemKind
from support.roots import apk_root, dpkg_root


def cyclonedx(*purls: str, nameless: int = 0) -> bytes:
    components = [{"type": "library", "name": "x", "purl": purl} for purl in purls]
    components += [{"type": "library", "name": f"n{number}"} for number in range(nameless)]
    return json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.5", "components": components}).encode()


def spdx(*purls: str, described: int = 0) -> bytes:
    packages = [
        {
            "SPDXID": f"SPDXRef-{number}",
            "name": "x",
            "externalRefs": [{"referenceType": "purl", "referenceLocator": purl}],
        }
        for number, purl in enumerate(purls)
    ]
    return json.dumps(
        {"spdxVersion": "SPDX-2.3", "packages": packages, "documentDescribes": [f"SPDXRef-{described}"]}
    ).encode()


def indexed(*entries: Entry) -> IndexReport:
    tars = [layer_tar(list(entries))]
    source = Memory(tars, tars)
    return index_image(source, source.resolve(None))


def found(*entries: Entry) -> dict[str, list[str]]:
    report = indexed(*entries)
    assert report.problems == ()
    return {f"{p.type}/{p.name}@{p.version}": [where.path for where in p.locations] for p in report.packages}


def test_what_nothing_else_says_is_taken_from_an_sbom_with_its_path() -> None:
    assert found(
        Entry("opt/vendor/app.cdx.json", cyclonedx("pkg:golang/example.org/a@v1.0.0", "pkg:cargo/b@2")),
        Entry("srv/c.spdx.json", spdx("pkg:npm/c@3", "pkg:npm/d@4")),
        Entry("usr/share/sbom/e.cyclonedx.json", cyclonedx("pkg:gem/e@5")),
        Entry("srv/bom.json", cyclonedx("pkg:pypi/f@6")),
    ) == {
        "cargo/b@2": ["opt/vendor/app.cdx.json"],
        "gem/e@5": ["usr/share/sbom/e.cyclonedx.json"],
        "golang/example.org/a@v1.0.0": ["opt/vendor/app.cdx.json"],
        "npm/d@4": ["srv/c.spdx.json"],
        "pypi/f@6": ["srv/bom.json"],
    }


def test_the_database_of_the_systems_packages_goes_before_what_sboms_say() -> None:
    """A document for each apk package, as Wolfi and Chainguard leave them: what the database has lost is gone."""
    documents = [
        Entry(
            f"var/lib/db/sbom/{name}-1-r0.spdx.json",
            spdx(f"pkg:apk/wolfi/{name}@1-r0?arch=x86_64&distro=wolfi", f"pkg:github/example/{name}@v1"),
        )
        for name in ("kept", "removed")
    ]
    assert found(*apk_root([("kept", "1-r0", "kept")], "ID=wolfi\n"), *documents) == {
        "apk/kept@1-r0": ["lib/apk/db/installed"]
    }
    assert found(Entry("etc/os-release", b"ID=wolfi\n"), *documents) == {
        "apk/kept@1-r0": ["var/lib/db/sbom/kept-1-r0.spdx.json"],
        "apk/removed@1-r0": ["var/lib/db/sbom/removed-1-r0.spdx.json"],
    }


def test_an_sbom_of_the_whole_image_adds_only_the_kinds_that_nothing_else_sees() -> None:
    document = cyclonedx(
        "pkg:deb/debian/a@1?arch=amd64&distro=debian-11",
        "pkg:deb/debian/gone@1?arch=amd64&distro=debian-11",
        "pkg:npm/left@1",
        "pkg:npm/right@1",
        "pkg:golang/example.org/linked@v1.0.0",
        "pkg:oci/base@sha256:1",
    )
    assert found(
        *dpkg_root([("a", "1", "")]),
        Entry("srv/node_modules/left/package.json", b'{"name": "left", "version": "1"}'),
        Entry("srv/image.cdx.json", document),
    ) == {
        "deb/a@1": ["var/lib/dpkg/status"],
        "golang/example.org/linked@v1.0.0": ["srv/image.cdx.json"],
        "npm/left@1": ["srv/node_modules/left/package.json"],
    }


def test_what_is_installed_and_described_is_one_package_in_two_places() -> None:
    assert found(
        Entry("srv/app.cdx.json", cyclonedx("pkg:npm/a@1", "pkg:npm/b@1", "pkg:npm/c@1")),
        Entry("usr/lib/node_modules/a/package.json", b'{"name": "a", "version": "1"}'),
    )["npm/a@1"] == ["srv/app.cdx.json", "usr/lib/node_modules/a/package.json"]


def test_what_an_sbom_leaves_open_is_a_problem_with_its_path() -> None:
    report = indexed(Entry("srv/app.cdx.json", cyclonedx("pkg:npm/a@1", nameless=2)))
    (problem,) = report.problems
    assert (problem.kind, problem.path) == (ProblemKind.UNSUPPORTED, "srv/app.cdx.json")
    assert "2 components of the SBOM left out" in problem.message


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("bom.json", b'{"materials": []}', None),
        ("sbom.json", b"\xff\x00", None),
        ("sbom.json", b"", None),
        ("app.cdx.json", b'{"materials": []}', ProblemKind.DAMAGED),
        ("app.spdx.json", b'{"spdxVersion": "SPDX-2.3", "packages": [', ProblemKind.DAMAGED),
        ("app.spdx.json", b'{"@context": "https://spdx.org/rdf/3.0.1/x"}', ProblemKind.DAMAGED),
        ("app.cdx.json", b"[" * 100_000, ProblemKind.DAMAGED),
    ],
)
def test_a_file_that_only_its_name_makes_an_sbom_is_damaged_and_one_of_a_common_name_is_none(
    name: str, data: bytes, kind: ProblemKind | None
) -> None:
    catalog = SbomCataloger().catalog(f"srv/{name}", MemoryContent(data))
    assert catalog.packages == ()
    assert [problem.kind for problem in catalog.problems] == ([kind] if kind else [])


def test_hostile_names_become_clean_and_bounded() -> None:
    components: list[Any] = [
        {"type": "library", "name": "x", "purl": "pkg:npm/a%1b%5b2J%e2%80%ae@1%0a2"},
        {"type": "library", "name": "x", "purl": "pkg:npm/" + "b" * 5000},
        {"type": "library", "name": "x", "purl": "pkg:npm/%00"},
    ]
    data = json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.5", "components": components}).encode()
    catalog = SbomCataloger().catalog("a.cdx.json", MemoryContent(data))
    assert [(package.name, package.version) for package in catalog.packages] == [("a[2J", "12")]
    assert len(catalog.problems) == 2
