"""A process and a connection of a real container (runc), the real kernel, a real Collector, Sensor and API server: they end up at
Central with the right pod. There is no kubelet: the test writes the pods' status. Central is a stand-in.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt.model import happening
from redoubt.model.cluster import EndpointRecord, FlowRecord
from redoubt.wire.proto.redoubt.v1.sensors_pb2 import Records
from support.collecting import begin
from support.hub import CLUSTER, StandIn, listening
from support.kernel import DEADLINE, Contained, needs_bpf
from support.kube import Cluster, kube  # noqa: F401  (a fixture)
from support.policies import group, policy
from support.runccontainers import contained, needs_runc
from support.sensing import deployment, sensing
from support.wire import Certificates, run

pytestmark = [pytest.mark.xdist_group("kube"), needs_bpf, needs_runc]

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
        # What the API server says of who read a secret is another way in.
        assert json.dumps([h["collector"] for h in central.health if h["collector"].get("ready")])

    run(work(), within=DEADLINE * 2)
