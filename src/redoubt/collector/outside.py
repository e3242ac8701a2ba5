"""Connections with addresses outside of the cluster told as one, and how many a container may have told. Pure.

Addresses that are private, or within known networks, stay what they are; every other one is ``EXTERNAL``, unless it is
wanted that they are told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

from redoubt.model.noderecords import EXTERNAL, PRIVATE, Connection, Event, Flow, Loss

_MINUTE = 60 * 10**9
#: Containers whose flows are counted.
_CONTAINERS = 1 << 16
_REMEMBERED = 1 << 14

_Network = IPv4Network | IPv6Network


class Outside:
    """Takes events and tells events, where connections within the machine's loopback are left out."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self.configure(apart=False, networks=())

    def configure(self, *, apart: bool, networks: Iterable[str]) -> None:
        """``apart``: every address is told. ``networks`` are told apart anyhow; the smallest that an address is in."""
        self.configured = (apart, tuple(networks))
        known: list[_Network] = []
        for each in self.configured[1]:
            try:
                known.append(ip_network(each, strict=False))
            except ValueError:
                continue
        known.sort(key=lambda each: each.prefixlen, reverse=True)

        @lru_cache(_REMEMBERED)
        def name(address: str) -> str | None:
            """How an address is told; None: not at all."""
            try:
                parsed: IPv4Address | IPv6Address = ip_address(address)
            except ValueError:
                return address
            if parsed.is_loopback:
                return None
            if apart or any(parsed in network for network in PRIVATE):
                return address
            for network in known:
                if parsed in network:
                    return address if network.num_addresses == 1 else str(network)
            return EXTERNAL

        self._name = name

    def __call__(self, event: Event) -> None:
        """One event."""
        if isinstance(event, Connection):
            name = self._name(event.remote)
            if name is None:
                return
            if name != event.remote:
                event = msgspec.structs.replace(event, remote=name)
        self._tell(event)


class Limit:
    """Takes events and tells events: flows that begin, for each container no more than ``a_minute``; 0: all."""

    def __init__(self, tell: Callable[[Event], None], a_minute: int = 0) -> None:
        self._tell = tell
        self.a_minute = a_minute
        self._minute = 0
        self._begun: dict[str, int] = {}
        #: Flows that were not told, and those of them that no event told of yet.
        self.limited = self._untold = 0

    def __call__(self, event: Event) -> None:
        """One event."""
        if self.a_minute and isinstance(event, Flow) and event.state == "open":
            minute = event.time // _MINUTE
            if minute != self._minute:
                self._minute, self._begun = minute, {}
                self.flush(event.time)
            begun = self._begun.get(event.container, 0)
            if begun >= self.a_minute:
                self.limited += 1
                self._untold += 1
                return
            if begun or len(self._begun) < _CONTAINERS:
                self._begun[event.container] = begun + 1
        self._tell(event)

    def flush(self, now: int) -> None:
        """Tell how many were not told."""
        if self._untold:
            self._tell(Loss(time=now, lost={"limited": self._untold}, cpus=[]))
            self._untold = 0
