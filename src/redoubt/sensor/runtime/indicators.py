"""Programs that were started → ``ProcessIndicator``: in the original's form, each of a pod's once. Pure.

The same program with the same arguments in the same container of the same pod is one indicator, however often it is
started: its identifier is made of these, so that it is the same one after the Sensor began anew, too.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable
from datetime import UTC, datetime
from uuid import UUID

from redoubt.model import happening, noderecords
from redoubt.sensor.runtime.surroundings import Place

#: Indicators that are remembered.
MOST = 1 << 16
#: Characters of arguments that are told: what the collector tells has fewer bytes.
_LONGEST = 8192


class Seen:
    """Which of ``most`` things were seen, the one seen longest ago is forgotten first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        # The oldest of a plain dict is looked for behind all that was deleted before it.
        self._seen: OrderedDict[Hashable, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def again(self, what: Hashable) -> bool:
        """Whether it was seen before; it is now."""
        if what in self._seen:
            self._seen.move_to_end(what)
            return True
        if len(self._seen) >= self._most:
            self._seen.popitem(last=False)
        self._seen[what] = None
        return False

    def forget(self, what: Hashable) -> None:
        """It is to be new again."""
        self._seen.pop(what, None)


def key(place: Place, process: noderecords.Process) -> bytes:
    """What makes an indicator one: pod, container, path and arguments."""
    parts = (place.pod_uid, place.container_name, process.path, process.name, *process.arguments[1:])
    hashed = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        hashed.update(len(data).to_bytes(4, "little"))
        hashed.update(data)
    return hashed.digest()


def indicator(place: Place, process: noderecords.Process, identity: bytes, cluster: str) -> happening.Process:
    """In the original's form. ``identity`` is ``key``'s."""
    identifier = str(UUID(bytes=identity[:16], version=5))
    return happening.Process(
        id=identifier,
        deployment_id=place.deployment_id,
        container_name=place.container_name,
        pod_id=place.pod,
        pod_uid=place.pod_uid,
        cluster_id=cluster,
        namespace=place.namespace,
        image_id=place.image_id,
        signal=happening.ProcessSignal(
            id=identifier,
            # As the original: the runtime's short form.
            container_id=process.container[:12],
            time=moment(process.time),
            name=process.name,
            args=arguments(process),
            exec_file_path=process.path,
            pid=process.pid,
            uid=process.uid,
            gid=process.gid,
            lineage_info=tuple(
                happening.Ancestor(parent_uid=each.uid, parent_exec_file_path=each.path)
                for each in process.ancestors
            ),
        ),
    )


def arguments(process: noderecords.Process) -> str:
    """All but the first, with blanks between."""
    return " ".join(process.arguments[1:])[:_LONGEST]


def moment(nanoseconds: int) -> datetime:
    """A time of the collector's; what no clock can show is the first or last that one can."""
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0 if nanoseconds < 0 else 253402300799, UTC)
