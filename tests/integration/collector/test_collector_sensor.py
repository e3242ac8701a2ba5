"""What happens in containers, as the Sensor tells Central of it: a real kernel and Collector, a real port, and a stand-in for the Sensor's store.

Also what is lost, and what is not, when one of them is killed, and what the Collector may be denied.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from redoubt.sensor.runtime.surroundings import Place
from redoubt.wire import ports
from redoubt.wire.identity import Service
from support.collecting import Running, begin
from support.containers import contained, needs_runc
from support.kernel import DEADLINE, Contained, line, needs_bpf
from support.policies import group, policy
from support.runtime import Sensor, Store, sensor
from support.runtimeprocess import read, write_store
from support.wire import Certificates, run, until

pytestmark = needs_bpf


@asynccontextmanager
async def watched(
    tmp_path: Path, store: Store, *settings: str
) -> AsyncIterator[tuple[Sensor, Running, Certificates]]:
    certificates = Certificates(tmp_path)
    async with sensor(store, certificates.material(Service.SENSOR), grace=60.0, address_grace=0.5) as serving:
        running = begin(certificates, serving.port, *settings)
        try:
            await until(lambda: bool(serving.runtime.sessions), DEADLINE)
            yield serving, running, certificates
        finally:
            running.end()


def test_a_process_in_a_container_is_an_indicator_with_its_pod(tmp_path: Path) -> None:
    async def work(container: Contained) -> None:
        store = Store()
        store.add("web", container.identifier, container.pod)
        async with watched(tmp_path, store) as (serving, _, _):
            await asyncio.to_thread(container.run, "/bin/echo", "hi", "there", uid=1234, gid=555)
            await until(lambda: any(e.signal.args == "hi there" for e in serving.sent.processes), DEADLINE)  # type: ignore[union-attr]
            (told,) = [e for e in serving.sent.processes if e.signal and e.signal.args == "hi there"]
        assert (told.pod_id, told.pod_uid, told.deployment_id) == ("web-1", container.pod, "id-web")
        assert (told.container_name, told.namespace) == ("main", "shop")
        assert told.signal is not None
        assert told.signal.exec_file_path == os.path.realpath("/bin/echo")
        assert (told.signal.uid, told.signal.gid) == (1234, 555)
        assert told.signal.container_id == container.identifier[:12]

    with Contained() as container:
        run(work(container), DEADLINE)


SCRIPT = """
nc -l -p 8080 -e /bin/true &
while ! netstat -ltn | grep -q :8080; do :; done
nc {address} 8080 < /dev/null
wait
exit 0
"""


@needs_runc
def test_a_real_containers_process_breaks_a_policy_and_its_port_is_an_endpoint(tmp_path: Path) -> None:
    shells = policy(
        [group("Process Name", "sh")],
        name="No shells",
        lifecycle_stages=("RUNTIME",),
        event_source="DEPLOYMENT_EVENT",
        enforcement_actions=("KILL_POD_ENFORCEMENT",),
    )

    async def work(container: Contained, other: Contained) -> None:
        store = Store([shells])
        store.add("other", other.identifier, other.pod)
        async with watched(tmp_path / "tls", store) as (serving, _, _):
            # The pod's status comes after the container began, as the kubelet has it.
            await asyncio.to_thread(
                contained, tmp_path / "bundle", container, "/bin/sh", "-c", SCRIPT.format(address="127.0.0.1")
            )
            # What is told after it is here: so all of it is, and waits.
            await asyncio.to_thread(other.run, "/bin/true")
            await until(lambda: bool(serving.sent.processes), DEADLINE)
            assert {each.pod_uid for each in serving.sent.processes} == {other.pod}
            store.add("web", container.identifier, container.pod)
            await until(lambda: bool(serving.sent.alerts and serving.sent.endpoints), DEADLINE)
        (alert,) = serving.sent.alerts
        assert alert.process_violation is not None
        assert {each.pod_uid for each in alert.process_violation.processes} == {container.pod}
        assert [each.pod_id for each in store.enforced] == ["web-1"]
        (port,) = serving.sent.endpoints  # it began and ended while it was waited for the pod's status
        assert (port.port, port.pod_uid, port.exec_file_path) == (8080, container.pod, "/bin/busybox")
        assert port.closed is not None
        assert port.closed > port.seen

    with Contained() as container, Contained() as other:
        run(work(container, other), DEADLINE)


def test_hostile_arguments_arrive_and_are_in_no_log(tmp_path: Path) -> None:
    secret = 's3cret-\x1b[2J\x1b]0;title\x07\n{"event":"loss"}'

    async def work(container: Contained) -> bytes:
        store = Store()
        store.add("web", container.identifier, container.pod)
        async with watched(tmp_path, store) as (serving, running, _):
            await asyncio.to_thread(container.run, "/bin/true", secret, b"\xff\xfe", "x" * 120_000)
            await asyncio.to_thread(container.run, "/bin/true", "after")
            await until(
                lambda: any(e.signal and e.signal.args == "after" for e in serving.sent.processes), DEADLINE
            )
            told = next(e for e in serving.sent.processes if e.signal and e.signal.args.startswith("s3cret"))
            running.end()
            assert told.signal is not None
            assert told.signal.args.startswith(secret + " \\xff\\xfe xxx")
            assert len(told.signal.args) < 4200
            return running.log

    with Contained() as container:
        log = run(work(container), DEADLINE)
    assert b"connected" in log
    assert b"s3cret" not in log
    assert b"\x1b" not in log


class Apart:
    """The Sensor as a process, to be killed."""

    def __init__(self, folder: Path, certificates: Certificates, container: Contained) -> None:
        self.out = folder / "out"
        self._store = folder / "store"
        place = Place(
            deployment_id="id-web",
            namespace="shop",
            pod="web-1",
            pod_uid=container.pod,
            container_name="main",
        )
        write_store(self._store, (container.identifier, place))
        files = certificates.files(Service.SENSOR)
        self.port = ports.free(1)[0]
        self._command = [
            sys.executable,
            "-m",
            "support.runtimeprocess",
            str(self.port),
            str(files.certificate.parent),
            str(self._store),
            str(self.out),
        ]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        tests = Path(__file__).parents[2]
        environment = os.environ | {"PYTHONPATH": f"{tests}:{tests.parent / 'src'}"}
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, env=environment)
        line(self.process, self.process.stdout, lambda each: each == "ready\n", "the Sensor")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(DEADLINE)
            assert self.process.stdout is not None
            self.process.stdout.close()

    def arguments(self) -> list[str]:
        return [e.signal.args for e in read(self.out).processes if e.signal]


def wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.05)


def test_a_sensor_that_is_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "tls")
    with Contained() as container:
        apart = Apart(tmp_path, certificates, container)
        apart.start()
        running = begin(certificates, apart.port)
        told = []
        try:
            wait(lambda: b"connected" in running.log, "the stream")
            for number in range(12):
                told.append(f"{number}")
                container.run("/bin/true", told[-1])
                if number in (2, 5):
                    apart.kill()
                if number in (4, 8):
                    apart.start()
            wait(lambda: set(told) <= set(apart.arguments()), "all that happened")
        finally:
            running.end()
            apart.kill()
        ids = {each.id for each in read(apart.out).processes if each.signal and each.signal.args in told}
        assert len(ids) == len(told)


def test_a_new_sensor_is_told_what_runs_and_listens_already(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "tls")
    code = "import socket,sys; s = socket.create_server(('', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"
    with Contained() as container:
        apart = Apart(tmp_path, certificates, container)
        apart.start()
        running = begin(certificates, apart.port)
        server = None
        try:
            wait(lambda: b"connected" in running.log, "the stream")
            server = subprocess.Popen(
                [sys.executable, "-S", "-c", code],
                preexec_fn=container.enter,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            port = int(line(server, server.stdout, bool, "its port"))
            wait(lambda: [e.port for e in read(apart.out).endpoints] == [port], "the endpoint")
            apart.kill()
            apart.out.unlink()
            apart.start()
            wait(lambda: port in [e.port for e in read(apart.out).endpoints], "the endpoint again")
            wait(lambda: any(code in each for each in apart.arguments()), "the process again")
        finally:
            running.end()
            apart.kill()
            if server is not None:
                server.kill()
                server.communicate(timeout=DEADLINE)


def test_a_collector_that_is_killed_tells_the_rest_when_it_is_back(tmp_path: Path) -> None:
    async def work(container: Contained) -> None:
        store = Store()
        store.add("web", container.identifier, container.pod)
        async with watched(tmp_path, store) as (serving, running, certificates):
            await asyncio.to_thread(container.run, "/bin/true", "before")
            await until(lambda: bool(serving.sent.processes), DEADLINE)
            running.end()
            await until(lambda: serving.runtime.sessions[0].tell is None, DEADLINE)
            lasting = subprocess.Popen(["/bin/sleep", "600"], preexec_fn=container.enter)
            again = begin(certificates, serving.port)
            try:
                arguments = lambda: [e.signal.args for e in serving.sent.processes if e.signal]  # noqa: E731
                await until(lambda: "600" in arguments(), DEADLINE)
                await asyncio.to_thread(container.run, "/bin/true", "after")
                await until(lambda: "after" in arguments(), DEADLINE)
            finally:
                again.end()
                lasting.kill()
                lasting.wait(DEADLINE)
        assert len(serving.runtime.sessions) == 1

    with Contained() as container:
        run(work(container), DEADLINE)


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv (util-linux)")
@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [("", 5), ("+bpf", 5), ("+perfmon", 5), ("+sys_ptrace", 5), ("+net_admin", 5), ("+bpf,+perfmon", None)],
    ids=["none", "bpf", "perfmon", "sys_ptrace", "net_admin", "bpf and perfmon"],
)
def test_each_capability_alone_is_too_little_and_two_are_enough(
    tmp_path: Path, capabilities: str, expected: int | None
) -> None:
    bounding = ",".join(filter(None, ["-all", capabilities]))
    limited = ["setpriv", f"--bounding-set={bounding}", "--inh-caps=-all"]

    async def work(container: Contained) -> None:
        store = Store()
        store.add("web", container.identifier, container.pod)
        certificates = Certificates(tmp_path)
        async with sensor(store, certificates.material(Service.SENSOR)) as serving:
            running = begin(certificates, serving.port, "collection_method=CORE_BPF", before=limited)
            try:
                if expected is not None:
                    code, said = await asyncio.to_thread(running.ended)
                    assert code == expected
                    assert "CAP_BPF and CAP_PERFMON are needed" in said
                    return
                await until(lambda: bool(serving.runtime.sessions), DEADLINE)
                await asyncio.to_thread(container.run, "/bin/true", "seen")
                await until(lambda: bool(serving.sent.processes), DEADLINE)
            finally:
                running.end()

    with Contained() as container:
        run(work(container), DEADLINE)


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare (util-linux)")
def test_a_read_only_file_system_is_enough(tmp_path: Path) -> None:
    read_only = ["unshare", "--mount", "sh", "-c", 'mount -o remount,bind,ro / && exec "$@"', "sh"]
    if subprocess.run([*read_only, "true"], capture_output=True, timeout=DEADLINE).returncode:
        pytest.skip("needs mounts that can be made read-only")

    async def work(container: Contained) -> None:
        store = Store()
        store.add("web", container.identifier, container.pod)
        certificates = Certificates(tmp_path)
        async with sensor(store, certificates.material(Service.SENSOR)) as serving:
            running = begin(certificates, serving.port, before=read_only)
            try:
                await until(lambda: bool(serving.runtime.sessions), DEADLINE)
                await asyncio.to_thread(container.run, "/bin/true", "seen")
                await until(lambda: bool(serving.sent.processes), DEADLINE)
            finally:
                running.end()

    with Contained() as container:
        run(work(container), DEADLINE)


#: A server in another container's cgroup, and who calls it: in a network of their own, where each has an address.
TALK = """
import os, socket, subprocess, sys
for command in (["link", "set", "lo", "up"], ["addr", "add", "10.213.0.1/32", "dev", "lo"], ["addr", "add", "10.213.0.2/32", "dev", "lo"]):
    subprocess.run(["ip", *command], check=True)
heard, told = os.pipe()
child = os.fork()
if not child:
    with open(sys.argv[1], "w") as file:
        file.write("0")
    listening = socket.create_server(("10.213.0.2", 7000))
    os.write(told, b"x")
    accepted = listening.accept()[0]
    accepted.recv(1)
    os._exit(0)
os.read(heard, 1)
for _ in range(3):
    try:
        calling = socket.create_connection(("10.213.0.2", 7000), source_address=("10.213.0.1", 0))
    except ConnectionRefusedError:
        break
    calling.close()
os.waitpid(child, 0)
"""


@pytest.mark.skipif(
    not (shutil.which("ip") and shutil.which("unshare")), reason="needs iproute2 and unshare (util-linux)"
)
def test_two_containers_that_talk_are_one_flow_whichever_of_them_tells(tmp_path: Path) -> None:
    async def work(web: Contained, db: Contained) -> None:
        store = Store()
        store.add("web", web.identifier, web.pod, ["10.213.0.1"])
        store.add("db", db.identifier, db.pod, ["10.213.0.2"])
        async with watched(tmp_path, store, "afterglow=0") as (serving, _, _):
            await asyncio.to_thread(
                web.run, "unshare", "-n", sys.executable, "-S", "-c", TALK, str(db.folder / "cgroup.procs")
            )
            await until(lambda: any(e.closed for e in serving.sent.flows), DEADLINE)
            await until(lambda: any(e.port == 7000 for e in serving.sent.endpoints), DEADLINE)
        ends = {(e.source.id, e.destination.id, e.destination.type, e.port) for e in serving.sent.flows}
        assert ends == {("id-web", "id-db", "DEPLOYMENT", 7000)}
        assert {e.deployment_id for e in serving.sent.endpoints} == {"id-db"}

    with Contained() as web, Contained() as db:
        run(work(web, db), DEADLINE)
