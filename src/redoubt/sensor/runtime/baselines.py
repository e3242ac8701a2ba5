"""Baselines, as Central sends them: which programs and peers a deployment is known to have. Pure.

Only what is locked breaks policies: a baseline that still learns knows everything.
"""

from __future__ import annotations

from redoubt.model.cluster import (
    BaselinePeer,
    BaselineSync,
    ContainerBaseline,
    DeploymentNetworkBaseline,
    Entity,
)


class Baselines:
    """All of the cluster's."""

    def __init__(self) -> None:
        self._programs: dict[tuple[str, str], frozenset[str] | None] = {}
        self._peers: dict[str, frozenset[tuple[str, str, int, str, bool]] | None] = {}
        self._containers: dict[str, set[str]] = {}

    def take(self, sync: BaselineSync) -> None:
        """All of them, or those that changed."""
        if sync.whole:
            self._programs.clear()
            self._peers.clear()
            self._containers.clear()
        for each in sync.processes:
            self._program(each)
        for network in sync.networks:
            self._network(network)
        for deployment in sync.removed_deployments:
            self._peers.pop(deployment, None)
            for name in self._containers.pop(deployment, ()):
                self._programs.pop((deployment, name), None)

    def _program(self, given: ContainerBaseline) -> None:
        self._containers.setdefault(given.deployment_id, set()).add(given.container_name)
        self._programs[given.deployment_id, given.container_name] = (
            frozenset(given.paths) if given.locked else None
        )

    def _network(self, given: DeploymentNetworkBaseline) -> None:
        self._peers[given.deployment_id] = frozenset(map(_peer, given.peers)) if given.locked else None

    def strange_program(self, deployment: str, container: str, path: str) -> bool:
        """Whether a locked baseline does not know the program."""
        known = self._programs.get((deployment, container))
        return known is not None and path not in known

    def strange_peer(self, deployment: str, peer: BaselinePeer) -> bool:
        """Whether a locked baseline does not know the peer: this one, or any address outside where that is known."""
        known = self._peers.get(deployment)
        if known is None or _peer(peer) in known:
            return False
        if peer.entity.type == "INTERNET" and peer.entity.id:
            anywhere = Entity(type="INTERNET")
            return (
                _peer(
                    BaselinePeer(
                        entity=anywhere, port=peer.port, protocol=peer.protocol, ingress=peer.ingress
                    )
                )
                not in known
            )
        return True


def _peer(given: BaselinePeer) -> tuple[str, str, int, str, bool]:
    return (given.entity.type, given.entity.id, given.port, given.protocol, given.ingress)
