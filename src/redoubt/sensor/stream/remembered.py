"""What Central said last, on disk: so a Sensor that starts while Central is away decides as before.

Nothing secret is among it. A file that cannot be read counts as not there: Central says it all again.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from redoubt.definitions import durable
from redoubt.errors import AccessDenied
from redoubt.model.cluster import (
    BaselineSync,
    ClusterConfig,
    ContainerBaseline,
    DeploymentNetworkBaseline,
)

_log = structlog.get_logger("sensor")
T = TypeVar("T")


class Policies(msgspec.Struct, frozen=True):
    """All enabled policies, the original's JSON each, and Central's number for them."""

    revision: int = 0
    policies: tuple[msgspec.Raw, ...] = ()


class _Baselines(msgspec.Struct):
    processes: list[ContainerBaseline] = msgspec.field(default_factory=list)
    networks: list[DeploymentNetworkBaseline] = msgspec.field(default_factory=list)


class Remembered:
    """What this Sensor decides by. ``load`` once; then it is changed by what Central says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.config = ClusterConfig()
        self.policies = Policies()
        #: By deployment and container; by deployment.
        self.processes: dict[tuple[str, str], ContainerBaseline] = {}
        self.networks: dict[str, DeploymentNetworkBaseline] = {}
        self._unsaved: set[str] = set()
        self._wake = asyncio.Event()

    def load(self) -> None:
        """Blocking. Raises ``AccessDenied`` where the folder cannot be used."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise AccessDenied(f"{self._folder}: cannot be used ({error.strerror})") from None
        self.config = self._read("config.json", ClusterConfig) or self.config
        self.policies = self._read("policies.json", Policies) or self.policies
        baselines = self._read("baselines.json", _Baselines)
        if baselines is not None:
            self._merge(
                BaselineSync(processes=tuple(baselines.processes), networks=tuple(baselines.networks))
            )

    def _read(self, name: str, kind: type[T]) -> T | None:
        path = self._folder / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind, strict=False)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warning("what Central said before cannot be read", file=str(path), reason=str(error)[:200])
            return None

    def say_config(self, config: ClusterConfig) -> None:
        """Central's settings for this cluster."""
        self.config = config
        self._save("config.json")

    def say_policies(self, policies: Policies) -> None:
        """All policies that are enabled."""
        self.policies = policies
        self._save("policies.json")

    def say_baselines(self, sync: BaselineSync) -> None:
        """Baselines that changed, or all."""
        if sync.whole:
            self.processes.clear()
            self.networks.clear()
        self._merge(sync)
        self._save("baselines.json")

    def _merge(self, sync: BaselineSync) -> None:
        removed = set(sync.removed_deployments)
        if removed:
            self.processes = {key: each for key, each in self.processes.items() if key[0] not in removed}
            self.networks = {key: each for key, each in self.networks.items() if key not in removed}
        self.processes.update({(each.deployment_id, each.container_name): each for each in sync.processes})
        self.networks.update({each.deployment_id: each for each in sync.networks})

    def _save(self, name: str) -> None:
        self._unsaved.add(name)
        self._wake.set()

    async def run(self) -> None:
        """Write what changed, for ever. What could not be written is written with the next change."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.save()

    async def save(self) -> None:
        """Write what changed."""
        for name in sorted(self._unsaved):
            self._unsaved.discard(name)
            try:
                await asyncio.to_thread(durable.replace, self._folder / name, self._content(name), mode=0o600)
            except OSError as error:
                _log.error("what Central said cannot be kept", file=name, reason=error.strerror)

    def _content(self, name: str) -> bytes:
        match name:
            case "config.json":
                return msgspec.json.encode(self.config)
            case "policies.json":
                return msgspec.json.encode(self.policies)
            case _:
                return msgspec.json.encode(
                    _Baselines(processes=list(self.processes.values()), networks=list(self.networks.values()))
                )
