"""An SBOM as a target: named, recognised, read from a file, and refused where it is none."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from redoubt.errors import AccessDenied, LimitExceeded, UnreadableInput
from redoubt.indexer.sources import open_source, sbom
from redoubt.indexer.sources.interface import LayerBlob
from redoubt.indexer.sources.sbom import SbomSource
from redoubt.model import ProblemKind

BOM = (
    b'{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": ['
    b'{"type": "library", "name": "a", "purl": "pkg:npm/a@1"}, {"type": "library", "name": "b"}]}'
)


def opened(target: str) -> SbomSource:
    source = open_source(target)
    assert isinstance(source, SbomSource)
    return source


@pytest.mark.parametrize("prefix", ["", "sbom:"])
def test_a_file_is_named_or_recognised_and_what_is_wrong_with_it_has_its_path(
    tmp_path: Path, prefix: str
) -> None:
    path = tmp_path / "some:thing.json"
    path.write_bytes(b"\n " + BOM)
    with opened(f"{prefix}{path}") as source:
        report = source.index()
        image = source.resolve(None).image
    assert (image.reference, image.kind) == (f"{prefix}{path}", "sbom")
    assert [package.name for package in report.packages] == ["a"]
    (problem,) = report.problems
    assert (problem.kind, problem.path) == (ProblemKind.UNSUPPORTED, str(path))


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BOM)))
    assert len(opened("sbom:-").index().packages) == 1


def test_what_cannot_be_read_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreadableInput, match="No such file"):
        opened(f"sbom:{tmp_path}/none.json").index()
    with pytest.raises(UnreadableInput, match="Is a directory"):
        opened(f"sbom:{tmp_path}").index()
    path = tmp_path / "x.json"
    path.write_bytes(BOM)
    monkeypatch.setattr(sbom, "MAX_SIZE", 10)
    with pytest.raises(LimitExceeded, match="larger than"):
        opened(str(path)).index()
    with pytest.raises(UnreadableInput, match="holds no layer"):
        opened(str(path)).open_layer(LayerBlob(diff_id="sha256:1"))

    def forbidden(*_: object) -> io.BytesIO:
        raise PermissionError

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(AccessDenied):
        opened(f"sbom:{path}").index()


def test_json_that_is_no_sbom_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_bytes(b'{"schema": "1.0", "image": {"reference": "a", "kind": "dir"}}')
    with pytest.raises(UnreadableInput, match="redoubt match"):
        opened(str(path)).index()
