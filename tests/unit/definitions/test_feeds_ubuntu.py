"""What the fixture of Ubuntu's feed does not show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes
from redoubt.definitions.feeds.ubuntu import UbuntuFeed
from redoubt.model import Advisory, Severity
from support.feeds import said, write_tar


def entry(
    ecosystem: str = "Ubuntu:22.04:LTS", *, fixed: str = "", label: str = "jammy", **specific: object
) -> object:
    events = [{"introduced": "0"}, *([{"fixed": fixed}] if fixed else [])]
    return {
        "package": {
            "ecosystem": ecosystem,
            "name": "fixture",
            "purl": f"pkg:deb/ubuntu/fixture@1?arch=source&distro={label}",
        },
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
        "ecosystem_specific": specific,
    }


def record(*affected: object, **more: object) -> dict[str, object]:
    return {"id": "UBUNTU-CVE-2099-1000", "upstream": ["CVE-2099-1000"], "affected": affected, **more}


def read(folder: Path, records: dict[str, object], statements: object = None) -> tuple[list[Item], Notes]:
    def packed(value: object) -> bytes:
        return value if isinstance(value, bytes) else json.dumps(value).encode()

    members = {f"osv/cve/2099/{name}.json": packed(value) for name, value in records.items()}
    paths = [("ubuntu/osv-all.tar.xz", write_tar(folder / "osv-all.tar.xz", members, "w:xz"))]
    if statements is not None:
        vex = {"vex/cve/2099/CVE-2099-1000.json": packed(statements)}
        paths.append(("ubuntu/vex-all.tar.xz", write_tar(folder / "vex-all.tar.xz", vex, "w:xz")))
    notes = Notes()
    return list(UbuntuFeed().read(Files(paths), "ubuntu", notes, facts_only=False)), notes


def ranges(items: list[Item]) -> list[str]:
    [(_, (one,))] = items
    return [said(item) for item in one.ranges]


PRO = "Ubuntu:Pro:22.04:LTS"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry(fixed="2")], ["[, 2) fixed"]),
        ([entry()], ["[, )"]),
        ([entry(PRO)], ["[, )"]),
        ([entry(PRO, fixed="1+esm1")], ["[, 1+esm1) fixed channel=esm"]),
        ([entry(PRO, fixed="2", availability="No subscription required")], ["[, 2) fixed"]),
        ([entry(PRO, fixed="2", availability=["No"])], ["[, 2) fixed channel=esm"]),
        ([entry(), entry(PRO, fixed="1+esm1")], ["[, 1+esm1) fixed channel=esm"]),
        ([entry(PRO, fixed="1+esm1"), entry(fixed="2")], ["[, 1+esm1) fixed channel=esm", "[, 2) fixed"]),
        ([entry(PRO, fixed="2~esm1"), entry(fixed="2")], ["[, 2~esm1) fixed channel=esm", "[, 2) fixed"]),
        ([entry(PRO, fixed="2"), entry(fixed="2")], ["[, 2) fixed"]),
        ([entry(PRO, fixed="3+esm1"), entry(fixed="2")], ["[, 2) fixed"]),
        (
            [entry(PRO, fixed="1.5", availability="No subscription required"), entry(fixed="2")],
            ["[, 2) fixed"],
        ),
        ([entry("Ubuntu:25.10", fixed="3")], ["[, 3) fixed"]),
    ],
)
def test_a_releases_own_fix_comes_before_pros_and_any_fix_before_none(
    entries: list[object], expected: list[str], tmp_path: Path
) -> None:
    items, _ = read(tmp_path, {"a": record(*entries)})
    assert ranges(items) == expected


@pytest.mark.parametrize(
    "ecosystem",
    [
        "Ubuntu:Pro:FIPS:22.04:LTS",
        "Ubuntu:Pro:Realtime:22.04:LTS",
        "Ubuntu:Nvidia-BlueField:22.04:LTS",
        "Ubuntu",
        "",
    ],
)
def test_other_builds_under_the_same_names_are_left_out(ecosystem: str, tmp_path: Path) -> None:
    items, notes = read(tmp_path, {"a": record(entry(ecosystem, fixed="2"))})
    assert items == []
    assert notes.dropped == {"affects nothing in a release": 1}


@pytest.mark.parametrize(
    ("word", "severity"), [("negligible", "NEGLIGIBLE"), ("critical", "CRITICAL"), ("untriaged", "UNKNOWN")]
)
def test_severity_is_ubuntus_priority(word: str, severity: str, tmp_path: Path) -> None:
    [(advisory, _)], _ = read(tmp_path, {"a": record(entry(), severity=[{"type": "Ubuntu", "score": word}])})
    assert isinstance(advisory, Advisory)
    assert advisory.severity is Severity(severity)


def statement(**more: object) -> dict[str, object]:
    return {
        "vulnerability": {"name": "CVE-2099-1000"},
        "products": [{"@id": "pkg:deb/ubuntu/fixture@1?arch=source&distro=jammy"}],
        "status": "affected",
        **more,
    }


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"action_statement": "The team decided to not fix it. Notes."}, "[, ) will_not_fix"),
        ({"action_statement": "This is no longer supported."}, "[, ) end_of_life"),
        ({"action_statement": "It needs fixing. " + "words " * 80 + "decided to not fix it"}, "[, )"),
        ({"action_statement": None}, "[, )"),
        ({"status": "under_investigation"}, "[, ) under_investigation"),
        ({"status": "not_affected"}, "[, )"),
        (
            {
                "status": "under_investigation",
                "products": [{"@id": "pkg:deb/ubuntu/other@1?arch=source&distro=jammy"}],
            },
            "[, )",
        ),
        ({"status": "under_investigation", "vulnerability": None}, "[, )"),
    ],
)
def test_vex_says_what_becomes_of_an_open_flaw(
    more: dict[str, object], expected: str, tmp_path: Path
) -> None:
    items, notes = read(tmp_path, {"a": record(entry())}, {"statements": [statement(**more)]})
    assert ranges(items) == [expected]
    assert (notes.read, notes.spoilt) == (2, 0)


BROKEN = [
    b"",
    b"[]",
    b"{",
    b"\xff",
    b"[" * 100_000,
    record(entry(), id=5),
    record(entry(), upstream="CVE-2099-1000"),
    record({**entry(), "package": []}),  # type: ignore[dict-item]
    record({**entry(), "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "1"}]}]}),  # type: ignore[dict-item]
    record(entry(), id="a b", upstream=[]),
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_record_is_counted_and_the_next_one_is_read(broken: object, tmp_path: Path) -> None:
    items, notes = read(tmp_path, {"a": broken, "b": record(entry())}, b'{"statements": "none"}')
    assert len(items) == 1
    assert (notes.read, notes.spoilt) == (3, 2)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    field=st.sampled_from(["id", "upstream", "severity", "affected", "withdrawn", "references"]),
    value=json_values,
)
def test_any_value_in_any_field_spoils_at_most_its_record(field: str, value: object, tmp_path: Path) -> None:
    items, notes = read(
        tmp_path, {"a": record(entry(), **{field: value})}, {"statements": [statement(), value]}
    )
    assert notes.read == 2
    assert len(items) <= 1


def test_a_record_without_upstream_bears_the_cve_of_its_own_id(tmp_path: Path) -> None:
    items, _ = read(tmp_path, {"a": record(entry(fixed="1.2"), upstream=[])})
    [(advisory, _)] = items
    assert isinstance(advisory, Advisory)
    assert advisory.id == "CVE-2099-1000"
