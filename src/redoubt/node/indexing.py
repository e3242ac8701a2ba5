"""The host's packages: its root walked by the indexer, without what is of containers, in a child process of low priority."""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec

from redoubt import children
from redoubt.errors import LimitExceeded
from redoubt.indexer.index import index_directory

#: What is below the root and not the host's: file systems of containers and of other machines, and what the kernel makes.
OTHERS = frozenset(
    (
        b"proc",
        b"sys",
        b"dev",
        b"run",
        b"tmp",
        b"mnt",
        b"media",
        b"net",
        b"var/run",
        b"var/tmp",
        b"var/lib/containerd",
        b"var/lib/containers",
        b"var/lib/docker",
        b"var/lib/rancher",
        b"var/lib/k0s",
        b"var/lib/kubelet",
        b"var/lib/microk8s",
        b"var/snap/microk8s",
        b"sysroot/ostree",
    )
)
#: Bytes of a report, deflated: what one message of the Sensor's may have.
LARGEST = (4 << 20) - 4096
_NICE = 19


class ToIndex(msgspec.Struct, frozen=True):
    """A host's root, and the node's name."""

    root: str
    name: str


class Indexed(msgspec.Struct, frozen=True):
    """JSON of an index report, deflated (zlib), and how much it says."""

    report: bytes
    packages: int
    problems: int


async def host(root: Path, name: str) -> Indexed:
    """What is installed. Raises ``UnreadableInput`` and ``AccessDenied`` for the root, ``LimitExceeded`` for a report too large."""
    return await children.run(f"{__name__}:index", ToIndex(str(root), name), Indexed, nice=_NICE)


def index(asked: ToIndex) -> Indexed:
    """In the child process."""
    report = index_directory(Path(asked.root), f"node/{asked.name}", skip=OTHERS)
    data = zlib.compress(msgspec.json.encode(report), 9)
    if len(data) > LARGEST:
        raise LimitExceeded(
            f"the report of the host's {len(report.packages):,} packages has {len(data):,} bytes, more than {LARGEST:,}"
        )
    return Indexed(data, len(report.packages), len(report.problems))
