"""What is forgotten after a while, as it is set: images that nothing runs, clusters that are silent, and what ``store.retention`` knows.

Done by one replica, with the alerts' upkeep.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from redoubt.central.store import Pool
from redoubt.central.store.events import Event, EventStore, Level
from redoubt.central.store.fleet import FleetStore
from redoubt.central.store.retention import ClusterRetention, Retention, RetentionStore
from redoubt.central.store.unused import UnusedStore

#: After another number of days was set, no cluster is forgotten for so long: somebody may have mistyped it.
GRACE = timedelta(days=1)

_labels = msgspec.json.Decoder(dict[str, str])
_log = structlog.get_logger("retention")


class Retaining:
    """Forgets what is old enough."""

    def __init__(self, pool: Pool) -> None:
        self._store = RetentionStore(pool)
        self._unused = UnusedStore(pool)
        self._fleet = FleetStore(pool)
        self._events = EventStore(pool)

    async def forget(self) -> dict[str, int]:
        """All of it, once; how many of what."""
        gone = await self._store.forget()
        set_to = await self._store.others()
        await self._unused.note_used()
        for name, number in (
            ("images", await self._images(set_to)),
            ("clusters", await self._clusters(set_to.clusters, datetime.now(UTC))),
        ):
            if number:
                gone[name] = number
        return gone

    async def _images(self, set_to: Retention) -> int:
        number = 0
        if set_to.image_days:
            while gone := await self._unused.forget_images(timedelta(days=set_to.image_days)):
                for digest in gone:
                    await self._fleet.remove_image(digest)
                number += len(gone)
        return number

    async def _clusters(self, set_to: ClusterRetention, now: datetime) -> int:
        if not set_to.retention_duration_days or (
            set_to.last_updated is not None and now - set_to.last_updated < GRACE
        ):
            return 0
        age = timedelta(days=set_to.retention_duration_days)
        silent = [
            (cluster, name)
            for cluster, name, labels in await self._unused.silent_clusters(age)
            if not set_to.excludes(_labels.decode(labels))
        ]
        if silent and len(silent) == await self._unused.number_of_clusters():
            _log.warning("all clusters are silent: none is forgotten", number=len(silent))
            return 0
        number = 0
        for cluster, name in silent:
            if await self._unused.forget_cluster(cluster, age):
                number += 1
                await self._events.add(
                    Event(
                        level=Level.WARNING,
                        domain="General",
                        message=f"the cluster {name!r} was forgotten: its Sensor was not heard for"
                        f" {set_to.retention_duration_days} days",
                        hint="if it is still there its Sensor has to be given a new init bundle",
                        resource_type="Cluster",
                        resource_id=str(cluster),
                        resource_name=name,
                    )
                )
        return number
