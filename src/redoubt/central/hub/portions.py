"""What is told in one message where it fits, and in several where it does not: a message of the wire has 4 MB.

Policies cannot come in several, since each time they are all that there are: the largest are left out, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import structlog

from redoubt.model.cluster import BaselineSync, ContainerBaseline, DeploymentNetworkBaseline

#: Bytes of a message's content, so that with all around it it is one that the other side takes.
LARGEST = 3_500_000

_log = structlog.get_logger("hub")


def baselines(sync: BaselineSync, largest: int = LARGEST) -> Iterator[bytes]:
    """Baselines in one or several messages: the first one says whether these are all, the others add to it.

    One that is larger than a message by itself is left out.
    """
    room = largest // 2  # an item's comma and a message's frame are small beside this
    processes: list[ContainerBaseline] = []
    networks: list[DeploymentNetworkBaseline] = []
    size, whole, removed = 0, sync.whole, sync.removed_deployments

    def message() -> bytes:
        made = BaselineSync(
            whole=whole, processes=tuple(processes), networks=tuple(networks), removed_deployments=removed
        )
        return msgspec.json.encode(made)

    items: list[ContainerBaseline | DeploymentNetworkBaseline] = [*sync.processes, *sync.networks]
    for item in items:
        own = len(msgspec.json.encode(item))
        if own > largest - 1000:
            _log.error("a baseline is too large for Sensors", deployment=item.deployment_id, bytes=own)
            continue
        if size and size + own > room:
            yield message()
            whole, removed, size = False, (), 0
            processes, networks = [], []
        if isinstance(item, ContainerBaseline):
            processes.append(item)
        else:
            networks.append(item)
        size += own
    yield message()


def policies(written: Sequence[bytes], largest: int = LARGEST) -> tuple[bytes, int]:
    """Policies (JSON each) as one list, and how many of them, the largest, had no room."""
    order = sorted(range(len(written)), key=lambda each: len(written[each]))
    fitting: set[int] = set()
    size = 2
    for each in order:
        size += len(written[each]) + 1
        if size > largest:
            break
        fitting.add(each)
    told = [one for number, one in enumerate(written) if number in fitting]
    return b"[" + b",".join(told) + b"]", len(written) - len(told)
