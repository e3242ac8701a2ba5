"""Ports and names of this machine, for those who start services on it. Connects to nobody."""

from __future__ import annotations

import errno
import os
import random
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import TypeAlias

from redoubt.errors import NetworkError

Listening: TypeAlias = socket.socket

#: Seconds that a port may still be held by one that is ending.
_PATIENCE = 3.0
#: Below the ports that Linux gives to connections (``ip_local_port_range``, from 32768 unless somebody set it).
_OURS = range(20_000, 32_000)
#: What this process was given, and may not listen on yet.
_given: set[int] = set()


def free(count: int) -> list[int]:
    """TCP ports of the loopback address on which nobody listens now.

    None that the kernel gives to connections: such a one can be somebody's before it is listened on. And none twice.
    """
    with ExitStack() as stack:
        ports: list[int] = []
        left = [port for port in _OURS if port not in _given]
        for port in (*random.sample(left, len(left)), *[0] * count):
            if len(ports) == count:
                break
            listening = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            with suppress(OSError):
                listening.bind(("127.0.0.1", port))
                ports.append(int(listening.getsockname()[1]))
        _given.update(ports)
        return ports


def names(*more: str) -> list[str]:
    """What this machine is called, by itself and (``more``) by others: for certificates."""
    return list(dict.fromkeys(["localhost", "127.0.0.1", "::1", socket.gethostname(), *more]))


def check(host: str, port: int) -> None:
    """That ``port`` can be listened on, at ``host`` or (empty) at every address. Raises ``NetworkError``.

    One that is taken is looked at for a few seconds more: whoever had it may be ending.
    """
    until = time.monotonic() + _PATIENCE
    while (problem := _problem(host, port)) == errno.EADDRINUSE and time.monotonic() < until:
        time.sleep(0.1)
    if problem is not None:
        raise NetworkError(refusal(host, port, problem))


def listening(host: str, port: int) -> Listening:
    """A socket that listens at ``host`` or (empty) at every address. Raises ``NetworkError``."""
    try:
        if host:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, port), family=family, backlog=128)
        return _at_every_address(port)
    except OSError as error:
        raise NetworkError(refusal(host, port, error.errno or str(error))) from None


def _at_every_address(port: int) -> Listening:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):  # IPv6 is turned off
                raise
    return socket.create_server(("", port), backlog=128)


def refusal(host: str | Sequence[str] | None, port: int, problem: int | str) -> str:
    """What to say of a port that cannot be listened on: ``problem`` is the system's number, or words."""
    why = os.strerror(problem) if isinstance(problem, int) else problem
    return f"cannot listen on {host or 'all addresses'}, port {port} ({why}); name another one"


def _problem(host: str, port: int) -> int | str | None:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    for family, kind, protocol, _, address in dict.fromkeys(found):
        try:
            with socket.socket(family, kind, protocol) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                one.bind(address)
                one.listen()
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT:  # a machine without IPv6
                return error.errno or str(error)
    return None
