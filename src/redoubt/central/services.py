"""What Central consists of while it runs. The API and the background work are given this and nothing else.

``redoubt central`` puts one together; tests put together what they need.
A field that may be None is a part that can be missing: who needs it says what is not there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from redoubt.central.activity.baselines import Baselines
from redoubt.central.auth.parts import Auth
from redoubt.central.clusters.bundles import Bundles
from redoubt.central.config import Settings
from redoubt.central.definitions.shelf import Definitions
from redoubt.central.delegation.asking import Delegating
from redoubt.central.exits import Exits
from redoubt.central.fleet.rematch import Fleet
from redoubt.central.frame import Hook
from redoubt.central.hub.parts import Hub
from redoubt.central.images.sboms import Sboms
from redoubt.central.images.scanning import Scanning
from redoubt.central.images.watching import Watching
from redoubt.central.integrations.keeping import Integrations
from redoubt.central.metrics import Metrics
from redoubt.central.policies.jobs import DryRuns
from redoubt.central.policies.keeping import Policies
from redoubt.central.probes.shelf import Probes
from redoubt.central.store import Pool
from redoubt.central.store.definitions import DefinitionsLog
from redoubt.egress import Policy


class Part(Protocol):
    """Something with work in the background."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(kw_only=True)
class Services:
    """One Central."""

    settings: Settings
    pool: Pool
    auth: Auth
    policy: Policy = field(default_factory=Policy)
    definitions: Definitions | None = None
    probes: Probes | None = None
    exits: Exits | None = None
    fleet: Fleet | None = None
    hub: Hub | None = None
    bundles: Bundles | None = None
    delegating: Delegating | None = None
    baselines: Baselines | None = None
    dry_runs: DryRuns | None = None
    images: Scanning | None = None
    watching: Watching | None = None
    sboms: Sboms | None = None
    integrations: Integrations | None = None
    policies: Policies | None = None
    metrics: Metrics = field(default_factory=Metrics)
    #: Started in this order, stopped in the opposite one.
    parts: list[Part] = field(default_factory=list)
    #: They hear how each request ended, after the audit log and the metrics.
    hooks: list[Hook] = field(default_factory=list)
    #: What somebody should look at, a line each; shown in ``/v1/metadata``.
    warnings: list[str] = field(default_factory=list)
    _running: list[Part] = field(default_factory=list)

    @property
    def definitions_log(self) -> DefinitionsLog:
        """Who made which definitions active."""
        return DefinitionsLog(self.pool)

    async def start(self) -> None:
        """Start what works in the background, where it is not yet. What was started is stopped again where one fails."""
        if self._running:
            return
        try:
            for part in self.parts:
                await part.start()
                self._running.append(part)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop what was started."""
        while self._running:
            await self._running.pop().stop()
