"""Index reports meet definitions here. Pure: same report, same definitions, same bytes out."""

from redoubt.matcher.explain import explain
from redoubt.matcher.interface import Snapshot
from redoubt.matcher.match import match, only_fixed

__all__ = ["Snapshot", "explain", "match", "only_fixed"]
