"""``redoubt node`` as a process: what is on its host, and the audit log there, as a Sensor is told. The Sensor's store is a stand-in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from redoubt.wire.identity import Service
from support.collecting import begin
from support.pipeline import dpkg, dpkg_status, os_release
from support.policies import group, policy
from support.runtime import Sensor, Store, sensor
from support.wire import Certificates, run, until

DEADLINE = 60
SECRETS = policy(
    [group("Kubernetes Resource", "SECRETS")],
    id="secrets",
    name="Secrets are touched",
    lifecycle_stages=("RUNTIME",),
    event_source="AUDIT_LOG_EVENT",
)


def host(folder: Path) -> Path:
    """A Debian node, with a container's files that are not its own."""
    system = os_release(ID="debian", VERSION_ID="12", VERSION_CODENAME="bookworm")
    for root, packages in (
        (folder, dpkg_status(dpkg("libfixture", "1.0-1", Source="fixture"), dpkg("kubelet", "1.31.0"))),
        (folder / "var/lib/containerd/x/rootfs", dpkg_status(dpkg("ofcontainer", "1"))),
    ):
        for entry in (system, packages):
            path = root / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(entry.data)
    (folder / "proc").mkdir()
    return folder


def audit(number: int) -> str:
    return json.dumps(
        {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "auditID": f"a-{number}",
            "stage": "ResponseComplete",
            "verb": "get",
            "user": {"username": "mallory"},
            "objectRef": {"resource": "secrets", "namespace": "shop", "name": f"key-{number}"},
            "stageTimestamp": "2099-01-01T00:00:00Z",
        }
    )


def agent(
    certificates: Certificates, serving: Sensor, root: Path, *more: str, before: Sequence[str] = ()
) -> Any:
    given = (f"host_root={root}", "interval=60", *more)
    return begin(certificates, serving.port, *given, what="node", name="node_name", before=before)


def test_the_hosts_packages_are_told_and_those_of_containers_are_not(tmp_path: Path) -> None:
    async def work() -> None:
        certificates = Certificates(tmp_path / "tls")
        async with sensor(Store(), certificates.material(Service.SENSOR)) as serving:
            running = agent(certificates, serving, host(tmp_path / "host"))
            try:
                await until(lambda: bool(serving.sent.reports), DEADLINE)
            finally:
                running.end()
        (report,) = serving.sent.reports
        assert {(each.name, each.version) for each in report.packages} == {
            ("libfixture", "1.0-1"),
            ("kubelet", "1.31.0"),
        }
        assert report.distribution is not None
        assert report.distribution.id == "debian"
        (message,) = serving.sent.messages
        assert message.node.node_name == "node-1"

    run(work(), DEADLINE)


def test_audit_events_of_a_log_break_policies_also_after_a_restart_and_a_rotation(tmp_path: Path) -> None:
    log, state = tmp_path / "audit.log", tmp_path / "state"
    state.mkdir()
    log.touch()

    def add(*numbers: int) -> None:
        with log.open("a") as file:
            file.writelines(audit(number) + "\n" for number in numbers)
            file.write("not JSON\n")

    async def work() -> None:
        certificates = Certificates(tmp_path / "tls")
        async with sensor(Store([SECRETS]), certificates.material(Service.SENSOR)) as serving:

            def names() -> list[str]:
                return [each.resource.name for each in serving.sent.alerts if each.resource]

            root = host(tmp_path / "host")
            running = agent(certificates, serving, root, f"audit_log={log}", f"state={state}")
            try:
                await until(lambda: b"following" in running.log, DEADLINE)
                add(1, 2)
                await until(lambda: names() == ["key-1", "key-2"], DEADLINE)
                await until((state / "audit-position.json").exists, DEADLINE)
                running.end()
                add(3)
                log.rename(tmp_path / "audit-2099-01-01.log")
                log.touch()
                add(4)
                running = agent(certificates, serving, root, f"audit_log={log}", f"state={state}")
                await until(lambda: names()[2:] == ["key-3", "key-4"], DEADLINE)
                running.end()
                add(5)  # the Sensor knows where an agent was that remembers nothing
                serving.auditing.enabled = False
                running = agent(certificates, serving, root, f"audit_log={log}")
                await until(lambda: b"switched off" in running.log, DEADLINE)
                running.end()
                serving.auditing.enabled = True
                running = agent(certificates, serving, root, f"audit_log={log}")
                await until(lambda: names()[4:] == ["key-5"], DEADLINE)
            finally:
                running.end()

    run(work(), DEADLINE)


@pytest.mark.skipif(
    not (shutil.which("setpriv") and shutil.which("unshare")), reason="needs setpriv and unshare (util-linux)"
)
def test_one_capability_and_a_read_only_file_system_are_enough(tmp_path: Path) -> None:
    read_only = ["unshare", "--mount", "sh", "-c", 'mount -o remount,bind,ro / && exec "$@"', "sh"]
    if subprocess.run([*read_only, "true"], capture_output=True, timeout=DEADLINE).returncode:
        pytest.skip("needs mounts that can be made read-only")
    limited = [*read_only, "setpriv", "--bounding-set=-all,+dac_read_search", "--inh-caps=-all"]
    root = host(tmp_path / "host")
    secret = root / "var/lib/dpkg/status"
    os.chown(secret, 1234, 1234)
    secret.chmod(0)

    async def work() -> None:
        certificates = Certificates(tmp_path / "tls")
        async with sensor(Store(), certificates.material(Service.SENSOR)) as serving:
            running = agent(certificates, serving, root, before=limited)
            try:
                await until(lambda: bool(serving.sent.reports), DEADLINE)
            finally:
                running.end()
        (report,) = serving.sent.reports
        assert {each.name for each in report.packages} == {"libfixture", "kubelet"}
        assert report.problems == ()

    run(work(), DEADLINE)
