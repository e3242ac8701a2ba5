"""What an Indexer or a Matcher is told at start. See ``configuration`` for where it may stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from redoubt import configuration
from redoubt.errors import UsageError

PREFIX = "REDOUBT_SCANNER_"
ALIASES = {
    "data": ("REDOUBT_DATA_DIR",),
    "offline": ("ROX_OFFLINE_MODE", "REDOUBT_OFFLINE"),
    "log_level": ("LOGLEVEL",),
}


class Settings(configuration.Internal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Indexer or Matcher. Times are in seconds."""

    secret = frozenset({"database_url"})
    #: A Matcher's shelf of definitions, an Indexer's scratch space.
    data: Path = Path("/var/lib/redoubt")
    #: An Indexer's: ``postgresql://user:password@host/database?sslmode=verify-full``.
    database_url: str = ""
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
