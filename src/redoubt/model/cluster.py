"""What there is in a cluster beside workloads, and what Central and a cluster's services tell each other. No I/O.

Names of the fields are those of StackRox's ``proto/storage`` (``pod_service``, ``node``, ``namespace``, ``secret``,
``service_account``, ``rbac``, ``network_policy``, ``cluster``), as its JSON writes them. What goes over
``redoubt.v1.Sensors`` and the cluster's own services is one of these structs, as JSON or MessagePack.
"""

from __future__ import annotations

from typing import Any

import msgspec

from redoubt.model.workload import Deployment, Moment, Part


class ContainerInstance(Part, frozen=True, kw_only=True):
    """A container that runs, or ran. ``container_id`` is the runtime's, 64 hexadecimal digits, without its scheme."""

    container_id: str = ""
    container_name: str = ""
    image_digest: str = ""
    started: Moment | None = None
    finished: Moment | None = None
    exit_code: int = 0
    termination_reason: str = ""


class Pod(Part, frozen=True, kw_only=True):
    """``storage.Pod``. ``node`` and ``ips`` are ours."""

    id: str = ""
    name: str = ""
    deployment_id: str = ""
    namespace: str = ""
    cluster_id: str = ""
    started: Moment | None = None
    live_instances: tuple[ContainerInstance, ...] = ()
    terminated_instances: tuple[ContainerInstance, ...] = ()
    node: str = ""
    ips: tuple[str, ...] = ()


class Described(Part, frozen=True, kw_only=True):
    """What Kubernetes' objects have in common."""

    id: str = ""
    name: str = ""
    cluster_id: str = ""
    cluster_name: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Taint(Part, frozen=True, kw_only=True):
    """Why pods avoid a node."""

    key: str = ""
    value: str = ""
    taint_effect: str = ""


class ClusterNode(Described, frozen=True, kw_only=True):
    """``storage.Node``, as Kubernetes tells of it."""

    taints: tuple[Taint, ...] = ()
    joined_at: Moment | None = None
    internal_ip_addresses: tuple[str, ...] = ()
    external_ip_addresses: tuple[str, ...] = ()
    container_runtime_version: str = ""
    kernel_version: str = ""
    os_image: str = ""
    operating_system: str = ""
    kubelet_version: str = ""
    kube_proxy_version: str = ""


class Namespace(Described, frozen=True, kw_only=True):
    """``storage.NamespaceMetadata``."""

    creation_time: Moment | None = None


class SecretFile(Part, frozen=True, kw_only=True):
    """What a secret holds under a name, by its kind; ``cert_end`` where it is a certificate. The value itself is never here."""

    name: str = ""
    type: str = "UNDETERMINED"
    cert_end: Moment | None = None


class Secret(Described, frozen=True, kw_only=True):
    """``storage.Secret``: what there is, never what it says. ``deployments`` are those that use it."""

    namespace: str = ""
    type: str = ""
    created_at: Moment | None = None
    files: tuple[SecretFile, ...] = ()


class ConfigMap(Part, frozen=True, kw_only=True):
    """That there is a config map, and the names in it."""

    id: str = ""
    name: str = ""
    namespace: str = ""
    cluster_id: str = ""
    keys: tuple[str, ...] = ()


class ServiceAccount(Described, frozen=True, kw_only=True):
    """``storage.ServiceAccount``."""

    namespace: str = ""
    created_at: Moment | None = None
    automount_token: bool = False
    secrets: tuple[str, ...] = ()
    image_pull_secrets: tuple[str, ...] = ()


class PolicyRule(Part, frozen=True, kw_only=True):
    """What a role allows."""

    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = ()


class K8sRole(Described, frozen=True, kw_only=True):
    """``storage.K8sRole``."""

    namespace: str = ""
    cluster_role: bool = False
    created_at: Moment | None = None
    rules: tuple[PolicyRule, ...] = ()


class Subject(Part, frozen=True, kw_only=True):
    """Who is given a role: ``kind`` is ``SERVICE_ACCOUNT``, ``USER`` or ``GROUP``."""

    kind: str = "UNSET_KIND"
    name: str = ""
    namespace: str = ""


class K8sRoleBinding(Described, frozen=True, kw_only=True):
    """``storage.K8sRoleBinding``. ``role_id`` is empty where there is no such role."""

    namespace: str = ""
    cluster_role: bool = False
    created_at: Moment | None = None
    subjects: tuple[Subject, ...] = ()
    role_id: str = ""
    role_name: str = ""


class ClusterNetworkPolicy(Described, frozen=True, kw_only=True):
    """``storage.NetworkPolicy``; ``spec`` is Kubernetes' own."""

    namespace: str = ""
    created: Moment | None = None
    spec: dict[str, Any] = {}


class PolicyReference(Part, frozen=True, kw_only=True):
    """A network policy, by name."""

    namespace: str = ""
    name: str = ""


class PoliciesToApply(Part, frozen=True, kw_only=True):
    """Network policies (Kubernetes' objects) that are to be added or to take the place of those of their name, and others to delete."""

    policies: tuple[dict[str, Any], ...] = ()
    delete: tuple[PolicyReference, ...] = ()


class AppliedPolicies(Part, frozen=True, kw_only=True):
    """What undoes it: network policies as they were, and those that there were not."""

    restore: tuple[dict[str, Any], ...] = ()
    delete: tuple[PolicyReference, ...] = ()


class Service(Part, frozen=True, kw_only=True):
    """A Kubernetes service or ingress, as much as the network graph needs. ``kind`` is ``Service`` or ``Ingress``."""

    id: str = ""
    name: str = ""
    namespace: str = ""
    cluster_id: str = ""
    kind: str = "Service"
    type: str = ""
    cluster_ips: tuple[str, ...] = ()
    external_ips: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    selector: dict[str, str] = {}


#: What ``ObjectEvent.kind`` may be, and the struct of each.
KINDS: dict[str, type[Part]] = {
    "deployment": Deployment,
    "pod": Pod,
    "node": ClusterNode,
    "namespace": Namespace,
    "secret": Secret,
    "configmap": ConfigMap,
    "serviceaccount": ServiceAccount,
    "role": K8sRole,
    "binding": K8sRoleBinding,
    "networkpolicy": ClusterNetworkPolicy,
    "service": Service,
}


class Identification(Part, frozen=True, kw_only=True):
    """``SensorDeploymentIdentification`` with ``ProviderMetadata``: what a cluster says it is."""

    system_namespace_id: str = ""
    default_namespace_id: str = ""
    app_namespace: str = ""
    app_namespace_id: str = ""
    k8s_version: str = ""
    k8s_build_date: str = ""
    openshift_version: str = ""
    cluster_labels: dict[str, str] = {}


class Entity(Part, frozen=True, kw_only=True):
    """``NetworkEntityInfo``: one end of a flow. ``type`` is ``DEPLOYMENT``, ``INTERNET``, ``EXTERNAL_SOURCE`` or ``INTERNAL_ENTITIES``.

    ``id`` is a deployment's, or the address outside (as text) where ``type`` is ``INTERNET`` and the address is known.
    """

    type: str = "UNKNOWN_TYPE"
    id: str = ""


class FlowRecord(Part, frozen=True, kw_only=True):
    """A flow between two entities: open where ``closed`` is None. Times are nanoseconds since 1970, UTC."""

    source: Entity
    destination: Entity
    port: int = 0
    protocol: str = "L4_PROTOCOL_TCP"
    seen: int = 0
    closed: int | None = None


class EndpointRecord(Part, frozen=True, kw_only=True):
    """A port that a process of a deployment listens on: open where ``closed`` is None."""

    deployment_id: str = ""
    pod_id: str = ""
    pod_uid: str = ""
    container_name: str = ""
    port: int = 0
    protocol: str = "L4_PROTOCOL_TCP"
    process_name: str = ""
    exec_file_path: str = ""
    args: str = ""
    seen: int = 0
    closed: int | None = None


class PullSecret(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A secret of the type ``kubernetes.io/dockerconfigjson``, or the older ``dockercfg``. Never logged, never on a Sensor's disk."""

    namespace: str
    name: str
    #: The file's text.
    config: str

    def __repr__(self) -> str:
        return f"PullSecret({self.namespace}/{self.name})"


class Enforcement(Part, frozen=True, kw_only=True):
    """What is to be done to a deployment or pod; ``action`` is one of StackRox's ``EnforcementAction``."""

    action: str = "UNSET_ENFORCEMENT"
    deployment_id: str = ""
    deployment_type: str = ""
    namespace: str = ""
    name: str = ""
    #: The pod's name; with its UID no other pod of that name is meant.
    pod_id: str = ""
    pod_uid: str = ""
    alert_id: str = ""


class DelegatedRegistry(Part, frozen=True, kw_only=True):
    """Images whose full name begins with ``path`` are scanned by that cluster; the default one where it is empty."""

    path: str = ""
    cluster_id: str = ""


class DelegatedRegistryConfig(Part, frozen=True, kw_only=True):
    """``DelegatedRegistryConfig``; ``enabled_for`` is ``NONE``, ``ALL`` or ``SPECIFIC``."""

    enabled_for: str = "NONE"
    default_cluster_id: str = ""
    registries: tuple[DelegatedRegistry, ...] = ()


class AdmissionControl(Part, frozen=True, kw_only=True):
    """How the admission controller decides. ``at_deadline`` is ``ALLOW`` or ``DENY``: what counts where images are not known in time."""

    enabled: bool = True
    enforce_on_creates: bool = True
    enforce_on_updates: bool = True
    scan_inline: bool = True
    disable_bypass: bool = False
    fail_closed: bool = False
    timeout_seconds: int = 10
    at_deadline: str = "ALLOW"


class ClusterConfig(Part, frozen=True, kw_only=True):
    """What Central sets for a cluster."""

    cluster_id: str = ""
    cluster_name: str = ""
    cluster_labels: dict[str, str] = {}
    admission: AdmissionControl = AdmissionControl()
    delegated: DelegatedRegistryConfig = DelegatedRegistryConfig()
    disable_audit_logs: bool = False
    registry_override: str = ""
    external_ips: bool = False
    networks: tuple[str, ...] = ()


#: The ConfigMap that the Sensor keeps ``AdmissionSettings`` in, and under which name of its ``binaryData``: JSON, by gzip.
ADMISSION_CONFIG_MAP = "admission-control"
ADMISSION_CONFIG_KEY = "settings.json.gz"


class AdmissionSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All that an admission controller decides by, as the Sensor gives it and as it is kept in the ConfigMap and on disk.

    ``policies`` are StackRox's JSON, one each. ``namespace_labels`` are by name, for policies whose scopes ask for them.
    ``images`` is another text each time that what is known of images changed: what is kept of them is forgotten then.
    ``central`` is the address to ask where the Sensor is away.
    """

    revision: int
    config: ClusterConfig
    policies: tuple[msgspec.Raw, ...] = ()
    namespace_labels: dict[str, dict[str, str]] = {}
    central: str = ""
    images: str = ""


class AdmissionFigures(Part, frozen=True, kw_only=True):
    """What an admission controller did since its last word. ``dropped`` are alerts for which it had no room."""

    hostname: str = ""
    allowed: int = 0
    denied: int = 0
    bypassed: int = 0
    deadline: int = 0
    failed: int = 0
    dropped: int = 0


class ContainerBaseline(Part, frozen=True, kw_only=True):
    """Programs that a deployment's container is known to run. Others break a policy only where it is ``locked``."""

    deployment_id: str = ""
    container_name: str = ""
    locked: bool = False
    paths: tuple[str, ...] = ()


class BaselinePeer(Part, frozen=True, kw_only=True):
    """Who a deployment may talk to: the other end, its port where the deployment is the client (``ingress`` false), else its own."""

    entity: Entity
    port: int = 0
    protocol: str = "L4_PROTOCOL_TCP"
    ingress: bool = False


class DeploymentNetworkBaseline(Part, frozen=True, kw_only=True):
    """Peers that a deployment is known to have. Others break a policy only where it is ``locked``."""

    deployment_id: str = ""
    locked: bool = False
    peers: tuple[BaselinePeer, ...] = ()


class BaselineSync(Part, frozen=True, kw_only=True):
    """Baselines as Central has them: all of them where ``whole``, else those that changed. One that is ``removed`` is forgotten."""

    whole: bool = False
    processes: tuple[ContainerBaseline, ...] = ()
    networks: tuple[DeploymentNetworkBaseline, ...] = ()
    removed_deployments: tuple[str, ...] = ()


class ServiceHealth(Part, frozen=True, kw_only=True):
    """How many of a service there are, and what ails it. ``status`` is ``HEALTHY``, ``DEGRADED``, ``UNHEALTHY`` or ``UNAVAILABLE``."""

    status: str = "UNAVAILABLE"
    desired: int = 0
    ready: int = 0
    version: str = ""
    method: str = ""
    problems: tuple[str, ...] = ()


class CertificateEnd(Part, frozen=True, kw_only=True):
    """The certificate of a cluster's service that ends first. ``service`` is ``SENSOR_SERVICE`` and the like; seconds since 1970."""

    service: str
    ends: int
    begins: int = 0


class Health(Part, frozen=True, kw_only=True):
    """How a cluster's services are, and what was lost for want of room, by kind, since the Sensor began."""

    sensor: ServiceHealth = ServiceHealth()
    collector: ServiceHealth = ServiceHealth()
    admission: ServiceHealth = ServiceHealth()
    scanner: ServiceHealth = ServiceHealth()
    dropped: dict[str, int] = {}
    spooled: int = 0
    admission_figures: tuple[AdmissionFigures, ...] = ()
    certificates: tuple[CertificateEnd, ...] = ()
