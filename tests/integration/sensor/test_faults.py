"""What a Sensor goes through: API servers that restart and forget, Centrals that go, kill -9, and objects made to hurt it."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from redoubt.wire import ports
from support.hub import StandIn, listening
from support.kube import Cluster, kube  # noqa: F401  (a fixture)
from support.policies import group, policy
from support.sensing import Process, deployment, sensing
from support.wire import Certificates, run

pytestmark = pytest.mark.xdist_group("kube")


def _packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_an_api_server_that_restarts_and_has_forgotten_what_was_is_listed_again(
    kube: Cluster,  # noqa: F811
    tmp_path: Path,
) -> None:
    namespace = kube.namespace()
    for name in ("stays", "goes"):
        kube.admin.create(
            {**deployment(namespace, name), "spec": {**deployment(namespace, name)["spec"], "replicas": 0}}
        )

    async def work() -> None:
        certificates, central = Certificates(tmp_path), StandIn()
        async with (
            listening(central, certificates) as port,
            sensing(kube, tmp_path, certificates, port.port),
        ):
            await central.until("both", lambda: len(central.of("deployment", namespace=namespace)) == 2)
            kube.stop_server()
            for each in range(5):
                last = kube.etcd("put", key=_packed(f"/bump/{each}"), value="")
            # While nobody watches, one goes; and what was before it is forgotten.
            key = _packed(f"/registry/deployments/{namespace}/goes")
            last = kube.etcd("deleterange", key=key)
            kube.etcd("compaction", revision=last["header"]["revision"], physical=True)
            # In this thread: with the one that started it, it ends.
            kube.start_server()
            await central.until("that one is gone", lambda: not central.of("deployment", "goes", namespace))
            assert central.of("deployment", "stays", namespace)
            late = deployment(namespace, "late")
            await asyncio.to_thread(kube.admin.create, late)
            await central.until("a new one", lambda: central.of("deployment", "late", namespace))
            assert len(central.hellos) == 1

    run(work(), within=120)


def test_what_goes_while_central_is_away_is_gone_there_afterwards(kube: Cluster, tmp_path: Path) -> None:  # noqa: F811
    namespace = kube.namespace()
    kube.admin.create(deployment(namespace, "goes"))
    kube.admin.create(deployment(namespace, "stays"))
    (at,) = ports.free(1)

    async def work() -> None:
        certificates, central = Certificates(tmp_path), StandIn()
        async with sensing(kube, tmp_path, certificates, at):
            async with listening(central, certificates, at):
                await central.until("both", lambda: len(central.of("deployment", namespace=namespace)) == 2)
                await central.until("a sync", lambda: central.synced)
            kube.admin.delete(deployment(namespace, "goes"))
            kube.admin.create(deployment(namespace, "new"))
            central.synced.clear()
            central.sent_objects = 0
            async with listening(central, certificates, at):
                await central.until("another sync", lambda: central.synced)
                await central.until("the new one", lambda: central.of("deployment", "new", namespace))
                assert not central.of("deployment", "goes", namespace)
                assert central.of("deployment", "stays", namespace)
                # What did not change was not sent again.
                assert central.sent_objects < len(central.objects) / 2
                assert central.hellos[-1].reconnect

    run(work(), within=120)


def test_a_sensor_that_is_killed_loses_nothing_and_tells_nothing_twice(kube: Cluster, tmp_path: Path) -> None:  # noqa: F811
    namespace = kube.namespace()
    bad = [{"name": "main", "image": "registry.example/shop:1.4", "securityContext": {"privileged": True}}]
    kube.admin.create(deployment(namespace, "goes", containers=bad))
    kube.admin.create(deployment(namespace, "stays", containers=bad))

    def alerted(central: StandIn, name: str) -> bool:
        found = central.of("deployment", name, namespace)
        return bool(found) and any(one == found[0]["id"] and alerts for _, one, alerts in central.alerts)

    async def work() -> None:
        certificates, central = Certificates(tmp_path), StandIn()
        central.policies = [policy([group("Privileged Container", "true")])]
        central.acknowledging = False
        async with listening(central, certificates) as port:
            with Process(kube, tmp_path, certificates, port.port) as process:
                await central.until("alerts", lambda: alerted(central, "goes") and alerted(central, "stays"))
                process.kill()
                kube.admin.delete(deployment(namespace, "goes"))
                central.synced.clear()
                central.acknowledging = True
                process.start()
                await central.until("another sync", lambda: central.synced)
                assert not central.of("deployment", "goes", namespace)
                assert central.of("deployment", "stays", namespace)
                numbers = central.numbers
                assert len(numbers) == 1
                central.alerts.clear()
                kube.admin.create(deployment(namespace, "late", containers=bad))
                await central.until("an alert", lambda: alerted(central, "late"))
                assert central.twice == 0
                files = [path for path in process.data.rglob("*") if path.is_file()]
                assert {path.stat().st_mode & 0o077 for path in files} == {0}

    run(work(), within=120)


def test_a_sensor_that_starts_while_central_is_away_decides_as_before(kube: Cluster, tmp_path: Path) -> None:  # noqa: F811
    namespace = kube.namespace()
    bad = [{"name": "main", "image": "registry.example/shop:1.4", "securityContext": {"privileged": True}}]
    (at,) = ports.free(1)

    async def work() -> None:
        certificates, central = Certificates(tmp_path), StandIn()
        central.policies = [
            policy(
                [group("Privileged Container", "true")],
                enforcement_actions=("UNSATISFIABLE_NODE_CONSTRAINT_ENFORCEMENT",),
            )
        ]
        async with listening(central, certificates, at), sensing(kube, tmp_path, certificates, at):
            await central.until("a sync", lambda: central.synced)
        async with sensing(kube, tmp_path, certificates, at) as port:
            assert port.port
            given = deployment(namespace, "daemon", "DaemonSet", containers=bad)
            # Until all that is there was listed, nothing counts as new.
            for each in range(200):
                given = deployment(namespace, f"daemon-{each}", "DaemonSet", containers=bad)
                await asyncio.to_thread(kube.admin.create, given)
                await asyncio.sleep(0.3)
                spec = kube.admin.get(given)["spec"]["template"]["spec"]
                if "BlockedByStackRox" in spec.get("nodeSelector", {}):
                    break
            else:
                raise AssertionError("nothing was enforced")
            async with listening(central, certificates, at):
                found = await central.until(
                    "what was done, told afterwards",
                    lambda: [one for _, _, alerts in central.alerts for one in alerts if one.enforcement],
                )
                assert found[0].enforcement_count == 1

    run(work(), within=120)


def test_objects_made_to_hurt_end_neither_stream_nor_watch(kube: Cluster, tmp_path: Path) -> None:  # noqa: F811
    namespace = kube.namespace()
    many = [{"name": f"c{each}", "image": "a.example/b:1"} for each in range(8000)]
    crowd = deployment(namespace, "crowd", containers=many)
    crowd["spec"]["replicas"] = 0
    odd = deployment(namespace, "odd")
    odd["metadata"]["annotations"] = {"long": "x" * 200_000, "odd": "\u202e\u0000\U0001f600\n\x1b[31m"}
    odd["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "\u2028\ufffe'\";--"}]
    big = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "big", "namespace": namespace},
        "data": {f"k{each}": "x" * 1000 for each in range(900)},
    }
    for each in (crowd, odd, big):
        kube.admin.create(each)

    async def work() -> None:
        certificates, central = Certificates(tmp_path), StandIn()
        central.policies = [policy([group("Image Registry", "a.example")])]
        async with (
            listening(central, certificates) as port,
            sensing(kube, tmp_path, certificates, port.port),
        ):
            await central.until("a sync", lambda: central.synced)
            kube.admin.create(deployment(namespace, "late"))
            await central.until("a new one", lambda: central.of("deployment", "late", namespace))
            (found,) = central.of("deployment", "odd", namespace)
            assert len(found["annotations"]["long"]) < 200_000
            assert "\U0001f600" in found["annotations"]["odd"]
            (crowded,) = central.of("deployment", "crowd", namespace)
            assert len(crowded["containers"]) in (8000, 2000)
            await central.until(
                "its alerts",
                lambda: any(one == crowded["id"] and alerts for _, one, alerts in central.alerts),
            )
            assert central.of("configmap", "big", namespace)
            assert len(central.hellos) == 1

    run(work(), within=120)
