"""Addresses that are no pod's, and who they are: networks that have a name, private ones without, the internet. Pure.

Each address is the smallest network's that it is in, as in the graph of connections: so a network with a name is let through
where some of its own addresses are, and the internet where some address is that has no name.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network

import msgspec

from redoubt.model.noderecords import PRIVATE

#: Version of IP, first and last address as numbers.
Range = tuple[int, int, int]


class Network(msgspec.Struct, frozen=True):
    """A network outside that has a name. ``block`` is a CIDR."""

    id: str
    block: str


class Outside:
    """Who is outside, by place: 0 is the internet, 1 what is private and nobody's, then ``networks``."""

    INTERNET, INTERNAL = 0, 1

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self.networks = tuple(networks)
        owned = [(span("0.0.0.0/0"), self.INTERNET), (span("::/0"), self.INTERNET)]
        owned += [(span(str(each)), self.INTERNAL) for each in PRIVATE]
        owned += [(span(each.block), at) for at, each in enumerate(networks, 2)]
        self._begins: dict[int, list[int]] = {}
        self._owners: dict[int, list[int]] = {}
        for version in (4, 6):
            self._begins[version], self._owners[version] = _flat(
                [(first, last, owner) for (of, first, last), owner in owned if of == version]
            )

    @property
    def all(self) -> int:
        """The set of all of them."""
        return (1 << (2 + len(self.networks))) - 1

    def segments(self, version: int) -> list[tuple[int, int, int]]:
        """All addresses of a version, in order: first, last, and whose they are."""
        begins, owners = self._begins[version], self._owners[version]
        ends = [*(each - 1 for each in begins[1:]), span("0.0.0.0/0" if version == 4 else "::/0")[2]]
        return list(zip(begins, ends, owners, strict=True))

    def within(self, ranges: Iterable[Range]) -> int:
        """Those that have an address in one of the ranges."""
        found = 0
        for version, first, last in ranges:
            begins, owners = self._begins[version], self._owners[version]
            for at in range(bisect_right(begins, first) - 1, bisect_right(begins, last)):
                found |= 1 << owners[at]
        return found


class Addresses:
    """Who has which addresses; asked by ranges."""

    def __init__(self, addresses: Iterable[tuple[str, int]]) -> None:
        """Address and place of whoever has it; what is no address is passed over."""
        several: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for text, at in addresses:
            try:
                version, first, _ = span(text)
            except ValueError:
                continue
            several[version].append((first, at))
        self._numbers = {version: [number for number, _ in sorted(of)] for version, of in several.items()}
        self._places = {version: [at for _, at in sorted(of)] for version, of in several.items()}

    def within(self, ranges: Iterable[Range]) -> int:
        """Those that have an address in one of the ranges."""
        found = 0
        for version, first, last in ranges:
            numbers = self._numbers[version]
            for at in range(bisect_right(numbers, first - 1), bisect_right(numbers, last)):
                found |= 1 << self._places[version][at]
        return found


def span(block: str) -> Range:
    """A network's addresses. Raises ``ValueError``."""
    network = ip_network(block, strict=False)
    return network.version, int(network.network_address), int(network.broadcast_address)


def address(version: int, number: int) -> str:
    """An address as it is written."""
    return str(IPv4Address(number) if version == 4 else IPv6Address(number))


def ranges(block: str, excepts: Iterable[str] = ()) -> list[Range]:
    """A network's addresses but for some. Raises ``ValueError``."""
    version, first, last = span(block)
    found = []
    for of, begin, end in sorted(map(span, excepts)):
        if of != version or end < first or last < begin:
            continue
        if first < begin:
            found.append((version, first, begin - 1))
        first = max(first, end + 1)
    return [*found, (version, first, last)] if first <= last else found


def _flat(nested: list[tuple[int, int, int]]) -> tuple[list[int], list[int]]:
    """Networks, of which one is within another or apart from it, as beginnings and who has what begins there.

    Of two that are the same the later counts.
    """
    begins: list[int] = []
    owners: list[int] = []

    def begin(number: int, owner: int) -> None:
        if begins and begins[-1] == number:
            owners[-1] = owner
        else:
            begins.append(number)
            owners.append(owner)

    around: list[tuple[int, int]] = []  # last address and owner
    for first, last, owner in sorted(nested, key=lambda each: (each[0], -each[1])):
        while around and around[-1][0] < first:
            ended = around.pop()[0]
            begin(ended + 1, around[-1][1])
        begin(first, owner)
        around.append((last, owner))
    while len(around) > 1:
        ended = around.pop()[0]
        if ended < around[-1][0]:
            begin(ended + 1, around[-1][1])
    return begins, owners
