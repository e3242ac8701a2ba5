"""Fedora's updates: what their fixture does not show, where their pages are, and scans with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from redoubt import egress
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes
from redoubt.definitions.sources.fedora import discover
from redoubt.errors import NetworkError, UnreadableInput
from redoubt.model import Advisory, Distribution, Judged, Package
from support.feeds import said, source_named
from support.snapshots import scanned

RELEASE = {"name": "F42", "version": "42", "id_prefix": "FEDORA"}
BUILD = {"nvr": "a-1-2.fc42", "type": "rpm", "epoch": None}
UPDATE = {
    "alias": "FEDORA-2099-1",
    "release": RELEASE,
    "status": "stable",
    "type": "security",
    "builds": [BUILD],
}


def read(folder: Path, document: object) -> tuple[list[Item], Notes]:
    path = folder / "page-1.json"
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    notes = Notes()
    feed = source_named("fedora").feed
    return list(feed.read(Files([("page-1.json", path)]), "fedora", notes, facts_only=False)), notes


def only(folder: Path, **changes: object) -> tuple[Advisory, list[str]]:
    [(advisory, affected)], _ = read(folder, {"updates": [{**UPDATE, **changes}]})
    assert isinstance(advisory, Advisory)
    assert isinstance(affected, tuple)
    return advisory, [f"{one.name} {said(item)}" for one in affected for item in one.ranges]


@pytest.mark.parametrize(
    ("changes", "cves"),
    [
        ({"bugs": [{"title": "CVE-2099-0001 a: flaw"}], "notes": "CVE-2099-0009"}, ["CVE-2099-0001"]),
        ({"bugs": [{"title": None}], "notes": "Security fix for CVE-2099-0002, CVE-2099-0001."}, ["CVE-2099-0001", "CVE-2099-0002"]),
        ({"bugs": None, "display_name": "a: CVE-2099-12345"}, ["CVE-2099-12345"]),
        ({"title": "a-1-2.fc42", "notes": "CVE-99-1 cve-2099-0001"}, []),
        ({"notes": "CVE-2099-" + "1" * 30}, []),
        ({}, []),
    ],
)  # fmt: skip
def test_cves_are_those_of_the_bugs_or_else_of_its_words(
    tmp_path: Path, changes: dict[str, object], cves: list[str]
) -> None:
    assert list(only(tmp_path, **changes)[0].cves) == cves


def test_builds_are_sources_with_their_epochs_and_the_lowest_of_several_repairs(tmp_path: Path) -> None:
    builds = [
        {"nvr": "b-c-10-1.fc42", "type": "rpm", "epoch": 2},
        {"nvr": "b-c-9-1.fc42", "type": "rpm", "epoch": 2},
        {"nvr": "d-1-1.fc42", "type": "rpm", "epoch": -1},
        {"nvr": "e-1-1.fc42", "type": "module"},
        {"nvr": "f-1-1.fc42", "type": "flatpak"},
    ]
    assert only(tmp_path, builds=builds)[1] == ["b-c [, 2:9-1.fc42) fixed", "d [, 1-1.fc42) fixed"]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "testing"},
        {"status": "pending"},
        {"type": "bugfix"},
        {"type": None},
        {"builds": []},
        {"builds": None},
        {"builds": [{**BUILD, "type": "module"}]},
        {"release": {**RELEASE, "id_prefix": "FEDORA-EPEL"}},
        {"release": {"name": "EPEL-9", "version": "9", "id_prefix": "FEDORA"}},
        {"release": {"name": "F42F", "version": "42", "id_prefix": "FEDORA-FLATPAK"}},
        {"release": {"name": "ELN"}},
    ],
)
def test_what_is_no_stable_security_update_of_fedora_is_dropped(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    items, notes = read(tmp_path, {"updates": [{**UPDATE, **changes}]})
    assert (items, notes.spoilt, sum(notes.dropped.values())) == ([], 0, 1)


@pytest.mark.parametrize(
    "update",
    [
        7,
        {},
        {**UPDATE, "alias": ""},
        {**UPDATE, "alias": "two words"},
        {**UPDATE, "release": "F42"},
        {**UPDATE, "builds": [{**BUILD, "nvr": "a-1"}]},
        {**UPDATE, "builds": [{**BUILD, "nvr": "a--"}]},
        {**UPDATE, "builds": [{**BUILD, "nvr": "-1-2"}]},
        {**UPDATE, "builds": [{**BUILD, "epoch": "1"}]},
        {**UPDATE, "builds": [{**BUILD, "nvr": "a-1-" + "2" * 2000}]},
        {**UPDATE, "bugs": ["CVE-2099-0001"]},
    ],
)
def test_an_update_that_says_nothing_usable_spoils_only_itself(tmp_path: Path, update: object) -> None:
    items, notes = read(tmp_path, {"updates": [update, UPDATE]})
    assert (len(items), notes.read, notes.spoilt) == (1, 2, 1)


@pytest.mark.parametrize(
    "document", [b" ", b"[]", b"{}", {"updates": {}}, b"[" * 200_000, b"\xff", b"<html>"]
)
def test_a_file_that_is_no_page_is_an_error(tmp_path: Path, document: object) -> None:
    with pytest.raises(UnreadableInput, match="no page of Bodhi"):
        read(tmp_path, document)


FEDORA = Distribution(id="fedora", version_id="42")


def rpm(name: str, version: str, source: str = "", source_version: str = "") -> Package:
    return Package(
        type="rpm",
        name=name,
        version=version,
        arch="x86_64",
        source_name=source,
        source_version=source_version,
    )


@pytest.mark.parametrize(
    ("package", "found"),
    [
        (rpm("fixture", "1:3.12.8-1.fc42"), {"CVE-2099-3401", "CVE-2099-3402"}),
        (rpm("fixture-libs", "1:3.12.8-1.fc42", "fixture"), {"CVE-2099-3401", "CVE-2099-3402"}),
        (rpm("fixture-libs", "1:3.12.9-1.fc42", "fixture"), set()),
        # A binary of another version than its source's: the source's counts, with the epoch of the binary.
        (rpm("fixture-idle", "1:0.5-9.fc42", "fixture", "3.12.9-1.fc42"), set()),
        (rpm("fixture-idle", "1:9.9-9.fc42", "fixture", "3.12.8-1.fc42"), {"CVE-2099-3401", "CVE-2099-3402"}),
        (rpm("fixture", "3.13-1.fc42"), {"CVE-2099-3401", "CVE-2099-3402"}),  # no epoch is epoch 0
        (rpm("fixture-docs", "3.12.8-1.fc42"), {"CVE-2099-3401", "CVE-2099-3402"}),
        (rpm("fixture-kernel-core", "6.99.0-200.fc42", "fixture-kernel"), {"CVE-2099-3403"}),
        (rpm("fixture-kernel", "6.99.0-200.fc42", "another"), set()),
    ],
)
def test_fedora_is_judged_by_source_packages(tmp_path: Path, package: Package, found: set[str]) -> None:
    findings, judged = scanned(tmp_path, "fedora", package, FEDORA)
    assert judged is Judged.MATCHED
    assert set(findings) == found


def test_a_release_that_nothing_is_known_of_says_so(tmp_path: Path) -> None:
    system = Distribution(id="fedora", version_id="39")
    assert scanned(tmp_path, "fedora", rpm("fixture", "0-1.fc39"), system) == ({}, Judged.NO_DATA)


# Where the pages are

BODHI = "https://bodhi.fedoraproject.org"
LIST = f"{BODHI}/releases/?exclude_archived=True&rows_per_page=100"


def first(release: int) -> str:
    return f"{BODHI}/updates/?releases=F{release}&status=stable&type=security&rows_per_page=100&page=1"


def answering(pages: dict[str, object]) -> tuple[list[str], tuple[str, ...]]:
    def get(url: str) -> bytes:
        page = pages.get(url, egress.Missing(f"{url}: answered 404"))
        if isinstance(page, Exception):
            raise page
        return page if isinstance(page, bytes) else json.dumps(page).encode()

    found = discover(get)
    return [f"{path} {url[-7:]}" for path, url in found.downloads], found.troubles


def test_every_page_of_every_release_that_is_not_archived_is_found() -> None:
    releases = [{"name": name} for name in ("F43", "EPEL-9", "F42", "F42F", "F42C", "ELN", "F42")]
    found = answering({LIST: {"releases": [*releases, {}]}, first(42): {"pages": 2}, first(43): {"pages": 1}})
    assert found == (
        [
            "fedora/42/page-001.json &page=1",
            "fedora/42/page-002.json &page=2",
            "fedora/43/page-001.json &page=1",
        ],
        (),
    )


def test_what_cannot_be_asked_is_named_and_the_rest_is_found() -> None:
    releases = {"releases": [{"name": "F41"}, {"name": "F42"}, {"name": "F43"}]}
    pages, troubles = answering(
        {
            LIST: releases,
            first(41): NetworkError("busy"),
            first(42): {"pages": "many"},
            first(43): {"pages": 10**6},
        }
    )
    assert len(pages) == 500
    assert [trouble.partition(":")[0] for trouble in troubles] == [
        "busy",
        "https",
        "https",
    ]
    assert "is no page of updates" in troubles[1]
    assert "more than 500 pages" in troubles[2]


@pytest.mark.parametrize("answer", [b"", b"[]", b"[" * 100_000, {"releases": 7}, NetworkError("busy")])
def test_a_list_of_releases_that_cannot_be_read_finds_nothing_and_says_so(answer: object) -> None:
    pages, troubles = answering({LIST: answer})
    assert pages == []
    assert len(troubles) == 1
