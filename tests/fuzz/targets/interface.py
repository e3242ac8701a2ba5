"""What a target is: the parser, and well-formed inputs to begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from redoubt.indexer.catalogers.interface import Catalog


class Target(NamedTuple):
    """``run`` takes any bytes and raises where the parser fails; ``seeds`` makes bytes that it understands."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


def check(catalog: Catalog) -> None:
    """Raise unless everything that a cataloger said may be shown to a person."""
    for package in catalog.packages:
        assert package.name
        assert package.name.isprintable()
        assert package.version.isprintable()
    for problem in catalog.problems:
        assert problem.message
