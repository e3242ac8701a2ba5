"""CSAF documents in the shape of Red Hat's VEX, with invented content."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from support.feeds import write_tar

Pair = tuple[str, str]  # product id, component id

LINUX = {
    "rhel_8": "cpe:/o:redhat:enterprise_linux:8",
    "rhel_9": "cpe:/o:redhat:enterprise_linux:9",
    "BaseOS-9.4.0.Z.MAIN": "cpe:/o:redhat:enterprise_linux:9::baseos",
    "AppStream-9.4.0.Z.MAIN": "cpe:/a:redhat:enterprise_linux:9::appstream",
    "BaseOS-9.2.0.Z.EUS": "cpe:/o:redhat:rhel_eus:9.2::baseos",
    "AppStream-8.10.0.Z.MAIN": "cpe:/a:redhat:enterprise_linux:8::appstream",
}


def vex(
    cve: str,
    components: Mapping[str, str],
    *,
    products: Mapping[str, str] = LINUX,
    severity: str = "Moderate",
    modified: str = "2099-03-01T10:00:00+00:00",
    within: Mapping[str, Pair] | None = None,
    notices: Mapping[str, Iterable[Pair]] | None = None,
    states: Mapping[tuple[str, str], Iterable[Pair]] | None = None,
    impacts: Mapping[str, Iterable[Pair]] | None = None,
    score: float = 5.3,
    status: str = "final",
    title: str = "fixture: a made-up flaw",
    **statuses: Iterable[Pair],
) -> dict[str, object]:
    """A document. ``components`` is id → purl; ``statuses`` (``fixed=…``) name pairs of product and component.

    ``within`` is the id of a further product → the (product, component) that it stands for, as modules
    are written; ``notices`` erratum → pairs, ``states`` (category, details) → pairs, ``impacts`` word → pairs.
    """
    named = {word: [_id(pair) for pair in pairs] for word, pairs in statuses.items()}
    every = [pair for pairs in statuses.values() for pair in pairs]
    relations = [(_id(pair), pair) for pair in dict.fromkeys(every)] + list((within or {}).items())
    used = {product for product, _ in every} | {product for product, _ in (within or {}).values()}
    vendor = {
        "category": "vendor",
        "name": "Red Hat",
        "branches": [
            {
                "category": "product_family",
                "name": "Family",
                "branches": [
                    _branch("product_name", name, cpe=products[name]) for name in sorted(used & set(products))
                ],
            },
            *(_branch("product_version", name, purl=purl) for name, purl in components.items()),
        ],
    }
    remediations = [
        {
            "category": "vendor_fix",
            "details": "Apply the update.",
            "product_ids": [_id(pair) for pair in pairs],
            "url": f"https://access.redhat.com/errata/{notice}",
        }
        for notice, pairs in (notices or {}).items()
    ]
    remediations += [
        {"category": category, "details": details, "product_ids": [_id(pair) for pair in pairs]}
        for (category, details), pairs in (states or {}).items()
    ]
    threats = {severity: [_id(pair) for pair in dict.fromkeys(every)]}
    for word, pairs in (impacts or {}).items():
        apart = {_id(pair) for pair in pairs}
        threats[severity] = [name for name in threats[severity] if name not in apart]
        threats.setdefault(word, []).extend(sorted(apart))
    return {
        "document": {
            "aggregate_severity": {
                "namespace": "https://access.redhat.com/security/updates/classification/",
                "text": severity,
            },
            "category": "csaf_vex",
            "csaf_version": "2.0",
            "publisher": {"category": "vendor", "name": "Nobody", "namespace": "https://example.org"},
            "title": title,
            "tracking": {
                "current_release_date": modified,
                "id": cve,
                "initial_release_date": "2099-01-01T00:00:00+00:00",
                "revision_history": [{"date": modified, "number": "1", "summary": "Made up"}],
                "status": status,
                "version": "1",
            },
        },
        "product_tree": {
            "branches": [vendor],
            "relationships": [
                {
                    "category": "default_component_of",
                    "full_product_name": {"name": f"{pair[1]} in {pair[0]}", "product_id": name},
                    "product_reference": pair[1],
                    "relates_to_product_reference": pair[0],
                }
                for name, pair in relations
            ],
        },
        "vulnerabilities": [
            {
                "cve": cve,
                "cwe": {"id": "CWE-787", "name": "Out-of-bounds Write"},
                "notes": [
                    {"category": "description", "text": "Made up.", "title": "Vulnerability description"}
                ],
                "product_status": named,
                "references": [
                    {
                        "category": "self",
                        "summary": "Canonical URL",
                        "url": f"https://access.redhat.com/security/cve/{cve}",
                    },
                    {"category": "external", "summary": "A page", "url": "https://example.org/flaw"},
                ],
                "release_date": "2099-01-01T00:00:00+00:00",
                "remediations": remediations,
                "scores": [
                    {
                        "cvss_v3": {
                            "baseScore": score,
                            "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L"
                            if score
                            else "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N",
                            "version": "3.1",
                        },
                        "products": [_id(pair) for pair in dict.fromkeys(every)],
                    }
                ],
                "threats": [
                    {"category": "impact", "details": word, "product_ids": names}
                    for word, names in threats.items()
                ]
                if severity
                else [],
                "title": title,
            }
        ],
    }


def archive(path: Path, documents: Iterable[dict[str, object]]) -> Path:
    """An archive of documents, each below its year, as upstream lays them out."""
    members = {}
    for document in documents:
        cve = str(document["document"]["tracking"]["id"]).lower()  # type: ignore[index]
        members[f"{cve.split('-')[1]}/{cve}.json"] = json.dumps(document).encode()
    return write_tar(path, members, "zst")


def _id(pair: Pair) -> str:
    return ":".join(pair)


def _branch(category: str, name: str, **helper: str) -> dict[str, object]:
    product = {"name": name, "product_id": name, "product_identification_helper": helper}
    return {"category": category, "name": name, "product": product}
