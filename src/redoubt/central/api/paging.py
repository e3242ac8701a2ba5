"""The original's paging and sorting, which lists of a cluster's objects take: ``page: Paging``."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from litestar.di import NamedDependency
from litestar.params import QueryParameter

from redoubt.central.objects.looking import Page

#: The original's search text; see ``objects.query``.
Query = Annotated[str, QueryParameter(name="query")]
Limit = Annotated[int, QueryParameter(name="pagination.limit")]
Offset = Annotated[int, QueryParameter(name="pagination.offset")]
SortField = Annotated[str, QueryParameter(name="pagination.sortOption.field")]
SortReversed = Annotated[bool, QueryParameter(name="pagination.sortOption.reversed")]

Paging: TypeAlias = NamedDependency[Page]


def page(limit: Limit = 0, offset: Offset = 0, sort: SortField = "", backwards: SortReversed = False) -> Page:
    """What a caller says of it, as ``Paging``."""
    return Page(limit=limit, offset=offset, field=sort, reversed=backwards)
