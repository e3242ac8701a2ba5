"""Which certificates the cluster's other services have that are connected now: when those end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from grpclib.server import Stream

from redoubt.wire import calls
from redoubt.wire.identity import Identity


class Peers:
    """Those whose streams are open."""

    def __init__(self) -> None:
        self._there: dict[int, Identity] = {}

    @contextmanager
    def there(self, stream: Stream[Any, Any]) -> Iterator[None]:
        """As long as its stream is open."""
        identity = calls.peer(stream)
        if identity is not None:
            self._there[id(stream)] = identity
        try:
            yield
        finally:
            self._there.pop(id(stream), None)

    def __iter__(self) -> Iterator[Identity]:
        return iter(self._there.values())
