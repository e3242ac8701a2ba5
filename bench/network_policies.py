"""Network policies: how long what 200 of them let through between 1,000 workloads takes.

``.venv/bin/python bench/network_policies.py`` prints what `make bench` writes down. 40 namespaces, 97 applications in three tiers; a
third of the policies is about whole namespaces, half of them limit egress too, with blocks, expressions, and ports by name.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.networkpolicies.evaluating import Allowed, Workload, World, evaluated
from redoubt.networkpolicies.outside import Network, Outside

WORKLOADS, POLICIES = 1000, 200


def world() -> World:
    """Workloads in namespaces, with three pods each."""
    dice = random.Random(1)  # the same each time
    workloads = [
        Workload(
            id=str(at),
            namespace=f"ns{at % 40}",
            labels={"app": f"a{at % 97}", "tier": dice.choice("abc"), "version": str(at % 3)},
            named={("TCP", "http"): frozenset({8080 + at % 2})},
            addresses=tuple(f"10.{at >> 6}.{at & 63}.{pod}" for pod in range(3)),
        )
        for at in range(WORKLOADS)
    ]
    namespaces = {
        f"ns{at}": {"kubernetes.io/metadata.name": f"ns{at}", "team": str(at % 5)} for at in range(40)
    }
    networks = [Network(str(at), f"198.51.{at}.0/24") for at in range(50)]
    return World(workloads, namespaces, Outside(networks))


def policies() -> list[ClusterNetworkPolicy]:
    """What people write, and some of what they seldom do."""
    dice = random.Random(2)  # the same each time
    found = []
    for at in range(POLICIES):
        peers = [
            {"podSelector": {"matchLabels": {"app": f"a{dice.randrange(97)}"}}, "namespaceSelector": {}},
            {"namespaceSelector": {"matchLabels": {"team": str(dice.randrange(5))}}},
        ]
        spec: dict[str, object] = {
            "podSelector": {} if at % 3 == 0 else {"matchLabels": {"tier": dice.choice("abc")}},
            "ingress": [{"from": peers, "ports": [{"port": dice.choice([80, 443, "http"])}]}],
        }
        if at % 2:
            block = {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", f"198.51.{at % 50}.0/24"]}
            expression = {"key": "team", "operator": "NotIn", "values": [str(at % 5)]}
            spec["egress"] = [
                {"to": [{"ipBlock": block}, {"namespaceSelector": {"matchExpressions": [expression]}}]},
                {"ports": [{"protocol": "UDP", "port": 53}]},
            ]
        found.append(ClusterNetworkPolicy(id=str(at), name=f"p{at}", namespace=f"ns{at % 40}", spec=spec))
    return found


def connections(allowed: Allowed) -> int:
    """How many there are, each looked at with its ports."""
    places = WORKLOADS + 2 + len(allowed.world.outside.networks)
    return sum(len(allowed.reached(source, allowed.world.all)) for source in range(places))


def figures() -> list[tuple[str, float]]:
    """What, and median milliseconds."""
    there, given = world(), policies()
    allowed = evaluated(there, given)
    number = connections(allowed)
    work: dict[str, Callable[[], object]] = {
        "a cluster made ready": world,
        "policies read and evaluated": lambda: evaluated(world(), given),
        f"all {number:,} connections with their ports": lambda: connections(allowed),
        "one workload's": lambda: allowed.reached(7, there.all),
    }
    return [(name, _measured(each)) for name, each in work.items()]


def section() -> list[str]:
    """A section of docs/benchmarks.md."""
    lines = [
        "## Network policies",
        "",
        f"{WORKLOADS:,} workloads with three pods each in 40 namespaces, {POLICIES} network policies, 50 networks outside; milliseconds of one core.",
        "",
        "| what | median |",
        "|---|---|",
    ]
    return [*lines, *(f"| {name} | {median:.1f} |" for name, median in figures()), ""]


def _measured(work: Callable[[], object]) -> float:
    times = []
    for _ in range(7):
        begun = time.process_time()
        work()
        times.append((time.process_time() - begun) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    print("\n".join(section()))
