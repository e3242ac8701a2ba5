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
    if other == ANYTHING:
        return NOTHING
    left = list(one)
    for protocol, begin, end in other:
        cut: list[tuple[int, int, int]] = []
        for each in left:
            of, first, last = each
            if of != protocol or last < begin or end < first:
                cut.append(each)
                continue
            if first < begin:
                cut.append((of, first, begin - 1))
            if end < last:
                cut.append((of, end + 1, last))
        left = cut
    return tuple(left)


def has(these: Ports, protocol: str, port: int) -> bool:
    """Whether a port of a protocol is among them."""
    return these == ANYTHING or any(
        PROTOCOLS[of] == protocol and first <= port <= last for of, first, last in these
    )


def together(several: Iterable[Ports]) -> Ports:
    """What any of them lets through."""
    found = NOTHING
    for each in several:
        found = union(found, each)
    return found


def _merged(ranges: list[tuple[int, int, int]]) -> Ports:
    found = [ranges[0]]
    for protocol, first, last in ranges[1:]:
        of, begin, end = found[-1]
        if of == protocol and first <= end + 1:
            found[-1] = (of, begin, max(end, last))
        else:
            found.append((protocol, first, last))
    return tuple(found)
