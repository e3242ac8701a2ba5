"""What is found once for packages of one source is what would have been found for each of them alone."""

from __future__ import annotations

import random
import sys

import pytest
from matcher_snapshot import MemorySnapshot, affected, index

from redoubt.matcher import match
from redoubt.model import (
    Advisory,
    AffectedRange,
    CveRecord,
    Cvss,
    Distribution,
    Epss,
    Package,
    PackageFindings,
    Severity,
    Status,
)

RHEL = Distribution(id="rhel", version_id="9.4")
BASE, APP = "cpe:/o:redhat:enterprise_linux:9::baseos", "cpe:/a:redhat:enterprise_linux:9::appstream"
PRODUCTS = (BASE, APP, "cpe:/o:redhat:enterprise_linux:9", "cpe:/a:redhat:rhel_eus:9.2::appstream")
FIXES = ("1.2-3.el9", "1.2-4.el9", "1.2-5.el9_2", "1.4-1.el9", "2.0-1.el9_4", "2.1-2.el9")
STATUSES = (Status.AFFECTED, Status.WILL_NOT_FIX, Status.UNDER_INVESTIGATION, Status.NOT_AFFECTED)
NAMES = ("fix", "fix-libs", "fix-tools", "other")


def _ranges(chance: random.Random) -> list[AffectedRange]:
    """What one record says of one name: mostly little, at times several fixes in several products."""
    ranges = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        arch = chance.choice(("", "", "", "x86_64", "src"))
        module = chance.choice(("", "", "", "-", "fix:1"))
        product = chance.choice(PRODUCTS)
        if chance.random() < 0.5:
            state = chance.choice(STATUSES)
            ranges.append(affected("redhat:9", status=state, arch=arch, module=module, repository=product))
        else:
            fix, notice = chance.choice(FIXES), chance.choice(("", "RHSA-2099:0001"))
            lower = chance.choice(("", "", "1.2-4.el9"))
            ranges.append(
                affected(
                    *("redhat:9", lower),
                    fixed=fix,
                    arch=arch,
                    module=module,
                    repository=product,
                    notice=notice,
                )
            )
    return ranges


def _definitions(chance: random.Random) -> MemorySnapshot:
    snapshot = MemorySnapshot()
    for number in range(chance.randrange(2, 14)):
        source = chance.choice(("redhat", "redhat", "redhat", "second"))
        name = chance.choice((f"CVE-2099-{1000 + number % 9}", f"CVE-2099-{1000 + number}", f"RH-{number}"))
        advisory = Advisory(
            id=name,
            source=source,
            severity=chance.choice((Severity.LOW, Severity.HIGH, Severity.UNKNOWN)),
            cvss=chance.choice(((), (Cvss(source, "CVSS:3.1/AV:N", 7.5),))),
            aliases=chance.choice(((), (), (), (), ("CVE-2099-1001",))),
            cves=chance.choice(((), (), (), (), ("CVE-2099-1002", "CVE-2099-1003"))),
            withdrawn=chance.choice(("", "", "", "", "", "2099-01-01T00:00:00Z")),
        )
        if advisory.ref in snapshot.advisories:
            continue
        ranges = _ranges(chance)
        for where in chance.choice((("redhat:9",), ("redhat:9",), ("redhat",), ("redhat", "redhat:9"))):
            for package in chance.sample(NAMES, chance.randrange(1, 4)):
                said = ranges if chance.random() < 0.7 else _ranges(chance)
                snapshot.add(advisory, where, package, *said)
        if chance.random() < 0.5:
            snapshot.scores[name] = Epss(0.1, 0.2)
            snapshot.cves[name] = CveRecord(cvss=(Cvss("nvd", "CVSS:3.1/AV:L", 5.0),))
    snapshot.add(Advisory(id="CVE-2099-1", source="redhat"), "redhat:9", "unrelated", affected("redhat:9"))
    return snapshot


def _packages(chance: random.Random) -> list[Package]:
    packages = {}
    for _ in range(chance.randrange(2, 9)):
        package = Package(
            type="rpm",
            name=chance.choice(NAMES),
            version=chance.choice(FIXES[:5]),
            arch=chance.choice(("x86_64", "i686", "noarch")),
            source_name=chance.choice(("", "fix", "fix", "fix")),
            module=chance.choice(("", "", "fix:1")),
            vendor=chance.choice(("Red Hat, Inc.", "Red Hat, Inc.", "Red Hat, Inc.", "Somebody")),
            repositories=chance.choice(((), (BASE,), (BASE,), (APP, BASE))),
        )
        packages[package.identity] = package
    return list(packages.values())


def _found(snapshot: MemorySnapshot, packages: list[Package]) -> list[PackageFindings]:
    return sorted(match(index(packages, RHEL), snapshot).packages, key=repr)


@pytest.mark.parametrize("seed", range(150))
def test_packages_are_judged_together_as_alone(seed: int) -> None:
    chance = random.Random(seed)
    snapshot, packages = _definitions(chance), _packages(chance)
    alone = [item for package in packages for item in _found(snapshot, [package])]
    assert _found(snapshot, packages) == sorted(alone, key=repr)


@pytest.mark.parametrize("seed", range(150))
def test_the_short_way_leads_where_the_long_one_does(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    snapshot, packages = _definitions(chance), _packages(chance)
    short = _found(snapshot, packages)
    monkeypatch.setattr(sys.modules["redoubt.matcher.match"], "plainly", lambda outcomes, scheme: None)
    assert _found(snapshot, packages) == short


def test_packages_of_one_source_share_their_findings() -> None:
    chance, snapshot = random.Random(1), MemorySnapshot()
    flaw = Advisory(id="CVE-2099-1000", source="redhat")
    for name, product in (("fix", BASE), ("fix-libs", APP)):
        snapshot.add(flaw, "redhat:9", name, affected("redhat:9", fixed="1.4-1.el9", repository=product))
    packages = [
        Package(type="rpm", name=name, version="1.2-3.el9", source_name="fix", repositories=(APP, BASE))
        for name in chance.sample(("fix", "fix-libs"), 2)
    ]
    one, other = _found(snapshot, packages)
    assert one.findings[0] is other.findings[0]
    assert one.upgrade == other.upgrade == "1.4-1.el9"


def test_packages_whose_product_is_not_known_are_counted_one_by_one() -> None:
    snapshot = MemorySnapshot()
    snapshot.add(Advisory(id="CVE-2099-1", source="redhat"), "redhat:9", "fix", affected("redhat:9"))
    packages = [Package(type="rpm", name=name, version="1-1.el9", source_name="fix") for name in NAMES]
    [row] = match(index(packages, RHEL), snapshot).coverage
    assert "4 rpm packages of no named repository" in row.detail
