"""Addresses → entities: whose an address is, as network graph and policies tell of it. Pure.

A pod's or a service's address is its deployment; one within a known network is that network, the smallest that it is in;
a private one that nobody knows is within the cluster or near it; every other one is the internet.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from redoubt.model.cluster import Entity
from redoubt.model.noderecords import EXTERNAL, PRIVATE

INTERNET = Entity(type="INTERNET")
#: A private address that is nobody's, as far as anybody knows.
INTERNAL = Entity(type="INTERNAL_ENTITIES")

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network


class Networks:
    """The networks outside that have a name of their own, and whether other addresses outside are told apart."""

    def __init__(self, networks: Iterable[str] = (), *, apart: bool = False) -> None:
        """What is no network is passed over."""
        self.apart = apart
        self._networks: dict[int, dict[tuple[int, int], str]] = {4: {}, 6: {}}
        self._lengths: dict[int, list[int]] = {4: [], 6: []}
        for text in networks:
            try:
                network = ip_network(text, strict=False)
            except ValueError:
                continue
            of = self._networks[network.version]
            of[network.prefixlen, int(network.network_address)] = str(network)
        for version, known in self._networks.items():
            self._lengths[version] = sorted({length for length, _ in known}, reverse=True)

    def entity(self, remote: str) -> Entity:
        """What is told of an address (or network, or ``EXTERNAL``) that is no deployment's."""
        if remote == EXTERNAL:
            return INTERNET
        text, slash, _ = remote.partition("/")
        try:
            address = ip_address(text)
            within = ip_network(remote, strict=False) if slash else None
        except ValueError:
            return INTERNET
        if (found := self._smallest(address, within.prefixlen if within else None)) is not None:
            return Entity(type="EXTERNAL_SOURCE", id=found)
        if any(address in network for network in PRIVATE):
            return INTERNAL
        return Entity(type="INTERNET", id=str(address)) if self.apart and within is None else INTERNET

    def _smallest(self, address: _Address, most: int | None) -> str | None:
        bits, number, known = address.max_prefixlen, int(address), self._networks[address.version]
        for length in self._lengths[address.version]:
            if most is not None and length > most:
                continue
            if found := known.get((length, number >> (bits - length) << (bits - length))):
                return found
        return None


def private(remote: str) -> bool:
    """Whether an address may be of the cluster."""
    try:
        address = ip_address(remote)
    except ValueError:
        return False
    return any(address in network for network in PRIVATE)
