"""What Central measures of itself, for Prometheus. Names begin with ``rox_central_``, as the original's do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

import redoubt
from redoubt.central.frame import Ended

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

#: Called before the metrics are shown, to set gauges that nobody keeps up to date.
Refresh = Callable[[], Awaitable[None]]


class Metrics:
    """A registry of one Central. A part registers its own with ``registry``; a hook of the frame counts requests."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._refresh: list[Refresh] = []
        self._requests = Counter(
            "rox_central_http_requests", "Requests", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "rox_central_http_request_seconds",
            "Seconds until an answer began",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._calls = Counter(
            "rox_central_grpc_calls",
            "gRPC calls of people's programs",
            ["path", "status"],
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "rox_central_grpc_call_seconds",
            "Seconds until a call ended",
            ["path"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        info = Gauge("rox_central_info", "What runs", ["version"], registry=self.registry)
        info.labels(redoubt.__version__).set(1)

    def before(self, refresh: Refresh) -> None:
        """Have ``refresh`` waited for before the metrics are shown."""
        self._refresh.append(refresh)

    async def __call__(self, ended: Ended) -> None:
        """Count a request. Routes are templates, so that strangers make no labels."""
        route = str(ended.scope.get("path_template", "")) or "none"
        method = str(ended.scope["method"])
        if method not in _METHODS:
            method = "other"
        self._requests.labels(method, route, str(ended.status)).inc()
        self._seconds.labels(method, route).observe(ended.seconds)

    def called(self, path: str, status: int, seconds: float) -> None:
        """Count a gRPC call that ended; ``path`` is one that is served, ``status`` what HTTP says for its code."""
        self._calls.labels(path, str(status)).inc()
        self._call_seconds.labels(path).observe(seconds)

    async def text(self) -> tuple[bytes, str]:
        """Everything, as Prometheus reads it, and its media type."""
        for refresh in self._refresh:
            await refresh()
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
