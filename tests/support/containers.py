"""A container of runc's, where a kubelet would have put it: busybox for its programs, and no network of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
_APPLETS = ("sh", "nc", "true", "netstat", "grep", "sleep", "nmap", "cat")


class Bundle:
    """A root with busybox in it below ``folder``, for a container in the cgroup of a pod."""

    def __init__(self, folder: Path, identifier: str, pod: str) -> None:
        self._folder, self.identifier, self._pod = folder, identifier, pod
        (folder / "rootfs" / "bin").mkdir(parents=True)
        shutil.copy(BUSYBOX, folder / "rootfs" / "bin" / "busybox")
        for name in _APPLETS:
            (folder / "rootfs" / "bin" / name).symlink_to("busybox")
        subprocess.run(["runc", "spec"], cwd=folder, check=True, timeout=60)

    @contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """``command`` in the container, until the end of the block."""
        path = self._folder / "config.json"
        config = json.loads(path.read_text())
        config["process"] |= {"terminal": False, "args": list(command)}
        config["linux"]["cgroupsPath"] = f"/kubepods/burstable/pod{self._pod}/{self.identifier}"
        spaces = config["linux"]["namespaces"]
        config["linux"]["namespaces"] = [each for each in spaces if each["type"] != "network"]
        path.write_text(json.dumps(config))
        process = subprocess.Popen(
            ["runc", "run", "--bundle", str(self._folder), self.identifier],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            subprocess.run(["runc", "delete", "--force", self.identifier], timeout=60, capture_output=True)
            process.kill()
            process.wait(10)
