"""With whom a deployment may talk, and what that is otherwise after a change. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from redoubt.central.activity.graph import GraphEntity
from redoubt.central.networkpolicies.graph import Drawing, properties

#: By the other's place: what it may be reached at, and what it may reach.
Peers = dict[int, tuple["AllowedConnection", ...]]


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message of the original."""


class AllowedConnection(_Message, frozen=True, kw_only=True, omit_defaults=True):
    """``NetworkBaselineConnectionProperties``. ``ingress``: the other calls the deployment. ``endPort`` is ours."""

    ingress: bool
    port: int
    protocol: str
    end_port: int = 0


class GroupedFlow(_Message, frozen=True, kw_only=True):
    """``GetDiffFlowsGroupedFlow``."""

    entity: GraphEntity
    properties: list[AllowedConnection]


class ReconciledFlow(_Message, frozen=True, kw_only=True):
    """``GetDiffFlowsReconciledFlow``."""

    entity: GraphEntity
    added: list[AllowedConnection]
    removed: list[AllowedConnection]
    unchanged: list[AllowedConnection]


class FlowsDifference(_Message, frozen=True, kw_only=True):
    """``GetDiffFlowsResponse``: whom it may talk to then only, now only, and in both cases."""

    added: list[GroupedFlow]
    removed: list[GroupedFlow]
    reconciled: list[ReconciledFlow]


def peers(drawing: Drawing, place: int) -> Peers:
    """Everybody that is shown and that a deployment may talk to, in one direction at least."""
    found: dict[int, list[AllowedConnection]] = {}
    for other, ports in drawing.allowed.reached(place, drawing.everybody).items():
        found.setdefault(other, []).extend(
            AllowedConnection(ingress=False, port=each.port, protocol=each.protocol, end_port=each.end_port)
            for each in properties(ports)
        )
    for other, ports in drawing.reaching(place):
        found.setdefault(other, []).extend(
            AllowedConnection(ingress=True, port=each.port, protocol=each.protocol, end_port=each.end_port)
            for each in properties(ports)
        )
    return {other: tuple(several) for other, several in sorted(found.items())}


def compared(drawing: Drawing, now: Peers, then: Peers) -> FlowsDifference:
    """What is otherwise."""
    return FlowsDifference(
        added=_grouped(drawing, then, then.keys() - now.keys()),
        removed=_grouped(drawing, now, now.keys() - then.keys()),
        reconciled=[
            ReconciledFlow(
                entity=drawing.entity(place),
                added=[each for each in then[place] if each not in now[place]],
                removed=[each for each in now[place] if each not in then[place]],
                unchanged=[each for each in then[place] if each in now[place]],
            )
            for place in sorted(now.keys() & then.keys())
        ],
    )


def _grouped(drawing: Drawing, of: Peers, places: Iterable[int]) -> list[GroupedFlow]:
    return [GroupedFlow(entity=drawing.entity(each), properties=list(of[each])) for each in sorted(places)]
