"""Records as they come, made into rows that PostgreSQL takes, each once. Pure.

A record is what a stranger's process is called and given: any text, of any length, at any moment. What is kept is shorter,
has no NUL, and is not from the future. Moments are by the cluster's clock, which is ``ahead`` of ours by as many nanoseconds. Two tellings are the same by what they said, not by what is kept of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from redoubt.model.cluster import EndpointRecord, Entity, FlowRecord
from redoubt.model.happening import Process, ProcessSignal

#: Characters that are kept: of arguments, of a name.
MOST_ARGUMENTS, MOST_NAME = 8192, 512
#: Bytes that are kept of a path, in UTF-8: it is in indexes, of which a row has 2,704.
MOST_PATH = 2000
#: Ancestors that are kept, and characters of their JSON.
_MOST_ANCESTORS, _MOST_LINEAGE = 20, 16_384
_LARGEST = 2**63 - 1
_PORTS = 65_536
_NOTHING = ProcessSignal()
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode

S = list[object]


class ProcessRow(msgspec.Struct, gc=False):
    """A row of ``processes``."""

    key: bytes
    id: str
    cluster: UUID
    deployment: str
    namespace: str
    container: str
    pod: str
    pod_uid: str
    image: str
    container_id: str
    name: str
    path: str
    args: str
    pid: int
    uid: int
    gid: int
    lineage: str
    first_seen: datetime
    last_seen: datetime
    times: int


class EndpointRow(msgspec.Struct, gc=False):
    """A row of ``listening_endpoints``."""

    key: bytes
    cluster: UUID
    deployment: str
    pod: str
    pod_uid: str
    container: str
    port: int
    protocol: str
    name: str
    path: str
    args: str
    first_seen: datetime
    last_seen: datetime
    closed: datetime | None


class FlowRow(msgspec.Struct, gc=False):
    """A row of ``network_flows``."""

    key: bytes
    cluster: UUID
    source_type: str
    source: str
    target_type: str
    target: str
    port: int
    protocol: str
    first_seen: datetime
    last_seen: datetime
    closed: datetime | None


def processes(cluster: UUID, given: Iterable[Process], now: datetime, ahead: int = 0) -> list[ProcessRow]:
    """By key, each once; what is about no deployment is left out."""
    found: dict[bytes, ProcessRow] = {}
    of = cluster.bytes
    for each in given:
        signal = each.signal or _NOTHING
        deployment = each.deployment_id
        path = signal.exec_file_path or signal.name
        if not deployment or not path:
            continue
        key = digest(of, deployment, each.pod_uid or each.pod_id, each.container_name, path, signal.args)
        seen = now if signal.time is None else _earlier(signal.time, ahead, now)
        if (there := found.get(key)) is not None:
            there.times += 1
            if seen < there.first_seen:
                there.first_seen = seen
            elif seen > there.last_seen:
                there.last_seen = seen
            continue
        found[key] = ProcessRow(
            key,
            text(each.id, MOST_NAME),
            cluster,
            text(deployment, MOST_NAME),
            text(each.namespace, MOST_NAME),
            text(each.container_name, MOST_NAME),
            text(each.pod_id, MOST_NAME),
            text(each.pod_uid, MOST_NAME),
            text(each.image_id, MOST_NAME),
            text(signal.container_id, MOST_NAME),
            text(signal.name, MOST_NAME),
            path_of(path),
            text(signal.args, MOST_ARGUMENTS),
            number(signal.pid),
            number(signal.uid),
            number(signal.gid),
            _lineage(signal),
            seen,
            seen,
            1,
        )
    return sorted(found.values(), key=_key)


def endpoints(
    cluster: UUID, given: Iterable[EndpointRecord], now: datetime, ahead: int = 0
) -> list[EndpointRow]:
    """By key, each once: as it was told last."""
    found: dict[bytes, EndpointRow] = {}
    of = cluster.bytes
    for each in given:
        if not each.deployment_id or not 0 < each.port < _PORTS:
            continue
        key = digest(
            of, each.deployment_id, each.pod_uid or each.pod_id, each.container_name, str(each.port),
            each.protocol, each.process_name, each.exec_file_path, each.args,
        )  # fmt: skip
        first, seen, closed = _times(each, now, ahead)
        row = EndpointRow(
            key,
            cluster,
            text(each.deployment_id, MOST_NAME),
            text(each.pod_id, MOST_NAME),
            text(each.pod_uid, MOST_NAME),
            text(each.container_name, MOST_NAME),
            each.port,
            text(each.protocol, 64),
            text(each.process_name, MOST_NAME),
            path_of(each.exec_file_path),
            text(each.args, MOST_ARGUMENTS),
            first,
            seen,
            closed,
        )
        if (there := found.get(key)) is not None:
            row.first_seen = min(there.first_seen, first)
            if there.last_seen > seen:
                row.last_seen, row.closed = there.last_seen, there.closed
        found[key] = row
    return sorted(found.values(), key=_key)


def flows(cluster: UUID, given: Iterable[FlowRecord], now: datetime, ahead: int = 0) -> list[FlowRow]:
    """By key, each once: as it was told last. What is between two that are nobody is left out."""
    found: dict[bytes, FlowRow] = {}
    of = cluster.bytes
    for each in given:
        source, target = each.source, each.destination
        if not (_known(source) and _known(target)) or not 0 <= each.port < _PORTS:
            continue
        key = digest(of, source.type, source.id, target.type, target.id, str(each.port), each.protocol)
        first, seen, closed = _times(each, now, ahead)
        if (there := found.get(key)) is not None:
            first = min(there.first_seen, first)
            if there.last_seen > seen:
                seen, closed = there.last_seen, there.closed
        found[key] = FlowRow(
            key,
            cluster,
            text(source.type, 64),
            text(source.id, MOST_NAME),
            text(target.type, 64),
            text(target.id, MOST_NAME),
            each.port,
            text(each.protocol, 64),
            first,
            seen,
            closed,
        )
    return sorted(found.values(), key=_key)


def digest(of: bytes, *parts: str) -> bytes:
    """16 bytes that stand for these texts, and for no others."""
    made = hashlib.blake2b(of, digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        made.update(len(encoded).to_bytes(8, "little"))
        made.update(encoded)
    return made.digest()


def text(given: str, most: int) -> str:
    """As much of a text as is kept, without a NUL."""
    if len(given) > most:
        given = given[: most - 1] + "…"
    return given.replace("\x00", "\ufffd") if "\x00" in given else given


def path_of(given: str) -> str:
    """As much of a path as is kept, without a NUL."""
    given = text(given, MOST_PATH)
    if 4 * len(given) <= MOST_PATH or len(encoded := given.encode("utf-8", "replace")) <= MOST_PATH:
        return given
    return encoded[: MOST_PATH - len("…".encode())].decode("utf-8", "ignore") + "…"


def number(given: int) -> int:
    """A number that fits."""
    return min(max(given, 0), _LARGEST)


def moment(nanoseconds: int, now: datetime) -> datetime:
    """A moment that is not in the future; what is none is now."""
    if nanoseconds <= 0:
        return now
    try:
        return min(datetime.fromtimestamp(nanoseconds / 1e9, UTC), now)
    except (OverflowError, ValueError, OSError):
        return now


def _earlier(moment: datetime, nanoseconds: int, now: datetime) -> datetime:
    if not nanoseconds:
        return min(moment, now)
    try:
        return min(moment - timedelta(microseconds=nanoseconds / 1000), now)
    except OverflowError:
        return now


def _times(
    record: FlowRecord | EndpointRecord, now: datetime, ahead: int
) -> tuple[datetime, datetime, datetime | None]:
    """When it began, when it was told of last, and when it ended: what ended was seen until then."""
    seen = moment(record.seen - ahead, now)
    if record.closed is None:
        return seen, seen, None
    closed = moment(record.closed - ahead, now)
    return min(seen, closed), max(seen, closed), closed


def _known(entity: Entity) -> bool:
    return bool(entity.id) or entity.type in ("INTERNET", "INTERNAL_ENTITIES")


def _lineage(signal: ProcessSignal) -> str:
    """JSON of the nearest ancestors, as many as there is room for: cut elsewhere it would be none."""
    kept = list(signal.lineage_info[:_MOST_ANCESTORS])
    while kept:
        written = _encode(kept).decode()
        if len(written) <= _MOST_LINEAGE:
            return written
        kept.pop()
    return "[]"


def _key(row: ProcessRow | EndpointRow | FlowRow) -> bytes:
    return row.key
