"""VEX documents, and what they then say of an image."""

from __future__ import annotations

from redoubt.assessments import documents
from redoubt.errors import RedoubtError
from redoubt.matcher.vex import Vex
from redoubt.model import Finding, Image, Location, PackageFindings, Severity, Status
from support.vex import branches, csaf, openvex, product, relation, statement
from targets.interface import Target

_IMAGE = Image(reference="registry.example/shop:1", kind="registry", digest="sha256:" + "1" * 64)
_FLAW = Finding(id="CVE-2099-0001", status=Status.AFFECTED, severity=Severity.HIGH)
_PACKAGE = PackageFindings(
    type="npm",
    name="@shop/cart",
    version="1.4.0",
    purl="pkg:npm/%40shop/cart@1.4.0",
    locations=(Location("srv/a"),),
)


def _vex(data: bytes) -> int:
    try:
        document = documents.read(data, "file")
    except RedoubtError:
        return 0
    Vex([document], _IMAGE).rule(_PACKAGE, _FLAW)
    return len(document.statements)


def _vex_seeds() -> list[bytes]:
    tree = {
        "branches": branches(product("shop", "pkg:oci/shop"), product("cart", "pkg:npm/%40shop/cart")),
        "relationships": [relation("shop:cart", "cart", "shop")],
        "product_groups": [{"group_id": "g", "product_ids": ["shop:cart"]}],
    }
    flaw = {
        "cve": "CVE-2099-0001",
        "product_status": {"known_not_affected": ["shop:cart"], "fixed": ["cart"]},
        "flags": [{"label": "component_not_present", "group_ids": ["g"]}],
        "threats": [{"category": "impact", "details": "x"}],
    }
    whole = {"@id": "pkg:oci/shop?tag=1", "subcomponents": [{"@id": "pkg:npm/%40shop/cart"}]}
    return [
        openvex(
            statement("CVE-2099-0001", whole, "pkg:npm/%40shop/cart", timestamp="2099-01-01T00:00:00+01:00")
        ),
        csaf([flaw], tree),
    ]


TARGETS = {"vex": Target(_vex, _vex_seeds)}
