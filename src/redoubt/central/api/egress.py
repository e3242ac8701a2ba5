"""``/v1/egress``: who may be contacted, who was not, and who asked."""

from __future__ import annotations

import msgspec
from litestar import Controller, get

from redoubt.central.api.given import Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.refusals import Unavailable
from redoubt.central.store.egress import Refusal


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """A host that may be contacted in offline mode, and why."""

    host: str
    reason: str


class Egress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What leaves this Central. Loopback and the cluster's own names are allowed always and not listed."""

    offline_mode: bool
    allowed: list[Allowed]
    #: Newest first, at most 500.
    refused: list[Refusal]


class EgressController(Controller):
    """What an auditor asks first."""

    path = "/v1/egress"
    tags = ("Egress",)

    @get(opt=allow(Resource.ADMINISTRATION, Access.READ), summary="Who may be contacted, and who was refused")
    async def egress(self, services: Given) -> Egress:
        """In online mode everybody may be contacted, and nothing is refused."""
        if services.exits is None:
            raise Unavailable("this Central does not watch what leaves it")
        await services.exits.flush()
        allowed = dict.fromkeys(services.policy.allowed_hosts, "allowed_hosts in the settings")
        if services.integrations is not None:
            allowed |= await services.integrations.named()
        allowed |= services.exits.named
        return Egress(
            offline_mode=services.policy.offline,
            allowed=[Allowed(host=host, reason=why) for host, why in sorted(allowed.items())],
            refused=await services.exits.store.newest(500),
        )
