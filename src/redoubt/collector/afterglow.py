"""Connections → flows: who talks to whom, whichever port the caller had. Pure.

A flow whose last connection is closed glows for a while. Whoever connects again meanwhile goes on with it, so that a caller that connects every
few seconds is one flow, told once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from redoubt.model.noderecords import Connection, Event, Flow

#: Seconds for which a flow without connections is open still, as the original has it.
AFTERGLOW = 300.0
#: Flows that are remembered.
_MOST = 1 << 16

_Key = tuple[str, str, str, str, int, int]


class Afterglow:
    """Takes events and tells events: flows in place of connections, everything else as it is."""

    def __init__(self, tell: Callable[[Event], None], seconds: float = AFTERGLOW) -> None:
        self._tell = tell
        self._period = int(seconds * 1e9)
        self._flows: dict[_Key, Flow] = {}
        self._open: dict[_Key, int] = {}
        #: When the last connection was closed, or a UDP packet told; the longest ago first.
        self._glowing: dict[_Key, int] = {}

    def __len__(self) -> int:
        return len(self._flows)

    def __call__(self, event: Event) -> None:
        """One event."""
        if not isinstance(event, Connection):
            self._tell(event)
            return
        key = _key(event)
        if event.state == "closed":
            left = self._open.get(key, 0) - 1
            if left > 0:
                self._open[key] = left
            elif key in self._flows:
                self._open.pop(key, None)
                self._glow(key, event.time)
            return
        if event.protocol == "udp":  # it has no end but silence
            self._glow(key, event.time)
        else:
            self._glowing.pop(key, None)
            self._open[key] = self._open.get(key, 0) + 1
        if key not in self._flows:
            self._begin(key, event)

    def expire(self, now: int) -> None:
        """Tell the ends of flows that have glowed for long enough. ``now``: nanoseconds, as events' times."""
        for key in list(self._due(now)):
            self._end(key, self._glowing.pop(key))

    def again(self) -> None:
        """Tell all flows that are open once more: to somebody who does not know of them."""
        for flow in list(self._flows.values()):
            self._tell(msgspec.structs.replace(flow, scraped=True))

    def clear(self, now: int) -> None:
        """End all flows: whoever is connected still is to be told anew."""
        for key in list(self._flows):
            self._end(key, self._glowing.pop(key, now))

    def _due(self, now: int) -> Iterator[_Key]:
        for key, since in self._glowing.items():
            if now - since < self._period:
                return
            yield key

    def _glow(self, key: _Key, since: int) -> None:
        self._glowing.pop(key, None)
        self._glowing[key] = since

    def _begin(self, key: _Key, event: Connection) -> None:
        if len(self._flows) >= _MOST:  # one that glows, else the oldest
            oldest = next(iter(self._glowing), None) or next(iter(self._flows))
            self._end(oldest, self._glowing.pop(oldest, event.time))
        protocol, role = event.protocol, event.role
        self._flows[key] = flow = Flow(
            time=event.time,
            container=event.container,
            pod=event.pod,
            protocol=protocol,
            role=role,
            remote=event.remote,
            port=key[4],
            state="open",
            network=event.network,
            scraped=event.scraped,
        )
        self._tell(flow)

    def _end(self, key: _Key, time: int) -> None:
        self._open.pop(key, None)
        flow = self._flows.pop(key, None)
        if flow is not None:
            self._tell(flow.ended(time))


def _key(event: Connection) -> _Key:
    port = event.remote_port if event.role == "client" else event.local_port
    return (event.container, event.protocol, event.role, event.remote, port, event.network)
