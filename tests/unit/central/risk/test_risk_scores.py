"""Risk: worked examples of every factor, and what holds of all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.central.risk import deployments, images, nodes
from redoubt.central.risk.deployments import BrokenPolicy, Suspicious
from redoubt.central.risk.scores import Result, Risk, between, normalised, together
from redoubt.model import (
    DefinitionsInfo,
    Finding,
    Image,
    PackageFindings,
    Severity,
    Status,
    VulnerabilityReport,
)
from redoubt.model.scannedimage import (
    ImageMetadata,
    ImageScan,
    ScannedComponent,
    ScannedFlaw,
    ScannedImage,
    V1Metadata,
)
from redoubt.model.workload import (
    Container,
    Deployment,
    ImageName,
    MountedSecret,
    Port,
    SecurityContext,
    Volume,
)

NOW = datetime(2099, 6, 1, tzinfo=UTC)
SAFE = SecurityContext(drop_capabilities=("ALL",))


def component(name: str = "lib", *severities: str, number: int = 0) -> ScannedComponent:
    flaws = tuple(
        ScannedFlaw(cve=f"CVE-2099-{name}-{at}", severity=f"{each}_VULNERABILITY_SEVERITY")
        for at, each in enumerate(severities)
    )
    return ScannedComponent(name=name, version=str(number), vulns=flaws)


def image(*components: ScannedComponent, days: int = 0) -> ScannedImage:
    created = V1Metadata(created=NOW - timedelta(days=days))
    return ScannedImage(
        name=ImageName(full_name="registry.example/shop:1"),
        scan=ImageScan(components=components),
        metadata=ImageMetadata(v1=created),
    )


def of_image(*components: ScannedComponent, days: int = 0) -> dict[str, float]:
    return {
        each.name: round(each.score, 4)
        for each in images.assessed(image(*components, days=days), NOW).results
    }


def of(deployment: Deployment | None = None, **more: Any) -> dict[str, float]:
    given = {"broken": (), "suspicious": (), "of_images": (), **more}
    risk = deployments.assessed(deployment or Deployment(), **given)
    return {each.name: round(each.score, 4) for each in risk.results}


def test_nothing_is_no_risk() -> None:
    assert deployments.assessed(Deployment(), (), (), ()) == Risk(score=1.0)
    assert images.assessed(ScannedImage(), NOW) == Risk(score=1.0)


def test_flaws() -> None:
    # 20 x 0.5 = 10 of 100: 1 + 0.1 x 3
    assert of_image(component("lib", *["MODERATE"] * 20)) == {images.VULNERABILITIES: 1.3}
    assert of_image(component("lib", *["CRITICAL"] * 20)) == {images.VULNERABILITIES: 4.0}
    assert of_image(component("lib", *["CRITICAL"] * 90)) == {images.VULNERABILITIES: 4.0}
    assert of_image(component("lib", "UNKNOWN")) == {}
    one = ScannedFlaw(cve="CVE-2099-1", severity="CRITICAL_VULNERABILITY_SEVERITY")
    twice = [ScannedComponent(name=name, vulns=(one,)) for name in ("a", "b")]
    assert of_image(*twice) == {images.VULNERABILITIES: 1.15}
    quiet = ScannedFlaw(cve="CVE-2099-1", severity="CRITICAL_VULNERABILITY_SEVERITY", suppressed=True)
    assert of_image(ScannedComponent(vulns=(quiet,))) == {}


def test_what_the_message_of_flaws_says() -> None:
    (result,) = images.assessed(image(component("lib", "LOW", "CRITICAL", "MODERATE")), NOW).results
    assert result.factors[0].message == (
        "Image 'registry.example/shop:1' has 3 CVEs with severities between Low and Critical"
    )


def test_components() -> None:
    assert of_image(component("bash"), component("curl")) == {images.USEFUL: 1.1}
    many = [component(number=at) for at in range(15)]
    assert of_image(*many) == {images.COMPONENTS: 1.25}
    assert of_image(*many[:10]) == {}
    assert of_image(*[component(number=at) for at in range(500)]) == {images.COMPONENTS: 1.5}


@pytest.mark.parametrize(("days", "score"), [(0, None), (90, None), (180, 1.25), (270, 1.5), (10_000, 1.5)])
def test_age(days: int, score: float | None) -> None:
    assert of_image(days=days) == ({} if score is None else {images.FRESHNESS: score})


def test_an_image_without_a_moment_is_not_old() -> None:
    assert of_image(days=365 * 129) == {}  # built in 1970: nobody said when


def test_violations() -> None:
    # 3 + 2 = 5 of 50: 1 + 0.1 x 3
    broken = [BrokenPolicy("a", "HIGH_SEVERITY"), BrokenPolicy("b", "MEDIUM_SEVERITY")]
    assert of(broken=broken) == {deployments.VIOLATIONS: 1.3}
    assert of(broken=[BrokenPolicy(str(at), "CRITICAL_SEVERITY") for at in range(90)]) == {
        deployments.VIOLATIONS: 4.0
    }
    risk = deployments.assessed(Deployment(), broken, (), ())
    assert [each.message for each in risk.results[0].factors] == [
        "a (severity: High)",
        "b (severity: Medium)",
    ]


def test_each_further_suspicious_process_adds_less() -> None:
    def ran(number: int) -> float:
        given = [Suspicious("main", "/bin/sh", str(at)) for at in range(number)]
        return of(suspicious=given)[deployments.PROCESSES]

    assert ran(1) == 1.3
    assert ran(2) == 1.57  # 1 + 0.9 = 1.9 of 10
    assert ran(3) - ran(2) < ran(2) - ran(1)
    assert ran(200) <= 4.0
    assert of(suspicious=[Suspicious("main", "/bin/sh", "")] * 9) == {deployments.PROCESSES: 1.3}


def test_configuration() -> None:
    assert of(Deployment(containers=(Container(security_context=SAFE),))) == {}
    plain = Deployment(containers=(Container(name="main"),))
    assert of(plain) == {deployments.CONFIGURATION: 1.125}  # nothing dropped: 1 of 8
    much = Container(
        name="main",
        volumes=(Volume(name="data"), Volume(name="read", read_only=True)),
        secrets=(MountedSecret(name="key"),),
        security_context=SecurityContext(add_capabilities=("NET_ADMIN",)),
    )
    assert of(Deployment(containers=(much,))) == {deployments.CONFIGURATION: 1.5}  # 4 of 8
    privileged = Container(security_context=SecurityContext(privileged=True, drop_capabilities=("ALL",)))
    assert of(Deployment(containers=(privileged,))) == {deployments.CONFIGURATION: 1.25}
    both = Deployment(containers=(much, privileged))
    assert of(both) == {deployments.CONFIGURATION: 2.0}  # doubled


def test_reachability() -> None:
    ports = (Port(container_port=443, exposure="EXTERNAL"), Port(container_port=80, exposure="INTERNAL"))
    assert of(Deployment(ports=ports)) == {deployments.REACHABILITY: 1.4}  # 3 + 1 of 10
    assert of(Deployment(ports=(Port(container_port=80),))) == {}


def test_of_several_images_the_riskiest_counts_factor_by_factor() -> None:
    old = images.assessed(image(days=270), NOW)
    flawed = images.assessed(image(component("lib", *["CRITICAL"] * 4), days=180), NOW)
    risk = deployments.assessed(Deployment(), (), (), (old, flawed))
    assert {each.name: round(each.score, 4) for each in risk.results} == {
        images.VULNERABILITIES: 1.6,
        images.FRESHNESS: 1.5,
    }
    assert risk.score == pytest.approx(1.6 * 1.5)


def test_the_score_is_the_product() -> None:
    given = [Result(name="a", factors=(), score=2.0), None, Result(name="b", factors=(), score=1.5)]
    assert together(given).score == 3.0


_numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(_numbers, st.floats(0.1, 1000), st.floats(1, 10))
def test_a_factor_is_between_one_and_its_maximum(value: float, saturation: float, most: float) -> None:
    assert 1.0 <= normalised(value, saturation, most) <= most
    assert 1.0 <= between(value, 5, 5 + saturation, most) <= most


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0.1, 1000), st.floats(1, 10))
def test_more_is_never_less(one: float, other: float, saturation: float, most: float) -> None:
    low, high = sorted((one, other))
    assert normalised(low, saturation, most) <= normalised(high, saturation, most)


@given(
    st.lists(st.sampled_from(["LOW_SEVERITY", "CRITICAL_SEVERITY", "ODD"]), max_size=60),
    st.randoms(use_true_random=False),
)
def test_equal_deployments_have_equal_risks(severities: list[str], random: Any) -> None:
    broken = [BrokenPolicy(f"policy-{at}", each) for at, each in enumerate(severities)]
    shuffled = broken[:]
    random.shuffle(shuffled)
    assert deployments.assessed(Deployment(), broken, (), ()) == deployments.assessed(
        Deployment(), shuffled, (), ()
    )


def of_node(*flaws: tuple[str, Severity]) -> Risk:
    packages = tuple(
        PackageFindings(
            type="deb",
            name=f"lib{at}",
            version="1",
            findings=(Finding(id=flaw, status=Status.AFFECTED, severity=severity),),
        )
        for at, (flaw, severity) in enumerate(flaws)
    )
    return nodes.assessed(
        "worker",
        VulnerabilityReport(
            image=Image(reference="worker", kind="dir"),
            definitions=DefinitionsInfo(digest="d", schema="1.0"),
            packages=packages,
        ),
    )


def test_a_nodes_flaws_saturate_at_a_hundred_and_one_flaw_counts_once() -> None:
    assert of_node() == Risk()
    assert of_node(("CVE-2099-0001", Severity.UNKNOWN)) == Risk()
    several = [
        ("CVE-2099-0001", Severity.LOW),
        ("CVE-2099-0001", Severity.CRITICAL),
        ("CVE-2099-0002", Severity.LOW),
    ]
    (result,) = of_node(*several).results
    assert result.name == "Node Vulnerabilities"
    assert result.factors[0].message == "Node 'worker' has 2 CVEs with severities between Low and Critical"
    assert result.score == pytest.approx(1 + 5.1 / 100 * 3)
    assert of_node(*((f"CVE-2099-{at}", Severity.CRITICAL) for at in range(30))).score == 4.0
