"""Kubernetes' objects become what policies look at, whatever is left out, and whatever strangers put in."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.model.workload import Deployment, ImageName, MountedSecret, Port
from redoubt.policies import kubernetes
from redoubt.policies.kubernetes import NotAWorkload, quantity


def named(text: str) -> ImageName:
    return ImageName(full_name=text)


def made(pod: dict[str, Any], kind: str = "Deployment", **meta: Any) -> Deployment:
    metadata = {"name": "shop", **meta}
    template = {"metadata": {"labels": {"app": "shop"}}, "spec": pod}
    spec: dict[str, Any] = {"template": template, "replicas": 3}
    if kind == "Pod":
        spec = pod
    if kind == "CronJob":
        spec = {"jobTemplate": {"spec": spec}}
    group = {"Pod": "v1", "CronJob": "batch/v1", "Job": "batch/v1", "ReplicationController": "v1"}.get(
        kind, "apps/v1"
    )
    given_object = {"apiVersion": group, "kind": kind, "metadata": metadata, "spec": spec}
    return kubernetes.deployment(given_object, named)


def contained(container: dict[str, Any], **pod: Any) -> Any:
    return made({"containers": [{"name": "web", "image": "shop:1", **container}], **pod}).containers[0]


@pytest.mark.parametrize("kind", sorted(kubernetes.KINDS - {"DeploymentConfig"}))
def test_every_kind_has_its_pod(kind: str) -> None:
    found = made({"containers": [{"name": "web", "image": "shop:1"}], "hostPID": True}, kind)
    assert (found.type, found.name, found.namespace) == (kind, "shop", "default")
    assert found.host_pid
    assert [each.name for each in found.containers] == ["web"]
    assert found.containers[0].image is not None
    assert found.containers[0].image.name == ImageName(full_name="shop:1")


def test_what_is_not_said_has_the_defaults_of_kubernetes() -> None:
    found = made({"containers": [{"name": "web", "image": "shop:1"}]})
    assert found.automount_service_account_token
    assert found.service_account == "default"
    assert not found.host_network
    assert found.replicas == 3
    context = found.containers[0].security_context
    assert context is not None
    assert context.allow_privilege_escalation
    assert not context.privileged
    assert context.seccomp_profile is None
    assert found.containers[0].liveness_probe is not None
    assert not found.containers[0].liveness_probe.defined


def test_init_and_ephemeral_containers_are_containers() -> None:
    one = [{"name": "a", "image": "x"}], [{"name": "b", "image": "x"}], [{"name": "c", "image": "x"}]
    found = made({"initContainers": one[0], "containers": one[1], "ephemeralContainers": one[2]}, "Pod")
    assert [(each.name, each.type) for each in found.containers] == [
        ("a", "INIT"),
        ("b", "REGULAR"),
        ("c", "REGULAR"),
    ]


def test_a_sidecar_is_no_init_container_to_policies_that_pass_these_over() -> None:
    several = [
        {"name": "a", "image": "x", "restartPolicy": "Always"},
        {"name": "b", "image": "x", "restartPolicy": None},
    ]
    found = made({"initContainers": several, "containers": [{"name": "c", "image": "x"}]}, "Pod")
    assert [each.type for each in found.containers] == ["REGULAR", "INIT", "REGULAR"]


def test_an_image_that_is_mounted_is_named() -> None:
    mounted = {"volumeMounts": [{"name": "v", "mountPath": "/tools"}]}
    found = contained(mounted, volumes=[{"name": "v", "image": {"reference": "evil.example/tools:1"}}])
    assert [(each.type, each.source, each.destination) for each in found.volumes] == [
        ("Image", "evil.example/tools:1", "/tools")
    ]


def test_security_contexts_of_container_and_pod() -> None:
    whole = {
        "seccompProfile": {"type": "Unconfined"},
        "runAsUser": 7,
        "appArmorProfile": {"type": "RuntimeDefault"},
    }
    own = {
        "privileged": True,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"add": ["SYS_ADMIN"], "drop": ["ALL"]},
    }
    found = contained({"securityContext": own}, securityContext=whole)
    context = found.security_context
    assert (context.privileged, context.read_only_root_filesystem, context.allow_privilege_escalation) == (
        True,
        True,
        False,
    )
    assert (context.add_capabilities, context.drop_capabilities) == (("SYS_ADMIN",), ("ALL",))
    assert context.seccomp_profile.type == "UNCONFINED"
    assert (found.config.uid, found.config.app_armor_profile) == (7, "runtime/default")
    override = {
        "seccompProfile": {"type": "Localhost", "localhostProfile": "p"},
        "appArmorProfile": {"type": "Unconfined"},
    }
    found = contained({"securityContext": override}, securityContext=whole)
    assert found.security_context.seccomp_profile.type == "LOCALHOST"
    assert found.config.app_armor_profile == "unconfined"


def test_apparmor_by_annotation_of_the_workload_or_its_pods() -> None:
    key = "container.apparmor.security.beta.kubernetes.io/web"
    found = made({"containers": [{"name": "web"}]}, annotations={key: "unconfined"})
    assert found.containers[0].config is not None
    assert found.containers[0].config.app_armor_profile == "unconfined"


def test_variables_volumes_and_secrets() -> None:
    found = contained(
        {
            "env": [
                {"name": "A", "value": "b"},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
                {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "D", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}},
                {"name": "E", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                {"name": "F", "valueFrom": {"somethingNew": {}}},
            ],
            "envFrom": [{"secretRef": {"name": "all"}}],
            "volumeMounts": [
                {"name": "host", "mountPath": "/h", "mountPropagation": "Bidirectional"},
                {"name": "key", "mountPath": "/k"},
                {"name": "odd", "mountPath": "/o", "readOnly": True},
                {"name": "gone", "mountPath": "/g"},
            ],
        },
        volumes=[
            {"name": "host", "hostPath": {"path": "/var/run/docker.sock"}},
            {"name": "key", "secret": {"secretName": "tls"}},
            {"name": "odd", "csi": {"driver": "x"}},
        ],
        imagePullSecrets=[{"name": "pull"}],
    )
    assert [(each.key, each.env_var_source) for each in found.config.env] == [
        ("A", "RAW"), ("B", "SECRET_KEY"), ("C", "FIELD"), ("D", "CONFIG_MAP_KEY"), ("E", "RESOURCE_FIELD"),
        ("F", "UNKNOWN"),
    ]  # fmt: skip
    assert [(each.type, each.source, each.read_only, each.mount_propagation) for each in found.volumes] == [
        ("HostPath", "/var/run/docker.sock", False, "BIDIRECTIONAL"),
        ("unknown", "", True, "NONE"),
        ("unknown", "", False, "NONE"),
    ]
    assert found.secrets == (
        MountedSecret(name="tls", path="/k"),
        MountedSecret(name="pull"),
        MountedSecret(name="all"),
        MountedSecret(name="db"),
    )


def test_ports_resources_and_probes() -> None:
    found = contained(
        {
            "ports": [{"containerPort": 22}, {"containerPort": 53, "protocol": "UDP", "hostPort": 53}],
            "resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": 2, "memory": "1Gi"}},
            "livenessProbe": {"httpGet": {"port": 80}},
            "readinessProbe": {},
        }
    )
    assert [(each.container_port, each.protocol, each.exposure) for each in found.ports] == [
        (22, "TCP", "UNSET"),
        (53, "UDP", "HOST"),
    ]
    assert found.ports[1].exposure_infos[0].node_port == 53
    given_resources = found.resources
    assert (given_resources.cpu_cores_request, given_resources.cpu_cores_limit) == (0.25, 2.0)
    assert (given_resources.memory_mb_request, given_resources.memory_mb_limit) == (1024.0, 1024.0)
    assert found.liveness_probe.defined
    assert not found.readiness_probe.defined
    assert isinstance(found.ports[0], Port)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", "0.5"), ("2", "2"), (2, "2"), (0.5, "0.5"), ("1Ki", "1024"), ("1.5Gi", "1610612736"), ("2e3", "2000"),
        ("1E", "1e18"), ("128M", "128000000"), ("", "0"), ("x", "0"), ("1.2.3", "0"), (None, "0"), (True, "0"),
        ("9" * 50, "0"), ("1e9999", "0"), ([], "0"),
    ],
)  # fmt: skip
def test_quantities(text: object, value: str) -> None:
    assert quantity(text) == Decimal(value)


def test_what_belongs_to_another_workload_and_what_makes_no_pods() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x"}
    assert kubernetes.owned({"metadata": {"ownerReferences": [owner]}})
    assert not kubernetes.owned({"metadata": {"ownerReferences": [{"apiVersion": "x/v1", "kind": "Thing"}]}})
    assert not kubernetes.owned({})
    assert kubernetes.is_workload({"apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig"})
    for other in (
        {"apiVersion": "v1", "kind": "Service"},
        {"apiVersion": "argo/v1", "kind": "Job"},
        {},
        {"apiVersion": 1, "kind": {}},
        {"kind": []},
    ):
        assert not kubernetes.is_workload(other)
        with pytest.raises(NotAWorkload):
            kubernetes.deployment(other, named)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (5, "spec: a whole number in place of an object"),
        ({"containers": "privileged"}, "spec.containers: a text in place of a list"),
        ({"containers": {"a": "b"}}, "spec.containers: an object in place of a list"),
        ({"containers": [1, None]}, "spec.containers[0]: a whole number in place of an object"),
        ({"containers": [{"image": 5}]}, "spec.containers[0].image: a whole number in place of a text"),
        (
            {"containers": [{"securityContext": "x"}]},
            "spec.containers[0].securityContext: a text in place of an object",
        ),
        (
            {"containers": [{"securityContext": {"privileged": "true"}}]},
            "securityContext.privileged: a text in place of true or false",
        ),
        (
            {"containers": [{"securityContext": {"runAsUser": "0"}}]},
            "securityContext.runAsUser: a text in place of a whole number",
        ),
        (
            {"containers": [{"securityContext": {"capabilities": {"add": "ALL"}}}]},
            "securityContext.capabilities.add: a text in place of a list",
        ),
        (
            {"containers": [{"ports": [{"containerPort": True}]}]},
            "spec.containers[0].ports[0].containerPort: true or false in place of a whole number",
        ),
        (
            {"containers": [{"env": [{"name": "A", "value": 1}]}]},
            "spec.containers[0].env[0].value: a whole number in place of a text",
        ),
        ({"hostNetwork": "yes"}, "spec.hostNetwork: a text in place of true or false"),
        (
            {"volumes": [{"name": "a", "hostPath": "/"}]},
            "spec.volumes[0].hostPath: a text in place of an object",
        ),
    ],
)
def test_what_kubernetes_would_not_take_is_refused_and_not_taken_for_nothing(spec: object, told: str) -> None:
    if isinstance(spec, dict) and "volumes" in spec:
        spec = {**spec, "containers": [{"name": "c"}]}
    with pytest.raises(NotAWorkload, match=re.escape(told)):
        kubernetes.deployment({"apiVersion": "v1", "kind": "Pod", "spec": spec}, named)
    with pytest.raises(NotAWorkload, match=re.escape(told)):
        kubernetes.read(msgspec.json.encode({"apiVersion": "v1", "kind": "Pod", "spec": spec}))


def test_json_that_nobody_decoded_says_the_same() -> None:
    container = {"name": "web", "image": "shop:1", "livenessProbe": {"exec": {}}, "unknown": [{"a": None}]}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x", "controller": True}
    document = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "n", "ownerReferences": [owner], "labels": {"a": None}},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [container]}}}}},
    }
    found = kubernetes.read(msgspec.json.encode(document))
    assert kubernetes.converted(found, named) == kubernetes.deployment(document, named)
    assert kubernetes.converted(found, named).labels == {"a": ""}
    assert found.metadata is not None
    assert kubernetes.is_owned(found.metadata.owner_references)
    for other in (
        b"{}",
        b"[",
        b"null",
        b'{"kind":"Service"}',
        b'{"kind":"Pod","apiVersion":"x/v1"}',
        b"\xff",
    ):
        with pytest.raises(NotAWorkload):
            kubernetes.read(other)


def test_keys_of_yaml_that_are_numbers_are_texts() -> None:
    found = kubernetes.deployment(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "n", "labels": {1: "x"}}}, named
    )
    assert found.labels == {"1": "x"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "env",
                    "valueFrom",
                    "ports",
                    "containerPort",
                    "securityContext",
                    "capabilities",
                    "add",
                    "volumeMounts",
                    "volumes",
                    "hostPath",
                    "resources",
                    "limits",
                    "cpu",
                    "secretKeyRef",
                    "containers",
                    "image",
                    "replicas",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(_JSON, _JSON, _JSON)
def test_anything_becomes_a_workload_or_is_refused(meta: Any, pod: Any, containers: Any) -> None:
    whole = {**pod, "containers": containers} if isinstance(pod, dict) else pod
    for kind, spec in (("Pod", whole), ("Deployment", {"template": {"spec": whole, "metadata": meta}})):
        document = {"apiVersion": "v1", "kind": kind, "metadata": meta, "spec": spec}
        try:
            found = kubernetes.deployment(document, named)
        except NotAWorkload:
            continue
        assert msgspec.json.decode(msgspec.json.encode(found), type=Deployment, strict=False).type == kind
