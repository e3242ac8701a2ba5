"""Every criterion: objects that it fits and objects that it does not."""

from __future__ import annotations

from typing import Any

import pytest

from redoubt.model.happening import AccessedFile, Ancestor, EventObject, EventUser, FileAccess
from redoubt.model.scannedimage import (
    DockerfileLine,
    ImageScan,
    ScannedComponent,
    ScannedImage,
    SignatureResult,
    SignatureVerification,
)
from redoubt.model.workload import (
    Container,
    ContainerConfig,
    ContainerImage,
    EnvironmentVariable,
    Exposure,
    ImageName,
    NetworkPolicies,
    Port,
    Probe,
    Resources,
    SeccompProfile,
    SecurityContext,
    Surroundings,
    Volume,
)
from redoubt.policies.criteria import ALL
from redoubt.policies.policy import PolicyGroup
from support.policies import (
    NOW,
    ago,
    asked,
    container,
    deployed,
    deployment,
    flaw,
    flow,
    group,
    image,
    policy,
    request,
    runtime,
    started,
)

SIGNER = "io.stackrox.signatureintegration.00000000-0000-4000-8000-00000000000a"
NAME = "registry.example/team/shop:1.4"


def own(**fields: Any) -> Any:
    return ("deployment", fields)


def inside(**fields: Any) -> Any:
    return ("container", fields)


def secured(**fields: Any) -> Any:
    return inside(security_context=SecurityContext(**fields))


def configured(**fields: Any) -> Any:
    return inside(config=ContainerConfig(**fields))


def variable(source: str, key: str, value: str) -> Any:
    return configured(env=(EnvironmentVariable(key=key, value=value, env_var_source=source),))


def volume(**fields: Any) -> Any:
    return inside(volumes=(Volume(**fields),))


def port(exposures: tuple[Exposure, ...] = (), **fields: Any) -> Any:
    return own(ports=(Port(exposure_infos=exposures, **fields),))


def exposed(**fields: Any) -> Any:
    return port((Exposure(**fields),), container_port=80)


def named(**fields: Any) -> Any:
    return inside(image=ContainerImage(name=ImageName(**fields)))


def scanned(given: ScannedImage) -> Any:
    return ("image", given)


def looked_at(**v1: Any) -> Any:
    return scanned(image(**v1))


def having(name: str, version: str, **fields: Any) -> Any:
    flaws = (flaw(**fields),) if fields else ()
    return scanned(image(ScannedComponent(name=name, version=version, vulns=flaws)))


def flawed(**fields: Any) -> Any:
    return having("openssl", "3.0", **fields)


def signed(by: str, what: str = NAME, status: str = "VERIFIED") -> Any:
    result = SignatureResult(verifier_id=by, status=status, verified_image_references=(what,))
    given = image()
    return scanned(
        ScannedImage(
            name=given.name,
            metadata=given.metadata,
            scan=given.scan,
            signature_verification_data=SignatureVerification(results=(result,)),
        )
    )


def networked(**fields: Any) -> Any:
    return ("around", Surroundings(network_policies=NetworkPolicies(**fields)))


def running(name: str = "sh", **more: Any) -> Any:
    return ("process", started(name, **more))


def asking(resource: str = "PODS_EXEC", **more: Any) -> Any:
    return ("request", request(resource, **more))


def logged(resource: str = "SECRETS", verb: str = "GET", **more: Any) -> Any:
    return ("audit", request(resource, verb, **more))


def touched(path: str = "/etc/shadow", operation: str = "OPEN", moved: str = "", actual: str = "") -> Any:
    return (
        "file",
        FileAccess(
            file=AccessedFile(effective_path=path, actual_path=actual),
            operation=operation,
            moved=AccessedFile(effective_path=moved) if moved else None,
        ),
    )


def days(name: str, field: str) -> Any:
    return (
        group(name, "30"),
        [flawed(**{field: ago(31)})],
        [flawed(**{field: ago(29)}), flawed(cve="CVE-2099-0002"), flawed(**{field: ago(-1)})],
    )


SECRETS = group("Kubernetes Resource", "SECRETS"), group("Kubernetes API Verb", "GET")
EXEC = (group("Kubernetes Resource", "PODS_EXEC"),)

#: Criterion, objects that it fits, objects that it does not.
CASES: list[tuple[PolicyGroup, list[Any], list[Any]]] = [
    (
        group("Add Capabilities", "NET_ADMIN"),
        [secured(add_capabilities=("CHOWN", "net_admin"))],
        [secured(add_capabilities=("NET_ADMIN_2",)), secured(), inside(security_context=None)],
    ),
    (
        group("Add Capabilities", "CHOWN", "KILL", every=True),
        [secured(add_capabilities=("KILL", "CHOWN"))],
        [secured(add_capabilities=("KILL",))],
    ),
    (
        group("Allow Privilege Escalation", "true"),
        [secured(allow_privilege_escalation=True)],
        [secured(), inside(security_context=None)],
    ),
    (
        group("AppArmor Profile", "unconfined"),
        [configured(app_armor_profile="Unconfined")],
        [configured(app_armor_profile="unconfined-2"), configured(), inside(config=None)],
    ),
    (
        group("AppArmor Profile", "runtime/default", negate=True),
        [configured(), configured(app_armor_profile="unconfined")],
        [configured(app_armor_profile="runtime/default"), inside(config=None)],
    ),
    (group("Automount Service Account Token", "true"), [own(automount_service_account_token=True)], [own()]),
    (
        group("CVE", "CVE-2099-00.*"),
        [flawed(cve="cve-2099-0001")],
        [
            flawed(cve="CVE-2099-0101"),
            flawed(cve="XCVE-2099-0001"),
            flawed(cve="CVE-2099-0001", suppressed=True),
            flawed(cve="CVE-2099-0001", state="DEFERRED"),
            scanned(ScannedImage()),
        ],
    ),
    (
        group("CVE", "CVE-2099-0001", negate=True),
        [flawed(cve="CVE-2099-0002")],
        [flawed(cve="CVE-2099-0001")],
    ),
    (
        group("CVSS", ">= 7"),
        [flawed(cvss=7.0), flawed(cvss=9.8)],
        [flawed(cvss=6.9), flawed(cve="CVE-2099-0001"), having("openssl", "3.0")],
    ),
    (group("CVSS", "7.5"), [flawed(cvss=7.5), flawed(cvss=7.50001)], [flawed(cvss=7.6)]),
    (group("CVSS", ">7", "<2"), [flawed(cvss=1.0), flawed(cvss=8.0)], [flawed(cvss=7.0), flawed(cvss=2.0)]),
    (group("CVSS", ">7", "<9", every=True), [flawed(cvss=8.0)], [flawed(cvss=9.0)]),
    (group("NVD CVSS", "<= 4.5"), [flawed(nvd_cvss=4.5)], [flawed(nvd_cvss=4.6, cvss=1.0)]),
    (
        group("Container CPU Limit", "0"),
        [inside(resources=Resources())],
        [inside(resources=Resources(cpu_cores_limit=0.5)), inside(resources=None)],
    ),
    (
        group("Container CPU Request", ">1.5"),
        [inside(resources=Resources(cpu_cores_request=1.6))],
        [inside(resources=Resources(cpu_cores_request=1.5))],
    ),
    (
        group("Container Memory Limit", "<64"),
        [inside(resources=Resources(memory_mb_limit=63.9))],
        [inside(resources=Resources(memory_mb_limit=64))],
    ),
    (
        group("Container Memory Request", ">= 128"),
        [inside(resources=Resources(memory_mb_request=128))],
        [inside(resources=Resources(memory_mb_request=127.5))],
    ),
    (group("Container Name", "we.|api"), [inside(name="web"), inside(name="API")], [inside(name="webb")]),
    days("Days Since CVE Was Published", "published_on"),
    days("Days Since CVE Fix Was Available", "fix_available_timestamp"),
    days("Days Since CVE Was First Discovered In Image", "first_image_occurrence"),
    days("Days Since CVE Was First Discovered In System", "first_system_occurrence"),
    (
        group("Disallowed Annotation", "break.*=.+"),
        [own(annotations={"break-glass": "42"})],
        [own(annotations={"break-glass": ""}), own(annotations={"team": "x"}), own()],
    ),
    (
        group("Disallowed Annotation", "debug"),
        [own(annotations={"debug": ""})],
        [own(annotations={"debug2": ""})],
    ),
    (
        group("Disallowed Image Label", "stage=test"),
        [looked_at(labels={"Stage": "TEST"})],
        [looked_at(labels={"stage": "tests"}), looked_at(), scanned(ScannedImage())],
    ),
    (
        group("Dockerfile Line", "ADD=.*"),
        [looked_at(layers=(DockerfileLine(instruction="add", value="x /\ny"),))],
        [looked_at(layers=(DockerfileLine(instruction="COPY", value="ADD"),)), looked_at()],
    ),
    (
        group("Dockerfile Line", "=.*curl.*"),
        [looked_at(layers=(DockerfileLine(instruction="RUN", value="apt install curl -y"),))],
        [looked_at(layers=(DockerfileLine(instruction="RUN", value="true"),))],
    ),
    (
        group("Drop Capabilities", "CHOWN", "KILL"),
        [secured(), secured(drop_capabilities=("SETUID",))],
        [
            secured(drop_capabilities=("kill",)),
            secured(drop_capabilities=("all",)),
            inside(security_context=None),
        ],
    ),
    (
        group("Drop Capabilities", "CHOWN", "KILL", every=True),
        [secured(drop_capabilities=("KILL",))],
        [secured(drop_capabilities=("KILL", "CHOWN")), secured(drop_capabilities=("ALL",))],
    ),
    (
        group("Drop Capabilities", "ALL"),
        [secured(drop_capabilities=("KILL",))],
        [secured(drop_capabilities=("KILL", "ALL"))],
    ),
    (
        group("Environment Variable", "RAW=.*PASSWORD.*=.*"),
        [variable("RAW", "DB_PASSWORD", "one\ntwo"), variable("RAW", "password", "")],
        [
            variable("SECRET_KEY", "DB_PASSWORD", ""),
            variable("RAW", "USER", "x"),
            configured(),
            inside(config=None),
        ],
    ),
    (group("Environment Variable", "==4[0-9]"), [variable("RAW", "A", "42")], [variable("RAW", "A", "421")]),
    (
        group("Exposed Node Port", "<1024"),
        [exposed(level="NODE", node_port=22)],
        [exposed(level="NODE", node_port=1024), port(container_port=22)],
    ),
    (group("Exposed Port", "22"), [port(container_port=22)], [port(container_port=222), own()]),
    (group("Exposed Port", ">=8080"), [port(container_port=8081)], [port(container_port=8079)]),
    (group("Exposed Port", "22", negate=True), [port(container_port=80)], [port(container_port=22), own()]),
    (
        group("Exposed Port Protocol", "tcp"),
        [port(protocol="TCP")],
        [port(protocol="UDP"), port(protocol="")],
    ),
    (
        group("File Operation", "XATTR_CHANGE"),
        [touched(operation="XATTR_SET"), touched(operation="XATTR_REMOVE")],
        [touched(operation="OPEN")],
    ),
    (
        group("File Operation", "PERMISSION_CHANGE"),
        [touched(operation="PERMISSION_CHANGE"), touched(operation="ACL_CHANGE")],
        [touched(operation="CREATE")],
    ),
    (
        group("File Path", "/etc/**"),
        [
            touched("/etc/ssh/sshd_config"),
            touched("/tmp/x", moved="/etc/x"),
            touched("", actual="/etc/passwd"),
        ],
        [touched("/home/etc/x"), touched("")],
    ),
    (group("File Path", "/etc/*.conf"), [touched("/etc/a.conf")], [touched("/etc/a/b.conf")]),
    (group("Fixable", "true"), [flawed(fixed_by="3.1")], [flawed(cve="CVE-2099-0001")]),
    (group("Fixable", "false"), [flawed(cve="CVE-2099-0001")], [flawed(fixed_by="3.1")]),
    (group("Fixed By", ".*"), [flawed(fixed_by="3.1")], [flawed(cve="CVE-2099-0001")]),
    (group("Fixed By", r"3\..*"), [flawed(fixed_by="3.1")], [flawed(fixed_by="4.3.1")]),
    (group("Has Egress Network Policy", "false"), [networked(ingress=True)], [networked(egress=True), own()]),
    (
        group("Has Ingress Network Policy", "false"),
        [networked(egress=True)],
        [networked(ingress=True), own()],
    ),
    (
        group("Has Ingress Network Policy", "false", negate=True),
        [networked(ingress=True)],
        [networked(egress=True), own()],
    ),
    (group("Host IPC", "true"), [own(host_ipc=True)], [own(host_pid=True)]),
    (group("Host Network", "true"), [own(host_network=True)], [own()]),
    (group("Host PID", "false"), [own()], [own(host_pid=True)]),
    (
        group("Image Age", "90"),
        [looked_at(created=ago(91))],
        [looked_at(created=ago(89)), looked_at(), scanned(ScannedImage())],
    ),
    (
        group("Image Component", "apt|dpkg="),
        [having("APT", "1.0"), having("dpkg", "")],
        [having("apt-get", "1.0"), looked_at()],
    ),
    (group("Image Component", r"open.*=3\.0"), [having("openssl", "3.0")], [having("openssl", "3.0.1")]),
    (
        group("Image OS", "debian:1[12]"),
        [looked_at()],
        [scanned(ScannedImage(scan=ImageScan(operating_system="alpine:v3.20"))), scanned(ScannedImage())],
    ),
    (
        group("Image Registry", "registry.example"),
        [named(registry="registry.example"), scanned(image())],
        [named(registry="docker.io"), own()],
    ),
    (group("Image Remote", "team/.*"), [named(remote="team/shop")], [named(remote="other/team/shop")]),
    (group("Image Tag", "latest"), [named(tag="latest")], [named(tag="latest-1"), named(tag="")]),
    (group("Image Tag", "latest", negate=True), [named(tag="1.4")], [named(tag="latest")]),
    (
        group("Image Scan Age", "30"),
        [scanned(ScannedImage(scan=ImageScan(scan_time=ago(31))))],
        [looked_at(), scanned(ScannedImage(scan=ImageScan()))],
    ),
    (
        group("Image Signature Verified By", SIGNER),
        [
            signed("io.stackrox.signatureintegration.other"),
            signed(SIGNER, "other"),
            signed(SIGNER, status="FAILED"),
        ],
        [signed(SIGNER)],
    ),
    (
        group("Image User", "0|root"),
        [looked_at(user="root"), looked_at(user="0")],
        [looked_at(user="1000"), looked_at(user="")],
    ),
    (
        group("Is Impersonated User", "true"),
        [logged(impersonated_user=EventUser(username="x"))],
        [logged()],
    ),
    (group("Kubernetes Resource", "PODS_EXEC"), [asking()], [asking("PODS_ATTACH")]),
    (group("Kubernetes Resource", "PODS_PORTFORWARD"), [asking("PODS_PORTFORWARD")], [asking(object=None)]),
    (group("Kubernetes Resource", "SECRETS"), [logged()], [logged("CONFIGMAPS")]),
    (
        group("Kubernetes API Verb", "GET", "PATCH"),
        [logged(), logged(verb="PATCH")],
        [logged(verb="DELETE"), logged(verb="SOMETHING_NEW")],
    ),
    (
        group("Kubernetes Resource Name", "central-htpasswd"),
        [logged(object=EventObject(resource="SECRETS", name="central-htpasswd"))],
        [logged(), logged(object=None)],
    ),
    (group("Kubernetes User Name", "system:"), [asking(), logged()], [asking(user=EventUser(username="me"))]),
    (
        group("Kubernetes User Name", "system:admin", negate=True),
        [logged(user=EventUser(username="me"))],
        [logged(), logged(user=None)],
    ),
    (
        group("Kubernetes User Groups", "dev", "system:masters", every=True),
        [asking()],
        [asking(user=EventUser(groups=("developers",)))],
    ),
    (
        group("Kubernetes User Groups", "system:masters", negate=True),
        [logged(user=EventUser(groups=("developers",))), logged(user=EventUser())],
        [logged()],
    ),
    (
        group("Liveness Probe Defined", "false"),
        [inside(liveness_probe=Probe())],
        [inside(liveness_probe=Probe(defined=True)), inside()],
    ),
    (
        group("Readiness Probe Defined", "true"),
        [inside(readiness_probe=Probe(defined=True))],
        [inside(readiness_probe=Probe()), inside()],
    ),
    (
        group("Minimum RBAC Permissions", "ELEVATED_IN_NAMESPACE"),
        [
            own(service_account_permission_level="ELEVATED_IN_NAMESPACE"),
            own(service_account_permission_level="CLUSTER_ADMIN"),
        ],
        [own(service_account_permission_level="DEFAULT"), own(service_account_permission_level="UNSET")],
    ),
    (
        group("Minimum RBAC Permissions", "ELEVATED_CLUSTER_WIDE", negate=True),
        [own(service_account_permission_level="NONE")],
        [
            own(service_account_permission_level="CLUSTER_ADMIN"),
            own(service_account_permission_level="UNSET"),
        ],
    ),
    (
        group("Mount Propagation", "BIDIRECTIONAL"),
        [volume(mount_propagation="BIDIRECTIONAL")],
        [volume(mount_propagation="HOST_TO_CONTAINER"), volume()],
    ),
    (
        group("Mount Propagation", "HOSTTOCONTAINER"),
        [volume(mount_propagation="HOST_TO_CONTAINER")],
        [volume()],
    ),
    (
        group("Namespace", "stores|kube-.*"),
        [own(), own(namespace="KUBE-system")],
        [own(namespace="stores-2")],
    ),
    (group("Namespace", "kube-.*", negate=True), [own()], [own(namespace="kube-system")]),
    (
        group("Port Exposure Method", "EXTERNAL", "route"),
        [exposed(level="ROUTE"), exposed(level="EXTERNAL")],
        [exposed(level="INTERNAL"), exposed(level="UNSET"), own()],
    ),
    (
        group("Privileged Container", "true"),
        [secured(privileged=True)],
        [secured(), inside(security_context=None)],
    ),
    (
        group("Process Ancestor", ".*java"),
        [
            running(
                lineage_info=(
                    Ancestor(parent_exec_file_path="/bin/sh"),
                    Ancestor(parent_exec_file_path="/x/java"),
                )
            )
        ],
        [running(lineage_info=(Ancestor(parent_exec_file_path="/x/java17"),)), running()],
    ),
    (
        group("Process Arguments", "kubelet|169\\.254"),
        [running(args="-v http://169.254.1.1/x"), running(args="KUBELET")],
        [running(args="169x254"), running()],
    ),
    (
        group("Process Arguments", "--version", negate=True),
        [running(args="start"), running()],
        [running(args="a --version b")],
    ),
    (group("Process Name", "apt|dpkg"), [running("dpkg")], [running("apt-get"), running("")]),
    (
        group("Process Name", "(/[s]*bin/){0,1}(ba|c|z){0,1}sh"),
        [running("/bin/bash"), running("SH")],
        [running("fish")],
    ),
    (group("Process UID", "0"), [running(uid=0)], [running(uid=10)]),
    (group("Process UID", ">=1000", "7"), [running(uid=7), running(uid=1000)], [running(uid=999)]),
    (
        group("Read-Only Root Filesystem", "false"),
        [secured()],
        [secured(read_only_root_filesystem=True), inside(security_context=None)],
    ),
    (group("Replicas", "<2"), [own(replicas=1)], [own(replicas=2)]),
    (group("Replicas", ">=3", negate=True), [own(replicas=2)], [own(replicas=3)]),
    (
        group("Required Annotation", "email=.+@.+"),
        [own(), own(annotations={"email": "nobody"})],
        [own(annotations={"Email": "a@b.example"})],
    ),
    (
        group("Required Annotation", "owner=.+", "team=.+"),
        [own(annotations={"other": "x"})],
        [own(annotations={"team": "x"}), own(annotations={"owner": "y"})],
    ),
    (group("Required Label", "owner|team=.+"), [own(labels={"owner": ""})], [own(labels={"team": "blue"})]),
    (
        group("Required Image Label", "version=.*"),
        [looked_at()],
        [looked_at(labels={"version": ""}), scanned(ScannedImage())],
    ),
    (group("Runtime Class", "gvisor"), [own(runtime_class="gvisor")], [own(), own(runtime_class="gvisor2")]),
    (group("Runtime Class", "gvisor", negate=True), [own()], [own(runtime_class="gvisor")]),
    (
        group("Seccomp Profile Type", "UNCONFINED"),
        [secured(seccomp_profile=SeccompProfile())],
        [secured(seccomp_profile=SeccompProfile(type="LOCALHOST")), secured(), inside(security_context=None)],
    ),
    (
        group("Seccomp Profile Type", "RUNTIME_DEFAULT", negate=True),
        [secured(seccomp_profile=SeccompProfile())],
        [secured(seccomp_profile=SeccompProfile(type="RUNTIME_DEFAULT"))],
    ),
    (
        group("Service Account", "default"),
        [own(service_account="default")],
        [own(), own(service_account="my-default")],
    ),
    (
        group("Severity", ">= IMPORTANT"),
        [flawed(severity="CRITICAL"), flawed(severity="IMPORTANT")],
        [flawed(severity="MODERATE"), flawed(severity="UNKNOWN"), flawed(severity="SOMETHING_NEW")],
    ),
    (group("Severity", "low"), [flawed(severity="LOW")], [flawed(severity="MODERATE")]),
    (
        group("Source IP Address", "10.1.2.3"),
        [logged(source_ips=("192.0.2.1", "10.1.2.3"))],
        [logged(source_ips=("10.1.2.4",)), logged()],
    ),
    (group("Unexpected Network Flow Detected", "true"), [("flow", flow())], [("flow", flow(False))]),
    (group("Unexpected Process Executed", "true"), [running(unexpected=True)], [running()]),
    (
        group("Unscanned Image", "true"),
        [scanned(ScannedImage()), own()],
        [looked_at()],
    ),
    (group("Unscanned Image", "false"), [looked_at()], [scanned(ScannedImage())]),
    (group("User Agent", "kubectl/"), [logged(user_agent="Kubectl/v1.30")], [logged(user_agent="oc/1")]),
    (group("User Agent", "r/.*curl.*"), [logged(user_agent="libcurl/8")], [logged(user_agent="wget")]),
    (
        group("Volume Destination", "/etc/.*"),
        [volume(destination="/etc/x")],
        [volume(destination="/var/etc/x")],
    ),
    (group("Volume Name", "data"), [volume(name="data")], [volume(name="data-2"), inside()]),
    (
        group("Volume Source", "(/etc|/proc)(/.*)?"),
        [volume(source="/etc"), volume(source="/proc/1")],
        [volume(source="/etcetera")],
    ),
    (
        group("Volume Type", "hostpath", negate=True),
        [volume(type="EmptyDir")],
        [volume(type="HostPath"), inside()],
    ),
    (
        group("Writable Host Mount", "true"),
        [volume(type="HostPath")],
        [volume(type="HostPath", read_only=True), volume(type="EmptyDir")],
    ),
    (
        group("Writable Host Mount", "false"),
        [volume(type="HostPath", read_only=True)],
        [volume(type="HostPath")],
    ),
    (group("Writable Mounted Volume", "true"), [volume()], [volume(read_only=True), inside()]),
]


def verdict(asked_for: PolicyGroup, thing: tuple[str, Any]) -> bool:
    """Whether a policy of that criterion is broken by the object."""
    kind, given = thing
    criterion = ALL[asked_for.field_name]
    if not criterion.runtime:
        made = policy([asked_for])
        if kind == "deployment":
            found = deployed(made, deployment(**given))
        elif kind == "container":
            found = deployed(made, deployment(Container(**{**_fields(container()), **given})))
        elif kind == "around":
            found = deployed(made, deployment(), around=given)
        else:
            found = deployed(made, deployment(), [given])
        return _said(found)
    source = "AUDIT_LOG_EVENT" if kind == "audit" else "DEPLOYMENT_EVENT"
    made_set = asked(runtime([asked_for], source=source))
    if kind == "audit":
        return _said(made_set.audit(given, NOW))
    ask = {
        "process": made_set.process,
        "request": made_set.request,
        "flow": made_set.flow,
        "file": made_set.file,
    }
    return _said(ask[kind](deployment(), [None], given, NOW))


def _fields(given: Container) -> dict[str, Any]:
    return {name: getattr(given, name) for name in given.__struct_fields__}


def _said(found: Any) -> bool:
    assert not found.unanswered
    for broken in found.broken:
        assert broken.violations
        assert all(each.message and each.held for each in broken.violations)
    return bool(found.broken)


@pytest.mark.parametrize(("asked_for", "fits", "fits_not"), CASES, ids=lambda v: getattr(v, "field_name", ""))
def test_criterion_fits_what_it_describes_and_nothing_else(
    asked_for: PolicyGroup, fits: list[Any], fits_not: list[Any]
) -> None:
    assert [thing for thing in fits if not verdict(asked_for, thing)] == []
    assert [thing for thing in fits_not if verdict(asked_for, thing)] == []


def test_every_criterion_has_a_case() -> None:
    assert len(ALL) == 79
    assert {case[0].field_name for case in CASES} == set(ALL)
