"""Index reports through SBOMs and back."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from redoubt import formats
from redoubt.indexer import index, sbom
from redoubt.model import IndexReport

FORMS = ("cyclonedx", "spdx")


def check_nothing_is_lost(report: IndexReport) -> None:
    """An SBOM of ``report``, in each form, reads back as the same report, of an image that is now an SBOM's subject."""
    for form in FORMS:
        read = sbom.read(formats.render(report, form), "the SBOM")
        assert read.problems == (), form
        image = msgspec.structs.replace(
            report.image, reference="", kind="sbom", subject=report.image.subject or report.image.reference
        )
        expected = msgspec.structs.replace(report, image=image)
        assert msgspec.json.encode(read.report) == msgspec.json.encode(expected), form


@pytest.fixture(autouse=True)
def indexed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[IndexReport]]:
    """The index reports that a test makes: whatever was indexed survives an SBOM, which is checked at its end."""
    reports: list[IndexReport] = []
    tell = index._told

    def told(*args: object) -> IndexReport:
        report = tell(*args)  # type: ignore[arg-type]  # passed on as they come
        reports.append(report)
        return report

    monkeypatch.setattr(index, "_told", told)
    yield reports
    for report in reports:
        check_nothing_is_lost(report)
