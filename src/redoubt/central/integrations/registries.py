"""How an image's registry is reached, and what is said where it is not."""

from __future__ import annotations

import re

from redoubt.central.refusals import FailedPrecondition
from redoubt.central.scanners import Access
from redoubt.egress import Policy
from redoubt.errors import AccessDenied, HostRefused, RedoubtError
from redoubt.indexer.sources.reference import ImageReference, host_name
from redoubt.wire.failures import Refused

#: How ``egress.Policy`` begins its refusal.
_HOST = re.compile(r"offline mode: (\S{1,255}) ")


class Registries:
    """``policy`` is Central's: its mode, and hosts that its settings allow."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def access(self, reference: ImageReference) -> Access:
        """How the registry of ``reference`` is reached. Raises ``FailedPrecondition`` where it may not be."""
        offline, hosts = self._policy.offline, self._policy.allowed_hosts
        if offline and host_name(reference.api_host) not in hosts:
            raise FailedPrecondition(
                f"offline mode: {host_name(reference.api_host)} is contacted only if you say so;"
                f" {create(reference.host)}"
            )
        return Access(offline=offline, hosts=hosts)

    def explained(self, error: RedoubtError, reference: ImageReference, access: Access) -> RedoubtError:
        """What to say of a registry that could not be read from; other errors as they are."""
        host = reference.host
        if isinstance(error, HostRefused):
            found = _HOST.match(str(error))
            other = found[1] if found else "another host"
            return FailedPrecondition(
                f"offline mode: {host} sends to {other}, which you did not name; add it to the hosts of"
                f" {access.name or f'an integration for {host}'} (tokenHosts or blobHosts)"
            )
        if isinstance(error, AccessDenied) and not isinstance(error, Refused):
            if access.known:
                return FailedPrecondition(
                    f"{host}: the credentials of {access.name} do not allow pulling {reference.repository}; change them"
                )
            return FailedPrecondition(f"{host} wants credentials for {reference.repository}; {create(host)}")
        return error


def create(host: str) -> str:
    """What to do where there is no integration for a host."""
    return (
        f"create an integration for {host}:"
        f" curl -X POST https://CENTRAL/v1/imageintegrations with its endpoint, user name and password (docs/registries.md)"
    )
