"""Ports and names of this machine, for those who start services on it. Connects to nobody."""

from __future__ import annotations

import socket
from contextlib import ExitStack


def free(count: int) -> list[int]:
    """TCP ports of the loopback address on which nobody listens now."""
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            listening = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            listening.bind(("127.0.0.1", 0))
            ports.append(int(listening.getsockname()[1]))
        return ports


def names() -> list[str]:
    """What this machine is called: for certificates."""
    return list(dict.fromkeys(["localhost", "127.0.0.1", "::1", socket.gethostname()]))
