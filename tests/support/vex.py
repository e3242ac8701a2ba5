"""VEX documents of our own, in the shapes that people publish, with invented content."""

from __future__ import annotations

import json
from typing import Any

TIME = "2099-01-02T03:04:05Z"


def openvex(*statements: dict[str, Any], **fields: Any) -> bytes:
    """An OpenVEX document; ``fields`` replace or add members, None removes one."""
    document: dict[str, Any] = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://vex.example/shop-1",
        "author": "Example",
        "timestamp": TIME,
        "version": 1,
        "statements": list(statements),
    }
    document.update(fields)
    return json.dumps({key: value for key, value in document.items() if value is not None}).encode()


def statement(flaw: str, *products: Any, status: str = "not_affected", **fields: Any) -> dict[str, Any]:
    """A statement about products, each a purl or an object."""
    listed = [{"@id": item} if isinstance(item, str) else item for item in products]
    return {"vulnerability": {"name": flaw}, "products": listed, "status": status, **fields}


def csaf(vulnerabilities: list[dict[str, Any]], tree: dict[str, Any], **tracking: Any) -> bytes:
    """A CSAF document of the profile VEX."""
    header = {"id": "EX-2099-1", "version": "1", "status": "final", "current_release_date": TIME, **tracking}
    return json.dumps(
        {
            "document": {"category": "csaf_vex", "csaf_version": "2.0", "title": "shop", "tracking": header},
            "product_tree": tree,
            "vulnerabilities": vulnerabilities,
        }
    ).encode()


def product(identifier: str, purl: str = "", **helper: Any) -> dict[str, Any]:
    """A product of a CSAF tree."""
    known = {**({"purl": purl} if purl else {}), **helper}
    return {
        "name": identifier,
        "product_id": identifier,
        **({"product_identification_helper": known} if known else {}),
    }


def relation(identifier: str, component: str, whole: str) -> dict[str, Any]:
    """A component of a product, as a product of its own."""
    return {
        "category": "default_component_of",
        "full_product_name": {"name": identifier, "product_id": identifier},
        "product_reference": component,
        "relates_to_product_reference": whole,
    }


def branches(*products: dict[str, Any]) -> list[dict[str, Any]]:
    """A vendor's products, three levels down, as tools write them."""
    leaves = [{"category": "product_version", "name": item["name"], "product": item} for item in products]
    return [
        {
            "category": "vendor",
            "name": "Example",
            "branches": [{"category": "product_name", "name": "shop", "branches": leaves}],
        }
    ]
