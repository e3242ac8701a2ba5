"""NVD's files are cut into entries where they end, whatever pieces they come in."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from redoubt.definitions.feeds import nvd
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes
from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.model import Severity

VECTOR = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


def entry(number: int, **more: object) -> dict[str, object]:
    rating = {"source": "nvd@nist.gov", "type": "Primary", "cvssData": {"vectorString": VECTOR}}
    words = 'a text, {"cve": 1}, [{"cve":'
    cve = {"id": f"CVE-2099-{number}", "note": words, "metrics": {"cvssMetricV31": [rating]}, **more}
    return {"cve": cve}


def page(*entries: object) -> bytes:
    return json.dumps(
        {"format": "NVD_CVE", "vulnerabilities": entries, "after": {"vulnerabilities": 1}}
    ).encode()


def read(tmp_path: Path, data: bytes) -> tuple[list[Item], Notes]:
    (tmp_path / "page.json").write_bytes(data)
    notes = Notes()
    files = Files([("nvd/page.json", tmp_path / "page.json")])
    return list(nvd.NvdFeed().read(files, "nvd", notes, facts_only=False)), notes


def names(items: list[Item]) -> list[str]:
    return [first for first, _ in items if isinstance(first, str)]


@pytest.mark.parametrize("indent", [None, 2])
def test_entries_are_the_same_whatever_pieces_a_file_comes_in(
    indent: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [entry(1000 + number) for number in range(5)]
    data = json.dumps({"vulnerabilities": entries}, indent=indent).encode()
    for size in (1, 2, 3, 7, 64, 139, 140, 141, 1000, 1 << 20):
        monkeypatch.setattr("redoubt.definitions.feeds.files._PIECE", size)
        items, notes = read(tmp_path, data)
        assert names(items) == [f"CVE-2099-{1000 + number}" for number in range(5)]
        assert (notes.read, notes.spoilt) == (5, 0)


def test_a_page_of_the_api_may_say_more_behind_its_entries_and_hold_none(tmp_path: Path) -> None:
    assert names(read(tmp_path, page(entry(1000)))[0]) == ["CVE-2099-1000"]
    assert read(tmp_path, page())[0] == []
    assert names(read(tmp_path, gzip.compress(page(entry(1000), entry(1001))))[0]) == [
        "CVE-2099-1000",
        "CVE-2099-1001",
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {"cve": {"id": 5}},
        {"cve": {"id": "CVE-2099-1"}},
        {"cve": []},
        {"cve": {"id": "CVE-2099-1000", "metrics": {"cvssMetricV31": "high"}}},
        {"cve": {"id": "CVE-2099-1000", "nested": [[{"cve": 1}]]}},
    ],
)
def test_a_broken_entry_is_counted_and_the_next_one_is_read(broken: object, tmp_path: Path) -> None:
    items, notes = read(tmp_path, page(entry(1001), broken, entry(1002)))
    assert names(items) == ["CVE-2099-1001", "CVE-2099-1002"]
    assert notes.spoilt >= 1


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b'{"vulnerabilities": {}}',
        b"\xff\xfe{",
        page(entry(1000), entry(1001))[:-60],
        page(entry(1000))[:-1],
        page(entry(1000)) + b"]",
        b'[{"cve": {"id": "CVE-2099-1000"}}]',
        b"[" * 200_000,
        b'{"vulnerabilities": [' + b"[" * 200_000,
        json.dumps({"CVE_Items": [entry(1000)]}).encode(),
    ],
)
def test_what_is_not_nvds_file_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"nvd/page.json is not NVD's JSON"):
        read(tmp_path, data)


def test_an_entry_without_an_end_costs_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvd, "_LONGEST", 1000)
    monkeypatch.setattr("redoubt.definitions.feeds.files._PIECE", 100)
    with pytest.raises(LimitExceeded, match="an entry of more than 1000 bytes"):
        read(tmp_path, b'{"vulnerabilities": [{"cve": {"id": "' + b"x" * 5000)


def test_nist_has_the_last_word_on_severity_and_a_secondary_rating_has_none(tmp_path: Path) -> None:
    low = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"
    other = {"source": "cna@example.org", "type": "Primary", "cvssData": {"vectorString": VECTOR}}
    nist = {"source": "nvd@nist.gov", "type": "Primary", "cvssData": {"vectorString": low}}
    second = {**other, "type": "Secondary"}
    for ratings, severity in (
        ([other, nist], Severity.LOW),
        ([other], Severity.CRITICAL),
        ([second], Severity.UNKNOWN),
        ([second, {"cvssData": None}, {}], Severity.UNKNOWN),
    ):
        [(_, record)], _ = read(tmp_path, page(entry(1000, metrics={"cvssMetricV31": ratings})))
        assert record.severity is severity  # type: ignore[union-attr]
