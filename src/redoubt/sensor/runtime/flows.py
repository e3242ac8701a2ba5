"""What collectors tell of flows and endpoints → what stands between entities. Pure.

Both ends of a connection tell of it, from the same node or from two: that is one flow, open while either of them says so.
A collector that begins anew tells all that stands again; what it does not tell then is over.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Hashable
from hashlib import blake2b
from typing import Generic, TypeVar

import msgspec

from redoubt.model.cluster import EndpointRecord, Entity, FlowRecord

#: What is told of at most, of each kind; the oldest are closed.
MOST = 1 << 17
#: Who tells of them, at most; beyond it nobody else is noted.
TELLERS = 4 * MOST
#: Seconds after which what a collector told is over, where it told it before it began anew or is away.
STALE = 90.0
AWAY = 600.0

Key = TypeVar("Key", bound=Hashable)


class FlowKey(msgspec.Struct, frozen=True, gc=False):
    """What makes a flow one."""

    source: Entity
    destination: Entity
    port: int
    protocol: str

    def record(self, seen: int, closed: int | None) -> FlowRecord:
        """As Central is told of it."""
        return FlowRecord(
            source=self.source,
            destination=self.destination,
            port=self.port,
            protocol=self.protocol,
            seen=seen,
            closed=closed,
        )


class EndpointKey(msgspec.Struct, frozen=True, gc=False):
    """What makes an endpoint one. Which process listens is told beside it."""

    deployment_id: str
    pod_uid: str
    container_name: str
    port: int
    protocol: str


class Teller(msgspec.Struct, frozen=True, gc=False):
    """Who tells of something: a collector's node, and which of the things there that are the same to us (a hash of it)."""

    node: str
    detail: bytes

    @classmethod
    def of(cls, node: str, *detail: object) -> Teller:
        """The one of these details, as texts."""
        text = "\0".join(map(str, detail)).encode("utf-8", "surrogatepass")
        return cls(node, blake2b(text, digest_size=16).digest())


class _Standing(msgspec.Struct):
    tellers: dict[Teller, int]
    since: int


class Standing(Generic[Key]):
    """Who tells of what: a thing is open while anybody tells of it. ``generation`` is which run of its collector told."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._open: OrderedDict[Key, _Standing] = OrderedDict()
        self._told: dict[Teller, Key] = {}
        self._generations: dict[str, int] = {}
        #: When the nodes' older generations are over, or the node itself where it is away; seconds.
        self._due: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, key: Key, teller: Teller, seen: int) -> tuple[bool, Key | None]:
        """Whether it was not open yet, and what had to be given up for it."""
        former = self._told.get(teller)
        given_up: Key | None = None
        if former is not None and former != key and self._leave(former, teller):
            given_up = former
        standing = self._open.get(key)
        if former is None and standing is not None and len(self._told) >= TELLERS:
            return False, given_up
        self._told[teller] = key
        generation = self._generations.get(teller.node, 0)
        if standing is not None:
            standing.tellers[teller] = generation
            return False, given_up
        if len(self._open) >= self._most and given_up is None:
            given_up = next(iter(self._open))
            self._remove(given_up)
        self._open[key] = _Standing({teller: generation}, seen)
        return True, given_up

    def knows(self, teller: Teller) -> bool:
        """Whether this one tells of something."""
        return teller in self._told

    def __contains__(self, key: Key) -> bool:
        return key in self._open

    def closed(self, teller: Teller) -> Key | None:
        """What is over now, because the last one who told of it says so."""
        key = self._told.pop(teller, None)
        return key if key is not None and self._leave(key, teller) else None

    @property
    def nodes(self) -> Container[str]:
        """Whose collectors were heard, and are not given up."""
        return self._generations

    def began(self, node: str, now: float, *, anew: bool) -> None:
        """A collector is there. ``anew``: it is another one than before, and tells all that stands."""
        if anew and node in self._generations:
            self._generations[node] += 1
            self._due[node] = now + STALE
        else:
            self._generations.setdefault(node, 0)
            self._due.pop(node, None)

    def away(self, node: str, now: float) -> None:
        """A collector is there no longer."""
        self._due[node] = now + AWAY

    def over(self, now: float, present: set[str]) -> list[Key]:
        """What nobody tells of any more: of collectors that are away for long, or were before they began anew."""
        ended: list[Key] = []
        for node in [node for node, due in self._due.items() if due <= now]:
            del self._due[node]
            generation = self._generations[node] if node in present else -1
            for teller in [each for each in self._told if each.node == node]:
                key = self._told[teller]
                if self._open[key].tellers[teller] != generation:
                    del self._told[teller]
                    if self._leave(key, teller):
                        ended.append(key)
            if node not in present:
                self._generations.pop(node, None)
        return ended

    def since(self, key: Key) -> int:
        """When it was opened; 0 where it is not open."""
        standing = self._open.get(key)
        return standing.since if standing else 0

    def _leave(self, key: Key, teller: Teller) -> bool:
        standing = self._open.get(key)
        if standing is None:
            return False
        standing.tellers.pop(teller, None)
        if standing.tellers:
            return False
        del self._open[key]
        return True

    def _remove(self, key: Key) -> None:
        for teller in self._open.pop(key).tellers:
            self._told.pop(teller, None)


def endpoint(
    key: EndpointKey, pod: str, seen: int, closed: int | None, process: tuple[str, str, str]
) -> EndpointRecord:
    """As Central is told of it. ``process``: name, path and arguments of who listens, empty where nobody knows."""
    return EndpointRecord(
        deployment_id=key.deployment_id,
        pod_id=pod,
        pod_uid=key.pod_uid,
        container_name=key.container_name,
        port=key.port,
        protocol=key.protocol,
        process_name=process[0],
        exec_file_path=process[1],
        args=process[2],
        seen=seen,
        closed=closed,
    )
