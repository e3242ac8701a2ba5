"""From the files of several sources to findings: what they say together."""

from __future__ import annotations

import json
from pathlib import Path

from matcher_snapshot import index

from redoubt.definitions import snapshot
from redoubt.definitions.build import build
from redoubt.definitions.mirror import Mirror
from redoubt.matcher import match, only_fixed
from redoubt.model import Distribution, Finding, Package, Status, VulnerabilityReport
from support.feeds import fixture_mirror, write_zip

JAMMY = Distribution(id="ubuntu", version_id="22.04", codename="jammy")
BIONIC = Distribution(id="ubuntu", version_id="18.04", codename="bionic")


def deb(name: str, version: str) -> Package:
    """A binary package that is called otherwise than its source: a kernel, where that is the kernel's."""
    return Package(type="deb", name=f"linux-image-{name}", version=version, source_name=name)


def judged(folder: Path, package: Package, system: Distribution | None = None) -> VulnerabilityReport:
    """The report about one package by definitions built from a mirror folder."""
    if not (folder / "snapshot").exists():
        with build(Mirror(folder)) as built:
            snapshot.create(folder / "snapshot", built.records())
    with snapshot.Snapshot.open(folder / "snapshot") as definitions:
        return match(index([package], system), definitions)


def found(folder: Path, package: Package, system: Distribution | None = None) -> list[Finding]:
    """The findings of that report."""
    return [item for one in judged(folder, package, system).packages for item in one.findings]


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


def test_a_fix_for_subscribers_is_told_apart_and_is_no_plain_fix(tmp_path: Path) -> None:
    fixture_mirror(tmp_path, ["ubuntu"])
    report = judged(tmp_path, deb("fixture-apps", "2.0-1"), JAMMY)
    [package] = report.packages
    [finding] = package.findings
    assert (finding.id, finding.status) == ("CVE-2099-3002", Status.AFFECTED)
    assert (finding.fixed_version, finding.fix_channel, finding.fixable) == (
        "2.0-1ubuntu0.1~esm1",
        "esm",
        False,
    )
    assert (package.upgrade, package.unfixed) == ("", 1)
    fixed = only_fixed(report)
    assert (fixed.packages, fixed.left_out) == ((), 1)
    assert found(tmp_path, deb("fixture-apps", "2.0-1ubuntu0.1~esm1"), JAMMY) == []


def test_ubuntus_own_fix_stands_before_pros_and_its_notice_carries_it(tmp_path: Path) -> None:
    fixture_mirror(tmp_path, ["ubuntu"])
    report = judged(tmp_path, deb("fixture", "1.2-3ubuntu1"), JAMMY)
    [package] = report.packages
    said = {
        item.id: (item.status, item.fixed_version, item.fix_channel, item.fixing_advisory)
        for item in package.findings
    }
    assert said == {
        "CVE-2099-3001": (Status.AFFECTED, "1.2-3ubuntu1.1", "", "USN-9001-1"),
        "CVE-2099-3006": (Status.AFFECTED, "1.2-3ubuntu1.1", "", "USN-9001-1"),
        "CVE-2099-3003": (Status.WILL_NOT_FIX, "", "", ""),
    }
    assert package.upgrade == "1.2-3ubuntu1.1"
    assert len(only_fixed(report).packages[0].findings) == 2


def test_a_notice_from_pro_has_pros_channel(tmp_path: Path) -> None:
    fixture_mirror(tmp_path, ["ubuntu"])
    [finding] = found(tmp_path, deb("fixture", "1.0-1ubuntu1"), BIONIC)
    assert (finding.id, finding.fixing_advisory, finding.fix_channel) == (
        "CVE-2099-3001",
        "USN-9002-1",
        "esm",
    )


def test_kernel_flavours_are_packages_of_their_own_and_triage_is_no_verdict(tmp_path: Path) -> None:
    fixture_mirror(tmp_path, ["ubuntu"])
    [finding] = found(tmp_path, deb("linux", "5.15.0-1"), JAMMY)
    assert finding.status is Status.AFFECTED
    [finding] = found(tmp_path, deb("linux-fixture", "6.8.0-1"), JAMMY)
    assert finding.status is Status.UNDER_INVESTIGATION
    assert found(tmp_path, deb("linux-aws", "5.15.0-1"), JAMMY) == []
