"""What Central asks of this Sensor, and its answers. One request does not wait for another; too many are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
import structlog

from redoubt import tasks
from redoubt.errors import LimitExceeded, RedoubtError, UnreadableInput
from redoubt.model.cluster import AppliedPolicies, Enforcement, PoliciesToApply
from redoubt.model.workload import Deployment
from redoubt.sensor.graph.inventory import Inventory
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

_log = structlog.get_logger("requests")
#: Requests at a time, and bytes of an answer.
_MOST, _LARGEST = 200, 3_500_000


class Acting(Protocol):
    """Does what policies, or people, ask for."""

    async def act(self, asked: Enforcement) -> None:
        """Do it now. Raises ``RedoubtError``."""


class Asking(Protocol):
    """Asks policies again."""

    def mark(self, identifier: str) -> None:
        """Of one workload."""

    def mark_all(self) -> None:
        """Of all."""


class Scanning(Protocol):
    """Scans images here."""

    async def scan(self, name: str, namespace: str, *, force: bool, ad_hoc: bool = False) -> bytes:
        """Central has the result already when this returns. Raises ``RedoubtError``."""


class Applying(Protocol):
    """Changes network policies."""

    async def apply(self, asked: PoliciesToApply) -> AppliedPolicies:
        """All or nothing. Raises ``RedoubtError``."""


class Requests:
    """Answers go to ``tell``."""

    def __init__(
        self,
        inventory: Inventory,
        asking: Asking,
        acting: Acting,
        scanning: Scanning,
        applying: Applying,
        tell: Callable[[pb.FromSensor], None],
        renew: Callable[[], Awaitable[None]],
    ) -> None:
        self._inventory = inventory
        self._asking = asking
        self._acting = acting
        self._scanning = scanning
        self._applying = applying
        self._renew = renew
        self._tell = tell
        self._work: set[asyncio.Task[None]] = set()

    def take(self, request: pb.Request) -> None:
        """Have it done."""
        task = asyncio.create_task(self._answer(request), name="request")
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def stop(self) -> None:
        """End what is under way."""
        await tasks.end(*self._work)

    async def _answer(self, request: pb.Request) -> None:
        answer = pb.Answer(request_id=request.id)
        try:
            if len(self._work) > _MOST:
                raise LimitExceeded(f"the Sensor works on {_MOST} other requests")
            answer.result = await self._done(request)
        except RedoubtError as error:
            answer.failure = str(error) or "it failed"
        except Exception as error:  # noqa: BLE001 (whoever waits is told)
            _log.exception("a request of Central's failed")
            answer.failure = f"it failed ({type(error).__name__})"
        self._tell(pb.FromSensor(answer=answer))

    async def _done(self, request: pb.Request) -> bytes:
        kind = request.WhichOneof("request") or ""
        how: dict[str, Callable[[pb.Request], Awaitable[bytes]]] = {
            "scan_image": self._scan,
            "enhance": self._enhance,
            "enforce": self._enforce,
            "reassess": self._reassess,
            "apply_network_policies": self._apply,
            "renew_certificates": self._renewed,
        }
        if kind not in how:
            raise UnreadableInput("a request that this Sensor does not know; it may be older than Central")
        return await how[kind](request)

    async def _scan(self, request: pb.Request) -> bytes:
        asked = request.scan_image
        await self._scanning.scan(asked.image_name, asked.namespace, force=asked.force, ad_hoc=asked.ad_hoc)
        return b""

    async def _enhance(self, request: pb.Request) -> bytes:
        try:
            given = msgspec.json.decode(request.enhance, type=list[Deployment], strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UnreadableInput(f"deployments: {str(error)[:200]}") from None
        found = msgspec.json.encode([self._inventory.surrounded(each)[0] for each in given])
        if len(found) > _LARGEST:
            raise LimitExceeded(
                f"the answer has {len(found)} bytes, more than {_LARGEST}; ask for less at once"
            )
        return found

    async def _enforce(self, request: pb.Request) -> bytes:
        try:
            asked = msgspec.json.decode(request.enforce, type=Enforcement, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnreadableInput(f"enforcement: {str(error)[:200]}") from None
        await self._acting.act(asked)
        return b""

    async def _apply(self, request: pb.Request) -> bytes:
        try:
            asked = msgspec.json.decode(request.apply_network_policies, type=PoliciesToApply)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UnreadableInput(f"network policies: {str(error)[:200]}") from None
        return msgspec.json.encode(await self._applying.apply(asked))

    async def _renewed(self, _: pb.Request) -> bytes:
        await self._renew()
        return b""

    async def _reassess(self, request: pb.Request) -> bytes:
        if request.reassess:
            self._asking.mark(request.reassess)
        else:
            self._asking.mark_all()
        return b""
