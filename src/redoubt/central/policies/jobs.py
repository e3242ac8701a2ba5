"""Policies that are tried out in the background: begun at one replica, asked for at any, known for an hour."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import msgspec
import structlog

from redoubt import tasks
from redoubt.central.auth.caller import Caller
from redoubt.central.refusals import Exhausted, FailedPrecondition, NotFound
from redoubt.central.store import Pool, affected
from redoubt.policies import Policy

#: Policies that a replica tries out at a time.
_MOST = 4

_log = structlog.get_logger("policies")


class TriedOn(msgspec.Struct, frozen=True, rename="camel"):
    """``DryRunResponse.Alert``: a workload, or ``image`` where it is one that nothing runs."""

    deployment: str
    violations: list[str]
    image: str = ""


class Tried(msgspec.Struct, frozen=True, rename="camel"):
    """What a policy would find. So many were looked at; ``unanswered``: deployments that something is not known of;
    ``incomplete`` where there are more."""

    alerts: list[TriedOn]
    images: int = 0
    incomplete: bool = False
    deployments: int = 0
    unanswered: int = 0


class DryRuns:
    """Policies that are tried out by ``work``."""

    def __init__(self, pool: Pool, work: Callable[[Caller, Policy], Awaitable[Tried]]) -> None:
        self._pool = pool
        self._work = work
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Nothing is tried before somebody asks."""

    async def stop(self) -> None:
        """What is under way ends, and says so."""
        await tasks.end(*self._running)

    async def begin(self, caller: Caller, policy: Policy) -> UUID:
        """Begin; how it is asked for. Raises ``Exhausted``."""
        if len(self._running) >= _MOST:
            raise Exhausted(f"{_MOST} policies are being tried out; try again", retry_after=10)
        identifier = uuid4()
        await self._pool.execute("DELETE FROM dry_runs WHERE created < now() - interval '1 hour'")
        await self._pool.execute(
            "INSERT INTO dry_runs (id, owner, state) VALUES ($1, $2, 'pending')", identifier, caller.label
        )
        task = asyncio.create_task(self._run(identifier, caller, policy), name="dry run")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return identifier

    async def result(self, caller: Caller, identifier: UUID) -> Tried | None:
        """What came of it; None while it goes on. Raises ``NotFound`` and ``FailedPrecondition``."""
        row = await self._pool.fetchrow(
            "SELECT state, result FROM dry_runs WHERE id = $1 AND owner = $2", identifier, caller.label
        )
        if row is None or row["state"] == "cancelled":
            raise NotFound("there is no such dry run, or it was longer than an hour ago")
        if row["state"] == "failed":
            raise FailedPrecondition("the dry run was broken off; try again")
        return msgspec.json.decode(row["result"], type=Tried) if row["state"] == "done" else None

    async def cancel(self, caller: Caller, identifier: UUID) -> None:
        """It is not wanted any more; one that is not there is not wanted either."""
        done = await self._pool.execute(
            "UPDATE dry_runs SET state = 'cancelled', result = '' WHERE id = $1 AND owner = $2",
            identifier,
            caller.label,
        )
        if not affected(done):  # it is somebody else's
            return
        for task in self._running:
            if task.get_name() == str(identifier):
                task.cancel()

    async def _run(self, identifier: UUID, caller: Caller, policy: Policy) -> None:
        if (task := asyncio.current_task()) is not None:
            task.set_name(str(identifier))
        state, result = "failed", ""
        try:
            found = await self._work(caller, policy)
            state, result = "done", msgspec.json.encode(found).decode()
        except Exception as error:  # noqa: BLE001 (whoever asks is told)
            _log.warning("a dry run was broken off", reason=type(error).__name__)
        finally:
            await tasks.to_the_end(self._ended(identifier, state, result))

    async def _ended(self, identifier: UUID, state: str, result: str) -> None:
        await self._pool.execute(
            "UPDATE dry_runs SET state = $2, result = $3 WHERE id = $1 AND state = 'pending'",
            identifier,
            state,
            result,
        )
