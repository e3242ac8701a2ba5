"""Which container a cgroup is, from its path. Pure.

Runtimes name a container's cgroup by its 64 hexadecimal digits, alone or with a prefix and suffix: ``ID``, ``docker-ID.scope``,
``cri-containerd-ID.scope``, ``crio-ID.scope``, ``SLICE:cri-containerd:ID``, ``libpod-ID.scope``. The kubelet puts it below
``podUID`` or, where systemd manages cgroups, ``kubepods-….podUID.slice`` with ``_`` for ``-``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CONTAINER = re.compile(r"(?:^|[-/:])([0-9a-f]{64})(?:\.scope)?(?=/|\Z)")
_POD = re.compile(
    r"(?:^|[-/])pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?=[/:]|\Z)"
)
#: What CRI-O runs beside each container, in a cgroup named after it.
_MONITOR = "crio-conmon-"


class Container(NamedTuple):
    """A container, and the pod that it is of: a static pod's UID may be 32 digits; empty outside of Kubernetes."""

    identifier: str
    pod: str


def find(path: str) -> Container | None:
    """The container that ``path`` (names between slashes, from the root on) leads to, or None.

    The outermost below the outermost pod: what a container makes within itself, by other names too, is still its own.
    """
    if _MONITOR in path:
        return None
    pod = _POD.search(path)
    found = _CONTAINER.search(path, pod.end() if pod else 0)
    if found is None:
        return None
    return Container(found[1], pod[1].replace("_", "-") if pod else "")


def of_process(pid: int) -> Container | None:
    """The container of a process, from /proc; None where there is none or the process is gone."""
    try:
        with open(f"/proc/{pid}/cgroup", "rb") as file:  # noqa: PTH123  # often
            for line in file.read().decode("utf-8", "replace").split("\n"):
                if found := find(line.split(":", 2)[-1]):
                    return found
    except OSError:
        return None
    return None
