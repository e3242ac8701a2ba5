"""Network namespaces for tests: one without a way out, and one with a way out at whose end somebody listens."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

#: RFC 5737: nobody's.
_NEAR, _GATE = "198.51.100.2", "198.51.100.1"
_ETH_P_ALL = 3
_ARP, _IPV4 = 0x0806, 0x0800


@dataclass
class Listener:
    """Every frame that came out of the namespace, but for the kernel's own talk of IPv6 neighbours."""

    frames: list[bytes] = field(default_factory=list)

    @property
    def destinations(self) -> set[str]:
        """Where IPv4 packets went."""
        return {
            socket.inet_ntoa(frame[30:34])
            for frame in self.frames
            if int.from_bytes(frame[12:14], "big") == _IPV4
        }


def _require() -> None:
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and ip (package iproute2)")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def without_route() -> Iterator[tuple[str, ...]]:
    """A namespace with its loopback and nothing else; gives what is put before a command to run it there."""
    _require()
    name = f"redoubt-{os.getpid()}-a"
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        yield ("ip", "netns", "exec", name)
    finally:
        _ip("netns", "del", name)


@contextmanager
def with_route() -> Iterator[tuple[tuple[str, ...], Listener]]:
    """A namespace with a default route, and who hears all that goes out by it."""
    _require()
    name, outside, inside = (
        f"redoubt-{os.getpid()}-b",
        f"rdo{os.getpid() % 100000}",
        f"rdi{os.getpid() % 100000}",
    )
    _ip("netns", "add", name)
    try:
        _ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
        try:
            _ip("addr", "add", f"{_GATE}/24", "dev", outside)
            _ip("link", "set", outside, "up")
            prefix = ("ip", "netns", "exec", name)
            _ip("-n", name, "link", "set", "lo", "up")
            subprocess.run(
                [*prefix, "sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{inside}/disable_ipv6"], check=True
            )
            _ip("-n", name, "addr", "add", f"{_NEAR}/24", "dev", inside)
            _ip("-n", name, "link", "set", inside, "up")
            _ip("-n", name, "route", "add", "default", "via", _GATE)
            with _listening(outside) as heard:
                yield prefix, heard
        finally:
            subprocess.run(["ip", "link", "del", outside], capture_output=True)
    finally:
        _ip("netns", "del", name)


@contextmanager
def _listening(device: str) -> Iterator[Listener]:
    heard, done = Listener(), threading.Event()
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    raw.bind((device, 0))
    raw.settimeout(0.1)

    def hear() -> None:
        while not done.is_set():
            try:
                frame, (_, kind, direction, *_) = raw.recvfrom(65535)
            except TimeoutError:
                continue
            except OSError:
                return
            if direction != 4 and kind in (_ARP, _IPV4):  # 4: our own, PACKET_OUTGOING
                heard.frames.append(frame)

    thread = threading.Thread(target=hear)
    thread.start()
    try:
        yield heard
    finally:
        done.set()
        thread.join()
        raw.close()
