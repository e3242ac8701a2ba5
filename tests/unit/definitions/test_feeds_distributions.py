"""AlmaLinux, Debian, Alpine and Wolfi: what their fixtures do not show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes
from redoubt.definitions.feeds.secdb import names_in
from redoubt.errors import UnreadableInput
from redoubt.model import Advisory, Severity
from support.feeds import said, source_named, write_zip


def read(folder: Path, name: str, document: object) -> tuple[list[Item], Notes]:
    path = folder / "input.json"
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    notes = Notes()
    return list(
        source_named(name).feed.read(Files([("input.json", path)]), name, notes, facts_only=False)
    ), notes


def erratum(folder: Path, summary: str, *fixes: str) -> tuple[Advisory, list[str]]:
    record = {
        "id": "ALSA-2099:0001",
        "summary": summary,
        "related": ["CVE-2099-0001"],
        "affected": [
            {
                "package": {"ecosystem": "AlmaLinux:8", "name": "fixture"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fix}]}],
            }
            for fix in fixes
        ],
    }
    archive = write_zip(folder / "all.zip", {"a.json": json.dumps(record).encode()})
    feed = source_named("osv-almalinux").feed
    [(advisory, (one,))] = feed.read(
        Files([("all.zip", archive)]), "osv-almalinux", Notes(), facts_only=False
    )
    assert isinstance(advisory, Advisory)
    return advisory, [said(item) for item in one.ranges]


@pytest.mark.parametrize(
    ("summary", "severity", "modules"),
    [
        ("Important: php:7.4 security update", Severity.HIGH, ["php:7.4"]),
        (
            "Critical: idm:DL1 and idm:client security, bug fix update",
            Severity.CRITICAL,
            ["idm:DL1", "idm:client"],
        ),
        ("Low: container-tools:rhel8 security update", Severity.LOW, ["container-tools:rhel8"]),
        ("container-tools bug fix update", Severity.UNKNOWN, ["*"]),
        ("Moderate: varnish security update", Severity.MEDIUM, ["*"]),
        ("None: httpd:2.4 update", Severity.UNKNOWN, ["httpd:2.4"]),
        ("ALSA-2099:0001: php:8.0 security update (Important)", Severity.HIGH, ["php:8.0"]),
        ("ALSA-2099:0001: varnish security update (Low)", Severity.LOW, ["*"]),
    ],
)
def test_summary_tells_severity_and_modules(
    tmp_path: Path, summary: str, severity: Severity, modules: list[str]
) -> None:
    advisory, ranges = erratum(tmp_path, summary, "1-1.module_el8.5.0+1+a")
    assert advisory.severity is severity
    assert ranges == [f"[, 1-1.module_el8.5.0+1+a) fixed module={module}" for module in modules]


def test_of_several_repaired_builds_the_smallest_is_the_first_fix(tmp_path: Path) -> None:
    builds = ("91.8.0-1.el8_5.alma.plus", "91.8.0-1.el8_5.alma")
    for order in (builds, builds[::-1]):
        assert erratum(tmp_path, "Important: fixture", *order)[1] == [
            "[, 91.8.0-1.el8_5.alma) fixed module=-"
        ]
    assert erratum(tmp_path, "Low: x", "1:1.0-1.module_el8.6.0+2+b", "1.0-9.module_el8.5.0+1+a")[1] == [
        "[, 1.0-9.module_el8.5.0+1+a) fixed module=*"
    ]


def test_a_modular_and_a_plain_build_are_different_packages(tmp_path: Path) -> None:
    _, ranges = erratum(tmp_path, "Important: perl:5.26 update", "5.26-1.module_el8.1+1+a", "5.26-9.el8")
    assert ranges == [
        "[, 5.26-1.module_el8.1+1+a) fixed module=perl:5.26",
        "[, 5.26-9.el8) fixed module=-",
    ]


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{]", b'{"a": []}', b"[" * 200_000, b"\x1f\x8bnot gzip", b"\xff"]
)
def test_a_file_that_is_not_the_trackers_is_an_error(tmp_path: Path, document: bytes) -> None:
    with pytest.raises(UnreadableInput):
        read(tmp_path, "debian", document)


def test_debian_undetermined_is_never_affected(tmp_path: Path) -> None:
    entry = {"releases": {"bookworm": {"status": "undetermined", "urgency": "high"}}}
    [(_, (one,))], _ = read(tmp_path, "debian", {"fixture": {"CVE-2099-0001": entry}})
    assert [said(item) for item in one.ranges] == ["[, ) under_investigation HIGH"]


@pytest.mark.parametrize(
    "release",
    [
        {"status": "resolved"},
        {"status": "resolved", "fixed_version": ""},
        {"status": "not-a-status"},
        {"fixed_version": "1"},
        "resolved",
        {"status": "resolved", "fixed_version": "1\0"},
    ],
)
def test_a_release_that_says_nothing_usable_spoils_its_entry_only(tmp_path: Path, release: object) -> None:
    good = {"releases": {"bookworm": {"status": "open"}}}
    items, notes = read(
        tmp_path,
        "debian",
        {"fixture": {"CVE-2099-0001": {"releases": {"bookworm": release}}, "CVE-2099-0002": good}},
    )
    assert [first.id for first, _ in items if isinstance(first, Advisory)] == ["CVE-2099-0002"]
    assert notes.spoilt == 1


def test_debian_one_flaw_in_many_packages_is_one_advisory(tmp_path: Path) -> None:
    said_of_both = {"CVE-2099-0001": {"releases": {"bookworm": {"status": "open"}}}}
    [(_, affected)], _ = read(tmp_path, "debian", {"b": said_of_both, "a": said_of_both})
    assert {one.name for one in affected} == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("CVE-2099-0001", [("CVE-2099-0001", ())]),
        ("CVE_2099-0001", [("CVE-2099-0001", ())]),
        ("CVE 2099-16859", [("CVE-2099-16859", ())]),
        ("cve-2099-0001", [("CVE-2099-0001", ())]),
        ("CVE-2099-0001 (+ regression fix)", [("CVE-2099-0001", ())]),
        ("CVE-2099-0001.patch", [("CVE-2099-0001", ())]),
        ("CVE-2099-0001-2", [("CVE-2099-0001", ())]),
        ("CVE-2099-0001  XSA-201", [("CVE-2099-0001", ("XSA-201",))]),
        ("XSA-201 CVE-2099-0001", [("CVE-2099-0001", ("XSA-201",))]),
        ("CVE-2099-0001 TALOS-2099-0394", [("CVE-2099-0001", ("TALOS-2099-0394",))]),
        ("CVE-2099-0001 (SMB - partially fixed)", [("CVE-2099-0001", ())]),
        ("CVE-2099-0001 CVE-2099-0002 XSA-254 XPTI", [("CVE-2099-0001", ()), ("CVE-2099-0002", ())]),
        ("CVE-????-????? XSA-284", [("XSA-284", ())]),
        ("GHSA-aaaa-bbbb-cccc CVE-2099-0001", [("CVE-2099-0001", ("GHSA-aaaa-bbbb-cccc",))]),
        ("GHSA-aaaa-bbbb-cccc", [("GHSA-aaaa-bbbb-cccc", ())]),
        ("wnpa-sec-2099-18", [("wnpa-sec-2099-18", ())]),
        ("ZBX-11023", [("ZBX-11023", ())]),
        ("no names here", []),
        ("", []),
        ("CVE-99-1", []),
    ],
)
def test_dirty_secdb_entries_name_flaws(text: str, names: list[tuple[str, tuple[str, ...]]]) -> None:
    assert list(names_in(text)) == names


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="CVEGHSAXcve-_ 0129?()./\n\0é", max_size=60))
def test_whatever_a_secdb_entry_says_names_are_printable_ids(text: str) -> None:
    for name, others in names_in(text):
        for one in (name, *others):
            assert one.isascii()
            assert one.isprintable()
            assert " " not in one


def secdb(**secfixes: object) -> dict[str, object]:
    return {"distroversion": "v3.20", "packages": [{"pkg": {"name": "fixture", "secfixes": secfixes}}]}


def test_a_flaw_fixed_again_needs_the_later_fix(tmp_path: Path) -> None:
    fixes = {"1.10-r0": ["CVE-2099-0001"], "1.9-r9": ["CVE-2099-0001"], "0": ["CVE-2099-0001"]}
    [(_, (one,))], _ = read(tmp_path, "alpine", secdb(**fixes))
    assert [said(item) for item in one.ranges] == ["[, 1.10-r0) fixed"]


def test_a_notice_beside_several_cves_is_no_alias_of_any(tmp_path: Path) -> None:
    texts = ["CVE-2099-0001 XSA-275", "CVE-2099-0002 XSA-275", "CVE-2099-0003 XSA-276"]
    items, _ = read(tmp_path, "alpine", secdb(**{"1.0-r0": texts}))
    assert {advisory.id: advisory.aliases for advisory, _ in items} == {
        "CVE-2099-0001": (),
        "CVE-2099-0002": (),
        "CVE-2099-0003": ("XSA-276",),
    }


@pytest.mark.parametrize("release", ["", "3.20", "v3.20/../..", "v3\0", "v3.20\n"])
def test_a_secdb_file_of_no_known_release_is_an_error(tmp_path: Path, release: str) -> None:
    with pytest.raises(UnreadableInput, match="no Alpine release"):
        read(tmp_path, "alpine", {"distroversion": release, "packages": []})


@pytest.mark.parametrize(
    "package",
    [
        7,
        {},
        {"pkg": {}},
        {"pkg": {"name": 7}},
        {"pkg": {"name": "a", "secfixes": {"1": "CVE"}}},
        {"pkg": {"name": "a\0"}},
    ],
)
def test_a_broken_secdb_package_spoils_only_itself(tmp_path: Path, package: object) -> None:
    document = secdb(**{"1.0-r0": ["CVE-2099-0001"]})
    document["packages"] = [package, *document["packages"]]
    items, notes = read(tmp_path, "wolfi", document)
    assert (len(items), notes.read, notes.spoilt) == (1, 2, 1)


def test_kev_entry_without_a_date_or_a_cve_is_not_believed(tmp_path: Path) -> None:
    entries = [
        {"cveID": "CVE-2099-0001", "dateAdded": "2099-01-01"},
        {"cveID": "CVE-2099-0002", "dateAdded": "soon"},
        {"cveID": "whatever", "dateAdded": "2099-01-01"},
        {"cveID": "CVE-2099-0003"},
    ]
    items, notes = read(tmp_path, "kev", {"vulnerabilities": entries})
    assert [first for first, _ in items] == ["CVE-2099-0001"]
    assert notes.spoilt == 3
    assert notes.newest == "2099-01-01T00:00:00Z"


def test_epss_scores_out_of_bounds_are_not_believed(tmp_path: Path) -> None:
    lines = [
        "CVE-2099-0001,0.5,0.5",
        "CVE-2099-0002,1.5,0.5",
        "CVE-2099-0003,nan,0",
        "x,0,0",
        "CVE-2099-0004,1,1\r",
        "",
    ]
    text = "#model_version:x,score_date:2099-01-01T00:00:00+0000\ncve,epss,percentile\n" + "\n".join(lines)
    items, notes = read(tmp_path, "epss", text.encode())
    assert [first for first, _ in items] == ["CVE-2099-0001", "CVE-2099-0004"]
    assert notes.spoilt == 3


def test_epss_without_its_comment_has_no_date(tmp_path: Path) -> None:
    items, notes = read(tmp_path, "epss", b"cve,epss,percentile\nCVE-2099-0001,0.1,0.2\n")
    assert [second.date for _, second in items] == [""]
    assert notes.newest == ""
    with pytest.raises(UnreadableInput, match="not an EPSS file"):
        read(tmp_path, "epss", b"<html>try later</html>")
