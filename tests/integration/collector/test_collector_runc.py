"""Containers that a runtime made, with namespaces and a root of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from redoubt.model.noderecords import Connection, Endpoint, Process
from support.kernel import DEADLINE, Contained, needs_bpf, watching

BUSYBOX = Path("/bin/busybox")

pytestmark = [
    needs_bpf,
    pytest.mark.skipif(not shutil.which("runc"), reason="needs Debian's runc"),
    pytest.mark.skipif(not BUSYBOX.exists(), reason="needs Debian's busybox-static"),
]

SCRIPT = """
nc -l -p 8080 -e /bin/true &
while ! netstat -ltn | grep -q :8080; do :; done
nc 127.0.0.1 8080 < /dev/null
wait
exit 0
"""


def bundle(folder: Path, container: Contained, *command: str) -> Path:
    """A root with busybox in it, and a configuration that puts it where the kubelet would."""
    (folder / "rootfs" / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, folder / "rootfs" / "bin" / "busybox")
    for name in ("sh", "nc", "true", "netstat", "grep"):
        (folder / "rootfs" / "bin" / name).symlink_to("busybox")
    subprocess.run(["runc", "spec"], cwd=folder, check=True, timeout=DEADLINE)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["process"] |= {"terminal": False, "args": list(command), "user": {"uid": 1234, "gid": 555}}
    config["linux"]["cgroupsPath"] = f"/kubepods/burstable/pod{container.pod}/{container.identifier}"
    path.write_text(json.dumps(config))
    return folder


def test_a_process_and_a_connection_of_a_real_container(tmp_path: Path) -> None:
    with watching() as (collector, container):
        bundle(tmp_path, container, "/bin/sh", "-c", SCRIPT)
        name = container.identifier
        try:
            subprocess.run(
                ["runc", "run", "--bundle", str(tmp_path), name],
                check=True,
                timeout=DEADLINE,
                stdin=subprocess.DEVNULL,
                capture_output=True,
            )
        finally:
            subprocess.run(["runc", "delete", "--force", name], timeout=DEADLINE, capture_output=True)
        container.folder.mkdir(parents=True, exist_ok=True)  # runc takes it away with the container
        collector.stop()
        processes = collector.of(container, Process)
        connections, endpoints = collector.of(container, Connection), collector.of(container, Endpoint)
    shell = next(each for each in processes if each.arguments[:2] == ("/bin/sh", "-c"))
    assert (shell.path, shell.asked, shell.uid, shell.gid) == ("/bin/busybox", "/bin/sh", 1234, 555)
    assert shell.pod == container.pod
    caller = next(each for each in processes if each.arguments == ("nc", "127.0.0.1", "8080"))
    assert [each.path for each in caller.ancestors] == ["/bin/busybox"]
    opened = {
        (e.role, e.local_port == 8080, e.remote_port == 8080, e.network)
        for e in connections
        if e.state == "open"
    }
    (network,) = {each.network for each in connections}
    assert opened == {("client", False, True, network), ("server", True, False, network)}
    assert next(e.pid for e in connections if e.role == "client") == caller.pid
    assert next((each.port, each.state) for each in endpoints) == (8080, "open")
