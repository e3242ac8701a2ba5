"""What network policies let through between the workloads of a cluster, and to and from what is outside. Pure.

A connection is let through where the one that makes it may go out and the one that takes it may be reached: each direction is
free for a pod that no policy of that direction is about, and limited to what the rules of all of them together allow for others.
Rules: Kubernetes' documentation of network policies.

Workloads and what is outside are bits of a set. What a workload may take and what it may reach is a list of (ports, set), the
sets apart from each other; workloads with the same are looked at once.

Two things that Kubernetes leaves to the network: pods on their host's network are subject to no policy and are met by addresses
only; an ``ipBlock`` counts for pods by the addresses that they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from redoubt.errors import LimitExceeded
from redoubt.jsonfields import part
from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.model.workload import Port
from redoubt.networkpolicies.outside import Addresses, Outside
from redoubt.networkpolicies.ports import ANYTHING, NOTHING, Ports, intersection, ports, together, union
from redoubt.networkpolicies.selectors import Labelled, bits_of, directions, members
from redoubt.networkpolicies.spec import EgressRule, IngressRule, Peer, Spec, read

#: Ports and who may use them; the sets are apart from each other.
Parts = tuple[tuple[Ports, int], ...]
#: Policies with a workload that they are about, and steps to tell rules apart that belong together.
_MOST_PAIRS, _MOST_STEPS = 2_000_000, 2_000_000
#: The label that Kubernetes gives to every namespace.
NAMESPACE_NAME = "kubernetes.io/metadata.name"


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """Pods that are alike. ``named`` are the ports that containers have names for, by protocol and name."""

    id: str
    namespace: str
    labels: Mapping[str, str] = {}
    named: Mapping[tuple[str, str], frozenset[int]] = {}
    host_network: bool = False
    addresses: tuple[str, ...] = ()


def named_ports(given: Iterable[Port]) -> dict[tuple[str, str], frozenset[int]]:
    """``Workload.named`` of containers' ports."""
    found: dict[tuple[str, str], frozenset[int]] = {}
    for each in given:
        if each.name:
            key = (each.protocol or "TCP", each.name)
            found[key] = found.get(key, frozenset()) | {each.container_port}
    return found


class World:
    """Who there is. Place ``n`` is the ``n``-th workload; behind them comes what is outside, in its order."""

    def __init__(
        self,
        workloads: Sequence[Workload],
        namespaces: Mapping[str, Mapping[str, str]],
        outside: Outside | None = None,
    ) -> None:
        self.workloads = tuple(workloads)
        self.outside = outside or Outside()
        self.number = len(self.workloads)
        size = self.number // 8 + 1
        self.labels = Labelled([each.labels for each in self.workloads])
        self.all = self.labels.all | self.outside.all << self.number
        self.pods = bits_of((at for at, each in enumerate(self.workloads) if not each.host_network), size)
        within: dict[str, list[int]] = {}
        for at, each in enumerate(self.workloads):
            within.setdefault(each.namespace, []).append(at)
        self.within = {name: bits_of(several, size) & self.pods for name, several in within.items()}
        self._names = list(self.within)
        self._namespaces = Labelled([namespaces.get(name, {NAMESPACE_NAME: name}) for name in self._names])
        self._addresses = Addresses(
            (address, at) for at, each in enumerate(self.workloads) for address in each.addresses
        )
        self._peers: dict[tuple[str, bytes], int] = {}

    def taken(self, namespace: str, selector: Mapping[str, object]) -> int:
        """Workloads of a namespace that a selector takes."""
        there = self.within.get(namespace, 0)
        return there and there & self.labels.taken(selector)

    def peers(self, namespace: str, peers: Sequence[Peer]) -> int:
        """Whom a rule of a policy of ``namespace`` is about."""
        found = 0 if peers else self.all
        for each in peers:
            key = (namespace, msgspec.json.encode(each, order="sorted"))
            if (several := self._peers.get(key)) is None:
                several = self._peers[key] = self._peer(namespace, each)
            found |= several
        return found

    def _peer(self, namespace: str, peer: Peer) -> int:
        if peer.ip_block is not None:
            ranges = peer.ip_block.ranges()
            return self._addresses.within(ranges) | self.outside.within(ranges) << self.number
        if peer.namespace_selector is None:
            found = self.within.get(namespace, 0)
        else:
            found = 0
            for at in members(self._namespaces.taken(peer.namespace_selector)):
                found |= self.within[self._names[at]]
        return found if peer.pod_selector is None else found & self.labels.taken(peer.pod_selector)


class Policy(msgspec.Struct, frozen=True):
    """A policy and what it says."""

    policy: ClusterNetworkPolicy
    spec: Spec
    ingress: bool
    egress: bool


def compiled(policies: Iterable[ClusterNetworkPolicy]) -> list[Policy]:
    """Raises ``UnreadableInput`` where Kubernetes would not take one."""
    found = []
    for each in policies:
        kinds = directions(each.spec)
        found.append(Policy(each, read(each), "Ingress" in kinds, "Egress" in kinds))
    return found


class Allowed:
    """What policies let through in a world."""

    def __init__(self, world: World, policies: Sequence[Policy]) -> None:
        self.world = world
        #: For each workload, the identifiers of the policies that are about it.
        self.policies: list[list[str]] = [[] for _ in world.workloads]
        incoming: list[list[int]] = [[] for _ in world.workloads]
        outgoing: list[list[int]] = [[] for _ in world.workloads]
        pairs = 0
        for number, each in enumerate(policies):
            taken = world.taken(each.policy.namespace, part(each.policy.spec, "podSelector"))
            if (pairs := pairs + taken.bit_count()) > _MOST_PAIRS:
                raise LimitExceeded(f"network policies are about more than {_MOST_PAIRS} workloads in all")
            for at in members(taken):
                self.policies[at].append(each.policy.id)
                if each.ingress:
                    incoming[at].append(number)
                if each.egress:
                    outgoing[at].append(number)
        size = world.number // 8 + 1
        #: Workloads that may be reached, and may reach, by rules only.
        self.isolated_ingress = bits_of((at for at, several in enumerate(incoming) if several), size)
        self.isolated_egress = bits_of((at for at, several in enumerate(outgoing) if several), size)
        self._free: Parts = ((ANYTHING, world.all),)
        steps = _Steps()
        sources, targets = _Incoming(world, policies, steps), _Outgoing(world, policies, steps)
        self._ways = [sources.of(at, several) for at, several in enumerate(incoming)]
        self._ways_in = _grouped(world, self._ways)
        self._ways_out = [targets.of(tuple(several)) for several in outgoing]

    @property
    def ways(self) -> int:
        """In how many ways workloads may be reached."""
        return len(self._ways_in)

    def between(self, source: int, target: int) -> Ports:
        """What is let through from one place to another."""
        return self.reached(source, 1 << target).get(target, NOTHING)

    def reached(self, source: int, among: int) -> dict[int, Ports]:
        """All that a place may reach among others, and at which ports; not itself. What is outside reaches only workloads."""
        found: dict[int, Ports] = {}
        inside = source < self.world.number
        among &= ~(1 << source) & (self.world.all if inside else self.world.labels.all)
        for out, targets in self._ways_out[source] if inside else self._free:
            there = targets & among
            if not there:
                continue
            for ways, takers in self._takers(there):
                for taken, sources in ways:
                    if sources >> source & 1:
                        if allowed := intersection(out, taken):
                            found.update(dict.fromkeys(members(takers), allowed))
                        break
        return found

    def _takers(self, among: int) -> Iterator[tuple[Parts, int]]:
        """Places, those together that are reached in the same way."""
        if among.bit_count() > len(self._ways_in):
            for ways, takers in self._ways_in:
                if both := among & takers:
                    yield ways, both
            return
        for at in members(among):
            yield self._ways[at] if at < self.world.number else self._free, 1 << at


def evaluated(world: World, policies: Iterable[ClusterNetworkPolicy]) -> Allowed:
    """Raises ``UnreadableInput`` where Kubernetes would not take one of them."""
    return Allowed(world, compiled(policies))


def _grouped(world: World, ways: Iterable[Parts]) -> list[tuple[Parts, int]]:
    """Ways, and the workloads that have them; what is outside takes everything."""
    several: dict[Parts, list[int]] = {}
    for at, each in enumerate(ways):
        several.setdefault(each, []).append(at)
    found = [(each, bits_of(those, world.number // 8 + 1)) for each, those in several.items()]
    return [*found, (((ANYTHING, world.all),), world.outside.all << world.number)]


class _Steps:
    """Counts what is done. Raises ``LimitExceeded`` where it is too much."""

    def __init__(self) -> None:
        self._left = _MOST_STEPS

    def take(self, number: int) -> None:
        self._left -= number
        if self._left < 0:
            raise LimitExceeded("network policies have too many rules and ports to be looked at together")


class _Incoming:
    """Who may reach a workload, by the policies that are about it."""

    def __init__(self, world: World, policies: Sequence[Policy], steps: _Steps) -> None:
        self._world = world
        self._steps = steps
        self._rules: list[list[tuple[IngressRule, int]]] = [
            [(rule, world.peers(each.policy.namespace, rule.peers)) for rule in each.spec.ingress or ()]
            if each.ingress
            else []
            for each in policies
        ]
        self._named = [
            any(isinstance(port.port, str) for rule, _ in rules for port in rule.ports or ())
            for rules in self._rules
        ]
        self._known: dict[tuple[object, ...], Parts] = {}

    def of(self, at: int, numbers: Sequence[int]) -> Parts:
        """By the numbers of policies; none of them: everybody, everywhere."""
        if not numbers:
            return ((ANYTHING, self._world.all),)
        workload = self._world.workloads[at]
        named = any(self._named[number] for number in numbers)
        key = (
            (*numbers, *sorted(workload.named.items(), key=lambda pair: pair[0])) if named else tuple(numbers)
        )
        if (found := self._known.get(key)) is None:
            found = self._known[key] = _apart(
                (
                    (_ports(rule, workload), peers)
                    for number in numbers
                    for rule, peers in self._rules[number]
                ),
                self._steps,
            )
        return found


class _Outgoing:
    """Whom a workload may reach, by the policies that are about it."""

    def __init__(self, world: World, policies: Sequence[Policy], steps: _Steps) -> None:
        self._world = world
        self._steps = steps
        self._policies = policies
        self._rules: dict[int, list[tuple[Ports, int]]] = {}
        self._known: dict[tuple[int, ...], Parts] = {(): ((ANYTHING, world.all),)}

    def of(self, numbers: tuple[int, ...]) -> Parts:
        """By the numbers of policies; none of them: everybody, everywhere."""
        if (found := self._known.get(numbers)) is None:
            found = self._known[numbers] = _apart(
                (each for number in numbers for each in self._of_policy(number)),
                self._steps,
            )
        return found

    def _of_policy(self, number: int) -> list[tuple[Ports, int]]:
        if (found := self._rules.get(number)) is None:
            policy = self._policies[number]
            found = self._rules[number] = [
                each
                for rule in policy.spec.egress or ()
                for each in self._of_rule(rule, self._world.peers(policy.policy.namespace, rule.peers))
            ]
        return found

    def _of_rule(self, rule: EgressRule, peers: int) -> list[tuple[Ports, int]]:
        """A name of a port is the peer's own, so what it stands for differs from peer to peer."""
        found: list[tuple[Ports, int]] = []
        numbered = together(_numbered(rule)) if rule.ports else ANYTHING
        if numbered:
            found.append((numbered, peers))
        names = {
            (port.protocol or "TCP", port.port) for port in rule.ports or () if isinstance(port.port, str)
        }
        if names:
            by_ports: dict[Ports, list[int]] = {}
            for at in members(peers & self._world.labels.all):
                if meant := _meant(self._world.workloads[at], names):
                    by_ports.setdefault(meant, []).append(at)
            size = self._world.number // 8 + 1
            found += [(meant, bits_of(several, size)) for meant, several in by_ports.items()]
        return found


def _ports(rule: IngressRule, workload: Workload) -> Ports:
    if not rule.ports:
        return ANYTHING
    names = {(port.protocol or "TCP", port.port) for port in rule.ports if isinstance(port.port, str)}
    return union(together(_numbered(rule)), _meant(workload, names))


def _numbered(rule: IngressRule | EgressRule) -> list[Ports]:
    found = []
    for port in rule.ports or ():
        protocol = port.protocol or "TCP"
        if port.port is None:
            found.append(ports(protocol))
        elif isinstance(port.port, int):
            found.append(ports(protocol, port.port, port.end_port or port.port))
    return found


def _meant(workload: Workload, names: Iterable[tuple[str, str]]) -> Ports:
    return together(
        ports(protocol, number, number)
        for protocol, name in names
        for number in workload.named.get((protocol, name), ())
    )


def _apart(several: Iterable[tuple[Ports, int]], steps: _Steps) -> Parts:
    """The same with sets that are apart from each other, the ports of those that were not taken together."""
    found: dict[Ports, int] = {}
    for these, peers in several:
        if not these:
            continue
        steps.take(sum(map(len, found)) + len(these))
        made: dict[Ports, int] = {}
        for there, held in found.items():
            if both := held & peers:
                either = union(there, these)
                made[either] = made.get(either, 0) | both
            if rest := held & ~peers:
                made[there] = made.get(there, 0) | rest
            peers &= ~held
        if peers:
            made[these] = made.get(these, 0) | peers
        found = made
    return tuple(sorted(found.items()))
