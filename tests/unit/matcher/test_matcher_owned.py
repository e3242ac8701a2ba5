"""Language packages that the system's packages installed, and packages that are not the distribution's."""

from __future__ import annotations

import msgspec
import pytest
from matcher_snapshot import ALMA, DEBIAN, MemorySnapshot, affected, index

from redoubt.matcher import explain, match, only_fixed
from redoubt.matcher.explain import Verdict
from redoubt.matcher.suppress import suppress
from redoubt.model import (
    Advisory,
    Detection,
    Distribution,
    IndexReport,
    Location,
    Package,
    Severity,
    Suppression,
    VulnerabilityReport,
    namespaces,
)

TEAM = "Some Team <team@tracker.debian.org>"
EGG = "usr/lib/python3/dist-packages/requests-2.25.1.egg-info/PKG-INFO"
OWNER = "deb/python3-requests"


def deb(vendor: str = TEAM, version: str = "2.25.1+dfsg-2", name: str = "python3-requests") -> Package:
    return Package(
        type="deb",
        name=name,
        version=version,
        source_name="requests",
        vendor=vendor,
        locations=(Location("var/lib/dpkg/status"),),
    )


def requests(*places: tuple[str, str]) -> Package:
    locations = tuple(Location(path, "", owner) for path, owner in places or ((EGG, OWNER),))
    return Package(type="pypi", name="requests", version="2.25.1", locations=locations)


def snapshot(system: str = "debian:11", scheme_fix: str = "2.25.1+dfsg-9") -> MemorySnapshot:
    definitions = MemorySnapshot()
    definitions.add(
        Advisory(id="CVE-2099-1", source="osv", severity=Severity.HIGH),
        "pypi",
        "requests",
        affected("pypi", fixed="2.31.0"),
    )
    definitions.add(
        Advisory(id="CVE-2099-2", source="system"), system, "requests", affected(system, fixed=scheme_fix)
    )
    return definitions


def told(report: VulnerabilityReport) -> set[tuple[str, str]]:
    return {(p.type, item.id) for p in report.packages for item in p.findings}


def hidden(report: VulnerabilityReport) -> set[tuple[str, str]]:
    return {(p.type, item.id) for p in report.suppressed for item in p.findings}


def matched(report: IndexReport, definitions: MemorySnapshot | None = None) -> VulnerabilityReport:
    return match(report, definitions or snapshot())


def test_upstreams_findings_of_an_owned_package_are_suppressed_and_the_owners_stay() -> None:
    report = matched(index([deb(), requests()], DEBIAN))
    assert told(report) == {("deb", "CVE-2099-2")}
    assert hidden(report) == {("pypi", "CVE-2099-1")}
    assert report.suppressed[0].findings[0].suppression == Suppression(
        kind="owned",
        source=OWNER,
        reason="owned by deb/python3-requests 2.25.1+dfsg-2; the distribution judges it",
    )


def test_comprehensive_detection_tells_both_and_the_owner_stays_visible() -> None:
    report = match(index([deb(), requests()], DEBIAN), snapshot(), detection=Detection.COMPREHENSIVE)
    assert told(report) == {("deb", "CVE-2099-2"), ("pypi", "CVE-2099-1")}
    assert report.suppressed == ()
    assert report.detection is Detection.COMPREHENSIVE
    [package] = [package for package in report.packages if package.type == "pypi"]
    assert [place.owner for place in package.locations] == [OWNER]


def test_where_only_some_places_are_owned_the_finding_stays_with_the_others() -> None:
    report = matched(index([deb(), requests((EGG, OWNER), ("srv/app/METADATA", ""))], DEBIAN))
    assert told(report) == {("deb", "CVE-2099-2"), ("pypi", "CVE-2099-1")}
    [package] = [package for package in report.packages if package.type == "pypi"]
    assert [place.path for place in package.locations] == ["srv/app/METADATA"]
    assert report.suppressed == ()


def test_two_owners_are_both_named() -> None:
    other = deb(name="python3-pip")
    report = matched(
        index([deb(), other, requests((EGG, OWNER), ("usr/share/x", "deb/python3-pip"))], DEBIAN)
    )
    suppression = report.suppressed[0].findings[0].suppression
    assert suppression is not None
    assert suppression.source == "deb/python3-requests, deb/python3-pip"
    assert suppression.reason.endswith("; the distribution judges them")


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        (deb("Docker <support@docker.com>"), "another maker's"),
        (deb(version="no:t:a version"), "cannot be compared"),
        (deb(version=""), "has no version"),
        (deb(name="python3-other"), "is not installed"),
    ],
)
def test_an_owner_that_the_distribution_does_not_judge_leaves_it_to_upstream(
    owner: Package, why: str
) -> None:
    assert ("pypi", "CVE-2099-1") in told(matched(index([owner, requests()], DEBIAN))), why


def test_a_deb_whose_maintainer_tells_nothing_is_the_distributions_if_it_has_any_record_of_it() -> None:
    owner = deb("Jane <jane@corp.example>")
    assert hidden(matched(index([owner, requests()], DEBIAN))) == {("pypi", "CVE-2099-1")}
    unknown = msgspec.structs.replace(owner, source_name="")
    assert ("pypi", "CVE-2099-1") in told(matched(index([unknown, requests()], DEBIAN)))


def test_an_rpm_without_a_vendor_is_never_the_distributions() -> None:
    owner = Package(type="rpm", name="python3-requests", version="2.25.1-1.el9", source_name="requests")
    package = requests((EGG, "rpm/python3-requests"))
    red_hat = Distribution(id="rhel", version_id="9.4")
    definitions = snapshot("redhat:9", "2.25.1-9.el9")
    definitions.add(
        Advisory(id="CVE-2099-4", source="x"), "redhat:9", "python3-requests", affected("redhat:9")
    )
    report = matched(index([owner, package], red_hat), definitions)
    assert told(report) == {("pypi", "CVE-2099-1"), ("rpm", "CVE-2099-4")}


def test_one_of_two_owners_of_a_name_that_is_not_judged_spoils_both() -> None:
    other = msgspec.structs.replace(deb("Docker <support@docker.com>"), arch="i386")
    assert ("pypi", "CVE-2099-1") in told(matched(index([deb(), other, requests()], DEBIAN)))


def test_without_definitions_of_the_distribution_upstream_judges() -> None:
    definitions = snapshot("debian:12")
    assert told(matched(index([deb(), requests()], DEBIAN), definitions)) == {("pypi", "CVE-2099-1")}


def test_a_distribution_that_lists_only_repairs_does_not_silence_upstream() -> None:
    owner = Package(type="rpm", name="python3-requests", version="2.25.1-1.el9", vendor="AlmaLinux")
    package = requests((EGG, "rpm/python3-requests"))
    report = matched(index([owner, package], ALMA), snapshot("almalinux:9", "2.25.1-9.el9"))
    assert ("pypi", "CVE-2099-1") in told(report)
    assert report.suppressed == ()


def test_a_comprehensive_rpm_distribution_does() -> None:
    owner = Package(type="rpm", name="python3-requests", version="2.25.1-1.el9", vendor="Red Hat, Inc.")
    package = requests((EGG, "rpm/python3-requests"))
    red_hat = Distribution(id="rhel", version_id="9.4", name="Red Hat Enterprise Linux 9.4")
    report = matched(index([owner, package], red_hat), snapshot("redhat:9", "2.25.1-9.el9"))
    assert hidden(report) == {("pypi", "CVE-2099-1")}


@pytest.mark.parametrize(
    ("system", "version", "vendor", "silent"),
    [
        (DEBIAN, "2.25.1+dfsg-2", TEAM, True),
        (Distribution(id="ubuntu", version_id="24.04"), "2.25.1-1", TEAM, True),
        (Distribution(id="rhel", version_id="9.4"), "2.25.1-1.el9", "Red Hat, Inc.", False),
    ],
)
def test_what_is_linked_into_a_program_is_upstreams_where_the_distribution_does_not_speak_of_it(
    system: Distribution, version: str, vendor: str, silent: bool
) -> None:
    kind = "rpm" if system.id == "rhel" else "deb"
    owner = Package(type=kind, name="skopeo", version=version, vendor=vendor)
    place = Location("usr/bin/skopeo", "", f"{kind}/skopeo")
    linked = Package(type="golang", name="stdlib", version="1.19.1", locations=(place,))
    beside = Package(type="npm", name="a", version="1.0.0", locations=(place,))
    definitions = snapshot({"debian": "debian:11", "ubuntu": "ubuntu:24.04", "rhel": "redhat:9"}[system.id])
    for namespace, name in (("golang", "stdlib"), ("npm", "a")):
        definitions.add(
            Advisory(id=f"CVE-2099-{len(name)}", source="osv"), namespace, name, affected(namespace)
        )
    report = matched(index([owner, linked, beside], system), definitions)
    assert ("npm", "CVE-2099-1") in hidden(report)
    assert ("golang", "CVE-2099-6") in (told(report) if silent else hidden(report))


def test_a_package_without_places_is_never_owned() -> None:
    package = Package(type="pypi", name="requests", version="2.25.1")
    assert ("pypi", "CVE-2099-1") in told(matched(index([deb(), package], DEBIAN)))


def test_the_report_is_the_same_in_any_order_of_packages() -> None:
    packages = [deb(), requests()]
    reports = [matched(index(order, DEBIAN)) for order in (packages, packages[::-1])]
    assert reports[0].packages == reports[1].packages
    assert reports[0].suppressed == reports[1].suppressed


def test_leaving_out_what_has_no_fix_keeps_what_is_suppressed() -> None:
    report = only_fixed(matched(index([deb(), requests()], DEBIAN)))
    assert hidden(report) == {("pypi", "CVE-2099-1")}


def test_third_party_packages_are_counted_and_not_judged_by_the_distributions_data() -> None:
    packages = [
        deb(),
        deb("Docker <support@docker.com>", name="docker-requests"),
        deb("NodeSource <support@nodesource.com>", name="node-requests"),
    ]
    report = matched(index(packages, DEBIAN))
    assert {p.name for p in report.packages} == {"python3-requests"}
    [row] = report.coverage
    assert (row.packages, row.third_party) == (3, 2)
    assert row.detail == (
        "2 deb packages of Docker, NodeSource are not the distribution's and were not judged by its data"
    )


def test_one_third_party_package_among_others_that_say_nothing() -> None:
    packages = [deb("Docker <support@docker.com>"), deb(version="", name="b")]
    [row] = matched(index(packages, DEBIAN)).coverage
    assert row.detail == (
        "1 deb package without a usable version could not be judged; "
        "1 deb package of Docker is not the distribution's and was not judged by its data"
    )


def test_many_makers_are_counted() -> None:
    packages = [
        Package(type="rpm", name=f"a{number}", version="1-1", vendor=f"Maker {number}") for number in range(6)
    ]
    [row] = matched(index(packages, ALMA), snapshot("almalinux:9", "1-1")).coverage
    assert "of Maker 0, Maker 1, Maker 2, Maker 3 and 2 other makers are not" in row.detail


def test_without_definitions_nobody_is_called_a_third_party() -> None:
    [row] = matched(index([deb("Docker <support@docker.com>")], DEBIAN), MemorySnapshot()).coverage
    assert row.third_party == 0


def test_a_rule_moves_single_findings_and_the_rest_is_counted_anew() -> None:
    report = match(index([requests(("srv/x", ""))], DEBIAN), two())
    moved = suppress(
        report, lambda _, item: Suppression(kind="vex", source="a.json") if item.id == "CVE-2099-1" else None
    )
    assert told(moved) == {("pypi", "CVE-2099-3")}
    assert hidden(moved) == {("pypi", "CVE-2099-1")}
    assert (moved.packages[0].upgrade, moved.packages[0].unfixed) == ("", 1)
    assert (moved.suppressed[0].upgrade, moved.suppressed[0].unfixed) == ("2.31.0", 0)
    again = suppress(moved, lambda _, item: Suppression(kind="ignore-rule"))
    assert again.packages == ()
    kinds = {
        item.id: item.suppression.kind for p in again.suppressed for item in p.findings if item.suppression
    }
    assert kinds == {"CVE-2099-1": "vex", "CVE-2099-3": "ignore-rule"}


def test_a_rule_that_says_nothing_changes_nothing() -> None:
    report = match(index([requests(("srv/x", ""))], DEBIAN), two())
    assert suppress(report, lambda package, item: None) is report


def two() -> MemorySnapshot:
    definitions = snapshot()
    return definitions.add(
        Advisory(id="CVE-2099-3", source="osv"), "pypi", "requests", affected("pypi", "1.0")
    )


def test_explain_says_that_the_distribution_judges_it() -> None:
    report = index([deb(), requests()], DEBIAN)
    [case] = explain(report, snapshot(), "CVE-2099-1").cases
    assert case.verdict is Verdict.SUPPRESSED
    assert case.findings[0].suppression is not None
    assert case.findings[0].suppression.source == OWNER
    [both] = explain(report, snapshot(), "CVE-2099-1", detection=Detection.COMPREHENSIVE).cases
    assert both.verdict is Verdict.FINDING
    assert both.findings[0].suppression is None


def test_explain_says_of_a_third_partys_package_that_it_is_not_judged() -> None:
    report = index([deb("Docker <support@docker.com>")], DEBIAN)
    [case] = explain(report, snapshot(), "CVE-2099-2").cases
    assert (case.verdict, case.findings) == (Verdict.THIRD_PARTY, ())


@pytest.mark.parametrize(
    ("system", "kind"), [(DEBIAN, "deb"), (Distribution(id="alpine", version_id="3.20.1"), "apk")]
)
def test_a_program_of_the_distributions_own_package_is_judged_by_it_alone(
    system: Distribution, kind: str
) -> None:
    namespace = namespaces.of_distribution(system)
    assert namespace is not None
    definitions = MemorySnapshot()
    definitions.add(
        Advisory(id="CVE-2099-3", source="osv"), "bitnami", "node", affected("bitnami", fixed="99.0.0")
    )
    definitions.add(
        Advisory(id="CVE-2099-4", source="system"), namespace, "other", affected(namespace, fixed="1")
    )
    owner = Package(type=kind, name="nodejs", version="20.1.0-r1", vendor=TEAM)
    own = Package(
        type="generic",
        name="node",
        version="20.1.0",
        locations=(Location("usr/bin/node", "", f"{kind}/nodejs"),),
    )
    built = Package(
        type="generic", name="node", version="20.1.1", locations=(Location("usr/local/bin/node"),)
    )
    report = match(index([owner, own, built], system), definitions)
    assert [package.version for package in report.packages] == ["20.1.1"]
    assert [package.version for package in report.suppressed] == ["20.1.0"]
