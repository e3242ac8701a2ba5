"""What an admission controller did, counted: for Prometheus, and for the Sensor as what is new since its last word."""

from __future__ import annotations

from functools import partial

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from redoubt.model.cluster import AdmissionFigures

#: What may become of a review. ``spared``: nothing is asked of that kind of request. ``deadline``: images were not known in
#: time, and the setting decided. ``failed``: it could not be judged. The first five are told to the Sensor.
OUTCOMES = ("allowed", "denied", "bypassed", "deadline", "failed", "spared")
_PREFIX = "rox_admission_control_"


class Figures:
    """Counts. Not for several threads."""

    def __init__(self, hostname: str, registry: CollectorRegistry) -> None:
        self._hostname = hostname
        self._told = dict.fromkeys(OUTCOMES, 0)
        self._counts = dict.fromkeys(OUTCOMES, 0)
        self.dropped = 0
        self._dropped_told = 0
        reviews = Gauge(
            f"{_PREFIX}reviews_total", "What became of reviews", ["result"], registry=registry
        )  # a gauge that is asked: a counter's lock would be taken in each review
        for name in OUTCOMES:
            reviews.labels(name).set_function(partial(self.of, name))
        Gauge(
            f"{_PREFIX}alerts_dropped_total", "Alerts for which there was no room", registry=registry
        ).set_function(lambda: self.dropped)
        self.waits = Histogram(
            f"{_PREFIX}image_wait_seconds",
            "How long reviews that wait for images take",
            buckets=(0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 20, 30),
            registry=registry,
        )
        self.fetches = Counter(
            f"{_PREFIX}image_fetches_total", "Images asked for", ["source", "result"], registry=registry
        )

    def count(self, outcome: str) -> None:
        """One review."""
        self._counts[outcome] += 1

    def of(self, outcome: str) -> int:
        """How many there were."""
        return self._counts[outcome]

    def since(self) -> AdmissionFigures:
        """What is new since ``acknowledge``."""
        new = {name: self._counts[name] - self._told[name] for name in OUTCOMES if name != "spared"}
        return AdmissionFigures(hostname=self._hostname, dropped=self.dropped - self._dropped_told, **new)

    def acknowledge(self, told: AdmissionFigures) -> None:
        """The Sensor has that."""
        for name, count in msgspec.structs.asdict(told).items():
            if name in self._told:
                self._told[name] += count
        self._dropped_told += told.dropped
