"""Networks outside that have a name: the smallest block that an address is in. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import msgspec

Network = IPv4Network | IPv6Network


class Block(msgspec.Struct, frozen=True):
    """A network with a name. ``block`` is a CIDR."""

    id: str
    name: str
    block: str
    cluster: str = ""


class Blocks:
    """Blocks, to be asked for the smallest one. A look-up costs one step for each length of a prefix that there is."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._by_length: dict[tuple[int, int], dict[int, Block]] = {}
        self.all = {each.id: each for each in blocks}
        for each in self.all.values():
            network = ip_network(each.block)
            of = self._by_length.setdefault((network.version, network.prefixlen), {})
            of[int(network.network_address)] = each
        self._lengths = {
            version: sorted((length for of, length in self._by_length if of == version), reverse=True)
            for version in (4, 6)
        }

    def smallest(self, address: str) -> Block | None:
        """The smallest block with ``address`` in it; None where there is none, or it is no address."""
        try:
            given = ip_address(address)
        except ValueError:
            return None
        if given.version == 6 and (inner := given.ipv4_mapped) is not None:
            given = inner
        number = int(given)
        for length in self._lengths[given.version]:
            masked = number >> (given.max_prefixlen - length) << (given.max_prefixlen - length)
            if (found := self._by_length[given.version, length].get(masked)) is not None:
                return found
        return None
