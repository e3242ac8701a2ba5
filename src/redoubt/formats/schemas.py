"""JSON Schemas of the reports, made from the structs: ``python -m redoubt.formats.schemas docs/schemas``."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from redoubt.model import IndexReport, VulnerabilityReport
from redoubt.model.image import INDEX_SCHEMA
from redoubt.model.report import REPORT_SCHEMA

_DOCUMENTS = (
    (f"index-{INDEX_SCHEMA}.schema.json", "Redoubt index report", IndexReport),
    (f"report-{REPORT_SCHEMA}.schema.json", "Redoubt vulnerability report", VulnerabilityReport),
)


def schemas() -> dict[str, bytes]:
    """File name → JSON Schema (draft 2020-12) of the report that its name says."""
    return {name: _schema(title, kind) for name, title, kind in _DOCUMENTS}


def _schema(title: str, kind: type) -> bytes:
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **msgspec.json.schema(kind),
    }
    definitions = document["$defs"]
    definitions[kind.__name__]["required"].insert(0, "schema")  # always written; readers may rely on it
    return msgspec.json.format(msgspec.json.encode(document, order="deterministic"), indent=2) + b"\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name, schema in schemas().items():
        (folder / name).write_bytes(schema)
