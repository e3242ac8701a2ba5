"""A process in a container, as the Sensor tells Central of it: a real Collector, a real port, and a stand-in for the Sensor's store."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redoubt.wire.identity import Service
from support.kernel import DEADLINE, Contained, needs_bpf
from support.runtime import Sensor, Store, sensor
from support.wire import Certificates, run, until

pytestmark = needs_bpf


class Running:
    """``redoubt collector`` as a process, and what it logged."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.log = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log += line

    def end(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)


def begin(certificates: Certificates, port: int, *more: str) -> Running:
    files = certificates.files(Service.COLLECTOR, identifier="cluster")
    command = [sys.executable, "-m", "redoubt", "collector", "--set", f"sensor=127.0.0.1:{port}"]
    command += ["--set", f"certificates={files.certificate.parent}", "--set", "hostname=node-1", *more]
    return Running(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))


@asynccontextmanager
async def watched(tmp_path: Path, store: Store) -> AsyncIterator[tuple[Sensor, Running, Certificates]]:
    certificates = Certificates(tmp_path)
    async with sensor(store, certificates.material(Service.SENSOR), grace=5.0, address_grace=0.5) as serving:
        running = begin(certificates, serving.port)
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
