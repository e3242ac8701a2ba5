"""Where a request comes from: the address that limits and the audit log go by.

``X-Forwarded-For`` is believed as far as trusted proxies wrote it: from its end on, the first address that is not
one of theirs. A stranger who sends the header chooses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from redoubt.errors import UsageError

Network: TypeAlias = IPv4Network | IPv6Network


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks in CIDR form; raises ``UsageError``."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            raise UsageError(f"trusted_proxies: {text!r} is neither an address nor a network") from None
    return tuple(found)


def normal(text: str) -> str:
    """An address as it is compared and shown: without zone, IPv4 out of its IPv6 form; other text as it is."""
    try:
        address = ip_address(text.partition("%")[0].strip("[]"))
    except ValueError:
        return text
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def source(peer: str, forwarded: Iterable[str], trusted: tuple[Network, ...]) -> str:
    """The caller's address. ``forwarded`` are the values of ``X-Forwarded-For`` as sent, in order."""
    here = normal(peer)
    if not trusted or not _among(here, trusted):
        return here
    hops = [part.strip() for value in forwarded for part in value.split(",") if part.strip()]
    for hop in reversed(hops[-32:]):
        address = _without_port(hop)
        if not _is_address(address):
            break
        here = normal(address)
        if not _among(here, trusted):
            break
    return here


def group(address: str) -> str:
    """What is counted as one source: an IPv4 address, or the /64 that an IPv6 customer has to himself."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(parsed) if parsed.version == 4 else str(ip_network((parsed, 64), strict=False))


def _among(address: str, trusted: tuple[Network, ...]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in trusted)


def _without_port(hop: str) -> str:
    """``192.0.2.1:4711`` and ``[2001:db8::1]:4711`` without the port, which some proxies add."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
