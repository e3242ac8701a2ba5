"""From the files of several sources to findings: what they say together."""

from __future__ import annotations

import json
from pathlib import Path

from matcher_snapshot import index

from redoubt.definitions import snapshot
from redoubt.definitions.build import build
from redoubt.definitions.mirror import Mirror
from redoubt.matcher import match
from redoubt.model import Distribution, Finding, Package
from support.feeds import write_zip


def found(folder: Path, package: Package, system: Distribution | None = None) -> list[Finding]:
    """The findings of a package by definitions built from a mirror folder."""
    with build(Mirror(folder)) as built:
        snapshot.create(folder / "snapshot", built.records())
    with snapshot.Snapshot.open(folder / "snapshot") as definitions:
        report = match(index([package], system), definitions)
    return [item for one in report.packages for item in one.findings]


def test_an_advisory_that_comes_from_two_sources_is_one_finding(tmp_path: Path) -> None:
    record = {
        "id": "GHSA-fix1-ture-0001",
        "aliases": ["CVE-2099-0001"],
        "modified": "2099-01-01T00:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": "npm", "name": "fixture"},
                "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.0.0"}]}],
            }
        ],
    }
    data = json.dumps(record).encode()
    write_zip(tmp_path / "osv" / "npm" / "all.zip", {"GHSA-fix1-ture-0001.json": data})
    place = "advisory-database-main/advisories/github-reviewed/2099/01/GHSA-fix1-ture-0001.json"
    write_zip(tmp_path / "github" / "advisory-database.zip", {place: data})
    [finding] = found(tmp_path, Package(type="npm", name="fixture", version="0.9.0"))
    assert (finding.id, finding.fixed_version) == ("CVE-2099-0001", "1.0.0")
    refs = [reference.ref for reference in finding.advisories]
    assert refs == ["github/GHSA-fix1-ture-0001", "osv-npm/GHSA-fix1-ture-0001"]
