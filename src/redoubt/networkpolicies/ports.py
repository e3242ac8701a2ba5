"""What a connection may be made to: protocols and ports, as ranges in order. Pure.

``ANYTHING`` stands for all there is, protocols included that network policies have no name for (ICMP).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

#: Protocol's place in ``PROTOCOLS``, first and last port; 0 to 65535 is the whole protocol. In order, apart from each other.
Ports: TypeAlias = tuple[tuple[int, int, int], ...]

PROTOCOLS = ("", "TCP", "UDP", "SCTP")
LAST = 65_535
ANYTHING: Ports = ((0, 0, LAST),)
NOTHING: Ports = ()


def ports(protocol: str, first: int = 0, last: int = LAST) -> Ports:
    """A range of a protocol."""
    return ((PROTOCOLS.index(protocol), first, last),)


def union(one: Ports, other: Ports) -> Ports:
    """What either lets through."""
    if one == other or not other:
        return one
    if not one or ANYTHING in (one, other):
        return other if not one else ANYTHING
    return _merged(sorted(one + other))


def intersection(one: Ports, other: Ports) -> Ports:
    """What both let through."""
    if one == other or other == ANYTHING:
        return one
    if one == ANYTHING:
        return other
    found = []
    at = there = 0
    while at < len(one) and there < len(other):
        (protocol, first, last), (others, begin, end) = one[at], other[there]
        if protocol == others and max(first, begin) <= min(last, end):
            found.append((protocol, max(first, begin), min(last, end)))
        if (protocol, last) < (others, end):
            at += 1
        else:
            there += 1
    return tuple(found)


def difference(one: Ports, other: Ports) -> Ports:
    """What only the first lets through. Of ``ANYTHING`` all is left, unless the other is that too."""
    if not other or one == ANYTHING:
        return NOTHING if other == ANYTHING else one
    return NOTHING if other == ANYTHING else intersection(one, _rest(other))


def _rest(these: Ports) -> Ports:
    """All of the protocols that have a name, but for these."""
    found = []
    at = 0
    for protocol in range(1, len(PROTOCOLS)):
        begin = 0
        while at < len(these) and these[at][0] == protocol:
            _, first, last = these[at]
            if begin < first:
                found.append((protocol, begin, first - 1))
            begin = last + 1
            at += 1
        if begin <= LAST:
            found.append((protocol, begin, LAST))
    return tuple(found)


def has(these: Ports, protocol: str, port: int) -> bool:
    """Whether a port of a protocol is among them."""
    return these == ANYTHING or any(
        PROTOCOLS[of] == protocol and first <= port <= last for of, first, last in these
    )


def together(several: Iterable[Ports]) -> Ports:
    """What any of them lets through."""
    found = sorted({each for these in several for each in these})
    if not found:
        return NOTHING
    return ANYTHING if found[0] == ANYTHING[0] else _merged(found)


def _merged(ranges: list[tuple[int, int, int]]) -> Ports:
    found = [ranges[0]]
    for protocol, first, last in ranges[1:]:
        of, begin, end = found[-1]
        if of == protocol and first <= end + 1:
            found[-1] = (of, begin, max(end, last))
        else:
            found.append((protocol, first, last))
    return tuple(found)
