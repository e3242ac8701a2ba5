"""Policies: how long one workload and one image take, with all default policies and one more.

``.venv/bin/python bench/policies.py`` prints what `make bench` writes down. The workload has three containers, two images
and is what people write: limits, probes, a few volumes and variables. An image has 300 flaws in 150 components.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from redoubt.model.scannedimage import (
    DockerfileLine,
    ImageMetadata,
    ImageScan,
    ScannedComponent,
    ScannedFlaw,
    ScannedImage,
    V1Metadata,
)
from redoubt.model.workload import (
    Container,
    ContainerConfig,
    ContainerImage,
    Deployment,
    EnvironmentVariable,
    Exposure,
    ImageName,
    NetworkPolicies,
    Port,
    Probe,
    Resources,
    SecurityContext,
    Surroundings,
    Volume,
)
from redoubt.policies import PolicySet
from redoubt.policies.defaults import default_policies

NOW = datetime(2099, 6, 1, tzinfo=UTC)
_SEVERITIES = ("LOW", "LOW", "MODERATE", "MODERATE", "IMPORTANT", "CRITICAL")
_LINES = ("ENV PATH=/usr/bin", "RUN apt-get install -y thing", "COPY . /srv", "EXPOSE 8080", "USER 1000")


def image(tag: str) -> ScannedImage:
    """An image with 300 flaws in 150 components, a third of them with a fix."""
    components = tuple(
        ScannedComponent(
            name=f"component-{at}",
            version=f"1.{at}-2",
            vulns=tuple(
                ScannedFlaw(
                    cve=f"CVE-2099-{10_000 + 2 * at + number}",
                    cvss=2.0 + (at * 7 + number) % 8,
                    severity=_SEVERITIES[(at + number) % 6] + "_VULNERABILITY_SEVERITY",
                    fixed_by=f"1.{at}-3" if (at + number) % 3 == 0 else "",
                    published_on=NOW - timedelta(days=at),
                )
                for number in range(2)
            ),
        )
        for at in range(150)
    )
    lines = tuple(
        DockerfileLine(instruction=line.split()[0], value=line.partition(" ")[2]) for line in _LINES * 4
    )
    return ScannedImage(
        name=ImageName(
            registry="registry.example",
            remote="team/shop",
            tag=tag,
            full_name=f"registry.example/team/shop:{tag}",
        ),
        metadata=ImageMetadata(v1=V1Metadata(user="1000", created=NOW - timedelta(days=12), layers=lines)),
        scan=ImageScan(scan_time=NOW, operating_system="debian:12", components=components),
    )


def workload() -> Deployment:
    """Three containers, none of which stands out."""

    def container(name: str, tag: str) -> Container:
        return Container(
            name=name,
            image=ContainerImage(
                name=ImageName(
                    registry="registry.example",
                    remote="team/shop",
                    tag=tag,
                    full_name=f"registry.example/team/shop:{tag}",
                )
            ),
            config=ContainerConfig(
                env=tuple(
                    EnvironmentVariable(key=f"SETTING_{at}", value=str(at), env_var_source="RAW")
                    for at in range(8)
                ),
                app_armor_profile="runtime/default",
            ),
            security_context=SecurityContext(drop_capabilities=("ALL",), read_only_root_filesystem=True),
            volumes=(
                Volume(name="data", type="PersistentVolumeClaim", destination="/data"),
                Volume(name="tmp", type="EmptyDir"),
            ),
            resources=Resources(cpu_cores_request=0.5, memory_mb_limit=256, memory_mb_request=256),
            liveness_probe=Probe(defined=True),
            readiness_probe=Probe(defined=True),
        )

    return Deployment(
        id="1",
        name="shop",
        type="Deployment",
        namespace="stores",
        cluster_id="cluster",
        replicas=3,
        labels={"app": "shop", "team": "blue"},
        annotations={"email": "blue@shop.example", "owner": "blue"},
        containers=(container("web", "1.4"), container("worker", "1.4"), container("proxy", "2.0")),
        ports=(Port(container_port=8080, protocol="TCP", exposure_infos=(Exposure(level="INTERNAL"),)),),
        service_account="shop",
    )


def measured(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds."""
    taken = []
    for _ in range(times):
        before = time.perf_counter()
        work()
        taken.append((time.perf_counter() - before) * 1000)
    taken.sort()
    return statistics.median(taken), taken[int(len(taken) * 0.99)]


def figures() -> list[tuple[str, float, float]]:
    """What was measured: median and 99th percentile, in milliseconds."""
    all_of_them = [msgspec.structs.replace(policy, disabled=False) for policy in default_policies()]
    all_of_them.append(msgspec.structs.replace(all_of_them[0], id="copy", name="A copy of the first"))
    assert len(all_of_them) == 90
    policies = PolicySet(all_of_them)
    assert not policies.refused
    deployment, around = workload(), Surroundings(network_policies=NetworkPolicies(ingress=True, egress=True))
    images = [image("1.4"), image("1.4"), image("2.0")]
    parts = [policies.image(each, NOW) for each in images]
    broken = policies.deploy(deployment, parts, NOW, around).broken
    rows = []

    def with_parts() -> object:
        return policies.deploy(deployment, parts, NOW, around)

    def and_told() -> object:
        return [each.violations for each in policies.deploy(deployment, parts, NOW, around).broken]

    def from_scratch() -> object:
        return policies.build(policies.image(images[0], NOW), NOW)

    def scratch_and_told() -> object:
        return [each.violations for each in policies.build(policies.image(images[0], NOW), NOW).broken]

    for name, work in (
        (f"90 policies, 3 containers, images known ({len(broken)} broken)", with_parts),
        ("the same, with every violation told", and_told),
        ("90 policies, an image with 300 flaws, from scratch", from_scratch),
        ("the same, with every violation told", scratch_and_told),
        ("90 policies compiled", lambda: PolicySet(all_of_them)),
    ):
        for _ in range(20):
            work()
        rows.append((name, *measured(work, 2000 if "compiled" not in name else 50)))
    return rows


if __name__ == "__main__":
    for name, median, worst in figures():
        print(f"{name:70} {median:8.3f} ms   p99 {worst:8.3f} ms")
