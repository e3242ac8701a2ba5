"""What an Indexer or a Matcher is told at start. See ``configuration`` for where it may stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from redoubt import configuration
from redoubt.errors import UsageError

PREFIX = "REDOUBT_SCANNER_"
ALIASES = {
    "data": ("REDOUBT_DATA_DIR",),
    "offline": ("ROX_OFFLINE_MODE", "REDOUBT_OFFLINE"),
    "log_level": ("LOGLEVEL",),
}


#: Never shown by ``repr`` and not in a log.
SECRET = frozenset({"database_url"})


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Indexer or Matcher. Times are in seconds."""

    #: A Matcher's shelf of definitions, an Indexer's scratch space.
    data: Path = Path("/var/lib/redoubt")
    #: The address that is listened on; empty: every one.
    host: str = ""
    port: int = 8443
    #: Health and metrics, without TLS. 0: none.
    health_host: str = ""
    health_port: int = 9443
    #: An Indexer's: ``postgresql://user:password@host/database?sslmode=verify-full``.
    database_url: str = ""
    #: A folder with ``ca.pem``, ``cert.pem`` and ``key.pem``; not given: ``<data>/certificates``.
    certificates: Path | None = None
    #: A Matcher's: where Central is, and where its Indexer; host and port.
    central: str = "central.stackrox.svc:443"
    indexer: str = ""
    #: The shelf in ``data`` is Central's own: definitions are opened there and not fetched.
    shared_shelf: bool = False
    #: How often a Matcher asks Central for definitions.
    definitions_interval: float = 300.0
    #: Whatever a request says, no host is contacted that it does not name.
    offline: bool = False
    #: Images that are read, or matched, at a time; and layers of each image.
    simultaneous: int = 2
    workers: int = 2
    log_level: str = "info"
    #: ``json`` for machines, ``console`` for people.
    log_format: str = "json"

    @property
    def address(self) -> str | None:
        """What is listened on; None stands for every address."""
        return configuration.listened_on(self.host)

    def __repr__(self) -> str:
        told = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in SECRET)
        return f"Settings({', '.join(told)})"


def load(
    file: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """The settings. Raises as ``configuration.load``."""
    settings = configuration.load(
        Settings, PREFIX, file, aliases=ALIASES, environment=environment, flags=flags
    )
    configuration.usual(settings)
    for name in ("simultaneous", "workers"):
        if getattr(settings, name) < 1:
            raise UsageError(f"settings: {name} is at least 1")
    if settings.definitions_interval < 1:
        raise UsageError("settings: definitions_interval is at least 1 second")
    return settings
