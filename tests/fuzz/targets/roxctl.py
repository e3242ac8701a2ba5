"""What roxctl reads: Central's answers, and the zips of kernel support packages."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

from redoubt import formats
from redoubt.cli.roxctl import asking, checkforms, checks, printing, probes, reports, results
from redoubt.errors import RedoubtError
from redoubt.formats.text import printable
from targets.interface import Target

_PRINTER = printing.Printer(
    headers=(),
    required_headers=(),
    row_jsonpath_expressions=None,
    merge_output=True,
    no_header=False,
    headers_as_comments=False,
    compact_output=False,
)
_IMAGE = {
    "id": "sha256:" + "0f" * 32,
    "metadata": {"v1": {"layers": [{"instruction": "RUN", "value": "pip"}]}},
    "scan": {
        "notes": ["OS_UNAVAILABLE", "ODD"],
        "components": [
            {
                "name": "shop",
                "version": "1",
                "source": "PYTHON",
                "layerIndex": 0,
                "vulns": [
                    {
                        "cve": "CVE-2099-0001",
                        "severity": "LOW_VULNERABILITY_SEVERITY",
                        "cvss": 9.8,
                        "link": "https://flaws.example/1",
                        "advisory": {"name": "SHOP-1", "link": "https://shop.example"},
                    }
                ],
            }
        ],
    },
}


def _scan(data: bytes) -> int:
    try:
        image = results.decode(data, "central")
    except RedoubtError:
        return 0
    every = set(results.SEVERITIES)
    result = results.summarise(image.scan, every)
    table = printing.table(result, _PRINTER, color=False)
    assert table.count("\n") == 1 + len(result.vulnerabilities)
    assert all(printable(line) == line for line in table.split("\n"))
    rows = list(csv.reader(io.StringIO(printing.comma_separated(result, _PRINTER), newline="")))
    assert {len(row) for row in rows} == {len(printing.HEADERS)}
    json.loads(printing.json(result, _PRINTER))
    printing.legacy_csv(image, every)
    json.loads(formats.render(reports.of(image, every, "x"), "sarif"))
    return 1 + len(result.vulnerabilities)


_FORM = checkforms.Form(
    headers=(),
    required_headers=(),
    row_jsonpath_expressions=None,
    no_header=False,
    headers_as_comments=False,
    compact_output=False,
    junit_suite_name="image-check",
)
_ALERT = {
    "policy": {
        "id": "1",
        "name": "Latest tag",
        "severity": "LOW_SEVERITY",
        "description": "x",
        "enforcementActions": ["FAIL_BUILD_ENFORCEMENT"],
    },
    "image": {"id": "sha256:1", "name": {"fullName": "registry.example/shop:1"}},
    "violations": [{"message": "Image Tag: latest"}],
}


def _check(data: bytes) -> int:
    try:
        answer = checks.decode(data, "central")
    except RedoubtError:
        return 0
    outcome = checks.summarise(answer, "registry.example/shop:1")
    for columns in (0, 80):
        table = checkforms.table(outcome, _FORM, columns)
        assert all(printable(line) == line for line in table.split("\n"))
    rows = list(csv.reader(io.StringIO(checkforms.comma_separated(outcome, _FORM), newline="")))
    assert {len(row) for row in rows} == {len(checkforms.HEADERS)}
    ElementTree.fromstring(checkforms.junit(outcome, _FORM))
    json.loads(checkforms.written(outcome, answer, "json", _FORM, "x", 0))
    json.loads(checkforms.written(outcome, answer, "sarif", _FORM, "x", 0))
    return 1 + len(outcome.violated) + len(checks.open_questions(answer))


def _check_seeds() -> list[bytes]:
    question = {"policyName": "Signed", "criteria": ["Image Signature Verified By"]}
    return [json.dumps({"alerts": [_ALERT], "unanswered": [question]}).encode(), b'{"alerts": []}']


def _export(data: bytes) -> int:
    try:
        return sum(
            line.count(b"\n") == 0
            for line in asking._lines(iter([data[: len(data) // 2], data[len(data) // 2 :]]), "central")
        )
    except RedoubtError:
        return 0


def _package(data: bytes) -> int:
    try:
        package = probes._opened(io.BytesIO(data), "package.zip")
    except RedoubtError:
        return 0
    found, _ = probes._probes(package)
    entries = [entry for entry in found.values() if entry.file_size < 1 << 20]
    head = probes.manifest([(name, entry.file_size, entry.CRC) for name, entry in found.items()])
    try:
        for _ in probes._body(head, package, entries, 0, lambda *_: None, Path("package.zip")):
            pass
    except RedoubtError:
        pass
    return len(found)


def _package_seeds() -> list[bytes]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("kernel-modules/2.9.0/collector-5.4.0-1.ko.gz", b"module " * 50)
        archive.writestr("kernel-modules/2.9.0/collector-ebpf-5.4.0-2.o.gz", b"ebpf")
        archive.writestr("kernel-modules/2.9.0/LICENSE", b"GPL")
        archive.writestr("kernel-modules/2.9.0/odd", b"")
    return [out.getvalue()]


TARGETS = {
    "roxctl:check": Target(_check, _check_seeds),
    "roxctl:scan": Target(_scan, lambda: [json.dumps(_IMAGE).encode()]),
    "roxctl:export": Target(
        _export, lambda: [b'{"result": {"image": {"id": "1"}}}\n{"image": {"id": "2"}}\n\n{"image": {}}']
    ),
    "roxctl:support-package": Target(_package, _package_seeds),
}
