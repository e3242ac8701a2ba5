"""Hosts that are no way out: this machine, and the cluster that it is in; and the proxies that the environment names.

Nothing is resolved.
"""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

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


def proxies() -> frozenset[str]:
    """The hosts of proxies in the environment, in lower case: whoever set them named them."""
    found = set()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        text = os.environ.get(name) or os.environ.get(name.lower()) or ""
        try:
            host = urlsplit(text if "://" in text else f"//{text}").hostname
        except ValueError:
            continue
        if host:
            found.add(host.lower())
    return frozenset(found)
