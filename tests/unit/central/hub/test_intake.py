"""What the hub remembers of messages before it keeps them."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from redoubt.central.hub.intake import Intake, Link, _Batch
from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.store.hub import NewSession
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

LINK = Link(
    ClusterRef(UUID(int=1), "north"),
    NewSession(
        cluster=UUID(int=1), holder=UUID(int=2), spool="spool", version="", capabilities="", bundle="",
        identification="",
    ),
    0,
)  # fmt: skip


class Nothing:
    async def take(self, *_: Any) -> int:
        return 0


@pytest.mark.parametrize(
    ("kind", "identifier"),
    [("pod", ""), ("pod", "x" * 254), ("pod", "x" * (4 << 20)), ("x" * (4 << 20), "pod-1"), ("", "\x00")],
)
def test_what_cannot_be_an_object_is_not_remembered(kind: str, identifier: str) -> None:
    intake = Intake(None, None)  # type: ignore[arg-type]  # neither is asked
    intake.objects = Nothing()  # type: ignore[assignment]
    batch = _Batch(LINK)
    events = [pb.ObjectEvent(kind=kind, id=identifier), pb.ObjectEvent(kind="pod", id="pod-2")]
    messages = [pb.FromSensor(number=at, object=event) for at, event in enumerate(events, 1)]
    asyncio.run(intake._all(None, LINK, messages, batch, none=False))  # type: ignore[arg-type]
    assert batch.seen == {("pod", "pod-2")}
    assert batch.number == 2
