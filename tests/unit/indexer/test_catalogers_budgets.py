"""What one file may cost: each cataloger's limit, and files within it that would take many times their size."""

from __future__ import annotations

import pytest

from redoubt.indexer.catalogers import ALL, documents
from redoubt.indexer.catalogers.alpm import AlpmCataloger
from redoubt.indexer.catalogers.dpkg_files import DpkgFilesCataloger
from redoubt.indexer.catalogers.fields import lines
from redoubt.indexer.catalogers.interface import Catalog, Cataloger, MemoryContent
from redoubt.indexer.catalogers.npm_lock import NpmLockCataloger
from redoubt.indexer.catalogers.sbom import SbomCataloger
from redoubt.indexer.ownership import MAX_PATHS
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
