"""VEX documents of any form: told apart, replaced by newer versions, and never a crash."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.assessments import statements
from redoubt.assessments.documents import newest, read
from redoubt.errors import LimitExceeded, RedoubtError, UnreadableInput
from support.vex import branches, csaf, openvex, product, relation, statement

OPENVEX = openvex(
    statement("CVE-2099-0001", "pkg:npm/a@1", impact_statement="x"), statement("CVE-2099-0002", "pkg:npm/b")
)
CSAF = csaf(
    [
        {
            "cve": "CVE-2099-0001",
            "product_status": {"fixed": ["a:b"]},
            "flags": [{"label": "x", "group_ids": ["g"]}],
        }
    ],
    {
        "branches": branches(product("a", "pkg:oci/a"), product("b", "pkg:npm/b")),
        "relationships": [relation("a:b", "b", "a")],
        "product_groups": [{"group_id": "g", "product_ids": ["a:b"]}],
    },
)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"bomFormat": "CycloneDX"}', "a CycloneDX document; its VEX is not read"),
        (b'{"payloadType": "application/vnd.in-toto+json"}', "a signed envelope"),
        (b'{"spdxVersion": "SPDX-2.3"}', "neither OpenVEX nor CSAF"),
        (b"[]", "not a VEX document"),
        (b"", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[" * 100_000, ""),
    ],
)
def test_what_is_no_vex_document_is_said_to_be_what_it_is(data: bytes, said: str) -> None:
    with pytest.raises(UnreadableInput) as refused:
        read(data, "a.json")
    assert str(refused.value).startswith("a.json: ")
    assert said in str(refused.value)


def test_a_mark_of_byte_order_is_passed_over() -> None:
    assert read(b"\xef\xbb\xbf" + OPENVEX, "a.json") == read(OPENVEX, "a.json")


def test_documents_larger_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LimitExceeded, match="larger than 64 MiB"):
        read(b" " * (statements.MAX_BYTES + 1), "a.json")
    monkeypatch.setattr(statements, "_MAX_PAIRS", 5)
    many = statement("CVE-2099-0001", *(f"pkg:npm/{number}" for number in range(6)))
    with pytest.raises(LimitExceeded, match="pairs of a flaw and a product"):
        read(openvex(many), "a.json")


@pytest.mark.parametrize("data", [OPENVEX, CSAF], ids=["openvex", "csaf"])
def test_a_document_cut_short_anywhere_is_refused(data: bytes) -> None:
    for length in range(len(data)):
        with pytest.raises(UnreadableInput):
            read(data[:length], "a.json")


@given(st.sampled_from([OPENVEX, CSAF]), st.data())
def test_a_document_with_any_value_of_another_type_is_read_or_refused(
    data: bytes, draw: st.DataObject
) -> None:
    document = json.loads(data)
    places = list(_places(document))
    holder, key = draw.draw(st.sampled_from(places))
    holder[key] = draw.draw(st.sampled_from([None, 7, "text", [], {}, [None], ["x"], {"@id": 1}, True]))
    with suppress(RedoubtError):  # any other exception fails
        assert read(json.dumps(document).encode(), "a.json").file == "a.json"


def _places(value: object) -> list[tuple[object, object]]:
    if isinstance(value, dict):
        return [(value, key) for key in value] + [place for item in value.values() for place in _places(item)]
    if isinstance(value, list):
        return [(value, key) for key in range(len(value))] + [
            place for item in value for place in _places(item)
        ]
    return []


def test_a_newer_version_of_a_document_replaces_it_whatever_the_order() -> None:
    old = read(openvex(version=2), "old.json")
    new = read(openvex(version=10), "new.json")
    other = read(openvex(version=1, **{"@id": "https://vex.example/other"}), "other.json")
    unnamed = read(openvex(**{"@id": None}), "unnamed.json")
    for order in ([old, new, other, unnamed, unnamed], [new, other, old, unnamed, unnamed]):
        kept, replaced = newest(order)
        assert {item.file for item in kept} == {"new.json", "other.json", "unnamed.json"}
        assert len(kept) == 4
        assert [item.file for item in replaced] == ["old.json"]


@pytest.mark.timeout(60)
def test_many_statements_take_time_in_proportion() -> None:
    pieces = [
        b'{"vulnerability":{"name":"CVE-2099-%d"},"products":[{"@id":"pkg:npm/a%d@1"}],"status":"fixed"}' % (number, number)
        for number in range(50_000)
    ]  # fmt: skip
    data = openvex().replace(b'"statements": []', b'"statements": [' + b",".join(pieces) + b"]")
    assert len(read(data, "a.json").statements) == 50_000
