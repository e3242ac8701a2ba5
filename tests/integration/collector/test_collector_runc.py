"""Containers that a runtime made, with namespaces and a root of their own."""

from __future__ import annotations

from pathlib import Path

from redoubt.model.noderecords import Connection, Endpoint, Process
from support.containers import contained, needs_runc
from support.kernel import needs_bpf, watching

pytestmark = [needs_bpf, needs_runc]

SCRIPT = """
nc -l -p 8080 -e /bin/true &
while ! netstat -ltn | grep -q :8080; do :; done
nc 127.0.0.1 8080 < /dev/null
wait
exit 0
"""


def test_a_process_and_a_connection_of_a_real_container(tmp_path: Path) -> None:
    with watching() as (collector, container):
        contained(tmp_path, container, "/bin/sh", "-c", SCRIPT, uid=1234, gid=555)
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
