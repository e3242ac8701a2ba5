"""Containers that runc makes, where the kubelet would have them: busybox for a root."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.kernel import DEADLINE, Contained

BUSYBOX = Path("/bin/busybox")
_MISSING = (
    "needs Debian's runc"
    if not shutil.which("runc")
    else ""
    if BUSYBOX.exists()
    else "needs Debian's busybox-static"
)
needs_runc = pytest.mark.skipif(bool(_MISSING), reason=_MISSING or "-")


def bundle(folder: Path, container: Contained, *command: str, uid: int = 0, gid: int = 0) -> Path:
    """A root with busybox in it, and a configuration that puts it where the kubelet would."""
    (folder / "rootfs" / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, folder / "rootfs" / "bin" / "busybox")
    for name in ("sh", "nc", "true", "netstat", "grep"):
        (folder / "rootfs" / "bin" / name).symlink_to("busybox")
    subprocess.run(["runc", "spec"], cwd=folder, check=True, timeout=DEADLINE)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["process"] |= {"terminal": False, "args": list(command), "user": {"uid": uid, "gid": gid}}
    config["linux"]["cgroupsPath"] = f"/kubepods/burstable/pod{container.pod}/{container.identifier}"
    path.write_text(json.dumps(config))
    return folder


def contained(folder: Path, container: Contained, *command: str, uid: int = 0, gid: int = 0) -> None:
    """Run a command in one, to its end."""
    made = bundle(folder, container, *command, uid=uid, gid=gid)
    name = container.identifier
    try:
        subprocess.run(
            ["runc", "run", "--bundle", str(made), name],
            check=True,
            timeout=DEADLINE,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
    finally:
        subprocess.run(["runc", "delete", "--force", name], timeout=DEADLINE, capture_output=True)
        container.folder.mkdir(parents=True, exist_ok=True)  # runc takes it away with the container
