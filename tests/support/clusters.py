"""Clusters and their objects in a database, as the hub would have put them there."""

from __future__ import annotations

from typing import Any

import msgspec

from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.store import Connection, Pool, objects
from redoubt.central.store.objects import Stored
from redoubt.model.cluster import KINDS
from redoubt.model.workload import Part


async def add_cluster(pool: Pool, cluster: ClusterRef) -> None:
    await pool.execute(
        "INSERT INTO clusters (id, name, record) VALUES ($1, $2, '{}') ON CONFLICT DO NOTHING",
        cluster.id,
        cluster.name,
    )


async def add_objects(
    pool: Pool | Connection, cluster: ClusterRef, *given: Part, images: tuple[str, ...] = ()
) -> None:
    kinds = {struct: kind for kind, struct in KINDS.items()}
    several = [_stored(kinds[type(each)], each, images) for each in given]
    await objects.put(pool, cluster.id, several)  # type: ignore[arg-type]  # a pool will do


def _stored(kind: str, given: Any, images: tuple[str, ...]) -> Stored:
    return Stored(
        kind=kind,
        id=given.id,
        name=given.name,
        namespace=getattr(given, "namespace", ""),
        labels=msgspec.json.encode(getattr(given, "labels", {})).decode(),
        images=images,
        created=None,
        hash="",
        object=msgspec.json.encode(given).decode(),
    )
