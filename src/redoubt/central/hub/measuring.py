"""What this Central measures of the streams to Sensors."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

#: What ``FromSensor`` may say; anything else is "other", so that strangers make no labels.
_KINDS = frozenset({"object", "synced", "records", "alerts", "health", "answer", "node", "pull_secrets"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Measures:
    """Counters, in a registry of one Central."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.connected = Gauge(
            "rox_central_sensors_connected", "Sensors that are connected to this replica", registry=registry
        )
        self._messages = Counter(
            "rox_central_sensor_messages", "Messages of Sensors that were taken", ["kind"], registry=registry
        )
        self.spoilt = Counter(
            "rox_central_sensor_messages_spoilt",
            "Messages of Sensors that could not be read, or not be kept",
            registry=registry,
        )
        self.dropped = Counter(
            "rox_central_sensor_records_dropped",
            "Records that Sensors lost for want of room",
            registry=registry,
        )
        self.seconds = Histogram(
            "rox_central_sensor_batch_seconds",
            "Seconds that a batch of a Sensor's messages took to be kept",
            buckets=_BUCKETS,
            registry=registry,
        )

    def taken(self, kinds: Iterable[str]) -> None:
        """Count messages that were kept."""
        for kind, number in Tally(kinds).items():
            self._messages.labels(kind if kind in _KINDS else "other").inc(number)
