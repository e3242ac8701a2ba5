"""What the collector may be denied: each capability alone, and what it says and does without BPF."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from redoubt.collector.connector import Connector
from redoubt.collector.libbpf import Unavailable
from redoubt.model.noderecords import Connection, Process
from support.kernel import DEADLINE, Contained, Watching, line, needs_bpf

pytestmark = [
    needs_bpf,
    pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv (util-linux)"),
]

BPF = "+bpf,+perfmon"


def listens() -> bool:
    try:
        Connector().close()
    except Unavailable:
        return False
    return True


needs_connector = pytest.mark.skipif(
    os.geteuid() != 0 or not listens(), reason="needs the host's network namespace and CAP_NET_ADMIN"
)


def limited(capabilities: str, *arguments: str) -> list[str]:
    """The command with no capabilities but these. Its user is root still: of files it may read what anybody may."""
    bounding = ",".join(filter(None, ["-all", capabilities]))
    command = [sys.executable, "-m", "redoubt", "collector", "--print", *arguments]
    return ["setpriv", f"--bounding-set={bounding}", "--inh-caps=-all", *command]


@pytest.mark.parametrize("capabilities", ["", "+bpf", "+perfmon", "+sys_ptrace", "+net_admin"])
def test_without_both_capabilities_it_says_what_is_needed(capabilities: str) -> None:
    done = subprocess.run(
        limited(capabilities, "--method", "core_bpf"), capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 5
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "CAP_BPF and CAP_PERFMON are needed" in done.stderr


@pytest.mark.parametrize(
    ("capabilities", "sees"),
    [(BPF, False), (f"{BPF},+sys_ptrace", True)],
    ids=["without ptrace", "with ptrace"],
)
def test_two_capabilities_are_enough_and_a_third_shows_other_users_files(
    capabilities: str, sees: bool
) -> None:
    with Contained() as container:

        def begin() -> None:
            container.enter()
            os.setgid(555)
            os.setuid(1234)

        before = subprocess.Popen(["/bin/sleep", "600"], preexec_fn=begin)
        running = subprocess.Popen(limited(capabilities), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            line(running, running.stderr, lambda each: b"watching by core_bpf" in each, "its beginning")
            container.run("/bin/true", "x", uid=1234, gid=555)
            lines: list[dict[str, object]] = []

            def told_all(each: bytes) -> bool:
                if container.identifier.encode() in each:
                    lines.append(json.loads(each))
                return bool(lines) and lines[-1]["arguments"] == ["/bin/true", "x"]

            line(running, running.stdout, told_all, "the program that was started")
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=DEADLINE)
        finally:
            running.kill()
            running.wait(DEADLINE)
            before.kill()
            before.wait(DEADLINE)
    assert running.returncode == 0
    scraped, told = lines
    assert (told["path"], told["uid"], told["pod"]) == (os.path.realpath("/bin/true"), 1234, container.pod)
    assert scraped["scraped"] is True
    assert scraped["pid"] == before.pid
    assert (scraped["mounts"] != 0) is sees


@needs_connector
def test_without_bpf_it_says_so_and_sees_what_it_can() -> None:
    with Contained() as container:
        running = subprocess.Popen(
            limited("+net_admin,+sys_ptrace"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            said: list[str] = []

            def begun(each: str) -> bool:
                said.append(each)
                return "watching by" in each

            line(running, running.stderr, begun, "its beginning")
            container.run("/bin/sleep", "0.5")
            written = line(running, running.stdout, lambda each: container.identifier in each, "the event")
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=DEADLINE)
        finally:
            running.kill()
            running.wait(DEADLINE)
    assert "without BPF" in said[0]
    assert "CAP_BPF and CAP_PERFMON are needed" in said[0]
    assert "watching by proc_connector" in said[-1]
    told = json.loads(written)
    assert (told["arguments"], told["pod"], told["scraped"]) == (["/bin/sleep", "0.5"], container.pod, False)


@needs_connector
def test_programs_that_live_long_enough_are_all_told_without_bpf() -> None:
    # Each ends by a line of its own, which waits for whoever begins late.
    begun = "i=0; while [ $i -lt 100 ]; do /bin/sh -c 'read x' <&3 & i=$((i+1)); done"
    script = f"exec 3<> fifo; {begun}; sleep 0.5; seq 100 >&3; wait"
    with Contained() as container, Watching(method="proc_connector") as collector:
        container.run("/bin/sh", "-c", f"cd $(mktemp -d) && mkfifo fifo && ({script}); rm -r $PWD")
        collector.stop()
        told = [e for e in collector.of(container, Process) if e.arguments[1:] == ("-c", "read x")]
    assert len({each.pid for each in told}) == len(told)
    health = collector.collector.health
    assert health.method == "proc_connector"
    assert len(told) + health.gone >= 100
    assert {each.ancestors[0].path for each in told} == {os.path.realpath("/bin/sh")}


@needs_connector
def test_connections_are_found_without_bpf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redoubt.collector.collector.RECONCILING", 0.1)
    code = """
import socket, sys
listening = socket.create_server(("127.0.0.1", 0))
connected = socket.create_connection(listening.getsockname())
accepted = listening.accept()[0]
print(connected.getsockname()[1], flush=True)
sys.stdin.readline()
"""
    with Contained() as container, Watching(method="proc_connector") as collector:
        running = subprocess.Popen(
            [sys.executable, "-S", "-c", code],
            preexec_fn=container.enter,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            port = int(line(running, running.stdout, bool, "its port"))

            def states() -> list[str]:
                return [e.state for e in collector.of(container, Connection) if e.local_port == port]

            collector.wait(lambda: states() == ["open"], "the connection")
            running.communicate(b"\n", timeout=DEADLINE)
            collector.wait(lambda: states() == ["open", "closed"], "its end")
        finally:
            running.kill()
            running.wait(DEADLINE)
