"""Networks outside that have a name: the smallest block that an address is in. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

import msgspec


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
        self.all: dict[str, Block] = {}
        for each in blocks:
            network = ip_network(each.block)
            # As Python writes it: so do Sensors, and PostgreSQL not always.
            self.all[each.id] = found = msgspec.structs.replace(each, block=str(network))
            self._by_length.setdefault((network.version, network.prefixlen), {})[
                int(network.network_address)
            ] = found
        self._lengths = {
            version: sorted((length for of, length in self._by_length if of == version), reverse=True)
            for version in (4, 6)
        }

    def smallest(self, text: str) -> Block | None:
        """The smallest block that has all of an address or network; None where there is none, or it is neither."""
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            return None
        address, most = network.network_address, network.prefixlen
        if address.version == 6 and (inner := address.ipv4_mapped) is not None and most >= 96:
            address, most = inner, most - 96
        number = int(address)
        for length in self._lengths[address.version]:
            masked = number >> (address.max_prefixlen - length) << (address.max_prefixlen - length)
            if length <= most and (found := self._by_length[address.version, length].get(masked)) is not None:
                return found
        return None
