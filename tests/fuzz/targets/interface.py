"""What a target is: the parser, and well-formed inputs to begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from redoubt.indexer.catalogers.interface import Catalog


class Target(NamedTuple):
    """``run`` takes any bytes and says how much it made of them; it raises where the parser fails.

    ``seeds`` makes bytes that it understands: of each, ``run`` makes something.
    """

    run: Callable[[bytes], int]
    seeds: Callable[[], list[bytes]]


def require_clean(told: object) -> None:
    """Raise if a text anywhere in ``told`` would do something to a terminal."""
    if isinstance(told, str):
        assert told.isprintable(), told[:200]
    elif isinstance(told, (tuple, list, frozenset)):
        for each in told:
            require_clean(each)
    elif isinstance(told, msgspec.Struct):
        for each in msgspec.structs.astuple(told):
            require_clean(each)


def check(catalog: Catalog) -> int:
    """How much a cataloger said. Raises unless all of it may be shown to a person."""
    require_clean((catalog.packages, catalog.problems, catalog.distribution, catalog.origins, catalog.listed))
    for package in catalog.packages:
        assert package.name
        # What has none is listed and not judged; the system's own packages always have one, or are damaged.
        assert package.version or package.type not in ("deb", "rpm", "apk", "alpm", "opkg")
    for problem in catalog.problems:
        assert problem.message
    said = (catalog.distribution, catalog.listed, catalog.elsewhere or None)
    return (
        len(catalog.packages)
        + len(catalog.claims)
        + len(catalog.origins)
        + sum(each is not None for each in said)
    )
