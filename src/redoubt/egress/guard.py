"""The second line of offline mode, behind ``Policy``: connections that somebody opened past the door are refused.

Python's own sockets pass an audit hook (PEP 578) at ``connect``, and names are resolved through ``socket.getaddrinfo``,
which is replaced: what it resolved of an allowed name may be connected to, and nothing else that is not on this machine.
uvloop resolves and connects in C, where no hook sees it: its loop is replaced by one that asks first. Both count what
they refuse (``refusals``). A hook cannot be taken away again, so it asks the guard that is installed now.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvloop

from redoubt.egress import refusals
from redoubt.egress.hosts import is_own
from redoubt.errors import HostRefused

#: Addresses that allowed names had, of which so many are remembered; and names of each.
_REMEMBERED, _NAMES = 4096, 32


class Guard:
    """What may be connected to in this process: this machine, the cluster, and ``allowed`` (asked each time)."""

    def __init__(self, allowed: Callable[[str], bool]) -> None:
        self._allowed = allowed
        self._lock = threading.Lock()
        #: Addresses, and the names that had them.
        self._addresses: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._permitted: list[frozenset[str] | None] = []

    def install(self) -> None:
        """Watch over this process from now on, in the place of the guard before."""
        global _current
        _current = self
        _hook()

    def remove(self) -> None:
        """Watch no more."""
        global _current
        if _current is self:
            _current = None

    @contextmanager
    def permit(self, hosts: frozenset[str] | None) -> Iterator[None]:
        """``hosts`` (None: all) may be contacted while the body runs, by anybody in this process."""
        hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        with self._lock:
            self._permitted.append(hosts)
        try:
            yield
        finally:
            with self._lock:
                self._permitted.remove(hosts)

    def check_name(self, host: str) -> None:
        """Raises ``HostRefused`` unless a name or address may be resolved and connected to."""
        if self._may(host):
            return
        with self._lock:
            names = self._addresses.get(host, frozenset())
        # An address is no longer what its name was allowed for when the name is not.
        if any(self._may(name) for name in names):
            return
        refusals.tell(host)
        raise HostRefused.of(host)

    def resolved(self, address: str, name: str) -> None:
        """``name``, which was allowed, has this address."""
        with self._lock:
            names = self._addresses.get(address, frozenset())
            self._addresses[address] = names | {name} if len(names) < _NAMES else frozenset({name})
            self._addresses.move_to_end(address)
            while len(self._addresses) > _REMEMBERED:
                self._addresses.popitem(last=False)

    def _may(self, host: str) -> bool:
        return is_own(host) or self._allowed(host) or self._is_permitted(host)

    def _is_permitted(self, host: str) -> bool:
        with self._lock:
            return any(hosts is None or host.lower() in hosts for hosts in self._permitted)


_current: Guard | None = None
_hooked = False
_resolve = socket.getaddrinfo


def current() -> Guard | None:
    """The guard of this process."""
    return _current


def _hook() -> None:
    global _hooked
    if not _hooked:
        _hooked = True
        socket.getaddrinfo = _getaddrinfo  # the same, asked before
        sys.addaudithook(_audit)


def _getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
    guard = _current
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if guard is None or not name:
        return _resolve(host, *arguments, **named)
    guard.check_name(str(name))
    found = _resolve(host, *arguments, **named)
    for *_, address in found:
        guard.resolved(str(address[0]), str(name))
    return found


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    guard = _current
    if guard is None or event not in ("socket.connect", "socket.sendto"):
        return
    connection, address = arguments[0], arguments[1]
    if getattr(connection, "family", None) in (socket.AF_INET, socket.AF_INET6) and isinstance(
        address, tuple
    ):
        guard.check_name(str(address[0]).partition("%")[0])


class GuardedLoop(uvloop.Loop):
    """uvloop's loop, whose connections are asked about."""

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **named: Any
    ) -> Any:
        """As asyncio's."""
        if _current is not None and host is not None and named.get("sock") is None:
            _current.check_name(str(host))
        return await super().create_connection(protocol_factory, host, port, **named)

    async def create_datagram_endpoint(self, *arguments: Any, **named: Any) -> Any:
        """As asyncio's."""
        remote = named.get("remote_addr")
        if _current is not None and remote is not None:
            _current.check_name(str(remote[0]))
        return await super().create_datagram_endpoint(*arguments, **named)

    async def getaddrinfo(self, host: Any, port: Any, **named: Any) -> Any:
        """As asyncio's."""
        guard = _current
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
        if guard is not None and host is not None:
            guard.check_name(name)
        found = await super().getaddrinfo(host, port, **named)
        if guard is not None and host is not None:
            for *_, address in found:
                guard.resolved(str(address[0]), name)
        return found

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """As asyncio's."""
        if _current is not None and isinstance(address, tuple) and sock.family != socket.AF_UNIX:
            _current.check_name(str(address[0]))
        await super().sock_connect(sock, address)


def run(main: Any) -> Any:
    """``asyncio.run`` on a guarded loop."""
    with asyncio.Runner(loop_factory=GuardedLoop) as runner:
        return runner.run(main)
