"""What happens in a cluster, as the original tells of it: processes, requests to the API server, connections, files. No I/O.

Names of the fields are those of StackRox's ``proto/storage``: ``process_indicator``, ``kube_event``, ``network_flow``,
``file_access`` and ``node``, as its JSON writes them; only what policies look at.
"""

from __future__ import annotations

import msgspec

from redoubt.model.workload import Moment, Part

#: ``KubernetesEvent.APIVerb`` and ``KubernetesEvent.Object.Resource``.
API_VERBS = ("UNKNOWN", "CREATE", "UPDATE", "PATCH", "DELETE", "LIST", "GET", "WATCH", "PROXY")
RESOURCES = (
    "UNKNOWN",
    "PODS_EXEC",
    "PODS_PORTFORWARD",
    "SECRETS",
    "CONFIGMAPS",
    "CLUSTER_ROLES",
    "CLUSTER_ROLE_BINDINGS",
    "NETWORK_POLICIES",
    "SECURITY_CONTEXT_CONSTRAINTS",
    "EGRESS_FIREWALLS",
    "PODS_ATTACH",
)


class Ancestor(Part, frozen=True, kw_only=True):
    """``ProcessSignal.LineageInfo``: a process above this one."""

    parent_uid: int = 0
    parent_exec_file_path: str = ""


class ProcessSignal(Part, frozen=True, kw_only=True):
    """A program that was started. ``name`` is the kernel's, at most 15 bytes; ``lineage_info`` is nearest first."""

    id: str = ""
    container_id: str = ""
    time: Moment | None = None
    name: str = ""
    args: str = ""
    exec_file_path: str = ""
    pid: int = 0
    uid: int = 0
    gid: int = 0
    lineage_info: tuple[Ancestor, ...] = ()


class Process(Part, frozen=True, kw_only=True):
    """``ProcessIndicator``: a program that was started, and where."""

    id: str = ""
    deployment_id: str = ""
    container_name: str = ""
    pod_id: str = ""
    pod_uid: str = ""
    cluster_id: str = ""
    namespace: str = ""
    image_id: str = ""
    signal: ProcessSignal | None = None


class StartedProcess(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A program that was started, and whether the container's baseline knows it."""

    process: Process
    not_in_baseline: bool = False


class EventObject(Part, frozen=True, kw_only=True):
    """What a request was about; ``resource`` is one of ``RESOURCES``."""

    name: str = ""
    resource: str = "UNKNOWN"
    cluster_id: str = ""
    namespace: str = ""


class EventUser(Part, frozen=True, kw_only=True):
    """Who asked."""

    username: str = ""
    groups: tuple[str, ...] = ()


class PodExecArgs(Part, frozen=True, kw_only=True):
    """What was run, and in which container."""

    container: str = ""
    commands: tuple[str, ...] = ()


class PodAttachArgs(Part, frozen=True, kw_only=True):
    """Which container somebody attached to."""

    container: str = ""


class PodPortForwardArgs(Part, frozen=True, kw_only=True):
    """Which ports were forwarded."""

    ports: tuple[int, ...] = ()


class KubernetesEvent(Part, frozen=True, kw_only=True):
    """A request to the API server: from the admission controller (exec, attach, port-forward) or from the audit log."""

    id: str = ""
    object: EventObject | None = None
    timestamp: Moment | None = None
    api_verb: str = "UNKNOWN"
    pod_exec_args: PodExecArgs | None = None
    pod_port_forward_args: PodPortForwardArgs | None = None
    pod_attach_args: PodAttachArgs | None = None
    user: EventUser | None = None
    impersonated_user: EventUser | None = None
    source_ips: tuple[str, ...] = ()
    user_agent: str = ""


class NetworkFlow(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """A connection between two entities, and whether the workload's network baseline knows it.

    ``…_type`` are the original's ``NetworkEntityInfo.Type``: ``DEPLOYMENT``, ``INTERNET``, ``EXTERNAL_SOURCE``….
    """

    src_entity_name: str = ""
    src_entity_type: str = "UNKNOWN_TYPE"
    dst_entity_name: str = ""
    dst_entity_type: str = "UNKNOWN_TYPE"
    dst_port: int = 0
    l4_protocol: str = "L4_PROTOCOL_UNKNOWN"
    not_in_network_baseline: bool = False


class AccessedFile(Part, frozen=True, kw_only=True):
    """A file as the container sees it (``effective_path``) and as the node does (``actual_path``)."""

    effective_path: str = ""
    actual_path: str = ""


class FileAccess(Part, frozen=True, kw_only=True):
    """``FileAccess``: what a process did to a file; ``moved`` is where it is now, after a ``RENAME``."""

    file: AccessedFile | None = None
    operation: str = "CREATE"
    moved: AccessedFile | None = None
    timestamp: Moment | None = None
    process: Process | None = None
    hostname: str = ""


class Node(Part, frozen=True, kw_only=True):
    """``storage.Node``, as much as an alert says of it."""

    id: str = ""
    name: str = ""
    cluster_id: str = ""
    cluster_name: str = ""
