"""``redoubt collector`` and ``redoubt node`` as processes, and what they log."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence

from redoubt.wire.identity import Service
from support.kernel import DEADLINE
from support.wire import Certificates


class Running:
    """A process. To be ended."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.log = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log += line

    def ended(self) -> tuple[int, str]:
        """How it ended by itself, and the last line that it said."""
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code, self.log.decode().strip().splitlines()[-1]

    def end(self) -> None:
        """Kill it, where it is there still."""
        self.process.kill()
        self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)


def begin(
    certificates: Certificates,
    port: int,
    *settings: str,
    what: str = "collector",
    name: str = "hostname",
    before: Sequence[str] = (),
) -> Running:
    """One that tells a Sensor on this machine. ``before``: a command that runs it."""
    files = certificates.files(Service.COLLECTOR, identifier="cluster")
    given = [
        f"sensor=127.0.0.1:{port}",
        f"certificates={files.certificate.parent}",
        f"{name}=node-1",
        *settings,
    ]
    flags = [word for each in given for word in ("--set", each)]
    return Running([*before, sys.executable, "-m", "redoubt", what, *flags])
