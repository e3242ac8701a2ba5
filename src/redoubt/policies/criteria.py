"""The criteria that policies are made of: what each is called, reads, means, and may be combined with. Data only.

The names, flags and event sources are those of StackRox's ``pkg/booleanpolicy`` (facts 4.1); there are 79. A criterion
reads from one thing: a workload, one of its containers, one volume of a container, one flaw of a component of its
image… ``Level`` says which, and ``sections`` sees to it that what is asked of one thing holds for the same thing.
"""

from __future__ import annotations

import enum
import operator
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from redoubt.model.happening import API_VERBS, RESOURCES, FileAccess, KubernetesEvent, StartedProcess
from redoubt.model.scannedimage import SEVERITY_ENDING, VULNERABILITY_SEVERITIES, ScannedFlaw, ScannedImage
from redoubt.model.workload import (
    EXPOSURES,
    MOUNT_PROPAGATIONS,
    PERMISSION_LEVELS,
    SECCOMP_PROFILES,
    Container,
    EnvironmentVariable,
)
from redoubt.policies import grammars, values
from redoubt.policies.grammars import Grammar
from redoubt.policies.values import Kind


class Level(enum.StrEnum):
    """What a criterion reads from. What lies in an image is ``IMAGE`` to ``FLAW``."""

    DEPLOYMENT = "deployment"
    NETWORK_POLICIES = "network policies"
    PORT = "port"
    EXPOSURE = "exposure"
    CONTAINER = "container"
    VARIABLE = "variable"
    VOLUME = "volume"
    NAME = "image name"
    IMAGE = "image"
    LINE = "Dockerfile line"
    COMPONENT = "component"
    FLAW = "vulnerability"
    PROCESS = "process"
    ANCESTOR = "ancestor"
    EVENT = "Kubernetes event"
    FLOW = "network flow"
    FILE = "file access"


IN_IMAGES = frozenset({Level.NAME, Level.IMAGE, Level.LINE, Level.COMPONENT, Level.FLAW})


class Happening(enum.StrEnum):
    """The kinds of event that a runtime criterion is about."""

    PROCESS = "process"
    KUBERNETES = "Kubernetes event"
    AUDIT = "audit log event"
    FLOW = "network flow"
    FILE = "file access"


DEPLOYMENT_EVENT, AUDIT_LOG_EVENT, NODE_EVENT = "DEPLOYMENT_EVENT", "AUDIT_LOG_EVENT", "NODE_EVENT"


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """One criterion. ``read`` gives what ``kind``'s question is asked of, None where the object does not say it: that fits nothing.

    ``part`` is the field of a container that it reads in, where it is all in one. ``sources`` and ``happenings`` are empty where it is no runtime criterion. ``needs_image``: an image has to be
    looked at first. ``no_source`` says what is missing where Redoubt has no data for it yet.
    """

    name: str
    level: Level
    read: Callable[[Any], Any]
    kind: Kind
    grammar: Grammar
    negatable: bool = True
    joinable: bool = True
    part: str = ""
    sources: frozenset[str] = frozenset()
    happenings: frozenset[Happening] = frozenset()
    needs_image: bool = False
    no_source: str = ""

    @property
    def runtime(self) -> bool:
        """Whether it is about something that happens."""
        return bool(self.sources)


ALL: dict[str, Criterion] = {}


def _criterion(
    name: str,
    level: Level,
    read: Callable[[Any], Any],
    kind: Kind,
    grammar: Grammar,
    flags: str = "",
    **more: Any,
) -> None:
    """``flags``: ``N`` no negation, ``O`` no more than one value, ``I`` an image has to be looked at."""
    assert name not in ALL
    ALL[name] = Criterion(
        name=name,
        level=level,
        read=read,
        kind=kind,
        grammar=grammar,
        negatable="N" not in flags,
        joinable="O" not in flags,
        needs_image="I" in flags,
        **more,
    )


def _within(outer: str, inner: str) -> Callable[[Any], Any]:
    """A field of a part that may not be there."""

    def read(given: Any) -> Any:
        part = getattr(given, outer)
        return None if part is None else getattr(part, inner)

    return read


def _field(name: str) -> Callable[[Any], Any]:
    return operator.attrgetter(name)


def _configured(name: str) -> Callable[[ScannedImage], Any]:
    """A field of what the image's configuration says."""

    def read(image: ScannedImage) -> Any:
        if image.metadata is None or image.metadata.v1 is None:
            return None
        return getattr(image.metadata.v1, name)

    return read


def _seccomp(container: Container) -> str | None:
    context = container.security_context
    if context is None or context.seccomp_profile is None:
        return None
    return context.seccomp_profile.type


def _variable(variable: EnvironmentVariable) -> Sequence[str]:
    return variable.env_var_source, variable.key, variable.value


def _vouching(image: ScannedImage) -> Sequence[str] | None:
    """Who vouches for the image under the name that is asked for."""
    data = image.signature_verification_data
    if data is None:
        return None
    name = image.name.full_name if image.name is not None else ""
    return [
        result.verifier_id
        for result in data.results
        if result.status == "VERIFIED" and name in result.verified_image_references
    ]


def _process(name: str) -> Callable[[StartedProcess], Any]:
    return lambda started: None if started.process.signal is None else getattr(started.process.signal, name)


def _about(name: str) -> Callable[[KubernetesEvent], Any]:
    return lambda event: None if event.object is None else getattr(event.object, name)


def _by(name: str) -> Callable[[KubernetesEvent], Any]:
    return lambda event: None if event.user is None else getattr(event.user, name)


def _accessed(access: FileAccess) -> Sequence[str]:
    return [
        path
        for file in (access.file, access.moved)
        if file is not None
        for path in (file.actual_path, file.effective_path)
        if path
    ]


#: What is one thing to people and several to the kernel.
_OPERATIONS = {"ACL_CHANGE": "PERMISSION_CHANGE", "XATTR_SET": "XATTR_CHANGE", "XATTR_REMOVE": "XATTR_CHANGE"}


def observed(flaw: ScannedFlaw) -> bool:
    """Whether a flaw counts: nobody deferred it or called it a false positive."""
    return not flaw.suppressed and flaw.state == "OBSERVED"


def _workloads() -> None:
    D, C = Level.DEPLOYMENT, Level.CONTAINER  # noqa: N806
    truth, text, compare = grammars.BOOLEAN, grammars.TEXT, grammars.COMPARISON
    _criterion("Namespace", D, _field("namespace"), values.regex, text)
    _criterion("Replicas", D, _field("replicas"), values.integer, compare)
    _criterion("Service Account", D, _field("service_account"), values.regex, text)
    _criterion("Runtime Class", D, _field("runtime_class"), values.regex, text)
    _criterion("Host IPC", D, _field("host_ipc"), values.boolean, truth, "NO")
    _criterion("Host Network", D, _field("host_network"), values.boolean, truth, "NO")
    _criterion("Host PID", D, _field("host_pid"), values.boolean, truth, "NO")
    _criterion(
        "Automount Service Account Token",
        D,
        _field("automount_service_account_token"),
        values.boolean,
        truth,
        "NO",
    )
    _criterion(
        "Minimum RBAC Permissions",
        D,
        _field("service_account_permission_level"),
        values.ranked(PERMISSION_LEVELS, at_least=True),
        grammars.PERMISSIONS,
        "O",
    )
    _criterion("Disallowed Annotation", D, _field("annotations"), values.has_pair, text, "N")
    _criterion("Required Annotation", D, _field("annotations"), values.lacks_pairs, grammars.KEY_VALUE, "N")
    _criterion("Required Label", D, _field("labels"), values.lacks_pairs, grammars.KEY_VALUE, "N")
    for word in ("Ingress", "Egress"):
        _criterion(
            f"Has {word} Network Policy",
            Level.NETWORK_POLICIES,
            _field(word.lower()),
            values.boolean,
            truth,
            "O",
        )
    _criterion("Exposed Port", Level.PORT, _field("container_port"), values.integer, compare)
    _criterion("Exposed Port Protocol", Level.PORT, _field("protocol"), values.beginning, text)
    _criterion("Exposed Node Port", Level.EXPOSURE, _field("node_port"), values.integer, compare)
    _criterion(
        "Port Exposure Method", Level.EXPOSURE, _field("level"), values.ranked(EXPOSURES), grammars.EXPOSURE
    )
    secured = "security_context"
    _criterion("Container Name", C, _field("name"), values.regex, text)
    _criterion("AppArmor Profile", C, _within("config", "app_armor_profile"), values.regex, text)
    for name, field in (
        ("Privileged Container", "privileged"),
        ("Allow Privilege Escalation", "allow_privilege_escalation"),
        ("Read-Only Root Filesystem", "read_only_root_filesystem"),
    ):
        _criterion(name, C, _within(secured, field), values.boolean, truth, "NO", part=secured)
    _criterion(
        "Add Capabilities",
        C,
        _within(secured, "add_capabilities"),
        values.words,
        grammars.ADDED,
        "N",
        part=secured,
    )
    _criterion(
        "Drop Capabilities",
        C,
        _within(secured, "drop_capabilities"),
        values.not_dropped,
        grammars.DROPPED,
        "N",
        part=secured,
    )
    _criterion(
        "Seccomp Profile Type",
        C,
        _seccomp,
        values.ranked(SECCOMP_PROFILES),
        grammars.SECCOMP,
        "O",
        part=secured,
    )
    for name, field in (
        ("Container CPU Limit", "cpu_cores_limit"),
        ("Container CPU Request", "cpu_cores_request"),
        ("Container Memory Limit", "memory_mb_limit"),
        ("Container Memory Request", "memory_mb_request"),
    ):
        _criterion(name, C, _within("resources", field), values.number, compare, "N", part="resources")
    _criterion("Liveness Probe Defined", C, _within("liveness_probe", "defined"), values.boolean, truth, "NO")
    _criterion(
        "Readiness Probe Defined", C, _within("readiness_probe", "defined"), values.boolean, truth, "O"
    )
    _criterion(
        "Environment Variable", Level.VARIABLE, _variable, values.compound(3), grammars.ENVIRONMENT, "N"
    )
    V = Level.VOLUME  # noqa: N806
    _criterion("Volume Name", V, _field("name"), values.regex, text)
    _criterion("Volume Source", V, _field("source"), values.regex, text)
    _criterion("Volume Destination", V, _field("destination"), values.regex, text)
    _criterion("Volume Type", V, _field("type"), values.regex, text)
    _criterion(
        "Mount Propagation",
        V,
        _field("mount_propagation"),
        values.ranked(MOUNT_PROPAGATIONS),
        grammars.PROPAGATION,
    )
    _criterion("Writable Mounted Volume", V, _field("read_only"), values.opposite, truth, "NO")
    _criterion(
        "Writable Host Mount",
        V,
        lambda volume: volume.read_only if volume.type.lower().startswith("hostpath") else None,
        values.opposite,
        truth,
        "NO",
    )


def _images() -> None:
    I, F = Level.IMAGE, Level.FLAW  # noqa: E741, N806
    text, compare, number_of_days = grammars.TEXT, grammars.COMPARISON, grammars.DAYS
    for name, field in (("Image Registry", "registry"), ("Image Remote", "remote"), ("Image Tag", "tag")):
        _criterion(name, Level.NAME, _field(field), values.regex, text)
    _criterion("Image User", I, _configured("user"), values.regex, text, "I")
    _criterion("Image Age", I, _configured("created"), values.days, number_of_days, "NOI")
    _criterion("Image OS", I, _within("scan", "operating_system"), values.regex, text, "I")
    _criterion("Image Scan Age", I, _within("scan", "scan_time"), values.days, number_of_days, "NOI")
    _criterion(
        "Unscanned Image", I, lambda image: image.scan is None, values.boolean, grammars.BOOLEAN, "NOI"
    )
    _criterion("Required Image Label", I, _configured("labels"), values.lacks_pairs, grammars.KEY_VALUE, "NI")
    _criterion("Disallowed Image Label", I, _configured("labels"), values.has_pair, grammars.KEY_VALUE, "NI")
    _criterion(
        "Image Signature Verified By",
        I,
        _vouching,
        values.verified_by,
        grammars.SIGNATURE,
        "NI",
        no_source="signatures of images are not verified yet",
    )
    _criterion(
        "Dockerfile Line",
        Level.LINE,
        lambda line: (line.instruction, line.value),
        values.compound(2),
        grammars.DOCKERFILE,
        "NI",
    )
    _criterion(
        "Image Component",
        Level.COMPONENT,
        lambda component: (component.name, component.version),
        values.compound(2),
        grammars.KEY_VALUE,
        "NI",
    )
    _criterion("CVE", F, _field("cve"), values.regex, text, "I")
    _criterion("CVSS", F, _field("cvss"), values.number, compare, "NI")
    _criterion("NVD CVSS", F, _field("nvd_cvss"), values.number, compare, "NI")
    _criterion(
        "Severity",
        F,
        _field("severity"),
        values.ranked(VULNERABILITY_SEVERITIES, ending=SEVERITY_ENDING),
        grammars.SEVERITY,
        "NI",
    )
    _criterion("Fixed By", F, _field("fixed_by"), values.fixes, text, "I")
    _criterion("Fixable", F, lambda flaw: bool(flaw.fixed_by), values.boolean, grammars.BOOLEAN, "NOI")
    for name, field in (
        ("Days Since CVE Was Published", "published_on"),
        ("Days Since CVE Fix Was Available", "fix_available_timestamp"),
        ("Days Since CVE Was First Discovered In Image", "first_image_occurrence"),
        ("Days Since CVE Was First Discovered In System", "first_system_occurrence"),
    ):
        _criterion(name, F, _field(field), values.days, number_of_days, "NOI")


def _happenings() -> None:
    text, truth = grammars.TEXT, grammars.BOOLEAN
    anywhere: dict[str, Any] = {
        "sources": frozenset({NODE_EVENT, DEPLOYMENT_EVENT}),
        "happenings": frozenset({Happening.PROCESS}),
    }
    in_pods = frozenset({DEPLOYMENT_EVENT})
    P, E = Level.PROCESS, Level.EVENT  # noqa: N806
    _criterion("Process Name", P, _process("name"), values.regex, text, **anywhere)
    _criterion("Process Arguments", P, _process("args"), values.containing, text, **anywhere)
    _criterion("Process UID", P, _process("uid"), values.integer, text, **anywhere)
    _criterion(
        "Process Ancestor", Level.ANCESTOR, _field("parent_exec_file_path"), values.regex, text, **anywhere
    )
    _criterion(
        "Unexpected Process Executed",
        P,
        _field("not_in_baseline"),
        values.boolean,
        truth,
        "NO",
        sources=in_pods,
        happenings=frozenset({Happening.PROCESS}),
    )
    _criterion(
        "Unexpected Network Flow Detected",
        Level.FLOW,
        _field("not_in_network_baseline"),
        values.boolean,
        truth,
        "NO",
        sources=in_pods,
        happenings=frozenset({Happening.FLOW}),
    )
    requests: dict[str, Any] = {
        "sources": frozenset({DEPLOYMENT_EVENT, AUDIT_LOG_EVENT}),
        "happenings": frozenset({Happening.KUBERNETES, Happening.AUDIT}),
    }
    audited: dict[str, Any] = {
        "sources": frozenset({AUDIT_LOG_EVENT}),
        "happenings": frozenset({Happening.AUDIT}),
    }
    _criterion(
        "Kubernetes Resource",
        E,
        _about("resource"),
        values.ranked(RESOURCES),
        grammars.POD_RESOURCE,
        "N",
        **requests,
    )
    name = grammars.KUBERNETES_NAME
    _criterion("Kubernetes User Name", E, _by("username"), values.beginning, name, **requests)
    _criterion("Kubernetes User Groups", E, _by("groups"), values.beginnings, name, **requests)
    _criterion(
        "Kubernetes API Verb", E, _field("api_verb"), values.ranked(API_VERBS), grammars.VERB, "N", **audited
    )
    _criterion("Kubernetes Resource Name", E, _about("name"), values.beginning, text, **audited)
    _criterion("Source IP Address", E, _field("source_ips"), values.beginnings, grammars.ADDRESS, **audited)
    _criterion("User Agent", E, _field("user_agent"), values.beginning, text, **audited)
    _criterion(
        "Is Impersonated User",
        E,
        lambda event: event.impersonated_user is not None,
        values.boolean,
        truth,
        "NO",
        **audited,
    )
    files: dict[str, Any] = {
        "sources": frozenset({NODE_EVENT, DEPLOYMENT_EVENT}),
        "happenings": frozenset({Happening.FILE}),
        "no_source": "what happens to files is not watched yet",
    }
    _criterion("File Path", Level.FILE, _accessed, values.paths, grammars.PATH, "N", **files)
    _criterion(
        "File Operation",
        Level.FILE,
        lambda access: _OPERATIONS.get(access.operation, access.operation),
        values.beginning,
        grammars.FILE_OPERATION,
        **files,
    )


_workloads()
_images()
_happenings()
