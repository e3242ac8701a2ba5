"""What looks after alerts, put together and given to a Central."""

from __future__ import annotations

from redoubt.central.alerts.upkeep import Upkeep
from redoubt.central.leading import Led
from redoubt.central.services import Services

#: Held by the replica that looks after alerts: "alrt" as a number.
_ALERTS = 0x616C7274


def equip(services: Services) -> None:
    """Have one replica look after alerts."""
    services.parts.append(Led(services.pool, _ALERTS, Upkeep(services.pool)))
