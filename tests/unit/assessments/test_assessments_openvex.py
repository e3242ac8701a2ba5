"""OpenVEX in: statements with everything that they inherit, in the forms of both versions."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from redoubt.assessments.documents import read
from redoubt.assessments.statements import Product, State
from redoubt.errors import UnreadableInput
from support.vex import TIME, openvex, statement

IMAGE = "pkg:oci/shop@sha256:" + "1" * 64
CART = "pkg:npm/%40shop/cart@1.4.0"


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_statement_is_read_with_all_its_names() -> None:
    document = read(
        openvex(
            {
                "vulnerability": {"@id": "https://flaws.example/1", "name": "CVE-2099-0001", "aliases": ["GHSA-AAAA-BBBB-CCCC"]},
                "products": [
                    {
                        "@id": IMAGE,
                        "identifiers": {"purl": IMAGE, "cpe23": "cpe:2.3:a:x:y:*:*:*:*:*:*:*:*"},
                        "hashes": {"sha-256": "A" * 64, "md5": "0" * 32},
                        "subcomponents": [{"@id": CART}, {"identifiers": {"purl": "pkg:npm/b"}}],
                    }
                ],
                "status": "not_affected",
                "justification": "component_not_present",
                "impact_statement": "It is\n not there.",
            }
        ),
        "a.json",
    )  # fmt: skip
    assert (document.file, document.id, document.version, document.time) == (
        "a.json", "https://vex.example/shop-1", (1,), seconds(TIME),
    )  # fmt: skip
    [found] = document.statements
    assert found.flaws == ("cve-2099-0001", "https://flaws.example/1", "ghsa-aaaa-bbbb-cccc")
    assert found.products == (Product((IMAGE, "sha256:" + "a" * 64), ((CART,), ("pkg:npm/b",))),)
    assert (found.state, found.justification, found.reason) == (
        State.NOT_AFFECTED, "component_not_present", "It is not there.",
    )  # fmt: skip


def test_a_statement_has_its_own_time_or_its_documents() -> None:
    times = [
        item.time
        for item in read(
            openvex(
                statement("CVE-2099-0001", CART),
                statement("CVE-2099-0001", CART, timestamp="2098-01-01T00:00:00+02:00"),
                statement("CVE-2099-0001", CART, timestamp="2098-01-01T00:00:00.647787998Z"),
                statement(
                    "CVE-2099-0001",
                    CART,
                    timestamp="2098-01-01T00:00:00Z",
                    last_updated="2099-01-01T00:00:00Z",
                ),
            ),
            "a.json",
        ).statements
    ]
    assert times == [
        seconds(TIME), seconds("2097-12-31T22:00:00Z"), seconds("2098-01-01T00:00:00.647787Z"), seconds("2099-01-01T00:00:00Z"),
    ]  # fmt: skip


def test_documents_of_the_first_version_name_flaws_and_products_by_text() -> None:
    old = {"vulnerability": "CVE-2099-0001", "products": [IMAGE], "subcomponents": [CART], "status": "fixed"}
    document = read(openvex(old, **{"@context": "https://openvex.dev/ns", "version": "3"}), "a.json")
    [found] = document.statements
    assert (found.flaws, found.products, document.version) == (
        ("cve-2099-0001",),
        (Product((IMAGE,), ((CART,),)),),
        (3,),
    )


def test_what_names_no_product_that_can_be_compared_is_counted() -> None:
    cpe = {"identifiers": {"cpe23": "cpe:2.3:a:x:y:*:*:*:*:*:*:*:*"}}
    document = read(
        openvex(
            {"vulnerability": {"name": "CVE-2099-0001"}, "status": "fixed"},
            statement("CVE-2099-0001", cpe),
            statement("CVE-2099-0001", {"@id": IMAGE, "subcomponents": [cpe]}),
            statement(" ", CART),
            statement("CVE-2099-0001", cpe, CART),
        ),
        "a.json",
    )
    assert [item.products for item in document.statements] == [(Product((CART,)),)]
    assert document.unaddressed == 4


def test_an_attestations_subjects_are_the_products_of_statements_without_any() -> None:
    predicate = json.loads(
        openvex(
            {"vulnerability": {"name": "CVE-2099-0001"}, "status": "fixed"}, statement("CVE-2099-0002", CART)
        )
    )
    attested = {
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "https://openvex.dev/ns/v0.2.0",
        "subject": [{"name": "registry.example/shop", "digest": {"sha256": "1" * 64}}],
        "predicate": predicate,
    }
    first, second = read(json.dumps(attested).encode(), "a.json").statements
    assert first.products == (Product(("registry.example/shop", "sha256:" + "1" * 64)),)
    assert second.products == (Product((CART,)),)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (openvex(timestamp=None), "no timestamp"),
        (openvex(timestamp="yesterday"), "'yesterday' is not a time"),
        (openvex(timestamp="0001-01-01T00:00:00+23:59"), ""),
        (openvex(**{"@context": "https://openvex.dev/ns/v1.0.0"}), "not a version of OpenVEX"),
        (openvex(**{"@context": "https://openvex.dev/nsfw"}), "not a version of OpenVEX"),
        (openvex(statement("CVE-2099-0001", CART, status="harmless")), "Invalid enum value 'harmless'"),
        (openvex(statements={"a": 1}), "Expected `array`"),
        (openvex(statement("CVE-2099-0001", 7)), "Expected"),
        (openvex({"vulnerability": {"name": "CVE-2099-0001"}}), "missing required field `status`"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(data: bytes, said: str) -> None:
    if not said:
        assert read(data, "a.json").time < 0
        return
    with pytest.raises(UnreadableInput) as refused:
        read(data, "a.json")
    assert str(refused.value).startswith("a.json: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
