"""What one file may cost: each cataloger's limit, and files within it that would take many times their size."""

from __future__ import annotations

import pytest

from redoubt.errors import LimitExceeded
from redoubt.indexer import sbom
from redoubt.indexer.catalogers import ALL, documents
from redoubt.indexer.catalogers.alpm import AlpmCataloger
from redoubt.indexer.catalogers.dpkg_files import DpkgFilesCataloger
from redoubt.indexer.catalogers.fields import lines
from redoubt.indexer.catalogers.interface import Catalog, Cataloger, MemoryContent
from redoubt.indexer.catalogers.npm_lock import NpmLockCataloger
from redoubt.indexer.catalogers.sbom import SbomCataloger
from redoubt.indexer.ownership import MAX_PATHS
from redoubt.indexer.sbom import gathered
from redoubt.model import ProblemKind

#: Catalogers of files that are read by place or as they stream by, never whole.
BY_PLACE = {"rpm", "dpkg", "apk", "dnf", "java", "python-egg", "golang", "cargo-auditable", "applications"}


def kinds(catalog: Catalog) -> list[ProblemKind]:
    return [problem.kind for problem in catalog.problems]


@pytest.mark.parametrize("cataloger", ALL, ids=lambda cataloger: cataloger.name)
def test_a_file_that_is_held_whole_is_at_most_64_mb(cataloger: Cataloger) -> None:
    assert 0 < cataloger.wanted.max_size <= (4 << 30 if cataloger.name in BY_PLACE else 64 << 20)


@pytest.mark.parametrize("text", ["", "\n", "a", "a\n", "\na\n\nb", "a\r\nb\x0bc\u2028d\n"])
def test_lines_are_those_that_split_gives(text: str) -> None:
    assert list(lines(text)) == text.split("\n")


@pytest.mark.parametrize(
    "filling",
    [b"[" + b"[]," * documents.MAX_HOLDERS + b"[]]", b"[" + b"1," * (documents.MAX_VALUES + 1) + b"1]"],
    ids=["lists", "numbers"],
)
def test_json_that_would_take_thirty_times_its_size_is_not_read(filling: bytes) -> None:
    data = b'{"lockfileVersion":3,"packages":{"node_modules/a":{"version":' + filling + b"}}}"
    assert len(data) <= NpmLockCataloger.wanted.max_size
    catalog = NpmLockCataloger().catalog("app/package-lock.json", MemoryContent(data))
    assert kinds(catalog) == [ProblemKind.LIMIT]


@pytest.mark.parametrize("mark", [b'"bomFormat":"CycloneDX"', b'"spdxVersion":"SPDX-2.3"'])
def test_an_sbom_that_would_take_thirty_times_its_size_is_said_and_not_read(mark: bytes) -> None:
    data = b"{" + mark + b',"components":[' + b"{}," * documents.MAX_HOLDERS + b"{}]}"
    assert kinds(SbomCataloger().catalog("app/bom.json", MemoryContent(data))) == [ProblemKind.LIMIT]
    other = data.replace(mark, b'"a":0')
    assert SbomCataloger().catalog("app/bom.json", MemoryContent(other)) == Catalog()


def test_a_large_sbom_of_the_usual_density_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_HOLDERS", 1000)
    monkeypatch.setattr(documents, "MAX_VALUES", 1000)
    one = b'{"type":"library","name":"a%d","version":"1","purl":"pkg:npm/a%d@1","properties":[%s]}'
    rows = b",".join([b'{"name":"syft:package:foundBy","value":"javascript-package-cataloger"}'] * 3)
    given = b'{"bomFormat":"CycloneDX","components":[%s]}'
    usual = given % b",".join(one % (number, number, rows) for number in range(1000))
    assert len(sbom.read(usual).report.packages) == 1000
    with pytest.raises(LimitExceeded, match="close together"):
        sbom.read(given % b",".join([b"{}"] * 2000))


def test_an_sbom_of_too_many_packages_gives_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered, "MAX_PACKAGES", 2)
    parts = b",".join(b'{"name":"a","purl":"pkg:npm/a@%d"}' % number for number in range(4))
    told = sbom.read(b'{"bomFormat":"CycloneDX","specVersion":"1.6","components":[%s]}' % parts)
    assert [package.version for package in told.report.packages] == ["0", "1"]
    assert [problem.kind for problem in told.problems] == [ProblemKind.LIMIT]


@pytest.mark.parametrize(
    ("cataloger", "path", "data"),
    [
        (DpkgFilesCataloger(), "var/lib/dpkg/info/a.list", b"/a\n"),
        (DpkgFilesCataloger(), "var/lib/dpkg/diversions", b"/a\n"),
        (DpkgFilesCataloger(), "var/lib/dpkg/status.d/a.md5sums", b"a\n"),
        (AlpmCataloger(), "var/lib/pacman/local/a-1-1/files", b"%FILES%\na"),
    ],
)
def test_a_list_of_far_too_many_files_is_left_out_and_said(
    cataloger: Cataloger, path: str, data: bytes
) -> None:
    catalog = cataloger.catalog(path, MemoryContent(data + b"\n/" * (MAX_PATHS + 1)))
    assert kinds(catalog) == [ProblemKind.LIMIT]
    assert catalog.claims == ()
