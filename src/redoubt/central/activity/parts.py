"""What keeps what clusters tell, put together and given to the hub."""

from __future__ import annotations

from datetime import timedelta

from redoubt.central.activity.baselines import Baselines
from redoubt.central.activity.following import ActivityFollower
from redoubt.central.activity.locking import Locking
from redoubt.central.activity.receiving import RecordReceiver
from redoubt.central.leading import Led
from redoubt.central.services import Services

#: Held by the replica that locks baselines: "lock" as a number.
_LOCKING = 0x6C6F636B


def equip(services: Services) -> None:
    """Have what Sensors tell of activity kept and learned from, and tell them what is known to be usual."""
    hub, settings = services.hub, services.settings
    processes = timedelta(seconds=settings.process_baseline_seconds)
    networks = timedelta(seconds=settings.network_baseline_seconds)
    services.baselines = Baselines(services.pool, None if hub is None else hub.pusher, processes)
    if hub is not None:
        hub.intake.receivers["records"] = RecordReceiver(processes, networks)
        hub.intake.objects.followers.append(ActivityFollower())
        hub.baselines = services.baselines
        services.parts.append(Led(services.pool, _LOCKING, Locking(services.baselines)))
