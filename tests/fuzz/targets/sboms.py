"""SBOMs as targets: whatever is read of one is clean, and is the same when it is written and read again."""

from __future__ import annotations

import base64
import json

import msgspec

from redoubt.errors import UnreadableInput
from redoubt.indexer import sbom
from redoubt.indexer.catalogers.interface import Catalog
from support.sboms import check_nothing_is_lost
from targets.interface import Target, check

_PURLS = (
    "pkg:deb/debian/a@1:2?arch=amd64&distro=debian-12&upstream=b%401",
    "pkg:rpm/redhat/a@1-2?epoch=1&distro=rhel-9.1&upstream=b-1-2.src.rpm&rpmmod=c:1:2",
    "pkg:npm/%40a/b@1",
    "pkg:oci/a@sha256:1?repository_url=b/a&tag=1",
)
_CYCLONEDX = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {"component": {"type": "container", "name": "a", "version": "sha256:" + "0" * 64}},
    "components": [
        {"type": "operating-system", "name": "debian", "version": "12"},
        *(
            {
                "type": "library",
                "name": "a",
                "group": "b",
                "purl": purl,
                "publisher": "A <a@b>",
                "evidence": {"occurrences": [{"location": "x"}]},
                "properties": [
                    {"name": "syft:location:0:path", "value": "/a"},
                    {"name": "aquasecurity:trivy:SrcName", "value": "b"},
                ],
                "components": [{"name": "c"}],
            }
            for purl in _PURLS
        ),
    ],
}
_SPDX = {
    "spdxVersion": "SPDX-2.3",
    "documentDescribes": ["SPDXRef-1"],
    "packages": [
        {
            "SPDXID": f"SPDXRef-{number}",
            "name": "a",
            "versionInfo": "1",
            "sourceInfo": "built package from: b 1",
            "originator": "Person: A (a@b)",
            "externalRefs": [{"referenceType": "purl", "referenceLocator": purl}],
            "annotations": [{"annotator": "Tool: trivy-1", "comment": "FilePath: a"}],
        }
        for number, purl in enumerate(_PURLS)
    ],
    "relationships": [
        {
            "spdxElementId": "SPDXRef-DOCUMENT",
            "relationshipType": "DESCRIBES",
            "relatedSpdxElement": "SPDXRef-2",
        }
    ],
}
_OURS = (
    {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {
            "properties": [
                {"name": "redoubt:schema", "value": "1.0"},
                {"name": "redoubt:layer", "value": '{"diff_id":"sha256:1"}'},
                {"name": "redoubt:problem", "value": '{"kind":"damaged","message":"a"}'},
                {"name": "redoubt:catalogers", "value": '{"a":1}'},
            ]
        },
        "components": [
            {
                "purl": "pkg:pypi/a@1",
                "name": "A",
                "properties": [
                    {"name": "redoubt:vendor", "value": "v"},
                    {"name": "redoubt:repository", "value": "r"},
                ],
                "evidence": {"occurrences": [{"location": "x", "additionalContext": "sha256:1 of deb/a"}]},
            }
        ],
    },
    {
        "spdxVersion": "SPDX-2.3",
        "creationInfo": {"creators": ["Tool: redoubt-1"]},
        "annotations": [{"comment": 'redoubt:{"image":{"reference":"a","kind":"dir"},"catalogers":{"a":1}}'}],
        "packages": [
            {
                "name": "a",
                "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:npm/a@1"}],
                "annotations": [{"comment": 'redoubt:{"vendor":"v","locations":[["a","",""]]}'}],
            }
        ],
    },
)
_TAGS = b"""SPDXVersion: SPDX-2.3
PackageName: a
SPDXID: SPDXRef-1
PackageComment: <text>b
c</text>
ExternalRef: PACKAGE-MANAGER purl pkg:npm/a@1
Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-1
"""


def _run(data: bytes) -> int:
    try:
        told = sbom.read(data)
    except UnreadableInput:
        return 0
    for package in told.report.packages:  # one without a version is listed, whatever its type
        check(Catalog((msgspec.structs.replace(package, version=package.version or "1"),)))
    check_nothing_is_lost(told.report)
    return check(Catalog((), told.problems, told.report.distribution)) + len(told.report.packages)


def _seeds() -> list[bytes]:
    documents = [json.dumps(one).encode() for one in (_CYCLONEDX, _SPDX, *_OURS)]
    payload = base64.b64encode(documents[0]).decode()
    return [*documents, _TAGS, json.dumps({"payload": payload}).encode(), b'{"sbom":' + documents[1] + b"}"]


TARGETS: dict[str, Target] = {"sbom": Target(_run, _seeds)}
