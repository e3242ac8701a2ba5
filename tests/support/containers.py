"""Containers of runc's, where a kubelet would have put them: busybox for their programs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.kernel import DEADLINE, Contained

BUSYBOX = Path("/bin/busybox")
needs_runc = pytest.mark.skipif(
    not (shutil.which("runc") and BUSYBOX.exists()), reason="needs Debian's runc and busybox-static"
)
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

    def _configure(self, command: Sequence[str], uid: int, gid: int, *, network: bool) -> list[str]:
        """What runs it. ``network``: it has one of its own."""
        path = self._folder / "config.json"
        config = json.loads(path.read_text())
        config["process"] |= {"terminal": False, "args": list(command), "user": {"uid": uid, "gid": gid}}
        config["linux"]["cgroupsPath"] = f"/kubepods/burstable/pod{self._pod}/{self.identifier}"
        if not network:
            spaces = config["linux"]["namespaces"]
            config["linux"]["namespaces"] = [each for each in spaces if each["type"] != "network"]
        path.write_text(json.dumps(config))
        return ["runc", "run", "--bundle", str(self._folder), self.identifier]

    def _delete(self) -> None:
        subprocess.run(["runc", "delete", "--force", self.identifier], timeout=60, capture_output=True)

    @contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """``command`` in the container, in the machine's network, until the end of the block."""
        process = subprocess.Popen(
            self._configure(command, 0, 0, network=False),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            self._delete()
            process.kill()
            process.wait(10)

    def run(self, *command: str, uid: int = 0, gid: int = 0) -> None:
        """``command`` in the container, in a network of its own, to its end, which must be a good one."""
        try:
            subprocess.run(
                self._configure(command, uid, gid, network=True),
                check=True,
                timeout=DEADLINE,
                stdin=subprocess.DEVNULL,
                capture_output=True,
            )
        finally:
            self._delete()


def contained(folder: Path, container: Contained, *command: str, uid: int = 0, gid: int = 0) -> None:
    """Run a command in a container of runc's in that cgroup."""
    try:
        Bundle(folder, container.identifier, container.pod).run(*command, uid=uid, gid=gid)
    finally:
        container.folder.mkdir(parents=True, exist_ok=True)  # runc takes it away with the container
