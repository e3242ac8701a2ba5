"""CSAF in: which product is in which state, and why, through branches, relationships and groups."""

from __future__ import annotations

import json
from typing import Any

import pytest

from redoubt.assessments.documents import read
from redoubt.assessments.statements import Product, State, Statement
from redoubt.errors import UnreadableInput
from support.vex import branches, csaf, product, relation

IMAGE = "pkg:oci/shop?repository_url=registry.example/shop"
CART = "pkg:npm/%40shop/cart@1.4.0"
TREE: dict[str, Any] = {
    "branches": branches(product("shop", IMAGE), product("cart", CART), product("os", cpe="cpe:/o:example:os:9")),
    "full_product_names": [product("hashed", hashes=[{"filename": "a", "file_hashes": [{"algorithm": "sha256", "value": "A" * 64}]}])],
    "relationships": [
        relation("shop:cart", "cart", "shop"),
        relation("os:cart", "cart", "os"),
        relation("os:shop", "shop", "os"),
        relation("os:shop:cart", "cart", "os:shop"),
        relation("circle", "circle", "circle"),
        relation("round", "cart", "about"),
        relation("about", "shop", "round"),
        relation("twice", "cart", "shop"),
        relation("twice", "cart", "os"),
    ],
    "product_groups": [{"group_id": "all", "product_ids": ["shop", "cart"]}],
}  # fmt: skip


def statements(**flaw: Any) -> list[Statement]:
    return list(read(csaf([{"cve": "CVE-2099-0001", **flaw}], TREE), "a.json").statements)


@pytest.mark.parametrize(
    ("identifier", "known"),
    [
        ("shop", Product((IMAGE,))),
        ("cart", Product((CART,))),
        ("hashed", Product(("sha256:" + "a" * 64,))),
        ("shop:cart", Product((IMAGE,), ((CART,),))),
        ("os:shop:cart", Product((IMAGE,), ((CART,),))),
        ("os", None),
        ("os:cart", None),
        ("os:shop", None),
        ("circle", None),
        ("round", Product((IMAGE,), ((CART,),))),
        ("twice", None),
        ("nothing", None),
    ],
)
def test_a_product_id_stands_for_what_can_be_compared(identifier: str, known: Product | None) -> None:
    document = read(
        csaf([{"cve": "CVE-2099-0001", "product_status": {"fixed": [identifier]}}], TREE), "a.json"
    )
    found = [item.products for item in document.statements]
    assert found == ([(known,)] if known else [])
    assert document.unaddressed == (known is None)


def test_states_are_vexs_the_cautious_last() -> None:
    said = {
        "known_affected": ["shop"],
        "known_not_affected": ["shop"],
        "first_fixed": ["shop"],
        "under_investigation": ["shop"],
        "recommended": ["shop"],
    }
    assert [item.state for item in statements(product_status=said)] == [
        State.NOT_AFFECTED, State.FIXED, State.UNDER_INVESTIGATION, State.AFFECTED,
    ]  # fmt: skip


def test_flags_and_impacts_are_of_products_groups_or_all() -> None:
    found = statements(
        product_status={"known_not_affected": ["shop", "cart", "hashed"]},
        flags=[
            {"label": "component_not_present", "product_ids": ["shop"]},
            {"label": "vulnerable_code_not_present", "group_ids": ["all", "unknown"]},
        ],
        threats=[
            {"category": "impact", "details": "None at all.", "product_ids": ["cart"]},
            {"category": "exploit_status", "details": "none"},
            {"category": "impact", "details": "Nobody calls it."},
        ],
    )
    assert {(item.products[0].names[0], item.justification, item.reason) for item in found} == {
        (IMAGE, "component_not_present", "Nobody calls it."),
        (CART, "vulnerable_code_not_present", "None at all."),
        ("sha256:" + "a" * 64, "", "Nobody calls it."),
    }


def test_a_flaw_goes_by_its_cve_and_its_ids() -> None:
    [found] = statements(ids=[{"system_name": "Example", "text": "EX-7"}], product_status={"fixed": ["shop"]})
    assert found.flaws == ("cve-2099-0001", "ex-7")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"csaf_version": "1.2"}, "CSAF '1.2' is not read"),
        ({"tracking": {"id": "a", "current_release_date": "soon"}}, "'soon' is not a time"),
        ({"tracking": {"id": "a"}}, "missing required field `current_release_date`"),
        ({"tracking": []}, "Expected `object`"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(change: dict[str, Any], said: str) -> None:
    document = json.loads(csaf([], TREE))
    document["document"].update(change)
    with pytest.raises(UnreadableInput) as refused:
        read(json.dumps(document).encode(), "a.json")
    assert said in str(refused.value)


def test_a_tree_of_any_depth_is_read_or_refused() -> None:
    branch: dict[str, Any] = {"product": product("deep", CART)}
    for _ in range(300):
        branch = {"category": "x", "name": "y", "branches": [branch]}
    flaw = [{"cve": "CVE-2099-0001", "product_status": {"fixed": ["deep"]}}]
    assert len(read(csaf(flaw, {"branches": [branch]}), "a.json").statements) == 1
    tree = b'{"branches":[' * 200_000 + b"{}" + b"]}" * 200_000
    whole = csaf([], {}).replace(b'"product_tree": {}', b'"product_tree": ' + tree)
    with pytest.raises(UnreadableInput, match="nested too deeply"):
        read(whole, "a.json")
