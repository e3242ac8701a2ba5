"""The default policies: all there, as the original has them, with texts of our own."""

from __future__ import annotations

import re

import msgspec
import pytest

from redoubt.model.scannedimage import DockerfileLine, ScannedComponent
from redoubt.model.workload import (
    ContainerConfig,
    EnvironmentVariable,
    Exposure,
    Port,
    Resources,
    SecurityContext,
    Volume,
)
from redoubt.policies import PolicySet
from redoubt.policies.defaults import default_policies
from redoubt.policies.policy import Policy
from redoubt.policies.validation import check, prepared
from support.policies import NOW, asked, container, deployed, deployment, flaw, image, request, started

#: Severity, stages, whether it is on, name, criteria (``!`` is negated). A fact of the original's.
TABLE = """\
MEDIUM   DEPLOY       on  30-Day Scan Age = Image Scan Age
LOW      BUILD/DEPLOY on  90-Day Image Age = Image Age
LOW      BUILD/DEPLOY off ADD Command used instead of COPY = Dockerfile Line
LOW      BUILD/DEPLOY on  Alpine Linux Package Manager (apk) in Image = Image Component
LOW      RUNTIME      on  Alpine Linux Package Manager Execution = Process Name
CRITICAL BUILD/DEPLOY on  Apache Struts: CVE-2017-5638 = CVE
MEDIUM   DEPLOY       on  CAP_SYS_ADMIN capability added = Add Capabilities
LOW      RUNTIME      on  Compiler Tool Execution = Process Name
MEDIUM   DEPLOY       off Container using read-write root filesystem = Read-Only Root Filesystem
MEDIUM   DEPLOY       on  Container with privilege escalation allowed = Allow Privilege Escalation
HIGH     RUNTIME      on  Cryptocurrency Mining Process Execution = Process Name
LOW      BUILD/DEPLOY off Curl in Image = Image Component
MEDIUM   DEPLOY       off Deployments should have at least one egress Network Policy = Has Egress Network Policy
MEDIUM   DEPLOY       off Deployments should have at least one ingress Network Policy = Has Ingress Network Policy
MEDIUM   DEPLOY       off Deployments with externally exposed endpoints = Port Exposure Method
LOW      BUILD/DEPLOY on  Docker CIS 4.1: Ensure That a User for the Container Has Been Created = Image User
MEDIUM   BUILD        off Docker CIS 4.4: Ensure images are scanned and rebuilt to include security patches = Fixed By
LOW      BUILD/DEPLOY on  Docker CIS 4.7: Alert on Update Instruction = Dockerfile Line
MEDIUM   DEPLOY       on  Docker CIS 5.1 Ensure that, if applicable, an AppArmor Profile is enabled = AppArmor Profile
MEDIUM   DEPLOY       on  Docker CIS 5.15: Ensure that the host's process namespace is not shared = Host PID
MEDIUM   DEPLOY       on  Docker CIS 5.16: Ensure that the host's IPC namespace is not shared = Host IPC
MEDIUM   DEPLOY       on  Docker CIS 5.19: Ensure mount propagation mode is not enabled = Mount Propagation
MEDIUM   DEPLOY       off Docker CIS 5.21: Ensure the default seccomp profile is not disabled = Seccomp Profile Type
MEDIUM   DEPLOY       on  Docker CIS 5.7: Ensure privileged ports are not mapped within containers = Exposed Node Port
MEDIUM   DEPLOY       on  Docker CIS 5.9 and 5.20: Ensure that the host's network namespace is not shared = Host Network
LOW      DEPLOY       off Drop All Capabilities = Drop Capabilities
HIGH     DEPLOY       on  Emergency Deployment Annotation = Disallowed Annotation
HIGH     DEPLOY       on  Environment Variable Contains Secret = Environment Variable
HIGH     DEPLOY       off Fixable CVSS >= 6 and Privileged = Privileged Container, Fixed By, CVSS
HIGH     BUILD/DEPLOY off Fixable CVSS >= 7 = Fixed By, CVSS
HIGH     BUILD/DEPLOY on  Fixable Severity at least Important = Fixed By, Severity
MEDIUM   DEPLOY       off Images with no scans = Unscanned Image
LOW      DEPLOY       on  Improper Usage of Orchestrator Secrets Volume = Dockerfile Line
LOW      BUILD/DEPLOY on  Insecure specified in CMD = Dockerfile Line
CRITICAL RUNTIME      on  Iptables or nftables Executed in Privileged Container = Privileged Container, Process Name, Process UID
HIGH     RUNTIME      on  Kubernetes Actions: Attach to Pod = Kubernetes Resource
HIGH     RUNTIME      on  Kubernetes Actions: Exec into Pod = Kubernetes Resource
MEDIUM   RUNTIME      on  Kubernetes Actions: Port Forward to Pod = Kubernetes Resource
LOW      DEPLOY       on  Kubernetes Dashboard Deployed = Image Remote
LOW      BUILD/DEPLOY on  Latest tag = Image Tag
HIGH     RUNTIME      on  Linux Group Add Execution = Process Name
HIGH     RUNTIME      on  Linux User Add Execution = Process Name
CRITICAL BUILD/DEPLOY on  Log4Shell: log4j Remote Code Execution vulnerability = CVE
HIGH     RUNTIME      off Login Binaries = Process Name
MEDIUM   DEPLOY       on  Mount Container Runtime Socket = Volume Source
MEDIUM   DEPLOY       on  Mounting Sensitive Host Directories = Volume Source
MEDIUM   RUNTIME      on  Netcat Execution Detected = Process Name
HIGH     RUNTIME      on  Network Management Execution = Process Name
MEDIUM   DEPLOY       on  No CPU request or memory limit specified = Container CPU Request, Container Memory Limit
MEDIUM   RUNTIME      on  OpenShift: Central Admin Secret Accessed = Kubernetes Resource, Kubernetes API Verb, Kubernetes Resource Name, Kubernetes User Name!
HIGH     RUNTIME      on  OpenShift: Kubeadmin Secret Accessed = Kubernetes Resource, Kubernetes API Verb, Kubernetes Resource Name, Kubernetes User Name!
MEDIUM   RUNTIME      on  OpenShift: Kubernetes Secret Accessed by an Impersonated User = Kubernetes Resource, Kubernetes API Verb, Is Impersonated User, Kubernetes User Name!
HIGH     RUNTIME      off Password Binaries = Process Name
MEDIUM   DEPLOY       on  Pod Service Account Token Automatically Mounted = Automount Service Account Token, Service Account, Namespace!
MEDIUM   DEPLOY       on  Privileged Container = Privileged Container
HIGH     DEPLOY       on  Privileged Containers with Important and Critical Fixable CVEs = Privileged Container, Fixed By, Severity
HIGH     RUNTIME      on  Process Targeting Cluster Kubelet Endpoint = Process Arguments
HIGH     RUNTIME      on  Process Targeting Cluster Kubernetes Docker Stats Endpoint = Process Arguments
HIGH     RUNTIME      on  Process Targeting Kubernetes Service Endpoint = Process Arguments
HIGH     RUNTIME      off Process with UID 0 = Process UID
HIGH     BUILD/DEPLOY off Rapid Reset: Denial of Service Vulnerability in HTTP/2 Protocol = CVE, Severity
LOW      RUNTIME      on  Red Hat Package Manager Execution = Process Name
LOW      BUILD/DEPLOY on  Red Hat Package Manager in Image = Image Component
HIGH     BUILD/DEPLOY off Red Hat images must be signed by a Red Hat release key = Image Registry, Image Signature Verified By, Image Remote
MEDIUM   RUNTIME      on  Remote File Copy Binary Execution = Process Name
LOW      DEPLOY       off Required Annotation: Email = Required Annotation
LOW      DEPLOY       off Required Annotation: Owner/Team = Required Annotation
LOW      BUILD/DEPLOY off Required Image Label = Required Image Label
LOW      DEPLOY       off Required Label: Owner/Team = Required Label
HIGH     DEPLOY       off Secret Mounted as Environment Variable = Environment Variable
HIGH     DEPLOY       on  Secure Shell (ssh) Port Exposed = Exposed Port, Exposed Port Protocol
HIGH     BUILD/DEPLOY on  Secure Shell (ssh) Port Exposed in Image = Dockerfile Line
HIGH     RUNTIME      on  Secure Shell Server (sshd) Execution = Process Name
HIGH     RUNTIME      off SetUID Processes = Process Name
HIGH     RUNTIME      off Shadow File Modification = Process Name
LOW      RUNTIME      off Shell Management = Process Name
HIGH     RUNTIME      on  Shell Spawned by Java Application = Process Name, Process Ancestor
CRITICAL BUILD/DEPLOY on  Spring4Shell (Spring Framework Remote Code Execution) and Spring Cloud Function vulnerabilities = CVE
LOW      RUNTIME      on  Ubuntu Package Manager Execution = Process Name
LOW      BUILD/DEPLOY on  Ubuntu Package Manager in Image = Image Component
HIGH     RUNTIME      on  Unauthorized Network Flow = Unexpected Network Flow Detected
HIGH     RUNTIME      on  Unauthorized Process Execution = Unexpected Process Executed
LOW      BUILD/DEPLOY off Wget in Image = Image Component
LOW      RUNTIME      on  chkconfig Execution = Process Name
MEDIUM   RUNTIME      on  crontab Execution = Process Name
HIGH     RUNTIME      on  iptables Execution = Process Name
HIGH     RUNTIME      on  nmap Execution = Process Name
LOW      RUNTIME      on  systemctl Execution = Process Name, Process Arguments!
LOW      RUNTIME      on  systemd Execution = Process Name
"""
_ROW = re.compile(r"(\w+) +([\w/]+) +(on|off) +(.+) = (.+)")


def table() -> dict[str, tuple[str, set[str], bool, list[str]]]:
    rows = {}
    for line in TABLE.splitlines():
        match = _ROW.fullmatch(line)
        assert match is not None, line
        rows[match[4]] = (match[1], set(match[2].split("/")), match[3] == "on", match[5].split(", "))
    return rows


def named(name: str) -> Policy:
    """That one, switched on."""
    (found,) = [policy for policy in default_policies() if policy.name == name]
    return msgspec.structs.replace(found, disabled=False)


def test_all_of_them_are_there_as_the_original_has_them() -> None:
    expected = table()
    assert len(expected) == 89
    assert {policy.name for policy in default_policies()} == set(expected)
    for policy in default_policies():
        severity, stages, on, criteria = expected[policy.name]
        assert policy.severity == f"{severity}_SEVERITY", policy.name
        assert set(policy.lifecycle_stages) == stages, policy.name
        assert (not policy.disabled) is on, policy.name
        asked_for = {group.field_name + ("!" if group.negate else "") for group in policy.groups()}
        assert asked_for == set(criteria), policy.name


def test_identifiers_are_different_and_texts_are_there() -> None:
    assert len({policy.id for policy in default_policies()}) == 89
    for policy in default_policies():
        assert policy.is_default
        assert policy.criteria_locked
        assert policy.mitre_vectors_locked
        assert policy.categories
        for text in (policy.description, policy.rationale, policy.remediation):
            assert 20 < len(text) < 300, policy.name
            assert text.endswith((".", ")")), policy.name


def test_each_is_valid_and_kept_as_it_is() -> None:
    for policy in default_policies():
        check(policy)
        assert prepared(policy) == policy


def test_each_can_be_asked() -> None:
    made = PolicySet(msgspec.structs.replace(policy, disabled=False) for policy in default_policies())
    assert made.refused == []
    assert len(made.compiled) == 89
    assert [each.policy.name for each in made.compiled if each.no_source] == [
        "Red Hat images must be signed by a Red Hat release key"
    ]


@pytest.mark.parametrize(
    ("name", "fits", "fits_not"),
    [
        ("Privileged Container", {"security_context": SecurityContext(privileged=True)}, {}),
        (
            "Mount Container Runtime Socket",
            {"volumes": (Volume(source="/var/run/docker.sock"),)},
            {"volumes": (Volume(source="/var/run/other.sock"),)},
        ),
        (
            "Mounting Sensitive Host Directories",
            {"volumes": (Volume(source="/etc/kubernetes"),)},
            {"volumes": (Volume(source="/opt"),)},
        ),
        (
            "Environment Variable Contains Secret",
            {
                "config": ContainerConfig(
                    env=(EnvironmentVariable(key="API_SECRET", value="x", env_var_source="RAW"),)
                )
            },
            {
                "config": ContainerConfig(
                    env=(EnvironmentVariable(key="API_SECRET", env_var_source="SECRET_KEY"),)
                )
            },
        ),
        (
            "No CPU request or memory limit specified",
            {"resources": Resources(cpu_cores_request=1)},
            {"resources": Resources(cpu_cores_request=1, memory_mb_limit=64)},
        ),
    ],
)
def test_policies_about_containers(name: str, fits: dict[str, object], fits_not: dict[str, object]) -> None:
    assert deployed(named(name), deployment(container(**fits))).broken
    assert not deployed(named(name), deployment(container(**fits_not))).broken


@pytest.mark.parametrize(
    ("name", "port", "fits"),
    [
        ("Secure Shell (ssh) Port Exposed", Port(container_port=22, protocol="TCP"), True),
        ("Secure Shell (ssh) Port Exposed", Port(container_port=22, protocol="UDP"), False),
        (
            "Docker CIS 5.7: Ensure privileged ports are not mapped within containers",
            Port(exposure_infos=(Exposure(level="NODE", node_port=1024),)),
            True,
        ),
        (
            "Docker CIS 5.7: Ensure privileged ports are not mapped within containers",
            Port(exposure_infos=(Exposure(level="INTERNAL", node_port=0),)),
            False,
        ),
    ],
)
def test_policies_about_ports(name: str, port: Port, fits: bool) -> None:
    assert bool(deployed(named(name), deployment(ports=(port,))).broken) is fits


@pytest.mark.parametrize(
    ("name", "line", "fits"),
    [
        ("Docker CIS 4.7: Alert on Update Instruction", ("RUN", "apt-get update "), True),
        (
            "Docker CIS 4.7: Alert on Update Instruction",
            ("RUN", "apt-get update && apt-get install x"),
            False,
        ),
        ("Secure Shell (ssh) Port Exposed in Image", ("EXPOSE", "22/tcp"), True),
        ("Improper Usage of Orchestrator Secrets Volume", ("VOLUME", "[/run/secrets]"), True),
        ("Improper Usage of Orchestrator Secrets Volume", ("VOLUME", "/run/secrets2"), False),
        ("Insecure specified in CMD", ("CMD", "server --insecure"), True),
    ],
)
def test_policies_about_dockerfiles(name: str, line: tuple[str, str], fits: bool) -> None:
    given = image(layers=(DockerfileLine(instruction=line[0], value=line[1]),))
    assert bool(deployed(named(name), deployment(), [given]).broken) is fits


def test_a_fix_for_an_important_flaw_fails_the_build() -> None:
    policies = asked(named("Fixable Severity at least Important"))
    flaws = [flaw(severity="IMPORTANT", fixed_by="2"), flaw(severity="CRITICAL"), flaw(fixed_by="2")]
    seen = [
        bool(
            policies.build(policies.image(image(ScannedComponent(name="x", vulns=(each,))), NOW), NOW).broken
        )
        for each in flaws
    ]
    assert seen == [True, False, False]


def test_a_shell_that_java_started() -> None:
    from redoubt.model.happening import Ancestor

    policies = asked(named("Shell Spawned by Java Application"))
    java = (Ancestor(parent_exec_file_path="/usr/bin/java"),)
    assert policies.process(deployment(), [None], started("bash", lineage_info=java), NOW).broken
    assert not policies.process(deployment(), [None], started("bash"), NOW).broken
    assert not policies.process(deployment(), [None], started("cat", lineage_info=java), NOW).broken


def test_requests_about_pods_and_secrets() -> None:
    policies = asked(
        [named("Kubernetes Actions: Exec into Pod"), named("OpenShift: Kubeadmin Secret Accessed")]
    )
    assert [each.policy.name for each in policies.request(deployment(), [None], request(), NOW).broken] == [
        "Kubernetes Actions: Exec into Pod"
    ]
    read = request("SECRETS", "GET")
    secret = msgspec.structs.replace(read.object, name="kubeadmin")
    assert not policies.audit(read, NOW).broken
    assert policies.audit(msgspec.structs.replace(read, object=secret), NOW).broken
