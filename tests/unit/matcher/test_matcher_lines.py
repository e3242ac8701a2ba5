"""Builds of one minor release, and of a subscription, are compared with fixes of their own kind where there are some."""

from __future__ import annotations

import pytest
from matcher_judged import deb
from matcher_snapshot import MemorySnapshot, affected, index

from redoubt.matcher import match
from redoubt.matcher.explain import Verdict, explain
from redoubt.matcher.judge import Bearing
from redoubt.model import Advisory, AffectedRange, Distribution, Package, PackageFindings

SYSTEMS = {
    "almalinux:9": Distribution(id="almalinux", version_id="9.7"),
    "rocky:9": Distribution(id="rocky", version_id="9.7"),
    "oracle:9": Distribution(id="ol", version_id="9.7"),
    "amazon:2023": Distribution(id="amzn", version_id="2023"),
}
JAMMY = Distribution(id="ubuntu", version_id="22.04")
NAME = "almalinux:9"


def notices(namespace: str, *said: tuple[str, ...], **more: str) -> MemorySnapshot:
    """Notices, in order: the version that repairs, and the flaws (``1`` is CVE-2099-0001)."""
    snapshot = MemorySnapshot()
    for number, (fixed, *flaws) in enumerate(said):
        advisory = Advisory(
            id=f"N-2099:{number}", source="errata", cves=tuple(f"CVE-2099-000{flaw}" for flaw in flaws)
        )
        snapshot.add(advisory, namespace, "kernel", affected(namespace, fixed=fixed, **more))
    return snapshot


def package(version: str, **more: str) -> Package:
    return Package(type="rpm", name="kernel", version=version, arch="x86_64", **more)


def found(
    snapshot: MemorySnapshot, installed: Package, system: Distribution = SYSTEMS[NAME]
) -> PackageFindings | None:
    return next(iter(match(index([installed], system), snapshot).packages), None)


def told(snapshot: MemorySnapshot, installed: Package, system: Distribution = SYSTEMS[NAME]) -> list[str]:
    one = found(snapshot, installed, system)
    return [f"{item.id[-1]} < {item.fixed_version}" for item in one.findings] if one else []


@pytest.mark.parametrize("namespace", ["almalinux:9", "rocky:9", "oracle:9"])
def test_a_build_that_has_its_own_minor_releases_fix_is_repaired(namespace: str) -> None:
    snapshot = notices(namespace, ("5-611.54.1.el9_7", "1"), ("5-687.10.1.el9_8", "1"))
    system = SYSTEMS[namespace]
    assert told(snapshot, package("5-611.54.1.el9_7"), system) == []
    assert told(snapshot, package("5-611.55.1.el9_7"), system) == []
    assert told(snapshot, package("5-687.10.1.el9_8"), system) == []


def test_a_build_below_its_own_minor_releases_fix_is_told_that_one() -> None:
    snapshot = notices(NAME, ("5-611.54.1.el9_7", "1"), ("5-687.10.1.el9_8", "1"))
    one = found(snapshot, package("5-611.49.1.el9_7"))
    assert one is not None
    assert (one.findings[0].fixed_version, one.upgrade) == ("5-611.54.1.el9_7", "5-611.54.1.el9_7")
    assert told(snapshot, package("5-687.5.1.el9_8")) == ["1 < 5-687.10.1.el9_8"]


@pytest.mark.parametrize("version", ["5-611.54.1.el9", "5-611.54.1.el9_6", "5-611.54.1"])
def test_a_build_of_no_minor_release_or_of_one_without_a_fix_needs_all_of_them(version: str) -> None:
    snapshot = notices(NAME, ("5-611.54.1.el9_7", "1"), ("5-687.10.1.el9_8", "1"))
    assert told(snapshot, package(version)) == ["1 < 5-687.10.1.el9_8"]


def test_a_build_is_never_spared_a_flaw_that_only_another_minor_releases_notice_names() -> None:
    snapshot = notices(NAME, ("5-611.54.1.el9_7", "1"), ("5-687.10.1.el9_8", "1", "2"))
    one = found(snapshot, package("5-611.54.1.el9_7"))
    assert one is not None
    assert [item.id for item in one.findings] == ["CVE-2099-0002"]
    assert one.upgrade == "5-687.10.1.el9_8"


def test_two_fixes_of_one_minor_release_both_have_to_be_there() -> None:
    snapshot = notices(NAME, ("5-2.el9_7", "1"), ("5-4.el9_7", "1"), ("6-1.el9_8", "1"))
    assert told(snapshot, package("5-3.el9_7")) == ["1 < 5-4.el9_7"]
    assert told(snapshot, package("5-4.el9_7")) == []


def test_an_upgrade_into_another_minor_release_is_compared_with_its_fixes_again() -> None:
    snapshot = notices(NAME, ("5-611.54.1.el9_7", "1"), ("5-687.10.1.el9_8", "1"), ("5-687.5.1.el9_8", "2"))
    one = found(snapshot, package("5-611.54.1.el9_7"))
    assert one is not None
    assert [(item.id, item.fixed_version) for item in one.findings] == [("CVE-2099-0002", "5-687.5.1.el9_8")]
    assert one.upgrade == "5-687.10.1.el9_8", "CVE-2099-0001 would come back with what repairs the other"


def test_a_withdrawn_notice_spares_nothing_and_neither_does_one_for_other_architectures() -> None:
    snapshot = notices(NAME, ("5-611.54.1.el9_7", "1"), ("5-687.10.1.el9_8", "1"))
    gone = Advisory(id="N-2099:0", source="errata", cves=("CVE-2099-0001",), withdrawn="2099-01-01T00:00:00Z")
    snapshot.advisories[gone.ref] = gone
    assert told(snapshot, package("5-611.54.1.el9_7")) == ["1 < 5-687.10.1.el9_8"]
    other = notices(NAME, ("5-611.54.1.el9_7", "1"), arch="s390x")
    later = Advisory(id="N-2099:9", source="errata", cves=("CVE-2099-0001",))
    other.add(later, NAME, "kernel", affected(NAME, fixed="5-687.10.1.el9_8"))
    assert told(other, package("5-611.54.1.el9_7")) == ["1 < 5-687.10.1.el9_8"]


def test_modules_notices_and_other_distributions_spare_nothing() -> None:
    said = (("4-1.module_el8.7.0+1+a", "1"), ("4-2.module_el8.8.0+2+b", "1"))
    snapshot = notices("almalinux:8", *said, module="tools:4")
    installed = package("4-1.module_el8.7.0+1+a", module="tools:4")
    system = Distribution(id="almalinux", version_id="8.7")
    assert told(snapshot, installed, system) == ["1 < 4-2.module_el8.8.0+2+b"]
    amazon = notices("amazon:2023", ("5-1.el9_7", "1"), ("6-1.el9_8", "1"))
    assert told(amazon, package("5-1.el9_7"), SYSTEMS["amazon:2023"]) == ["1 < 6-1.el9_8"]


def test_explain_says_that_another_minor_releases_notice_does_not_count() -> None:
    snapshot = notices(NAME, ("5-611.54.1.el9_7", "1"), ("5-687.10.1.el9_8", "1"))
    report = index([package("5-611.54.1.el9_7")], SYSTEMS[NAME])
    (case,) = explain(report, snapshot, "CVE-2099-0001").cases
    assert case.verdict is Verdict.OUTSIDE
    bearings = [record.ranges[0].bearing for record in case.records]
    assert bearings == [Bearing.FIXED, Bearing.OTHER_REPOSITORY]


# Ubuntu Pro

PRO, FREE = "2.0-1ubuntu0.1~esm1", "2.0-1ubuntu0.2"


def both() -> MemorySnapshot:
    advisory = Advisory(id="CVE-2099-0001", source="ubuntu")
    own, pro = affected("ubuntu:22.04", fixed=FREE), affected("ubuntu:22.04", fixed=PRO, channel="esm")
    ranges: tuple[AffectedRange, ...] = (pro, own)
    return MemorySnapshot().add(advisory, "ubuntu:22.04", "a", *ranges)


@pytest.mark.parametrize(
    ("version", "flawed"),
    [
        ("2.0-1", True),
        ("2.0-1~esm1", True),
        (PRO, False),
        ("2.0-1ubuntu0.1~esm2", False),
        ("2.0-1ubuntu0.1", True),
        ("2.0-1ubuntu0.1+esm1", False),
        (FREE, False),
    ],
)
def test_a_build_of_ubuntu_pro_that_has_pros_fix_is_repaired_though_everybodys_is_higher(
    version: str, flawed: bool
) -> None:
    one = found(both(), deb("a", version), JAMMY)
    assert bool(one) is flawed
    if one:
        assert (one.findings[0].fixed_version, one.findings[0].fix_channel, one.upgrade) == (FREE, "", FREE)


def test_explain_says_which_of_ubuntus_two_fixes_counts() -> None:
    (case,) = explain(index([deb("a", PRO)], JAMMY), both(), "CVE-2099-0001").cases
    assert case.verdict is Verdict.OUTSIDE
    assert [item.bearing for item in case.records[0].ranges] == [Bearing.FIXED, Bearing.OTHER_REPOSITORY]
