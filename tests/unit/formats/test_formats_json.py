"""JSON out and in: the bytes, the published schemas, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from formats_samples import INDEX, REPORT

from redoubt import formats
from redoubt.errors import UnreadableInput
from redoubt.formats.json import read_index
from redoubt.formats.schemas import schemas
from redoubt.model import Image, IndexReport, Package, VulnerabilityReport

HERE = Path(__file__).parent
SCHEMAS = HERE.parents[2] / "docs" / "schemas"


@pytest.mark.parametrize(("report", "name"), [(REPORT, "report.json"), (INDEX, "index.json")])
def test_json_is_what_it_was(report: IndexReport | VulnerabilityReport, name: str) -> None:
    assert formats.render(report, "json") == (HERE / "golden" / name).read_bytes()


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_published_schema_is_up_to_date(name: str) -> None:
    assert (SCHEMAS / name).read_bytes() == schemas()[name], (
        "run python -m redoubt.formats.schemas docs/schemas"
    )


@pytest.mark.parametrize(
    ("report", "name"), [(REPORT, "report-1.0.schema.json"), (INDEX, "index-1.0.schema.json")]
)
def test_reports_are_valid_under_the_published_schema(
    report: IndexReport | VulnerabilityReport, name: str
) -> None:
    schema = json.loads((SCHEMAS / name).read_bytes())
    document = json.loads(formats.render(report, "json"))
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["schema"] == "1.0"


def test_an_index_report_is_read_back_as_it_was() -> None:
    assert read_index(formats.render(INDEX, "json")) == INDEX


def test_a_vulnerability_report_can_be_decoded_from_its_json() -> None:
    assert msgspec.json.decode(formats.render(REPORT, "json"), type=VulnerabilityReport) == REPORT


def test_fields_of_a_later_minor_version_are_skipped() -> None:
    document = json.loads(formats.render(INDEX, "json"))
    document["schema"] = "1.7"
    document["novelty"] = [1, {"a": None}]
    assert read_index(json.dumps(document).encode()).packages == INDEX.packages


def test_invisible_and_reordering_characters_are_escaped_and_survive() -> None:
    name = "a\x9b31m\x7f\u202egnp.\u2028\U000e0041b\x1b[2Jé漢"
    report = IndexReport(
        image=Image(reference="x", kind="dir"), packages=(Package(type="npm", name=name, version="1"),)
    )
    data = formats.render(report, "json")
    assert read_index(data) == report
    text = data.decode()
    assert not set(name.replace("é漢", "").replace("[", "")) & set(text) - set("agnp.31mb2J")
    assert "é漢" in text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b'{"schema": "1.0", "image": {"reference": "\xff", "kind": "dir"}}', "is not JSON"),
        (b"[]", "is not an index report"),
        (b"{}", "is not an index report"),
        (b'{"schema": 1}', "is not an index report"),
        (b'{"schema": "1.0"}', "is not an index report"),
        (b'{"schema": "2.0"}', "this Redoubt reads 1.x"),
        (b'{"schema": "1.0", "definitions": {}}', "is a vulnerability report"),
        (b'{"bomFormat": "CycloneDX"}', "is a CycloneDX SBOM"),
        (b'{"spdxVersion": "SPDX-2.3"}', "is an SPDX SBOM"),
        (b'{"schema": "1.0", "image": {"reference": "x", "kind": "dir"}, "packages": [1]}', "$.packages[0]"),
        (b'{"schema": "1.0", "x": ' + b'{"a":' * 200_000, "nested too deeply"),
    ],
)
def test_what_is_not_an_index_report_is_refused_with_the_reason(data: bytes, said: str) -> None:
    with pytest.raises(UnreadableInput) as caught:
        read_index(data, "x.json")
    assert said in str(caught.value)
    assert str(caught.value).startswith("x.json ")
    assert "\n" not in str(caught.value)


def test_every_cut_of_an_index_report_is_refused() -> None:
    data = formats.render(INDEX, "json").rstrip()
    for length in range(0, len(data), 97):
        with pytest.raises(UnreadableInput):
            read_index(data[:length])
