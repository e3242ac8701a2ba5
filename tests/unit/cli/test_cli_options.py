"""Options: the formats that can be asked for, and those that a file's name asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from redoubt import formats
from redoubt.cli.redoubt import options
from redoubt.model import Detection


def test_every_detection_can_be_asked_for() -> None:
    assert list(options.DETECTIONS) == list(Detection)


def test_every_format_can_be_asked_for() -> None:
    assert options.FORMATS == formats.FORMATS


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("report.json", "json"),
        ("report.cdx.json", "cyclonedx"),
        ("report.cdx", "cyclonedx"),
        ("report.spdx.json", "spdx"),
        ("report.sarif", "sarif"),
        ("Report.SARIF.json", "sarif"),
        ("report.junit.xml", "junit"),
        ("report.csv", "csv"),
        ("report.HTML", "html"),
        ("report.txt", "table"),
        ("report.xml", "table"),
        ("report", "table"),
    ],
)
def test_a_files_name_says_its_format(name: str, form: str) -> None:
    assert options.format_of(None, Path("some.csv") / name) == form
    assert options.format_of("html", Path(name)) == "html"


def test_without_a_file_it_is_a_table() -> None:
    assert options.format_of(None, None) == "table"
