"""Red Hat's packages are judged by the product they belong to, and by nothing else of the same name."""

from __future__ import annotations

import pytest
from matcher_snapshot import MemorySnapshot, affected, index

from redoubt.matcher import explain, match
from redoubt.matcher.judge import Bearing
from redoubt.model import (
    Advisory,
    AffectedRange,
    Distribution,
    Finding,
    Package,
    Severity,
    Status,
    VulnerabilityReport,
)

RHEL = Distribution(id="rhel", version_id="9.4", name="Red Hat Enterprise Linux 9.4")
CVE = Advisory(id="CVE-2099-0001", source="redhat", severity=Severity.HIGH)
BASE, APP = "cpe:/o:redhat:enterprise_linux:9::baseos", "cpe:/a:redhat:enterprise_linux:9::appstream"
MAIN, EUS = "cpe:/o:redhat:enterprise_linux:9", "cpe:/o:redhat:rhel_eus:9.2::baseos"
BASEOS, APPSTREAM = "rhel-9-for-x86_64-baseos-rpms", "rhel-9-for-x86_64-appstream-rpms"
EUS_REPOSITORY, SHIP = "rhel-9-for-x86_64-baseos-eus-rpms__9_DOT_2", "ship-4.16-for-rhel-9-x86_64-rpms"


def said(*ranges: AffectedRange, name: str = "libfix", namespace: str = "redhat:9") -> MemorySnapshot:
    return mapped(MemorySnapshot().add(CVE, namespace, name, *ranges))


def mapped(snapshot: MemorySnapshot) -> MemorySnapshot:
    snapshot.mappings = {
        ("product", BASEOS): (BASE,),
        ("product", APPSTREAM): (APP,),
        ("product", EUS_REPOSITORY): (EUS,),
        ("product", SHIP): ("cpe:/a:redhat:openshift:4.16::el9",),
        ("container", "ship/bridge-rhel9"): ("ship4/bridge-rhel9",),
    }
    return snapshot


def fixed(version: str, repository: str = BASE, **more: str) -> AffectedRange:
    arch, module, notice = more.get("arch", ""), more.get("module", "-"), more.get("notice", "")
    return affected("redhat:9", fixed=version, repository=repository, arch=arch, module=module, notice=notice)


def unfixed(repository: str = MAIN, status: Status = Status.AFFECTED, arch: str = "") -> AffectedRange:
    return affected("redhat:9", status=status, repository=repository, arch=arch, module="-")


def rpm(*repositories: str, version: str = "1.2-3.el9", **fields: str) -> Package:
    base = Package(type="rpm", name="libfix", version=version, arch="x86_64")
    values = {name: getattr(base, name) for name in Package.__struct_fields__} | fields
    return Package(**{**values, "repositories": tuple(sorted(repositories))})


def report(snapshot: MemorySnapshot, *packages: Package) -> VulnerabilityReport:
    if not any(namespace == "redhat:9" for namespace, _ in snapshot._affected):
        snapshot.add(Advisory(id="CVE-2099-9999", source="redhat"), "redhat:9", "other", unfixed())
    return match(index(packages, RHEL), snapshot)


def found(snapshot: MemorySnapshot, *packages: Package) -> list[Finding]:
    return [item for package in report(snapshot, *packages).packages for item in package.findings]


def test_a_range_holds_for_its_product_and_brings_its_erratum() -> None:
    [finding] = found(said(fixed("1.2-4.el9", notice="RHSA-2099:0001")), rpm(BASEOS))
    assert (finding.id, finding.fixed_version) == ("CVE-2099-0001", "1.2-4.el9")
    assert (finding.fixing_advisory, finding.severity) == ("RHSA-2099:0001", Severity.HIGH)
    assert not found(said(fixed("1.2-4.el9", "cpe:/a:redhat:openshift:4.16::el9")), rpm(BASEOS))


def test_channels_of_one_release_are_one() -> None:
    assert found(said(fixed("1.2-4.el9", APP)), rpm(BASEOS))
    assert found(said(unfixed()), rpm(APPSTREAM))


def test_an_extended_stream_is_judged_by_its_own_fix() -> None:
    both = said(fixed("1.2-9.el9_4"), fixed("1.2-3.el9_2.1", EUS))
    assert not found(both, rpm(EUS_REPOSITORY, version="1.2-3.el9_2.1"))
    [finding] = found(both, rpm(EUS_REPOSITORY, version="1.2-3.el9_2"))
    assert finding.fixed_version == "1.2-3.el9_2.1"
    [finding] = found(both, rpm(BASEOS, version="1.2-3.el9_2.1"))
    assert finding.fixed_version == "1.2-9.el9_4"


def test_a_fix_of_another_stream_says_nothing() -> None:
    assert not found(said(fixed("1.2-4.el9", "cpe:/o:redhat:rhel_eus:9.4::baseos")), rpm(EUS_REPOSITORY))
    assert not found(said(fixed("1.2-4.el9", EUS)), rpm(BASEOS))


def test_where_its_stream_says_nothing_the_main_stream_does() -> None:
    assert found(said(unfixed()), rpm(EUS_REPOSITORY))
    assert found(said(fixed("1.2-4.el9")), rpm(EUS_REPOSITORY))


def test_modules() -> None:
    assert not found(said(fixed("1:18-1", APP, module="nodefix:18")), rpm(APPSTREAM))
    assert not found(said(fixed("1:18-1", APP)), rpm(APPSTREAM, module="nodefix:18"))
    assert found(said(fixed("1:18-1", APP, module="nodefix:18")), rpm(APPSTREAM, module="nodefix:18"))
    assert not found(said(fixed("1:18-1", APP, module="nodefix:18")), rpm(APPSTREAM, module="nodefix:20"))


def test_architectures() -> None:
    only_arm = said(fixed("1.2-4.el9", arch="aarch64|s390x"))
    assert not found(only_arm, rpm(BASEOS))
    assert found(only_arm, rpm(BASEOS, arch="aarch64"))


def test_a_source_speaks_of_what_is_built_from_it_unless_that_is_spoken_of_itself() -> None:
    source = said(unfixed(arch="src"), name="fixsource")
    built = rpm(BASEOS, source_name="fixsource")
    assert found(source, built)
    assert not found(source, rpm(BASEOS))
    assert not found(said(unfixed(), name="fixsource"), built)
    assert found(said(unfixed(arch="src")), rpm(BASEOS))
    source._affected["redhat:9", "libfix"] = [(CVE.ref, (unfixed(status=Status.NOT_AFFECTED),))]
    assert not found(source, built)


def test_not_affected_is_said_and_shown() -> None:
    snapshot = said(unfixed(status=Status.NOT_AFFECTED))
    assert not found(snapshot, rpm(BASEOS))
    [case] = explain(index([rpm(BASEOS)], RHEL), snapshot, "CVE-2099-0001").cases
    assert case.verdict == "not_affected"


def test_headers_and_tools_are_no_kernel() -> None:
    kernel = said(unfixed(arch="src"), name="kernel")
    for name in ("kernel-headers", "perf", "bpftool", "kernel-tools-libs"):
        report = match(index([rpm(BASEOS, name=name, source_name="kernel")], RHEL), kernel)
        assert report.packages == ()
        assert [item.suppression.kind for item in report.suppressed[0].findings if item.suppression] == [
            "kernel"
        ]
    assert found(kernel, rpm(BASEOS, name="kernel-core", source_name="kernel"))
    assert found(kernel, rpm(BASEOS, name="kernel"))


def test_a_layered_product_of_no_release() -> None:
    snapshot = said(unfixed("cpe:/a:redhat:openshift:4", arch="src"), name="cri-ship", namespace="redhat")
    assert found(snapshot, rpm(SHIP, name="cri-ship"))
    assert not found(snapshot, rpm(BASEOS, name="cri-ship"))


def test_packages_of_no_repository_are_the_main_streams_and_that_is_said() -> None:
    snapshot = said(fixed("1.2-4.el9"), fixed("1.2-9.el9", EUS))
    result = report(snapshot, rpm(), rpm(BASEOS, name="other"))
    assert [item.fixed_version for item in result.packages[0].findings] == ["1.2-4.el9"]
    [row] = result.coverage
    assert row.unmapped == 0
    assert row.detail == "1 rpm package of no named repository was judged as Red Hat Enterprise Linux 9"


def test_repositories_without_a_product_are_counted_and_said() -> None:
    names = ("a-rpms", "b-rpms", "c-rpms", "d-rpms")
    result = report(
        said(fixed("1.2-4.el9")), rpm(*names), rpm(*names, name="quiet"), rpm(BASEOS, name="known")
    )
    assert [package.name for package in result.packages] == ["libfix"]
    [row] = result.coverage
    assert row.unmapped == 2
    assert row.detail == (
        "2 rpm packages of repositories that these definitions know no product of (a-rpms, b-rpms, c-rpms "
        "and 1 more) were judged as Red Hat Enterprise Linux 9"
    )


def test_one_known_repository_is_enough() -> None:
    result = report(said(fixed("1.2-4.el9")), rpm("a-rpms", BASEOS))
    assert result.packages
    assert result.coverage[0].detail == ""


def test_a_number_behind_a_repositorys_name_is_passed_over() -> None:
    assert report(said(fixed("1.2-4.el9")), rpm(f"{BASEOS}__9")).coverage[0].unmapped == 0


def test_centos_is_judged_as_the_main_stream_without_a_word() -> None:
    centos = Distribution(id="centos", version_id="9", name="CentOS Stream 9")
    result = match(index([rpm("baseos")], centos), said(fixed("1.2-4.el9")))
    assert result.packages
    assert result.coverage[0].detail == ""


@pytest.mark.parametrize(
    ("name", "version", "repositories", "ids"),
    [
        ("ship4/bridge-rhel9", "v4.16.0-209812010000", (), ["v4.16.0-209901010000"]),
        ("ship/bridge-rhel9", "v4.16.0-209812010000", (), ["v4.16.0-209901010000"]),
        ("ship4/bridge-rhel9", "v4.16.0-209901010000", (), []),
        ("ship4/bridge-rhel9", "v4.16.9-209901010000", (), []),
        ("ship4/bridge-rhel9", "v4.17.0-209812010000", (), ["v4.17.0-209902010000"]),
        (
            "ship4/bridge-rhel9",
            "v4.16.0-209812010000",
            ("cpe:/a:redhat:openshift:4.16::el9",),
            ["v4.16.0-209901010000"],
        ),
        ("ship4/bridge-rhel9", "v4.16.0-209812010000", ("cpe:/a:redhat:openshift:4.15::el9",), []),
        ("ship4/other", "v4.16.0-209812010000", (), []),
    ],
)
def test_a_container_is_a_package(
    name: str, version: str, repositories: tuple[str, ...], ids: list[str]
) -> None:
    product = "cpe:/a:redhat:openshift:4.{}::el9"
    ranges = [
        affected("rhcc", fixed="v4.16.0-209901010000", repository=product.format(16)),
        affected("rhcc", "v4.17", fixed="v4.17.0-209902010000", repository=product.format(17)),
    ]
    snapshot = said(*ranges, name="ship4/bridge-rhel9", namespace="rhcc")
    image = Package(type="oci", name=name, version=version, arch="amd64", repositories=repositories)
    assert [item.fixed_version for item in found(snapshot, image)] == ids


def test_explain_says_which_ranges_are_of_another_product() -> None:
    snapshot = said(fixed("1.2-9.el9_4"), fixed("1.2-3.el9_2.1", EUS), fixed("1.2-4.el9", arch="s390x"))
    [case] = explain(
        index([rpm(EUS_REPOSITORY, version="1.2-3.el9_2.1")], RHEL), snapshot, "CVE-2099-0001"
    ).cases
    [record] = case.records
    assert [(word.bearing, word.repository) for word in record.ranges] == [
        (Bearing.OTHER_REPOSITORY, BASE),
        (Bearing.FIXED, EUS),
        (Bearing.OTHER_ARCH, BASE),
    ]
    assert case.verdict == "outside"


def test_other_distributions_are_asked_for_one_name_only() -> None:
    snapshot = MemorySnapshot()
    snapshot.add(CVE, "almalinux:9", "libfix", affected("almalinux:9", fixed="1.2-4.el9"))
    alma = Distribution(id="almalinux", version_id="9.4", name="AlmaLinux 9.4")
    assert match(index([rpm(BASEOS, source_name="fixsource")], alma), snapshot).packages
    assert snapshot.asked == ["almalinux:9/libfix"]


@pytest.mark.parametrize(
    ("version", "fix"),
    [
        ("1.2-4.el9_4", "1.2-5.el9_4"),  # older than its own release's fix, which is nearer
        ("1.2-5.el9_4", None),  # listed as fixed itself
        ("1.2-5.el9_4.1", None),
        ("1.2-7.el9", "2.0-1.el9_5"),  # names no minor release: whether it has the fix is not known
        ("1.2-9.el9_3", "2.0-1.el9_5"),  # its release got no fix
        ("2.0-1.el9_5", None),
        ("2.0-0.el9_5", "2.0-1.el9_5"),
    ],
)
def test_a_build_is_compared_with_the_fixes_of_its_own_minor_release(version: str, fix: str | None) -> None:
    snapshot = said(fixed("1.2-5.el9_4"), fixed("2.0-1.el9_5"))
    findings = found(snapshot, rpm(BASEOS, version=version))
    assert [item.fixed_version for item in findings] == ([fix] if fix else [])


def test_two_fixes_of_one_minor_release_are_both_needed() -> None:
    snapshot = said(fixed("1.2-5.el9_4"), fixed("1.2-6.el9_4"), fixed("2.0-1.el9_5"))
    [finding] = found(snapshot, rpm(BASEOS, version="1.2-5.el9_4"))
    assert finding.fixed_version == "1.2-6.el9_4"


def test_an_open_flaw_of_the_stream_stays_one_beside_a_fix_of_another_minor_release() -> None:
    snapshot = said(fixed("1.2-5.el9_4"), fixed("2.0-1.el9_5"), unfixed(BASE))
    assert len(found(snapshot, rpm(BASEOS, version="1.2-5.el9_4"))) == 1


def test_explain_passes_over_fixes_of_other_minor_releases() -> None:
    snapshot = said(fixed("1.2-5.el9_4"), fixed("2.0-1.el9_5"))
    package = rpm(BASEOS, version="1.2-5.el9_4")
    [case] = explain(index([package], RHEL), snapshot, CVE.id).cases
    told = {item.upper: item.bearing for item in case.records[0].ranges}
    assert told == {"1.2-5.el9_4": Bearing.FIXED, "2.0-1.el9_5": Bearing.OTHER_REPOSITORY}
