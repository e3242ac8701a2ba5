"""A cluster's objects as its Sensor sends them: read, made that cluster's own, stored; and forgotten."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from redoubt.central.hub.receiving import ClusterRef, Follower, Spoilt
from redoubt.central.store import Connection
from redoubt.central.store import objects as store
from redoubt.central.store.objects import Stored
from redoubt.model.cluster import KINDS
from redoubt.model.workload import Deployment, Part
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

#: Characters of an identifier, and of what lists show.
_LONGEST_ID, _LONGEST = 253, 500
#: Images of a deployment, and labels, that can be searched for.
_MOST_IMAGES, _MOST_LABELS = 200, 500

_decoders = {kind: msgspec.json.Decoder(struct, strict=False) for kind, struct in KINDS.items()}

Identifier = tuple[str, str]


class Objects:
    """Takes what is told of objects. ``followers`` hear of it within the same transaction."""

    def __init__(self) -> None:
        self.followers: list[Follower] = []

    async def take(
        self, connection: Connection, cluster: ClusterRef, events: Sequence[pb.ObjectEvent]
    ) -> int:
        """Store what several events come to, in their order; how many of them could not be read."""
        spoilt = 0
        # The last word on each counts.
        latest: dict[Identifier, tuple[Stored, Part] | None] = {}
        for event in events:
            try:
                key, found = _read(cluster, event)
            except Spoilt:
                spoilt += 1
                continue
            latest.pop(key, None)
            latest[key] = found
        await self._store(connection, cluster, latest)
        return spoilt

    async def reconcile(
        self, connection: Connection, cluster: ClusterRef, seen: set[Identifier]
    ) -> dict[str, int]:
        """Forget what is not among ``seen``; how many of each kind were forgotten."""
        gone: dict[Identifier, tuple[Stored, Part] | None] = {
            key: None for key in await store.identifiers(connection, cluster.id) if key not in seen
        }
        await self._store(connection, cluster, gone)
        return dict(Counter(kind for kind, _ in gone))

    async def _store(
        self,
        connection: Connection,
        cluster: ClusterRef,
        latest: dict[Identifier, tuple[Stored, Part] | None],
    ) -> None:
        changed: dict[str, list[tuple[Stored, Part]]] = defaultdict(list)
        removed: dict[str, list[str]] = defaultdict(list)
        for (kind, identifier), found in latest.items():
            if found is None:
                removed[kind].append(identifier)
            else:
                changed[kind].append(found)
        await store.put(connection, cluster.id, [one for several in changed.values() for one, _ in several])
        for kind, several in changed.items():
            for follower in self.followers:
                await follower.changed(connection, cluster, kind, [part for _, part in several])
        for kind, ids in removed.items():
            if gone := await store.remove(connection, cluster.id, kind, ids):
                for follower in self.followers:
                    await follower.removed(connection, cluster, kind, gone)


def identified(event: pb.ObjectEvent) -> Identifier | None:
    """What an event is about; None where it cannot be about anything that is kept."""
    identifier = event.id
    if not (0 < len(identifier) <= _LONGEST_ID and identifier.isascii() and identifier.isprintable()):
        return None
    return (event.kind, identifier) if event.kind in KINDS else None


def _read(cluster: ClusterRef, event: pb.ObjectEvent) -> tuple[Identifier, tuple[Stored, Part] | None]:
    """What an event says. Raises ``Spoilt``."""
    if (key := identified(event)) is None:
        raise Spoilt(f"there is no kind {event.kind[:50]!r}, or no identifier")
    if event.action == pb.ObjectEvent.REMOVE:
        return key, None
    if event.action != pb.ObjectEvent.UPSERT:
        raise Spoilt("neither an object that is there nor one that is gone")
    try:
        part = _own(cluster, event.id, _decoders[event.kind].decode(event.object))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Spoilt(f"{event.kind}: {error}") from None
    return key, (_stored(event, part), part)


def _own(cluster: ClusterRef, identifier: str, part: Part) -> Part:
    """The object with the cluster that it came from, whatever it says of itself."""
    fields = part.__struct_fields__
    own = {"id": identifier, "cluster_id": str(cluster.id), "cluster_name": cluster.name}
    return msgspec.structs.replace(part, **{name: value for name, value in own.items() if name in fields})


def _stored(event: pb.ObjectEvent, part: Part) -> Stored:
    namespace = getattr(part, "name" if event.kind == "namespace" else "namespace", "")
    created = next(
        (found for name in _CREATED if (found := getattr(part, name, None)) is not None),
        None,
    )
    labels = dict(list(getattr(part, "labels", {}).items())[:_MOST_LABELS])
    return Stored(
        kind=event.kind,
        id=event.id,
        name=_text(getattr(part, "name", "")),
        namespace=_text(namespace),
        labels=msgspec.json.encode({_text(key): _text(value) for key, value in labels.items()}).decode(),
        images=tuple(dict.fromkeys(_images(part)))[:_MOST_IMAGES],
        created=created,
        hash=_text(event.hash),
        object=msgspec.json.encode(part).decode(),
    )


#: What the moment of making is called, by kind.
_CREATED = ("created", "created_at", "creation_time", "joined_at", "started")


def _images(part: Part) -> Iterable[str]:
    if not isinstance(part, Deployment):
        return
    for container in part.containers:
        image = container.image
        if image is None:
            continue
        for text in (image.id, "" if image.name is None else image.name.full_name):
            if text:
                yield _text(text)


def _text(value: str) -> str:
    """As PostgreSQL takes it."""
    return value[:_LONGEST].replace("\x00", "")
