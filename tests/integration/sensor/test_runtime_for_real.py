"""A process and a connection of a real container (runc), the real kernel, a real Collector, Sensor and API server: they end up at
Central with the right pod. There is no kubelet: the test writes the pods' status. Central is a stand-in. And the API server's audit log.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt.model import happening
from redoubt.model.cluster import EndpointRecord, FlowRecord
from redoubt.wire.proto.redoubt.v1.sensors_pb2 import Records
from support.collecting import begin
from support.containers import contained, needs_runc
from support.hub import CLUSTER, StandIn, listening
from support.kernel import DEADLINE, Contained, needs_bpf
from support.kube import AUDIT_TOKEN, Cluster, kube  # noqa: F401  (a fixture)
from support.policies import group, policy
from support.sensing import deployment, sensing
from support.wire import Certificates, run

pytestmark = pytest.mark.xdist_group("kube")

SCRIPT = """
nc -l -p 8080 -e /bin/true &
while ! netstat -ltn | grep -q :8080; do :; done
nc 127.0.0.1 8080 < /dev/null
wait
exit 0
"""


def records(central: StandIn, kind: Records.Kind.ValueType, struct: type) -> list[Any]:
    return [
        each
        for message in central.records
        if message.kind == kind
        for each in msgspec.msgpack.decode(message.records, type=list[struct])  # type: ignore[valid-type]
    ]


def run_status(kube: Cluster, pod: dict[str, Any], container: Contained, address: str) -> None:  # noqa: F811
    """What a kubelet says of a pod whose container runs."""
    told = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "containerStatuses": [
            {
                "name": "main",
                "image": "registry.example/shop:1.4",
                "imageID": "registry.example/shop@sha256:" + "ab" * 32,
                "containerID": f"containerd://{container.identifier}",
                "ready": True,
                "restartCount": 0,
                "started": True,
                "state": {"running": {"startedAt": "2099-01-01T00:00:00Z"}},
            }
        ],
    }
    kube.admin.patch({"apiVersion": "v1", "kind": "Pod", **pod}, {"status": told}, "status")


@needs_bpf
@needs_runc
def test_a_real_containers_doings_end_up_at_central_with_the_right_pod(
    kube: Cluster,  # noqa: F811
    tmp_path: Path,
) -> None:
    namespace = kube.namespace()
    central = StandIn()
    central.policies = [
        policy(
            [group("Process Name", "sh")],
            name="No shells",
            lifecycle_stages=("RUNTIME",),
            event_source="DEPLOYMENT_EVENT",
            enforcement_actions=("KILL_POD_ENFORCEMENT",),
        )
    ]

    async def work() -> None:
        certificates = Certificates(tmp_path / "tls")
        async with (
            listening(central, certificates) as port,
            sensing(kube, tmp_path, certificates, port.port) as one,
        ):
            await central.until("a sync", lambda: central.synced)
            kube.admin.create(deployment(namespace))
            (pod,) = await central.until(
                "its pod",
                lambda: [p for p in central.of("pod", namespace=namespace) if p.get("deploymentId")],
            )
            running = begin(certificates, one.port, "afterglow=0")
            try:
                await central.until("the Collector", lambda: b"connected" in running.log)
                with Contained(pod["id"]) as container:
                    done = asyncio.create_task(
                        asyncio.to_thread(contained, tmp_path / "bundle", container, "/bin/sh", "-c", SCRIPT)
                    )
                    meta = {"metadata": {"namespace": namespace, "name": pod["name"]}}
                    await asyncio.to_thread(run_status, kube, meta, container, "10.77.0.9")
                    await done
                alerts = await central.until(
                    "the alert",
                    lambda: [a for _, _, found in central.alerts for a in found if a.process_violation],
                )
                ports = await central.until(
                    "the port", lambda: records(central, Records.ENDPOINTS, EndpointRecord)
                )
                gone = await central.until(
                    "the pod's end", lambda: not central.of("pod", pod["name"], namespace)
                )
                assert gone
            finally:
                running.end()
        processes = records(central, Records.PROCESSES, happening.Process)
        shell = next(p for p in processes if p.signal.args.startswith("-c \nnc"))
        assert (shell.pod_uid, shell.pod_id, shell.namespace) == (pod["id"], pod["name"], namespace)
        assert (shell.container_name, shell.deployment_id) == ("main", pod["deploymentId"])
        assert shell.cluster_id == CLUSTER
        assert shell.image_id == "sha256:" + "ab" * 32
        assert shell.signal.exec_file_path == "/bin/busybox"
        assert alerts[0].deployment.name == "shop"
        assert alerts[0].enforcement.action == "KILL_POD_ENFORCEMENT"
        assert (ports[0].port, ports[0].deployment_id, ports[0].pod_uid) == (
            8080,
            pod["deploymentId"],
            pod["id"],
        )
        # Within its own loopback nobody talks to anybody.
        assert records(central, Records.FLOWS, FlowRecord) == []

    run(work(), within=DEADLINE * 2)


SECRETS = policy(
    [group("Kubernetes Resource", "SECRETS"), group("Kubernetes API Verb", "GET")],
    name="Secrets are read",
    lifecycle_stages=("RUNTIME",),
    event_source="AUDIT_LOG_EVENT",
)


def read_secret(kube: Cluster, namespace: str, name: str) -> None:  # noqa: F811
    """Make a secret, and have somebody read it."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}
    kube.admin.create(secret)
    kube.admin.get(secret)


def broken(central: StandIn, name: str) -> list[Any]:
    return [
        alert
        for _, _, found in central.alerts
        for alert in found
        if alert.resource is not None and alert.resource.name == name
    ]


@pytest.mark.parametrize("way", ["webhook", "file"])
def test_a_secret_that_is_read_is_an_alert_by_the_api_servers_own_word(
    kube: Cluster,  # noqa: F811
    tmp_path: Path,
    way: str,
) -> None:
    namespace, name = kube.namespace(), f"till-key-{way}"
    central = StandIn()
    central.policies = [SECRETS]
    given = {"port": kube.audit_port, "audit_webhook_token": AUDIT_TOKEN} if way == "webhook" else {}

    async def work() -> None:
        certificates = Certificates(tmp_path / "tls")
        async with (
            listening(central, certificates) as port,
            sensing(kube, tmp_path, certificates, port.port, **given) as one,
        ):
            await central.until("a sync", lambda: central.synced)
            agent = None
            if way == "file":
                agent = begin(
                    certificates,
                    one.port,
                    f"audit_log={kube.audit_log}",
                    f"host_root={tmp_path}",
                    what="node",
                    name="node_name",
                )
            try:
                if agent is not None:
                    await central.until("the agent", lambda: b"following" in agent.log)
                await asyncio.to_thread(read_secret, kube, namespace, name)
                # One that could not connect to anybody before waits for a while.
                (alert, *_) = await central.until("the alert", lambda: broken(central, name), 90)
            finally:
                if agent is not None:
                    agent.end()
        assert (alert.resource.resource_type, alert.namespace, alert.entity_type) == (
            "SECRETS",
            namespace,
            "RESOURCE",
        )
        said = {each.key: each.value for each in alert.violations[0].key_value_attrs.attrs}
        assert said["username"] == "test-admin"
        assert said["IP address"] == "127.0.0.1"

    run(work(), within=DEADLINE * 2 + 60)
