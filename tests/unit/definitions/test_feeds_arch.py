"""Arch Linux's tracker: what its fixture does not show, and what becomes of it in a scan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes
from redoubt.errors import UnreadableInput
from redoubt.model import Distribution, Judged, Package, Status
from support.feeds import source_named
from support.snapshots import scanned

ARCH = Distribution(id="arch", version_id="20990101.0.1", name="Arch Linux")


def read(folder: Path, document: object) -> tuple[list[Item], Notes]:
    path = folder / "all.json"
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    notes = Notes()
    feed = source_named("arch").feed
    return list(feed.read(Files([("all.json", path)]), "arch", notes, facts_only=False)), notes


GOOD = {"name": "AVG-1", "packages": ["fixture"], "status": "Vulnerable"}


@pytest.mark.parametrize(
    "group",
    [
        7,
        {},
        {**GOOD, "status": "Fixed"},
        {**GOOD, "status": "Fixed", "fixed": ""},
        {**GOOD, "status": "Testing", "fixed": None},
        {**GOOD, "status": "Gone"},
        {**GOOD, "status": None},
        {**GOOD, "packages": []},
        {**GOOD, "packages": "fixture"},
        {**GOOD, "packages": ["a\0"]},
        {**GOOD, "name": "AVG 1"},
        {**GOOD, "issues": "CVE-2099-0001"},
        {**GOOD, "status": "Fixed", "fixed": "1\0-1"},
        {**GOOD, "status": "Fixed", "fixed": "1" * 2000},
    ],
)
def test_a_group_that_says_nothing_usable_spoils_only_itself(tmp_path: Path, group: object) -> None:
    items, notes = read(tmp_path, [group, GOOD])
    assert (len(items), notes.read, notes.spoilt) == (1, 2, 1)


@pytest.mark.parametrize("document", [b"", b"{}", b"[" * 200_000, b'["', b"\xff", b"<html>"])
def test_a_file_that_is_not_the_trackers_is_an_error(tmp_path: Path, document: bytes) -> None:
    with pytest.raises(UnreadableInput):
        read(tmp_path, document)


def alpm(name: str, version: str) -> Package:
    return Package(type="alpm", name=name, version=version, arch="x86_64")


@pytest.mark.parametrize(
    ("name", "version", "found"),
    [
        ("fixture", "1:2.0-9", ["CVE-2099-3001", "CVE-2099-3002", "CVE-2099-3006"]),
        ("fixture", "9.9-1", ["CVE-2099-3001", "CVE-2099-3002", "CVE-2099-3006"]),  # no epoch is epoch 0
        ("fixture", "1:2.1rc1-1", ["CVE-2099-3001", "CVE-2099-3002", "CVE-2099-3006"]),
        ("fixture", "1:2.1-1", ["CVE-2099-3006"]),
        ("lib32-fixture", "1:2.0-1", ["CVE-2099-3001", "CVE-2099-3002"]),
        ("fixture-server", "99-1", ["CVE-2099-3003"]),
        ("fixture-server", "3.0-4", ["CVE-2099-3003", "CVE-2099-3004"]),
        ("fixture-tools", "20990101-1", ["AVG-99006"]),
        ("another", "1-1", []),
    ],
)
def test_packages_of_arch_are_judged_by_name_and_pacmans_order(
    tmp_path: Path, name: str, version: str, found: list[str]
) -> None:
    findings, judged = scanned(tmp_path, "arch", alpm(name, version), ARCH)
    assert judged is Judged.MATCHED
    assert sorted(findings) == sorted(found)


def test_a_finding_names_the_group_that_repairs_it(tmp_path: Path) -> None:
    findings, _ = scanned(tmp_path, "arch", alpm("lib32-fixture", "1:2.0-1"), ARCH)
    assert [(item.fixed_version, item.fixing_advisory) for item in findings.values()] == [
        ("1:2.1-1", "AVG-99001")
    ] * 2


def test_what_is_unknown_is_under_investigation(tmp_path: Path) -> None:
    findings, _ = scanned(tmp_path, "arch", alpm("fixture", "1:2.1-1"), ARCH)
    assert findings["CVE-2099-3006"].status is Status.UNDER_INVESTIGATION


def test_a_derivative_of_arch_is_not_judged_by_archs_tracker(tmp_path: Path) -> None:
    system = Distribution(id="manjaro", id_like=("arch",))
    findings, judged = scanned(tmp_path, "arch", alpm("fixture", "1-1"), system)
    assert (findings, judged) == ({}, Judged.UNSUPPORTED_DISTRIBUTION)


def test_another_kind_of_package_on_arch_is_not_judged(tmp_path: Path) -> None:
    _, judged = scanned(tmp_path, "arch", Package(type="rpm", name="fixture", version="1-1"), ARCH)
    assert judged is Judged.UNSUPPORTED_DISTRIBUTION
