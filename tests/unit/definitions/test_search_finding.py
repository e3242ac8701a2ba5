"""What is found of a flaw and of a package in a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from redoubt.definitions import records, snapshot
from redoubt.definitions.search import Found, fixes, search
from redoubt.definitions.snapshot import Snapshot
from redoubt.model import Advisory, Epss, SourceInfo
from support.definitions_bundles import span

LONG_NAME = "n" * 600


@pytest.fixture
def definitions(tmp_path: Path) -> Iterator[Snapshot]:
    """Three sources that speak of one flaw under three names, and one of another flaw."""
    contents = [
        *records.describe([SourceInfo(name="debian")], {"debian:12": 2, "pypi": 2, "golang": 1}),
        records.advisory(Advisory(id="CVE-2024-0001", source="debian")),
        records.advisory(Advisory(id="CVE-2024-00010", source="debian")),
        records.advisory(
            Advisory(id="PYSEC-1", source="osv", aliases=("CVE-2024-0001", "GHSA-aaaa-bbbb-cccc"))
        ),
        records.advisory(Advisory(id="ERRATUM-1", source="vendor", cves=("CVE-2024-0001",))),
        records.advisory(Advisory(id="TITLED-1", source="vendor", title="unlike CVE-2024-0001")),
        records.affected("debian:12", "shop", "debian/CVE-2024-0001", (span("1.0"),)),
        records.affected("debian:12", "shop", "debian/CVE-2024-00010", (span("1.5"),)),
        records.affected("pypi", "my-shop", "osv/PYSEC-1", (span("2.0"), span("3.0"))),
        records.affected("golang", LONG_NAME, "vendor/ERRATUM-1", (span("1"),)),
        records.affected("pypi", "shop", "vendor/unwritten", (span("1"),)),
        records.epss("CVE-2024-0001", Epss(0.5, 0.9, "2024-06-01")),
        records.end_of_life("debian:10", "2024-06-30"),
    ]
    snapshot.create(tmp_path / "snapshot", contents)
    with Snapshot.open(tmp_path / "snapshot") as opened:
        yield opened


def told(found: Found) -> dict[str, list[tuple[str, str]]]:
    return {
        known.advisory.ref: [(item.namespace, item.name) for item in known.affected] for known in found.known
    }


def test_flaw_is_found_by_its_id_as_alias_and_as_repaired_but_not_by_text(definitions: Snapshot) -> None:
    found = search(definitions, "CVE-2024-0001")
    assert told(found) == {
        "debian/CVE-2024-0001": [("debian:12", "shop")],
        "osv/PYSEC-1": [("pypi", "my-shop")],
        "vendor/ERRATUM-1": [("golang", LONG_NAME)],
    }
    assert found.epss == Epss(0.5, 0.9, "2024-06-01")


@pytest.mark.parametrize("query", ["GHSA-aaaa-bbbb-cccc", "PYSEC-1", "osv/PYSEC-1"])
def test_flaw_is_found_by_each_of_its_names(definitions: Snapshot, query: str) -> None:
    assert told(search(definitions, query)) == {"osv/PYSEC-1": [("pypi", "my-shop")]}


def test_cve_may_be_typed_in_small_letters(definitions: Snapshot) -> None:
    assert told(search(definitions, "cve-2024-00010")) == {"debian/CVE-2024-00010": [("debian:12", "shop")]}


def test_package_is_found_in_every_namespace_that_has_it(definitions: Snapshot) -> None:
    assert told(search(definitions, "shop")) == {
        "debian/CVE-2024-0001": [("debian:12", "shop")],
        "debian/CVE-2024-00010": [("debian:12", "shop")],
        "vendor/unwritten": [("pypi", "shop")],
    }


def test_package_is_found_as_its_ecosystem_folds_it_and_tells_its_fixes(definitions: Snapshot) -> None:
    (known,) = search(definitions, "My.Shop").known
    assert fixes(known.affected[0].ranges) == ("2.0", "3.0")


@pytest.mark.parametrize("query", ["nothing", "CVE-2024-000", "", "\0", "\udcff", "x" * 10_000, "debian/"])
def test_what_nobody_wrote_about_is_not_found(definitions: Snapshot, query: str) -> None:
    assert search(definitions, query).known == ()


def test_a_release_is_known_by_the_day_of_its_end(definitions: Snapshot) -> None:
    assert search(definitions, "debian:10").end_of_life == "2024-06-30"
    assert search(definitions, "debian:1").end_of_life == ""
    assert definitions.end_of_life("\udcff") == ""
