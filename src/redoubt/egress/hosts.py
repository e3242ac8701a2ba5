"""Hosts that are no way out: this machine, and the cluster that it is in. Pure; nothing is resolved."""

from __future__ import annotations

import ipaddress

#: Names of Kubernetes services end so. They are resolved by the cluster's own DNS.
_CLUSTER = (".svc", ".svc.cluster.local", ".pod.cluster.local")


def is_own(host: str) -> bool:
    """Whether ``host`` (a name, or an address with or without brackets) is this machine's or the cluster's."""
    name = host.lower().rstrip(".").removeprefix("[").removesuffix("]")
    if name == "localhost" or name.endswith((".localhost", *_CLUSTER)):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback or address.is_unspecified
